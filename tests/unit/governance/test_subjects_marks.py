"""Keyed marks: the same person has the same mark however it is written, and a mark tells nobody who it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.governance.scanning import Findings
from greylag.governance.subjects import MAX_MARKS, MORE, mark_of, marks, normalised
from tests.support.scanners import shipped

KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Posteo.DE", " ada@posteo.de "), ("+49 (0)30 90 18 200", "0049 30 9018200"),
        ("+49-30-9018200", "+49309018200"), ("Ada  Lovelace", "ada lovelace"), ("E\u0301va", "Éva"),
        ("DE89 3704 0044", "de8937040044"), ("AB 12 34 56 C", "ab123456c"), ("ada%40posteo.de", "ada@posteo.de"),
        ("4929 1234 5678 9015", "4929123456789015"), ("ada\u200b@posteo.de", "ada@posteo.de"),
    ],
)  # fmt: skip
def test_one_person_has_one_mark_however_it_is_written(one: str, other: str) -> None:
    assert mark_of(one, KEY) == mark_of(other, KEY)


@pytest.mark.parametrize(
    ("one", "other"),
    [("ada@posteo.de", "bo@posteo.de"), ("81.2.69.142", "81.26.9.142"), ("Ada", "Ada B"), ("12345678", "12345679")],
)
def test_others_have_others(one: str, other: str) -> None:
    assert mark_of(one, KEY) != mark_of(other, KEY)
    assert mark_of(one, KEY) != mark_of(one, OTHER)


def test_a_mark_is_short_plain_and_holds_no_name() -> None:
    mark = mark_of("ada@posteo.de", KEY)
    assert mark.startswith("sub_")
    assert len(mark) == 28
    assert set(mark[4:]) <= set("0123456789abcdef")


def test_what_is_found_is_marked_as_who_is_looked_for() -> None:
    found = shipped().scan('first_name: Ada\nmail ada@posteo.de or ADA@posteo.de, password = "h7Kq-2mZ9xWv"')
    assert marks(found, KEY) == tuple(sorted({mark_of("ada@posteo.de", KEY), mark_of("ada", KEY)}))
    assert marks(["Ada@posteo.de", "  "], KEY) == (mark_of("ada@posteo.de", KEY),)
    assert marks(shipped().scan("nobody"), KEY) == ()


def test_the_mark_of_a_pseudonymous_prompt_is_that_of_nobody() -> None:
    assert marks(shipped().scan("psn-email-0123456789ab"), KEY) == ()


def test_more_than_can_be_carried_is_told() -> None:
    many = marks([f"p{number}@posteo.de" for number in range(200)], KEY)
    assert len(many) == MAX_MARKS
    assert many[-1] == MORE
    assert marks([f"p{number}@posteo.de" for number in range(MAX_MARKS)], KEY)[-1] != MORE
    assert marks(Findings(complete=False), KEY) == (MORE,)


@pytest.mark.parametrize(("identifier", "key"), [("", KEY), ("  ", KEY), ("ada", b"short")])
def test_no_mark_of_nothing_and_none_without_a_key(identifier: str, key: bytes) -> None:
    with pytest.raises(ValueError, match=r"identifier|key"):
        mark_of(identifier, key)


@given(st.text(max_size=80))
def test_the_normal_form_is_a_normal_form(text: str) -> None:
    plain = normalised(text)
    assert normalised(plain.upper().lower()) == normalised(plain.lower()) or plain != plain.lower()
    if plain:
        assert mark_of(text, KEY) == mark_of(f" {text} ", KEY)
