"""What has to be known after a restart: the newest few hundred entries of a map, kept in one note."""

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from greylag.domain.conversation import Conversation

_log = logging.getLogger(__name__)

_LONGEST = 120


class Posted(Protocol):
    """What is known of a message of ours."""

    @property
    def conversation(self) -> Conversation:
        """Where it was said."""
        ...


class Notes(Protocol):
    """What this backend asks of `greylag.adapters.store.port.ChatStore`. Synchronous."""

    def note(self, source: str, name: str) -> str:
        """Return a note, "" for none."""
        ...

    def put_note(self, source: str, name: str, value: str) -> None:
        """Keep a note, durable when it returns."""
        ...

    def task_in(self, conversation: Conversation) -> str | None:
        """Return the task that is talked about there, None where there is none."""
        ...

    def posted_as(self, source: str, room: str, handle: str) -> Posted | None:
        """Return which message of ours the chat knows as ``handle``, None for none."""
        ...


class Remembered:
    """A map of short texts, kept under ``name``; the oldest go first. A note that can't be read is an empty one.

    `put` notes it soon, many at once; `keep` has noted it when it returns.
    """

    def __init__(self, notes: Notes, name: str, most: int = 300) -> None:
        self._notes = notes
        self._name = name
        self._most = most
        self._source = ""
        self._found: OrderedDict[str, str] = OrderedDict()
        self._dirty = False
        self._writing = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None

    async def open(self, source: str) -> None:
        """Read what was kept for ``source``; again changes nothing."""
        if source == self._source:
            return
        text = await asyncio.to_thread(self._notes.note, source, self._name)
        self._source = source
        try:
            found = json.loads(text) if text else {}
        except ValueError:
            found = {}
        pairs = found.items() if isinstance(found, dict) else ()
        self._found = OrderedDict((key, value) for key, value in pairs if isinstance(value, str))

    def get(self, key: str) -> str:
        """Return what is kept under ``key``, "" for nothing."""
        return self._found.get(key, "")

    def items(self) -> Sequence[tuple[str, str]]:
        """Return everything, the newest last."""
        return tuple(self._found.items())

    def put(self, key: str, value: str) -> None:
        """Remember ``value``, and note it soon."""
        if self._set(key, value) and (self._writer is None or self._writer.done()):
            self._writer = asyncio.ensure_future(self._write_soon())

    async def keep(self, key: str, value: str) -> None:
        """Remember ``value``; durable when it returns."""
        self._set(key, value)
        await self.flush()

    async def flush(self) -> None:
        """Note what is not noted yet."""
        async with self._writing:
            if self._dirty:
                self._dirty = False
                text = json.dumps(self._found, separators=(",", ":"))
                await asyncio.to_thread(self._notes.put_note, self._source, self._name, text)

    def _set(self, key: str, value: str) -> bool:
        if len(key) + len(value) > _LONGEST or self._found.get(key) == value:
            return False
        self._found[key] = value
        self._found.move_to_end(key)
        while len(self._found) > self._most:
            self._found.popitem(last=False)
        self._dirty = True
        return True

    async def _write_soon(self) -> None:
        while self._dirty:
            await asyncio.sleep(0.1)
            try:
                await self.flush()
            except Exception as error:  # noqa: BLE001 - a store that is away now; what is noted late is looked up twice
                _log.warning("a note of Slack's could not be kept (%s)", type(error).__name__)
                self._dirty = True
                await asyncio.sleep(5)
