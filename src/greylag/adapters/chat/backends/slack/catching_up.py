"""What was said while nobody listened: looked up where Slack no longer delivers it by itself.

Slack delivers an event three times over six minutes. What was missed for longer is read from the channels and threads
that are known; what was heard already has the same id and counts once. Clicks and reactions are not looked up.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from greylag.adapters.chat.backends.slack.calls import Calls
from greylag.adapters.chat.backends.slack.hearing import Hearing
from greylag.adapters.chat.backends.slack.reading import is_ts, mentions, text_of
from greylag.domain.errors import GreylagError

_log = logging.getLogger(__name__)

_ROOMS = 20
_THREADS = 40
_PAGES = 5
#: How far before the newest known message is looked, where that is recent: what Slack still tries to deliver.
_OVERLAP_SECONDS = 900.0
_RECENT_SECONDS = 1800.0
_GONE = frozenset({
    "channel_not_found", "not_in_channel", "is_archived", "thread_not_found", "missing_scope", "invalid_ts_oldest",
})  # fmt: skip


class CatchingUp:
    """Looks up what was missed. ``wall_seconds`` is the time of day, as Slack counts it."""

    def __init__(self, calls: Calls, hearing: Hearing, wall_seconds: Callable[[], float] = time.time) -> None:
        self._calls = calls
        self._hearing = hearing
        self._wall_seconds = wall_seconds
        self._running = asyncio.Lock()

    async def run(self) -> int:
        """Hand on what was missed, room by room in its order; return how many messages. Problems are logged."""
        if self._running.locked():
            return 0
        async with self._running:
            found = 0
            for room, newest in self._hearing.newest.items()[-_ROOMS:]:
                try:
                    found += await self._room(room, self._from(room, newest))
                except GreylagError as error:
                    _log.warning("what was missed in a channel could not be looked up (%s)", error.code)
            return found

    def _from(self, room: str, newest: str) -> str:
        """Return after which message to look."""
        owed = self._hearing.owed.get(room)
        since = float(newest)
        if self._wall_seconds() - since < _RECENT_SECONDS:
            since -= _OVERLAP_SECONDS
        if owed:
            since = min(since, float(min(owed)) - 0.001)
        return f"{since:.6f}"

    async def _room(self, room: str, oldest: str) -> int:
        missed = await self._read("conversations.history", {"channel": room, "oldest": oldest})
        for thread in self._threads(room):
            missed += await self._read("conversations.replies", {"channel": room, "ts": thread, "oldest": oldest})
        us, listener = self._hearing.us, self._hearing.listener
        taken = 0
        for message in sorted(missed, key=lambda each: float(each["ts"])):
            if us is None or listener is None:
                return taken
            wanted = room.startswith("D") or mentions(us, text_of(message)) or is_ts(message.get("thread_ts"))
            if wanted and float(message["ts"]) > float(oldest):
                try:
                    taken += await self._hearing.message(us, listener, {**message, "channel": room})
                except Exception:  # noqa: BLE001 - logged where it was taken; looked up again the next time
                    return taken
        return taken

    def _threads(self, room: str) -> list[str]:
        places = [place.partition("/") for place, _ in self._hearing.askers.items()[-_THREADS:]]
        return [thread for channel, _, thread in places if channel == room and is_ts(thread)]

    async def _read(self, method: str, given: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        cursor = ""
        for _ in range(_PAGES):
            page = {**given, "limit": 200, **({"cursor": cursor} if cursor else {})}
            answer = await self._calls.call(method, page, fine=_GONE, form=True)
            found += messages(answer)
            cursor = next_cursor(answer)
            if not cursor:
                break
        return found


def messages(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the messages of a page of history."""
    found = answer.get("messages")
    return (
        [each for each in found if isinstance(each, dict) and is_ts(each.get("ts"))] if isinstance(found, list) else []
    )


def next_cursor(answer: Mapping[str, Any]) -> str:
    """Return where the next page begins, "" after the last."""
    more = answer.get("response_metadata")
    cursor = more.get("next_cursor") if isinstance(more, dict) else ""
    return cursor if isinstance(cursor, str) else ""
