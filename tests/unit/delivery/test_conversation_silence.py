"""Every accepted request ends in a reply, whatever ends the process at whichever step, from the chat and back to it.

Front, desk, workflow and courier are the real ones on real stores; the chat and the engine keep what they were given,
as a server and a database do. Every call of store, vault, ledger and chat is a step to end at.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greylag.adapters.chat.port import Heard, Post
from greylag.delivery.conversing.courier import Courier, Pace
from greylag.delivery.conversing.front import Front, House
from greylag.delivery.conversing.rendering import Pages
from greylag.delivery.desk import Desk
from greylag.delivery.workflow import deliver
from greylag.domain.conversation import Conversation
from greylag.domain.ids import TaskId
from greylag.domain.repository import Repository
from greylag.egress.permit import Permit
from tests.support.front_stage import BEGUN, HERE, SOURCE, Fragile, Fuse, KilledError, Room, Scene, heard

THERE = Conversation(SOURCE, "C1", "200.2")
PAGES = Pages(lambda task_id: f"https://greylag.example/tasks/{task_id}")
QUICK = Pace(poll=0.005, progress=0.0, first_backoff=0.002, longest_backoff=0.01, post=5.0)
_LONGEST_LIFE_SECONDS = 20.0


class Chat(Room):
    """Keeps each message under an id of its own, and looks before it says something again only where it is told to."""

    looks = True

    def __init__(self) -> None:
        super().__init__()
        self.fuse, self.fatal = Fuse(), 0

    async def post(self, permit: Permit, post: Post, *, uncertain: bool = False, handle: str = "") -> str:
        if handle:
            self.posts[int(handle[1:]) - 1] = post
            return handle
        for number, each in enumerate(self.posts, 1):
            if self.looks and uncertain and (each.key, each.conversation) == (post.key, post.conversation):
                return f"p{number}"
        done = await super().post(permit, post)
        if len(self.posts) == self.fatal and not self.fuse.limit:
            self.fuse.limit = self.fuse.steps + 1  # it is there, and nobody was told so
        self.fuse.tick()
        return done


class Memory:
    """What an engine keeps in its database: what was started, what each step answered, who was woken."""

    def __init__(self) -> None:
        self.started: list[TaskId] = []
        self.answers: dict[tuple[TaskId, int, str], str] = {}
        self.wakes: dict[TaskId, set[str]] = {}
        self.ended: set[TaskId] = set()
        self.waiting: set[TaskId] = set()

    def start(self, task_id: TaskId) -> None:
        if task_id not in self.started:
            self.started.append(task_id)

    def running(self) -> frozenset[TaskId]:
        return frozenset(self.started) - self.ended

    def failed(self) -> dict[TaskId, str]:
        return {}

    def wake(self, task_id: TaskId, key: str) -> None:
        self.wakes.setdefault(task_id, set()).add(key)


@dataclass
class Flow:
    """One workflow in one life of the process, over what the engine remembers."""

    memory: Memory
    task_id: TaskId
    fuse: Fuse
    place: int = 0

    async def step(self, name: str, work: Callable[[], Awaitable[str]]) -> str:
        self.place += 1
        key = self.task_id, self.place, name
        if key not in self.memory.answers:
            self.fuse.tick()
            answer = await work()
            self.fuse.tick()
            self.memory.answers[key] = answer
        return self.memory.answers[key]

    async def wait(self, seconds: float) -> bool:
        self.place += 1
        key = self.task_id, self.place, "wait"
        while key not in self.memory.answers:
            self.memory.waiting.add(self.task_id)
            if self.memory.wakes.get(self.task_id):
                self.memory.wakes[self.task_id].pop()
                self.memory.answers[key] = "woken"
                self.memory.waiting.discard(self.task_id)
            await asyncio.sleep(0.002)
        return True


class Chain(Scene):
    """A scene whose front, workflows and courier all work, for one life after the other."""

    def __init__(self, folder: Path) -> None:
        self.memory = Memory()
        self.kept = Chat()
        super().__init__(folder)
        self.room = self.kept
        if "notes" not in {each.name for each in self.stores.directory.repositories()}:
            self.stores.directory.add_repository(Repository("notes", "local"), BEGUN)

    def open(self, fuse: Fuse | None = None) -> None:
        self.fuse = fuse or Fuse()
        self.memory.waiting.clear()
        self.room, self.kept.fuse = self.kept, self.fuse
        super().open(self.fuse)
        agent = SimpleNamespace(name="claude", needs_model=True, hears=False)
        sandbox = SimpleNamespace(name="box", discard=lambda folder: None)
        self.cell = replace(
            self.cell, agents={"claude": cast(Any, agent)}, sandbox=cast(Any, sandbox), slots=asyncio.Semaphore(1)
        )
        store, chat = cast(Any, self.cell.chats), cast(Any, Fragile(self.kept, self.fuse))
        self.desk = Desk(self.cell, cast(Any, Fragile(self.memory, self.fuse)))
        self.front = Front(House(self.cell, self.desk, store, [chat], self.links, PAGES, self.rooms))
        self.courier = Courier(self.cell, store, {SOURCE: chat}, PAGES, pace=QUICK)

    async def live(self, said: Sequence[Heard]) -> None:
        """Live once: the chat tells what was not acknowledged, all of it works until nothing is left to do or it dies.

        It begins as the platform does, with a sweep that finds whom nobody woke.
        The chat tells each thing when what came before it was dealt with, as people wait for an answer.
        """
        await asyncio.to_thread(self.desk.sweep)
        work = [asyncio.create_task(self.front.run()), asyncio.create_task(self.courier.run())]
        work.append(asyncio.create_task(self._flows()))
        try:
            async with asyncio.timeout(_LONGEST_LIFE_SECONDS):
                for each in said:
                    if self.fuse.burnt:
                        return
                    with suppress(KilledError):
                        await self.front.take(each)
                    while not (any(one.done() for one in work) or self.fuse.burnt or self.quiet()):
                        await asyncio.sleep(0.003)
        finally:
            for one in work:
                one.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _flows(self) -> None:
        """Recover what was started, and take what is started."""
        flows: dict[TaskId, asyncio.Task[None]] = {}
        try:
            while True:
                for task_id in self.memory.started:
                    if task_id not in self.memory.ended and task_id not in flows:
                        flows[task_id] = asyncio.create_task(self._flow(task_id))
                for each in flows.values():
                    if each.done():
                        each.result()
                await asyncio.sleep(0.002)
        finally:
            for each in flows.values():
                each.cancel()
            await asyncio.gather(*flows.values(), return_exceptions=True)

    async def _flow(self, task_id: TaskId) -> None:
        await deliver(self.cell)(Flow(self.memory, task_id, self.fuse))
        self.memory.ended.add(task_id)

    def quiet(self) -> bool:
        """Whether nothing is left to do: all is handled and delivered, each task has ended or waits for a person."""
        chats = self.stores.chats
        if chats.waiting() or chats.due((SOURCE,)):
            return False
        memory, tasks = self.memory, {task.task_id for task in self.tasks()}
        waits = memory.waiting - {each for each, keys in memory.wakes.items() if keys}
        return tasks == set(memory.started) and tasks - memory.ended <= waits


@dataclass(frozen=True)
class Talk:
    """What is said in which conversation, and how often which answers stand there at the end."""

    said: tuple[Heard, ...]
    answers: dict[Conversation, tuple[str, ...]] = field(default_factory=dict)


def stopped_after_a_question() -> Talk:
    said = (
        heard(), heard("reply", "status"), heard("mention", "what is live in murmur?", "UGRACE", conversation=THERE),
        heard("reply", "stop"),
    )  # fmt: skip
    here = ("On it: ", "  1. murmur\n", "Now: it waits for an answer", "Stopping.", "Stopped, as ada asked.")
    return Talk(said, {HERE: here, THERE: ("On it: ", "Live of murmur:")})


def refused_after_an_answer() -> Talk:
    said = (heard(), heard("reply", "murmur"), heard("reply", "is it done?"))
    return Talk(said, {HERE: ("On it: ", "  1. murmur\n", "(GL-AGENT-004)", "Now: it was refused")})


TALKS = {"a question, a stop": stopped_after_a_question, "an answer, a refusal": refused_after_an_answer}


def check(scene: Chain, talk: Talk) -> None:
    """Each request was acknowledged once and ends in an answer; the chat has the own threads, once, in order."""
    assert scene.quiet()
    for each in talk.said:
        assert scene.outcome(each.event_id) == ("handled", ""), each.text
    assert len(scene.tasks()) == len(talk.answers)
    keys = Counter((each.conversation, each.key) for each in scene.kept.posts)
    assert set(keys.values()) == {1}, "a key stands in the chat twice"
    for where, answers in talk.answers.items():
        there = [post.text for post in scene.kept.posts if post.conversation == where]
        task_id = scene.stores.chats.task_in(where)
        assert task_id is not None
        own = [words for _, author, words in scene.said(task_id) if author == "greylag"]
        assert [text.split("\n")[0] for text in there] == [text.split("\n")[0] for text in own]
        assert len(set(own)) == len(own), "the own thread says something twice"
        found = [[at for at, text in enumerate(there) if answer in text] for answer in answers]
        assert found == [[at] for at in range(len(there))], f"it says {there}"
    permitted = {entry["decision_id"] for entry in scene.ledger.entries if entry.get("permitted")}
    decided = [
        posting.decision_id
        for where in talk.answers
        for task_id in [scene.stores.chats.task_in(where)]
        for number in range(1, 50)
        if task_id is not None
        for posting in [scene.stores.chats.posting(where, task_id, number)]
        if posting is not None and posting.handle
    ]
    assert len(decided) == len(scene.kept.posts)
    assert set(decided) <= permitted


async def lives(scene: Chain, talk: Talk, deaths: Sequence[int]) -> int:
    """Live once for each step to die at, then until all is told; return how often it died."""
    died = 0
    for step in deaths:
        fuse = Fuse(step)
        with suppress(KilledError):
            scene.open(fuse)
            await scene.live(talk.said)
        died += fuse.burnt
    for _ in range(2):  # the chat may deliver everything again however often
        scene.open()
        await scene.live(talk.said)
    return died


def played(template: Path, talk: Talk, deaths: Sequence[int] = (), fatal: int = 0) -> int:
    with tempfile.TemporaryDirectory(prefix="glsilence") as folder:
        shutil.copytree(template, folder, dirs_exist_ok=True)
        scene = Chain(Path(folder))
        try:
            scene.kept.fatal = fatal
            died = asyncio.run(lives(scene, talk, deaths))
            check(scene, talk)
        finally:
            scene.close()
    return died


@pytest.mark.parametrize("name", TALKS)
def test_it_may_end_at_step_after_step(name: str, scene_template: Path) -> None:
    """Once at single steps all over the talk, and life after life a few steps further, until no life is cut short."""
    steps = _steps(scene_template, TALKS[name]())
    assert steps > 100, "there were steps to end at"
    assert all(played(scene_template, TALKS[name](), (step,)) == 1 for step in range(2, steps // 2, steps // 10))
    assert all(played(scene_template, TALKS[name](), range(first, steps, 13)) >= 4 for first in (1, 7))


@pytest.mark.parametrize("name", TALKS)
def test_it_may_end_right_after_each_post(name: str, scene_template: Path) -> None:
    talk = TALKS[name]()
    for number in range(1, sum(len(answers) for answers in talk.answers.values()) + 1):
        played(scene_template, TALKS[name](), fatal=number)


@given(st.sampled_from(sorted(TALKS)), st.lists(st.integers(1, 400), min_size=1, max_size=6))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_request_is_left_without_a_reply(scene_template: Path, name: str, deaths: list[int]) -> None:
    played(scene_template, TALKS[name](), deaths)


def test_a_chat_that_never_looks_shows_a_doubled_message(scene_template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check can fail: without the look before a second try, a life that ends right after a post doubles it."""
    monkeypatch.setattr(Chat, "looks", False)
    with pytest.raises(AssertionError, match="twice"):
        played(scene_template, refused_after_an_answer(), fatal=2)


def _steps(template: Path, talk: Talk) -> int:
    with tempfile.TemporaryDirectory(prefix="glsilence") as folder:
        shutil.copytree(template, folder, dirs_exist_ok=True)
        scene = Chain(Path(folder))
        try:
            scene.open()
            asyncio.run(scene.live(talk.said))
            check(scene, talk)
            return scene.fuse.steps
        finally:
            scene.close()
