"""Pseudonyms in a reply become what they stand for, wherever the stream is torn; everything else passes untouched."""

import itertools
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models_stage import sse, stream_of

from greylag.adapters.models.port import Restorer
from greylag.adapters.models.reply import restoring as restoring_module
from greylag.adapters.models.reply.restoring import EventRestorer, restored_body
from greylag.domain.errors import BackendError
from greylag.governance.transformations import PseudonymRestorer

MAIL, NAME, ODD = "psn-email-00aa11bb22cc", "psn-name-0123456789ab", "psn-account-ffffffffffff"
KNOWN = {
    MAIL: "marigold.quince@example.org",
    NAME: 'Zoë "the Owl" O\'Neill 👩‍🌾',
    ODD: 'C:\\new\\"x"\t\u2028\x1f',
}
UNKNOWN = "psn-email-deadbeef0000"
PARTS = ["psn-", "psn-email-", "psn-email-00aa11bb22c", "p", "ps", "-", "a", "ü", "👩", "\\", '"', "\n"]
TEXTS = st.lists(st.sampled_from([*KNOWN, UNKNOWN, *PARTS]), max_size=8).map("".join)
BLOCKS = st.tuples(st.sampled_from(["text", "thinking", "tool"]), TEXTS, st.lists(st.integers(0, 99), max_size=5))
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(-99, 99),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(TEXTS, each, max_size=3),
    max_leaves=8,
)


def new(in_json: bool) -> Restorer:
    return PseudonymRestorer(KNOWN, inside_json=in_json)


def plain(text: str) -> str:
    for token, original in KNOWN.items():
        text = text.replace(token, original)
    return text


def block(index: int, kind: str, pieces: list[str]) -> list[tuple[str, dict[str, Any]]]:
    start = {
        "text": {"type": "text", "text": ""}, "thinking": {"type": "thinking", "thinking": "", "signature": ""},
        "tool": {"type": "tool_use", "id": f"toolu_{index}", "name": "write", "input": {}},
    }[kind]  # fmt: skip
    delta, field = {
        "text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking"),
        "tool": ("input_json_delta", "partial_json"),
    }[kind]  # fmt: skip
    return [
        ("content_block_start", {"index": index, "content_block": start}),
        *(("content_block_delta", {"index": index, "delta": {"type": delta, field: piece}}) for piece in pieces),
        ("content_block_stop", {"index": index}),
    ]


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted({place % (len(text) + 1) for place in places}), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(edges)]


def restored(stream: bytes, places: list[int] | None = None) -> bytes:
    restorer = EventRestorer(new)
    edges = [0, *sorted({place % (len(stream) + 1) for place in places or ()}), len(stream)]
    return b"".join(restorer.feed(stream[start:end]) for start, end in itertools.pairwise(edges)) + restorer.close()


def read(stream: bytes) -> dict[int, str]:
    """Return each block's content as a harness puts it together, and check that events are well formed and in order."""
    found: dict[int, str] = {}
    done: set[int] = set()
    for event in stream.split(b"\n\n"):
        if not event:
            continue
        name, data = event.split(b"\n")
        value = json.loads(data.removeprefix(b"data: "))
        assert name == f"event: {value['type']}".encode()
        index = value.get("index")
        if value["type"] == "content_block_start":
            first = value["content_block"]
            found[index] = first.get("text", "") + first.get("thinking", "")
        elif value["type"] == "content_block_delta":
            assert index not in done, "nothing comes after the end of a block"
            delta = value["delta"]
            found[index] += delta.get("text", "") + delta.get("thinking", "") + delta.get("partial_json", "")
        elif value["type"] == "content_block_stop":
            done.add(index)
    return found


PIECE = f"Dear {MAIL}, {NAME} wrote: {ODD}{UNKNOWN} psn-email-00aa psn-"


@pytest.mark.parametrize("kind", ["text", "thinking"])
@pytest.mark.parametrize("place", range(len(PIECE) + 1))
def test_text_is_restored_wherever_the_endpoint_cuts_it(kind: str, place: int) -> None:
    stream = sse(*block(0, kind, [PIECE[:place], PIECE[place:]]))
    assert read(restored(stream)) == {0: plain(PIECE)}


@pytest.mark.parametrize("place", range(40))
def test_the_arguments_of_a_call_stay_json_wherever_they_are_cut(place: int) -> None:
    arguments = {"path": "a.txt", "text": f"{ODD}{NAME}", "more": [f"<{MAIL}>", UNKNOWN]}
    raw = json.dumps(arguments)
    stream = sse(*block(0, "tool", cut(raw, [place, place * 3, place * 7])))
    assert json.loads(read(restored(stream))[0]) == {
        "path": "a.txt", "text": KNOWN[ODD] + KNOWN[NAME], "more": [f"<{KNOWN[MAIL]}>", UNKNOWN],
    }  # fmt: skip


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_bytes_may_be_torn_anywhere_too(size: int) -> None:
    stream = sse(*block(0, "text", [PIECE[:9], PIECE[9:40], PIECE[40:]]), *block(1, "tool", [f'{{"to":"{ODD}"}}']))
    whole = restored(stream)
    assert restored(stream, list(range(0, len(stream), size))) == whole
    assert read(whole)[0] == plain(PIECE)
    assert json.loads(read(whole)[1]) == {"to": KNOWN[ODD]}


@given(st.lists(BLOCKS, max_size=4), st.lists(st.integers(0, 10_000), max_size=9))
def test_blocks_side_by_side_are_restored_each_for_itself(
    blocks: list[tuple[str, str, list[int]]], places: list[int]
) -> None:
    lanes = []
    for index, (kind, text, cuts) in enumerate(blocks):
        said = json.dumps({"said": text}) if kind == "tool" else text
        lanes.append(block(index, kind, cut(said, cuts)))
    # Events of different blocks in turn, each block's own in order.
    events = [each for row in itertools.zip_longest(*lanes) for each in row if each is not None]
    found = read(restored(sse(*events), places))
    for index, (kind, text, _) in enumerate(blocks):
        got = json.loads(found[index])["said"] if kind == "tool" else found[index]
        assert got == plain(text)


def test_what_stands_for_nothing_passes_byte_for_byte() -> None:
    stream = stream_of(f"nothing here {UNKNOWN} ü") + b": a comment\n\nevent: odd\ndata: not json\n\ndata: [1]\n\n"
    for places in ([], list(range(0, len(stream), 5))):
        assert restored(stream, places) == stream


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\r\r", b"\n\n"])
def test_every_end_of_an_event_counts(end: bytes) -> None:
    line = end[: len(end) // 2]
    events = sse(*block(0, "text", [PIECE[:30], PIECE[30:]]))
    torn = restored(events.replace(b"\n\n", end).replace(b"\ndata", line + b"data"), list(range(500)))
    assert KNOWN[MAIL].encode() in torn
    assert MAIL.encode() not in torn


def test_a_block_that_begins_with_words_or_with_a_whole_call_is_restored_too() -> None:
    stream = sse(
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": MAIL[:10]}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": MAIL[10:]}}),
        ("content_block_stop", {"index": 0}),
        ("content_block_start", {"index": 1, "content_block": {"type": "tool_use", "input": {"to": [MAIL]}}}),
        ("content_block_stop", {"index": 1}),
        ("content_block_start", {"index": 2, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 2, "delta": {"type": "citations_delta", "citation": {"cited_text": MAIL}}}),
    )
    whole = restored(stream)
    assert read(whole)[0] == KNOWN[MAIL]
    assert MAIL.encode() not in whole
    assert whole.count(KNOWN[MAIL].encode()) == 3


def test_a_block_that_changes_its_kind_loses_nothing() -> None:
    stream = sse(
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "psn-em"}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": "ail"}}),
        ("content_block_stop", {"index": 0}),
    )
    assert read(restored(stream)) == {0: "psn-email"}


def test_a_stream_that_breaks_off_gives_what_was_held_back() -> None:
    stream = sse(*block(0, "text", ["so it is psn-em"])[:-1]) + b"event: content_block_de"
    whole = restored(stream)
    assert whole.endswith(b"event: content_block_de")
    assert read(whole.removesuffix(b"event: content_block_de")) == {0: "so it is psn-em"}


def test_what_is_held_back_comes_before_the_end_of_its_block() -> None:
    restorer = EventRestorer(new)
    start, delta, stop = (sse(each) for each in block(0, "text", ["psn-email-00aa11bb22c"]))
    assert restorer.feed(start) == start
    assert read(start + restorer.feed(delta)) == {0: ""}
    assert read(start + restorer.feed(stop)) == {0: "psn-email-00aa11bb22c"}
    assert restorer.close() == b""


def test_hostile_streams_are_bounded() -> None:
    endless = EventRestorer(new)
    endless.feed(b"x" * restoring_module.MAX_EVENT_BYTES)
    with pytest.raises(BackendError, match="GL-GATEWAY-013"):
        endless.feed(b"x")
    many = EventRestorer(new)
    deltas = [
        sse(("content_block_delta", {"index": index, "delta": {"type": "text_delta", "text": "p"}}))
        for index in range(restoring_module.MAX_BLOCKS + 1)
    ]
    many.feed(b"".join(deltas[:-1]))
    with pytest.raises(BackendError, match="GL-GATEWAY-013"):
        many.feed(deltas[-1])


def test_an_event_in_thousands_of_pieces_takes_no_longer_for_it() -> None:
    restorer = EventRestorer(new)
    started = time.process_time()
    for _ in range(30_000):
        restorer.feed(b"x" * 100)
    assert time.process_time() - started < 2.0


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_pass(data: bytes, places: list[int]) -> None:
    assert restored(data, places) == data


@pytest.mark.parametrize(
    "data",
    [
        {"type": "content_block_delta", "index": True, "delta": {"type": "text_delta", "text": 3}},
        {"type": "content_block_delta", "index": 0, "delta": [MAIL]},
        {"type": "content_block_delta", "index": "0", "delta": {"type": "text_delta", "text": MAIL}},
        {"type": "content_block_start", "index": 0, "content_block": MAIL},
        {"type": ["content_block_start"], "index": 0},
    ],
)
def test_events_of_another_shape_pass_as_they_are(data: dict[str, Any]) -> None:
    stream = b"data: " + json.dumps(data).encode() + b"\n\n"
    assert restored(stream) == stream


def test_half_of_a_character_is_no_reason_to_stop() -> None:
    halves = json.dumps("👩").strip('"')
    pieces = [halves[:6], f"{halves[6:]}{MAIL}"]
    stream = b"".join(
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
        b'{"type":"text_delta","text":"' + piece.encode() + b'"}}\n\n'
        for piece in pieces
    )
    start = sse(("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}))
    joined = read(start + restored(stream))[0].encode("utf-16", "surrogatepass").decode("utf-16")
    assert joined == f"👩{KNOWN[MAIL]}"


def test_a_whole_reply_is_restored_in_all_its_texts() -> None:
    body = {
        "content": [
            {"type": "thinking", "thinking": NAME, "signature": "c2ln"}, {"type": "text", "text": PIECE},
            {"type": "tool_use", "input": {"to": [MAIL], MAIL: ODD, "count": 3, "half": 0.5, "no": None}},
        ],
        "usage": {"input_tokens": 12345678901234},
    }  # fmt: skip
    found = json.loads(restored_body(json.dumps(body).encode(), new))
    assert found["content"][0] == {"type": "thinking", "thinking": KNOWN[NAME], "signature": "c2ln"}
    assert found["content"][1]["text"] == plain(PIECE)
    assert found["content"][2]["input"] == {
        "to": [KNOWN[MAIL]], MAIL: KNOWN[ODD], "count": 3, "half": 0.5, "no": None,
    }  # fmt: skip
    assert found["usage"] == body["usage"]


@pytest.mark.parametrize(
    "body", [b"", b"<html>psn-email-00aa11bb22cc</html>", b"\xff", b'{"a": "\\ud800"}', b"[" * 100_000, b'{"a":1 }']
)
def test_a_whole_reply_with_nothing_to_restore_passes_byte_for_byte(body: bytes) -> None:
    assert restored_body(body, new) == body


@given(VALUES)
def test_a_whole_reply_is_restored_at_any_depth(value: Any) -> None:
    def expected(each: Any) -> Any:
        if isinstance(each, str):
            return plain(each)
        if isinstance(each, list):
            return [expected(one) for one in each]
        if isinstance(each, dict):
            return {key: expected(one) for key, one in each.items()}
        return each

    assert json.loads(restored_body(json.dumps(value).encode(), new)) == expected(value)
