"""What goes into a room: events whose text nobody's client takes for markup, and that ping nobody. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from greylag.adapters.chat.port import Control, Post

#: Our own field: what an event was sent for, so that it is found again. A hash, as plain rooms show it.
KEY_FIELD = "org.greylag.key"
MARKS = {"seen": "👀", "done": "✅", "refused": "⛔"}
_STEP_MARKS = {"working": "…", "complete": "✓", "error": "✗"}
#: What moves a cursor, turns the direction of text, or can't be seen; joiners stay, as scripts and emoji need them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
#: A Matrix event has at most 65,536 bytes; encryption makes three bytes four, and JSON escapes what isn't ASCII.
_LARGEST_CONTENT_BYTES = 40_000
_CUT = "… (cut here)"
_DIGEST = re.compile("sha256:([0-9a-f]{12})[0-9a-f]{52}")


def visible(text: str) -> str:
    """Return ``text`` with every hidden character shown, as ``«U+202E»``; line ends and tabs stay.

    Source: Unicode TR 36; CVE-2021-42574.
    """
    return _HIDDEN.sub(lambda found: f"«U+{ord(found.group()):04X}»", text.replace("\r\n", "\n"))


def transaction(key: str, *place: str) -> str:
    """Return the transaction id of what is said for ``key`` at ``place``: the server takes each once."""
    return "gl" + hashlib.sha256("\0".join((key, *place)).encode("utf-8", "replace")).hexdigest()[:40]


def body_of(post: Post, longest: int) -> str:
    """Return the words of ``post``: title, text, live steps, and as lines what a button would be elsewhere."""
    before = [f"{_line(post.author)} wrote:"] if post.author != "greylag" else []
    before += [visible(post.title)] if post.title else []
    after = [line for line in map(_control, post.controls) if line]
    text = visible(_steps(post) if post.steps else post.text)
    room = max(200, longest - sum(len(line) + 1 for line in (*before, *after)) - bool(after))
    text = text if len(text) <= room else f"{text[: room - len(_CUT)]}{_CUT}"
    return "\n".join([*before, text, *([""] if after else []), *after])


def message(body: str, thread: str, mark: str, *, quiet: bool = False) -> dict[str, Any]:
    """Return the content of a message in ``thread``: plain text only, mentioning nobody.

    ``quiet`` makes it a notice, which rings no phone. Source: Matrix specification, "m.room.message", "Threading",
    "User and room mentions" (an empty ``m.mentions`` also switches off the older rules that look for names).
    """
    content = _content(body, mark, quiet)
    if thread:
        content["m.relates_to"] = _in_thread(thread)
    return content


def edit(body: str, handle: str, mark: str) -> dict[str, Any]:
    """Return the content that replaces our message ``handle`` by ``body``."""
    short = f"* {body[:80]}"
    return {
        **_content(short, mark, True),
        "m.new_content": _content(body, mark, True),
        "m.relates_to": {"rel_type": "m.replace", "event_id": handle},
    }


def file_message(name: str, thread: str, mark: str, where: Mapping[str, Any], size_bytes: int) -> dict[str, Any]:
    """Return the content of a file in ``thread``; ``where`` is its ``url``, or its ``file`` where it is encrypted."""
    content = {
        "msgtype": "m.file", "body": name, "filename": name, "m.mentions": {}, KEY_FIELD: mark,
        "info": {"size": size_bytes, "mimetype": "application/octet-stream"}, **where,
    }  # fmt: skip
    if thread:
        content["m.relates_to"] = _in_thread(thread)
    return content


def reaction(message_id: str, mark: str) -> dict[str, Any]:
    """Return the content of a reaction; ``mark`` ∈ `MARKS`."""
    return {"m.relates_to": {"rel_type": "m.annotation", "event_id": message_id, "key": MARKS[mark]}}


def file_name(name: str) -> str:
    """Return ``name`` as a file name that is nothing else: one line, no path, at most 200 characters."""
    return _line(name).replace("/", "_").replace("\\", "_")[-200:] or "file"


def fitting(content: dict[str, Any]) -> dict[str, Any]:
    """Return ``content``, its words cut as far as an event can't hold them."""
    while (over := len(json.dumps(content)) - _LARGEST_CONTENT_BYTES) > 0:
        holder = content.get("m.new_content", content)
        if len(holder["body"]) <= len(_CUT):
            break
        holder["body"] = holder["body"][: max(0, len(holder["body"]) - max(over // 12, 50) - len(_CUT))] + _CUT
    return content


def _content(body: str, mark: str, quiet: bool) -> dict[str, Any]:
    return {"msgtype": "m.notice" if quiet else "m.text", "body": body, "m.mentions": {}, KEY_FIELD: mark}


def _in_thread(root: str) -> dict[str, Any]:
    """Return the relation; older clients show it as a reply to the root."""
    return {
        "rel_type": "m.thread", "event_id": root, "is_falling_back": True, "m.in_reply_to": {"event_id": root},
    }  # fmt: skip


def _steps(post: Post) -> str:
    return "\n".join(f"{_STEP_MARKS.get(step.state, '…')} {_line(step.text)}" for step in post.steps)


def _control(control: Control) -> str:
    """Return the line that stands for a button: where it leads, or what to write."""
    if control.url:
        return f"{_line(control.label)}: {_line(control.url)}"
    if not control.said:
        return ""
    return f"{_line(control.label)}: write “{_line(control.said)}{_binding(control)}”"


def _binding(control: Control) -> str:
    """Return what ties typed words to what was shown.

    In which thread they stand is in clear, even where they are encrypted: whoever keeps the server could move them.
    """
    found = _DIGEST.match(control.value)
    return f" {found[1]}" if found and control.verb == "approve" and control.said == "approve" else ""


def _line(text: str) -> str:
    return visible(" ".join(text.split()))
