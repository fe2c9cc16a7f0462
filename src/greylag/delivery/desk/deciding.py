"""Deciding: a person's yes or no over exactly what is up for review."""

from greylag.adapters.engine.port import Engine
from greylag.delivery.cell import Cell
from greylag.delivery.desk.checks import person_with, require_in_review, task_here, wake
from greylag.delivery.desk.handing import refuse_by_hand
from greylag.delivery.echo import echo
from greylag.domain import events as ev
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import ApprovalId, TaskId, derived_id
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task


def take_approval(cell: Cell, engine: Engine, task_id: TaskId, by: str, subject: str = "", via: str = "") -> Task:
    """Record a person's approval of exactly ``subject`` (default: what is up for review now).

    Raises RequestRefused ``GL-APPROVE-001`` (asked or steered it: not by the same person), ``-002`` (nothing is up
    for review), ``-003`` (``subject`` is not what is up for review: stale), ``-004`` (a follow-up is waiting);
    ``GL-STEER-007`` (a person works on it by hand).
    """
    person = person_with(cell, by, "reviewer")
    task = task_here(cell, task_id)
    if task.status is TaskStatus.APPROVED and any(
        a.by == person.name and a.subject == task.subject for a in task.approvals
    ):
        return task
    require_in_review(task)
    refuse_by_hand(task)
    if person.name in task.involved:
        raise RequestRefused(
            "GL-APPROVE-001",
            f"{person.name} asked for this or steered it, so {person.name} can't approve it.",
            "somebody else with the role `reviewer` approves.",
        )
    if subject and subject != task.subject:
        raise RequestRefused(
            "GL-APPROVE-003",
            f"what was seen ({subject[:26]}…) is not what is up for review now ({task.subject[:26]}…).",
            f"look again: `greylag task show {task_id} --diff`, then approve that.",
        )
    if task.unread_follow_ups:
        raise RequestRefused(
            "GL-APPROVE-004", "a follow-up is still to be worked in.", "wait for the next card and approve that."
        )
    signature = cell.sign_approval(task.subject, person.name, via)
    approval_id = ApprovalId(derived_id("apr", task_id, person.name, task.subject))
    event = ev.ApprovalGiven(approval_id, person.name, task.subject, signature, via)
    recorded = cell.events.append(task_id, event, key=f"approval/{approval_id}", at=cell.clock.now())
    echo(cell, task, recorded)
    wake(engine, task_id, recorded.sequence)
    return cell.events.task(task_id)


def take_rejection(cell: Cell, engine: Engine, task_id: TaskId, by: str, reason: str) -> Task:
    """Record a reviewer's no; the task ends. Raises as `take_approval`."""
    person = person_with(cell, by, "reviewer")
    task = task_here(cell, task_id)
    require_in_review(task)
    event = ev.ChangeRejected(person.name, (reason or "no reason given")[:2000])
    recorded = cell.events.append(task_id, event, key=f"rejected/{task.subject}", at=cell.clock.now())
    echo(cell, task, recorded)
    wake(engine, task_id, recorded.sequence)
    return cell.events.task(task_id)
