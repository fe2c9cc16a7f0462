"""One worker in this process: whose loop runs what, and what a workflow can do wrong."""

import asyncio
import contextvars
import logging
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from greylag.adapters.engine.backends.dbos import DbosEngine
from greylag.adapters.engine.port import Engine, Flow
from greylag.domain.errors import GreylagError, OperatorError
from greylag.domain.ids import TaskId

TASK = TaskId("task_1")
WHO = contextvars.ContextVar("WHO", default="nobody")
Launch = Callable[[Callable[[Flow], Awaitable[None]]], Awaitable[DbosEngine]]


def make(folder: Path, worker: str = "w1") -> DbosEngine:
    return DbosEngine(
        "eu-de", f"sqlite:///{folder}/e.db", worker, folder / "state", poll_seconds=0.02, reap_seconds=0.1
    )


@pytest.fixture
async def launch(tmp_path: Path) -> AsyncIterator[Launch]:
    engines: list[DbosEngine] = []

    async def begin(workflow: Callable[[Flow], Awaitable[None]]) -> DbosEngine:
        engine = make(tmp_path)
        engines.append(engine)
        await engine.launch(workflow)
        return engine

    yield begin
    for engine in engines:
        await engine.close()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def text(value: str = "done") -> str:
    return value


async def test_workflow_and_steps_run_on_the_loop_that_launched(launch: Launch) -> None:
    """The platform's adapters hold sockets and locks of that loop; it is the engine's most important promise."""
    home, thread = asyncio.get_running_loop(), threading.get_ident()
    seen: list[tuple[object, int, str]] = []

    def look() -> None:
        seen.append((asyncio.get_running_loop(), threading.get_ident(), WHO.get()))

    async def workflow(flow: Flow) -> None:
        async def work() -> str:
            look()
            await asyncio.sleep(0)
            return "x"

        look()
        await flow.step("a", work)
        look()
        await flow.wait(600)
        look()
        await flow.step("b", work)

    WHO.set("the launcher")
    engine = await launch(workflow)
    await asyncio.to_thread(engine.start, TASK)  # whoever starts or wakes it, from whatever thread
    await until(lambda: len(seen) == 3)
    await asyncio.to_thread(engine.wake, TASK, "k")
    await until(lambda: len(seen) == 5)
    await until(lambda: not engine.running())
    await engine.close()
    again = await launch(workflow)
    assert not again.running()
    assert {(loop is home, ident == thread, who) for loop, ident, who in seen} == {(True, True, "the launcher")}


async def test_the_platforms_threads_are_left_alone(launch: Launch) -> None:
    """The engine's library swaps the executor of a loop it is launched on, and shuts it down with itself."""

    async def workflow(flow: Flow) -> None:
        await flow.step("a", text)

    names: set[str] = set()
    engine = await launch(workflow)
    engine.start(TASK)
    await until(lambda: not engine.running())
    names.add(await asyncio.to_thread(lambda: threading.current_thread().name))
    await engine.close()
    names.add(await asyncio.to_thread(lambda: threading.current_thread().name))
    assert all(name.startswith("asyncio_") for name in names)


async def test_the_loop_stays_free_while_a_hundred_tasks_run(launch: Launch) -> None:
    async def workflow(flow: Flow) -> None:
        for number in range(3):
            await flow.step(f"s{number}", text)
        await flow.wait(600)

    engine = await launch(workflow)
    longest, last = 0.0, time.monotonic()
    for number in range(100):
        await asyncio.to_thread(engine.start, TaskId(f"task_{number}"))
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    tick = time.monotonic()
    for _ in range(20):
        await asyncio.sleep(0.01)
        longest, tick = max(longest, time.monotonic() - tick), time.monotonic()
    assert longest < 2.0
    assert len(engine.running()) == 100
    begun = time.monotonic()
    await engine.close()  # with runs still on their way from the queue
    assert time.monotonic() - begun < 4.0


async def test_answers_are_short_text(launch: Launch) -> None:
    got: list[str] = []

    async def workflow(flow: Flow) -> None:
        for value in ("x" * 65536, "ü" * 32768, "x" * 65537, "ü" * 32769, 7, None, "\ud800" * 30_000):
            try:
                got.append(str(len(await flow.step("s", lambda value=value: text(value)))))  # type: ignore[misc]
            except GreylagError as error:
                got.append(error.code)
        await flow.step("end", text)

    engine = await launch(workflow)
    engine.start(TASK)
    await until(lambda: len(got) == 7)
    assert got == ["65536", "32768", *["GL-ENGINE-002"] * 5]
    await until(lambda: not engine.running())
    assert engine.failed() == {}


async def test_nothing_a_step_says_stands_in_the_database_in_clear(launch: Launch, tmp_path: Path) -> None:
    async def workflow(flow: Flow) -> None:
        await flow.step("say", lambda: text("the plan for project halibut"))
        raise ValueError("halibut can't be found")

    engine = await launch(workflow)
    engine.start(TASK)
    engine.wake(TASK, "halibut")
    await until(lambda: bool(engine.failed()))
    assert "halibut can't be found" in engine.failed()[TASK]
    await engine.close()
    connection = sqlite3.connect(tmp_path / "e.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert "halibut" not in "\n".join(connection.iterdump())
    connection.close()
    assert (tmp_path / "e.db").stat().st_mode & 0o777 == 0o600


async def test_logs_hold_no_content(launch: Launch, caplog: pytest.LogCaptureFixture) -> None:
    async def workflow(flow: Flow) -> None:
        raise ValueError("halibut can't be found")

    with caplog.at_level(logging.DEBUG):
        engine = await launch(workflow)
        engine.start(TASK)
        await until(lambda: bool(engine.failed()))
        await engine.close()
    assert "halibut" not in caplog.text
    assert "conductor" not in caplog.text.lower()
    assert "ended by an error nobody caught: ValueError" in caplog.text


async def test_a_step_cancelled_from_inside_fails_and_the_run_goes_on(launch: Launch) -> None:
    codes: list[str] = []

    async def workflow(flow: Flow) -> None:
        async def cancelled() -> str:
            raise asyncio.CancelledError

        try:
            await flow.step("a", cancelled)
        except GreylagError as error:
            codes.append(error.code)

    engine = await launch(workflow)
    engine.start(TASK)
    await until(lambda: not engine.running())
    assert codes == ["GL-ENGINE-004"]


async def test_a_run_that_gave_up_by_cancellation_is_taken_up_again(launch: Launch) -> None:
    runs: list[int] = []

    async def workflow(flow: Flow) -> None:
        runs.append(len(runs))
        await flow.step("a", text)
        if len(runs) == 1:
            raise asyncio.CancelledError

    engine = await launch(workflow)
    engine.start(TASK)
    await until(lambda: len(runs) == 2)
    await until(lambda: not engine.running())
    assert engine.failed() == {}


async def test_closing_cancels_steps_and_lets_them_clean_up(launch: Launch) -> None:
    said: list[str] = []

    async def workflow(flow: Flow) -> None:
        async def long() -> str:
            said.append("begun")
            try:
                await asyncio.sleep(600)
            finally:
                await asyncio.sleep(0.05)
                said.append("clean")
            return ""

        try:
            await flow.step("long", long)
        except Exception as error:  # noqa: BLE001 -- what delivery does, too: closing must not look like a failure
            said.append(repr(error))

    engine = await launch(workflow)
    engine.start(TASK)
    await until(lambda: said == ["begun"])
    await engine.close()
    assert said == ["begun", "clean"]
    await launch(workflow)
    await until(lambda: said == ["begun", "clean", "begun"])


async def test_steps_asked_for_at_once_run_in_the_order_asked_for(launch: Launch) -> None:
    order: list[str] = []

    async def workflow(flow: Flow) -> None:
        def work(name: str) -> Callable[[], Awaitable[str]]:
            async def inner() -> str:
                order.append(f"+{name}")
                await asyncio.sleep(0.01)
                order.append(f"-{name}")
                return name

            return inner

        assert await asyncio.gather(*(flow.step(name, work(name)) for name in "abc")) == ["a", "b", "c"]

    engine = await launch(workflow)
    engine.start(TASK)
    await until(lambda: not engine.running())
    assert order == ["+a", "-a", "+b", "-b", "+c", "-c"]
    assert engine.failed() == {}


async def test_a_flood_of_wakes_is_one_return(launch: Launch) -> None:
    returned: list[bool] = []
    gate = asyncio.Event()

    async def workflow(flow: Flow) -> None:
        await flow.step("gate", lambda: _passed(gate))
        returned.append(await flow.wait(600))
        returned.append(await flow.wait(0.2))

    engine = await launch(workflow)
    engine.start(TASK)
    for number in range(20):
        engine.wake(TASK, f"k{number}")
    gate.set()
    await until(lambda: not engine.running())
    assert returned == [True, False]


async def _passed(gate: asyncio.Event) -> str:
    await gate.wait()
    return ""


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
async def test_a_wait_without_an_end_is_refused(launch: Launch, seconds: float) -> None:
    async def workflow(flow: Flow) -> None:
        await flow.wait(seconds)

    engine = await launch(workflow)
    engine.start(TASK)
    await until(lambda: bool(engine.failed()))
    assert "must be finite" in engine.failed()[TASK]


async def test_changed_code_is_told_and_corrupts_nothing(launch: Launch) -> None:
    codes: list[str] = []

    async def before(flow: Flow) -> None:
        await flow.step("a", text)
        await flow.wait(600)

    async def after(flow: Flow) -> None:
        try:
            await flow.step("something else", text)
        except GreylagError as error:
            codes.append(error.code)

    engine = await launch(before)
    engine.start(TASK)
    await until(lambda: TASK in engine.running())
    await asyncio.sleep(0.3)
    await engine.close()
    await launch(after)
    await until(lambda: bool(codes))
    assert codes == ["GL-ENGINE-008"]


async def test_one_process_works_in_one_region(launch: Launch, tmp_path: Path) -> None:
    async def workflow(flow: Flow) -> None: ...

    engine: Engine = await launch(workflow)
    other = DbosEngine("us-va", f"sqlite:///{tmp_path}/us.db", "w1", tmp_path / "us")
    with pytest.raises(OperatorError, match="works in a region already") as caught:
        await other.launch(workflow)
    assert caught.value.code == "GL-ENGINE-005"
    other.start(TASK)  # for the process that works there
    assert other.running() == {TASK}
    assert engine.running() == frozenset()
    await other.close()
    engine.start(TASK)
    await until(lambda: not engine.running())


async def test_a_failed_launch_leaves_nothing_behind(launch: Launch, tmp_path: Path) -> None:
    async def workflow(flow: Flow) -> None: ...

    (tmp_path / "e.db").mkdir()
    with pytest.raises(GreylagError) as caught:
        await launch(workflow)
    assert caught.value.code == "GL-ENGINE-003"
    (tmp_path / "e.db").rmdir()
    engine = await launch(workflow)
    engine.start(TASK)
    await until(lambda: not engine.running())


async def test_the_librarys_cloud_mode_is_refused(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    async def workflow(flow: Flow) -> None: ...

    monkeypatch.setenv("DBOS__CLOUD", "true")
    with pytest.raises(OperatorError, match="outside service"):
        await launch(workflow)


async def test_waking_a_task_that_was_never_started_does_nothing(launch: Launch) -> None:
    async def workflow(flow: Flow) -> None: ...

    engine = await launch(workflow)
    engine.wake(TASK, "k")
    assert engine.running() == frozenset()
    await engine.close()
    await engine.close()
