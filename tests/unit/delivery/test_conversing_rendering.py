"""What a message becomes in a chat: controls that carry what was offered, words that fit, no hints for elsewhere."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.adapters.chat.port import Control
from greylag.adapters.store.port import ThreadMessage
from greylag.delivery import hints
from greylag.delivery.conversing.rendering import (
    CARD_STEPS,
    STEP_CHARACTERS,
    Pages,
    card_steps,
    controls_of,
    news_of,
    page_control,
    place_of,
    shortened,
    standing,
    step_of,
    words_of,
)
from greylag.domain import events as ev
from greylag.domain.conversation import VERBS, Conversation, Offer
from greylag.domain.events import Recorded
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.replaying import replay
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task

AT = datetime(2026, 1, 1, tzinfo=UTC)
TASK_ID = TaskId("task_1")
BODY = Reference("eu", "sha256:" + "0" * 64, 1, "message")
TASK = replay([Recorded(TASK_ID, 1, AT, ev.TaskReceived("web", "ada", BODY, "Fix it", "eu"), "received")])
PAGES = Pages(lambda task_id: f"https://greylag.example/tasks/{task_id}")
PAGE = "https://greylag.example/tasks/task_1"
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=400)


def message(*offers: Offer, author: str = "greylag", kind: str = "card") -> ThreadMessage:
    return ThreadMessage(TASK_ID, 1, AT, author, kind, BODY, "key", "dec_1", offers)


def one(offer: Offer, task: Task = TASK) -> Control:
    (control,) = controls_of(message(offer), task, PAGES)
    return control


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (Offer("approve", "Approve", "sha256:ab"), ("approve", "sha256:ab", "task_1", "", "primary", "", "approve")),
        (Offer("reject", "Reject", "sha256:ab"), ("reject", "sha256:ab", "task_1", "", "danger", "Why not?",
                                                  "reject: REASON")),
        (Offer("answer", "murmur", "murmur"), ("answer", "murmur", "task_1", "", "plain", "", "murmur")),
        (Offer("stop", "Stop"), ("stop", "", "task_1", "", "danger", "", "stop")),
        (Offer("status", "Where?"), ("status", "", "task_1", "", "plain", "", "status")),
        (Offer("roll_back", "Roll back", "canary"), ("roll_back", "canary", "task_1", "", "danger", "",
                                                     "roll back canary")),
        (Offer("see", "Diff", "diff"), ("", "", "", f"{PAGE}/see/diff", "plain", "", "")),
        (Offer("see", "Report", "report"), ("", "", "", f"{PAGE}/see/report", "plain", "", "")),
        (Offer("see", "Build", "build"), ("", "", "", PAGE, "plain", "", "")),
        (Offer("see", "?", "../../login?next="), ("", "", "", PAGE, "plain", "", "")),
        (Offer("open", "Open"), ("", "", "", PAGE, "plain", "", "")),
    ],
    ids=lambda value: f"{value.verb}-{value.label}" if isinstance(value, Offer) else "",
)  # fmt: skip
def test_each_offer_is_a_control(offer: Offer, expected: tuple[str, ...]) -> None:
    made = one(offer)
    assert made.label == offer.label
    assert (made.verb, made.value, made.task_id, made.url, made.style, made.asks, made.said) == expected


def test_more_words_are_asked_for_and_where_they_go_while_an_agent_works() -> None:
    say = one(Offer("say", "Say more"), replace(TASK, status=TaskStatus.WORKING))
    assert (say.verb, say.modes, bool(say.asks)) == ("say", ("add", "replace", "queue"), True)
    assert one(Offer("say", "Say more"), replace(TASK, status=TaskStatus.HANDED_OVER)).modes == ()


def test_what_is_over_is_not_offered_any_more() -> None:
    offers = tuple(Offer(verb, verb) for verb in VERBS)
    left = controls_of(message(*offers), replace(TASK, status=TaskStatus.RELEASED), PAGES)
    assert [control.verb or "link" for control in left] == ["status", "roll_back", "link", "link"]
    assert len(controls_of(message(*offers), TASK, PAGES)) == len(VERBS)


def test_controls_and_their_labels_are_bounded() -> None:
    many = tuple(Offer("answer", "x" * 500 + "\n\ny", f"choice {number}") for number in range(100))
    made = controls_of(message(*many), TASK, PAGES)
    assert len(made) == 20
    assert {len(control.label) for control in made} == {75}


def test_where_nothing_may_be_shown_there_is_only_the_page() -> None:
    assert page_control("task_1", PAGES) == (Control("Open the task", url=PAGE),)
    assert news_of("task_1", PAGES) == f"There is news in task_1: {PAGE}"


@pytest.mark.parametrize("make", [hints.to_review, hints.to_go_on, hints.to_stop, hints.to_answer])
def test_what_is_typed_at_a_command_line_is_not_said_in_a_chat(make) -> None:
    text = "\n".join(("Ready.", "", "+1 -1", *make("task_1")))
    assert words_of(message(Offer("open", "Open")), text) == "Ready.\n\n+1 -1"
    assert words_of(message(), text) == text, "nothing else would tell what can be done"
    assert words_of(message(Offer("open", "Open"), author="ada"), text) == text, "people are not edited"
    other = "\n".join(("Ready.", *make("task_2")))
    assert words_of(message(Offer("open", "Open")), other) == other
    inside = "\n".join((*make("task_1"), "and more"))
    assert words_of(message(Offer("open", "Open")), inside) == inside


def test_there_are_always_words() -> None:
    assert words_of(message(author="ada"), " \n ") == "(no words)"
    only = "\n".join(hints.to_review("task_1"))
    assert words_of(message(Offer("open", "Open")), only) == hints.to_review("task_1")[0]


@given(ANY_TEXT, st.integers(100, 300))
def test_what_is_cut_fits_and_says_where_the_rest_is(text: str, longest: int) -> None:
    cut = shortened(text, longest, PAGE)
    assert len(cut) <= longest
    if len(text) <= longest:
        assert cut == text
    else:
        kept, _, link = cut.rpartition("\n… more: ")
        assert link == PAGE
        assert text.startswith(kept)


def test_it_is_cut_at_a_line() -> None:
    text = "\n".join(f"line {number}" for number in range(100))
    kept = shortened(text, 200, PAGE).rpartition("\n… more: ")[0]
    assert text.startswith(kept + "\n")
    long = "first\n" + "x" * 1000
    assert len(shortened(long, 200, PAGE)) == 200, "a line that fits nowhere is cut within"
    assert len(shortened(long, 20, PAGE)) == 20


@given(st.lists(ANY_TEXT, max_size=60), st.integers(50, 2000))
def test_a_card_holds_the_newest_lines_that_fit(texts: list[str], longest: int) -> None:
    steps = card_steps([step_of(number, text) for number, text in enumerate(texts)], longest)
    assert len(steps) <= CARD_STEPS
    assert [step.step_id for step in steps] == [f"{number}" for number in range(len(texts))][len(texts) - len(steps) :]
    assert bool(steps) == bool(texts)
    assert all(0 < len(step.text) <= STEP_CHARACTERS and "\n" not in step.text for step in steps)
    assert len(steps) == 1 or sum(len(step.text) for step in steps) <= longest


def test_all_but_the_last_step_is_over() -> None:
    steps = [step_of(number, f"{number}") for number in range(3)]
    assert [step.state for step in standing(steps, "working")] == ["complete", "complete", "working"]
    assert standing([], "error") == ()


def test_a_place_has_one_short_name_and_no_other_has_it() -> None:
    places = [
        Conversation("a", "b", "c"), Conversation("a", "bc", ""), Conversation("ab", "", "c"),
        Conversation("a", "b", "\ud800"),
    ]  # fmt: skip
    assert len({place_of(each) for each in places}) == 4
    assert {len(place_of(each)) for each in places} == {24}
