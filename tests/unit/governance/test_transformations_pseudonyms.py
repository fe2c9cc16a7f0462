"""Pseudonyms: the way there and back is the identity, on any text, cut anywhere."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greylag.domain.errors import IntegrityError, OperatorError, RequestRefused
from greylag.governance.scanning.values import PSEUDONYM
from greylag.governance.transformations import (
    TRANSFORMATIONS,
    PseudonymRestorer,
    Transformed,
    derived_key,
    merged_mappings,
    open_mapping,
    restore,
    seal,
    seal_mapping,
    unseal,
)
from tests.support.scanners import shipped

KEY, OTHER = b"k" * 32, b"o" * 32
TEXT, JSON = "text/plain", "application/json"


def changed(content: bytes, media_type: str = TEXT, key: bytes | None = KEY) -> Transformed:
    findings = shipped().scan_content(content, media_type)
    return TRANSFORMATIONS["pseudonymise"].apply(content, media_type, findings, key=key, parameters={})


def mapping_of(done: Transformed) -> dict[str, str]:
    assert done.mapping is not None
    return open_mapping(done.mapping, KEY)


def test_a_person_has_one_pseudonym_in_a_task_and_another_in_the_next() -> None:
    one = changed(b"ada@posteo.de wrote to bo@posteo.de; ada@posteo.de waits")
    tokens = PSEUDONYM.findall(one.content.decode())
    assert tokens[0] == tokens[2] != tokens[1]
    assert tokens[0] == PSEUDONYM.findall(changed(b"hello ada@posteo.de").content.decode())[0]
    assert tokens[0] != PSEUDONYM.findall(changed(b"hello ada@posteo.de", key=OTHER).content.decode())[0]
    assert tokens[0].startswith("psn-email-")
    assert b"posteo" not in one.content


def test_a_scan_of_the_result_finds_no_identifier_and_no_pseudonym_is_one() -> None:
    text = b'first_name: Ada\nssn: 536904399\npassword = "psn-email-0123456789ab"\nIBAN DE89370400440532013000'
    done = changed(text)
    assert shipped().scan(done.content.decode()).within("user") == ()
    assert shipped().scan('token = "psn-email-0123456789ab"').found == ()


def test_the_mapping_is_sealed_under_the_key() -> None:
    done = changed(b"ada@posteo.de")
    assert done.mapping is not None
    assert b"posteo" not in done.mapping
    assert list(mapping_of(done).values()) == ["ada@posteo.de"]
    with pytest.raises(IntegrityError, match="GL-TRANSFORM-011"):
        open_mapping(done.mapping, OTHER)


@pytest.mark.parametrize("damage", [lambda made: made[:-1], lambda made: made[:20], lambda made: b"x" + made,
                                    lambda made: made[:-1] + bytes([made[-1] ^ 1]), lambda made: b""])  # fmt: skip
def test_a_changed_envelope_does_not_open(damage: object) -> None:
    with pytest.raises(IntegrityError, match="GL-TRANSFORM-011"):
        unseal(damage(seal(b"content", KEY, "content")), KEY, "content")  # type: ignore[operator]


def test_an_envelope_is_for_one_purpose_and_the_same_each_time() -> None:
    made = seal(b"content", KEY, "content")
    assert made == seal(b"content", KEY, "content")
    assert unseal(made, KEY, "content") == b"content"
    with pytest.raises(IntegrityError):
        unseal(made, KEY, "pseudonyms")


def test_keys_are_framed_and_have_their_length() -> None:
    assert derived_key(KEY, "a", "bc") != derived_key(KEY, "ab", "c")
    assert len(derived_key(KEY, "task", "task_1")) == 32
    with pytest.raises(OperatorError, match="GL-TRANSFORM-010"):
        derived_key(b"short", "task")


def test_there_is_no_pseudonym_without_a_key() -> None:
    with pytest.raises(RequestRefused, match="GL-TRANSFORM-004"):
        changed(b"ada@posteo.de", key=None)


@pytest.mark.parametrize(("content", "media_type", "code"), [(b"\xff\xfe\xfa", TEXT, "001"), (b"{", JSON, "003")])
def test_what_cannot_be_read_is_refused(content: bytes, media_type: str, code: str) -> None:
    with pytest.raises(RequestRefused, match=f"GL-TRANSFORM-{code}"):
        changed(content, media_type)


def test_mappings_of_a_task_go_together_unless_they_contradict() -> None:
    assert merged_mappings({"a": "1"}, {"b": "2", "a": "1"}) == {"a": "1", "b": "2"}
    with pytest.raises(IntegrityError, match="GL-TRANSFORM-012"):
        merged_mappings({"a": "1"}, {"a": "2"})


PIECES = st.sampled_from([
    "ada@posteo.de", "bo@posteo.de", "+49 30 9018200", "DE89370400440532013000", "psn-email-0123456789ab", "psn-",
    "psn-email-", "psn-email-0123456789a", "0123456789ab", "p", "ps", "\u202e", "\u200b", "\U0001f600", "é", "\\", '"',
    "\n", "\\u0040", "%40", "[redacted:email]", "psn-token-0123456789ab", "first_name: Ada\n", " ", ",", "\x00", "-",
    "f", "psn-psn-", "\x85", "\u2028",
])  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=6), max_size=14).map("".join))
@settings(max_examples=300, deadline=None)
def test_restoring_gives_back_exactly_what_was_there(text: str) -> None:
    content = text.encode("utf-8", "ignore")
    done = changed(content)
    assert restore(done.content, TEXT, mapping_of(done)) == content


@given(st.lists(PIECES | st.text(max_size=6), max_size=10).map("".join), st.data())
@settings(max_examples=200, deadline=None)
def test_a_stream_cut_anywhere_restores_the_same(text: str, data: st.DataObject) -> None:
    done = changed(text.encode("utf-8", "ignore"))
    whole, mapping = done.content.decode(), mapping_of(done)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    restorer, pieces = PseudonymRestorer(mapping), []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        pieces.append(restorer.feed(whole[start:end]))
    pieces.append(restorer.close())
    assert "".join(pieces) == restore(done.content, TEXT, mapping).decode()


def test_a_stream_cut_at_every_place_restores_the_same_and_holds_little_back() -> None:
    done = changed(b"to ada@posteo.de and bo@posteo.de, psn-email-0123456789ab psn-psn-email psn-x")
    whole, mapping = done.content.decode(), mapping_of(done)
    expected = restore(done.content, TEXT, mapping).decode()
    for first in range(len(whole) + 1):
        restorer = PseudonymRestorer(mapping)
        assert restorer.feed(whole[:first]) + restorer.feed(whole[first:]) + restorer.close() == expected
    restorer, told = PseudonymRestorer(mapping), ""
    for sign in whole:
        told += restorer.feed(sign)
    assert told + restorer.close() == expected
    held = PseudonymRestorer(mapping)
    assert len(held.feed("psn-" + "a" * 12 + "-" + "0" * 11)) == 0
    assert len(PseudonymRestorer(mapping).feed("p" * 1_000)) >= 1_000 - 28


def test_a_pseudonym_nobody_knows_stays() -> None:
    restorer = PseudonymRestorer({"psn-email-0123456789ab": "x"})
    assert restorer.feed("psn-email-ffffffffffff ") == "psn-email-ffffffffffff "
    assert restore(b"psn-email-ffffffffffff", TEXT, {}) == b"psn-email-ffffffffffff"


def test_inside_a_json_string_originals_are_escaped() -> None:
    mapping = {"psn-name-0123456789ab": 'A "B"\n\\'}
    restorer = PseudonymRestorer(mapping, inside_json=True)
    told = restorer.feed('{"x": "psn-name-01') + restorer.feed('23456789ab"}') + restorer.close()
    assert json.loads(told) == {"x": 'A "B"\n\\'}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.lists(PIECES, max_size=4).map("".join) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | PIECES, inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(VALUES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_json_stays_json_and_comes_back_as_it_was(value: object, ascii_only: bool) -> None:
    content = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "ignore")
    try:
        given_value = json.loads(content)
    except ValueError:
        return
    done = changed(content, JSON)
    json.loads(done.content)
    assert json.loads(restore(done.content, JSON, mapping_of(done))) == given_value


def test_bytes_of_json_that_hold_nothing_stay_as_they_were() -> None:
    content = (
        b'{ "n": 1.00000000000000000001, "e": 1E400, "s": "\\u00e9\\ud800", "a": 1, "a": 2, "m": "ada@posteo.de" }'
    )
    done = changed(content, JSON)
    head, _, _ = content.partition(b'"ada')
    assert done.content.startswith(head)
    assert done.content.endswith(b'" }')


def test_in_json_keys_and_numbers_stay_for_the_second_scan_to_meet() -> None:
    done = changed(b'{"ada@posteo.de": 1, "card": 4929123456789015}', JSON)
    assert done.content == b'{"ada@posteo.de": 1, "card": 4929123456789015}'


def test_a_mapping_is_sealed_the_same_whatever_its_order() -> None:
    assert seal_mapping({"a": "1", "b": "2"}, KEY) == seal_mapping({"b": "2", "a": "1"}, KEY)
