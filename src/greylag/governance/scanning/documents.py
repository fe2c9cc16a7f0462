"""JSON text as a row of strings and numbers, each with its place, so that one can be replaced and the rest kept."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"|-?\d[\d.eE+-]*+')
_KEY_FOLLOWS = re.compile(r"[ \t\r\n]*+:")
_LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/json-lines"})


@dataclass(frozen=True, slots=True)
class Item:
    """One string or number as it is written: from ``start`` up to ``end``; ``kind`` ∈ key, text, number."""

    kind: str
    start: int
    end: int
    value: str


def is_json(media_type: str) -> bool:
    """Whether content of this media type is JSON, or one JSON value a line."""
    plain = media_type.partition(";")[0].strip().lower()
    return plain in _LINES or plain == "application/json" or plain.endswith("+json")


def check_json(text: str, media_type: str, keys: Callable[[list[str]], None] | None = None) -> None:
    """Check that ``text`` is JSON; ``keys`` is told the keys of each object. Raises ValueError where it is not."""

    def pairs(members: list[tuple[str, object]]) -> None:
        if keys is not None:
            keys([name for name, _ in members])

    plain = media_type.partition(";")[0].strip().lower()
    for part in text.splitlines() if plain in _LINES else (text,):
        if plain in _LINES and not part.strip():
            continue
        try:
            json.loads(part, object_pairs_hook=pairs, parse_int=str, parse_float=str, parse_constant=_refuse)
        except RecursionError:
            raise ValueError("it nests too deeply") from None


def items(text: str) -> Iterator[Item]:
    """Yield the strings and numbers of JSON ``text``, which must have been checked, in order of writing."""
    for found in _TOKEN.finditer(text):
        written = found[0]
        if written[0] != '"':
            yield Item("number", found.start(), found.end(), written)
            continue
        kind = "key" if _KEY_FOLLOWS.match(text, found.end()) else "text"
        value = json.loads(written) if "\\" in written else written[1:-1]
        yield Item(kind, found.start(), found.end(), value)


def written(value: str) -> str:
    """Return ``value`` as a JSON string that any reader of UTF-8 reads the same."""
    return json.dumps(value, ensure_ascii=True)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")
