"""What a sentence asks for and which repository it is about: rules first, and "unknown" where they don't say."""

import pytest

from greylag.delivery.desk import title_of
from greylag.delivery.stages.intake import choose, intent_of
from greylag.domain.repository import Repository

MURMUR = Repository("murmur", "local", keywords=("skip", "queue", "page match"))
LEDGER = Repository("billing", "local", keywords=("invoice", "queue"))
TIDE = Repository("tide.js", "local")


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
        ("make it nicer", "fix"),
    ],
)
def test_intents(text: str, intent: str) -> None:
    assert intent_of(text) == intent


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("the skip button fires twice", "murmur"),
        ("the queue of murmur is stuck", "murmur"),
        ("invoices and the invoice queue", "billing"),
        ("tide.js crashes", "tide.js"),
        ("fix murmur.", "murmur"),
        ("page match finds nothing", "murmur"),
        ("the queue is stuck", None),
        ("murmur and billing disagree", None),
        ("make it nicer", None),
        ("", None),
    ],
)
def test_the_repository_or_unknown(text: str, name: str | None) -> None:
    found = choose(text, [MURMUR, LEDGER, TIDE])
    assert (found.name if found else None) == name


def test_the_only_repository_is_meant() -> None:
    assert choose("make it nicer", [MURMUR]) is MURMUR
    assert choose("make it nicer", []) is None


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
