"""A release without a change: the head of the default branch goes the same way as a change, with nobody's edits."""

from greylag.delivery.cell import Cell
from greylag.delivery.prompts import VERSION
from greylag.domain import events as ev
from greylag.domain.ids import ChangeId, RunId, TaskId, derived_id


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
