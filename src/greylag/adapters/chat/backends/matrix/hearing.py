"""Hears what people say: every event of every room once, in order, and kept before the place in line moves on."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

from nio import InviteMemberEvent, MegolmEvent  # type: ignore[import-untyped]  # it ships no types

from greylag.adapters.chat.backends.matrix.devices import Devices, Knows, Notes
from greylag.adapters.chat.backends.matrix.looking import Rooms
from greylag.adapters.chat.backends.matrix.pending import Pending, Unread
from greylag.adapters.chat.backends.matrix.reading import (
    Me,
    Spoken,
    identifier,
    plain,
    read_message,
    read_reaction,
    said_at,
)
from greylag.adapters.chat.backends.matrix.session import UNREADABLE, MatrixSession, SignedOut
from greylag.adapters.chat.port import Heard, Listener
from greylag.domain.conversation import Conversation
from greylag.domain.errors import IntegrityError, OperatorError, RequestRefused

_log = logging.getLogger(__name__)
_POSITION = "position"
_KEPT_INVITES = 200
_POLL_SECONDS = 2.0


class Hearing:
    """The ear of one account."""

    def __init__(self, session: MatrixSession, rooms: Rooms, notes: Notes, knows: Knows) -> None:
        self._session = session
        self._rooms = rooms
        self._notes = notes
        self._knows = knows
        self._source = session.account.source
        self._devices = Devices(notes, self._source, knows)
        self._pending = Pending(session, rooms, notes)
        self._invites: dict[str, str] = {}

    async def position(self) -> str:
        """Return up to where everything was heard, "" where nothing ever was."""
        return await asyncio.to_thread(self._notes.note, self._source, _POSITION)

    async def run(self, listener: Listener) -> None:
        """Hear until cancelled; keeps trying where the server is away. Raises OperatorError for bad access."""
        wait, signed_out = 1.0, None
        while True:
            try:
                if signed_out is not None:
                    await self._session.renew(signed_out.device_gone)
                    signed_out = None
                await self._session.open(self.position)
                await self._once(listener)
                wait = 1.0
                if not self._session.knows_rooms:  # asked for again at once, it would be asked for without end
                    await asyncio.sleep(_POLL_SECONDS)
            except SignedOut as error:
                _log.warning("%s", error)
                signed_out = error
            except (OperatorError, IntegrityError):
                raise
            except Exception as error:  # noqa: BLE001 - a full disk, a database that is away: it is tried again too
                _log.warning("nothing can be heard, next try in %.0f s: %s: %s", wait, type(error).__name__, error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._session.bounds.away_seconds)

    async def _once(self, listener: Listener) -> None:
        """Hear one sync: the oldest that nobody heard, or the next. It stays until all of it is kept."""
        session = self._session
        since = await self.position()
        if not session.unheard:
            wait = session.bounds.wait_seconds
            wait = min(wait, _POLL_SECONDS) if self._pending or self._invites else wait
            session.unheard.append(await session.sync(since, wait))
        batch = session.unheard[0]
        await self._hear(batch, since, listener)
        if batch.next_batch != since:
            await asyncio.to_thread(self._notes.put_note, self._source, _POSITION, batch.next_batch)
        session.unheard.popleft()
        await self._join(batch)

    async def _hear(self, batch: Any, since: str, listener: Listener) -> None:
        for event, room in await self._pending.readable():
            await self._take(event, room, listener)
            await self._pending.settled(event.event_id)
        for room, info in batch.rooms.join.items():
            for event in await self._events(room, info.timeline, since):
                await self._take(event, room, listener)
        for unread in await self._pending.given_up():
            await self._tell(self._unreadable(unread), listener)
            await self._pending.drop(unread)

    async def _events(self, room: str, timeline: Any, since: str) -> list[Any]:
        """Return what is to be heard of a room: all since the last time, or since we were let in."""
        events = [self._session.client.opened(event, room) for event in timeline.events]
        let_in = _let_in(events, self._session.account.user)
        if let_in is None and since and timeline.limited and timeline.prev_batch:
            earlier, complete = await self._rooms.missed(room, since, timeline.prev_batch)
            if not complete:
                _log.warning("more was said in %s than is read after a time away; the oldest of it is not heard", room)
            events = earlier + events
            let_in = _let_in(events, self._session.account.user)
        if let_in is not None:
            return events[let_in:]
        return events if since else []

    async def _take(self, event: Any, room: str, listener: Listener) -> None:
        """Keep what ``event`` says to us, if it does; what can't be read yet is kept to be tried again."""
        event_id = identifier(getattr(event, "event_id", None))
        if not event_id or event.sender == self._session.account.user:
            return
        self._rooms.remember(event)
        if isinstance(event, MegolmEvent):
            await self._pending.wait_for(event, room)
            return
        try:
            heard = await self._heard(event, room)
        except UNREADABLE:
            _log.exception(
                "%s in %s could not be read, and is passed over: this is a defect in Greylag", event_id, room
            )
            return
        if heard is not None:
            await self._tell(heard, listener)

    async def _heard(self, event: Any, room: str) -> Heard | None:
        reacted = read_reaction(event.source)
        if reacted is not None:
            place = await self._rooms.place(room, reacted.to)
            if place is None or not place.ours:
                return None
            heard = self._plain_heard(event, room, "reaction", place.root, reacted.to)
            return replace(heard, value=reacted.key)
        spoken = read_message(event.source, self._me(room))
        if spoken is None:
            return None
        thread = await self._thread(event, room, spoken)
        if not thread:
            return None
        heard = self._plain_heard(
            event, room, "reply" if spoken.kind == "aside" else spoken.kind, thread, event.event_id
        )
        vouched = await self._devices.vouch(self._session.client, room, event)
        return replace(heard, text=spoken.text, files=spoken.files, vouched=vouched)

    async def _thread(self, event: Any, room: str, spoken: Spoken) -> str:
        """Return the thread that a message belongs to; a plain reply belongs where the message stands it answers."""
        if spoken.thread:
            return spoken.thread
        if spoken.answers:
            place = await self._rooms.place(room, spoken.answers)
            if place is not None and (place.ours or (spoken.kind != "aside" and place.root != spoken.answers)):
                return place.root
        return "" if spoken.kind == "aside" else str(event.event_id)

    def _me(self, room: str) -> Me:
        user = self._session.account.user
        found = self._session.client.rooms.get(room)
        if found is None:
            return Me(user, "", False)
        own = found.users.get(user)
        others = [each for each in found.users if each != user]
        return Me(user, (own.display_name or "") if own else "", len(others) == 1)

    def _plain_heard(self, event: Any, room: str, kind: str, thread: str, message_id: str) -> Heard:
        found = self._session.client.rooms.get(room)
        name = (found.user_name(event.sender) if found else None) or event.sender
        return Heard(
            event_id=event.event_id, kind=kind, conversation=Conversation(self._source, room, thread),
            author=event.sender, message_id=message_id, said_at=said_at(event.server_timestamp),
            author_name=plain(name, 120), vouched=False,
        )  # fmt: skip

    def _unreadable(self, unread: Unread) -> Heard:
        return Heard(
            event_id=unread.event_id, kind="unreadable",
            conversation=Conversation(self._source, unread.room, unread.thread or unread.event_id),
            author=unread.author, message_id=unread.event_id, vouched=False,
        )  # fmt: skip

    async def _tell(self, heard: Heard, listener: Listener) -> None:
        """Have it kept, however often it takes: what was said is not passed over."""
        wait = 0.5
        while True:
            try:
                await listener.take(heard)
                return
            except Exception as error:  # noqa: BLE001 - the port says so: whatever it raises, it is told again
                _log.warning("what was heard could not be kept, next try in %.1f s: %s", wait, error)
            await asyncio.sleep(wait)
            wait = min(wait * 2, self._session.bounds.away_seconds)

    async def _join(self, batch: Any) -> None:
        """Take the invitations of people who are known; others wait until their sender is."""
        user = self._session.account.user
        for room in (*batch.rooms.join, *batch.rooms.leave):
            self._invites.pop(room, None)
        for room, info in batch.rooms.invite.items():
            those = (each for each in info.invite_state if isinstance(each, InviteMemberEvent))
            sender = next((each.sender for each in those if each.state_key == user and each.membership == "invite"), "")
            if sender and len(self._invites) < _KEPT_INVITES:
                self._invites[room] = sender
        if self._session.account.invites != "known":
            self._invites.clear()
        for room, sender in list(self._invites.items()):
            if await asyncio.to_thread(self._knows, self._source, sender):
                await self._enter(room, sender)
                self._invites.pop(room, None)

    async def _enter(self, room: str, sender: str) -> None:
        client = self._session.client
        try:
            await self._session.ask("join a room", lambda: client.join(room), final=True)
        except RequestRefused as error:
            _log.warning("an invitation of %s could not be taken: %s", sender, error)


def _let_in(events: list[Any], user: str) -> int | None:
    """Return where in ``events`` to begin after we were let in: at our last invitation or joining, None for neither."""
    begin = None
    for number, event in enumerate(events):
        content = event.source.get("content")
        if event.source.get("type") != "m.room.member" or event.source.get("state_key") != user:
            continue
        membership = content.get("membership") if isinstance(content, dict) else None
        before = ((event.source.get("unsigned") or {}).get("prev_content") or {}).get("membership")
        invited_before = before == "invite" and begin is not None
        if membership == "invite" or (membership == "join" and before != "join" and not invited_before):
            begin = number
    return begin
