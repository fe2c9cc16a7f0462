"""Stopping: work that ends within a second of a person's word, wherever the task stands."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from greylag.delivery.cell import Cell
from greylag.domain.errors import BackendError
from greylag.domain.ids import TaskId
from greylag.domain.task import Task

_POLL_SECONDS = 0.5
_Result = TypeVar("_Result")


def interruption(task: Task) -> str:
    """Return why what is under way has to end: ``stopped``, ``taken_over``, ``replaced``, or "" where it may go on."""
    if task.stop_requested_by:
        return "stopped"
    if task.taken_over_by or task.waits_to_be_taken_back:
        return "replaced" if task.replaced else "taken_over"
    return "replaced" if task.replaced else ""


async def watch_for_stop(cell: Cell, task_id: TaskId, stop: asyncio.Event) -> None:
    """Set ``stop`` as soon as somebody's word ends the work; returns only then."""
    while not stop.is_set():
        with suppress(BackendError):  # a database that is away for a moment must not end the work that is watched
            if interruption(await cell.task(task_id)):
                stop.set()
                return
        await asyncio.sleep(_POLL_SECONDS)


async def unless_stopped(cell: Cell, task_id: TaskId, work: Coroutine[Any, Any, _Result]) -> _Result | None:
    """Return what ``work`` answers, or None where a person's word ended it: then ``work`` has been cancelled."""
    working = asyncio.create_task(work)
    watching = asyncio.create_task(watch_for_stop(cell, task_id, asyncio.Event()))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return await working
        return None
    finally:
        for each in (working, watching):
            each.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def why_stopped(cell: Cell, task_id: TaskId) -> str:
    """Return the `interruption` that ended some work, for the workflow to go on from."""
    return interruption(await cell.task(task_id)) or "stopped"
