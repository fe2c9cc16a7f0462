"""The end of a task: said in the thread, retention decided, workspaces gone. No task ends in silence."""

import asyncio
from contextlib import suppress

from greylag.delivery.cell import PLATFORM, Cell, label_of
from greylag.delivery.echo import echo_all
from greylag.delivery.proving import keep_evidence
from greylag.domain import events as ev
from greylag.domain.errors import GreylagError, PolicyRefused, RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.stages import Stage
from greylag.domain.states import TRANSITIONS, TaskStatus
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target


async def finish_release(cell: Cell, task_id: TaskId) -> str:
    """Mark a task whose build runs in every environment; answer ``released``."""
    task = await cell.task(task_id)
    if task.build is not None and task.status in (TaskStatus.RELEASING, TaskStatus.RELEASED):
        await cell.record(task_id, ev.TaskReleased(task.build.artifact.digest), "task-released")
        await cell.say(task, "text", f"Done: {task.title} is released.", "task-released")
        if task.unread_follow_ups:
            text = "What was said after the approval is not in this release; ask for it as a new task."
            await cell.say(task, "text", text, "unread")
    return "released"


async def cancel(cell: Cell, task_id: TaskId) -> str:
    """End a task that a person stopped; answer ``ended``."""
    await echo_all(cell, task_id)
    task = await cell.task(task_id)
    by = task.stop_requested_by or "somebody"
    if not task.ended:
        await cell.record(task_id, ev.TaskCancelled(by, "stopped"), "cancelled")
    if not task.ended or task.status is TaskStatus.CANCELLED:
        await cell.say(task, "text", f"Stopped, as {by} asked. Nothing was merged or released.", "cancelled")
    return "ended"


async def expire(cell: Cell, task_id: TaskId) -> str:
    """End a wait that no person ended: that is a no; answer ``ended``."""
    task = await cell.task(task_id)
    reason = "nobody decided in time"
    if task.waiting:
        await cell.record(task_id, ev.TaskExpired(reason), "expired")
    if task.waiting or task.status is TaskStatus.EXPIRED:
        await cell.say(task, "text", f"Ended: {reason}. Nothing was merged. Ask again any time.", "expired")
    return "ended"


async def fail(cell: Cell, task_id: TaskId, error: GreylagError) -> str:
    """End a task that can't go on, with the cause and the next step in the thread; answer ``ended``."""
    task = await cell.task(task_id)
    text = f"{error.message}\nNext: {error.remedy} ({error.code})"
    if isinstance(error, PolicyRefused):
        line = await asyncio.to_thread(cell.why, error.decision_id)
        text = (f"{line}\n" if line else "") + text
        text += f"\nWhy, and what would turn it: greylag policy explain {error.decision_id}"
    with suppress(PolicyRefused):  # where nothing may be said in the thread, the status alone tells it
        await cell.say(task, "error", text, f"failed/{error.code}")
    if not task.ended:
        await cell.record(task_id, _ending(error, task.status), "failed")
    return "ended"


def _ending(error: GreylagError, status: TaskStatus) -> ev.Event:
    refusable = TaskStatus.REFUSED in TRANSITIONS[TaskStatus][status]
    if isinstance(error, RequestRefused) and refusable:
        decision = error.decision_id if isinstance(error, PolicyRefused) else ""
        return ev.TaskRefused(error.code, error.message, error.remedy, decision)
    return ev.TaskFailed(error.code, error.message, error.remedy)


async def retain(cell: Cell, task_id: TaskId) -> str:
    """Seal the evidence, decide how long content is kept (stage ``retain``), clear workspaces; answer ``closed``."""
    task = await cell.task(task_id)
    if task.approvals and task.sealed is None:
        evidence = await keep_evidence(cell, task, final=True)
        if evidence is not None:
            await cell.record(task_id, ev.EvidenceSealed(evidence), "sealed")
    asset = Asset("task", label_of(task), cell.region, task.request.digest)
    action = f"retain-{cell.bounds.retain_days}-days"
    target = Target("store", f"vault:{cell.region}")
    try:
        await cell.admit(Hop(Stage.RETAIN, PLATFORM, action, asset, target, "retain", task_id, task.repository or ""))
    except PolicyRefused as error:
        await cell.say(task, "error", f"Retention is refused, the content is erased now: {error.message}", "retain")
        cell.vault.erase(task_id)
    cell.sandbox.discard(cell.workspaces / task_id)
    await cell.record(task_id, ev.TaskClosed(cell.bounds.retain_days), "closed")
    return "closed"
