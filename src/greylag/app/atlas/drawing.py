"""What both pictures share: safe text, the style sheet, and the frame with its title and description."""

import re
from collections.abc import Iterable
from html import escape

#: What XML 1.0 forbids, and what moves a cursor, turns the direction of text or can't be seen.
_ODD = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff"
    "\U000e0000-\U000e007f]"
)
#: For the page and, inside the picture, for a file of its own. Sizes grow where the screen is small.
STYLE = """.atlas { font: 600 20px/1.2 system-ui, sans-serif; max-width: 100%; height: auto;
  --ink: #1c2227; --sea: #eef3f6; --land: #cfd6da; --edge: #ffffff; --used: #9db8c4; --quiet: #4e5961;
  --seen: #0b5a78; --said: #8a4b00; --none: #6b3fa0; --no: #a3231c; --box: #ffffff; }
@media (prefers-color-scheme: dark) { .atlas { --ink: #e5e9ec; --sea: #10161a; --land: #36424a; --edge: #10161a;
  --used: #4d6b79; --quiet: #a9b4bb; --seen: #7cc6e6; --said: #f0b460; --none: #c9a6f2; --no: #ff9d94;
  --box: #1e262c; } }
.atlas text { fill: var(--ink); } .atlas .quiet { fill: var(--quiet); font-weight: 400; }
.atlas .sea { fill: var(--sea); } .atlas .land { fill: var(--land); stroke: var(--edge); stroke-width: .6; }
.atlas .used { fill: var(--used); } .atlas .compels { stroke: var(--no); stroke-width: 1.6; stroke-dasharray: 3 2; }
.atlas .box { fill: var(--box); stroke: var(--quiet); }
.atlas .observed, .atlas .declared, .atlas .unknown { stroke: var(--edge); }
.atlas .observed { fill: var(--seen); } .atlas .declared { fill: var(--said); } .atlas .unknown { fill: var(--none); }
.atlas .flow { fill: none; stroke: var(--seen); stroke-opacity: .75; }
.atlas .refused { fill: none; stroke: var(--no); stroke-dasharray: 7 5; }
.atlas .code { paint-order: stroke; stroke: var(--sea); stroke-width: 4px; }
.atlas .boxed { font-size: 22px; }
@media (max-width: 40rem) { .atlas .code { font-size: 36px; } .atlas .row { font-size: 30px; font-weight: 500; }
  .atlas .boxed { font-size: 32px; } }"""


def safe(text: str, longest: int = 60) -> str:
    """Return ``text`` for an SVG: escaped, hidden characters shown as ``«U+202E»``, cut to ``longest`` characters."""
    shown = _ODD.sub(lambda found: f"«U+{ord(found.group()):04X}»", text[: longest + 1])
    return escape(shown if len(shown) <= longest else f"{shown[: longest - 1]}…")


def frame(size: tuple[int, int], words: tuple[str, str], parts: Iterable[str], *, alone: bool) -> str:
    """Return the picture of ``size`` (width, height) with ``words`` (title, description).

    ``alone``: a file of its own, with its style sheet inside; else for a page that brings `STYLE`.
    """
    width, height = size
    style = f"<style>{STYLE}</style>" if alone else ""
    title, description = words
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="atlas" viewBox="0 0 {width} {height}" role="img"'
        f' width="{width}" height="{height}" aria-label="{safe(title, 200)}">'
        f"<title>{safe(title, 200)}</title><desc>{safe(description, 2000)}</desc>{style}{''.join(parts)}</svg>\n"
    )


def text(x: float, y: float, words: str, look: str = "row", anchor: str = "start", longest: int = 60) -> str:
    """Return one line of text at a place."""
    return f'<text class="{look}" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{safe(words, longest)}</text>'


def mark(x: float, y: float, evidence: str, size: float = 8) -> str:
    """Return the mark of an evidence: a disc for observed, a diamond for declared, a triangle for unknown."""
    if evidence == "observed":
        return f'<circle class="observed" cx="{x:.0f}" cy="{y:.0f}" r="{size:.0f}"/>'
    if evidence == "declared":
        reach = size * 1.25
        return (
            f'<path class="declared" d="M{x:.1f} {y - reach:.1f}l{reach:.1f} {reach:.1f}'
            f'l{-reach:.1f} {reach:.1f}l{-reach:.1f} {-reach:.1f}z"/>'
        )
    return f'<path class="unknown" d="M{x:.1f} {y - size:.1f}l{size:.1f} {1.8 * size:.1f}h{-2 * size:.1f}z"/>'
