"""Typed identifiers: a prefix that says what it names, then 26 sortable characters."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import NewType

TaskId = NewType("TaskId", str)
RunId = NewType("RunId", str)
ChangeId = NewType("ChangeId", str)
BuildId = NewType("BuildId", str)
ApprovalId = NewType("ApprovalId", str)
ReleaseId = NewType("ReleaseId", str)
DecisionId = NewType("DecisionId", str)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_BITS = 48
_RANDOM_BYTES = 10


def new_id(prefix: str, at: datetime, entropy: bytes) -> str:
    """Return ``prefix_`` and a ULID: 48 bits of milliseconds, 80 bits of ``entropy``, sortable by time.

    ``at`` must be aware; ``entropy`` at least 10 bytes. Raises ValueError otherwise.
    Source: the ULID specification (github.com/ulid/spec).
    """
    if at.tzinfo is None:
        raise ValueError(f"`at` must be an aware time, got {at!r}")
    if len(entropy) < _RANDOM_BYTES:
        raise ValueError(f"`entropy` needs {_RANDOM_BYTES} bytes, got {len(entropy)}")
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1) & ((1 << _TIME_BITS) - 1)
    return f"{prefix}_{_base32(milliseconds << 80 | int.from_bytes(entropy[:_RANDOM_BYTES], 'big'))}"


def derived_id(prefix: str, *parts: str) -> str:
    """Return the id that always belongs to ``parts``: the same step run twice names the same thing.

    80 bits of SHA-256 over the length-framed parts, so no two part lists share a framing.
    """
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return f"{prefix}_{_base32(int.from_bytes(digest.digest()[:16], 'big'))}"


def _base32(value: int) -> str:
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
