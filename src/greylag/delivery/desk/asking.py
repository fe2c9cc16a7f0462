"""Asking: a request is checked, kept, recorded as a task, acknowledged in its thread, and started."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from greylag.adapters.engine.port import Engine
from greylag.delivery.cell import CONTROL_STORE, UNLABELLED, About, Cell
from greylag.delivery.desk.checks import person_with, title_of, words_of
from greylag.delivery.echo import echo
from greylag.domain import events as ev
from greylag.domain.conversation import Conversation
from greylag.domain.errors import OperatorError, RequestRefused
from greylag.domain.ids import TaskId, derived_id, new_id
from greylag.domain.labels import Label
from greylag.domain.references import Reference
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.hop import Hop

_COMMAND_CHARACTERS = 100_000
_ATTACHMENTS = 4
_ATTACHMENT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for. ``message_id`` makes the same message asked twice one task.

    ``conversation`` is where a chat heard it: there the task is talked about from its first word on. ``context`` is
    what was said there before, as JSON (a list of ``author``, ``own``, ``text``); ``room_label`` what the operator says
    of that room.
    """

    requester: str
    text: str
    repository: str | None = None
    agent: str = ""
    command: tuple[str, ...] = ()
    channel: str = "console"
    message_id: str = ""
    attachments: tuple["Attachment", ...] = ()
    conversation: Conversation | None = None
    context: bytes = b""
    room_label: Label | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text file handed in with a request: its name, and its bytes."""

    name: str
    content: bytes


def task_id_of(channel: str, message_id: str) -> TaskId:
    """Return the id of the task that the message ``message_id`` of ``channel`` becomes, asked once or again."""
    return TaskId(derived_id("task", channel, message_id))


def take_request(cell: Cell, engine: Engine, request: Request) -> Task:
    """Take a request, acknowledge it in its thread, and start its workflow; the same message again is no new task.

    Raises RequestRefused ``GL-INTAKE-001`` (empty), ``-002`` (too long), ``GL-REPO-001``, ``GL-AGENT-002``,
    ``GL-AGENT-003`` (a command is missing or not wanted), ``GL-INTAKE-004`` (attachments), ``GL-PERSON-001/-002``;
    PolicyRefused; OperatorError ``GL-CHAT-020`` for a conversation where there are no chats.
    """
    if request.message_id and (known := cell.events.read(task_id_of(request.channel, request.message_id), 0, 1)):
        return begin(cell, engine, known[0], request)
    person = person_with(cell, request.requester, "requester")
    text = words_of(cell, request.text)
    label = _first_label(cell, request)
    _check_agent(cell, request)
    _check_attachments(request.attachments)
    if not request.repository and not cell.directory.repositories():
        raise RequestRefused(
            "GL-REPO-002", "no repository is known yet.", "add one: `greylag repo add PATH_OR_URL --name NAME`."
        )
    if request.conversation is not None and cell.chats is None:
        raise OperatorError("GL-CHAT-020", "a request came from a chat, and there are none.", "connect the chat.")
    now = cell.clock.now()
    message = request.message_id or new_id("task", now, cell.clock.entropy(10))
    task_id = task_id_of(request.channel, message) if request.message_id else TaskId(message)
    about = About(task_id, label, request.repository or "", (person.name, *filter(None, (person.email,))))
    asset = cell.asset("request", label, text.encode(), surfaces=("title",), people=about.people)
    who = f"person:{person.name}"
    asked = cell.door.admit(Hop(Stage.INTAKE, who, "ask", asset, CONTROL_STORE, "ask", task_id, about.repository))
    if request.context:
        about = replace(about, label=cell.labeller.of_content(request.context, label))
    recorded = cell.events.append(task_id, _received(cell, about, request, text), key="received", at=now)
    cell.seen_now(asked, "stored")
    return begin(cell, engine, recorded, request)


def begin(cell: Cell, engine: Engine, recorded: ev.Recorded, request: Request) -> Task:
    """Do what follows once a request is ``recorded``: bind its conversation, acknowledge, start; again is fine."""
    task = cell.events.task(recorded.task_id)
    if request.conversation is not None and cell.chats is not None:
        # Before the first word: all that is said about the task is said there too.
        cell.chats.bind(request.conversation, task.task_id, recorded.at)
    echo(cell, task, recorded)
    engine.start(task.task_id)
    return task


def _received(cell: Cell, about: About, request: Request, text: str) -> ev.TaskReceived:
    """Keep what was handed in, and return the event that names it."""
    kept = cell.keep_now(about, text.encode(), "request", "request")
    command: Reference | None = None
    if request.command:
        words = json.dumps(request.command).encode()
        command = cell.keep_now(about, words, "command", "command", "application/json")
    files = [
        cell.keep_now(_about_file(cell, about, each.name), each.content, "attachment", f"attachment/{number}")
        for number, each in enumerate(request.attachments)
    ]
    context = None
    if request.context:
        context = cell.keep_now(about, request.context, "context", "context", "application/json")
    where = request.conversation
    return ev.TaskReceived(
        request.channel, about.people[0], kept, title_of(text), cell.region, request.repository, request.agent,
        command, request.message_id, tuple(files), tuple(title_of(each.name) for each in request.attachments),
        where.room if where else "", where.thread if where else "", context,
        about.label if request.context or request.room_label is not None else None,
    )  # fmt: skip


def _first_label(cell: Cell, request: Request) -> Label:
    """Return what is known before intake: the label of the repository that is named, else `UNLABELLED`; the room's."""
    named = request.repository
    label = cell.labeller.of_repository(cell.directory.repository(named)) if named else UNLABELLED
    return label.joined(request.room_label) if request.room_label is not None else label


def _about_file(cell: Cell, about: About, name: str) -> About:
    """Say of an attached file what is said of a file of that name in the repository."""
    if not about.repository:
        return about
    repository = cell.directory.repository(about.repository)
    return replace(about, label=about.label.joined(cell.labeller.of_repository(repository, (name,))))


def _check_agent(cell: Cell, request: Request) -> None:
    name = request.agent or cell.default_agent
    if name not in cell.agents:
        known = ", ".join(f"`{each}`" for each in sorted(cell.agents))
        raise RequestRefused("GL-AGENT-002", f"there is no agent {name!r} (there are {known}).", "name one of these.")
    size = sum(len(word) for word in request.command)
    if size > _COMMAND_CHARACTERS:
        raise RequestRefused(
            "GL-AGENT-005",
            f"the command has {size} characters, at most {_COMMAND_CHARACTERS} are taken.",
            "put the program into the repository or the toolchain, and call it by its name.",
        )
    if (name in ("command", "acp")) != bool(request.command):
        what = "needs a command after `--`" if name in ("command", "acp") else "takes no command"
        raise RequestRefused(
            "GL-AGENT-003",
            f"agent `{name}` {what}.",
            "for example: `greylag ask '…' --agent command -- ruff check --fix`.",
        )


def _check_attachments(files: Sequence[Attachment]) -> None:
    """Raise RequestRefused ``GL-INTAKE-004`` for files that can't go into a prompt: too many, too large, no text."""
    for each in files:
        try:
            held = b"\0" not in each.content and bool(each.content.decode())
        except UnicodeDecodeError:
            held = False
        if not held or not title_of(each.name):
            raise RequestRefused(
                "GL-INTAKE-004", f"the attachment {each.name[:60]!r} is no UTF-8 text with a name.",
                "attach text, CSV or JSON; put other files into the repository.",
            )  # fmt: skip
    size = sum(len(each.content) for each in files)
    if len(files) > _ATTACHMENTS or size > _ATTACHMENT_BYTES:
        raise RequestRefused(
            "GL-INTAKE-004", f"{len(files)} attachments with {size} bytes; at most {_ATTACHMENTS} with"
            f" {_ATTACHMENT_BYTES} are taken.",
            "attach an excerpt, or put the files into the repository.",
        )  # fmt: skip
