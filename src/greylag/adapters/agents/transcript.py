"""Keep what an agent and the platform said to each other, bounded, as JSON lines."""

from collections import deque

import orjson

TRANSCRIPT_BYTES = 4 * 1024 * 1024
_ENTRY_BYTES = 256 * 1024
_KEPT_OF_LONG_ENTRY = 4096


class Transcript:
    """Keeps the first and the last entries; what falls between is counted. Secrets given here are masked.

    One entry a line: ``{"n": 1, "kind": "received", "value": …}``. An entry over 256 KiB keeps only its beginning.
    """

    def __init__(self, secrets: tuple[str, ...] = (), limit_bytes: int = TRANSCRIPT_BYTES) -> None:
        self._secrets = tuple(secret.encode() for secret in secrets if secret)
        self._half = limit_bytes // 2
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._count = 0
        self._dropped = 0

    def add(self, kind: str, value: object) -> None:
        """Add an entry of plain JSON values."""
        self._count += 1
        line = self._line(kind, value)
        if not self._tail and self._head_bytes + len(line) <= self._half:
            self._head.append(line)
            self._head_bytes += len(line)
            return
        self._tail.append(line)
        self._tail_bytes += len(line)
        while self._tail_bytes > self._half:
            self._tail_bytes -= len(self._tail.popleft())
            self._dropped += 1

    def to_bytes(self) -> bytes:
        """Return the entries as UTF-8 JSON lines, with ``{"dropped": count}`` where some are missing."""
        gap = [orjson.dumps({"dropped": self._dropped}) + b"\n"] if self._dropped else []
        return b"".join([*self._head, *gap, *self._tail])

    def _line(self, kind: str, value: object) -> bytes:
        try:
            line = orjson.dumps({"n": self._count, "kind": kind, "value": value})
        except TypeError:  # lone surrogates, integers over 64 bits
            line = orjson.dumps({"n": self._count, "kind": kind, "value": ascii(value)})
        for secret in self._secrets:
            line = line.replace(secret, b"[secret]")
        if len(line) > _ENTRY_BYTES:
            start = line[:_KEPT_OF_LONG_ENTRY].decode("utf-8", "replace")
            line = orjson.dumps({"n": self._count, "kind": kind, "cut_bytes": len(line), "start": start})
        return line + b"\n"
