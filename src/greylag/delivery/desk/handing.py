"""Handing: a person takes the work over to a machine of their own, and hands back what they made of it."""

from greylag.adapters.engine.port import Engine
from greylag.delivery.cell import CONTROL_STORE, About, Cell, label_of
from greylag.delivery.desk.checks import person_with, task_here, wake, was_taken
from greylag.delivery.echo import echo
from greylag.domain import events as ev
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.stages import Stage
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task
from greylag.egress.hop import Hop

_TAKEABLE = (TaskStatus.WORKING, TaskStatus.VERIFIED, TaskStatus.HANDED_OVER, TaskStatus.IN_REVIEW)


def take_over(cell: Cell, engine: Engine, task_id: TaskId, by: str) -> Task:
    """Give the task to a person: a running agent ends, with what it has done so far captured where that can be.

    Taking over twice is taking over once. Raises RequestRefused ``GL-STEER-002`` where there is nothing to take over
    (yet, or any more), ``GL-STEER-003`` where somebody else has it.
    """
    person = person_with(cell, by, "requester")
    task = task_here(cell, task_id)
    if task.taken_over_by == person.name:
        return task
    if task.status not in _TAKEABLE or not task.runs or task.intent not in ("fix", "feature"):
        raise RequestRefused(
            "GL-STEER-002",
            f"{task_id} is `{task.status}`: there is nothing in it that a person could take over.",
            f"see where it stands: `greylag task show {task_id}`.",
        )
    _refuse_others(task, person.name)
    event, key = ev.TaskTakenOver(person.name), f"taken_over/{person.name}/{task.sequence}"
    recorded = cell.events.append(task_id, event, key=key, at=cell.clock.now())
    task = cell.events.task(task_id)
    _refuse_others(task, person.name)  # somebody was quicker by a moment
    echo(cell, task, recorded)
    wake(engine, task_id, recorded.sequence)
    return task


def hand_back(
    cell: Cell, engine: Engine, task_id: TaskId, by: str, patch: bytes, base_commit: str, message_id: str = ""
) -> Task:
    """Take what a person made, a git ``patch`` against ``base_commit``, to be checked and reviewed as any change.

    The same ``message_id`` again is taken once. Who handed back what then did not pass may do so again. Raises
    RequestRefused ``GL-STEER-004`` where it is not theirs, ``-005`` for a patch that is too large, ``-006`` for a
    commit that no run of the task began from.
    """
    person = person_with(cell, by, "requester")
    task = task_here(cell, task_id)
    if message_id and was_taken(cell, task, (f"handed_back/{message_id}",)):
        return task
    _require_theirs(task, person.name)
    limit = cell.bounds.capture.patch_bytes
    if len(patch) > limit:
        raise RequestRefused(
            "GL-STEER-005", f"what is handed back has {len(patch)} bytes, at most {limit} are taken.", "hand back less."
        )
    if base_commit not in {run.base_commit for run in task.runs}:
        raise RequestRefused(
            "GL-STEER-006",
            f"no work of {task_id} began from commit {base_commit[:64]!r}.",
            f"get it anew, put your change on top, and hand that back: `greylag task checkout {task_id}`.",
        )
    key = f"handed_back/{message_id or cell.clock.entropy(10).hex()}"
    label = cell.labeller.of_content(patch, label_of(task))
    asset = cell.asset("diff", label, patch, surfaces=("file_names",), people=(task.requester,))
    hop = Hop(
        Stage.INTAKE, f"person:{person.name}", "hand-back", asset, CONTROL_STORE, key, task_id, task.repository or ""
    )
    permit = cell.door.admit(hop)
    kept = cell.keep_now(About.of(task), patch, "diff", key, "text/x-diff")
    task = cell.relabel_now(task, label)
    event = ev.ChangeHandedBack(person.name, base_commit, kept, message_id)
    recorded = cell.events.append(task_id, event, key=key, at=cell.clock.now())
    cell.seen_now(permit, "stored")
    echo(cell, task, recorded)
    wake(engine, task_id, recorded.sequence)
    return cell.events.task(task_id)


def refuse_by_hand(task: Task) -> None:
    """Raise RequestRefused ``GL-STEER-007`` where a person works on what is up for review, or has handed it back."""
    if task.taken_over_by or task.waits_to_be_taken_back:
        who = task.taken_over_by or task.handed_back[-1].by
        raise RequestRefused(
            "GL-STEER-007", f"{who} works on it by hand: what was up for review is not any more.",
            "wait for the next card and decide about that.",
        )  # fmt: skip


def _refuse_others(task: Task, name: str) -> None:
    if task.taken_over_by not in ("", name):
        raise RequestRefused(
            "GL-STEER-003",
            f"{task.taken_over_by} has taken {task.task_id} over already.",
            "ask them to hand it back, or say in the thread what is to be done instead: that drops it.",
        )


def _require_theirs(task: Task, name: str) -> None:
    run = task.run
    again = (
        not task.taken_over_by and not task.waits_to_be_taken_back and run is not None and run.by == f"person:{name}"
        and task.status in (TaskStatus.HANDED_OVER, TaskStatus.IN_REVIEW)
    )  # fmt: skip
    if task.taken_over_by != name and not again:
        now = f"{task.taken_over_by} has it" if task.taken_over_by else f"it is `{task.status}`"
        raise RequestRefused(
            "GL-STEER-004",
            f"{name} has not taken {task.task_id} over ({now}).",
            f"take it over first: `greylag task checkout {task.task_id}`.",
        )
