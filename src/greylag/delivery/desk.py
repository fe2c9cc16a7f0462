"""The desk: everything people can say to the platform, checked, recorded, and handed to the workflow.

The event log is written first; waking the workflow is only a hint, repeated by `Desk.sweep`. All methods are
synchronous and may be called from any thread.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from greylag.adapters.engine.port import Engine
from greylag.delivery.cell import CONTROL_STORE, UNLABELLED, About, Cell, label_of
from greylag.delivery.echo import echo
from greylag.domain import events as ev
from greylag.domain.errors import IntegrityError, RequestRefused
from greylag.domain.ids import ApprovalId, TaskId, derived_id, new_id
from greylag.domain.labels import Label
from greylag.domain.repository import Person
from greylag.domain.stages import Stage
from greylag.domain.states import TRANSITIONS, TaskStatus
from greylag.domain.task import Task
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target

_TITLE_CHARACTERS = 90
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


class Desk:
    """Takes what people say. Raises RequestRefused with code and remedy for what can't be done as said."""

    def __init__(self, cell: Cell, engine: Engine) -> None:
        self._cell = cell
        self._engine = engine

    def ask(self, request: Request) -> Task:
        """Take a request, acknowledge it in its thread, and start its workflow; the same message again is no new task.

        Raises RequestRefused ``GL-INTAKE-001`` (empty), ``-002`` (too long), ``GL-REPO-001``, ``GL-AGENT-002``,
        ``GL-AGENT-003`` (a command is missing or not wanted), ``GL-INTAKE-004`` (attachments), ``GL-PERSON-001/-002``;
        PolicyRefused.
        """
        cell = self._cell
        person = self._person(request.requester, "requester")
        text = self._text(request.text)
        label = self._first_label(request)
        self._check_agent(request)
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
            cell.keep_now(self._about_file(about, each.name), each.content, "attachment", f"attachment/{number}")
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
        self._engine.start(task_id)
        return task

    def reply(self, task_id: TaskId, by: str, text: str, message_id: str = "") -> Task:
        """Take a follow-up, or the answer to a question; it starts a further round as soon as the task can take one.

        The same ``message_id`` again is taken once, wherever the task stands by then. Raises RequestRefused
        ``GL-TASK-003`` where the task has ended or is past review, ``GL-INTAKE-003`` for an answer that is none of the
        choices.
        """
        cell = self._cell
        person = self._person(by, "requester")
        text = self._text(text)
        task = self._task(task_id)
        if message_id and self._was_taken(task, (f"reply/{message_id}", f"answered/{message_id}")):
            return task
        if task.status is TaskStatus.ASKED:
            return self._answer(task, person, text, message_id)
        if task.ended or task.status in (TaskStatus.APPROVED, TaskStatus.RELEASING) or task.intent == "release":
            raise RequestRefused(
                "GL-TASK-003", f"{task_id} is `{task.status}` and takes no more.", "ask it as a new task."
            )
        key = f"reply/{message_id or cell.clock.entropy(10).hex()}"
        kept = cell.keep_now(About.of(task), text.encode(), "message", key)
        task = cell.relabel_now(task, cell.labeller.of_content(text.encode(), label_of(task)))
        event = ev.FollowUpReceived(person.name, kept, title_of(text), message_id)
        recorded = cell.events.append(task_id, event, key=key, at=cell.clock.now())
        echo(cell, task, recorded)
        if not task.waiting:
            cell.say_now(About.of(task), "text", "Noted; it comes next.", f"{key}/noted")
        self._wake(task_id, recorded.sequence)
        return cell.events.task(task_id)

    def approve(self, task_id: TaskId, by: str, subject: str = "", via: str = "") -> Task:
        """Record a person's approval of exactly ``subject`` (default: what is up for review now).

        Raises RequestRefused ``GL-APPROVE-001`` (asked or steered it: not by the same person), ``-002`` (nothing is up
        for review), ``-003`` (``subject`` is not what is up for review: stale), ``-004`` (a follow-up is waiting).
        """
        cell = self._cell
        person = self._person(by, "reviewer")
        task = self._task(task_id)
        if task.status is TaskStatus.APPROVED and any(
            a.by == person.name and a.subject == task.subject for a in task.approvals
        ):
            return task
        self._reviewable(task)
        if person.name == task.requester or person.name in task.follow_up_authors:
            raise RequestRefused(
                "GL-APPROVE-001",
                f"{person.name} asked for this or steered it, so {person.name} can't approve it.",
                "somebody else with the role `reviewer` approves.",
            )
        if subject and subject != task.subject:
            raise RequestRefused(
                "GL-APPROVE-003",
                f"what was seen ({subject[:26]}…) is not what is up for review now ({task.subject[:26]}…).",
                f"look again: `greylag task show {task_id} --diff`, then approve that.",
            )
        if task.unread_follow_ups:
            raise RequestRefused(
                "GL-APPROVE-004", "a follow-up is still to be worked in.", "wait for the next card and approve that."
            )
        signature = cell.sign_approval(task.subject, person.name, via)
        approval_id = ApprovalId(derived_id("apr", task_id, person.name, task.subject))
        event = ev.ApprovalGiven(approval_id, person.name, task.subject, signature, via)
        recorded = cell.events.append(task_id, event, key=f"approval/{approval_id}", at=cell.clock.now())
        echo(cell, task, recorded)
        self._wake(task_id, recorded.sequence)
        return cell.events.task(task_id)

    def reject(self, task_id: TaskId, by: str, reason: str) -> Task:
        """Record a reviewer's no; the task ends. Raises as `approve`."""
        cell = self._cell
        person = self._person(by, "reviewer")
        task = self._task(task_id)
        self._reviewable(task)
        event = ev.ChangeRejected(person.name, (reason or "no reason given")[:2000])
        recorded = cell.events.append(task_id, event, key=f"rejected/{task.subject}", at=cell.clock.now())
        echo(cell, task, recorded)
        self._wake(task_id, recorded.sequence)
        return cell.events.task(task_id)

    def stop(self, task_id: TaskId, by: str, reason: str = "") -> Task:
        """Ask a task to stop; a running agent ends within seconds. What is merged can't be stopped any more.

        Raises RequestRefused ``GL-TASK-004`` where it is too late.
        """
        cell = self._cell
        person = self._person(by, "requester")
        task = self._task(task_id)
        if task.ended or task.status in (TaskStatus.APPROVED, TaskStatus.RELEASING):
            merged = task.status in (TaskStatus.APPROVED, TaskStatus.RELEASING, TaskStatus.MERGED, TaskStatus.RELEASED)
            remedy = f"roll back instead: `greylag release rollback {task.repository} ENVIRONMENT`."
            raise RequestRefused(
                "GL-TASK-004",
                f"{task_id} is `{task.status}`: too late to stop.",
                remedy if merged else f"nothing is left to stop: `greylag task show {task_id}`.",
            )
        event = ev.StopRequested(person.name, reason[:2000])
        recorded = cell.events.append(task_id, event, key="stop", at=cell.clock.now())
        echo(cell, task, recorded)
        self._wake(task_id, recorded.sequence)
        return cell.events.task(task_id)

    def read(self, task_id: TaskId, by: str, kind: str, reason: str = "") -> bytes:
        """Return content of a task to a person (stage ``trace``): ``diff``, ``report``, ``build``, ``transcript``,
        ``prompt``, ``evidence`` or ``request``. Raises RequestRefused ``GL-TASK-006`` where there is none.
        """  # noqa: D205
        cell = self._cell
        person = cell.directory.person(by)
        task = self._task(task_id)
        change, run, build = task.change, task.run, task.build
        found = {
            "request": task.request, "diff": change.diff if change else None, "evidence": task.sealed or task.evidence,
            "report": run.report if run else None, "transcript": run.transcript if run else None,
            "prompt": run.prompt if run else None, "build": build.artifact if build else None,
        }  # fmt: skip
        reference = found.get(kind)
        if reference is None:
            there = ", ".join(f"`{name}`" for name, each in found.items() if each is not None)
            raise RequestRefused("GL-TASK-006", f"{task_id} has no `{kind}` (yet).", f"there is: {there}.")
        asset = Asset(kind, label_of(task), cell.region, reference.digest, reference.size_bytes)
        action = f"read:{reason}" if reason else "read"
        key = f"read/{kind}/{person.name}/{cell.clock.entropy(8).hex()}"
        target = Target("store", f"vault:{cell.region}")
        permit = cell.door.admit(
            Hop(Stage.TRACE, f"person:{person.name}", action[:80], asset, target, key, task_id, task.repository or "")
        )
        content = cell.vault.get(reference, subject=task_id)
        cell.door.observe(permit, "read", {"kind": kind, "size_bytes": len(content)})
        return content

    def sweep(self) -> int:
        """Start workflows that were accepted but not started, and wake those whose wake-up was lost; return how many.

        Run at launch and now and then: it closes the gap between a written event and a lost hint.
        """
        running = self._engine.running()
        count = sum(self._give_up(task_id, why) for task_id, why in self._engine.failed().items())
        after: TaskId | None = None
        while page := self._cell.events.unclosed(self._cell.region, after=after):
            count += sum(self._nudge(task, running) for task in page)
            after = page[-1].task_id
        return count

    def _give_up(self, task_id: TaskId, why: str) -> int:
        """End a task whose workflow broke down for good, in the open: no accepted request ends in silence."""
        task = self._cell.events.task(task_id)
        if task.closed:
            return 0
        now, reason = self._cell.clock.now(), f"its workflow broke down: {why[:300]}"
        remedy = "the operator looks into the log; ask again as a new task."
        if not task.ended and TaskStatus.FAILED in TRANSITIONS[TaskStatus][task.status]:
            self._cell.events.append(task_id, ev.TaskFailed("GL-TASK-901", reason, remedy), key="broken", at=now)
        self._cell.say_now(About.of(task), "error", f"{reason}\nNext: {remedy} (GL-TASK-901)", "broken")
        self._cell.events.append(task_id, ev.TaskClosed(self._cell.bounds.retain_days), key="closed", at=now)
        return 1

    def _nudge(self, task: Task, running: frozenset[TaskId]) -> int:
        if task.task_id not in running:
            self._engine.start(task.task_id)
            return 1
        if task.inputs and (task.waiting or task.status in (TaskStatus.APPROVED, TaskStatus.RECEIVED)):
            self._wake(task.task_id, task.inputs[-1])
            return 1
        return 0

    def _was_taken(self, task: Task, keys: tuple[str, ...]) -> bool:
        recorded = (self._cell.events.read(task.task_id, sequence - 1, 1) for sequence in task.inputs)
        return any(each.key in keys for found in recorded for each in found)

    def _answer(self, task: Task, person: Person, text: str, message_id: str) -> Task:
        choice = next((each for each in task.choices if each.lower() == text.strip().lower()), None)
        if choice is None:
            known = ", ".join(f"`{each}`" for each in task.choices)
            raise RequestRefused("GL-INTAKE-003", f"{text[:60]!r} is none of {known}.", "answer with one of them.")
        answered = ev.QuestionAnswered(choice, person.name)
        key = f"answered/{message_id}" if message_id else "answered"
        recorded = self._cell.events.append(task.task_id, answered, key=key, at=self._cell.clock.now())
        echo(self._cell, task, recorded)
        self._wake(task.task_id, recorded.sequence)
        return self._cell.events.task(task.task_id)

    def _task(self, task_id: TaskId) -> Task:
        """Return a task of this region: what is said about another one's must not come to rest here."""
        task = self._cell.events.task(task_id)
        if task.region != self._cell.region:
            raise RequestRefused(
                "GL-REGION-001",
                f"{task_id} belongs to region `{task.region}`; this is region `{self._cell.region}`.",
                "say it to the platform of that region.",
            )
        return task

    def _reviewable(self, task: Task) -> None:
        if task.status is not TaskStatus.IN_REVIEW:
            raise RequestRefused(
                "GL-APPROVE-002",
                f"{task.task_id} is `{task.status}`: nothing is up for review.",
                f"see where it stands: `greylag task show {task.task_id}`.",
            )
        if not task.subject:
            raise IntegrityError("GL-STATE-007", f"{task.task_id} is in review of nothing.", "ask again as a new task.")

    def _person(self, name: str, role: str) -> Person:
        person = self._cell.directory.person(name)
        if role not in person.roles:
            raise RequestRefused(
                "GL-PERSON-002",
                f"{name} has not the role `{role}` (has: {', '.join(person.roles) or 'none'}).",
                f"an operator grants it: `greylag person add {name} --role {role}`.",
            )
        return person

    def _first_label(self, request: Request) -> Label:
        """Return what is known before intake: the repository's label where one is named, else `UNLABELLED`."""
        if not request.repository:
            return UNLABELLED
        return self._cell.labeller.of_repository(self._cell.directory.repository(request.repository))

    def _about_file(self, about: About, name: str) -> About:
        """Say of an attached file what is said of a file of that name in the repository."""
        if not about.repository:
            return about
        repository = self._cell.directory.repository(about.repository)
        return replace(about, label=about.label.joined(self._cell.labeller.of_repository(repository, (name,))))

    def _text(self, text: str) -> str:
        text = text.strip()
        limit = self._cell.bounds.request_characters
        if not text:
            raise RequestRefused("GL-INTAKE-001", "the message is empty.", "say in a sentence what should change.")
        if len(text) > limit:
            raise RequestRefused(
                "GL-INTAKE-002",
                f"the message has {len(text)} characters, at most {limit} are taken.",
                "say it shorter.",
            )
        return text.encode("utf-8", "replace").decode()

    def _check_agent(self, request: Request) -> None:
        name = request.agent or self._cell.default_agent
        if name not in self._cell.agents:
            known = ", ".join(f"`{each}`" for each in sorted(self._cell.agents))
            raise RequestRefused(
                "GL-AGENT-002", f"there is no agent {name!r} (there are {known}).", "name one of these."
            )
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

    def _wake(self, task_id: TaskId, sequence: int) -> None:
        self._engine.wake(task_id, f"input/{sequence}")


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


def title_of(text: str) -> str:
    """Return the first line of ``text`` as one bounded line without control characters."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    clean = "".join(character if character.isprintable() else " " for character in first).strip()
    return clean if len(clean) <= _TITLE_CHARACTERS else clean[: _TITLE_CHARACTERS - 1] + "…"
