"""The conformance suite of chats finds what it is there to find: each flaw breaks its promise, and a good chat none."""

import pytest
from chat_room import BARE, FULL, room

from greylag.adapters.chat import conformance, counterpart, hearing
from greylag.adapters.chat.hostile import WORDS
from greylag.adapters.chat.port import Capabilities
from tests.support.permits import permit

FLAWS = {
    "needs no permit": "refuses a permit that nobody gave",
    "takes any stage": "needs its own permit",
    "takes any place": "refuses a permit for elsewhere",
    "takes any words": "refuses a permit for other words",
    "trusts the digest": "refuses words that are not those of the digest",
    "takes any file": "refuses a permit for another file",
    "forgets keys": "says the same thing once",
    "looks for nothing": "says it once though the process ended in between",
    "says nothing when unsure": "says what it can't find when it is unsure",
    "makes up ids": "says the same thing once",
    "puts the newest first": "keeps the order",
    "names nobody": "names the person whose words it repeats",
    "drops titles": "shows title and text of kind card",
    "edits nothing": "a live card stays one message",
    "loses values": "buttons carry what they were given",
    "drops links": "a link leads where it says",
    "escapes nothing": "hostile words are only words",
    "escapes twice": "hostile words are readable",
    "cuts at NUL": "hostile words are readable",
    "says more than fits": "too long a text fits: many lines",
    "uploads again": "a file is there once, whole",
    "tells twice": "hears once, whole: please look ",
    "cuts what it hears": "hears once, whole: umlauts äöü ",
    "says who else": "says who said it",
    "hears itself": "does not hear itself",
    "takes reactions for clicks": "a reaction is never a click",
    "delivers once at most": "what was not taken is delivered again",
    "goes on for ever": "close ends listening",
    "remembers nothing": "hears nothing a second time after it was opened again",
    "marks again": "marked twice is marked once",
    "tells everything": "history is the newest messages in order",
    "tells the oldest": "history is the newest messages in order",
    "knows nobody": "history knows what is ours",
    "lets the server read": "the server can't read it",
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """This chat answers at once; what isn't there by now never comes."""
    monkeypatch.setattr(counterpart, "_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(counterpart, "_LOOK_SECONDS", 0.005)
    monkeypatch.setattr(hearing, "_AGAIN_SECONDS", 0.3)
    monkeypatch.setattr(hearing, "_CLOSE_SECONDS", 0.3)


async def broken(capabilities: Capabilities, *flaws: str) -> dict[str, str]:
    person, opener = room(capabilities, *flaws)
    found = await conformance.check_chat(opener, person, permit)
    promises = [each.promise for each in found]
    assert len(set(promises)) == len(promises)
    return {each.promise: each.detail for each in found if not each.kept}


@pytest.mark.parametrize("capabilities", [FULL, BARE])
async def test_a_chat_that_keeps_its_promises_has_nothing_found(capabilities: Capabilities) -> None:
    assert await broken(capabilities) == {}


@pytest.mark.parametrize(("flaw", "promise"), FLAWS.items())
async def test_each_flaw_is_found(flaw: str, promise: str) -> None:
    assert promise in await broken(FULL, flaw)


async def test_looking_on_tries_what_needs_nobody_else() -> None:
    person, opener = room(FULL)
    alone = await conformance.check_saying(opener, person, permit)
    together = await conformance.check_chat(*reversed(room(FULL)), permit)
    assert {each.promise for each in alone} < {each.promise for each in together}
    assert all(each.kept for each in alone)


def test_there_are_enough_hostile_words() -> None:
    assert len(set(WORDS)) == len(WORDS) >= 40


@pytest.mark.parametrize(
    ("words", "shown", "good"),
    [
        ("<b>x</b>", "<b>x</b>", True), ("<b>x</b>", "x", False), ("&lt;b&gt;", "<b>", False),
        ("a\0b", "a«U+0000»b", True),
        ("a\0b", "a", False), ("*x*", "x", True), ("e\u0301", "\u00e9", True), ("ab", "a b", True), ("", "", True),
    ],
)  # fmt: skip
def test_what_is_readable(words: str, shown: str, good: bool) -> None:
    assert counterpart.readable(words, shown) is good
