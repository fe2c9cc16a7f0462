"""Whatever goes in, one visible line comes out."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.adapters.agents.cleaning import LINE_CHARS, display_line

NASTY = st.sampled_from(
    ["\x1b[31m", "\x1b]52;c;aGk=\x07", "\x1b]8;;http://x\x1b\\", "\x9b2J", "\x1b", "\u202e", "\u2066", "\u200b", "\r",
     "\n", "\x00", "\u0301" * 9, "\ud800", "\ue000", "\U000e0041", "\u3164", "\u2028", "\xa0", "word", " ", "…"]
)  # fmt: skip
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=600),
    st.lists(st.one_of(NASTY, st.text(max_size=5)), max_size=80).map("".join),
)


@given(TEXTS, st.integers(1, 300))
def test_line_is_one_visible_bounded_line(text: str, limit: int) -> None:
    line = display_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert line == line.strip()
    assert "  " not in line
    assert all(character == " " or _is_visible(character) for character in line)
    line.encode("utf-8")


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"}


@given(TEXTS)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert display_line(display_line(text)) == display_line(text)


@given(st.binary(max_size=500))
def test_bytes_never_raise(raw: bytes) -> None:
    assert display_line(raw) == display_line(raw.decode("utf-8", "replace"))


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=LINE_CHARS))
def test_plain_words_stay_as_they_are(word: str) -> None:
    assert display_line(word) == word


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("edits \x1b[1;31msrc/a.py\x1b[0m", "edits src/a.py"),
        ("\x1b]0;root@bank\x07hello", "hello"),
        ("\x1b]52;c;c3RlYWw=\x1b\\copied", "copied"),
        ("see \x1b]8;;http://evil\x07here\x1b]8;;\x07", "see here"),
        ("\x1b]8;;unfinished", "8;;unfinished"),
        ("a\x9b31mb", "ab"),
        ("\u202efdp.exe", "fdp.exe"),
        ("pa\u200bss\u00adword", "password"),
        ("a\tb\r\nc\u2028d", "a b c d"),
        ("z\u0301\u0302\u0303\u0304\u0305", "z\u0301\u0302\u0303"),
        ("\ud83d", "\ufffd"),
        ("grün 猫 🙂", "grün 猫 🙂"),
        ("\U000e0041\U000e0042", ""),
        ("   ", ""),
    ],
)
def test_known_tricks(text: str, shown: str) -> None:
    assert display_line(text) == shown


def test_long_line_says_that_it_was_cut() -> None:
    assert display_line("x" * 500) == "x" * (LINE_CHARS - 1) + "…"


def test_a_megabyte_of_escapes_is_quick_and_marked() -> None:
    assert display_line("ok" + "\x1b[" * 1_000_000).endswith("…")
