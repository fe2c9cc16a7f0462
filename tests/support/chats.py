"""A stage for what goes out to chats: a real store, thread, vault and door, and a chat in memory that can break down.

Every step of store, ledger and chat can be made to fail before or after it was done, or to end the process there.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from greylag.adapters.chat.backends.thread import BuiltinThread
from greylag.adapters.chat.port import Capabilities, Chat, Post
from greylag.adapters.store.opening import open_control
from greylag.adapters.vault.backends.local import LocalVault
from greylag.delivery.cell import About, Cell, digest_of
from greylag.delivery.conversing.courier import Courier, Pace
from greylag.delivery.conversing.rendering import Pages
from greylag.domain import events as ev
from greylag.domain.conversation import Conversation, Offer
from greylag.domain.errors import BackendError, RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.labels import Label
from greylag.domain.references import Reference
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.egress.door import Discharger, Door, Policy
from greylag.egress.permit import Permit
from tests.support.permits import MemoryLedger, PermissivePolicy, WallClock

AT = datetime(2026, 3, 4, tzinfo=UTC)
SOURCE = "memory:test"
HERE = Conversation(SOURCE, "room", "thread")
QUICK = Pace(poll=0.005, progress=0.0, first_backoff=0.002, longest_backoff=0.01, post=2.0)
CAN_ALL = Capabilities(True, True, True, False, True, True, "transport", True, "DE", 4000)
PAGES = Pages(lambda task_id: f"https://greylag.example/tasks/{task_id}")


class Killed(BaseException):
    """The process ended here."""


@dataclass
class Faults:
    """What goes wrong at which step: ``kill``, ``away`` (a failure that passes) or ``defect``. Steps count from 0."""

    script: Mapping[int, str] = field(default_factory=dict)
    steps: int = 0
    always: Callable[[str], None] = lambda name: None

    def tick(self, name: str) -> None:
        step, self.steps = self.steps, self.steps + 1
        self.always(name)
        match self.script.get(step):
            case "kill":
                raise Killed
            case "away":
                raise BackendError("GL-TEST-001", f"{name} is away.", "wait.", transient=True)
            case "defect":
                raise RuntimeError(name)


class Faulty:
    """Passes calls on, and lets them fail before and after."""

    def __init__(self, real: object, faults: Faults, name: str) -> None:
        self._real, self._faults, self._name = real, faults, name

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if not callable(found):
            return found

        def call(*given: object, **named: object) -> object:
            self._faults.tick(f"{self._name}.{name}")
            answer = found(*given, **named)
            self._faults.tick(f"{self._name}.{name} done")
            return answer

        return call


@dataclass
class Shown:
    """A message as people see it in the chat."""

    handle: str
    post: Post

    @property
    def words(self) -> object:
        """What it says: the steps of a live card, else the text."""
        return tuple(step.text for step in self.post.steps) if self.post.kind == "progress" else self.post.text


class MemoryChat:
    """A chat that takes everything it has a permit for, as often as it is told; only looks where it is told to look."""

    name = "memory"

    def __init__(
        self, faults: Faults, source: str = SOURCE, where: str = "memory", capabilities: Capabilities = CAN_ALL
    ) -> None:
        self.faults, self.source, self.where, self.capabilities = faults, source, where, capabilities
        self.shown: list[Shown] = []
        self.uploads: list[tuple[str, str, bytes]] = []
        self.decisions: list[str] = []
        self.posts: list[Post] = []
        self.fails: Callable[[Post], None] = lambda post: None

    async def post(self, permit: Permit, post: Post, *, uncertain: bool = False, handle: str = "") -> str:
        permit.require(Stage.CHAT, self.where, post.digest)
        assert post.digest == digest_of(post.text.encode())
        assert 0 < len(post.text) <= self.capabilities.longest_text
        self.fails(post)
        self.faults.tick("post")
        handle = self._taken(post, uncertain, handle)
        self.decisions.append(permit.decision_id)
        self.posts.append(post)
        self.faults.tick("post done")
        return handle

    def _taken(self, post: Post, uncertain: bool, handle: str) -> str:
        if handle:
            changed = next((each for each in self.shown if each.handle == handle), None)
            if changed is None:
                raise RequestRefused("GL-CHAT-001", "there is no such message.", "none.")
            changed.post = post
            return handle
        there = [
            each for each in self.shown if (each.post.conversation, each.post.key) == (post.conversation, post.key)
        ]
        if uncertain and there:
            return there[0].handle
        self.shown.append(Shown(f"m{len(self.posts)}-{len(self.shown)}", post))
        return self.shown[-1].handle

    async def upload(
        self,
        permit: Permit,
        conversation: Conversation,
        name: str,
        content: bytes,
        key: str,
        *,
        uncertain: bool = False,
    ) -> str:
        permit.require(Stage.CHAT, self.where, digest_of(content))
        self.faults.tick("upload")
        there = [at for at, each in enumerate(self.uploads) if each[0] == key]
        if not (uncertain and there):
            self.uploads.append((key, name, content))
        self.decisions.append(permit.decision_id)
        self.faults.tick("upload done")
        return f"f{len(self.uploads)}"

    def words(self, conversation: Conversation = HERE) -> list[object]:
        """Return what stands in a conversation."""
        return [each.words for each in self.shown if each.post.conversation == conversation]


class PlainLabeller:
    """Says what it is told."""

    def of_repository(self, repository: Repository, paths: Sequence[str] = ()) -> Label:
        return Label("internal")

    def of_content(self, content: bytes, base: Label) -> Label:
        return base

    def look(self, content: bytes, base: Label, people: Sequence[str] = ()) -> tuple[Label, tuple[str, ...]]:
        return base, ()


class WatchedLedger(MemoryLedger):
    """A ledger that can fail, and knows what was permitted."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def append(self, entry: Mapping[str, object], *, key: str) -> int:
        self._faults.tick("ledger")
        number = super().append(entry, key=key)
        self._faults.tick("ledger done")
        return number

    def permitted(self, target: str) -> set[str]:
        """Return the decisions by which something may go to the chat ``target``."""
        return {
            str(entry["decision_id"])
            for _, entry in self.entries
            if entry.get("permitted") is True and cast(Any, entry["target"])["name"] == target
        }


@cache
def _template() -> Path:
    """Return an empty, migrated control database: a copy is much quicker than a migration."""
    path = Path(tempfile.mkdtemp(prefix="glchats")) / "control.db"
    open_control(f"sqlite:///{path}").close()
    return path


class ChatStage:
    """One cell with a thread, and chats to which a courier brings it."""

    def __init__(
        self, folder: Path, *, faults: Faults | None = None, policy: Policy | None = None,
        discharger: Discharger | None = None, region: str = "eu",
    ) -> None:  # fmt: skip
        folder.mkdir(exist_ok=True)
        self.faults = faults or Faults()
        shutil.copy(_template(), folder / "control.db")
        self.control = open_control(f"sqlite:///{folder / 'control.db'}")
        self.ledger = WatchedLedger(self.faults)
        clock = WallClock()
        self.own = MemoryLedger()
        nothing = cast(Any, None)
        self.vault = LocalVault(folder / "vault", region)
        self.cell = Cell(
            region=region, clock=clock, door=Door(PermissivePolicy(), self.own, clock, region),
            events=self.control.events, threads=self.control.threads, directory=self.control.directory,
            deployments=self.control.deployments, ledger=nothing, vault=self.vault, forge=nothing, sandbox=nothing,
            agents={}, gateway=nothing, deployer=nothing, chat=BuiltinThread(self.control.threads, region),
            toolbox=nothing, labeller=PlainLabeller(), sign_approval=nothing, seal=nothing, workspaces=folder,
            slots=nothing, default_agent="", endpoint="", model="",
        )  # fmt: skip
        door = Door(policy or PermissivePolicy(), self.ledger, clock, region, discharger)
        self.outside = replace(self.cell, door=door)
        self.chat = MemoryChat(self.faults)
        self.chats: dict[str, MemoryChat] = {SOURCE: self.chat}

    def close(self) -> None:
        self.control.close()

    def begin(self, name: str = "1", where: Conversation = HERE, *, region: str = "", **received: Any) -> TaskId:
        """Begin a task that is talked about in ``where``."""
        task_id = TaskId(f"task_{name}")
        request = self.put(task_id, "please")
        values = {"channel": "web", "requester": "ada", "title": "Fix the skip button", **received}
        event = ev.TaskReceived(request=request, region=region or self.cell.region, **values)
        self.control.events.append(task_id, event, key="received", at=AT)
        self.control.chats.bind(where, task_id, AT)
        return task_id

    def put(self, task_id: TaskId, text: str) -> Reference:
        """Keep ``text`` in the vault."""
        about = About(task_id, Label("internal"))
        return self.cell.keep_now(about, text.encode(), "message", f"put/{digest_of(text.encode())}")

    def say(
        self, task_id: TaskId, kind: str, text: str, key: str = "", author: str = "greylag",
        offers: tuple[Offer, ...] = (),
    ) -> None:  # fmt: skip
        """Say something in the task's own thread."""
        key = key or f"say/{digest_of(f'{kind}/{text}'.encode())[7:23]}"
        self.cell.say_now(About(task_id, Label("internal")), kind, text, key, author, offers)

    def courier(self, pace: Pace = QUICK, uploads: Sequence[str] = ()) -> Courier:
        """Return a courier over this stage, as a fresh process would have it."""
        store = cast(Any, Faulty(self.control.chats, self.faults, "store"))
        chats = cast(Mapping[str, Chat], self.chats)
        return Courier(self.outside, store, chats, PAGES, uploads=uploads, pace=pace)

    def due(self) -> bool:
        """Whether something is still to be delivered."""
        return bool(self.control.chats.due(tuple(self.chats), region=self.cell.region))

    async def deliver(self, courier: Courier | None = None, seconds: float = 60.0) -> int:
        """Run couriers, a fresh one after each that is killed, until nothing is due; return how many it took."""
        for number in range(1, 1000):
            running = asyncio.create_task((courier or self.courier()).run())
            try:
                async with asyncio.timeout(seconds):
                    while self.due() and not running.done():
                        await asyncio.sleep(0.004)
                    if not running.done():
                        await asyncio.sleep(0.03)  # what comes after the cursor: the outcome of the last hop
            finally:
                died = running.done()
                running.cancel()
                with suppress(asyncio.CancelledError, Killed):
                    await running
            if not died and not self.due():
                return number
            courier = None
        raise AssertionError("it never came to an end")
