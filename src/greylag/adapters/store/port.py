"""Stores of the control plane and of a cell. All synchronous; callers in an event loop use a thread."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from greylag.domain.conversation import Conversation, Offer
from greylag.domain.events import Event, Recorded
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.repository import Person, Repository
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task
from greylag.governance.signoff import SignOff


class EventStore(Protocol):
    """The append-only event log of every task, and the projection kept in the same transaction."""

    def append(self, task_id: TaskId, event: Event, *, key: str, at: datetime) -> Recorded:
        """Append ``event`` once: the same ``key`` again returns what was recorded first.

        Raises IntegrityError ``GL-STATE-001`` where the task's status does not allow it, RequestRefused
        ``GL-TASK-001`` for an unknown task (only `TaskReceived` may begin one).
        """
        ...

    def read(self, task_id: TaskId, after: int = 0, limit: int = 1000) -> tuple[Recorded, ...]:
        """Return up to ``limit`` events with a sequence above ``after``, in order."""
        ...

    def task(self, task_id: TaskId) -> Task:
        """Return the task. Raises RequestRefused ``GL-TASK-001`` for an unknown one."""
        ...

    def tasks(
        self, *, statuses: Iterable[TaskStatus] | None = None, repository: str | None = None, limit: int = 50,
        before: TaskId | None = None,
    ) -> tuple[Task, ...]:  # fmt: skip
        """Return tasks, newest first, at most ``limit`` (≤ 500), older than ``before``."""
        ...

    def unclosed(self, region: str, *, limit: int = 500, after: TaskId | None = None) -> tuple[Task, ...]:
        """Return tasks of ``region`` whose workflow has not had its last word, by id, beyond ``after``."""
        ...

    def find(self, prefix: str) -> Task:
        """Return the one task whose id begins with ``prefix`` (with or without ``task_``), at least 4 characters.

        Raises RequestRefused ``GL-TASK-001`` for none, ``GL-TASK-002`` for several.
        """
        ...

    def rebuild(self) -> int:
        """Throw the projections away, make them again from the events, and return how many tasks there are."""
        ...


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """One thing said in a task's thread. ``kind`` ∈ text, card, progress, question, error; text lives in the vault."""

    task_id: TaskId
    sequence: int
    at: datetime
    author: str
    kind: str
    body: Reference
    key: str
    decision_id: str
    offers: tuple[Offer, ...] = ()


@dataclass(frozen=True, slots=True)
class Spoken:
    """Who says what kind of thing, what it offers, and the ``key`` that makes saying it twice saying it once."""

    author: str
    kind: str
    key: str
    offers: tuple[Offer, ...] = ()


class ThreadStore(Protocol):
    """What was said in each task's thread, in order, each thing once."""

    def say(self, task_id: TaskId, spoken: Spoken, *, body: Reference, decision_id: str, at: datetime) -> ThreadMessage:
        """Add a message once: the same key again returns the first."""
        ...

    def messages(self, task_id: TaskId, after: int = 0, limit: int = 500) -> tuple[ThreadMessage, ...]:
        """Return messages with a sequence above ``after``, in order."""
        ...


class Directory(Protocol):
    """People, their tokens, and repositories. Tokens are stored as SHA-256 only."""

    def add_person(self, person: Person, token: str) -> None:
        """Add or replace ``person``, who signs in with ``token``."""
        ...

    def person(self, name: str) -> Person:
        """Return a person. Raises RequestRefused ``GL-PERSON-001`` with the known names as remedy."""
        ...

    def people(self) -> tuple[Person, ...]:
        """Return everybody, by name."""
        ...

    def person_by_token(self, token: str) -> Person | None:
        """Return whose token this is, comparing in constant time; None for nobody's."""
        ...

    def add_repository(self, repository: Repository, at: datetime) -> None:
        """Add or replace the settings of ``repository``."""
        ...

    def repository(self, name: str) -> Repository:
        """Return settings. Raises RequestRefused ``GL-REPO-001`` naming the known and the nearest name."""
        ...

    def repositories(self) -> tuple[Repository, ...]:
        """Return all, by name."""
        ...

    def add_sign_off(self, given: SignOff) -> None:
        """Keep a sign-off, once per its id."""
        ...

    def sign_offs(self) -> tuple[SignOff, ...]:
        """Return every sign-off that was not removed, also those whose time is over, oldest first."""
        ...

    def remove_sign_off(self, sign_off_id: str) -> None:
        """Forget a sign-off; an unknown one is fine."""
        ...


@dataclass(frozen=True, slots=True)
class Deployment:
    """What was put live: newest per (repository, environment) is what runs."""

    repository: str
    environment: str
    digest: str
    artifact: Reference
    name: str
    task_id: str
    at: datetime


class DeploymentStore(Protocol):
    """The history of what was live where."""

    def record_deployment(self, deployment: Deployment, *, key: str) -> None:
        """Record once per ``key``."""
        ...

    def live(self, repository: str, environment: str) -> Deployment | None:
        """Return what is live there, None for nothing."""
        ...

    def deployments(self, repository: str, environment: str | None = None, limit: int = 50) -> tuple[Deployment, ...]:
        """Return the history, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One leaf: ``index`` from 0, ``body`` its exact bytes (canonical JSON, RFC 8785)."""

    index: int
    body: bytes


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint as it is stored: ``note`` is the signed C2SP text, ``size`` the key it stands under."""

    size: int
    note: str


class LedgerStore(Protocol):
    """One cell's ledger: entries, an RFC 6962 tree over them, and signed checkpoints, one per append."""

    def append(self, entry: Mapping[str, object], *, key: str) -> int:
        """As `greylag.egress.door.LedgerLog.append`: durable, signed and witnessed when it returns."""
        ...

    def size(self) -> int:
        """Return the number of entries."""
        ...

    def entries(self, start: int = 0, limit: int = 1000) -> Sequence[LedgerEntry]:
        """Return entries in order."""
        ...

    def find(self, key: str) -> LedgerEntry | None:
        """Return the newest entry that was appended under ``key``, None for none."""
        ...

    def inclusion_proof(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the audit path of entry ``index`` in the log's first ``size`` entries (RFC 6962, 2.1.1)."""
        ...

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint (C2SP tlog-checkpoint text)."""
        ...

    def checkpoints(self, after: int = 0, limit: int = 1000) -> Sequence[SignedCheckpoint]:
        """Return the signed checkpoints of more than ``after`` entries, in order."""
        ...


class Witness(Protocol):
    """Keeps the checkpoints of ledgers, outside of them."""

    def keep(self, *notes: str) -> None:
        """Keep signed checkpoints of one ledger for good, all or none; keeping one again is fine.

        Raises IntegrityError ``GL-LEDGER-006`` where another root is kept for the same origin and size.
        """
        ...

    def newest(self, origin: str) -> str | None:
        """Return the largest checkpoint that was kept of ``origin``, None where there is none."""
        ...

    def checkpoints(self, origin: str, after: int = 0, limit: int = 1000) -> Sequence[SignedCheckpoint]:
        """Return what was kept of ``origin`` for more than ``after`` entries, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that came in, as it is kept: all but its words, which are ``body``. ``number`` is its place in line.

    ``heard`` holds the plain fields of the chat port's `Heard` but for text, conversation and event id. ``state`` ∈
    taken (still to be handled), handled, refused, ignored; ``reason`` says why, ``tries`` how often it was attempted.
    """

    number: int
    conversation: Conversation
    event_id: str
    heard: str
    body: Reference | None
    state: str
    reason: str
    tries: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A task's thread that has more to deliver to a conversation than was delivered: sequences above ``delivered``."""

    conversation: Conversation
    task_id: TaskId
    delivered: int


@dataclass(frozen=True, slots=True)
class Posting:
    """What became of one message in one conversation.

    ``state`` ∈ sending (begun: it may or may not be there), sent, withheld (policy let nothing of it go), lost (the
    chat will never take it). ``handle`` is the chat's id of the message.
    """

    conversation: Conversation
    task_id: TaskId
    sequence: int
    state: str
    handle: str
    decision_id: str
    tries: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ChatPerson:
    """Who the chat's ``author`` is here. ``via`` ∈ operator, link."""

    source: str
    author: str
    person: str
    via: str
    at: datetime


class ChatStore(Protocol):
    """Inbox, outbox and address book of every chat."""

    def arrive(
        self, conversation: Conversation, event_id: str, heard: str, body: Reference | None, at: datetime
    ) -> Arrival | None:
        """Keep what came in, durable when it returns; None where ``event_id`` of this source is known already."""
        ...

    def known(self, source: str, event_id: str) -> Arrival | None:
        """Return what came in under ``event_id``, None for nothing."""
        ...

    def waiting(self, limit: int = 200) -> tuple[Arrival, ...]:
        """Return what is still to be handled, in the order in which it came."""
        ...

    def settle(self, number: int, state: str, reason: str = "") -> None:
        """Record what became of an arrival (``handled``, ``refused``, ``ignored``), or one more try (``taken``)."""
        ...

    def forget(self, before: datetime) -> int:
        """Drop settled arrivals older than ``before``; return how many. None younger than an hour (by the newest)."""
        ...

    def bind(self, conversation: Conversation, task_id: TaskId, at: datetime, *, after: int = 0) -> None:
        """Say that ``task_id`` is talked about there, delivered up to ``after``; again changes nothing."""
        ...

    def task_in(self, conversation: Conversation) -> TaskId | None:
        """Return the newest task of a conversation, None where there is none."""
        ...

    def conversations(self, task_id: TaskId) -> tuple[Conversation, ...]:
        """Return where a task is talked about."""
        ...

    def due(self, sources: Collection[str], limit: int = 200, *, region: str = "") -> tuple[Due, ...]:
        """Return conversations of ``sources`` whose tasks' threads go on beyond what was delivered, oldest first.

        With ``region`` only tasks of that one: a cell delivers its own.
        """
        ...

    def sending(
        self, conversation: Conversation, task_id: TaskId, sequence: int, decision_id: str, at: datetime
    ) -> Posting | None:
        """Note durably that a message is about to be sent; return what was noted about it before, None for nothing."""
        ...

    def sent(
        self, conversation: Conversation, task_id: TaskId, sequence: int, state: str, handle: str, at: datetime
    ) -> None:
        """Note what became of it and that everything up to ``sequence`` is delivered, in one transaction.

        What was begun up to there has the same end: several lines of progress are one message of the chat.
        """
        ...

    def posting(self, conversation: Conversation, task_id: TaskId, sequence: int) -> Posting | None:
        """Return what became of one message there."""
        ...

    def posted_as(self, source: str, room: str, handle: str) -> Posting | None:
        """Return which message of ours the chat knows as ``handle``, None for none."""
        ...

    def add_person(self, person: ChatPerson) -> None:
        """Say who somebody is; again replaces."""
        ...

    def person(self, source: str, author: str) -> ChatPerson | None:
        """Return who the chat's ``author`` is here, None for nobody known."""
        ...

    def persons(self) -> tuple[ChatPerson, ...]:
        """Return everybody who is known from a chat."""
        ...

    def remove_person(self, source: str, author: str) -> None:
        """Forget who somebody is; an unknown one is fine."""
        ...

    def note(self, source: str, name: str) -> str:
        """Return a backend's note, "" for none."""
        ...

    def put_note(self, source: str, name: str, value: str) -> None:
        """Keep a backend's note (≤ 64 kB), durable when it returns."""
        ...
