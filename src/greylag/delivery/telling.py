"""Telling: what the platform says of itself when it is asked: where work stands, what is live, what it can do.

Texts only; who may hear them is decided where they are said. They name no titles: a title of one task need not be fit
for the thread of another.
"""

import asyncio

from greylag.delivery.briefing import repositories_here
from greylag.delivery.cell import Cell
from greylag.delivery.releases import Live, live_releases
from greylag.domain.states import ENDED, TaskStatus
from greylag.domain.task import Task

_LISTED = 15
_S = TaskStatus
_STANDS = {
    _S.RECEIVED: "was taken in and is being read", _S.ASKED: "waits for an answer", _S.ACCEPTED: "is being placed",
    _S.PLACED: "is about to begin", _S.WORKING: "is being worked on",
    _S.HANDED_OVER: "waits for a person to say how to go on",
    _S.VERIFIED: "passed its checks and is being built", _S.IN_REVIEW: "waits for a second person's approval",
    _S.APPROVED: "is approved and being merged", _S.MERGED: "is merged", _S.RELEASING: "is being released",
    _S.RELEASED: "is released", _S.ROLLED_BACK: "was rolled back", _S.ANSWERED: "was answered",
    _S.REJECTED: "was rejected", _S.REFUSED: "was refused", _S.CANCELLED: "was stopped",
    _S.EXPIRED: "ended, for nobody answered", _S.FAILED: "failed",
}  # fmt: skip


async def status_text(cell: Cell, task: Task) -> str:
    """Return where ``task`` stands, in a few lines: its status, since when, its run, its change, what comes next."""
    where = f" in {task.repository}" if task.repository else ""
    since = task.changed_at.isoformat(sep=" ", timespec="seconds")
    lines = [f"{task.task_id}{where} {_STANDS[task.status]} ({task.status} since {since})."]
    if task.status is _S.ASKED:
        lines.append(f"The question is: {task.question}")
    if task.taken_over_by:
        lines.append(f"{task.taken_over_by} works on it by hand.")
    if task.run is not None:
        run = task.run
        lines.append(f"Round {run.round}, attempt {run.attempt}: {run.status}, {run.turns} model calls.")
    if task.change is not None:
        change = task.change
        lines.append(f"The change so far: {len(change.files)} files, +{change.added_lines} -{change.removed_lines}.")
    if task.cost_usd_micros:
        lines.append(f"Cost so far: {task.cost_usd_micros / 1_000_000:.4f} USD.")
    if task.unread_follow_ups and not task.ended:
        lines.append("What was said last comes next.")
    if task.outcome and task.status in ENDED | {_S.HANDED_OVER}:
        lines.append(f"{task.outcome[:400]}" + (f" Next: {task.remedy[:400]}" if task.remedy else ""))
    return "\n".join(lines)


async def live_text(cell: Cell, repository: str = "") -> str:
    """Return what is live in ``repository``, or in every one of the region where none is named.

    Raises RequestRefused ``GL-REPO-001`` for an unknown name.
    """
    names = [repository] if repository else [each.name for each in repositories_here(cell)]
    lines: list[str] = []
    for name in names[:_LISTED]:
        found = await live_releases(cell, name)
        lines += [_line(each) for each in found] or [f"{name}: has no environments."]
    if len(names) > _LISTED:
        lines.append(f"… and {len(names) - _LISTED} more repositories: name one.")
    return "\n".join(lines) or "There is no repository yet, so nothing is live."


async def work_text(cell: Cell, person: str) -> str:
    """Return what is under way for ``person`` in this region, newest first, without titles."""
    open_statuses = [status for status in TaskStatus if status not in ENDED]
    tasks = await asyncio.to_thread(lambda: cell.events.tasks(statuses=open_statuses, limit=500))
    own = [
        task for task in tasks if task.requester == person and task.region == cell.region and task.intent != "status"
    ]
    if not own:
        return "Nothing of yours is under way."
    where = [f" in {task.repository}" if task.repository else "" for task in own[:_LISTED]]
    lines = [f"{task.task_id}{place} {_STANDS[task.status]}." for task, place in zip(own, where, strict=False)]
    more = len(own) - _LISTED
    return "\n".join(["Under way for you:", *lines, *([f"… and {more} more."] if more > 0 else [])])


async def told_of(cell: Cell, task: Task, about: str, repository: str = "") -> str:
    """Return the answer to a request of intent ``status``; ``about`` as in `Reading`."""
    if about == "roll back":
        return await roll_back_text(cell, repository)
    if about == "live":
        return await live_text(cell, repository)
    if about == "abilities":
        return abilities_text()
    work = await work_text(cell, task.requester)
    return f"{work}\n{await live_text(cell, repository)}" if repository else work


async def roll_back_text(cell: Cell, repository: str = "") -> str:
    """Return how a release is taken back, and what is live now: saying so here takes nothing back."""
    name = repository or "REPOSITORY"
    how = (
        "Nothing was rolled back: that is done where the release is talked about. A reviewer or an operator says"
        f" `roll back ENVIRONMENT` in its thread, or: greylag release rollback {name} ENVIRONMENT"
    )
    return f"{how}\n{await live_text(cell, repository)}"


def abilities_text() -> str:
    """Return what can be asked for."""
    return (
        "Ask in a sentence for a fix, a feature or a release in one repository, or ask a question about its code."
        " A change comes back here as a build to review; another person's approval merges and releases it."
        " `what is live in NAME` and `status` are answered at once; in a task's thread, `stop` stops it."
    )


def _line(live: Live) -> str:
    where = f"{live.repository} {live.environment}"
    if not live.digest:
        return f"{where}: nothing was released there."
    runs = f"answers at {live.url}" if live.url else "does NOT run now"
    return f"{where}: {live.name} ({live.digest[:19]}…) since {live.since}, {runs}"
