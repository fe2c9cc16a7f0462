"""Canonical JSON: one value, one spelling, so that a hash of it means something.

Source: RFC 8785 (JSON Canonicalization Scheme), restricted to values whose spelling no two programs disagree on:
text, integers an IEEE double holds exactly (RFC 7493 §2.2), booleans, null, lists and objects. Floats are refused.
"""

import json
from collections.abc import Mapping

MAX_INTEGER = 2**53 - 1
MAX_DEPTH = 32


def canonical_json(value: object, where: str = "value") -> bytes:
    """Return the one UTF-8 spelling of ``value``; errors call it ``where``.

    Raises ValueError for a float, an integer beyond ±(2^53-1), text with a lone surrogate, a key
    that is not text, nesting deeper than 32, or a value of any other type.
    """
    parts: list[str] = []
    _write(value, parts, where, MAX_DEPTH)
    return "".join(parts).encode()


def _write(value: object, parts: list[str], where: str, depth: int) -> None:
    if depth == 0:
        raise _refused(f"`{where}` nests deeper than {MAX_DEPTH} levels")
    if value is None:
        parts.append("null")
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, str):
        parts.append(_text(value, where))
    elif isinstance(value, int):
        parts.append(_integer(value, where))
    elif isinstance(value, Mapping):
        _write_object(value, parts, where, depth)
    elif isinstance(value, list | tuple):
        parts.append("[")
        for position, item in enumerate(value):
            parts.append("," if position else "")
            _write(item, parts, f"{where}[{position}]", depth - 1)
        parts.append("]")
    else:
        raise _refused(f"`{where}` is of type `{type(value).__name__}`")


def _write_object(value: Mapping[object, object], parts: list[str], where: str, depth: int) -> None:
    named: list[tuple[bytes, str, object]] = []
    for key, item in value.items():
        if not isinstance(key, str):
            raise _refused(f"a key of `{where}` is of type `{type(key).__name__}`")
        spelled = _text(key, where)
        named.append((key.encode("utf-16-be"), spelled, item))
    named.sort(key=lambda entry: entry[0])  # RFC 8785 §3.2.3: by UTF-16 code units, not by code points
    parts.append("{")
    for position, (_, spelled, item) in enumerate(named):
        parts.append(f"{',' if position else ''}{spelled}:")
        _write(item, parts, f"{where}.{spelled[1:-1][:40]}", depth - 1)
    parts.append("}")


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _refused(f"`{where}` holds a lone surrogate at position {error.start}") from None
    # Python escapes exactly what RFC 8785 §3.2.2.2 asks for: the two-character forms, else \u00xx in lower case.
    return json.dumps(str.__str__(value), ensure_ascii=False)


def _integer(value: int, where: str) -> str:
    if abs(value) > MAX_INTEGER:
        raise _refused(f"`{where}` is an integer beyond ±(2^53-1)")
    return int.__repr__(value)


def _refused(what: str) -> ValueError:
    return ValueError(f"{what}, which has no canonical JSON form here")
