"""A cell: one region's ports wired together, and the few verbs every stage needs.

A cell has its own engine, vault, keys, ledger, gateway and workers; a task never leaves its cell.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from greylag.adapters.agents.port import Agent
from greylag.adapters.chat.port import Said, Thread
from greylag.adapters.deploy.port import Deployer
from greylag.adapters.forge.port import CaptureLimits, Forge
from greylag.adapters.models.port import Gateway
from greylag.adapters.sandbox.port import Limits, Mount, Sandbox
from greylag.adapters.store.port import ChatStore, DeploymentStore, Directory, EventStore, LedgerStore, ThreadStore
from greylag.adapters.vault.port import Vault
from greylag.domain import events as ev
from greylag.domain.clock import Clock
from greylag.domain.conversation import Offer
from greylag.domain.events import Event, Recorded
from greylag.domain.ids import TaskId
from greylag.domain.labels import Label
from greylag.domain.references import Reference
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.door import Door
from greylag.egress.hop import Hop
from greylag.egress.permit import Permit
from greylag.governance.question import Asset, Discharged, Target

PLATFORM = "platform:greylag"
CONTROL_STORE = Target("store", "control-plane")
UNLABELLED = Label("internal", derived_by=("before intake",))
#: The metadata that a message in a thread shows or may show; each is a surface of its own.
CARD_SURFACES = ("branch", "channel_topic", "file_names", "title")
#: What the vault does to everything it takes: an obligation to encrypt is met there before it is asked for.
_IN_VAULT = Discharged(applied=("encrypt",))


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one task may use. Times are seconds, money millionths of a US dollar."""

    attempts: int = 3
    rounds: int = 20
    turns: int = 60
    run_seconds: float = 1800.0
    verify_seconds: float = 900.0
    build_seconds: float = 600.0
    cap_usd_micros: int = 5_000_000
    review_seconds: float = 7 * 86400.0
    question_seconds: float = 3 * 86400.0
    parallel_runs: int = 2
    progress_lines: int = 200
    heartbeat_seconds: float = 45.0
    retain_days: int = 90
    request_characters: int = 16_000
    sandbox: Limits = field(default_factory=Limits)
    capture: CaptureLimits = field(default_factory=CaptureLimits)


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The read-only tools that programs in a sandbox see: mounts, environment and a version for the ledger."""

    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


class Labeller(Protocol):
    """Says what content is, by the operator's word and by looking at it. Safe to call from any thread."""

    def of_repository(self, repository: Repository, paths: Sequence[str] = ()) -> Label:
        """Return the label of a repository in which the files ``paths`` lie, with its regimes."""
        ...

    def of_content(self, content: bytes, base: Label) -> Label:
        """Return ``base`` joined with what is found in ``content``."""
        ...

    def look(self, content: bytes, base: Label, people: Sequence[str] = ()) -> tuple[Label, tuple[str, ...]]:
        """Return what `of_content` does, and keyed marks of ``people`` and of those whom ``content`` names."""
        ...


def _untold(decision_id: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Cell:
    """Everything a stage may touch. Built only by ``app.bootstrap`` and by tests.

    ``sign_approval`` signs (subject, person, way) and ``seal`` an in-toto statement, both with the region's key.
    ``default_agent`` and ``model`` are used where a request names none; ``labels`` says, per endpoint, what must be
    shown where no real model works. ``slots`` bounds the sandboxes that run at once. ``why`` says in one line why a
    decision was a no and the least that would change it, "" where that can't be told. ``chats`` remembers which task
    is talked about where; None where there are no chats. ``advises``: intake asks the model what its rules can't tell.
    """

    region: str
    clock: Clock
    door: Door
    events: EventStore
    threads: ThreadStore
    directory: Directory
    deployments: DeploymentStore
    ledger: LedgerStore
    vault: Vault
    forge: Forge
    sandbox: Sandbox
    agents: Mapping[str, Agent]
    gateway: Gateway
    deployer: Deployer
    chat: Thread
    toolbox: Callable[[Repository], Awaitable[Toolbox]]
    labeller: Labeller
    sign_approval: Callable[[str, str, str], str]
    seal: Callable[[Mapping[str, object]], bytes]
    workspaces: Path
    slots: asyncio.Semaphore
    default_agent: str
    endpoint: str
    model: str
    labels: Mapping[str, str] = field(default_factory=dict)
    bounds: Bounds = Bounds()
    why: Callable[[str], str] = _untold
    chats: ChatStore | None = None
    advises: bool = False

    async def task(self, task_id: TaskId) -> Task:
        """Return the task as its log tells it now."""
        return await asyncio.to_thread(self.events.task, task_id)

    async def record(self, task_id: TaskId, event: Event, key: str) -> Recorded:
        """Append ``event`` once per ``key``."""
        at = self.clock.now()
        return await asyncio.to_thread(lambda: self.events.append(task_id, event, key=key, at=at))

    async def repository(self, task: Task) -> Repository:
        """Return the settings of the task's repository."""
        return await asyncio.to_thread(self.directory.repository, task.repository or "")

    async def admit(self, hop: Hop) -> Permit:
        """Ask the door; the permit's decision stands in the ledger. Raises PolicyRefused."""
        return await asyncio.to_thread(self.door.admit, hop)

    def asset(
        self, kind: str, label: Label, content: bytes, *, surfaces: tuple[str, ...] = (), people: Sequence[str] = ()
    ) -> Asset:
        """Describe ``content``: its digest, and its label joined with what a look at it finds."""
        found, subjects = self.labeller.look(content, label, people)
        return Asset(kind, found, self.region, digest_of(content), len(content), surfaces, subjects)

    async def seen(self, permit: Permit, outcome: str) -> None:
        """Record that something moved to where the operator itself runs it, in this region."""
        await asyncio.to_thread(self.seen_now, permit, outcome)

    def seen_now(self, permit: Permit, outcome: str) -> None:
        """As `seen`, for callers that are not in an event loop."""
        self.door.observe(permit, outcome, {"observed_place": self.region})

    async def keep(
        self, task: Task, content: bytes, kind: str, *, key: str, media_type: str = "text/plain"
    ) -> Reference:
        """Put ``content`` into the region's vault through the door (stage ``artifact``)."""
        return await asyncio.to_thread(lambda: self.keep_now(About.of(task), content, kind, key, media_type))

    async def keep_input(self, task: Task, content: bytes, kind: str, *, key: str) -> Reference:
        """As `keep`, for what the task works from: its label joins the task's, and so that of all that follows."""
        kept = await self.keep(task, content, kind, key=key)
        await self.relabel(task, await asyncio.to_thread(self.labeller.of_content, content, label_of(task)))
        return kept

    async def relabel(self, task: Task, label: Label) -> Task:
        """Join ``label`` to the task's, on record; nothing is recorded where it adds nothing."""
        return await asyncio.to_thread(self.relabel_now, task, label)

    def relabel_now(self, task: Task, label: Label) -> Task:
        """As `relabel`, for callers that are not in an event loop."""
        joined = label.joined(task.label) if task.label is not None else label
        if joined == task.label:
            return task
        event = ev.TaskLabelled(
            joined.level, joined.classes, joined.origins, joined.regimes, joined.subjects, joined.derived_by
        )
        key = f"label/{digest_of(repr(joined).encode())[7:39]}"
        self.events.append(task.task_id, event, key=key, at=self.clock.now())
        return self.events.task(task.task_id)

    def keep_now(
        self, about: "About", content: bytes, kind: str, key: str, media_type: str = "text/plain"
    ) -> Reference:
        """As `keep`, for callers that are not in an event loop."""
        asset = self.asset(kind, about.label, content, people=about.people)
        target = Target("store", f"vault:{self.region}")
        permit = self.door.admit(
            Hop(Stage.ARTIFACT, PLATFORM, "store", asset, target, key, about.task_id, about.repository, _IN_VAULT)
        )
        kept = self.vault.put(permit, content, kind=kind, subject=about.task_id, media_type=media_type)
        self.seen_now(permit, "stored")
        return kept

    async def fetch(self, task: Task, reference: Reference) -> bytes:
        """Return what ``reference`` names, for the platform's own work inside the region."""
        return await asyncio.to_thread(lambda: self.vault.get(reference, subject=task.task_id))

    async def say(self, task: Task, kind: str, text: str, key: str, offers: tuple[Offer, ...] = ()) -> None:
        """Say ``text`` in the task's thread, once per ``key`` (stages ``artifact`` and ``chat``)."""
        await asyncio.to_thread(lambda: self.say_now(About.of(task), kind, text, key, offers=offers))

    def say_now(
        self, about: "About", kind: str, text: str, key: str, author: str = "greylag", offers: tuple[Offer, ...] = ()
    ) -> None:
        """As `say`, for callers that are not in an event loop.

        The vault keeps the words; the thread gets them, or what its obligations leave of them. Chats get them from
        there, each by a decision of its own.
        """
        body = self.keep_now(about, text.encode(), "message", f"say/{key}")
        asset = self.asset("card", about.label, text.encode(), surfaces=CARD_SURFACES, people=about.people)
        target = Target("chat", self.chat.where)
        hop = Hop(Stage.CHAT, PLATFORM, "post", asset, target, f"say/{key}", about.task_id, about.repository)
        passed = self.door.send(hop, text.encode())
        if passed.content != text.encode():
            body = self.keep_now(replace(about, label=passed.label), passed.content, "message", f"sent/{key}")
        said = Said(about.task_id, kind, passed.content.decode("utf-8", "replace"), body, key, author, offers)
        self.chat.say(passed.permit, said, self.clock.now())
        self.seen_now(passed.permit, "sent")


@dataclass(frozen=True, slots=True)
class About:
    """What content belongs to: its task, that one's repository and label, and the people it surely concerns."""

    task_id: TaskId
    label: Label
    repository: str = ""
    people: tuple[str, ...] = ()

    @classmethod
    def of(cls, task: Task) -> "About":
        """Return what is known of ``task`` by now."""
        return cls(task.task_id, label_of(task), task.repository or "", (task.requester,))


def label_of(task: Task) -> Label:
    """Return the task's label; before intake has set one, `UNLABELLED`."""
    return task.label if task.label is not None else UNLABELLED


def digest_of(content: bytes) -> str:
    """Return ``sha256:<hex>`` of ``content``."""
    return f"sha256:{sha256(content).hexdigest()}"
