"""How values become text in the database and come back exactly.

Reading is strict: a kind, a version or a field that this program does not know is never skipped over.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import msgspec

from greylag.domain.errors import IntegrityError, RequestRefused
from greylag.domain.events import EVENT_TYPES, SCHEMA_VERSION, Event
from greylag.domain.task import Task

MAX_VALUE_BYTES = 1 << 20
MAX_TEXT_CHARACTERS = 1_000
_Value = TypeVar("_Value")


def time_text(at: datetime) -> str:
    """Return an aware time as ``YYYY-MM-DDTHH:MM:SS.ffffffZ``. Raises RequestRefused ``GL-STORE-002`` for a naive."""
    if at.tzinfo is None:
        raise _refused(f"the time {at!r} has no zone")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def time_of(text: str) -> datetime:
    """Return the aware UTC time that `time_text` spelled. Raises IntegrityError ``GL-STORE-005`` for other text."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        raise _unreadable(f"the time {text[:40]!r}") from None


def checked_text(name: str, value: str, *, longest: int = MAX_TEXT_CHARACTERS, empty: bool = False) -> str:
    """Return ``value`` if both databases can hold it; ``name`` is what the error calls it.

    Raises RequestRefused ``GL-STORE-002`` for a NUL, a lone surrogate, more than ``longest`` characters, or nothing.
    """
    if not isinstance(value, str):
        raise _refused(f"`{name}` is not text but {type(value).__name__}")
    if not value and not empty:
        raise _refused(f"`{name}` is empty")
    if len(value) > longest:
        raise _refused(f"`{name}` has {len(value)} characters, at most {longest} are kept")
    if "\x00" in value:
        raise _refused(f"`{name}` holds a NUL character at position {value.index(chr(0))}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _refused(f"`{name}` holds a lone surrogate at position {error.start}") from None
    return value


def encode(value: object, kind: Any = None) -> str:
    """Return a frozen value as JSON text that `decode` brings back equal as ``kind``, by default its own class.

    Raises RequestRefused ``GL-STORE-002`` where it would not come back equal (a wrong type in a field, text that a
    database can't hold), or is larger than 1 MiB.
    """
    name = type(value).__name__
    decoder: msgspec.json.Decoder[Any] = _decoder(kind or type(value))  # type: ignore[arg-type]  # classes are hashable
    try:
        data = msgspec.json.encode(value)
        same = decoder.decode(data) == value
    except (UnicodeEncodeError, msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise _refused(f"a `{name}` can't be stored ({error})") from None
    if not same:
        raise _refused(f"a `{name}` does not come back as it was")
    if len(data) > MAX_VALUE_BYTES:
        raise _refused(f"a `{name}` has {len(data)} bytes, at most {MAX_VALUE_BYTES} are kept")
    if b"\\u0000" in data and _holds_nul(msgspec.json.decode(data)):
        raise _refused(f"a `{name}` holds a NUL character")
    return data.decode()


def decode(kind: type[_Value], text: str) -> _Value:
    """Return the ``kind`` that `encode` spelled. Raises IntegrityError ``GL-STORE-005`` for other text."""
    try:
        raw = msgspec.json.decode(text)
        value: _Value = msgspec.convert(raw, kind)
        _refuse_lost_fields(raw, msgspec.to_builtins(value))
    except (msgspec.MsgspecError, UnicodeEncodeError, ValueError) as error:
        raise _unreadable(f"a `{kind.__name__}` ({error})") from None
    return value


def encode_projection(value: Task) -> str:
    """Return a task as JSON text. Its parts were checked when their events were stored."""
    return msgspec.json.encode(value).decode()


def decode_projection(text: str) -> Task | None:
    """Return the task that `encode_projection` spelled, None for anything else: the caller replays the events."""
    try:
        task: Task = _decoder(Task).decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None
    return task


def decode_event(kind: str, schema_version: int, data: str) -> Event:
    """Return a stored event.

    Raises IntegrityError ``GL-STORE-003`` for a kind nobody knows, ``GL-STORE-004`` for one written by a newer
    program, ``GL-STORE-005`` for data that doesn't fit its kind.
    """
    if schema_version > SCHEMA_VERSION:
        raise IntegrityError(
            "GL-STORE-004",
            f"an event has schema version {schema_version}, this program knows up to {SCHEMA_VERSION}.",
            "run the newer Greylag that wrote it; an older one must not work on this database.",
        )
    event_type = EVENT_TYPES.get(kind)
    if event_type is None or schema_version < 1:
        raise IntegrityError(
            "GL-STORE-003",
            f"an event is of the unknown kind {kind[:60]!r} (version {schema_version}).",
            "run the Greylag that wrote it; if there is none, restore the newest backup.",
        )
    return decode(event_type, data)


@cache
def _decoder(kind: type) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _refuse_lost_fields(raw: object, kept: object) -> None:
    # msgspec drops what a dataclass has no field for; a fact that a newer program wrote must not be lost in silence.
    if isinstance(raw, dict) and isinstance(kept, dict):
        unknown = sorted(set(raw) - set(kept))
        if unknown:
            raise ValueError(f"unknown fields {unknown[:5]}")
        for name, item in raw.items():
            _refuse_lost_fields(item, kept[name])
    elif isinstance(raw, list) and isinstance(kept, list | tuple):
        for item, same in zip(raw, kept, strict=True):
            _refuse_lost_fields(item, same)


def _holds_nul(raw: object) -> bool:
    if isinstance(raw, str):
        return "\x00" in raw
    if isinstance(raw, dict):
        return any(_holds_nul(item) for item in raw.values())
    return isinstance(raw, list) and any(_holds_nul(item) for item in raw)


def _refused(what: str) -> RequestRefused:
    return RequestRefused("GL-STORE-002", f"{what}; nothing was written.", "send a value that can be kept as text.")


def _unreadable(what: str) -> IntegrityError:
    return IntegrityError(
        "GL-STORE-005",
        f"a stored record can't be read back: {what}.",
        "run `greylag doctor`; if the database was written by a newer Greylag, run that one, else restore a backup.",
    )
