import json
from collections.abc import Mapping
from enum import IntEnum, StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.errors import RequestRefused
from greylag.governance.canonical import MAX_INTEGER
from greylag.governance.ledger.canonical import canonical_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ({}, "{}"),
        ([], "[]"),
        ({"b": 1, "a": [True, False, None]}, '{"a":[true,false,null],"b":1}'),
        ('\b\t\n\f\r"\\/\x0f\x7f', '"\\b\\t\\n\\f\\r\\"\\\\/\\u000f\x7f"'),
        ("\u20ac\u2028\U0001fabf", '"\u20ac\u2028\U0001fabf"'),
        (MAX_INTEGER, "9007199254740991"),
        (-MAX_INTEGER, "-9007199254740991"),
        ((1, 2), "[1,2]"),
        ({"c": Colour.RED, "n": Number.ONE}, '{"c":"red","n":1}'),
        # RFC 8785 §3.2.3: sorted by UTF-16 code units, so U+1F600 (a surrogate pair) comes before U+FB33.
        (
            {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7},
            '{"\\r":2,"1":4,"\x80":6,"\xf6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}',
        ),
    ],
)
def test_spelling(value: object, spelled: str) -> None:
    assert canonical_json(value) == spelled.encode()


@given(VALUES)
def test_reads_back_equal_and_spells_the_same_again(value: object) -> None:
    spelled = canonical_json(value)
    assert json.loads(spelled) == value
    assert canonical_json(json.loads(spelled)) == spelled


@given(st.dictionaries(TEXT, st.integers(0, 9), max_size=8))
def test_the_order_of_insertion_does_not_matter(value: Mapping[str, int]) -> None:
    assert canonical_json(dict(reversed(list(value.items())))) == canonical_json(value)


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        {"share": 0.5},
        MAX_INTEGER + 1,
        -MAX_INTEGER - 1,
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {None: 2},
        b"bytes",
        {1, 2},
        object(),
        nested(40),
        nested(100_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refuses_what_has_no_single_spelling(value: object) -> None:
    with pytest.raises(RequestRefused, match="GL-LEDGER-001"):
        canonical_json(value)


def test_the_error_says_where() -> None:
    with pytest.raises(RequestRefused, match=r"`entry\.facts\[1\]\.share` is of type `float`"):
        canonical_json({"facts": [{}, {"share": 0.5}]})
