"""Under way: what can be said of a task that is being worked on, for whoever asks what it does just now."""

from dataclasses import dataclass
from datetime import datetime

from greylag.delivery.cell import Cell
from greylag.domain import events as ev
from greylag.domain.ids import TaskId

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class UnderWay:
    """Where a task's newest run stands. ``line`` is the newest progress line, "" where none was said yet.

    ``round`` and ``attempt`` count from 1, 0 before there is a run; ``since_seconds`` is how long ago the run began.
    Money is in millionths of a US dollar and counts the whole task, as ``model_calls`` does.
    """

    line: str = ""
    said_at: datetime | None = None
    round: int = 0
    attempt: int = 0
    since_seconds: float = 0.0
    model_calls: int = 0
    cost_usd_micros: int = 0


def under_way(cell: Cell, task_id: TaskId) -> UnderWay:
    """Return what is known of the task now. Synchronous: callers in an event loop use a thread."""
    task = cell.events.task(task_id)
    line, said_at, after = "", None, 0
    while page := cell.threads.messages(task_id, after, _PAGE):
        after = page[-1].sequence
        said = next((each for each in reversed(page) if each.kind == "progress"), None)
        if said is not None:
            line, said_at = cell.vault.get(said.body, subject=task_id).decode("utf-8", "replace"), said.at
    run = task.run
    began = _began(cell, task_id, run.run_id) if run is not None else None
    return UnderWay(
        line=line, said_at=said_at, round=run.round if run else 0, attempt=run.attempt if run else 0,
        since_seconds=max(0.0, (cell.clock.now() - began).total_seconds()) if began else 0.0,
        model_calls=task.model_calls, cost_usd_micros=task.cost_usd_micros,
    )  # fmt: skip


def _began(cell: Cell, task_id: TaskId, run_id: str) -> datetime | None:
    after = 0
    while page := cell.events.read(task_id, after, _PAGE):
        after = page[-1].sequence
        for each in page:
            if isinstance(each.event, ev.RunStarted) and each.event.run_id == run_id:
                return each.at
    return None
