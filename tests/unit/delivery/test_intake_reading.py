"""What a sentence asks for, which repository it is about, and what must be asked: rules, and where they end."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import asking
from greylag.delivery.desk import title_of
from greylag.delivery.intake.places import Known
from greylag.delivery.intake.reading import INTENTS, read, said_in

MURMUR = Known("murmur", ("skip", "queue", "page match"), ("murmur/player.py", "README.md"))
LEDGER = Known("billing", ("invoice", "queue"), ("billing/vat.py", "README.md"))
TIDE = Known("tide.js", (), ("src/axis.js",))
EVERY = [MURMUR, LEDGER, TIDE]
#: What was measured when the rules were written; they may only get better.
MEASURED = {"held": (1.0, 1.0, 0.947, 1.0), "tune": (1.0, 1.0, 1.0, 1.0)}


@pytest.mark.parametrize("half", asking.HALVES)
def test_labelled_requests_are_read_as_well_as_when_it_was_measured(half: str) -> None:
    every = asking.outcomes(half)
    made = asking.score(every)
    assert made.requests >= 90
    got = (made.precision, made.recall, made.intents, made.repositories)
    assert all(now >= then - 0.0005 for now, then in zip(got, MEASURED[half], strict=True)), asking.told(half, every)


def test_the_score_counts_what_is_wrong() -> None:
    right, wrong = ("fix", "murmur", "none"), ("feature", "", "repository")
    made = asking.score([asking.Outcome("a", right, right), asking.Outcome("b", right, wrong)])
    assert (made.precision, made.recall, made.intents, made.repositories) == (0.0, 1.0, 0.5, 0.5)
    missed = asking.score([asking.Outcome("b", wrong, right)])
    assert (missed.precision, missed.recall, missed.f1) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("the skip button fires twice on a slow network, fix it", "fix"),
        ("add About This Song: a card of context for a track", "feature"),
        ("release murmur as it is", "release"),
        ("ship it", "release"),
        ("fix the release notes page", "fix"),
        ("add a release badge", "feature"),
        ("The deploy button is broken", "fix"),
        ("deploy the current main", "release"),
        ("make the debounce 300 ms", "feature"),
        ("what is live in murmur", "status"),
        ("what are you doing?", "status"),
        ("What's the cache doing in production?", "question"),
        ("are errors logged in production?", "question"),
        ("roll back production of murmur", "status"),
        ("the roll back button does nothing", "fix"),
        ("stop", "stop"),
        ("stop the player from skipping", "fix"),
        ("update the copyright year in all repositories", "campaign"),
        ("how many repositories does the importer take at once?", "question"),
    ],
)
def test_intents(text: str, intent: str) -> None:
    assert read(said_in(text), EVERY).intent == intent


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("the skip button fires twice", "murmur"),
        ("the queue of murmur is stuck", "murmur"),
        ("invoices and the invoice queue", "billing"),
        ("tide.js crashes", "tide.js"),
        ("fix murmur.", "murmur"),
        ("Murmur's start page is blank", "murmur"),
        ("page match finds nothing", "murmur"),
        ("vat.py rounds down", "billing"),
        ("README.md has a typo", None),
        ("in acme/billing the total is wrong", "billing"),
        ("not murmur but billing rounds wrongly", "billing"),
        ("bilings are late", None),
        ("in muurmur the menu flickers", "murmur"),
        ("the queue is stuck", None),
        ("murmur and billing disagree", None),
        ("make it nicer", None),
        ("murmuring noise in the speakers", None),
        ("see https://murmur.example.org/billing", None),
        ("", None),
    ],
)
def test_the_repository_or_unknown(text: str, name: str | None) -> None:
    assert read(said_in(text), EVERY).repository == name


def test_the_only_repository_is_meant_and_one_that_was_chosen_stays() -> None:
    assert read(said_in("make it nicer"), [MURMUR]).repository == "murmur"
    assert read(said_in("make it nicer"), []).repository is None
    assert read(said_in("billing shows the wrong sum"), EVERY, repository="murmur").repository == "murmur"


def test_the_likeliest_repositories_come_first_and_none_is_left_out() -> None:
    reading = read(said_in("the queue is stuck"), [TIDE, MURMUR, LEDGER])
    assert reading.missing == ("repository",)
    assert reading.candidates == ("billing", "murmur", "tide.js")
    assert read(said_in("tide.js and billing disagree"), EVERY).candidates[:2] == ("billing", "tide.js")


VAGUE = [
    "fix it",
    "make it better",
    "it's broken",
    "change the colour",
    "help",
    "?",
    "👍",
    "https://example.org/7",
    "geht nicht",
]


@pytest.mark.parametrize("text", VAGUE)
def test_what_says_too_little_is_asked_about_once_nothing_supplies_it(text: str) -> None:
    assert read(said_in(text), [MURMUR]).missing == ("wording",)
    assert read(said_in(text, supplied=True), [MURMUR]).missing == ()
    assert read(said_in(text, ["the skip button fires twice"]), [MURMUR]).missing == ()


def test_an_answer_says_the_repository_too() -> None:
    reading = read(said_in("fix it", ["skip fires twice"]), EVERY)
    assert (reading.repository, reading.missing) == ("murmur", ())


def test_a_campaign_names_its_repositories() -> None:
    assert read(said_in("in murmur, billing and tide.js: bump node"), EVERY).several == ("murmur", "billing", "tide.js")
    assert read(said_in("bump node in all repos"), EVERY).several == ("murmur", "billing", "tide.js")
    assert read(said_in("bump node in all repos"), [MURMUR]).intent == "feature"


@given(st.text(max_size=400), st.lists(st.text(max_size=60), max_size=2), st.booleans())
@settings(deadline=None)
def test_every_text_is_read_as_something(text: str, answers: list[str], supplied: bool) -> None:
    reading = read(said_in(text, answers, supplied=supplied), EVERY)
    assert reading.intent in INTENTS
    assert reading.repository in (None, "murmur", "billing", "tide.js")
    assert reading.missing in ((), ("wording",), ("repository",))
    assert sorted(reading.candidates) == ["billing", "murmur", "tide.js"]


@pytest.mark.parametrize(
    "unit",
    [".", "hey ", "!", "and ", "in murmur and ", "a.a", "On 1 wrote ", "(", "what is ", "\n- ", "ﷺ", "in mumur "],
)
def test_a_long_text_is_read_in_time(unit: str) -> None:
    text = (unit * 16_000)[:16_000]
    begun = time.process_time()
    read(said_in(text), EVERY)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("\n\n  fix it \nplease", "fix it"),
        ("a" * 200, "a" * 89 + "…"),
        ("evil\x1b[31m\u202etxt", "evil [31m txt"),
        ("", ""),
    ],
)
def test_a_title_is_one_safe_line(text: str, title: str) -> None:
    assert title_of(text) == title
