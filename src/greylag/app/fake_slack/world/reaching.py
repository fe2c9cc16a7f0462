"""What a message would make Slack do to others: notify people, fetch links and pictures."""

from collections.abc import Callable, Iterator
from typing import Any

from greylag.app.fake_slack.world.records import Json
from greylag.app.fake_slack.world.text import Out, reaching_by_name, reaching_out

#: Type of rich text part or picture: what it reaches, and the field that says whom.
_PARTS = {
    "user": ("user", "user_id"), "broadcast": ("mass", "range"), "usergroup": ("group", "usergroup_id"),
    "link": ("unfurl", "url"), "image": ("image", "image_url"),
}  # fmt: skip


def outs(given: Json, user_id: Callable[[str], str]) -> list[Out]:
    """Return what a call's text, blocks and chunks reach, each once.

    Links count unless both ``unfurl_links`` and ``unfurl_media`` are off: Slack has to fetch a link to know what it is.
    Nothing in a ``plain_text`` object counts.
    """
    texts = [str(given.get(name) or "") for name in ("text", "markdown_text", "initial_comment")]
    found = [out for text in texts for out in reaching_out(text)]
    for name in ("blocks", "chunks", "attachments"):
        found += _in(given.get(name))
    if given.get("parse") == "full" or given.get("link_names"):
        found += reaching_by_name(texts[0], user_id)
    quiet = given.get("unfurl_links") is False and given.get("unfurl_media") is False
    return list(dict.fromkeys(out for out in found if not (quiet and out.kind == "unfurl")))


def _in(value: Any) -> Iterator[Out]:
    """Yield what blocks and chunks reach, wherever it stands in them."""
    for each in value if isinstance(value, list) else ():
        yield from _in(each)
    kind = value.get("type") if isinstance(value, dict) else "plain_text"
    if kind == "plain_text":
        return
    if kind in ("mrkdwn", "markdown", "markdown_text"):
        yield from reaching_out(str(value.get("text", "")))
    elif kind == "task_update":
        for name in ("details", "output"):
            yield from reaching_out(str(value.get(name) or ""))
    elif kind in _PARTS and value.get(_PARTS[kind][1]):
        yield Out(_PARTS[kind][0], str(value[_PARTS[kind][1]]))
    for each in value.values():
        yield from _in(each)
