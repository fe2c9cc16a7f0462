"""What words ask for: a table of what people write, and of what only sounds like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.delivery.conversing.commands import LONGEST_CHARACTERS, Command, parse, words_for

DIGEST = "3f2a9c41d0e7"
APPROVE, STOP, STATUS, LIVE, SHIP = (Command(verb) for verb in ("approve", "stop", "status", "live", "ship"))

ASKED: list[tuple[str, Command]] = [
    ("approve", APPROVE),
    ("Approve", APPROVE),
    ("APPROVE!", APPROVE),
    ("approve.", APPROVE),
    ("approved", APPROVE),
    ("approve it", APPROVE),
    ("approve this", APPROVE),
    ("approve the change", APPROVE),
    ("I approve", APPROVE),
    ("i approve this", APPROVE),
    ("please approve", APPROVE),
    ("approve, please", APPROVE),
    ("approve it now", APPROVE),
    ("lgtm, approve", APPROVE),
    ("LGTM. Approve it!", APPROVE),
    ("looks good to me, approved", APPROVE),
    ("ok approve", APPROVE),
    ("yes, approve it please", APPROVE),
    ("great, thanks! approve", APPROVE),
    ("@greylag approve", APPROVE),
    ("greylag, approve it", APPROVE),
    ("@greylag: please approve", APPROVE),
    ("  approve \n", APPROVE),
    ("I hereby approve this", APPROVE),
    (f"approve {DIGEST}", Command("approve", digest=DIGEST)),
    (f"approve it sha256:{DIGEST}", Command("approve", digest=DIGEST)),
    ("reject", Command("reject")),
    ("reject it", Command("reject")),
    ("please reject this", Command("reject")),
    ("reject: the test is gone", Command("reject", "the test is gone")),
    ("Reject: The Test is GONE", Command("reject", "The Test is GONE")),
    ("reject, it breaks iOS 17", Command("reject", "it breaks iOS 17")),
    ("reject - too risky before the weekend", Command("reject", "too risky before the weekend")),
    ("reject — too risky", Command("reject", "too risky")),
    ("reject because it drops a check", Command("reject", "because it drops a check")),
    ("reject it because it drops a check", Command("reject", "because it drops a check")),
    ("rejected: no", Command("reject", "no")),
    ("i reject this: see above", Command("reject", "see above")),
    ("reject:\nfirst line\nsecond line", Command("reject", "first line\nsecond line")),
    ("@greylag reject: no", Command("reject", "no")),
    ("stop", STOP),
    ("Stop!", STOP),
    ("please stop", STOP),
    ("stop it", STOP),
    ("stop this, please", STOP),
    ("stop now", STOP),
    ("ok stop", STOP),
    ("stop the task", STOP),
    ("stop working on it", STOP),
    ("cancel", STOP),
    ("cancel it", STOP),
    ("abort", STOP),
    ("hey greylag, stop", STOP),
    ("status", STATUS),
    ("status?", STATUS),
    ("Status of this?", STATUS),
    ("what's the status?", STATUS),
    ("what\u2019s the status of this?", STATUS),
    ("What are you doing?", STATUS),
    ("what are you doing", STATUS),
    ("what are you doing right now?", STATUS),
    ("hey, what are you up to?", STATUS),
    ("how's it going?", STATUS),
    ("any news?", STATUS),
    ("any update on this?", STATUS),
    ("progress?", STATUS),
    ("are you still working on it?", STATUS),
    ("are you there?", STATUS),
    ("where does it stand?", STATUS),
    ("what is live", LIVE),
    ("what's live?", LIVE),
    ("what is live now?", LIVE),
    ("what's live in production?", LIVE),
    ("which version is live?", LIVE),
    ("what is deployed", LIVE),
    ("what's running in staging?", LIVE),
    ("ship", SHIP),
    ("ship it", SHIP),
    ("Ship it!", SHIP),
    ("lgtm, ship it", SHIP),
    ("release it", SHIP),
    ("please release this", SHIP),
    ("deploy", SHIP),
    ("roll it out", SHIP),
    ("roll back", Command("roll_back")),
    ("rollback", Command("roll_back")),
    ("roll it back", Command("roll_back")),
    ("please roll back production", Command("roll_back", environment="production")),
    ("roll back in staging", Command("roll_back", environment="staging")),
    ("roll production back", Command("roll_back", environment="production")),
    (f"roll back production {DIGEST}", Command("roll_back", environment="production", digest=DIGEST)),
    (f"roll back eu-west/sha256:{DIGEST * 5}", Command("roll_back", environment="eu-west", digest=DIGEST * 5)),
]  # fmt: skip

UNSURE: list[tuple[str, str]] = [
    ("reject invalid addresses in the form", "invalid addresses in the form"),
    ("reject the tests are missing", "the tests are missing"),
    ("please reject uploads above 10 MB", "uploads above 10 MB"),
]

NOTHING = [
    "", " ", "?", "greylag", "@greylag", "please", "thanks!", "ok", "yes", "lgtm", "looks good to me",
    "don't approve", "do not approve", "don't approve it yet", "never approve this", "should I approve?", "approve?",
    "can somebody approve?", "who can approve this?", "i can't approve this", "approve it when the tests pass",
    "if the tests pass then approve", "approve, but make the button blue", "approve the refund flow in checkout",
    "I would approve if it were smaller", "approval", "it was approved by nobody", "approve not", "approve approve",
    "> approve it", "she said approve", "approve\nand then do something else", "the approve button is broken",
    "stop the button from firing twice", "stop using moment.js", "don't stop", "should I stop?", "stop?",
    "the stop button does nothing", "stop it from crashing", "nonstop", "unstoppable", "cancel the subscription emails",
    "abort the upload when offline", "it does not stop", "stop words are missing from the index",
    "rejection", "rejects", "the server rejects it", "should we reject it?", "reject it?", "don't reject it",
    "status codes are wrong", "the status bar overlaps", "show the status of orders", "set status to done",
    "what are you doing about the memory leak in the player?", "what is the status code for that",
    "what is live reload", "make it live", "the live stream stops", "is it live?",
    "ship the new icons", "release the lock after use", "release notes are missing", "deploy key is expired",
    "the ship sinks", "don't ship it", "do not release it", "ship it when it is green", "shipping costs are wrong",
    "roll back the debounce change", "roll back the transaction on error", "don't roll back", "roll back?",
    "should I roll back production?", "rollback fails with an exception", "roll back to the old icon",
    f"roll back production {DIGEST[:5]}", "the rollback button", "roll", "back", "make the debounce 300 ms",
    "ap\u200bprove", "a p p r o v e", "/approve", "approve;rm -rf /", "approve <script>alert(1)</script>",
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), ASKED, ids=[words[:40] for words, _ in ASKED])
def test_commands_as_people_write_them(words: str, expected: Command) -> None:
    assert parse(words) == expected


@pytest.mark.parametrize(("words", "reason"), UNSURE)
def test_a_rejection_that_may_be_a_wish_is_not_sure(words: str, reason: str) -> None:
    assert parse(words) == Command("reject", reason, sure=False)


@pytest.mark.parametrize("words", NOTHING)
def test_what_only_sounds_like_a_command_is_none(words: str) -> None:
    assert parse(words) is None


def test_the_table_is_large_enough() -> None:
    assert len({words for words, _ in ASKED}) >= 80
    assert len(set(NOTHING)) >= 80


@given(st.text(max_size=400))
def test_whatever_is_said_it_is_a_command_in_full_or_none(text: str) -> None:
    found = parse(text)
    if found is not None:
        assert found.verb in ("approve", "reject", "stop", "status", "live", "ship", "roll_back")
        assert len(found.reason) <= 2000


@given(
    st.sampled_from([words for words, command in ASKED if command.verb != "reject"]), st.text("abcdefgh ", min_size=6)
)
def test_a_command_with_a_sentence_behind_it_is_none(words: str, more: str) -> None:
    """But for a way back, whose next word is a place, and what politeness allows."""
    sentence = f"{words.rstrip(' .!?')} because {more}"
    found = parse(sentence)
    assert found is None or found.verb == "roll_back"


def test_what_is_long_is_no_command_and_takes_no_time() -> None:
    for text in ("approve " * 10_000, "please " * 50_000, "lgtm, " * 20_000 + "approve", "roll back " + "a" * 100_000):
        assert parse(text) is None
    assert parse("reject: " + "please " * 20_000 + "x") is not None
    assert parse("\ufdfa" * 4000 + "approve") is None  # each becomes eighteen characters
    assert parse("approve" + "!" * (LONGEST_CHARACTERS + 1)) is None
    assert parse("reject: " + "x" * 100_000) == Command("reject", "x" * 2000)


@pytest.mark.parametrize(
    ("verb", "value", "expected"),
    [
        ("approve", f"sha256:{DIGEST}", "approve"), ("stop", "", "stop"), ("status", "", "status"),
        ("roll_back", f"production/sha256:{DIGEST}00", "roll_back"),
    ],
)  # fmt: skip
def test_the_words_for_an_offer_do_what_it_offers(verb: str, value: str, expected: str) -> None:
    found = parse(words_for(verb, value))
    assert found is not None
    assert found.verb == expected
    if verb == "roll_back":
        assert (found.environment, found.digest) == ("production", DIGEST)


def test_the_words_for_an_answer_are_the_answer() -> None:
    assert words_for("answer", "murmur") == "murmur"
    assert parse(words_for("reject")) == Command("reject", "REASON")
    assert words_for("see", "diff") == ""
