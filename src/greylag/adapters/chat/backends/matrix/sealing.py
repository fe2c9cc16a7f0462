"""What goes into a room, sealed where the room ever was: its key reaches every device of joined people, nobody else's.

nio shares a room's key with invited people too, and takes a failed sharing for a done one. Here both are checked at
each sending. Source: Matrix specification, "m.megolm.v1.aes-sha2", "Sending encrypted attachments".
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from greylag.adapters.chat.backends.matrix.session import MatrixSession, away, never
from greylag.domain.errors import BackendError

_AGAIN_SECONDS = 3600.0
_STANDS_THERE = "M_DUPLICATE_ANNOTATION"


class SealedSending:
    """Sends events and files into rooms."""

    def __init__(self, session: MatrixSession) -> None:
        self._session = session
        #: Devices that had no key left to begin with, and when they were asked.
        self._keyless: dict[tuple[str, str], float] = {}

    def is_encrypted(self, room: str) -> bool:
        """Return whether ``room`` is encrypted, or ever was. Raises RequestRefused ``GL-CHAT-001`` where we are out."""
        return bool(self._room(room).encrypted or room in self._session.client.encrypted_rooms)

    async def send(self, room: str, kind: str, content: dict[str, Any], transaction: str) -> str:
        """Send an event once per ``transaction``; return its id, "" for a reaction that stands there already.

        Raises BackendError, transient; RequestRefused ``GL-CHAT-001`` where the room does not take it.
        """
        session = self._session
        async with session.keys:
            client = session.client
            # A reaction is not encrypted by any client: servers count them. It needs no key of the room.
            sealed = kind != "m.reaction" and self.is_encrypted(room)
            if sealed:
                self._room(room).encrypted = True
                await self._share(room)
                kind, content = self._sealed(room, kind, content)
            answer = await session.ask(
                "send", lambda: client.put_event(room, kind, content, transaction), final=True, fine=_STANDS_THERE
            )
            return str(getattr(answer, "event_id", ""))

    async def upload(self, room: str, content: bytes) -> dict[str, Any]:
        """Put ``content`` on the server, sealed for an encrypted room; return ``url``, or ``file`` with its key.

        The file's name stays here: it goes into the message alone.
        """
        session, sealed = self._session, self.is_encrypted(room)
        largest = (await session.ask("ask for its limits", session.client.content_repository_config)).upload_size
        if len(content) > min(largest or session.bounds.largest_file_bytes, session.bounds.largest_file_bytes):
            raise never("take the file", f"it has {len(content)} bytes, which is too large")
        keys: dict[str, Any] = {}

        async def put() -> Any:
            answer, found = await session.client.upload(lambda *_: content, encrypt=sealed, filesize=len(content))
            keys.update(found or {})
            return answer

        answer = await session.ask("take a file", put, final=True)
        url = str(answer.content_uri)
        return {"file": {**keys, "url": url}} if sealed else {"url": url}

    def _room(self, room: str) -> Any:
        if not self._session.knows_rooms:
            raise away("send", "which rooms are encrypted is being asked for")
        found = self._session.client.rooms.get(room)
        if found is None:
            raise never("send", f"the account is not in {room!r}")
        return found

    def _sealed(self, room: str, kind: str, content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        try:
            found = self._session.client.encrypt(room, kind, content)
        except Exception as error:  # whatever nio's crypto raises: nothing was sent
            raise _unshared(room, type(error).__name__) from error
        return str(found[0]), dict(found[1])

    async def _share(self, room: str) -> None:
        """See to it that exactly the devices of joined people have the key that comes next."""
        session, client, olm = self._session, self._session.client, self._session.client.olm
        found = self._room(room)
        if not found.members_synced:
            await session.ask("ask for a room's members", lambda: client.joined_members(room), final=True)
        if client.should_query_keys:
            await session.ask("ask for device keys", client.keys_query)
        with _joined_only(found):
            people = tuple(found.users)
            await self._begin_with(olm.get_missing_sessions(list(people)))
            wanted = {
                (person, device.id)
                for person in people
                for device in olm.device_store.active_user_devices(person)
                if device.id != client.device_id and olm.session_store.get(device.curve25519)
            }
            key = olm.outbound_group_sessions.get(room)
            if key is not None and key.shared and key.users_shared_with == wanted and not key.expired:
                return
            client.invalidate_outbound_session(room)
            # An earlier sharing that broke off would be waited for without end.
            client.sharing_session.pop(room, None)
            await session.ask(
                "share a room's key", lambda: client.share_group_session(room, ignore_unverified_devices=True)
            )
            if olm.outbound_group_sessions[room].users_shared_with != wanted:
                client.invalidate_outbound_session(room)
                raise _unshared(room, "some devices did not get it")

    async def _begin_with(self, missing: dict[str, list[str]]) -> None:
        """Begin to talk to devices that we never talked to; those without a key left are asked again in an hour."""
        now = time.monotonic()
        due = {
            person: [
                one for one in devices if now - self._keyless.get((person, one), -_AGAIN_SECONDS) >= _AGAIN_SECONDS
            ]
            for person, devices in missing.items()
        }
        due = {person: devices for person, devices in due.items() if devices}
        if not due:
            return
        client = self._session.client
        await self._session.ask("claim keys", lambda: client.keys_claim(due))
        left = client.olm.get_missing_sessions(list(due))
        self._keyless = {one: at for one, at in self._keyless.items() if now - at < _AGAIN_SECONDS}
        self._keyless |= {(person, device): now for person, devices in left.items() for device in devices}


@contextmanager
def _joined_only(room: Any) -> Iterator[None]:
    """Keep invited people out of a room's members while its key is shared."""
    invited = {person: user for person, user in room.users.items() if user.invited}
    for person in invited:
        del room.users[person]
    try:
        yield
    finally:
        for person, user in invited.items():
            room.users.setdefault(person, user)


def _unshared(room: str, why: str) -> BackendError:
    return BackendError(
        "GL-MATRIX-007", f"nothing was sent into {room!r}: its key could not be shared: {why}.",
        "nothing: it is tried again; look at the homeserver where it stays so.", transient=True,
    )  # fmt: skip
