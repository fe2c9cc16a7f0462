"""What has to be known after a restart: the newest few hundred entries of a map, kept in one note."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Collection

from greylag.adapters.store.chat_port import ChatStore

_LONGEST = 200


class Remembered:
    """A map of short texts, kept under ``name``; the least used go first. A note that can't be read is an empty one."""

    def __init__(self, notes: ChatStore, name: str, most: int = 300) -> None:
        self._notes = notes
        self._name = name
        self._most = most
        self._source = ""
        self._found: OrderedDict[str, str] = OrderedDict()
        self._writing = asyncio.Lock()

    async def open(self, source: str) -> None:
        """Read what was kept for ``source``."""
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

    def items(self) -> Collection[tuple[str, str]]:
        """Return everything, the newest last."""
        return tuple(self._found.items())

    async def put(self, key: str, value: str) -> None:
        """Keep ``value``; durable when it returns. The same again costs nothing."""
        if len(key) > _LONGEST or len(value) > _LONGEST or self._found.get(key) == value:
            return
        self._found[key] = value
        self._found.move_to_end(key)
        while len(self._found) > self._most:
            self._found.popitem(last=False)
        async with self._writing:
            text = json.dumps(self._found, separators=(",", ":"))
            await asyncio.to_thread(self._notes.put_note, self._source, self._name, text)
