"""Answering: what was asked about the platform is told at once, what was asked about code once an agent read it.

What the platform tells of itself names no titles: a title of one task need not be fit for the thread of another.
"""

import asyncio

from greylag.delivery.answering import live_words, standing
from greylag.delivery.briefing import reading_of, repositories_here
from greylag.delivery.cell import Cell
from greylag.delivery.intake.places import names_in
from greylag.delivery.intake.reading import Reading
from greylag.domain import events as ev
from greylag.domain.errors import BackendError
from greylag.domain.ids import TaskId
from greylag.domain.states import ENDED, TaskStatus
from greylag.domain.task import Task

_LISTED = 15
_SEARCHED_TASKS = 500
_ABILITIES = (
    "Ask in a sentence for a fix, a feature or a release in one repository, or ask a question about its code."
    " A change comes back here as a build to review; another person's approval merges and releases it."
    " `what is live in NAME` and `status` are answered at once; in a task's thread, `stop` stops it."
)


async def tell(cell: Cell, task_id: TaskId) -> str:
    """Answer a question about the platform's own work, without an agent; answer ``ended``."""
    task = await cell.task(task_id)
    if not task.ended:
        reading = await reading_of(cell, task)
        text = await _told(cell, task, reading)
        here = {each.name: each for each in repositories_here(cell)}
        for name in names_in(text, list(here)):  # what is said of a repository carries its label
            task = await cell.relabel(task, cell.labeller.of_repository(here[name]))
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
    await cell.record(task.task_id, ev.TaskAnswered(kept), key)
    task = await cell.task(task.task_id)
    if task.status is TaskStatus.ANSWERED and task.unread_follow_ups:
        text = "What was said last came too late for this answer; ask it as a new task."
        await cell.say(task, "text", text, "unread")


async def _told(cell: Cell, task: Task, reading: Reading) -> str:
    """Return the answer to a request of intent ``status``."""
    name = task.repository or ""
    if reading.about == "abilities":
        return _ABILITIES
    if reading.about == "live":
        return await _live(cell, name)
    if reading.about == "roll back":
        how = (
            "Nothing was rolled back: that is said where the release was talked about. A reviewer or an operator says"
            " `roll back ENVIRONMENT` in its thread, or at the command line:"
            f" greylag release rollback {name or 'REPOSITORY'} ENVIRONMENT"
        )
        return f"{how}\n{await _live(cell, name)}"
    work = await _work(cell, task.requester)
    return f"{work}\n{await _live(cell, name)}" if name else work


async def _live(cell: Cell, name: str) -> str:
    names = [name] if name else [each.name for each in repositories_here(cell)]
    lines = [await live_words(cell, each) for each in names[:_LISTED]]
    if len(names) > _LISTED:
        lines.append(f"… and {len(names) - _LISTED} more repositories: name one.")
    return "\n".join(lines)


async def _work(cell: Cell, person: str) -> str:
    """Return what is under way for ``person`` in this region, newest first."""
    open_statuses = [status for status in TaskStatus if status not in ENDED]
    tasks = await asyncio.to_thread(lambda: cell.events.tasks(statuses=open_statuses, limit=_SEARCHED_TASKS))
    people = await asyncio.to_thread(cell.directory.people)
    own = [each for each in tasks if each.requester == person and each.region == cell.region]
    own = [each for each in own if each.intent != "status"]
    if not own:
        return "Nothing of yours is under way."
    lines = [f"{_named(each)}: {standing(each, people)}." for each in own[:_LISTED]]
    if len(own) > _LISTED:
        lines.append(f"… and {len(own) - _LISTED} more.")
    return "\n".join(["Under way for you:", *lines])


def _named(task: Task) -> str:
    return f"{task.task_id} in {task.repository}" if task.repository else task.task_id
