"""How pages are made: templates that escape everything, text whose hidden characters are shown, and times in words."""

import re
from datetime import datetime
from pathlib import Path

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

HERE = Path(__file__).parent
#: What moves a cursor, turns the direction of text, or can't be seen. Joiners stay: scripts and emoji need them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_STEPS = ((60, 1, ""), (3600, 60, "min"), (86400, 3600, "h"), (float("inf"), 86400, "d"))


def visible(text: str) -> str:
    """Return ``text`` with every hidden character shown: ``«U+001B»`` for an escape, ``«U+202E»`` for a turn around.

    A reviewer must see what a compiler sees (CVE-2021-42574, "Trojan Source"). Tabs and line ends stay.
    """
    return _HIDDEN.sub(lambda found: f"«U+{ord(found.group()):04X}»", text)


def ago(at: datetime, now: datetime) -> str:
    """Return how long ago ``at`` was, as the script `ago.js` says it too: ``just now``, ``3 min ago``."""
    seconds = (now - at).total_seconds()
    for below, unit_seconds, unit in _STEPS:
        if seconds < below:
            return f"{int(seconds // unit_seconds)} {unit} ago" if unit else "just now"
    raise AssertionError("the last step has no end")


def clock(at: datetime) -> str:
    """Return the time of day of ``at``."""
    return at.strftime("%H:%M:%S")


def stamp(at: datetime) -> str:
    """Return ``at`` as date and time of day, with its zone."""
    return at.strftime("%Y-%m-%d %H:%M UTC")


def count(number: int, noun: str) -> str:
    """Return ``number`` and ``noun`` together: ``1 file``, ``2 files``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape(default=True),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters.update(visible=visible, ago=ago, clock=clock, stamp=stamp, count=count)
    return found


_TEMPLATES = _templates()


def page(name: str, status: int = 200, **values: object) -> HTMLResponse:
    """Return the page made by template ``name``; every value in it is escaped."""
    return HTMLResponse(_TEMPLATES.get_template(name).render(**values), status_code=status)
