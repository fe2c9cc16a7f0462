"""Looks things up in rooms: which thread a message stands in, what was said there, what of it we said."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from greylag.adapters.chat.backends.matrix.reading import identifier, relation, said_at
from greylag.adapters.chat.backends.matrix.session import MatrixSession
from greylag.adapters.chat.backends.matrix.writing import KEY_FIELD
from greylag.adapters.chat.port import Overheard
from greylag.domain.errors import RequestRefused

_REMEMBERED = 20_000
_PAGE = 50


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message stands: the root of its thread, itself where it is none's, and whether it is ours."""

    root: str
    ours: bool


class Rooms:
    """What is asked of rooms. Places are remembered, as every reaction asks for one."""

    def __init__(self, session: MatrixSession) -> None:
        self._session = session
        self._places: OrderedDict[str, Place] = OrderedDict()

    def remember(self, event: Any) -> None:
        """Keep where an event stands that came in, or that we sent."""
        content = event.source.get("content")
        event_id = identifier(getattr(event, "event_id", None))
        if event_id and isinstance(content, Mapping):
            kind, root, answers = relation(content)
            if root or not (kind or answers):
                self.remember_place(event_id, Place(root or event_id, event.sender == self._session.account.user))

    def remember_place(self, event_id: str, place: Place) -> None:
        """Keep where the message ``event_id`` stands."""
        self._places[event_id] = place
        if len(self._places) > _REMEMBERED:
            self._places.popitem(last=False)

    async def place(self, room: str, event_id: str) -> Place | None:
        """Return where ``event_id`` stands, None where the server does not show it to us. Raises BackendError."""
        if event_id in self._places:
            return self._places[event_id]
        event = await self.event(room, event_id)
        if event is None:
            return None
        _, root, _ = relation(event.source.get("content") or {})
        place = Place(root or event_id, event.sender == self._session.account.user)
        self.remember_place(event_id, place)
        return place

    async def event(self, room: str, event_id: str) -> Any:
        """Return one event, decrypted where it can be, None where there is none for us. Raises BackendError."""
        client = self._session.client
        try:
            answer = await self._session.ask(
                "show a message", lambda: client.room_get_event(room, event_id), final=True
            )
        except RequestRefused:
            return None
        return client.opened(answer.event, room) if hasattr(answer.event, "sender") else None

    async def said_as(self, room: str, thread: str, mark: str) -> str:
        """Return the id of the message in ``thread`` that we sent under ``mark``, "" where there is none."""
        async for event in self._newest(room, thread, self._session.bounds.searched_events):
            content = event.source.get("content")
            ours = getattr(event, "sender", "") == self._session.account.user
            if ours and isinstance(content, Mapping) and content.get(KEY_FIELD) == mark:
                return str(event.event_id)
        return ""

    async def history(self, room: str, thread: str, limit: int) -> list[Overheard]:
        """Return the newest ``limit`` messages of a thread that can be read, oldest first."""
        found = [line async for event in self._newest(room, thread, limit) if (line := self._overheard(event))]
        if len(found) < limit and thread:
            root = await self.event(room, thread)
            line = self._overheard(root) if root is not None else None
            found += [line] if line else []
        return found[::-1]

    def _overheard(self, event: Any) -> Overheard | None:
        content = event.source.get("content")
        if not isinstance(content, Mapping) or getattr(event, "source", {}).get("type") != "m.room.message":
            return None
        body, relates = content.get("body"), content.get("m.relates_to")
        replaced = isinstance(relates, Mapping) and relates.get("rel_type") == "m.replace"
        if not isinstance(body, str) or replaced:
            return None
        at = said_at(getattr(event, "server_timestamp", None))
        text = body.encode("utf-8", "replace").decode("utf-8")
        return Overheard(event.sender, text, event.event_id, at, event.sender == self._session.account.user)

    async def _newest(self, room: str, thread: str, limit: int) -> AsyncIterator[Any]:
        """Yield up to ``limit`` events of a thread, or of the whole room, newest first."""
        client, left, start = self._session.client, limit, None
        while left > 0:
            count = min(left, _PAGE)
            events, start = await self._page(room, thread, count, start)
            for event in events:
                yield client.opened(event, room)
            left -= len(events)
            if not start or not events:
                return

    async def _page(self, room: str, thread: str, count: int, start: str | None) -> tuple[list[Any], str | None]:
        client = self._session.client
        try:
            if thread:
                answer = await self._session.ask(
                    "show a thread", lambda: client.thread_events(room, thread, count, start), final=True
                )
                return list(answer.events), answer.next_batch
            answer = await self._session.ask(
                "show a room", lambda: client.room_messages(room, start, limit=count), final=True
            )
        except RequestRefused:
            return [], None
        return list(answer.chunk), answer.end

    async def missed(self, room: str, since: str, start: str) -> tuple[list[Any], bool]:
        """Return the events between ``since`` and ``start``, oldest first, and whether that is all of them."""
        client, found, at = self._session.client, list[Any](), start
        while len(found) < self._session.bounds.missed_events:
            try:
                answer = await self._session.ask(
                    "show what was missed",
                    lambda at=at: client.room_messages(room, at, since or None, limit=100),  # type: ignore[misc]
                    final=True,
                )
            except RequestRefused:
                return found[::-1], False
            found += [client.opened(event, room) for event in answer.chunk]
            if not answer.end or not answer.chunk or answer.end == since:
                return found[::-1], True
            at = answer.end
        return found[::-1], False
