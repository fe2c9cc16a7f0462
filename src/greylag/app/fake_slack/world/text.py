"""Slack's text: what a person's typing becomes, what its markup shows, and what in it reaches out to somebody."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from greylag.app.fake_slack.world.emoji import GLYPHS

MASS = ("channel", "here", "everyone")
_TYPED = re.compile(
    r"(?P<url>https?://[^\s<>\"]+[^\s<>\".,;:!?')\]])|(?<![\w.+-])@(?P<name>[\w.-]*\w)|(?<![\w&])#(?P<room>[a-z0-9_-]+)"
)
_MARK = re.compile(
    r"```(?P<pre>.+?)```|`(?P<code>[^`\n]+)`|<(?P<angle>[^<>\n]+)>"
    r"|(?<![\w*])\*(?P<bold>[^*\n\s](?:[^*\n]*[^*\n\s])?)\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>[^_\n\s](?:[^_\n]*[^_\n\s])?)_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>[^~\n\s](?:[^~\n]*[^~\n\s])?)~(?![\w~])"
    r"|:(?P<emoji>[a-z0-9_+-]{1,40}):|(?P<bare>https?://[^\s<>|\"]+)",
    re.DOTALL,
)
_MARKDOWN = re.compile(
    r"```(?:[\w+-]*\n)?(?P<pre>.+?)```|`(?P<code>[^`\n]+)`|!?\[(?P<label>[^\]\n]*)\]\((?P<href>[^()\s]+)\)"
    r"|<(?P<angle>[^<>\n]+)>|\*\*(?P<bold>[^*\n]+)\*\*|(?<![\w*])\*(?P<italic>[^*\n\s][^*\n]*)\*|~~(?P<strike>[^~\n]+)~~"
    r"|:(?P<emoji>[a-z0-9_+-]{1,40}):|(?P<bare>https?://[^\s<>|\")]+)",
    re.DOTALL,
)
_OUT = re.compile(r"<(?P<angle>[^<>\n]+)>|(?P<bare>https?://[^\s<>|\")]+)")
_LEADS = re.compile(r"(https?://|mailto:|tel:)", re.IGNORECASE)
_NAMES = re.compile(r"(?<![\w.])@(\w[\w.-]*)")


@dataclass(frozen=True, slots=True)
class Span:
    """A run of text. ``kind`` ∈ text, bold, italic, strike, code, pre, link, user, mass, room, emoji.

    ``target`` is a link's URL or an id.
    """

    kind: str
    text: str
    target: str = ""


@dataclass(frozen=True, slots=True)
class Out:
    """Something in a text that reaches out: ``kind`` ∈ mass, user, group, unfurl, image."""

    kind: str
    target: str


def escape(text: str) -> str:
    """Return ``text`` as Slack sends what a person typed: three characters are escaped."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def clean(value: Any) -> Any:
    """Return JSON whose strings are text: half a character (a lone surrogate) becomes U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [clean(each) for each in value]
    if isinstance(value, dict):
        return {clean(name): clean(each) for name, each in value.items()}
    return value


def unescape(text: str) -> str:
    """Return what Slack shows for an escaped text."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def typed(text: str, user_id: Callable[[str], str], room_id: Callable[[str], str]) -> str:
    """Return what typing ``text`` into Slack's message box sends: mentions and links marked, the rest escaped.

    ``user_id`` and ``room_id`` give the id of a name, or nothing.
    """

    def mark(found: re.Match[str]) -> str:
        url, name, room = found["url"], found["name"], found["room"]
        if url:
            return f"<{escape(url)}>"
        if name in MASS:
            return f"<!{name}>"
        if name and user_id(name):
            return f"<@{user_id(name)}>"
        if room and room_id(room):
            return f"<#{room_id(room)}|{room}>"
        return escape(found[0])

    parts, end = [], 0
    for found in _TYPED.finditer(text):
        parts += [escape(text[end : found.start()]), mark(found)]
        end = found.end()
    return "".join([*parts, escape(text[end:])])


def spans(text: str, name_of: Callable[[str], str], *, markdown: bool = False) -> list[Span]:
    """Return what a text shows: ``mrkdwn``, or Markdown as in a stream. ``name_of`` gives the name of a user id."""
    found: list[Span] = []
    end = 0
    for mark in (_MARKDOWN if markdown else _MARK).finditer(text):
        if mark.start() > end:
            found.append(Span("text", unescape(text[end : mark.start()])))
        found.append(_span(mark, name_of))
        end = mark.end()
    if end < len(text):
        found.append(Span("text", unescape(text[end:])))
    return found


def _span(mark: re.Match[str], name_of: Callable[[str], str]) -> Span:
    kind = mark.lastgroup or "text"
    inside = mark[kind]
    if kind == "angle":
        return _control(inside, name_of)
    if kind == "href":
        shown = unescape(mark["label"] or inside)
        return Span("link", shown, unescape(inside)) if _LEADS.match(inside) else Span("text", shown)
    if kind == "bare":
        return Span("link", unescape(inside), unescape(inside))
    if kind == "emoji":
        return Span("emoji", GLYPHS.get(inside, f":{inside}:"))
    return Span(kind, unescape(inside.strip("\n") if kind == "pre" else inside))


def _control(inside: str, name_of: Callable[[str], str]) -> Span:
    target, _, label = inside.partition("|")
    if target.startswith("@"):
        return Span("user", "@" + (name_of(target[1:]) or unescape(label) or target[1:]), target[1:])
    if target.startswith("#"):
        return Span("room", "#" + unescape(label or target[1:]), target[1:])
    if target.startswith("!"):
        word = target[1:].split("^")[0]
        shown = unescape(label) or (target[1:] if word not in MASS else f"@{word}")
        return Span("mass" if word in (*MASS, "subteam") else "text", shown, word)
    if _LEADS.match(target):
        return Span("link", unescape(label or target), unescape(target))
    return Span("text", unescape(f"<{inside}>"))


def reaching_out(text: str) -> Iterator[Out]:
    """Yield what in a marked text (``mrkdwn`` or Markdown) reaches out, wherever it stands in it, code included."""
    for mark in _OUT.finditer(text):
        inside = mark["angle"] or mark["bare"]
        target = inside.partition("|")[0]
        if target.startswith("!") and target[1:] in MASS:
            yield Out("mass", target[1:])
        elif target.startswith("!subteam^"):
            yield Out("group", target[len("!subteam^") :])
        elif re.fullmatch(r"@[UW][A-Z0-9]+", target):
            yield Out("user", target[1:])
        elif re.match(r"https?://", target):
            yield Out("unfurl", unescape(target))


def reaching_by_name(text: str, user_id: Callable[[str], str]) -> Iterator[Out]:
    """Yield what plain ``@names`` reach where a call asks for that (``link_names``, ``parse: full``)."""
    for name in _NAMES.findall(text):
        if name in MASS:
            yield Out("mass", name)
        elif user_id(name):
            yield Out("user", user_id(name))
