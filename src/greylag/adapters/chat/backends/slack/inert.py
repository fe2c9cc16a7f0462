"""Text that does nothing in Slack: no mention, no link of its own, no hidden character, no more than Slack takes."""

import re

#: What moves a cursor, turns the direction of text, or can't be seen. Joiners stay: scripts and emoji need them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_LINE_END = re.compile("\r\n?|[\u2028\u2029]")
_LONE = re.compile("[\ud800-\udfff]")
_MARKUP = re.compile("<(?=[@#!])")
_WEIGHTS = {"&": 5, "<": 4, ">": 4}

#: Longer text than any bound here is cut before anything else is done with it.
_LONGEST_READ = 200_000


def visible(text: str) -> str:
    """Return ``text`` with every hidden character shown (``«U+001B»`` for an escape) and Unix line ends."""
    whole = _LONE.sub("\ufffd", _LINE_END.sub("\n", text[:_LONGEST_READ]))
    return _HIDDEN.sub(lambda found: f"«U+{ord(found.group()):04X}»", whole)


def line(text: str, longest: int) -> str:
    """Return ``text`` as one visible line of at most ``longest`` weight, never empty."""
    return shortened(" ".join(visible(text[: longest * 20]).split()), longest) or "…"


def title(text: str, longest: int) -> str:
    """Return a line for a place whose reading of markup is not documented: what begins a mention is broken up."""
    return shortened(_MARKUP.sub("<\u2060", line(text, longest)), longest)


def escaped(text: str) -> str:
    """Return ``text`` for a field that Slack reads as markup: its three control characters as entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def weight(text: str) -> int:
    """Return how long Slack may count ``text``: UTF-16 units, and control characters as the entities they become."""
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    return units + sum((size - 1) * text.count(each) for each, size in _WEIGHTS.items())


def shortened(text: str, longest: int) -> str:
    """Return ``text`` within ``longest`` weight, with ``…`` at the end where something is missing."""
    if weight(text) <= longest:
        return text
    return text[: _fits(text, longest - 1)].rstrip() + "…"


def pieces(text: str, longest: int) -> list[str]:
    """Split ``text`` into parts of at most ``longest`` weight, at line ends or blanks where there are some."""
    parts = []
    while weight(text) > longest:
        end = _fits(text, longest)
        breaks = (text.rfind("\n", end // 2, end), text.rfind(" ", end // 2, end))
        cut = next((place + 1 for place in breaks if place >= 0), end)
        parts.append(text[:cut].rstrip("\n") or " ")
        text = text[cut:]
    return [*parts, text] if text else parts


def _fits(text: str, longest: int) -> int:
    """Return how many characters of ``text`` weigh at most ``longest``; at least one."""
    left = longest
    for place, each in enumerate(text):
        left -= _WEIGHTS.get(each, 1 if ord(each) < 0x10000 else 2)
        if left < 0:
            return max(place, 1)
    return len(text)
