"""Answering: where a task stands and what is live, in words, for whoever asks in a thread."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from greylag.delivery.cell import Cell
from greylag.delivery.releases import Live, live_releases
from greylag.domain.repository import Person
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task

_S = TaskStatus
_BUSY = {
    _S.RECEIVED: "it was received and begins in a moment",
    _S.ACCEPTED: "a place to run is being chosen",
    _S.PLACED: "a place is found, the agent begins in a moment",
    _S.WORKING: "the agent is at work",
    _S.VERIFIED: "the checks passed, the build is being made",
    _S.APPROVED: "it is approved and being merged",
    _S.RELEASING: "it is merged and being released",
}
_OVER = {
    _S.MERGED: "it is merged", _S.RELEASED: "it is released", _S.ANSWERED: "it is answered",
    _S.ROLLED_BACK: "it was rolled back", _S.REJECTED: "it was rejected", _S.REFUSED: "it was refused",
    _S.CANCELLED: "it was stopped", _S.EXPIRED: "it expired", _S.FAILED: "it failed",
}  # fmt: skip
_STEP_CHARACTERS = 300
_SHOWN_PEOPLE = 5
_LONGEST_THREAD = 10_000


async def status_words(cell: Cell, task: Task) -> str:
    """Return where ``task`` stands: who it waits for, its last step, its time and cost so far."""
    people = await asyncio.to_thread(cell.directory.people)
    step = await last_step(cell, task)
    lines = [f"{task.title} ({task.task_id})", f"Now: {standing(task, people)}."]
    if step:
        lines.append(f"Last step: {step}")
    return "\n".join([*lines, spent_words(task, cell.clock.now())])


def standing(task: Task, people: Sequence[Person]) -> str:
    """Return in half a sentence what ``task`` does or waits for; ``people`` is everybody."""
    if task.stop_requested_by and not task.ended:
        return f"it is stopping, as {task.stop_requested_by} asked"
    if task.taken_over_by and not task.ended:
        return f"{task.taken_over_by} goes on with it by hand"
    if task.status in (_S.IN_REVIEW, _S.HANDED_OVER) and task.unread_follow_ups:
        return "a follow-up is there, the agent goes on in a moment"
    if task.status is _S.IN_REVIEW:
        able = reviewers_of(task, people)
        if not able:
            return "it waits for a reviewer, and nobody can approve it yet"
        return f"it waits for a reviewer: {', '.join(able[:_SHOWN_PEOPLE])}"
    if task.status is _S.ASKED:
        return f"it waits for an answer: {_short(task.question)}"
    if task.status is _S.HANDED_OVER:
        return f"it waits for somebody to say how to go on: {_short(task.outcome)}"
    if task.status in _OVER:
        why = f": {_short(task.outcome)}" if task.outcome else ""
        then = f" Next: {_short(task.remedy)}" if task.remedy else ""
        return f"{_OVER[task.status]}{why}{then}".rstrip(".")
    return _BUSY[task.status]


def reviewers_of(task: Task, people: Sequence[Person]) -> list[str]:
    """Return who can approve ``task``: reviewers who neither asked for it nor steered it."""
    return [each.name for each in people if "reviewer" in each.roles and each.name not in task.involved]


def waits_for(task: Task, person: Person) -> bool:
    """Whether ``task`` goes on only when ``person`` (or somebody like them) says something."""
    if task.ended or task.stop_requested_by or task.unread_follow_ups:
        return False
    if task.status is _S.IN_REVIEW:
        return "reviewer" in person.roles and person.name not in task.involved
    return task.waiting and person.name in task.involved


async def last_step(cell: Cell, task: Task) -> str:
    """Return the newest line of progress in the task's thread, shortened; "" for none."""
    messages = await asyncio.to_thread(cell.threads.messages, task.task_id, 0, _LONGEST_THREAD)
    newest = next((each for each in reversed(messages) if each.kind == "progress"), None)
    if newest is None:
        return ""
    text = (await cell.fetch(task, newest.body)).decode("utf-8", "replace")
    return _short(next((line for line in reversed(text.splitlines()) if line.strip()), ""))


def spent_words(task: Task, now: datetime) -> str:
    """Return time and cost of ``task`` so far."""
    until = task.changed_at if task.ended else now
    turns = task.model_calls
    cost = f"{task.cost_usd_micros / 1_000_000:.4f} USD in {turns} model {'call' if turns == 1 else 'calls'}"
    tries = f", {len(task.runs)} {'attempt' if len(task.runs) == 1 else 'attempts'}" if task.runs else ""
    return f"So far: {duration((until - task.received_at).total_seconds())}{tries}, {cost}."


def duration(seconds: float) -> str:
    """Return a length of time in words: ``40 s``, ``12 min``, ``3 h 5 min``, ``2 d 3 h``."""
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 60:
        return f"{whole} s"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 1 else f"{days} d {hours % 24} h"


async def live_words(cell: Cell, repository: str) -> str:
    """Return what is live in each environment of ``repository``. Raises RequestRefused ``GL-REPO-001``."""
    found = await live_releases(cell, repository)
    if not found:
        return f"{repository} has no environment, so nothing of it is live."
    return "\n".join([f"Live of {repository}:", *(_line(each) for each in found)])


def _line(live: Live) -> str:
    if not live.digest:
        return f"  {live.environment}: nothing yet"
    running = f"at {live.url}" if live.url else "but it does not run"
    return f"  {live.environment}: {live.name} {live.digest[:19]}… since {live.since}, {running} ({live.task_id})"


def _short(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "no reason was given")
    return line if len(line) <= _STEP_CHARACTERS else line[: _STEP_CHARACTERS - 1] + "…"
