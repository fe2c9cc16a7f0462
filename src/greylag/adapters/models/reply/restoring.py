"""Pseudonyms in a model's reply become what they stand for again, on the way back to the harness.

The endpoint never saw the originals; the harness never sees a pseudonym. A reply comes as server-sent events (WHATWG
HTML §9.2) whose borders cut words anywhere, so what may be the start of a pseudonym waits for the next piece.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from greylag.adapters.models.port import Restorer
from greylag.domain.errors import BackendError

#: Makes a restorer; with True one whose originals are escaped for a place inside a JSON text.
NewRestorer = Callable[[bool], Restorer]

MAX_EVENT_BYTES = 4 * 1024 * 1024
MAX_BLOCKS = 1_000
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_FIELDS: Mapping[str, tuple[str, bool]] = {
    "text_delta": ("text", False),
    "thinking_delta": ("thinking", False),
    "input_json_delta": ("partial_json", True),
}


class EventRestorer:
    """Restores a stream of events of the Messages protocol, piece by piece.

    Events in which nothing stands for anything pass byte for byte. Raises BackendError ``GL-GATEWAY-013`` for an event
    beyond 4 MiB, or for more than 1,000 content blocks at once.
    """

    def __init__(self, new: NewRestorer) -> None:
        self._new = new
        self._rest = bytearray()
        self._searched = 0
        self._blocks: dict[int, tuple[str, Restorer]] = {}

    def feed(self, data: bytes) -> bytes:
        """Return what can go on of the bytes so far."""
        self._rest += data
        out: list[bytes] = []
        while (found := _EVENT_END.search(self._rest, self._searched)) is not None:
            event = bytes(self._rest[: found.end()])
            del self._rest[: found.end()]
            self._searched = 0
            out.append(self._event(event))
        if len(self._rest) > MAX_EVENT_BYTES:
            raise _beyond(f"an event of more than {MAX_EVENT_BYTES} bytes")
        self._searched = max(0, len(self._rest) - 3)  # an end may be torn too
        return b"".join(out)

    def close(self) -> bytes:
        """Return what was held back when the stream ended."""
        held = bytes(self._rest)
        self._rest.clear()
        return b"".join(self._flushed(index) for index in tuple(self._blocks)) + held

    def _event(self, raw: bytes) -> bytes:
        data = _data_of(raw)
        index = data.get("index") if data is not None else None
        if data is None or not isinstance(index, int):
            return raw
        match data.get("type"):
            case "content_block_stop":
                return self._flushed(index) + raw
            case "content_block_start":
                return self._begun(index, data, raw)
            case "content_block_delta" if isinstance(data.get("delta"), dict):
                return self._delta(index, data, raw)
        return raw

    def _begun(self, index: int, data: dict[str, Any], raw: bytes) -> bytes:
        """Restore what a block begins with: nothing, as a rule, but it may hold the first words, or all of a call."""
        before = self._flushed(index)
        block = data.get("content_block")
        if not isinstance(block, dict):
            return before + raw
        kind = f"{block.get('type')}_delta"
        field, in_json = _FIELDS.get(kind, ("", False))
        first = block.get(field)
        rest = {name: value for name, value in block.items() if name != field}
        restored = {**block, **_restored(rest, self._new, depth=64)}
        if isinstance(first, str):
            restored[field] = self._restorer(index, kind, in_json).feed(first)
        return before + (
            raw if restored == block else _as_event("content_block_start", {**data, "content_block": restored})
        )

    def _delta(self, index: int, data: dict[str, Any], raw: bytes) -> bytes:
        delta = data["delta"]
        kind = str(delta.get("type"))
        field, in_json = _FIELDS.get(kind, ("", False))
        text = delta.get(field)
        if not isinstance(text, str):  # a kind that comes whole: a citation, a signature
            restored = _restored(delta, self._new, depth=64)
            return raw if restored == delta else _as_event("content_block_delta", {**data, "delta": restored})
        before = self._flushed(index) if self._blocks.get(index, (kind,))[0] != kind else b""
        restored = self._restorer(index, kind, in_json).feed(text)
        if restored == text:
            return before + raw
        return before + _as_event("content_block_delta", {**data, "delta": {**delta, field: restored}})

    def _restorer(self, index: int, kind: str, in_json: bool) -> Restorer:
        if index not in self._blocks:
            if len(self._blocks) >= MAX_BLOCKS:
                raise _beyond(f"more than {MAX_BLOCKS} content blocks at once")
            self._blocks[index] = (kind, self._new(in_json))
        return self._blocks[index][1]

    def _flushed(self, index: int) -> bytes:
        kind, restorer = self._blocks.pop(index, ("", None))
        rest = restorer.close() if restorer is not None else ""
        if not rest:
            return b""
        delta = {"type": kind, _FIELDS[kind][0]: rest}
        data = {"type": "content_block_delta", "index": index, "delta": delta}
        return _as_event("content_block_delta", data)


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


def _data_of(raw: bytes) -> dict[str, Any] | None:
    lines = [line[5:].strip() for line in raw.splitlines() if line.startswith(b"data:")]
    try:
        data = json.loads(b"\n".join(lines))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _as_event(name: str, data: Mapping[str, Any]) -> bytes:
    return f"event: {name}\ndata: ".encode() + json.dumps(data, ensure_ascii=True).encode() + b"\n\n"


def _beyond(what: str) -> BackendError:
    return BackendError("GL-GATEWAY-013", f"the endpoint sent {what}.", "check what stands at the endpoint's address.")
