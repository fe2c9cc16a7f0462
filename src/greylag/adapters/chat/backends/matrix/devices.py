"""Whose device it was: pins the first devices of a person, and keeps a message from counting twice."""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

_log = logging.getLogger(__name__)
_KEPT_MESSAGES = 200_000
_PINNED_DEVICES = 64

Knows = Callable[[str, str], bool]


class Notes(Protocol):
    """What a backend remembers between starts; `greylag.adapters.store.port.ChatStore` is one. Synchronous."""

    def note(self, source: str, name: str) -> str:
        """Return a note, "" for none."""
        ...

    def put_note(self, source: str, name: str, value: str) -> None:
        """Keep a note, durable when it returns."""
        ...


def devices_note(author: str) -> str:
    """Return the name of the note that holds the pinned devices of ``author``; writing "" resets them."""
    return f"devices:{author}"


class Devices:
    """Says whether an event came from a device that is pinned for its author.

    The devices that a known person has when they are first heard are pinned (trust on first use); one that appears
    later is not, until an operator resets the note. Somebody who is no longer known loses the pins.
    """

    def __init__(self, notes: Notes, source: str, knows: Knows) -> None:
        self._notes = notes
        self._source = source
        self._knows = knows

    async def vouch(self, client: Any, room: str, event: Any) -> bool:
        """Return whether ``event`` was encrypted by a pinned device of the sender it names."""
        device = sending_device(client, room, event)
        those = list(client.olm.device_store.active_user_devices(event.sender))[:_PINNED_DEVICES]
        present = {(each.id, each.ed25519) for each in those}
        return await asyncio.to_thread(self._is_pinned, event.sender, device, present)

    def _is_pinned(self, author: str, device: Any, present: set[tuple[str, str]]) -> bool:
        name = devices_note(author)
        kept = _pins(self._notes.note(self._source, name))
        if not self._knows(self._source, author):
            if kept:
                self._notes.put_note(self._source, name, "")
            return False
        if device is None:
            return False
        if not kept:
            kept = present
            self._notes.put_note(self._source, name, json.dumps(sorted(kept)))
            _log.info("pinned %d device(s) of %s", len(kept), author)
        return (device.id, device.ed25519) in kept


def sending_device(client: Any, room: str, event: Any) -> Any:
    """Return the device that encrypted ``event``, None where that isn't certain.

    Certain is: the room's session came from the device itself, which is one of the sender's, and its signing key is
    the one that the session was made under. Source: Matrix specification, "m.megolm.v1.aes-sha2".
    """
    if not getattr(event, "decrypted", False) or not event.sender_key or not event.session_id:
        return None
    session = client.olm.inbound_group_store.get(room, event.sender_key, event.session_id)
    if session is None or session.forwarding_chain:
        return None
    device = client.olm.device_store.device_from_sender_key(event.sender, event.sender_key)
    if device is None or device.deleted or device.ed25519 != session.ed25519:
        return None
    return device


def _pins(value: str) -> set[tuple[str, str]]:
    """Return the pins of a note; one that can't be read pins nothing that anybody has."""
    if not value:
        return set()
    try:
        return {(str(device), str(key)) for device, key in json.loads(value)}
    except (ValueError, TypeError):
        return {("", "")}


class SeenMessages:
    """Which event first brought a message of an encryption session: a second one is a replay, also after a restart.

    A mapping from (sender key, session, index) to (event id, time), as nio looks things up there.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS seen (number INTEGER PRIMARY KEY AUTOINCREMENT, sender TEXT, session TEXT,"
            " position INTEGER, event TEXT, at INTEGER, UNIQUE (sender, session, position))"
        )

    def __getitem__(self, key: tuple[str, str, int]) -> tuple[str, int]:
        query = "SELECT event, at FROM seen WHERE sender = ? AND session = ? AND position = ?"
        found = self._database.execute(query, key).fetchone()
        if found is None:
            raise KeyError(key)
        return str(found[0]), int(found[1])

    def __setitem__(self, key: tuple[str, str, int], value: tuple[str, int]) -> None:
        query = "INSERT OR IGNORE INTO seen (sender, session, position, event, at) VALUES (?, ?, ?, ?, ?)"
        number = self._database.execute(query, (*key, *value)).lastrowid or 0
        if number % 1000 == 0:
            self._database.execute("DELETE FROM seen WHERE number <= ?", (number - _KEPT_MESSAGES,))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
