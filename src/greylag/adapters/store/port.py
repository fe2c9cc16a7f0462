"""Stores of the control plane and of a cell. All synchronous; callers in an event loop use a thread."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from greylag.domain.conversation import Offer
from greylag.domain.events import Event, Recorded
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.repository import Person, Repository
from greylag.domain.signoff import SignOff
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task


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


class ThreadStore(Protocol):
    """What was said in each task's thread, in order, each thing once."""

    def say(  # noqa: PLR0913 - each is a column
        self, task_id: TaskId, *, author: str, kind: str, body: Reference, key: str, decision_id: str, at: datetime,
        offers: tuple[Offer, ...] = (),
    ) -> ThreadMessage:  # fmt: skip
        """Add a message once: the same ``key`` again returns the first."""
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
