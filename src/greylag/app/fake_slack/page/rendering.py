"""Templates, and what they show of a message."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse

from greylag.app.fake_slack.acting import now_of
from greylag.app.fake_slack.telling import replies_of
from greylag.app.fake_slack.workspace import Workspace
from greylag.app.fake_slack.world.emoji import GLYPHS
from greylag.app.fake_slack.world.outline import Piece, of_message
from greylag.app.fake_slack.world.records import File, Message, User

HERE = Path(__file__).resolve().parent
#: What a message offers to react with.
REACTIONS = ("+1", "eyes", "white_check_mark", "x")
STATUS_WORDS = {"pending": "not begun", "in_progress": "under way", "complete": "done", "error": "failed"}
_INPUT_TYPES = {
    "number_input": "number", "email_text_input": "email", "url_text_input": "url", "datepicker": "date",
    "timepicker": "time", "datetimepicker": "text",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as the page shows it."""

    ts: str
    anchor: str
    author: str
    by_app: bool
    note: str
    clock: str
    at: str
    pieces: tuple[Piece, ...]
    files: tuple[File, ...]
    reactions: tuple[tuple[str, str, int, bool], ...]
    replies: int
    growing: bool


def shown(workspace: Workspace, message: Message, reader: User) -> Shown:
    """Return a message as the page shows it to ``reader``."""
    at = now_of(message.ts)
    note = "only you see this" if message.ephemeral_to else "edited" if message.edited_ts else ""
    marks = tuple(
        (name, GLYPHS.get(name, name), len(users), reader.id in users) for name, users in message.reactions.items()
    )
    files = tuple(workspace.world.files[each] for each in message.files if each in workspace.world.files)
    growing = message.stream is not None and message.stream.state == "in_progress"
    return Shown(
        message.ts, "m" + message.ts.replace(".", "-"), message.username or workspace.name_of(message.user),
        message.by_app, note, at.strftime("%H:%M:%S"), at.isoformat(timespec="seconds"),
        of_message(message, workspace.name_of), files, marks, len(replies_of(workspace, message)), growing,
    )  # fmt: skip


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape(default=True),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.globals.update(
        reactions=[(name, GLYPHS[name]) for name in REACTIONS], status_words=STATUS_WORDS, input_types=_INPUT_TYPES
    )
    return found


_ENVIRONMENT = _environment()


def render(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page."""
    return HTMLResponse(_ENVIRONMENT.get_template(template).render(**values), status)
