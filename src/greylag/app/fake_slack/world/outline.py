"""What a message, a modal or a home shows: pieces in order, the same for the page and for plain text."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from greylag.app.fake_slack.world.emoji import GLYPHS
from greylag.app.fake_slack.world.records import Json, Message
from greylag.app.fake_slack.world.text import Span, spans, unescape

NameOf = Callable[[str], str]
MARKS = {"pending": "○", "in_progress": "…", "complete": "✓", "error": "✗"}
#: Slack's styles of a text in rich text, and how we show it.
_STYLES = (("code", "code"), ("bold", "bold"), ("italic", "italic"), ("strike", "strike"))


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a menu."""

    label: str
    value: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Widget:
    """Something to press, choose or fill in. ``kind`` is Slack's type of element; ``url`` is set where it leads on."""

    kind: str
    label: str
    action_id: str
    block_id: str
    value: str = ""
    url: str = ""
    style: str = ""
    placeholder: str = ""
    choices: tuple[Choice, ...] = ()
    multiline: bool = False
    optional: bool = False
    confirm: tuple[str, str, str, str] = ("", "", "", "")


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing to show. ``kind`` ∈ text, heading, divider, context, image, quote, widgets, input, task, plan, table.

    ``note`` is beside it: a status of a task, the level of an alert, the hint of an input. ``rows`` are a table's.
    """

    kind: str
    spans: tuple[Span, ...] = ()
    note: str = ""
    widgets: tuple[Widget, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    inner: tuple["Piece", ...] = ()

    @property
    def text(self) -> str:
        """The piece's text without its looks."""
        return "".join(span.text for span in self.spans)


def of_message(message: Message, name_of: NameOf) -> tuple[Piece, ...]:
    """Return what a message shows. A message with blocks shows these; its ``text`` is for notifications then."""
    if message.deleted:
        return (Piece("context", (Span("text", "This message was deleted."),)),)
    found: list[Piece] = []
    if message.stream is not None:
        found += _of_stream(message.stream.pieces, message.stream.mode, name_of)
    elif not message.blocks_given and message.text:
        found += _lines(message.text, name_of)
    for block in message.blocks if message.blocks_given else ():
        found += of_block(block, name_of, {})
    return tuple(found)


def of_view(content: Json, values: Mapping[str, Mapping[str, Json]], name_of: NameOf) -> tuple[Piece, ...]:
    """Return what a modal or a home shows, with what was typed into it."""
    return tuple(piece for block in content.get("blocks", ()) for piece in of_block(block, name_of, values))


def _of_stream(pieces: Iterable[Json], mode: str, name_of: NameOf) -> list[Piece]:
    """In mode ``plan`` the tasks stand together under the plan's title; in ``timeline`` where they came."""
    found: list[Piece] = []
    tasks: list[Piece] = []
    title = ""
    for each in pieces:
        if each["type"] == "text":
            found += _lines(each["text"], name_of, markdown=True)
        elif each["type"] == "plan":
            title = each["title"]
        elif each["type"] == "blocks":
            found += [piece for block in each["blocks"] for piece in of_block(block, name_of, {})]
        else:
            more = [
                piece
                for name in ("details", "output")
                for piece in _lines(each.get(name) or "", name_of, markdown=True)
            ]
            piece = Piece("task", _plain(each["title"]), each["status"], inner=(*more, *_sources(each)))
            (tasks if mode == "plan" else found).append(piece)
    if not tasks:
        return ([Piece("plan", _plain(title))] if title else []) + found
    return [Piece("plan", _plain(title or "Plan"), inner=tuple(tasks)), *found]


def _sources(task: Json) -> tuple[Piece, ...]:
    listed = task.get("sources") or ()
    return tuple(Piece("text", (Span("link", each.get("text", ""), each.get("url", "")),)) for each in listed)


def _plain(text: str) -> tuple[Span, ...]:
    return (Span("text", text),)


def _lines(text: str, name_of: NameOf, *, markdown: bool = False) -> list[Piece]:
    """Return a text with quoted lines set apart."""
    found = []
    quoted = re.compile(r"((?:^(?:>|&gt;).*(?:\n|\Z))+)", re.MULTILINE)
    for part in quoted.split(text):
        if not part.strip("\n"):
            continue
        if quoted.fullmatch(part):
            inside = re.sub(r"^(?:>|&gt;) ?", "", part.rstrip("\n"), flags=re.MULTILINE)
            found.append(Piece("quote", tuple(spans(inside, name_of, markdown=markdown))))
        else:
            found.append(Piece("text", tuple(spans(part.strip("\n"), name_of, markdown=markdown))))
    return found


def of_block(block: Json, name_of: NameOf, values: Mapping[str, Mapping[str, Json]]) -> list[Piece]:
    """Return what one block shows."""
    kind = block["type"]
    if kind in ("actions", "context_actions"):
        shown = [widget for each in block["elements"] for widget in _widgets(each, block, values)]
        return [Piece("widgets", widgets=tuple(shown))]
    if kind == "input":
        return [_input(block, values)]
    if kind == "section":
        return _section(block, name_of, values)
    if kind == "context":
        apart = Span("text", " ")
        shown_spans = [span for each in block["elements"] for span in (*_context(each, name_of), apart)]
        return [Piece("context", tuple(shown_spans[:-1]))]
    return _still(kind, block, name_of)


def _still(kind: str, block: Json, name_of: NameOf) -> list[Piece]:
    """Return what a block shows that nobody can press."""
    if kind == "header":
        return [Piece("heading", _text(block["text"], name_of))]
    if kind == "divider":
        return [Piece("divider")]
    if kind == "image":
        return [Piece("image", _plain(block["alt_text"]), str(block.get("image_url", "")))]
    if kind == "markdown":
        return _lines(block["text"], name_of, markdown=True)
    if kind == "alert":
        return [Piece("context", _text(block["text"], name_of), block.get("level", "default"))]
    if kind == "task_card":
        more = [piece for name in ("details", "output") if block.get(name) for piece in _rich(block[name], name_of)]
        return [Piece("task", _plain(block["title"]), block["status"], inner=(*more, *_sources(block)))]
    if kind == "plan":
        inner = [piece for each in block.get("tasks") or () for piece in _still("task_card", each, name_of)]
        return [Piece("plan", _plain(block["title"]), inner=tuple(inner))]
    if kind == "table":
        rows = tuple(tuple(_cell(cell, name_of) for cell in row) for row in block["rows"])
        return [Piece("table", rows=rows)]
    return _rich(block, name_of)


def _section(block: Json, name_of: NameOf, values: Mapping[str, Mapping[str, Json]]) -> list[Piece]:
    found: list[Piece] = []
    if block.get("text"):
        if block["text"]["type"] == "mrkdwn":
            found += _lines(block["text"]["text"], name_of)
        else:
            found.append(Piece("text", _text(block["text"], name_of)))
    found += [Piece("text", _text(each, name_of)) for each in block.get("fields") or ()]
    accessory = block.get("accessory")
    if accessory and accessory["type"] == "image":
        found.append(Piece("image", _plain(accessory["alt_text"]), str(accessory.get("image_url", ""))))
    elif accessory:
        found.append(Piece("widgets", widgets=tuple(_widgets(accessory, block, values))))
    return found


def _context(element: Json, name_of: NameOf) -> tuple[Span, ...]:
    if element["type"] == "image":
        return (Span("text", f"[{element['alt_text']}]"),)
    return _text(element, name_of)


def _text(value: Json, name_of: NameOf) -> tuple[Span, ...]:
    """Return a text object: nothing in ``plain_text`` is markup but ``:emoji:`` where asked for."""
    if value["type"] == "mrkdwn":
        return tuple(spans(value["text"], name_of))
    text = value["text"]
    if value.get("emoji"):
        text = re.sub(r":([a-z0-9_+-]{1,40}):", lambda found: GLYPHS.get(found[1], found[0]), text)
    return _plain(text)


def plain(value: Json | None) -> str:
    """Return the words of a text object as somebody reads them."""
    return "".join(span.text for span in _text(value, lambda _: "")) if value else ""


def _widgets(element: Json, block: Json, values: Mapping[str, Mapping[str, Json]]) -> list[Widget]:
    kind, action_id, block_id = element["type"], element.get("action_id", ""), block.get("block_id", "")
    if kind == "feedback_buttons":
        two = (element["positive_button"], element["negative_button"])
        return [Widget("button", plain(each["text"]), action_id, block_id, each["value"]) for each in two]
    held = values.get(block_id, {}).get(action_id, {})
    confirm = element.get("confirm") or {}
    asked = tuple(plain(confirm.get(name)) for name in ("title", "text", "confirm", "deny"))
    return [
        Widget(
            kind, plain(element.get("text")) or plain(element.get("placeholder")) or kind.replace("_", " "), action_id,
            block_id, _held(element, held), str(element.get("url") or ""), str(element.get("style") or ""),
            plain(element.get("placeholder")), tuple(_choices(element, held)), bool(element.get("multiline")),
            bool(block.get("optional")), (asked[0], asked[1], asked[2], asked[3]),
        )
    ]  # fmt: skip


def _held(element: Json, held: Mapping[str, Any]) -> str:
    """Return what is in a field: what was typed, else what it began with, else a button's own value."""
    for name in ("value", "selected_user", "selected_date", "selected_time", "selected_date_time"):
        if held.get(name) is not None:
            return str(held[name])
    names = ("initial_value", "initial_user", "initial_date", "initial_time", "initial_date_time", "value")
    return next((str(element[name]) for name in names if element.get(name) is not None), "")


def _choices(element: Json, held: Mapping[str, Any]) -> Iterable[Choice]:
    options = element.get("options") or [
        each for group in element.get("option_groups") or () for each in group["options"]
    ]
    first = element.get("initial_options") or ([element["initial_option"]] if element.get("initial_option") else [])
    chosen = held.get("selected_options") or ([held["selected_option"]] if held.get("selected_option") else first)
    wanted = {each["value"] for each in chosen}
    return [Choice(plain(each["text"]), each["value"], each["value"] in wanted) for each in options]


def _input(block: Json, values: Mapping[str, Mapping[str, Json]]) -> Piece:
    return Piece(
        "input",
        _plain(plain(block["label"])),
        plain(block.get("hint")),
        tuple(_widgets(block["element"], block, values)),
    )


def _rich(block: Json, name_of: NameOf) -> list[Piece]:
    found = []
    for part in block.get("elements", ()):
        kind = part["type"]
        if kind == "rich_text_list":
            for number, each in enumerate(part["elements"], 1):
                mark = f"{number}. " if part.get("style") == "ordered" else "• "
                found.append(Piece("text", (Span("text", mark), *_parts(each, name_of))))
        elif kind == "rich_text_preformatted":
            found.append(Piece("text", (Span("pre", "".join(span.text for span in _parts(part, name_of))),)))
        else:
            found.append(Piece("quote" if kind == "rich_text_quote" else "text", tuple(_parts(part, name_of))))
    return found


def _parts(part: Json, name_of: NameOf) -> list[Span]:
    found = []
    for each in part.get("elements", ()):
        kind = each["type"]
        if kind == "text":
            style = next((shown for name, shown in _STYLES if each.get("style", {}).get(name)), "text")
            found.append(Span(style, each["text"]))
        elif kind == "link":
            found.append(Span("link", each.get("text") or each["url"], each["url"]))
        elif kind == "user":
            found.append(Span("user", "@" + (name_of(each["user_id"]) or each["user_id"]), each["user_id"]))
        elif kind == "broadcast":
            found.append(Span("mass", "@" + each["range"], each["range"]))
        elif kind == "emoji":
            found.append(Span("emoji", GLYPHS.get(each["name"], f":{each['name']}:")))
        else:
            found.append(Span("text", unescape(str(each.get("fallback", kind)))))
    return found


def _cell(cell: Json, name_of: NameOf) -> str:
    if cell["type"] == "rich_text":
        return "\n".join(piece.text for piece in _rich(cell, name_of))
    return str(cell.get("text", ""))


def plain_lines(pieces: Iterable[Piece]) -> list[str]:
    """Return what the pieces show as lines of plain text, buttons in square brackets."""
    lines: list[str] = []
    for piece in pieces:
        if piece.kind == "widgets":
            lines.append(" ".join(_shown(widget) for widget in piece.widgets))
        elif piece.kind == "input":
            lines += [f"{piece.text}: {_shown(widget)}" for widget in piece.widgets]
        elif piece.kind == "divider":
            lines.append("-" * 20)
        elif piece.kind == "table":
            lines += [" | ".join(row) for row in piece.rows]
        elif piece.kind == "image":
            lines.append(f"[picture: {piece.text}]")
        else:
            first, more = {"task": (MARKS.get(piece.note, "?") + " ", "  "), "quote": ("> ", "> ")}.get(
                piece.kind, ("", "")
            )
            lines += [(more if number else first) + line for number, line in enumerate(piece.text.split("\n"))]
        lines += ["  " + line for line in plain_lines(piece.inner)]
    return lines


def _shown(widget: Widget) -> str:
    if widget.choices:
        return (
            f"[{widget.label}: "
            + " / ".join(("*" if each.chosen else "") + each.label for each in widget.choices)
            + "]"
        )
    return f"[{widget.label}]" if widget.kind == "button" else f"[{widget.value or widget.label}]"
