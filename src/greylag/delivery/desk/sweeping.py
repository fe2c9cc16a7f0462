"""Sweeping: the gap between a written event and a lost hint is closed; what broke down ends in the open."""

from greylag.adapters.engine.port import Engine
from greylag.delivery.cell import About, Cell
from greylag.delivery.desk.checks import wake
from greylag.domain import events as ev
from greylag.domain.ids import TaskId
from greylag.domain.states import TRANSITIONS, TaskStatus
from greylag.domain.task import Task


def sweep(cell: Cell, engine: Engine) -> int:
    """Start workflows that were accepted but not started, and wake those whose wake-up was lost; return how many.

    Run at launch and now and then: it closes the gap between a written event and a lost hint.
    """
    running = engine.running()
    count = sum(_give_up(cell, task_id, why) for task_id, why in engine.failed().items())
    after: TaskId | None = None
    while page := cell.events.unclosed(cell.region, after=after):
        count += sum(_nudge(engine, task, running) for task in page)
        after = page[-1].task_id
    return count


def _give_up(cell: Cell, task_id: TaskId, why: str) -> int:
    """End a task whose workflow broke down for good, in the open: no accepted request ends in silence."""
    task = cell.events.task(task_id)
    if task.closed:
        return 0
    now, reason = cell.clock.now(), f"its workflow broke down: {why[:300]}"
    remedy = "the operator looks into the log; ask again as a new task."
    if not task.ended and TaskStatus.FAILED in TRANSITIONS[TaskStatus][task.status]:
        cell.events.append(task_id, ev.TaskFailed("GL-TASK-901", reason, remedy), key="broken", at=now)
    cell.say_now(About.of(task), "error", f"{reason}\nNext: {remedy} (GL-TASK-901)", "broken")
    cell.events.append(task_id, ev.TaskClosed(cell.bounds.retain_days), key="closed", at=now)
    return 1


def _nudge(engine: Engine, task: Task, running: frozenset[TaskId]) -> int:
    if task.task_id not in running:
        engine.start(task.task_id)
        return 1
    if task.inputs and (task.waiting or task.status in (TaskStatus.APPROVED, TaskStatus.RECEIVED)):
        wake(engine, task.task_id, task.inputs[-1])
        return 1
    return 0
