"""Clicks and reactions: done only where our own records say that this was offered there; else refused, and told."""

from dataclasses import replace

import pytest

from greylag.domain import events as ev
from greylag.domain.conversation import Conversation, Offer
from greylag.domain.states import TaskStatus
from tests.support.front_stage import FULL, HERE, SOURCE, SUBJECT, Scene, click, heard

OTHER = "sha256:" + "6" * 64


async def reviewed(scene: Scene, author: str = "UADA") -> tuple[str, str]:
    """Have a task up for review; return its id and the chat's id of its card."""
    await scene.hear(heard(author=author))
    return scene.task().task_id, scene.up_for_review(scene.task().task_id)


def refusals(scene: Scene) -> list[str]:
    return [post.text for post in scene.room.posts]


async def test_a_click_approves_exactly_what_its_card_showed(scene: Scene) -> None:
    task_id, card = await reviewed(scene)
    await scene.hear(click(card, "approve", SUBJECT, task_id=task_id))
    (given,) = scene.events_of(task_id, ev.ApprovalGiven)
    assert (given.by, given.subject, given.via) == ("grace", SUBJECT, f"chat:{SOURCE}")
    assert scene.room.posts == []


async def test_a_click_by_the_requester_is_refused_with_the_rule(scene: Scene) -> None:
    task_id, card = await reviewed(scene, "UGRACE")
    own = click(card, "approve", SUBJECT, task_id=task_id)
    await scene.hear(own)
    (post,) = scene.room.posts
    assert (post.kind, post.to) == ("notice", "UGRACE")
    assert "GL-APPROVE-001" in post.text
    assert "somebody else with the role `reviewer` approves" in post.text
    assert scene.outcome(own.event_id)[1].startswith("GL-APPROVE-001")
    assert scene.task().status is TaskStatus.IN_REVIEW


FORGED = {
    "a message that is not ours": ("nothing.of.ours", "approve", SUBJECT, "", "GL-CHAT-030"),
    "no message at all": ("", "approve", SUBJECT, "", "GL-CHAT-030"),
    "another task": ("card", "approve", SUBJECT, "task_00000000000000000000000000", "GL-CHAT-031"),
    "another digest": ("card", "approve", OTHER, "", "GL-CHAT-032"),
    "no digest": ("card", "approve", "", "", "GL-CHAT-032"),
    "a verb it never offered": ("card", "roll_back", f"production/{OTHER}", "", "GL-CHAT-032"),
    "a verb nobody knows": ("card", "delete", SUBJECT, "", "GL-CHAT-032"),
    "an approval on the request": ("ack", "approve", SUBJECT, "", "GL-CHAT-032"),
    "a huge value": ("card", "approve", SUBJECT + "x" * 100_000, "", "GL-CHAT-032"),
    "a value with controls": ("card", "approve", SUBJECT + "\x00\x1b[31m\u202e", "", "GL-CHAT-032"),
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_click_changes_nothing(scene: Scene, name: str) -> None:
    message, verb, value, task, code = FORGED[name]
    task_id, card = await reviewed(scene)
    handles = scene.delivered(task_id)
    forged = click({"card": card, "ack": handles[1]}.get(message, message), verb, value, task_id=task)
    before = scene.task()
    await scene.hear(forged)
    assert scene.task() == before
    state, reason = scene.outcome(forged.event_id)
    assert (state, reason.partition(":")[0]) == ("refused", code)
    assert code in refusals(scene)[0]


async def test_a_card_of_another_conversation_is_not_clicked_here(scene: Scene) -> None:
    """The chat's ids of messages are its room's: the same id in another room is another message."""
    task_id, card = await reviewed(scene)
    elsewhere = click(card, "approve", SUBJECT, conversation=Conversation(SOURCE, "C2", "1"), task_id=task_id)
    await scene.hear(elsewhere)
    assert scene.outcome(elsewhere.event_id)[1].startswith("GL-CHAT-030")
    assert scene.task().status is TaskStatus.IN_REVIEW


async def test_a_click_on_another_task_of_the_same_conversation_is_refused(scene: Scene) -> None:
    first, card = await reviewed(scene)
    scene.append(first, ev.ChangeRejected("lin", "no"))
    await scene.hear(heard("mention", "something else"))
    second = scene.stores.chats.task_in(HERE)
    forged = click(card, "approve", SUBJECT, task_id=str(second))
    await scene.hear(forged)
    assert scene.outcome(forged.event_id)[1].startswith("GL-CHAT-031")


async def test_a_click_on_an_old_card_is_stale(scene: Scene) -> None:
    task_id, card = await reviewed(scene)
    scene.append(task_id, ev.RunStarted("run_x", 2, 1, "b" * 40, scene.task().request, "v1", 100))  # type: ignore[arg-type]
    scene.append(task_id, ev.RunFinished("run_x", "finished", "done"))  # type: ignore[arg-type]
    scene.up_for_review(task_id, OTHER, number=2)
    old_yes, old_no = click(card, "approve", SUBJECT), click(card, "reject", SUBJECT, text="no")
    await scene.hear(old_yes, old_no)
    assert [scene.outcome(each.event_id)[1].partition(":")[0] for each in (old_yes, old_no)] == ["GL-APPROVE-003"] * 2
    assert scene.task().status is TaskStatus.IN_REVIEW


async def test_a_replayed_click_is_done_once(scene: Scene) -> None:
    task_id, card = await reviewed(scene)
    first = click(card, "approve", SUBJECT)
    again = click(card, "approve", SUBJECT)
    await scene.hear(first, first, again, replace(first, event_id="C1/replayed"))
    assert len(scene.events_of(task_id, ev.ApprovalGiven)) == 1
    assert scene.room.posts == []


async def test_a_click_that_nobody_vouches_for_approves_nothing(scene: Scene) -> None:
    task_id, card = await reviewed(scene)
    weak = click(card, "approve", SUBJECT, vouched=False)
    await scene.hear(weak)
    scene.room.capabilities = replace(FULL, vouches=False)
    weaker = click(card, "approve", SUBJECT)
    await scene.hear(weaker)
    assert [scene.outcome(each.event_id)[1].partition(":")[0] for each in (weak, weaker)] == ["GL-CHAT-024"] * 2
    for post in scene.room.posts:
        assert f"https://greylag.example/tasks/{task_id}" in post.text
        assert post.controls[0].url == f"https://greylag.example/tasks/{task_id}"
    assert scene.task().status is TaskStatus.IN_REVIEW


async def test_somebody_unknown_clicks_for_nothing(scene: Scene) -> None:
    task_id, card = await reviewed(scene)
    before = scene.task()
    clicks = [click(card, verb, SUBJECT, "UMALLORY") for verb in ("approve", "reject")]
    await scene.hear(*clicks, click(card, "say", "", "UMALLORY", text="make it worse"))
    assert scene.task() == before
    assert all(post.to == "UMALLORY" and "don't know who you are" in post.text for post in scene.room.posts)
    assert len(scene.events_of(task_id, ev.FollowUpReceived)) == 0


async def test_a_click_rejects_with_the_reason_given(scene: Scene) -> None:
    task_id, card = await reviewed(scene)
    await scene.hear(click(card, "reject", SUBJECT, text="the test is gone"))
    (rejected,) = scene.events_of(task_id, ev.ChangeRejected)
    assert (rejected.by, rejected.reason) == ("grace", "the test is gone")


async def test_more_is_said_by_a_form_with_its_mode(scene: Scene) -> None:
    task_id, card = await reviewed(scene)
    await scene.hear(click(card, "say", "", "UADA", text="use 300 ms", mode="replace"))
    (follow_up,) = scene.events_of(task_id, ev.FollowUpReceived)
    assert (follow_up.by, follow_up.mode, follow_up.title) == ("ada", "replace", "use 300 ms")
    wrong = click(card, "say", "", "UADA", text="x", mode="burn it down")
    await scene.hear(wrong)
    assert scene.outcome(wrong.event_id)[1].startswith("GL-STEER-001")


async def test_a_choice_is_clicked_once_and_a_question_that_is_past_is_none(scene: Scene) -> None:
    await scene.hear(heard())
    task_id = scene.task().task_id
    scene.append(task_id, ev.QuestionAsked("Which?", ("murmur", "player")))
    offers = (Offer("answer", "murmur", "murmur"), Offer("answer", "player", "player"))
    picker = scene.shown(task_id, "question", "Which?", offers)
    first, second = click(picker, "answer", "player", "UADA"), click(picker, "answer", "murmur", "UADA")
    await scene.hear(first, second, first)
    assert scene.task().repository == "player"
    assert scene.task().follow_ups == (), "a late choice is no follow-up"
    assert scene.outcome(second.event_id)[1].startswith("GL-CHAT-033")


async def test_status_and_stop_are_clicked(scene: Scene) -> None:
    await scene.hear(heard())
    task_id = scene.task().task_id
    ack = scene.delivered(task_id)[1]
    await scene.hear(click(ack, "status", "", "ULIN"), click(ack, "stop", "", "UADA"), click(ack, "stop", "", "UADA"))
    assert "Now: it was received" in scene.words(task_id)
    assert scene.task().stop_requested_by == "ada"
    assert len(scene.events_of(task_id, ev.StopRequested)) == 1
    refused = click(ack, "stop", "", "ULIN")
    await scene.hear(refused)
    assert scene.outcome(refused.event_id)[1].startswith("GL-PERSON-002")


@pytest.mark.parametrize("mark", ["✅", "👍", "👍🏽", ":white_check_mark:", "✔️"])
async def test_a_reaction_is_no_approval_and_is_answered_once(scene: Scene, mark: str) -> None:
    task_id, card = await reviewed(scene)
    by_text = heard("reaction", mark, "UGRACE", message_id=card, vouched=False)
    by_value = heard("reaction", "", "ULIN", message_id=card, value=mark)
    unknown = heard("reaction", mark, "UMALLORY", message_id=card)
    await scene.hear(by_text, by_value, unknown)
    assert scene.events_of(task_id, ev.ApprovalGiven) == []
    assert scene.words(task_id).count("A reaction is no approval") == 1
    assert f"https://greylag.example/tasks/{task_id}" in scene.words(task_id)
    assert scene.outcome(by_text.event_id)[0] == "refused"


async def test_other_reactions_say_nothing(scene: Scene) -> None:
    task_id, card = await reviewed(scene)
    before = scene.said(task_id)
    some = [heard("reaction", mark, "UGRACE", message_id=card) for mark in ("👀", "❤️", "", "approve", "x" * 10_000)]
    foreign = heard("reaction", "✅", "UGRACE", message_id="m-of-somebody")
    await scene.hear(*some, foreign)
    assert scene.said(task_id) == before
    assert all(scene.stores.chats.known(SOURCE, each.event_id) is None for each in (*some, foreign))


# the way back


async def released(scene: Scene) -> tuple[str, str, str]:
    """Have two builds after each other in production; return the task, the older digest and the newer."""
    task_id, _ = await reviewed(scene)
    scene.append(
        task_id, ev.ApprovalGiven("apr_1", "grace", SUBJECT, "s"), ev.ChangeMerged("chg_1", "e" * 40, "c" * 40)  # type: ignore[arg-type]
    )  # fmt: skip
    return task_id, scene.deploy("production", "1", task_id), scene.deploy("production", "2", task_id)


def asked(scene: Scene, task_id: str) -> tuple[str, Offer]:
    """Return the chat's id of the newest question and what it offers."""
    question = [
        each for each in scene.stores.threads.messages(scene.task().task_id, 0, 100) if each.kind == "question"
    ][-1]
    return scene.delivered(task_id)[question.sequence - 1], question.offers[0]


async def test_roll_back_asks_about_exactly_what_is_live_and_a_click_does_it(scene: Scene) -> None:
    task_id, old, new = await released(scene)
    await scene.hear(heard("reply", "roll back production", "UGRACE"))
    assert scene.deployer.applied == [], "words alone do nothing"
    message, offer = asked(scene, task_id)
    assert offer.value == f"production/{new}"
    await scene.hear(click(message, "roll_back", offer.value))
    assert scene.deployer.applied == [old]
    assert "production was brought back to murmur-1.whl by grace" in scene.words(task_id)
    again = click(message, "roll_back", offer.value)
    await scene.hear(again)
    assert scene.outcome(again.event_id)[1].startswith("GL-CHAT-025"), "what it was about is gone"
    assert scene.deployer.applied == [old]


async def test_roll_back_with_the_digest_of_what_is_live_is_done_at_once(scene: Scene) -> None:
    task_id, old, new = await released(scene)
    wrong = heard("reply", f"roll back production {old[7:19]}", "UGRACE")
    await scene.hear(wrong)
    assert scene.outcome(wrong.event_id)[1].startswith("GL-CHAT-025")
    assert scene.deployer.applied == []
    await scene.hear(heard("reply", f"roll back production {new[7:19]}", "UGRACE"))
    assert scene.deployer.applied == [old]
    assert scene.words(task_id).count("was brought back") == 1


async def test_a_stale_way_back_is_refused(scene: Scene) -> None:
    task_id, _, _ = await released(scene)
    await scene.hear(heard("reply", "roll back production", "UGRACE"))
    message, offer = asked(scene, task_id)
    scene.deploy("production", "3", task_id)
    stale = click(message, "roll_back", offer.value)
    await scene.hear(stale)
    assert scene.outcome(stale.event_id)[1].startswith("GL-CHAT-025")
    assert scene.deployer.applied == []


@pytest.mark.parametrize(
    ("words", "author", "code"),
    [
        ("roll back production", "UADA", "GL-PERSON-002"), ("roll back mars", "UGRACE", "GL-RELEASE-001"),
        ("roll back staging", "UGRACE", "GL-RELEASE-002"), ("roll back", "UGRACE", "GL-CHAT-026"),
    ],
)  # fmt: skip
async def test_a_way_back_that_is_none_is_refused(scene: Scene, words: str, author: str, code: str) -> None:
    task_id, _, _ = await released(scene)
    said = heard("reply", words, author)
    await scene.hear(said)
    assert scene.outcome(said.event_id)[1].startswith(code)
    assert code in scene.words(task_id)
    assert scene.deployer.applied == []


async def test_a_way_back_by_somebody_without_the_right_or_unvouched_is_refused(scene: Scene) -> None:
    task_id, _, _ = await released(scene)
    await scene.hear(heard("reply", "roll back production", "UGRACE"))
    message, offer = asked(scene, task_id)
    clicks = [click(message, "roll_back", offer.value, "UADA"), click(message, "roll_back", offer.value, vouched=False)]
    await scene.hear(*clicks)
    codes = [scene.outcome(each.event_id)[1].partition(":")[0] for each in clicks]
    assert codes == ["GL-PERSON-002", "GL-CHAT-024"]
    assert scene.deployer.applied == []
