"""Echo: what people say stands in the task's thread, in the same words and once, whoever gets to write it.

The event is written first. A platform that dies before the message is in the thread leaves it to the workflow.
"""

import asyncio
from collections.abc import Collection
from dataclasses import replace

from greylag.delivery.cell import UNLABELLED, About, Cell
from greylag.domain import events as ev
from greylag.domain.conversation import Offer
from greylag.domain.events import Recorded
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.task import Task

_PLATFORM = "greylag"
#: What the platform's own words offer, by their key.
_OFFERS = {"ack": (Offer("status", "Where does it stand?"), Offer("stop", "Stop"))}


def echo(cell: Cell, task: Task, said: Recorded, told: Collection[str] = ()) -> None:
    """Put what a person ``said`` into the thread, but for messages whose keys are in ``told``; again is fine."""
    for key, author, words in _messages(task, said):
        if key not in told:
            text = cell.vault.get(words, subject=task.task_id).decode() if isinstance(words, Reference) else words
            offers = _OFFERS.get(key, ())
            cell.say_now(_about(cell, task, said), "text", text, key, author=author, offers=offers)


async def echo_all(cell: Cell, task_id: TaskId) -> None:
    """Put everything that people said to the task so far into its thread, where it isn't there yet."""
    await asyncio.to_thread(_echo_all, cell, task_id)


def _echo_all(cell: Cell, task_id: TaskId) -> None:
    task = cell.events.task(task_id)
    told = {message.key for message in cell.threads.messages(task_id, limit=10_000)}
    for sequence in (1, *task.inputs):
        for said in cell.events.read(task_id, sequence - 1, 1):
            echo(cell, task, said, told)


def _messages(task: Task, said: Recorded) -> tuple[tuple[str, str, str | Reference], ...]:
    """Return key, author and words of each message that ``said`` is worth."""
    match said.event:
        case ev.TaskReceived(requester=by, request=request):
            return ("request", by, request), ("ack", _PLATFORM, f"On it: {task.task_id}.")
        case ev.FollowUpReceived(by=by, message=message):
            return ((said.key, by, message),)
        case ev.QuestionAnswered(by=by, choice=choice, words=words):
            return ((said.key, by, choice if words is None else words),)
        case ev.ApprovalGiven(by=by, subject=subject, approval_id=approval_id):
            return ((approval_id, by, f"Approved {subject[:26]}…."),)
        case ev.ChangeRejected(by=by, reason=reason):
            return ((said.key, by, f"Rejected: {reason}. Nothing was merged."),)
        case ev.TaskTakenOver(by=by):
            return ((said.key, _PLATFORM, f"{by} takes this over."),)
        case ev.ChangeHandedBack(by=by):
            return ((said.key, _PLATFORM, f"{by} hands it back; it is checked as every change is."),)
        case ev.StopRequested():
            return (("stop", _PLATFORM, "Stopping."),)
    return ()


def _about(cell: Cell, task: Task, said: Recorded) -> About:
    """Return what the words belong to: for the first of them what the desk knew, whatever came to be known since."""
    if not isinstance(said.event, ev.TaskReceived | ev.QuestionAnswered) or getattr(said.event, "words", None):
        return About.of(task)
    named, heard = (
        (said.event.repository, said.event.label) if isinstance(said.event, ev.TaskReceived) else (None, None)
    )
    label = cell.labeller.of_repository(cell.directory.repository(named)) if named else UNLABELLED
    label = label.joined(heard) if heard is not None else label
    return replace(About.of(task), label=label, repository=named or "")
