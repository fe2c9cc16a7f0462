"""What people mean by a follow-up, by their own words: a table of phrases, most of them traps."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.delivery.steering.modes import MODES, checked_mode, mode_of
from greylag.domain.errors import RequestRefused

REPLACE = (
    "Scrap that, make the button blue", "scrap this. Do the login page first", "Forget that, do the header",
    "please forget it and fix the crash", "Actually, scrap that: use SQLite", "No, use the other endpoint",
    "no. It must stay a tuple", "Nope, the left one", "No - the second file", "Hmm, no, rename it to total",
    "Instead, write it in Rust", "Do it with a queue instead", "use a set instead.", "Instead do the importer",
    "Start over with the old API", "begin again, from the test this time", "never mind, fix the tests",
    "Nevermind that. Just bump the version", "Drop that and revert to the old name",
    "Oh wait, forget about that, the bug is in parser.py", "Discard it. We want a CSV export",
    "That is wrong. Scrap it and use the cache", "ok, let's ditch the idea and keep the list",
    "Forget what I said, only the docs need a change", "Ignore that, wrong thread: fix the logo",
    "undo that and try with a lock", "On second thought, scrap everything",
    "No\u2014make it a warning", "sorry, start from the beginning. Begin afresh, please",
    "Scrap that, then do the footer",
)  # fmt: skip
QUEUE = (
    "Then add a changelog entry", "then, write docs", "And then bump the version", "After that, update the README",
    "after that please run the formatter", "Afterwards clean up the tests", "When you're done, add a test",
    "once you are done rename the module", "Later, do the same for albums", "Do the same for albums later",
    "Next: the settings page", "next, add a migration", "as a next step, tag it", "do the settings page next",
    "After you finish, remove the old helper", "as soon as that is merged, close the others",
    "Add a benchmark afterwards", "when you\u2019re finished: translate it", "We can drop the flag later on",
    "Okay, then please add logging", "once that's done do the mobile view", "When it's ready, ship the docs too",
    "Then forget that old flag", "Good. Then add the dark theme", "I like it. After that do the api",
)  # fmt: skip
ADD = (
    "Also handle empty lists", "use tabs instead of spaces", "Instead of 300 ms use 200 ms", "make it 250 ms",
    "Don't forget that the cache is shared", "do not scrap that file", "Never forget it must stay fast",
    "the name should be total", "If it is empty then return None", "return early, then nothing can break",
    "no problem, take your time", "No worries", "No rush!", "no need to touch the docs", "There is no reason to fail",
    "No, that's fine", "No thanks", "After that commit the tests are red, look at them", "the next page has it too",
    "It is next to the sidebar", "sooner or later it overflows", "the later entries win",
    "see the issue from last week",
    "and mind the time zone", "it happens when the list is empty", "It works since then",
    "I start over a thousand jobs",
    "use the same words as in the other dialog", "the test is called test_no", "no tests for this, please",
    "you forgot that null is allowed", "Undo should work too", "better: 200 ms, not 300", "they are done by hand",
    "then again, 300 ms is fine too",
)  # fmt: skip


@pytest.mark.parametrize("words", REPLACE)
@pytest.mark.parametrize("at_work", [True, False])
def test_dropping_is_understood(words: str, at_work: bool) -> None:
    assert mode_of(words, at_work=at_work) == "replace"


@pytest.mark.parametrize("words", QUEUE)
@pytest.mark.parametrize("at_work", [True, False])
def test_waiting_is_understood(words: str, at_work: bool) -> None:
    assert mode_of(words, at_work=at_work) == "queue"


@pytest.mark.parametrize("words", ADD)
def test_everything_else_is_told_while_there_is_somebody_to_tell(words: str) -> None:
    assert (mode_of(words, at_work=True), mode_of(words, at_work=False)) == ("add", "queue")


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(REPLACE) >= 25
    assert len(QUEUE) >= 20
    assert len(ADD) >= 30


@given(st.text(max_size=300), st.booleans())
def test_any_text_has_a_mode(words: str, at_work: bool) -> None:
    assert mode_of(words, at_work=at_work) in MODES


@pytest.mark.parametrize(
    "words", ["- " * 8000, "\n" * 16000, "then" * 4000, "no, " * 4000, ". " * 8000, "ok " * 5000, "ok, wait, " * 1600,
              "instead " * 2000, "> * - " * 2000]
)  # fmt: skip
def test_no_text_takes_long(words: str) -> None:
    since = time.monotonic()
    mode_of(words, at_work=True)
    assert time.monotonic() - since < 0.5


@pytest.mark.parametrize("mode", ["", *MODES])
def test_known_modes_are_taken(mode: str) -> None:
    assert checked_mode(mode) == mode


@pytest.mark.parametrize("mode", ["Add", "stop", "replace ", "x" * 500, "\u202e"])
def test_others_are_refused_with_the_way_out(mode: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        checked_mode(mode)
    assert refused.value.code == "GL-STEER-001"
    assert "`replace`" in refused.value.remedy
