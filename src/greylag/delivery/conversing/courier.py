"""The courier: brings what stands in tasks' threads to the chats in which they are talked about.

The own thread is the outbox, and a durable cursor per conversation and task says how far it was brought. Each
conversation is served in order, different ones beside each other, each chat by itself: one that is away for hours
delays and loses nothing, and nobody else waits for it.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from greylag.adapters.chat.port import Chat
from greylag.adapters.store.port import ChatStore, Due
from greylag.delivery.cell import Cell
from greylag.delivery.conversing.delivering import Delivery
from greylag.delivery.conversing.livecards import Line, LiveCards
from greylag.delivery.conversing.rendering import Pages
from greylag.delivery.conversing.speaking import Speaker
from greylag.delivery.conversing.uploading import Uploads
from greylag.domain.conversation import Conversation
from greylag.domain.errors import BackendError, GreylagError

_log = logging.getLogger(__name__)
#: How much of a thread is looked at at once, and how many steps are made before others get their turn.
_WINDOW = 100
_STEPS_PER_TURN = 100
_DUE = 1000
_LINES_KEPT = 2000
#: From which failure in a row on it is told in the log, and then every so often.
_TOLD_EVERY = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the courier is, in seconds. ``parallel`` bounds the conversations of one chat that are served at once.

    ``tries`` is how often a message is tried that fails for another reason than a chat or a store that is away.
    """

    poll: float = 0.25
    progress: float = 1.0
    first_backoff: float = 0.5
    longest_backoff: float = 60.0
    post: float = 60.0
    parallel: int = 8
    tries: int = 6


class Courier:
    """Delivers the threads of one cell's tasks to ``chats``, by their source; ``uploads`` names those that get files.

    ``pages`` says where tasks are looked at in the region.
    """

    def __init__(
        self, cell: Cell, store: ChatStore, chats: Mapping[str, Chat], pages: Pages, *,
        uploads: Collection[str] = (), pace: Pace | None = None,
    ) -> None:  # fmt: skip
        self._cell = cell
        self._store = store
        self._pace = pace or Pace()
        files = Uploads(cell)
        self._deliveries = {
            source: self._delivery(chat, pages, files if source in uploads else None) for source, chat in chats.items()
        }
        self._lines: dict[Conversation, Line] = {}
        self._serving: dict[Conversation, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def _delivery(self, chat: Chat, pages: Pages, uploads: Uploads | None) -> Delivery:
        speaker = Speaker(self._cell, self._store, chat, pages, self._pace.post)
        return Delivery(speaker, LiveCards(speaker, self._pace.progress), uploads)

    def wake(self) -> None:
        """Look at once what there is to deliver, from any thread; without it that is within ``pace.poll`` seconds."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    async def run(self) -> None:
        """Deliver until cancelled. What is under way then is tried again by the next courier, which looks first."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                pause = self._pace.poll
                for source in self._deliveries:
                    if not await self._begin(source):
                        pause = max(pause, self._pace.first_backoff)
                await self._rest(pause)
        finally:
            under_way = list(self._serving.values())
            for each in under_way:
                each.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()

    async def _rest(self, seconds: float) -> None:
        """Wait until it is time to look again. Raises what ended a delivery where that was no failure but an end."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
        for conversation, served in list(self._serving.items()):
            if served.done():
                del self._serving[conversation]
                error = served.exception()
                if isinstance(error, Exception):
                    _log.error("serving a conversation of %s broke down", conversation.source, exc_info=error)
                    self._lines.setdefault(conversation, Line(conversation)).rest_until = (
                        self._loop_time() + self._pace.longest_backoff
                    )
                elif error is not None:
                    raise error

    async def _begin(self, source: str) -> bool:
        """Begin to serve what is due at one chat; return whether the store could be asked."""
        free = self._pace.parallel - sum(1 for each in self._serving if each.source == source)
        if free <= 0:
            return True
        try:
            due = await asyncio.to_thread(self._store.due, (source,), _DUE, region=self._cell.region)
        except Exception as error:  # noqa: BLE001 - whatever the store breaks on, the courier asks it again
            _log.warning("what is due at %s can't be read: %s", source, _told(error), exc_info=_trace(error))
            return False
        waiting: dict[Conversation, list[Due]] = {}
        for each in due:
            waiting.setdefault(each.conversation, []).append(each)
        self._forget(source, waiting)
        now = self._loop_time()
        lines = [self._lines.setdefault(each, Line(each)) for each in waiting if each not in self._serving]
        ready = sorted((line for line in lines if line.rest_until <= now), key=lambda line: line.served_at)
        for line in ready[:free]:
            line.served_at = now
            served = asyncio.create_task(self._serve(self._deliveries[source], line, waiting[line.conversation]))
            served.add_done_callback(lambda _: self._woken.set())
            self._serving[line.conversation] = served
        return True

    def _forget(self, source: str, waiting: Mapping[Conversation, Sequence[Due]]) -> None:
        """Keep no more lines than needed: one that is not due loses what the store can tell again."""
        if len(self._lines) > _LINES_KEPT:
            idle = [each for each in self._lines if each.source == source and each not in waiting]
            for each in idle:
                if each not in self._serving:
                    del self._lines[each]

    async def _serve(self, delivery: Delivery, line: Line, dues: Sequence[Due]) -> None:
        """Deliver what is due in one conversation, task by task, until it is done, has to rest, or others wait."""
        for due in dues:
            after = due.delivered
            for _ in range(_STEPS_PER_TURN):
                reached = await self._step(delivery, line, due, after)
                if reached is None:
                    return
                if reached < 0:
                    break
                after = reached

    async def _step(self, delivery: Delivery, line: Line, due: Due, after: int) -> int | None:
        """Deliver the next thing; return up to where all is delivered, -1 where nothing is left, None to rest."""
        task_id, first = due.task_id, after + 1
        try:
            messages = await asyncio.to_thread(self._cell.threads.messages, task_id, after, _WINDOW)
            if not messages:
                return -1
            first = messages[0].sequence
            reached = await delivery.next(line, task_id, after, messages)
        except Exception as error:  # noqa: BLE001 - one message's defect must not end the deliveries of all others
            return await self._failed(delivery, line, due, first, error)
        if reached > after:
            line.failures = line.defects = 0
        return None if line.rest_until > self._loop_time() else reached

    async def _failed(
        self, delivery: Delivery, line: Line, due: Due, sequence: int, error: Exception
    ) -> int | None:  # fmt: skip
        away = isinstance(error, BackendError) and error.transient
        line.failures += 1
        line.defects += 0 if away else 1
        if line.failures % _TOLD_EVERY == 1 or not away:
            _log.warning(
                "message %d of %s did not get to %s (try %d): %s",
                sequence, due.task_id, line.conversation.source, line.failures, _told(error), exc_info=_trace(error),
            )  # fmt: skip
        if line.defects >= self._pace.tries:
            try:
                await delivery.give_up(line, due.task_id, sequence, error)
            except Exception as problem:  # noqa: BLE001 - then it is tried again, like everything else
                _log.warning(
                    "that message %d of %s is given up can't be noted: %s", sequence, due.task_id, _told(problem)
                )  # fmt: skip
            else:
                line.failures = line.defects = 0
                return sequence
        line.rest_until = self._loop_time() + self._backoff(line.failures)
        return None

    def _backoff(self, failures: int) -> float:
        """Return a growing wait; half of it is chance, so that many who failed together don't come back together."""
        longest = min(self._pace.longest_backoff, self._pace.first_backoff * 2.0 ** min(failures - 1, 20))
        return longest * (0.5 + self._cell.clock.entropy(1)[0] / 510)


def _told(error: Exception) -> object:
    """Return what the log is told: an error of ours speaks for itself, another one may hold anything."""
    return error if isinstance(error, GreylagError) else type(error).__name__


def _trace(error: Exception) -> Exception | None:
    return None if isinstance(error, GreylagError) else error
