"""Heartbeat: while a task is not at rest, something is said about it at least once a minute.

Where nothing else was said for `Bounds.heartbeat_seconds`, a line tells what is going on and for how long. What was
said is read from the thread itself, so that it does not matter who said it, in which step, or before which restart.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

from greylag.delivery.cell import Cell
from greylag.domain.errors import GreylagError
from greylag.domain.ids import TaskId

#: More than a day of silence at the usual pace; no single step may take as long.
_BEATS = 2000

_log = logging.getLogger(__name__)


class Heartbeat:
    """The heartbeat of one task, kept over all its steps."""

    def __init__(self, cell: Cell, task_id: TaskId) -> None:
        self._cell = cell
        self._task_id = task_id
        self._interval = cell.bounds.heartbeat_seconds
        self._due = asyncio.get_running_loop().time() + self._interval / 2  # what was said before a restart is unknown
        self._read = 0
        self._left = _BEATS
        self.what, self.since = "", 0.0

    @asynccontextmanager
    async def during(self, what: str) -> AsyncIterator[None]:
        """Say ``what`` goes on, now and then, for as long as the block runs; `doing` says it more exactly."""
        told = _beating.set(self)
        with doing(what):
            beating = asyncio.create_task(self._beat())
            try:
                yield
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
                _beating.reset(told)

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        while self._left > 0:
            await asyncio.sleep(max(0.0, self._due - loop.time()))
            try:
                silent = await self._silent_seconds()
                if silent >= self._interval:
                    self._left -= 1
                    await self._say(loop.time() - self.since)
                    silent = 0.0
            except GreylagError as error:  # the work must not end because nothing can be said about it for a moment
                _log.warning("nothing can be said about %s: %s", self._task_id, error)
                silent = 0.0
            self._due = loop.time() + max(0.05, self._interval - silent)

    async def _silent_seconds(self) -> float:
        """Return for how long nothing was said in the thread; an empty one is silent since ever."""
        newest = None
        while said := await asyncio.to_thread(self._cell.threads.messages, self._task_id, self._read):
            newest, self._read = said[-1].at, said[-1].sequence
        if newest is None:
            return self._interval
        return (self._cell.clock.now() - newest).total_seconds()

    async def _say(self, seconds: float) -> None:
        now = self._cell.clock.now().timestamp()
        task = await self._cell.task(self._task_id)
        line = f"still at it: {self.what} for {_duration(seconds)}"
        # The same moment has the same key, whoever says it and how often.
        await self._cell.say(task, "progress", line, f"beat/{int(now // min(self._interval, 60.0))}")


_beating: ContextVar[Heartbeat | None] = ContextVar("heartbeat", default=None)


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Let the heartbeat say ``what``, with the time since here, for as long as the block runs."""
    beat = _beating.get()
    if beat is None:
        yield
        return
    before = beat.what, beat.since
    beat.what, beat.since = what, asyncio.get_running_loop().time()
    try:
        yield
    finally:
        beat.what, beat.since = before


@asynccontextmanager
async def slot(cell: Cell, what: str) -> AsyncIterator[None]:
    """Hold one of the cell's sandbox slots, and let the heartbeat say what it is waited for and used for."""
    with doing("waiting for a free sandbox"):
        await cell.slots.acquire()
    try:
        with doing(what):
            yield
    finally:
        cell.slots.release()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
