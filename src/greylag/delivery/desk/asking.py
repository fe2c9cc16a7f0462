"""Asking: a request is checked, kept, recorded as a task, acknowledged in its thread, and started."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from greylag.adapters.engine.port import Engine
from greylag.delivery.cell import CONTROL_STORE, UNLABELLED, About, Cell
from greylag.delivery.desk.checks import person_with, title_of, words_of
from greylag.delivery.echo import echo
from greylag.domain import events as ev
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import TaskId, derived_id, new_id
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.hop import Hop

_COMMAND_CHARACTERS = 100_000
_ATTACHMENTS = 4
_ATTACHMENT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for. ``message_id`` makes the same message asked twice one task."""

    requester: str
    text: str
    repository: str | None = None
    agent: str = ""
    command: tuple[str, ...] = ()
    channel: str = "console"
    message_id: str = ""
    attachments: tuple["Attachment", ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text file handed in with a request: its name, and its bytes."""

    name: str
    content: bytes


def take_request(cell: Cell, engine: Engine, request: Request) -> Task:
    """Take a request, acknowledge it in its thread, and start its workflow; the same message again is no new task.

    Raises RequestRefused ``GL-INTAKE-001`` (empty), ``-002`` (too long), ``GL-REPO-001``, ``GL-AGENT-002``,
    ``GL-AGENT-003`` (a command is missing or not wanted), ``GL-INTAKE-004`` (attachments), ``GL-PERSON-001/-002``;
    PolicyRefused.
    """
    person = person_with(cell, request.requester, "requester")
    text = words_of(cell, request.text)
    label = _first_label(cell, request)
    _check_agent(cell, request)
    _check_attachments(request.attachments)
    if not request.repository and not cell.directory.repositories():
        raise RequestRefused(
            "GL-REPO-002", "no repository is known yet.", "add one: `greylag repo add PATH_OR_URL --name NAME`."
        )
    now = cell.clock.now()
    fresh = new_id("task", now, cell.clock.entropy(10))
    task_id = TaskId(derived_id("task", request.channel, request.message_id) if request.message_id else fresh)
    content = text.encode()
    about = About(task_id, label, request.repository or "", (person.name, *filter(None, (person.email,))))
    asset = cell.asset("request", label, content, surfaces=("title",), people=about.people)
    who = f"person:{person.name}"
    asked = cell.door.admit(Hop(Stage.INTAKE, who, "ask", asset, CONTROL_STORE, "ask", task_id, about.repository))
    kept = cell.keep_now(about, content, "request", "request")
    command = None
    if request.command:
        words = json.dumps(request.command).encode()
        command = cell.keep_now(about, words, "command", "command", "application/json")
    files = [
        cell.keep_now(_about_file(cell, about, each.name), each.content, "attachment", f"attachment/{number}")
        for number, each in enumerate(request.attachments)
    ]
    event = ev.TaskReceived(
        request.channel, person.name, kept, title_of(text), cell.region, request.repository, request.agent,
        command, request.message_id, tuple(files), tuple(title_of(each.name) for each in request.attachments),
    )  # fmt: skip
    recorded = cell.events.append(task_id, event, key="received", at=now)
    cell.seen_now(asked, "stored")
    task = cell.events.task(task_id)
    echo(cell, task, recorded)
    engine.start(task_id)
    return task


def _first_label(cell: Cell, request: Request) -> Label:
    """Return what is known before intake: the repository's label where one is named, else `UNLABELLED`."""
    if not request.repository:
        return UNLABELLED
    return cell.labeller.of_repository(cell.directory.repository(request.repository))


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
