"""What every engine keeps in one life of a process. What it keeps over a crash is tried by the chaos suite."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from greylag.adapters.engine.port import Engine, Flow
from greylag.domain.errors import GreylagError, RequestRefused
from greylag.domain.ids import TaskId, derived_id

_SECONDS = 60.0
_WAIT_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise and whether it was kept; ``detail`` says what was seen instead."""

    promise: str
    kept: bool
    detail: str = ""


@dataclass(slots=True)
class _Seen:
    """What the workflows of the suite did."""

    steps: Counter[str] = field(default_factory=Counter)
    woken: dict[TaskId, bool] = field(default_factory=dict)
    loops: set[int] = field(default_factory=set)
    errors: dict[TaskId, str] = field(default_factory=dict)


async def check_engine(engine: Engine, name: str) -> tuple[Finding, ...]:
    """Launch ``engine``, run a few workflows named after ``name`` (new each time) and close it; return the findings."""
    seen = _Seen()
    tasks = {each: TaskId(derived_id("task", name, each)) for each in ("early", "plain", "waits", "expires", "fails")}
    engine.start(tasks["early"])
    await engine.launch(lambda flow: _workflow(flow, seen, tasks))
    findings = [await _soon("takes what was started before the launch", lambda: _ended(engine, seen, tasks["early"]))]
    for _ in range(3):
        engine.start(tasks["plain"])
    findings.append(await _soon("runs a workflow to its end", lambda: _ended(engine, seen, tasks["plain"])))
    once = seen.steps[tasks["plain"]]
    findings.append(Finding("runs it once, however often it is started", once == 1, f"{once} times"))
    for each in ("waits", "expires", "fails"):
        engine.start(tasks[each])
    engine.wake(tasks["waits"], "a")
    engine.wake(tasks["waits"], "a")
    findings.append(await _soon("wakes a wait that comes later", lambda: seen.woken.get(tasks["waits"]) is True))
    findings.append(await _soon("ends a wait by time", lambda: seen.woken.get(tasks["expires"]) is False))
    findings.append(
        await _soon("hands an error on as itself", lambda: seen.errors.get(tasks["fails"]) == "GL-CHECK-009")
    )
    same = seen.loops == {id(asyncio.get_running_loop())}
    findings.append(Finding("runs workflows on the loop it was launched on", same, f"{len(seen.loops)} loops"))
    await engine.close()
    return tuple(findings)


async def _workflow(flow: Flow, seen: _Seen, tasks: dict[str, TaskId]) -> None:
    seen.loops.add(id(asyncio.get_running_loop()))

    async def work() -> str:
        seen.steps[flow.task_id] += 1
        return "done"

    async def fail() -> str:
        raise RequestRefused("GL-CHECK-009", "this error is part of a check.", "go on: the check expects it.")

    await flow.step("work", work)
    if flow.task_id in (tasks["waits"], tasks["expires"]):
        seconds = _WAIT_SECONDS if flow.task_id == tasks["waits"] else 0.2
        seen.woken[flow.task_id] = await flow.wait(seconds)
    if flow.task_id == tasks["fails"]:
        try:
            await flow.step("fail", fail)
        except GreylagError as error:
            seen.errors[flow.task_id] = error.code


def _ended(engine: Engine, seen: _Seen, task_id: TaskId) -> bool:
    return bool(seen.steps[task_id]) and task_id not in engine.running()


async def _soon(promise: str, holds: Callable[[], bool]) -> Finding:
    until = asyncio.get_running_loop().time() + _SECONDS
    while not await asyncio.to_thread(holds):
        if asyncio.get_running_loop().time() > until:
            return Finding(promise, False, f"not within {_SECONDS:g} s")
        await asyncio.sleep(0.05)
    return Finding(promise, True)
