"""Messages that can't be decrypted yet: asked for, tried again, and after a while said to be unreadable, once."""

import asyncio
import json
import logging
import time
from dataclasses import asdict, dataclass
from typing import Any

from nio import MegolmEvent  # type: ignore[import-untyped]  # it ships no types

from greylag.adapters.chat.backends.matrix.devices import Notes
from greylag.adapters.chat.backends.matrix.looking import Rooms
from greylag.adapters.chat.backends.matrix.reading import relation
from greylag.adapters.chat.backends.matrix.session import MatrixSession
from greylag.domain.errors import BackendError

_log = logging.getLogger(__name__)
_NOTE = "unread"
_KEPT = 50  # with ids of up to 255 bytes each, below what a note holds
_KEPT_OF_ONE = 10
_TOLD = 1000


@dataclass(frozen=True, slots=True)
class Unread:
    """A message that can't be read: where it stands, who sent it under which key, and since when we wait."""

    room: str
    event_id: str
    thread: str
    author: str
    key: str
    since: float


class Pending:
    """What waits for its key; survives a restart, as only ids are kept and the message is asked for again."""

    def __init__(self, session: MatrixSession, rooms: Rooms, notes: Notes) -> None:
        self._session = session
        self._rooms = rooms
        self._notes = notes
        self._waiting: dict[str, Unread] = {}
        self._events: dict[str, Any] = {}
        self._told: set[tuple[str, str]] = set()
        self._loaded = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait_for(self, event: Any, room: str) -> None:
        """Keep ``event`` until its key comes, and ask the device that sent it for the key."""
        await self._load()
        content = event.source.get("content") or {}
        unread = Unread(room, event.event_id, relation(content)[1], event.sender, str(event.session_id), time.time())
        if event.event_id in self._waiting:
            return
        theirs = sum(each.author == unread.author for each in self._waiting.values())
        if len(self._waiting) >= _KEPT or theirs >= _KEPT_OF_ONE:
            _log.warning("too many messages wait for keys, one of %s is not waited for", unread.author)
            return
        asked = any(each.key == unread.key for each in self._waiting.values())
        self._waiting[event.event_id] = unread
        self._events[event.event_id] = event
        await self._keep()
        if not asked:
            await self._ask_for_key(event)

    async def readable(self) -> list[tuple[Any, str]]:
        """Return the messages that can be read by now, with their rooms; they no longer wait."""
        await self._load()
        found = []
        for event_id, unread in list(self._waiting.items()):
            if event_id not in self._events:
                event = await self._rooms.event(unread.room, event_id)
                if event is None:
                    continue
                self._events[event_id] = event
            opened = self._session.client.opened(self._events[event_id], unread.room)
            if not isinstance(opened, MegolmEvent):
                found.append((opened, unread.room))
        return found

    async def given_up(self) -> list[Unread]:
        """Return what has waited too long, one of each sender, room and key: saying it once is enough."""
        await self._load()
        oldest = time.time() - self._session.bounds.patience_seconds
        late = [each for each in self._waiting.values() if each.since <= oldest]
        chosen: dict[tuple[str, str], Unread] = {}
        for unread in late:
            chosen.setdefault((unread.room, unread.key), unread)
        told = {key for key in chosen if key in self._told}
        for unread in late:
            key = (unread.room, unread.key)
            if key in told or chosen[key] is not unread:
                await self.settled(unread.event_id)
        return [each for key, each in chosen.items() if key not in told]

    async def drop(self, unread: Unread) -> None:
        """Wait for it no longer."""
        if len(self._told) >= _TOLD:
            self._told.clear()
        self._told.add((unread.room, unread.key))
        await self.settled(unread.event_id)

    async def settled(self, event_id: str) -> None:
        """Forget a message that was heard, or given up."""
        if self._waiting.pop(event_id, None) is not None:
            self._events.pop(event_id, None)
            await self._keep()

    async def _ask_for_key(self, event: Any) -> None:
        """Ask the sending device, which answers if the key was meant for us. Source: "m.room_key_request"."""
        client = self._session.client
        request = event.as_key_request(event.sender, client.device_id, None, event.device_id)
        try:
            await self._session.ask("ask for a key", lambda: client.to_device(request))
        except BackendError as error:
            _log.warning("a key could not be asked for: %s", error)

    async def _load(self) -> None:
        if self._loaded:
            return
        kept = await asyncio.to_thread(self._notes.note, self._session.account.source, _NOTE)
        try:
            self._waiting = {one["event_id"]: Unread(**one) for one in json.loads(kept or "[]")}
        except (ValueError, TypeError, KeyError):
            _log.warning("the note of unread messages can't be read; it begins anew")
        self._loaded = True

    async def _keep(self) -> None:
        value = json.dumps([asdict(each) for each in self._waiting.values()])
        await asyncio.to_thread(self._notes.put_note, self._session.account.source, _NOTE, value)
