"""A small cell of real parts (stores, vault, thread, door) with one task at work in it, for tests of steering."""

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from greylag.adapters.chat.backends.thread import BuiltinThread
from greylag.adapters.store.opening import Control, open_control
from greylag.adapters.vault.backends.local import LocalVault
from greylag.delivery.cell import About, Bounds, Cell
from greylag.delivery.desk import Desk
from greylag.domain import events as ev
from greylag.domain.ids import RunId, TaskId
from greylag.domain.labels import Label
from greylag.domain.references import Reference
from greylag.domain.repository import Person, Repository
from greylag.domain.task import Run, Task
from greylag.egress.door import Door
from greylag.governance.question import Question, Verdict
from tests.support.permits import MemoryLedger, WallClock

TASK, RUN = TaskId("task_1"), RunId("run_1")
BASE = "b" * 40


@cache
def _template() -> Path:
    """Return an empty, migrated control database: a copy is much quicker than a migration."""
    path = Path(tempfile.mkdtemp(prefix="glsteer")) / "control.db"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    open_control(f"sqlite:///{path}").close()
    return path


class Labeller:
    """Finds what is restricted by one word in it."""

    def of_repository(self, repository: Repository, paths: Sequence[str] = ()) -> Label:
        return Label("internal")

    def of_content(self, content: bytes, base: Label) -> Label:
        return base.joined(Label("restricted", derived_by=("test",))) if b"SECRET" in content else base

    def look(self, content: bytes, base: Label, people: Sequence[str] = ()) -> tuple[Label, tuple[str, ...]]:
        return self.of_content(content, base), ()


class Rules:
    """A policy that keeps restricted words out of prompts, and permits everything else."""

    def decide(self, question: Question) -> Verdict:
        permitted = not (question.stage == "context" and question.asset.label.level == "restricted")
        reasons = () if permitted else ("it is restricted",)
        return Verdict(permitted, ("test",), reasons, ("say it without",), (), "1")


@dataclass
class Wakes:
    """An engine that only counts."""

    count: int = 0

    def wake(self, task_id: TaskId, key: str) -> None:
        self.count += 1


@dataclass
class Gateway:
    """Notes how a run's label grows."""

    labels: list[Label] = field(default_factory=list)

    def relabel(self, run_id: str, label: Label) -> None:
        self.labels.append(label)


class Scene:
    """The cell, its desk, and its task."""

    def __init__(self, folder: Path, hears: bool = True, **bounds: Any) -> None:
        shutil.copy(_template(), folder / "control.db")
        self.control: Control = open_control(f"sqlite:///{folder / 'control.db'}")
        self.ledger, self.gateway, self.engine = MemoryLedger(), Gateway(), Wakes()
        clock = WallClock()
        thread = BuiltinThread(self.control.threads, "local")
        door = Door(Rules(), self.ledger, clock, "local")
        nothing = cast(Any, None)
        self.cell = Cell(
            region="local", clock=clock, door=door, events=self.control.events, threads=self.control.threads,
            directory=self.control.directory, deployments=self.control.deployments, ledger=nothing,
            vault=LocalVault(folder / "vault", "local"), forge=nothing, sandbox=cast(Any, SimpleNamespace(name="box")),
            agents={"claude": cast(Any, SimpleNamespace(name="claude", hears=hears))},
            gateway=cast(Any, self.gateway), deployer=nothing, chat=thread, toolbox=nothing, labeller=Labeller(),
            sign_approval=lambda *_: "signed", seal=lambda _: b"", workspaces=folder, slots=asyncio.Semaphore(1),
            default_agent="claude", endpoint="scripted", model="scripted-1", bounds=Bounds(**bounds),
        )  # fmt: skip
        self.desk = Desk(self.cell, cast(Any, self.engine))
        for name, roles in {"ada": ("requester",), "grace": ("requester", "reviewer"), "lin": ("reviewer",)}.items():
            self.control.directory.add_person(Person(name, roles, ""), f"token of {name}")
        self.control.directory.add_repository(Repository("murmur", "local"), clock.now())
        self.record(
            ev.TaskReceived("console", "ada", self.kept("fix it"), "fix it", "local", "murmur"),
            ev.TaskAccepted("murmur", "fix", "internal", "dec_1"),
            ev.TaskPlaced("local", "box", "claude", "scripted", "runs in local", "dec_2"),
        )

    def record(self, *events: ev.Event) -> Task:
        """Record ``events``, and return the task."""
        for event in events:
            key = f"test/{self.cell.clock.entropy(6).hex()}"
            self.cell.events.append(TASK, event, key=key, at=self.cell.clock.now())
        return self.task

    def begin(self, follow_ups: int = 0, run_id: RunId = RUN, attempt: int = 1) -> Run:
        """Begin a run whose prompt holds so many follow-ups."""
        prompt = self.kept("the prompt")
        task = self.record(ev.RunStarted(run_id, 1, attempt, BASE, prompt, "v3", follow_ups))
        return task.runs[-1]

    def change(self, run_id: RunId = RUN) -> Task:
        """Record the change of a run, and its end."""
        change = ev.ChangeCaptured(cast(Any, f"chg_{run_id}"), run_id, BASE, "c" * 40, self.kept("+"), ("a.py",), 1, 0)
        return self.record(change, ev.RunFinished(run_id, "finished", "done"))

    def kept(self, text: str) -> Reference:
        """Keep ``text`` in the vault."""
        key = self.cell.clock.entropy(6).hex()
        return self.cell.keep_now(About(TASK, Label("internal")), text.encode(), "message", key)

    @property
    def task(self) -> Task:
        """The task as it stands."""
        return self.cell.events.task(TASK)

    def thread(self) -> list[str]:
        """What was said, in order."""
        said = self.cell.threads.messages(TASK)
        return [self.cell.vault.get(each.body, subject=TASK).decode() for each in said]

    def close(self) -> None:
        """Close the store."""
        self.control.close()
