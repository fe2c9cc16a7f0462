"""The line: arrivals wait here by conversation, each conversation in order, several conversations at once."""

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

from greylag.adapters.store.port import Arrival
from greylag.domain.conversation import Conversation

_log = logging.getLogger(__name__)
_DEFECT_SECONDS = 30.0

#: Handles an arrival; returns in how many seconds it is to be tried again, 0 where it is settled.
Handle = Callable[[Arrival], Awaitable[float]]


class Rush:
    """Counts what is more urgent than handling: to keep what is heard, and to show that it was."""

    def __init__(self) -> None:
        self._count = 0
        self._over = asyncio.Event()
        self._over.set()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Be more urgent meanwhile."""
        self._count += 1
        self._over.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._over.set()

    async def over(self, seconds: float) -> None:
        """Wait until nothing is under way, ``seconds`` at most."""
        if seconds <= 0 or self._over.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()


class Line:
    """Arrivals in line. What stands here stands in the inbox too: a line that is lost is made again from there."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._waiting: dict[Conversation, list[tuple[int, int, Arrival]]] = {}
        self._numbers: set[int] = set()
        self._ready: asyncio.Queue[Conversation] = asyncio.Queue()
        self._timers: set[asyncio.TimerHandle] = set()
        self._order = count()

    def __len__(self) -> int:
        return len(self._numbers)

    def holds(self, conversation: Conversation) -> bool:
        """Whether something said in ``conversation`` is still to be handled."""
        return conversation in self._waiting

    def add(self, arrival: Arrival) -> None:
        """Put ``arrival`` in its place; what is in line already stays where it is."""
        if arrival.number in self._numbers:
            return
        self._numbers.add(arrival.number)
        first = arrival.conversation not in self._waiting
        heapq.heappush(self._waiting.setdefault(arrival.conversation, []), (arrival.number, next(self._order), arrival))
        if first:
            self._ready.put_nowait(arrival.conversation)

    async def work(self) -> None:
        """Handle what is in line until cancelled. Several may work at once."""
        while True:
            conversation = await self._ready.get()
            entry = heapq.heappop(self._waiting[conversation])
            try:
                seconds = await self._handle(entry[2])
            except Exception:  # noqa: BLE001 - a conversation must not stand still for ever, nor the worker die
                _log.exception("arrival %d could not even be refused; it is tried again", entry[0])
                seconds = _DEFECT_SECONDS
            if seconds > 0:
                heapq.heappush(self._waiting[conversation], entry)
                self._later(seconds, conversation)
                continue
            self._numbers.discard(entry[0])
            if self._waiting[conversation]:
                self._ready.put_nowait(conversation)
            else:
                del self._waiting[conversation]

    def clear(self) -> None:
        """Forget everything; the inbox has it."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        self._numbers.clear()
        self._ready = asyncio.Queue()

    def _later(self, seconds: float, conversation: Conversation) -> None:
        def again() -> None:
            self._timers.discard(timer)
            self._ready.put_nowait(conversation)

        timer = asyncio.get_running_loop().call_later(seconds, again)
        self._timers.add(timer)
