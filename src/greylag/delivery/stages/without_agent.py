"""Without an agent: what a person made by hand, or a branch as it stands, goes the same way as an agent's change.

What is handed back is data: it is put on a clean checkout, read as an untrusted workspace is, verified by the host.
"""

from greylag.delivery import hints
from greylag.delivery.cell import Cell
from greylag.delivery.checking import Candidate, clean_checkout
from greylag.delivery.prompts import VERSION
from greylag.delivery.steering.stopping import why_stopped
from greylag.domain import events as ev
from greylag.domain.errors import BackendError, RequestRefused
from greylag.domain.ids import ChangeId, RunId, TaskId, derived_id
from greylag.domain.states import TRANSITIONS, RunStatus, TaskStatus
from greylag.domain.task import Task


async def take_as_it_stands(cell: Cell, task_id: TaskId) -> str:
    """Record the head of the default branch as this task's (empty) change; answer ``finished``."""
    task = await cell.task(task_id)
    if task.stop_requested_by:
        return "stopped"
    repository = await cell.repository(task)
    run_id = RunId(derived_id("run", task_id, "as-it-stands"))
    known = next((run for run in task.runs if run.run_id == run_id), None)
    head = known.base_commit if known else await cell.forge.head(repository.name, repository.default_branch)
    await cell.record(task_id, ev.RunStarted(run_id, 1, 1, head, task.request, VERSION), f"started/{run_id}")
    tree = await cell.forge.tree_of(repository.name, head)
    diff = await cell.keep(task, b"", "diff", key=f"diff/{run_id}", media_type="text/x-diff")
    change = ev.ChangeCaptured(ChangeId(derived_id("chg", run_id, tree)), run_id, head, tree, diff, (), 0, 0)
    await cell.record(task_id, change, f"captured/{run_id}")
    detail = f"{repository.default_branch} as it stands at {head[:12]}"
    await cell.record(task_id, ev.RunFinished(run_id, "finished", detail), f"finished/{run_id}")
    return "finished"


async def settle_take_over(cell: Cell, task_id: TaskId) -> str:
    """Give the task to who took it over; a wait costs nothing. Answer ``handed_over``."""
    task = await cell.task(task_id)
    by = task.taken_over_by
    if by and TaskStatus.HANDED_OVER in TRANSITIONS[TaskStatus][task.status]:
        key = f"taken_over/{len(task.took_over)}"
        lines = (f"Handed over to {by}; nothing runs here until it comes back.", *hints.to_work_by_hand(task_id))
        await cell.say(task, "text", "\n".join(lines), key)
        await cell.record(task_id, ev.TaskHandedOver(f"{by} works on it by hand"), key)
    return "handed_over"


async def take_by_hand(cell: Cell, task_id: TaskId, round_number: int) -> str:
    """Take in what a person handed back as a run of their own; answer ``finished``, or ``failed`` (it can't be taken).

    Where a person stopped the task, answer ``stopped``.
    """
    task = await cell.task(task_id)
    if task.stop_requested_by:
        return await why_stopped(cell, task_id)
    runs = {run.run_id: run for run in task.runs}
    for number, handed in enumerate(task.handed_back):
        run_id = RunId(derived_id("run", task_id, "by-hand", str(number)))
        if run_id not in runs or runs[run_id].status is RunStatus.STARTED:
            return await _take(cell, task, handed, run_id, round_number)
    return "failed" if task.run is not None and task.run.status is RunStatus.FAILED else "finished"


async def _take(cell: Cell, task: Task, handed: ev.ChangeHandedBack, run_id: RunId, round_number: int) -> str:
    # Follow-ups that nobody was told yet stay so: the round after this one is for them.
    started = ev.RunStarted(
        run_id, round_number, 1, handed.base_commit, task.request, VERSION, task.read_follow_ups, f"person:{handed.by}"
    )
    await cell.record(task.task_id, started, f"started/{run_id}")
    try:
        await _capture(cell, task, handed, run_id)
        outcome, detail = "finished", f"made by hand by {handed.by}"
    except (RequestRefused, BackendError) as error:
        if not isinstance(error, RequestRefused) and error.code != "GL-FORGE-006":  # the patch does not fit
            raise
        outcome, detail = "failed", f"what {handed.by} handed back can't be taken: {error}"
    await cell.record(task.task_id, ev.RunFinished(run_id, outcome, detail[:2000]), f"finished/{run_id}")
    return outcome


async def _capture(cell: Cell, task: Task, handed: ev.ChangeHandedBack, run_id: RunId) -> None:
    name, base = task.repository or "", handed.base_commit
    folder = cell.workspaces / task.task_id / run_id
    patch = await cell.fetch(task, handed.patch)
    try:
        await clean_checkout(cell, task, Candidate(base, patch), folder, f"by-hand/{run_id}")
        capture = await cell.forge.capture(name, base, folder, cell.bounds.capture)
    finally:
        cell.sandbox.discard(folder)
    diff = await cell.keep(task, capture.patch, "diff", key=f"diff/{run_id}", media_type="text/x-diff")
    captured = ev.ChangeCaptured(
        ChangeId(derived_id("chg", run_id, capture.tree)), run_id, base, capture.tree, diff, capture.files,
        capture.added_lines, capture.removed_lines,
    )  # fmt: skip
    await cell.record(task.task_id, captured, f"captured/{run_id}")
