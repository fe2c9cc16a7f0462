"""The courier: who hears what, what a broken chat costs, and how a card grows."""

import asyncio
import itertools
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from greylag.adapters.chat.port import Post
from greylag.adapters.store.port import Spoken
from greylag.delivery import hints
from greylag.delivery.cell import digest_of
from greylag.delivery.conversing.courier import Courier, Pace
from greylag.domain.conversation import Conversation, Offer
from greylag.domain.errors import BackendError, IntegrityError, RequestRefused
from greylag.domain.ids import TaskId
from tests.support.chats import AT, CAN_ALL, HERE, QUICK, SOURCE, ChatStage, Faults, MemoryChat

PAGE = "https://greylag.example/tasks/task_1"
CARD = (Offer("approve", "Approve", "sha256:ab"), Offer("see", "Diff", "diff"), Offer("open", "Open"))
OTHER = "memory:other"
THERE = Conversation(OTHER, "room")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ChatStage]:
    opened = ChatStage(tmp_path)
    yield opened
    opened.close()


def state_of(stage: ChatStage, sequence: int, where: Conversation = HERE, task: str = "task_1") -> str:
    posting = stage.control.chats.posting(where, TaskId(task), sequence)
    return posting.state if posting is not None else "nothing"


def with_other_chat(stage: ChatStage) -> MemoryChat:
    stage.chats[OTHER] = MemoryChat(Faults(), OTHER, "other")
    return stage.chats[OTHER]


async def run_until(courier: Courier, seen: Callable[[], bool]) -> None:
    running = asyncio.create_task(courier.run())
    try:
        async with asyncio.timeout(60):
            while not seen():
                await asyncio.sleep(0.005)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


# What is said, and to whom


async def test_a_card_arrives_with_its_controls_and_without_hints(stage: ChatStage) -> None:
    task_id = stage.begin()
    text = "\n".join(("Ready for review: Fix the skip button", *hints.to_review(task_id)))
    stage.say(task_id, "card", text, offers=CARD)
    await stage.deliver()
    (post,) = stage.chat.posts
    assert (post.kind, post.text) == ("card", "Ready for review: Fix the skip button")
    assert (post.title, post.author, post.key) == ("Fix the skip button", "greylag", "task_1/1")
    assert [(control.verb, control.value, control.task_id) for control in post.controls] == [
        ("approve", "sha256:ab", "task_1"), ("", "", ""), ("", "", ""),
    ]  # fmt: skip
    found = stage.control.chats.posted_as(SOURCE, "room", stage.chat.shown[0].handle)
    assert found is not None
    assert (found.sequence, found.state) == (1, "sent")
    outcome = [entry for _, entry in stage.ledger.entries if entry["kind"] == "outcome"]
    assert [entry["outcome"] for entry in outcome] == ["sent"]
    assert outcome[0]["facts"] == {"size_bytes": len(post.text)}, "where it rests the chat does not tell"


async def test_what_a_person_wrote_here_is_not_repeated_here(stage: ChatStage) -> None:
    other = with_other_chat(stage)
    chats = stage.control.chats
    task_id = stage.begin(channel=SOURCE, room="room", thread="thread", message_id=f"{SOURCE}/Ev1")
    chats.bind(THERE, task_id, AT)
    heard = {"kind": "reply"}
    for event_id, where, kind in (
        ("Ev1", HERE, "mention"), ("Ev2", HERE, "reply"), ("Ev3", HERE, "click"),
        ("Ev4", replace(HERE, thread="else"), "reply"),
    ):  # fmt: skip
        chats.arrive(where, event_id, json.dumps(heard | {"kind": kind}), None, AT)
    stage.say(task_id, "text", "fix it", "request", "ada")
    stage.say(task_id, "text", "On it.", "ack")
    stage.say(task_id, "text", "and the label", f"reply/{SOURCE}/Ev2", "ada")
    stage.say(task_id, "text", "by a button", f"answered/{SOURCE}/Ev3", "ada")
    stage.say(task_id, "text", "in another thread", f"reply/{SOURCE}/Ev4", "ada")
    stage.say(task_id, "text", "in the web", "reply/4f", "grace")
    stage.say(task_id, "text", "Approved sha256:ab….", "apr_1", "grace")
    stage.say(task_id, "text", "as another chat's id", f"reply/{OTHER}/Ev2", "ada")
    await stage.deliver()
    assert [(each.post.author, each.words) for each in stage.chat.shown] == [
        ("greylag", "On it."), ("ada", "by a button"), ("ada", "in another thread"), ("grace", "in the web"),
        ("grace", "Approved sha256:ab…."), ("ada", "as another chat's id"),
    ]  # fmt: skip
    told = [each.words for each in other.shown]
    assert told == [
        "fix it", "On it.", "and the label", "by a button", "in another thread", "in the web", "Approved sha256:ab….",
    ], "what was forgotten came from where the chat has its only thread"  # fmt: skip
    assert {state_of(stage, number) for number in range(1, 9)} == {"sent"}


@pytest.mark.parametrize("heard", ["", "[]", "null", "{", '{"kind":["click"]}', '"click"'])
async def test_whatever_was_kept_of_an_event_is_only_read(stage: ChatStage, heard: str) -> None:
    task_id = stage.begin()
    stage.control.chats.arrive(HERE, "Ev1", heard, None, AT)
    stage.say(task_id, "text", "mine", f"reply/{SOURCE}/Ev1", "ada")
    await stage.deliver()
    assert stage.chat.words() == []


async def test_a_request_from_elsewhere_is_shown_where_it_is_followed(stage: ChatStage) -> None:
    task_id = stage.begin(channel="web")
    stage.say(task_id, "text", "fix it", "request", "ada")
    followed = stage.begin("2", channel=SOURCE, room="room", thread="thread")
    stage.say(followed, "text", "asked here, before it was kept", "request", "ada")
    await stage.deliver()
    assert [(each.post.author, each.words) for each in stage.chat.shown] == [("ada", "fix it")]


async def test_long_words_are_cut_before_they_are_decided_about(stage: ChatStage) -> None:
    stage.chat.capabilities = replace(CAN_ALL, longest_text=300)
    task_id = stage.begin()
    stage.say(task_id, "text", "\n".join(f"line {number}" for number in range(200)))
    await stage.deliver()
    (post,) = stage.chat.posts
    assert len(post.text) <= 300
    assert post.text.endswith(f"\n… more: {PAGE}")
    assert post.digest == digest_of(post.text.encode())


async def test_another_region_s_tasks_are_left_to_its_own_courier(stage: ChatStage) -> None:
    theirs = stage.begin("2", region="us")
    stage.say(theirs, "text", "theirs")
    ours = stage.begin()
    stage.say(ours, "text", "ours")
    await stage.deliver()
    assert stage.chat.words() == ["ours"]
    assert [each.task_id for each in stage.control.chats.due((SOURCE,))] == [theirs]


async def test_erased_words_leave_news_and_a_link(stage: ChatStage) -> None:
    task_id = stage.begin()
    stage.say(task_id, "text", "gone")
    stage.say(task_id, "progress", "gone too")
    stage.vault.erase(task_id)
    await stage.deliver()
    assert stage.chat.words() == [f"There is news in task_1: {PAGE}", ("…",)]


# Live cards


async def test_a_card_grows_in_place_and_is_settled_before_what_follows(stage: ChatStage) -> None:
    task_id = stage.begin()
    for number in range(3):
        stage.say(task_id, "progress", f"step {number}")
        await stage.deliver()
    assert [len(stage.chat.shown), stage.chat.shown[0].post.steps[-1].state] == [1, "working"]
    assert [post.text for post in stage.chat.posts] == ["step 0", "step 1", "step 2"], "text is what is new"
    stage.say(task_id, "error", "it broke")
    await stage.deliver()
    card, error = stage.chat.shown
    assert [step.state for step in card.post.steps] == ["complete", "complete", "error"]
    assert card.words == ("step 0", "step 1", "step 2"), "after a restart the same card went on"
    assert error.words == "it broke"
    assert [post.key for post in stage.chat.posts][-1] == "task_1/4"
    stage.say(task_id, "progress", "again")
    await stage.deliver()
    assert stage.chat.words()[-1] == ("again",), "a new card"


async def test_a_card_shows_the_newest_lines_only(stage: ChatStage) -> None:
    task_id = stage.begin()
    for number in range(70):
        stage.say(task_id, "progress", f"step {number}")
    await stage.deliver()
    stage.say(task_id, "progress", "step 70")
    await stage.deliver()
    assert stage.chat.words() == [tuple(f"step {number}" for number in range(41, 71))]
    assert len(stage.chat.posts) == 3


async def test_changes_of_a_card_keep_their_distance(stage: ChatStage) -> None:
    now, at = asyncio.get_running_loop().time, []
    stage.chat.fails = lambda post: at.append(now()) if post.kind == "progress" else None
    task_id = stage.begin()
    courier = stage.courier(replace(QUICK, progress=0.2))
    running = asyncio.create_task(courier.run())
    for number in range(30):
        stage.say(task_id, "progress", f"step {number}")
        await asyncio.sleep(0.02)
    stage.say(task_id, "text", "done")
    while stage.due():
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert len(gaps) >= 2
    assert min(gaps[:-1]) >= 0.2, "all but the last, which does not keep what follows waiting"
    assert stage.chat.words() == [tuple(f"step {number}" for number in range(30)), "done"]


async def test_a_card_that_was_taken_away_is_begun_anew(stage: ChatStage) -> None:
    task_id = stage.begin()
    stage.say(task_id, "progress", "step 0")
    await stage.deliver()
    stage.chat.shown.clear()
    stage.say(task_id, "progress", "step 1")
    stage.say(task_id, "progress", "step 2")
    await stage.deliver()
    assert stage.chat.words() == [("step 1", "step 2")]
    stage.chat.shown.clear()
    stage.say(task_id, "text", "done")
    await stage.deliver()
    assert stage.chat.words() == ["done"]
    assert {state_of(stage, number) for number in range(1, 5)} == {"sent"}


async def test_a_chat_that_can_t_edit_gets_line_by_line(stage: ChatStage) -> None:
    stage.chat.capabilities = replace(CAN_ALL, edit=False)
    task_id = stage.begin()
    for number in range(3):
        stage.say(task_id, "progress", f"step {number}")
    stage.say(task_id, "text", "done")
    await stage.deliver()
    assert stage.chat.words() == [("step 0",), ("step 1",), ("step 2",), "done"]


async def test_a_card_that_breaks_the_chat_does_not_take_what_follows(stage: ChatStage) -> None:
    def never_settled(post: Post) -> None:
        if post.key.endswith("/settled"):
            raise IntegrityError("GL-TEST-002", "no.", "none.")

    stage.chat.fails = never_settled
    task_id = stage.begin()
    stage.say(task_id, "progress", "step 0")
    await stage.deliver()
    stage.say(task_id, "text", "done")
    await stage.deliver()
    assert stage.chat.words() == [("step 0",), "done"]


# What breaks, and what it costs


def away(post: Post) -> None:
    raise BackendError("GL-TEST-003", "the chat is away.", "wait.", transient=True)


async def test_a_chat_that_is_away_loses_nothing_and_holds_nobody_up(stage: ChatStage) -> None:
    other = with_other_chat(stage)
    task_id = stage.begin()
    stage.control.chats.bind(THERE, task_id, AT)
    stage.chat.fails = away
    for number in range(5):
        stage.say(task_id, "text", f"{number}")
    await run_until(stage.courier(), lambda: other.words(THERE) == [f"{number}" for number in range(5)])
    assert stage.chat.words() == []
    assert state_of(stage, 1) == "sending"
    stage.chat.fails = lambda post: None
    await stage.deliver()
    assert stage.chat.words() == [f"{number}" for number in range(5)]


async def test_one_conversation_in_trouble_holds_no_other_up(stage: ChatStage) -> None:
    for number in range(12):
        where = replace(HERE, thread=f"{number}")
        stage.say(stage.begin(f"{number}", where), "text", "hello")

    def stuck(post: Post) -> None:
        if post.conversation.thread in "0123456789":
            away(post)

    stage.chat.fails = stuck
    courier = stage.courier(replace(QUICK, first_backoff=0.05, longest_backoff=0.1))
    await run_until(courier, lambda: len(stage.chat.shown) == 2)
    assert {each.post.conversation.thread for each in stage.chat.shown} == {"10", "11"}


async def test_a_chat_that_hangs_is_tried_again(tmp_path: Path) -> None:
    class Hanging(MemoryChat):
        hangs = 2

        async def post(self, permit, post, *, uncertain=False, handle=""):  # type: ignore[no-untyped-def]
            if self.hangs:
                self.hangs -= 1
                await asyncio.sleep(60)
            return await super().post(permit, post, uncertain=uncertain, handle=handle)

    stage = ChatStage(tmp_path)
    stage.chats[SOURCE] = chat = Hanging(Faults())
    stage.say(stage.begin(), "text", "hello")
    await stage.deliver(stage.courier(replace(QUICK, post=0.05)))
    assert chat.words() == ["hello"]
    stage.close()


async def test_what_the_chat_will_never_take_is_given_up_at_once(
    stage: ChatStage, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(post: Post) -> None:
        if "1" in post.text:
            raise RequestRefused("GL-CHAT-001", "the room is gone.", "ask somewhere else.")

    stage.chat.fails = gone
    task_id = stage.begin()
    for kind, text in (("text", "0"), ("text", "1"), ("progress", "step 1"), ("progress", "step 2"), ("text", "2")):
        stage.say(task_id, kind, text)
    with caplog.at_level(logging.WARNING):
        await stage.deliver()
    assert stage.chat.words() == ["0", ("step 2",), "2"]
    assert [state_of(stage, number) for number in range(1, 6)] == ["sent", "lost", "lost", "sent", "sent"]
    assert caplog.text.count("GL-CHAT-003") == 2


@pytest.mark.parametrize(
    "problem",
    [
        ValueError("\x1b[31mwords of the message"), RequestRefused("GL-TEST-004", "no.", "none."),
        BackendError("GL-TEST-005", "no.", "none."), IntegrityError("GL-TEST-006", "no.", "none."),
    ],
    ids=lambda problem: type(problem).__name__,
)  # fmt: skip
async def test_a_message_nobody_can_deliver_is_tried_some_times_and_given_up(
    stage: ChatStage, caplog: pytest.LogCaptureFixture, problem: Exception
) -> None:
    tried: list[str] = []

    def broken(post: Post) -> None:
        if post.text == "bad":
            tried.append(post.key)
            raise problem

    stage.chat.fails = broken
    task_id = stage.begin()
    for text in ("0", "bad", "1"):
        stage.say(task_id, "text", text)
    with caplog.at_level(logging.WARNING):
        await stage.deliver()
    assert stage.chat.words() == ["0", "1"]
    assert len(tried) == QUICK.tries
    assert state_of(stage, 2) == "lost"
    assert "GL-CHAT-003: message 2 of task_1" in caplog.text


async def test_what_could_not_even_be_read_is_given_up_too(stage: ChatStage) -> None:
    task_id = stage.begin()
    stage.say(task_id, "text", "0")
    damaged = stage.put(task_id, "other")
    reference = replace(damaged, digest="sha256:" + "0" * 64, region="elsewhere")
    spoken = Spoken("greylag", "text", "damaged")
    stage.control.threads.say(task_id, spoken, body=reference, decision_id="", at=AT)
    stage.say(task_id, "text", "1")
    await stage.deliver()
    assert stage.chat.words() == ["0", f"There is news in task_1: {PAGE}", "1"]


async def test_more_conversations_than_there_are_hands(stage: ChatStage) -> None:
    at_once, most, full = 0, 0, asyncio.Event()

    class Slow(MemoryChat):
        async def post(self, permit, post, *, uncertain=False, handle=""):  # type: ignore[no-untyped-def]
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            if at_once == 4:
                full.set()
            await asyncio.wait_for(full.wait(), 10)
            at_once -= 1
            return await super().post(permit, post, uncertain=uncertain, handle=handle)

    stage.chats[SOURCE] = chat = Slow(Faults())
    for number in range(16):
        task_id = stage.begin(f"{number}", replace(HERE, thread=f"{number}"))
        stage.say(task_id, "text", "hello")
        stage.say(task_id, "text", "bye")
    await stage.deliver(stage.courier(replace(QUICK, parallel=4)))
    assert most == 4
    assert all(chat.words(replace(HERE, thread=f"{number}")) == ["hello", "bye"] for number in range(16))


async def test_two_tasks_of_one_conversation_take_turns(stage: ChatStage) -> None:
    for name in ("1", "2"):
        task_id = stage.begin(name)
        for number in range(3):
            stage.say(task_id, "text", f"{name}.{number}")
    await stage.deliver()
    assert stage.chat.words() == ["1.0", "1.1", "1.2", "2.0", "2.1", "2.2"]


async def test_it_is_woken_and_needs_no_poll(stage: ChatStage) -> None:
    task_id = stage.begin()
    courier = stage.courier(replace(QUICK, poll=30.0))
    courier.wake()
    running = asyncio.create_task(courier.run())
    await asyncio.sleep(0.05)
    stage.say(task_id, "text", "hello")
    await asyncio.to_thread(courier.wake)
    async with asyncio.timeout(5):
        while stage.due():
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert stage.chat.words() == ["hello"]


async def test_a_wait_grows_and_stays_bounded(stage: ChatStage) -> None:
    courier = stage.courier(Pace())
    waits = [courier._backoff(failures) for failures in range(1, 200)]
    assert 0.25 <= waits[0] <= 0.5
    assert max(waits) <= 60
    assert min(waits[10:]) >= 30


async def test_a_store_that_can_t_even_note_the_end_ends_no_delivery(
    stage: ChatStage, caplog: pytest.LogCaptureFixture
) -> None:
    def no_end(name: str) -> None:
        if name == "store.sent":
            raise ValueError("a defect")

    task_id = stage.begin()
    stage.say(task_id, "text", "hello")
    stage.faults.always = no_end
    courier = stage.courier(replace(QUICK, tries=2))
    with caplog.at_level(logging.WARNING):
        await run_until(courier, lambda: "can't be noted: ValueError" in caplog.text)
    stage.faults.always = lambda name: None
    await stage.deliver(courier)
    assert stage.chat.words() == ["hello"], "however often it was looked for"
