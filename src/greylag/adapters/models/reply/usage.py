"""What a call used, read from the reply's own words while its bytes pass by untouched."""

import re
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec

UNKNOWN_PLACE = "unknown"
_PLACE = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_EVENT_BYTES = 8 * 1024 * 1024
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")

_Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call as the endpoint counts them; ``place`` is where it says it ran, else ``unknown``."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    long_cache_write_tokens: int = 0
    place: str = UNKNOWN_PLACE

    @property
    def all_input_tokens(self) -> int:
        """Return fresh and cached input together."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens + self.long_cache_write_tokens


class _Cached(msgspec.Struct):
    ephemeral_1h_input_tokens: _Count = 0


class _Counts(msgspec.Struct):
    """Anthropic's ``usage`` object: a missing or null count says nothing, it is not zero."""

    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_creation: _Cached | None = None
    inference_geo: str | None = None


class _Message(msgspec.Struct):
    usage: _Counts | None = None


class _Event(msgspec.Struct):
    type: str = ""
    message: _Message | None = None
    usage: _Counts | None = None


_EVENT = msgspec.json.Decoder(_Event)
_MESSAGE = msgspec.json.Decoder(_Message)


class UsageReader:
    """Reads server-sent events as they pass. ``usage`` is what is known so far; ``complete`` once the end was told.

    Source: Anthropic, "Streaming messages": input counts come with ``message_start``, output counts, cumulative,
    with ``message_delta``.
    """

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.complete = False
        self._tail = bytearray()
        self._lost = False

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes of the stream."""
        if self._lost:
            return
        self._tail += chunk
        start = 0
        # An event may be torn anywhere, so the search goes on a few bytes before the new ones.
        scan_from = max(0, len(self._tail) - len(chunk) - 3)
        while found := _EVENT_END.search(self._tail, max(start, scan_from)):
            self._read(bytes(self._tail[start : found.start()]))
            start = found.end()
        del self._tail[:start]
        if len(self._tail) > _EVENT_BYTES:  # no event is that long: stop looking, and let the reserve be charged
            self._lost = True
            self._tail.clear()

    def _read(self, event: bytes) -> None:
        if b'"usage"' not in event:
            return
        data = b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
        try:
            read = _EVENT.decode(data)
        except msgspec.DecodeError:
            return
        if read.type == "message_start" and read.message is not None and read.message.usage is not None:
            self.usage = _merged(self.usage, read.message.usage)
        elif read.type == "message_delta" and read.usage is not None:
            self.usage = _merged(self.usage, read.usage)
            self.complete = read.usage.output_tokens is not None


def usage_of(body: bytes) -> Usage | None:
    """Return the usage a plain (not streamed) reply reports, None where it reports none that can be read."""
    try:
        counts = _MESSAGE.decode(body).usage
    except msgspec.DecodeError:
        return None
    if counts is None or counts.output_tokens is None or counts.input_tokens is None:
        return None
    return _merged(None, counts)


def _merged(known: Usage | None, counts: _Counts) -> Usage:
    usage = known or Usage()
    if counts.input_tokens is not None:
        usage = replace(usage, input_tokens=counts.input_tokens)
    if counts.output_tokens is not None:
        usage = replace(usage, output_tokens=counts.output_tokens)
    if counts.cache_read_input_tokens is not None:
        usage = replace(usage, cache_read_tokens=counts.cache_read_input_tokens)
    if counts.cache_creation_input_tokens is not None:
        written = counts.cache_creation_input_tokens
        long = usage.long_cache_write_tokens
        if counts.cache_creation is not None:
            long = counts.cache_creation.ephemeral_1h_input_tokens
        long = min(written, long)
        usage = replace(usage, cache_write_tokens=written - long, long_cache_write_tokens=long)
    if counts.inference_geo is not None and _PLACE.fullmatch(counts.inference_geo):
        usage = replace(usage, place=counts.inference_geo)
    return usage
