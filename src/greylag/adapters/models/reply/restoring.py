"""Pseudonyms in a model's reply become what they stand for again, on the way back to the harness.

The endpoint never saw the originals; the harness never sees a pseudonym. A reply comes as server-sent events (WHATWG
HTML §9.2) whose borders cut words anywhere, so what may be the start of a pseudonym waits for the next piece.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from greylag.adapters.models.port import Restorer
from greylag.domain.errors import BackendError

#: Makes a restorer; with True one whose originals are escaped for a place inside a JSON text.
NewRestorer = Callable[[bool], Restorer]

MAX_EVENT_BYTES = 4 * 1024 * 1024
_FIELDS: Mapping[str, tuple[str, bool]] = {
    "text_delta": ("text", False),
    "thinking_delta": ("thinking", False),
    "input_json_delta": ("partial_json", True),
}


class EventRestorer:
    """Restores a stream of events of the Messages protocol, piece by piece.

    Events in which nothing stands for anything pass byte for byte. Raises BackendError ``GL-GATEWAY-011`` for an event
    beyond 4 MiB.
    """

    def __init__(self, new: NewRestorer) -> None:
        self._new = new
        self._rest = b""
        self._blocks: dict[int, tuple[str, Restorer]] = {}

    def feed(self, data: bytes) -> bytes:
        """Return what can go on of the bytes so far."""
        self._rest += data
        out: list[bytes] = []
        while (cut := _end_of_event(self._rest)) is not None:
            event, self._rest = self._rest[:cut], self._rest[cut:]
            out.append(self._event(event))
        if len(self._rest) > MAX_EVENT_BYTES:
            raise BackendError(
                "GL-GATEWAY-011", f"the endpoint sent an event of more than {MAX_EVENT_BYTES} bytes.",
                "check what stands at the endpoint's address.",
            )  # fmt: skip
        return b"".join(out)

    def close(self) -> bytes:
        """Return what was held back when the stream ended."""
        held, self._rest = self._rest, b""
        return b"".join(self._flushed(index) for index in tuple(self._blocks)) + held

    def _event(self, raw: bytes) -> bytes:
        data = _data_of(raw)
        if data is None:
            return raw
        index = data.get("index")
        if not isinstance(index, int):
            return raw
        if data.get("type") == "content_block_stop":
            return self._flushed(index) + raw
        delta = data.get("delta")
        if data.get("type") != "content_block_delta" or not isinstance(delta, dict):
            return raw
        kind = str(delta.get("type"))
        field, in_json = _FIELDS.get(kind, ("", False))
        text = delta.get(field)
        if not isinstance(text, str):
            return raw
        kind_before, restorer = self._blocks.setdefault(index, (kind, self._new(in_json)))
        before = b""
        if kind_before != kind:
            before = self._flushed(index)
            restorer = self._new(in_json)
            self._blocks[index] = (kind, restorer)
        restored = restorer.feed(text)
        if restored == text:
            return before + raw
        return before + _delta_event({**data, "delta": {**delta, field: restored}})

    def _flushed(self, index: int) -> bytes:
        kind, restorer = self._blocks.pop(index, ("", None))
        rest = restorer.close() if restorer is not None else ""
        if not rest:
            return b""
        delta = {"type": kind, _FIELDS[kind][0]: rest}
        return _delta_event({"type": "content_block_delta", "index": index, "delta": delta})


def restored_body(body: bytes, new: NewRestorer) -> bytes:
    """Return a whole reply with every pseudonym in its texts restored; what is no JSON object passes as it is."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body
    found = _restored(value, new, depth=64)
    return body if found == value else msgspec.json.encode(found)


def _restored(value: Any, new: NewRestorer, depth: int) -> Any:
    if depth == 0:
        return value
    if isinstance(value, str):
        restorer = new(False)
        return restorer.feed(value) + restorer.close()
    if isinstance(value, list):
        return [_restored(each, new, depth - 1) for each in value]
    if isinstance(value, dict):
        return {key: _restored(each, new, depth - 1) for key, each in value.items()}
    return value


def _end_of_event(data: bytes) -> int | None:
    ends = [found + len(mark) for mark in (b"\n\n", b"\r\n\r\n", b"\r\r") if (found := data.find(mark)) >= 0]
    return min(ends, default=None)


def _data_of(raw: bytes) -> dict[str, Any] | None:
    lines = [line[5:].strip() for line in raw.splitlines() if line.startswith(b"data:")]
    try:
        data = json.loads(b"\n".join(lines))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _delta_event(data: Mapping[str, Any]) -> bytes:
    return b"event: content_block_delta\ndata: " + json.dumps(data, ensure_ascii=True).encode() + b"\n\n"
