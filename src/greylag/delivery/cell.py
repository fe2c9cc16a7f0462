"""A cell: one region's ports wired together, and the few verbs every stage needs.

A cell has its own engine, vault, keys, ledger, gateway and workers; a task never leaves its cell.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from greylag.adapters.agents.port import Agent
from greylag.adapters.chat.port import Chat, Said
from greylag.adapters.deploy.port import Deployer
from greylag.adapters.forge.port import CaptureLimits, Forge
from greylag.adapters.models.port import Gateway
from greylag.adapters.sandbox.port import Limits, Mount, Sandbox
from greylag.adapters.store.port import DeploymentStore, Directory, EventStore, LedgerStore, ThreadStore
from greylag.adapters.vault.port import Vault
from greylag.domain.clock import Clock
from greylag.domain.events import Event, Recorded
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.door import Door
from greylag.egress.hop import Hop
from greylag.egress.permit import Permit
from greylag.governance.question import Asset, Target

PLATFORM = "platform:greylag"
CONTROL_STORE = Target("store", "control-plane")


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


@dataclass(frozen=True, slots=True)
class Cell:
    """Everything a stage may touch. Built only by ``app.bootstrap`` and by tests.

    ``sign_approval`` signs (subject, person, way) and ``seal`` an in-toto statement, both with the region's key.
    ``default_agent`` and ``model`` are used where a request names none; ``labels`` says, per endpoint, what must be
    shown where no real model works. ``slots`` bounds the sandboxes that run at once.
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
    chat: Chat
    toolbox: Callable[[Repository], Awaitable[Toolbox]]
    sign_approval: Callable[[str, str, str], str]
    seal: Callable[[Mapping[str, object]], bytes]
    workspaces: Path
    slots: asyncio.Semaphore
    default_agent: str
    endpoint: str
    model: str
    labels: Mapping[str, str] = field(default_factory=dict)
    bounds: Bounds = Bounds()

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

    async def keep(
        self, task: Task, content: bytes, kind: str, *, key: str, media_type: str = "text/plain"
    ) -> Reference:
        """Put ``content`` into the region's vault through the door (stage ``artifact``)."""
        return await asyncio.to_thread(self.keep_now, task.task_id, level_of(task), content, kind, key, media_type)

    def keep_now(
        self, task_id: TaskId, level: str, content: bytes, kind: str, key: str, media_type: str = "text/plain"
    ) -> Reference:
        """As `keep`, for callers that are not in an event loop."""
        digest = digest_of(content)
        name = f"vault:{self.region}"
        asset = Asset(kind, level, self.region, digest, len(content))
        permit = self.door.admit(Hop(Stage.ARTIFACT, PLATFORM, "store", asset, Target("store", name), key, task_id))
        return self.vault.put(permit, content, kind=kind, subject=task_id, media_type=media_type)

    async def fetch(self, task: Task, reference: Reference) -> bytes:
        """Return what ``reference`` names, for the platform's own work inside the region."""
        return await asyncio.to_thread(lambda: self.vault.get(reference, subject=task.task_id))

    async def say(self, task: Task, kind: str, text: str, key: str) -> None:
        """Say ``text`` in the task's thread, once per ``key`` (stages ``artifact`` and ``chat``)."""
        await asyncio.to_thread(self.say_now, task.task_id, level_of(task), kind, text, key)

    def say_now(self, task_id: TaskId, level: str, kind: str, text: str, key: str, author: str = "greylag") -> None:
        """As `say`, for callers that are not in an event loop."""
        body = self.keep_now(task_id, level, text.encode(), "message", f"say/{key}")
        asset = Asset("card", level, self.region, body.digest, body.size_bytes, ("title", "file_names", "branch"))
        hop = Hop(Stage.CHAT, PLATFORM, "post", asset, Target("chat", self.chat.where), f"say/{key}", task_id)
        permit = self.door.admit(hop)
        self.chat.say(permit, Said(task_id, kind, text, body, key, author), self.clock.now())


def level_of(task: Task) -> str:
    """Return the task's level; before intake has set one, `internal`."""
    return task.level or "internal"


def digest_of(content: bytes) -> str:
    """Return ``sha256:<hex>`` of ``content``."""
    return f"sha256:{sha256(content).hexdigest()}"
