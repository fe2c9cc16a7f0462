"""While work goes on something is said now and then; where something was said already, nothing is."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from steering_cell import TASK, Scene

from greylag.delivery.steering.heartbeat import Heartbeat, doing, slot
from greylag.delivery.steering.underway import under_way
from greylag.domain import events as ev
from greylag.domain.errors import BackendError


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """One task at work whose heart beats five times a second."""
    made = Scene(tmp_path, heartbeat_seconds=0.2)
    yield made
    made.close()


async def test_silence_is_broken_by_what_goes_on(scene: Scene) -> None:
    async with Heartbeat(scene.cell, TASK).during("getting ready"):
        await asyncio.sleep(0.5)
        with doing("checks run"):
            await asyncio.sleep(0.5)
        await asyncio.sleep(0.3)
    said = scene.thread()
    assert said[0] == "still at it: getting ready for 0 s"
    assert any(line.startswith("still at it: checks run for 0 s") for line in said)
    assert said[-1].startswith("still at it: getting ready")
    assert {each.kind for each in scene.cell.threads.messages(TASK)} == {"progress"}


async def test_who_speaks_is_not_interrupted(tmp_path: Path) -> None:
    scene = Scene(tmp_path, heartbeat_seconds=2.0)
    async with Heartbeat(scene.cell, TASK).during("working"):
        for number in range(25):
            await scene.cell.say(scene.task, "text", f"line {number}", f"line/{number}")
            await asyncio.sleep(0.1)
    assert scene.thread() == [f"line {number}" for number in range(25)]
    scene.close()


async def test_many_short_steps_are_one_silence(scene: Scene) -> None:
    beat = Heartbeat(scene.cell, TASK)
    for _ in range(12):
        async with beat.during("polling"):
            await asyncio.sleep(0.06)
    assert len(scene.thread()) >= 2


async def test_nothing_is_said_after_the_end_or_between(scene: Scene) -> None:
    beat = Heartbeat(scene.cell, TASK)
    async with beat.during("working"):
        pass
    await asyncio.sleep(0.5)
    assert scene.thread() == []
    with doing("something without a heartbeat"):
        await asyncio.sleep(0)


async def test_a_thread_that_cannot_be_written_does_not_end_the_work(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> object:
        raise BackendError("GL-STORE-001", "the store is away.", "wait", transient=True)

    monkeypatch.setattr(scene.cell.threads, "messages", away)
    async with Heartbeat(scene.cell, TASK).during("working"):
        await asyncio.sleep(0.5)
    monkeypatch.undo()
    assert scene.thread() == []


async def test_the_work_s_own_error_comes_through(scene: Scene) -> None:
    with pytest.raises(ValueError, match="broken"):
        async with Heartbeat(scene.cell, TASK).during("working"):
            raise ValueError("broken")


async def test_a_wait_for_a_slot_is_told_apart_from_the_work(scene: Scene) -> None:
    async with Heartbeat(scene.cell, TASK).during("getting ready"):
        await scene.cell.slots.acquire()
        waiting = asyncio.create_task(_hold(scene))
        await asyncio.sleep(0.5)
        scene.cell.slots.release()
        await waiting
    said = " ".join(scene.thread())
    assert "waiting for a free sandbox" in said
    assert said.rindex("waiting for") < said.index("checks run")
    assert not scene.cell.slots.locked()


async def _hold(scene: Scene) -> None:
    async with slot(scene.cell, "checks run"):
        await asyncio.sleep(0.5)


async def test_what_was_said_before_a_restart_counts(tmp_path: Path) -> None:
    scene = Scene(tmp_path, heartbeat_seconds=45.0)
    await scene.cell.say(scene.task, "progress", "reads calc.py", "progress/1")
    beat = Heartbeat(scene.cell, TASK)  # as after a restart: it knows nothing of what was said
    beat._due = 0.0
    async with beat.during("working"):
        await asyncio.sleep(0.2)
    assert scene.thread() == ["reads calc.py"]
    scene.close()


async def test_what_is_under_way_can_be_told(scene: Scene) -> None:
    before = under_way(scene.cell, TASK)
    assert (before.line, before.round, before.since_seconds) == ("", 0, 0.0)
    run = scene.begin(attempt=2)
    scene.record(ev.TurnSettled(run.run_id, 1, "scripted", "scripted-1", 10, 5, 700, "dec_3"))
    await scene.cell.say(scene.task, "progress", "reads calc.py", "progress/1")
    await scene.cell.say(scene.task, "progress", "edits calc.py", "progress/2")
    await scene.cell.say(scene.task, "text", "something else", "text/1")
    now = under_way(scene.cell, TASK)
    assert (now.line, now.round, now.attempt) == ("edits calc.py", 1, 2)
    assert (now.model_calls, now.cost_usd_micros) == (1, 700)
    assert 0 <= now.since_seconds < 10
    assert now.said_at is not None
