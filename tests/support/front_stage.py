"""A front on real stores, a real vault and a real door; the chat and the engine are small ones that keep everything."""

import asyncio
import copy
import inspect
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from greylag.adapters.chat.backends.thread import BuiltinThread
from greylag.adapters.chat.port import Capabilities, Control, Heard, Overheard, Post
from greylag.adapters.deploy.port import Health, Running
from greylag.adapters.store.opening import Control as Stores
from greylag.adapters.store.opening import open_control
from greylag.adapters.store.port import ChatPerson, Deployment
from greylag.adapters.vault.backends.local import LocalVault
from greylag.delivery.cell import About, Bounds, Cell, digest_of
from greylag.delivery.conversing.front import Front, House
from greylag.delivery.conversing.identity import Links
from greylag.delivery.conversing.rendering import Pages
from greylag.delivery.desk import Desk
from greylag.domain import events as ev
from greylag.domain.conversation import Conversation, Offer
from greylag.domain.errors import BackendError
from greylag.domain.ids import BuildId, ChangeId, RunId, TaskId
from greylag.domain.labels import Label
from greylag.domain.references import Reference
from greylag.domain.repository import Environment, Person, Repository
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.door import Door
from greylag.egress.permit import Permit
from greylag.governance.question import Question, Verdict

SOURCE = "slack:T1"
HERE = Conversation(SOURCE, "C1", "100.1")
KEY = b"k" * 32
BEGUN = datetime(2026, 11, 23, 12, tzinfo=UTC)
#: Who is who in the chat.
KNOWN = {"UADA": "ada", "UGRACE": "grace", "ULIN": "lin", "UOTTO": "otto"}
PEOPLE = {"ada": ("requester",), "grace": ("requester", "reviewer"), "lin": ("reviewer",), "otto": ("auditor",)}
ENVIRONMENTS = tuple(Environment(name, "local", ("run",)) for name in ("staging", "production"))
FULL = Capabilities(True, True, True, True, True, True, "transport", True, "DE", 4000)
SUBJECT = "sha256:" + "5" * 64
REF = Reference("local", "sha256:" + "0" * 64, 1, "x")


class KilledError(BaseException):
    """The process ended here."""


class Fuse:
    """Counts steps towards the outside and ends the process at one of them, for good."""

    def __init__(self, limit: int = 0) -> None:
        self.steps = 0
        self.limit = limit
        self._lock = threading.Lock()

    def tick(self) -> None:
        with self._lock:
            self.steps += 1
            if self.limit and self.steps >= self.limit:
                raise KilledError(self.steps)

    @property
    def burnt(self) -> bool:
        return bool(self.limit) and self.steps >= self.limit


class Fragile:
    """Something whose every verb is a step at which the process may end: right before it, so also after the last."""

    def __init__(self, inner: Any, fuse: Fuse) -> None:
        self._inner, self._fuse = inner, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found
        if inspect.iscoroutinefunction(found):

            async def later(*given: Any, **more: Any) -> Any:
                self._fuse.tick()
                return await found(*given, **more)

            return later

        def now(*given: Any, **more: Any) -> Any:
            self._fuse.tick()
            return found(*given, **more)

        return now


class Clock:
    """A time that goes on by a millisecond whenever somebody looks, and can be set."""

    def __init__(self) -> None:
        self.at = BEGUN
        self._drawn = 0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        with self._lock:
            self.at += timedelta(milliseconds=1)
            return self.at

    def entropy(self, size_bytes: int) -> bytes:
        with self._lock:
            self._drawn += 1
            return self._drawn.to_bytes(size_bytes, "big")


@dataclass
class Choosy:
    """Says yes but for what ``refuses`` matches."""

    refuses: Callable[[Question], bool] = lambda question: False
    asked: list[Question] = field(default_factory=list)

    def decide(self, question: Question) -> Verdict:
        self.asked.append(question)
        no = self.refuses(question)
        return Verdict(not no, ("test",), ("it is not for there",) if no else (), ("ask less",) if no else (), (), "t")


class Ledger:
    """Keeps entries in memory."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.away = False

    def append(self, entry: Any, *, key: str) -> int:
        if self.away:
            raise BackendError("GL-LEDGER-005", "the ledger is away.", "wait.", transient=True)
        self.entries.append({**entry, "key": key})
        return len(self.entries) - 1


class Looker:
    """Finds a person where an address stands."""

    def of_repository(self, repository: Repository, paths: Sequence[str] = ()) -> Label:
        return repository.label

    def of_content(self, content: bytes, base: Label) -> Label:
        return self.look(content, base)[0]

    def look(self, content: bytes, base: Label, people: Sequence[str] = ()) -> tuple[Label, tuple[str, ...]]:
        found = Label.of("confidential", classes=("user.contact.email",)) if b"@example.org" in content else base
        return base.joined(found), ()


class Engine:
    """Remembers what was started and woken."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.woken: list[tuple[str, str]] = []

    def start(self, task_id: TaskId) -> None:
        if task_id not in self.started:
            self.started.append(task_id)

    def wake(self, task_id: TaskId, key: str) -> None:
        self.woken.append((task_id, key))


class Room:
    """The chat: what was posted there, marks, and earlier messages. ``away`` and ``dull`` say what fails."""

    name, where = "slack", "slack"

    def __init__(self, source: str = SOURCE) -> None:
        self.source = source
        self.capabilities = FULL
        self.posts: list[Post] = []
        self.marks: list[tuple[str, str]] = []
        self.earlier: list[Overheard] = []
        self.away = False
        self.dull = False
        self.slow: set[str] = set()

    async def post(self, permit: Permit, post: Post, *, uncertain: bool = False, handle: str = "") -> str:
        permit.require(Stage.CHAT, self.where, post.digest)
        assert post.digest == digest_of(post.text.encode())
        if self.away:
            raise BackendError("GL-SLACK-009", "the chat is away.", "wait.", transient=True)
        there = [each for each in self.posts if each.key == post.key]
        if not (uncertain and there):
            self.posts.append(post)
        return f"p{len(self.posts)}"

    async def mark(self, permit: Permit, conversation: Conversation, message_id: str, mark: str) -> None:
        permit.require(Stage.CHAT, self.where, digest_of(mark.encode()))
        if self.dull or self.away:
            raise BackendError("GL-SLACK-009", "no reactions now.", "wait.", transient=True)
        self.marks.append((message_id, mark))

    async def history(self, conversation: Conversation, limit: int) -> Sequence[Overheard]:
        if conversation.room in self.slow:
            await asyncio.sleep(60)
        if self.away:
            raise BackendError("GL-SLACK-009", "the chat is away.", "wait.", transient=True)
        return self.earlier[-limit:]


class Deployer:
    """Runs what it is told to."""

    name = "test"

    def __init__(self) -> None:
        self.live: dict[str, str] = {}
        self.applied: list[str] = []

    async def apply(
        self, permit: Permit, repository: str, environment: Environment, digest: str, build: bytes
    ) -> Running:
        self.applied.append(digest)
        self.live[environment.name] = digest
        return Running(digest, "http://127.0.0.1:1")

    async def health(self, repository: str, environment: Environment) -> Health:
        return Health(True, "200")

    async def running(self, repository: str, environment: Environment) -> Running | None:
        found = self.live.get(environment.name)
        return Running(found, "http://127.0.0.1:1") if found else None


class Scene:
    """Everything that outlives a process, and a front on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.policy = Choosy()
        self.ledger = Ledger()
        self.engine = Engine()
        self.room = Room()
        self.deployer = Deployer()
        self.rooms: dict[tuple[str, str], Label] = {}
        self.stores: Stores = open_control(f"sqlite:///{folder / 'control.db'}")
        self.vault = LocalVault(folder / "vault", "local")
        self.repositories = ("murmur",)
        self.open()

    def open(self, fuse: Fuse | None = None) -> None:
        """Begin a new process; with a fuse it ends at the fuse's step."""
        burning = fuse or Fuse()

        def fragile(inner: Any) -> Any:
            return Fragile(inner, burning)

        store = fragile(self.stores.chats)
        door = Door(self.policy, fragile(self.ledger), self.clock, "local")
        nothing = cast(Any, None)
        self.cell = Cell(
            region="local", clock=self.clock, door=door, events=fragile(self.stores.events),
            threads=fragile(self.stores.threads), directory=self.stores.directory,
            deployments=fragile(self.stores.deployments), ledger=cast(Any, self.ledger), vault=fragile(self.vault),
            forge=nothing, sandbox=nothing, agents={"claude": nothing}, gateway=nothing,
            deployer=fragile(self.deployer), chat=BuiltinThread(fragile(self.stores.threads), "local"), toolbox=nothing,
            labeller=Looker(), sign_approval=lambda subject, by, via: "signed", seal=lambda statement: b"{}",
            workspaces=self.folder, slots=nothing, default_agent="claude", endpoint="", model="",
            bounds=Bounds(request_characters=2000), chats=store,
        )  # fmt: skip
        self.desk = Desk(self.cell, fragile(self.engine))
        self.links = Links(self.cell, store, KEY, lambda code: f"https://greylag.example/link/{code}")
        chats = [cast(Any, fragile(self.room))]
        pages = Pages(lambda task_id: f"https://greylag.example/tasks/{task_id}")
        self.front = Front(House(self.cell, self.desk, store, chats, self.links, pages, self.rooms))

    def close(self) -> None:
        self.stores.close()

    def copied(self, folder: Path) -> "Scene":
        """Return a scene that begins where this one, which is closed, ended."""
        shutil.copytree(self.folder, folder)
        made = Scene(folder)
        made.clock.at, made.engine, made.room, made.deployer = (
            self.clock.at,
            *copy.deepcopy((self.engine, self.room, self.deployer)),
        )
        made.open()
        return made

    @asynccontextmanager
    async def working(self) -> AsyncIterator[asyncio.Task[None]]:
        """Have the front work."""
        running = asyncio.create_task(self.front.run())
        try:
            yield running
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError, KilledError):
                await running

    async def hear(self, *heard: Heard) -> None:
        """Have the front take and handle what was heard."""
        async with self.working() as running:
            for each in heard:
                await self.front.take(each)
            await self.settled(running)

    async def settled(self, running: "asyncio.Task[None] | None" = None) -> None:
        """Wait until all that was taken is settled, or the process died."""
        for _ in range(2000):
            if running is not None and running.done():
                running.result()
            if not self.stores.chats.waiting():
                break
            await asyncio.sleep(0.005)
        else:
            raise AssertionError(f"not settled: {self.stores.chats.waiting()}")
        await asyncio.sleep(0.01)

    # what is looked at

    def tasks(self) -> tuple[Task, ...]:
        return self.stores.events.tasks(limit=100)

    def task(self) -> Task:
        (only,) = self.tasks()
        return only

    def said(self, task_id: str) -> list[tuple[str, str, str]]:
        """Return kind, author and words of everything in a task's own thread."""
        messages = self.stores.threads.messages(TaskId(task_id), 0, 1000)
        return [(each.kind, each.author, self.vault.get(each.body, subject=task_id).decode()) for each in messages]

    def words(self, task_id: str) -> str:
        return "\n".join(words for _, _, words in self.said(task_id))

    def outcome(self, event_id: str, source: str = SOURCE) -> tuple[str, str]:
        found = self.stores.chats.known(source, event_id)
        assert found is not None, event_id
        return found.state, found.reason

    def events_of(self, task_id: str, kind: type[Any]) -> list[Any]:
        return [each.event for each in self.stores.events.read(TaskId(task_id)) if isinstance(each.event, kind)]

    # what happens elsewhere

    def append(self, task_id: str, *events: ev.Event) -> Task:
        for number, event in enumerate(events):
            key = f"test/{type(event).__name__}/{number}/{self.clock._drawn}/{self.clock.at.isoformat()}"
            self.stores.events.append(TaskId(task_id), event, key=key, at=self.clock.now())
        return self.stores.events.task(TaskId(task_id))

    def up_for_review(self, task_id: str, subject: str = SUBJECT, number: int = 1) -> str:
        """Lead a task to its review, card and all; return the chat's id of the card's message."""
        run, change = RunId(f"run_{number}"), ChangeId(f"chg_{number}")
        first: tuple[ev.Event, ...] = (
            ev.TaskAccepted("murmur", "fix", "internal", "dec_1"),
            ev.TaskPlaced("local", "bubblewrap", "claude", "scripted", "runs here", "dec_2"),
        )
        self.append(
            task_id, *(first if number == 1 else ()), ev.RunStarted(run, number, 1, "b" * 40, REF, "v1", 100),
            ev.ChangeCaptured(change, run, "b" * 40, "c" * 40, REF, ("a.py",), 3, 1),
            ev.RunFinished(run, "finished", "done"), ev.RunVerified(run, "c" * 40, True, "passed", REF),
            ev.ChangeVerified(change, "c" * 40), ev.BuildStored(BuildId(f"bld_{number}"), change, "murmur.whl", REF),
            ev.ReviewRequested(change, subject, REF, "2026-12-01T00:00:00+00:00"),
        )  # fmt: skip
        offers = (
            Offer("approve", "Approve", subject),
            Offer("reject", "Reject", subject),
            Offer("say", "Ask for more"),
        )
        return self.shown(task_id, "card", f"Ready {number}", offers)

    def shown(self, task_id: str, kind: str, text: str, offers: tuple[Offer, ...]) -> str:
        """Say something in the own thread and have it delivered; return the chat's id of the message."""
        task = self.stores.events.task(TaskId(task_id))
        key = f"{kind}/{text}"
        self.cell.say_now(About.of(task), kind, text, key, offers=offers)
        return self.delivered(task_id)[-1]

    def delivered(self, task_id: str) -> list[str]:
        """Note everything in the own thread as delivered everywhere, as the courier does; return the chat's ids."""
        store, handles = self.stores.chats, []
        for message in self.stores.threads.messages(TaskId(task_id), 0, 1000):
            for where in store.conversations(TaskId(task_id)):
                handle = f"{where.room}.{where.thread}.{message.sequence}"
                store.sending(where, TaskId(task_id), message.sequence, "dec_x", self.clock.now())
                store.sent(where, TaskId(task_id), message.sequence, "sent", handle, self.clock.now())
                handles.append(handle)
        return handles

    def deploy(self, environment: str, digit: str, task_id: str) -> str:
        """Have a build live in ``environment``; return its digest."""
        digest = digest_of(digit.encode())
        task = self.stores.events.task(TaskId(task_id))
        kept = self.cell.keep_now(About.of(task), digit.encode(), "build", f"build/{digit}")
        put = Deployment("murmur", environment, digest, kept, f"murmur-{digit}.whl", task_id, self.clock.now())
        self.stores.deployments.record_deployment(put, key=f"deploy/{environment}/{digit}")
        self.deployer.live[environment] = digest
        return digest


def make_template(folder: Path) -> Path:
    """Make a database with people, a repository, and chat accounts that are known; copies of it are quick."""
    stores = open_control(f"sqlite:///{folder / 'control.db'}")
    for name, roles in PEOPLE.items():
        stores.directory.add_person(Person(name, roles), f"token-{name}")
    stores.directory.add_repository(Repository("murmur", "local", environments=ENVIRONMENTS), BEGUN)
    for author, person in KNOWN.items():
        stores.chats.add_person(ChatPerson(SOURCE, author, person, "operator", BEGUN))
    stores.close()
    return folder


def opened_scene(folder: Path, template: Path) -> Scene:
    """Return a scene whose database is a copy of ``template``'s."""
    for file in template.glob("control.db*"):
        shutil.copy(file, folder)
    return Scene(folder)


_NUMBERS = iter(range(1, 1_000_000))


def heard(
    kind: str = "mention", text: str = "the skip button fires twice, fix it", author: str = "UADA", **more: Any
) -> Heard:
    """Return something that was heard, with ids of its own."""
    number = next(_NUMBERS)
    values: dict[str, Any] = {
        "event_id": f"C1/{number}", "conversation": HERE, "message_id": f"m{number}", "said_at": None, **more
    }  # fmt: skip
    return Heard(kind=kind, author=author, text=text, **values)


def click(message_id: str, verb: str, value: str = "", author: str = "UGRACE", **more: Any) -> Heard:
    """Return a click on a message."""
    return heard("click", more.pop("text", ""), author, message_id=message_id, verb=verb, value=value, **more)


def controls(post: Post) -> list[Control]:
    return list(post.controls)
