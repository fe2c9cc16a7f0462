"""Answering: what was asked about the platform is told at once, what was asked about code once an agent read it."""

import asyncio

from greylag.delivery.briefing import reading_of, repositories_here
from greylag.delivery.cell import Cell
from greylag.delivery.intake.places import names_in
from greylag.delivery.telling import told_of
from greylag.domain import events as ev
from greylag.domain.errors import BackendError
from greylag.domain.ids import TaskId
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task


async def tell(cell: Cell, task_id: TaskId) -> str:
    """Answer a question about the platform's own work, without an agent; answer ``ended``."""
    task = await cell.task(task_id)
    if not task.ended:
        reading = await reading_of(cell, task)
        text = await told_of(cell, task, reading.about, task.repository or "")
        named = names_in(text, [each.name for each in repositories_here(cell)])
        for name in named:  # what is said of a repository carries its label
            repository = await asyncio.to_thread(cell.directory.repository, name)
            task = await cell.relabel(task, cell.labeller.of_repository(repository))
        await _answer(cell, task, text, "answer")
    return "ended"


async def give_answer(cell: Cell, task_id: TaskId, outcome: str) -> str:
    """Say what the agent's last words were; answer ``ended``, or ``more`` where something was said meanwhile.

    ``outcome`` is how its run ended. Raises BackendError ``GL-INTAKE-008`` where it came to no answer.
    """
    task = await cell.task(task_id)
    if task.ended:
        return "ended"
    run = task.run
    if outcome == "replaced":
        return "more"
    if outcome != "finished" or run is None or not run.detail.strip():
        why = run.detail[:300] if run and run.detail else "it said nothing"
        raise BackendError("GL-INTAKE-008", f"the agent came to no answer: {why}.", "ask again, or ask a person.")
    label = cell.labels.get(task.endpoint, "")
    text = f"{task.agent}{f' ({label})' if label else ''}: {run.detail}\nNothing was changed."
    if task.unread_follow_ups:
        await cell.say(task, "text", text, f"answer/{run.run_id}")
        return "more"
    await _answer(cell, task, text, f"answer/{run.run_id}")
    return "ended"


async def _answer(cell: Cell, task: Task, text: str, key: str) -> None:
    kept = await cell.keep(task, text.encode(), "answer", key=key)
    # Said first: what is recorded is not done again after a crash, and would never be told.
    await cell.say(task, "text", text, key)
    await cell.record(task.task_id, ev.TaskAnswered(kept), "answered")
    task = await cell.task(task.task_id)
    if task.status is TaskStatus.ANSWERED and task.unread_follow_ups:
        await cell.say(
            task, "text", "What was said last came too late for this answer; ask it as a new task.", "unread"
        )
