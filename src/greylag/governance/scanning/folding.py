r"""Making text plain before it is scanned, with the way back to where each character stood.

Identifiers hide, mostly by accident: behind full-width digits, unusual spaces and dashes, invisible characters, and
one level of escapes (``\u0040``, ``\n``, ``%40``, ``&#64;``).
"""

import re
from bisect import bisect_right
from dataclasses import dataclass

_SPACES = (0x00A0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)
_DASHES = (*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63)
_ZEROS = (0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6)
_SAME_LENGTH = (
    dict.fromkeys(_SPACES, " ") | dict.fromkeys(_DASHES, "-")
    | {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    | {zero + digit: str(digit) for zero in _ZEROS for digit in range(10)}
)  # fmt: skip
_TRANSLATED = re.compile(f"[{''.join(map(chr, sorted(_SAME_LENGTH)))}]")
_INVISIBLE = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
_SHRINKING = re.compile(
    rf"[{_INVISIBLE}]|\\u00([2-7][0-9a-fA-F])|%(2[bBdDeE]|40)|&#(?:x([46][0-9a-fA-F])|(6[0-9]));|\\([nrt])"
)


@dataclass(frozen=True, slots=True)
class Folded:
    """A text made plain. ``lowered`` is as long as ``text``, so a place in one is a place in the other."""

    text: str
    lowered: str
    _plain: tuple[int, ...]
    _original: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return where the characters from ``start`` up to ``end`` stood, with invisible ones that follow them."""
        return self._place(start), self._place(end)

    def _place(self, place: int) -> int:
        if not self._plain:
            return place
        segment = bisect_right(self._plain, place) - 1
        return self._original[segment] + place - self._plain[segment]


def fold(text: str) -> Folded:
    """Return ``text`` made plain."""
    plain = text if text.isascii() or not _TRANSLATED.search(text) else text.translate(_SAME_LENGTH)
    if plain.isascii() and "\\" not in plain and "%" not in plain and "&#" not in plain:
        return Folded(plain, plain.lower(), (), ())
    pieces: list[str] = []
    starts, originals = [0], [0]
    length = end = 0
    for found in _SHRINKING.finditer(plain):
        pieces.append(plain[end : found.start()])
        length += found.start() - end
        code = found[1] or found[2] or found[3]
        sign = chr(int(code, 16)) if code else chr(int(found[4])) if found[4] else "\n" if found[5] else ""
        if sign:
            starts.append(length)
            originals.append(found.start())
            pieces.append(sign)
            length += 1
        end = found.end()
        starts.append(length)
        originals.append(end)
    if end == 0:
        return Folded(plain, _lowered(plain), (), ())
    pieces.append(plain[end:])
    joined = "".join(pieces)
    return Folded(joined, _lowered(joined), tuple(starts), tuple(originals))


def _lowered(text: str) -> str:
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)
