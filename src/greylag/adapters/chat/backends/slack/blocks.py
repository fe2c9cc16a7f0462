"""What is said, as Block Kit blocks of plain text. Nothing here is read as markup by Slack.

Bounds: 50 blocks and about 13,000 characters a message, 3,000 a section, 25 elements a row, 2,000 a value. Source:
https://docs.slack.dev/reference/block-kit/blocks, and for the whole message what bolt-js issue 2509 measured.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from greylag.adapters.chat.backends.slack.inert import escaped, line, pieces, shortened, visible, weight
from greylag.adapters.chat.port import Control, Post

Block = dict[str, Any]

SECTION = 2_900
WHOLE = 12_000
#: What a message shows of a text.
TEXT = 10_000
ROW = 25
BUTTONS = 50
VALUE = 2_000
NOTIFICATION = 300
#: What the text may always have of a message, whatever its buttons weigh.
_LEAST_TEXT = 4_000
_LONGEST_URL = 3_000
_STYLES = {"primary": "primary", "approve": "primary", "danger": "danger"}


@dataclass(frozen=True, slots=True)
class Carried:
    """What a clicked button brings back, as we gave it: hostile until checked."""

    verb: str
    value: str
    task_id: str
    asks: str = ""
    modes: tuple[str, ...] = ()


def plain(text: str) -> Block:
    """Return a text object that Slack shows as it is."""
    return {"type": "plain_text", "text": text, "emoji": False}


def section(text: str) -> Block:
    """Return a block of text."""
    return {"type": "section", "text": plain(text)}


def context(text: str) -> Block:
    """Return a small grey line."""
    return {"type": "context", "elements": [plain(text)]}


def message(post: Post) -> tuple[list[Block], str]:
    """Return the blocks of ``post`` and what a notification shows of it, escaped."""
    rows, words, weight_of_rows = _rows(post.controls)
    head: list[Block] = []
    if post.title:
        head.append({"type": "header", "text": plain(line(post.title, 140))})
    if post.author and post.author != "greylag":
        head.append(context(f"{line(post.author, 100)} wrote:"))
    tail = [context(line(each, 300)) for each in words[:5]]
    others = sum(weight(each["elements"][0]["text"]) for each in tail)
    left = min(TEXT, WHOLE - weight_of_rows - others - 300)
    shown = sections(post.text, left, bool(rows or post.controls))
    return [*head, *shown, *rows, *tail], notification(post)


def notification(post: Post) -> str:
    """Return the first words of ``post``, for places that show no blocks, escaped."""
    first = " ".join(visible(f"{post.title}: {post.text}" if post.title else post.text).split())
    return escaped(shortened(first, NOTIFICATION)) or "…"


def short(post: Post) -> list[Block]:
    """Return ``post`` in the plainest form there is, for when Slack takes no other."""
    return [section(shortened(visible(post.text).strip(), 2_000) or "…")]


def sections(text: str, longest: int, linked: bool) -> list[Block]:
    """Return ``text`` in blocks within ``longest``; what is missing is said, and where it can be read."""
    whole = visible(text).strip("\n")
    if not whole.strip():
        return [section("…")]
    if weight(whole) <= longest:
        return [section(each) for each in pieces(whole, SECTION)]
    shown = shortened(whole, longest - 150)
    rest = "on the task's page" if not linked else "behind the link"
    cut = f"Cut here: {len(text) - len(shown)} more characters are {rest}."
    return [*(section(each) for each in pieces(shown, SECTION)), context(cut)]


def link_button(label: str, url: str, number: int) -> Block | None:
    """Return a button that opens ``url``, None where it is no web address."""
    if len(url) > _LONGEST_URL or not _is_web(url):
        return None
    return {
        "type": "button", "text": plain(line(label, 70)), "action_id": f"greylag:link:{number}", "url": visible(url),
    }  # fmt: skip


def carried(value: object) -> Carried | None:
    """Return what a button's ``value`` says, None for anything that we did not write."""
    if not isinstance(value, str) or len(value) > VALUE:
        return None
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    texts = [found.get(name, "") for name in ("verb", "value", "task_id", "asks")]
    modes = found.get("modes", [])
    if not all(isinstance(each, str) for each in texts) or not isinstance(modes, list) or len(modes) > 10:
        return None
    if not texts[0] or not all(isinstance(each, str) and 0 < len(each) <= 70 for each in modes):
        return None
    return Carried(texts[0], texts[1], texts[2], texts[3], tuple(modes))


def bring_back(control: Control) -> str:
    """Return a button's value that brings ``control`` back, "" where it is too long for one."""
    given: dict[str, object] = {"verb": control.verb, "value": control.value, "task_id": control.task_id}
    if control.asks:
        given["asks"] = line(control.asks, 140)
        given["modes"] = [line(each, 70) for each in control.modes[:10]]
    value = json.dumps(given, separators=(",", ":"))
    return value if len(value) <= VALUE else ""


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("https", "http") and bool(parts.hostname)
    except ValueError:
        return False


def _rows(controls: Sequence[Control]) -> tuple[list[Block], list[str], int]:
    """Return rows of buttons, words for what became none, and what the rows weigh."""
    buttons: list[Block] = []
    words: list[str] = []
    heavy = 0
    for number, control in enumerate(controls):
        button = _button(control, number)
        cost = _cost(button) if button else 0
        if button is None or len(buttons) >= BUTTONS or heavy + cost > WHOLE - _LEAST_TEXT:
            words.append(control.said or control.label)
            continue
        heavy += cost
        buttons.append(button)
    rows: list[Block] = [
        {"type": "actions", "elements": buttons[start : start + ROW]} for start in range(0, len(buttons), ROW)
    ]
    return rows, [f"Or write: {each}" for each in words], heavy


def _button(control: Control, number: int) -> Block | None:
    if control.url:
        return link_button(control.label, control.url, number)
    value = bring_back(control) if control.verb else ""
    if not value:
        return None
    button: Block = {
        "type": "button", "text": plain(line(control.label, 70)), "action_id": f"greylag:{number}", "value": value,
    }  # fmt: skip
    if control.style in _STYLES:
        button["style"] = _STYLES[control.style]
    return button


def _cost(button: Mapping[str, Any]) -> int:
    return weight(button["text"]["text"]) + weight(button.get("value", "")) + weight(button.get("url", ""))
