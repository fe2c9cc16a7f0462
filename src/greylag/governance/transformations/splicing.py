"""Replacing spans in text, or inside the strings of JSON, and leaving every other byte as it was."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from greylag.domain.labels import LEVELS
from greylag.governance.scanning.documents import check_json, is_json, items, written
from greylag.governance.scanning.values import Finding
from greylag.governance.transformations.values import refused


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a text that is to be replaced, and the highest find in it."""

    start: int
    end: int
    finding: Finding


def text_of(content: bytes) -> str:
    """Return content as text. Raises RequestRefused ``GL-TRANSFORM-001`` where it isn't UTF-8."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise refused(
            "001", "the content is no UTF-8 text, so nothing in it can be replaced safely.",
            "convert it to UTF-8, or use `encrypt` or `link-instead-of-content`.",
        ) from None  # fmt: skip


def spliced(
    content: bytes, media_type: str, found: Iterable[Finding], replace: Callable[[str, Finding], str],
    *, kinds: tuple[str, ...] = ("text", "number"),
) -> bytes:  # fmt: skip
    """Return content in which each find is what ``replace`` says of its text; finds that overlap are replaced as one.

    In JSON only items of ``kinds`` change, numbers become strings; a find in a key or of the document as a whole is
    left, for the second scan to meet. Raises RequestRefused ``GL-TRANSFORM-001`` for what is no UTF-8 and
    ``GL-TRANSFORM-003`` for broken JSON.
    """
    text = text_of(content)
    if not is_json(media_type):
        return _replaced(text, spans(found), replace).encode()
    checked(text, media_type)
    wanted: dict[int, list[Finding]] = {}
    for each in found:
        wanted.setdefault(each.item, []).append(each)
    pieces: list[str] = []
    end = 0
    for number, item in enumerate(items(text)):
        if number not in wanted or item.kind not in kinds:
            continue
        changed = _replaced(item.value, spans(wanted[number]), replace)
        if changed != item.value:
            pieces += (text[end : item.start], written(changed))
            end = item.end
    return "".join((*pieces, text[end:])).encode()


def checked(text: str, media_type: str) -> None:
    """Check that ``text`` is JSON. Raises RequestRefused ``GL-TRANSFORM-003``."""
    try:
        check_json(text, media_type)
    except ValueError:
        raise refused(
            "003", f"the content says it is `{media_type[:80]}` and is not.", "send it under its own media type."
        ) from None


def spans(found: Iterable[Finding]) -> list[Span]:
    """Return the parts of one text to replace: no two overlap or are empty."""
    merged: list[Span] = []
    for each in sorted((one for one in found if one.start < one.end), key=lambda one: (one.start, -one.end)):
        if not merged or each.start >= merged[-1].end:
            merged.append(Span(each.start, each.end, each))
            continue
        last = merged[-1]
        higher = max(last.finding, each, key=lambda one: LEVELS.index(one.level))
        merged[-1] = Span(last.start, max(last.end, each.end), higher)
    return merged


def _replaced(text: str, parts: list[Span], replace: Callable[[str, Finding], str]) -> str:
    pieces: list[str] = []
    end = 0
    for part in parts:
        pieces += (text[end : part.start], replace(text[part.start : part.end], part.finding))
        end = part.end
    return "".join((*pieces, text[end:]))
