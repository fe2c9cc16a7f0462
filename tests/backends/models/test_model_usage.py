"""Usage is read from a passing stream, however it is torn, and never from what the model writes."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models_stage import sse, stream_of

from greylag.adapters.models.reply import usage as usage_module
from greylag.adapters.models.reply.usage import Usage, UsageReader, usage_of

WHOLE = stream_of("a\n\nb\r\n\r\n", cache_read_input_tokens=7, cache_creation_input_tokens=5, inference_geo="us")
READ = Usage(100, 20, 7, 5, 0, "us")


@given(st.lists(st.integers(0, len(WHOLE)), max_size=40))
def test_however_the_stream_is_torn_the_usage_is_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    reader = UsageReader()
    for start, end in itertools.pairwise(edges):
        reader.feed(WHOLE[start:end])
    assert (reader.usage, reader.complete) == (READ, True)


@given(st.lists(st.integers(0, 700), max_size=10))
def test_carriage_returns_make_no_difference(cuts: list[int]) -> None:
    whole = WHOLE.replace(b"\n", b"\r\n")
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    reader = UsageReader()
    for start, end in itertools.pairwise(edges):
        reader.feed(whole[start:end])
    assert reader.complete
    assert reader.usage is not None
    assert (reader.usage.input_tokens, reader.usage.output_tokens) == (100, 20)


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_pass_without_harm(chunks: list[bytes]) -> None:
    reader = UsageReader()
    for chunk in chunks:
        reader.feed(chunk)
    assert not reader.complete
    usage_of(b"".join(chunks))


@pytest.mark.parametrize(
    "counts",
    [{"output_tokens": -1}, {"output_tokens": 1e30}, {"output_tokens": "20"}, {"output_tokens": None}, {}, [], "x"],
)
def test_counts_that_are_none_are_not_believed(counts: object) -> None:
    reader = UsageReader()
    reader.feed(sse(("message_delta", {"usage": counts})))
    assert not reader.complete


def test_hour_long_cache_entries_are_told_apart_and_never_counted_twice() -> None:
    counts = {"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 10}
    for long, wanted in ((4, (6, 4)), (10, (0, 10)), (99, (0, 10)), (0, (10, 0))):
        usage = usage_of(
            msgspec.json.encode({"usage": {**counts, "cache_creation": {"ephemeral_1h_input_tokens": long}}})
        )
        assert usage is not None
        assert (usage.cache_write_tokens, usage.long_cache_write_tokens) == wanted


@pytest.mark.parametrize("place", ["", "US; drop table", "x" * 40, "not\nhere", "<b>"])
def test_a_place_that_is_no_place_is_unknown(place: str) -> None:
    usage = usage_of(msgspec.json.encode({"usage": {"input_tokens": 1, "output_tokens": 1, "inference_geo": place}}))
    assert usage is not None
    assert usage.place == "unknown"


def test_an_endless_event_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_module, "_EVENT_BYTES", 1000)
    reader = UsageReader()
    for _ in range(100):
        reader.feed(b"x" * 100)
    reader.feed(b"\n\n" + WHOLE)
    assert not reader.complete
    assert len(reader._tail) == 0
