"""Waiting for a person: a look at the log says what the wait is for and whether it is over."""

from greylag.delivery.cell import Cell
from greylag.delivery.echo import echo_all
from greylag.domain.ids import TaskId
from greylag.domain.states import TaskStatus


async def look(cell: Cell, task_id: TaskId) -> str:
    """Say what to do next, or ``waiting SECONDS``.

    That is ``approved``, ``ended``, ``stop``, ``handed_back`` (a person's work waits to be taken in), ``taken_over``
    (what is up for review goes to a person), ``follow_up`` or ``expired``.
    """
    await echo_all(cell, task_id)
    task = await cell.task(task_id)
    if task.status is TaskStatus.APPROVED:
        return "approved"
    if task.ended:
        return "ended"
    if task.stop_requested_by:
        return "stop"
    if task.waits_to_be_taken_back:
        return "handed_back"
    if task.taken_over_by and task.status is TaskStatus.IN_REVIEW and not task.due_follow_ups:
        return "taken_over"
    if task.due_follow_ups:
        return "follow_up"
    limit = cell.bounds.question_seconds if task.status is TaskStatus.ASKED else cell.bounds.review_seconds
    left = limit - (cell.clock.now() - task.changed_at).total_seconds()
    return f"waiting {left:.0f}" if left >= 1 else "expired"
