"""The Matrix backend: says things in rooms, each once, and hears what people say there."""

import asyncio
import contextlib
import hashlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from greylag.adapters.chat.backends.matrix.account import Folder, MatrixAccount
from greylag.adapters.chat.backends.matrix.bounds import MatrixBounds
from greylag.adapters.chat.backends.matrix.devices import Knows, Notes
from greylag.adapters.chat.backends.matrix.hearing import Hearing
from greylag.adapters.chat.backends.matrix.looking import Place, Rooms
from greylag.adapters.chat.backends.matrix.sealing import SealedSending
from greylag.adapters.chat.backends.matrix.session import MatrixSession, away
from greylag.adapters.chat.backends.matrix.writing import (
    body_of,
    edit,
    file_message,
    file_name,
    fitting,
    message,
    reaction,
    transaction,
)
from greylag.adapters.chat.port import Capabilities, Listener, Overheard, Post
from greylag.domain.conversation import Conversation
from greylag.domain.errors import OperatorError
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

_PACED = 1000
_MOST_HISTORY = 200


class MatrixChat:
    """A Matrix account as a chat. ``where`` is the fact-base name of its homeserver, ``knows`` who is linked here.

    The folder holds token and keys: it is the device, and belongs to one process. ``notes`` hold how far was heard
    and whose devices are pinned.
    """

    name = "matrix"

    def __init__(
        self, account: MatrixAccount, store_folder: Path, where: str, notes: Notes, knows: Knows,
        *, residency: str = "unknown", bounds: MatrixBounds | None = None,
    ) -> None:  # fmt: skip
        self.source = account.source
        self.where = where
        self._bounds = bounds or MatrixBounds()
        self.capabilities = Capabilities(
            buttons=False, modals=False, edit=True, stream=False, files=True, ephemeral=False,
            encryption="end-to-end", vouches=True, residency=residency, longest_text=self._bounds.longest_text,
        )  # fmt: skip
        self._session = MatrixSession(account, Folder(store_folder, account.user), self._bounds)
        self._rooms = Rooms(self._session)
        self._sealed = SealedSending(self._session)
        self._hearing = Hearing(self._session, self._rooms, notes, knows)
        self._closed = asyncio.Event()
        self._listening: set[asyncio.Task[None]] = set()
        #: Live messages, and when each was last changed.
        self._edited: OrderedDict[str, float] = OrderedDict()

    async def post(self, permit: Permit, post: Post, *, uncertain: bool = False, handle: str = "") -> str:
        """Say it once; see `greylag.adapters.chat.port.Chat.post`."""
        digest = _digest(post.text.encode("utf-8", "surrogatepass"))
        permit.require(Stage.CHAT, self.where, post.digest)
        permit.require(Stage.CHAT, self.where, digest)
        await self._open()
        room, thread = post.conversation.room, post.conversation.thread
        live = post.kind == "progress"
        body = body_of(post, self._bounds.longest_text)
        mark = transaction(post.key, room, thread, handle)
        if live and handle:
            await self._pace(handle)
            await self._sealed.send(room, "m.room.message", fitting(edit(body, handle, mark)), mark)
            return handle
        content = fitting(message(body, thread, mark, quiet=live or post.kind == "notice"))
        return await self._say(post.conversation, content, mark, uncertain)

    async def mark(self, permit: Permit, conversation: Conversation, message_id: str, mark: str) -> None:
        """React to somebody's message; see `greylag.adapters.chat.port.Chat.mark`."""
        permit.require(Stage.CHAT, self.where, _digest(mark.encode()))
        await self._open()
        content, room = reaction(message_id, mark), conversation.room
        await self._sealed.send(room, "m.reaction", content, transaction(mark, room, message_id))

    async def upload(
        self, permit: Permit, conversation: Conversation, name: str, content: bytes, key: str,
        *, uncertain: bool = False,
    ) -> str:  # fmt: skip
        """Put a file into the conversation once; see `greylag.adapters.chat.port.Chat.upload`."""
        permit.require(Stage.CHAT, self.where, _digest(content))
        await self._open()
        room, thread = conversation.room, conversation.thread
        mark = transaction(key, room, thread)
        if uncertain and (found := await self._rooms.said_as(room, thread, mark)):
            return found
        stored = await self._sealed.upload(room, content)
        said = file_message(file_name(name), thread, mark, stored, len(content))
        return await self._say(conversation, said, mark, uncertain=False)

    async def history(self, conversation: Conversation, limit: int) -> Sequence[Overheard]:
        """Return the newest messages of a thread, oldest first."""
        await self._open()
        return await self._rooms.history(conversation.room, conversation.thread, min(limit, _MOST_HISTORY))

    async def listen(self, listener: Listener) -> None:
        """Hear until `close`; see `greylag.adapters.chat.port.Chat.listen`."""
        hearing = asyncio.create_task(self._hearing.run(listener), name=f"hear {self.source}")
        closing = asyncio.create_task(self._closed.wait(), name=f"close {self.source}")
        self._listening.add(hearing)
        try:
            await asyncio.wait({hearing, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()
            hearing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hearing
            self._listening.discard(hearing)

    async def close(self) -> None:
        """Stop hearing and give every connection back."""
        self._closed.set()
        for hearing in self._listening:
            hearing.cancel()
        if self._listening:
            await asyncio.wait(self._listening)
        await self._session.close()

    async def _open(self) -> None:
        """Be signed in and know the rooms. Raises BackendError; what only an operator can mend, `listen` says."""
        try:
            await self._session.open(self._hearing.position)
        except OperatorError as error:
            raise away("sign in", error.message) from error

    async def _say(self, conversation: Conversation, content: dict[str, object], mark: str, uncertain: bool) -> str:
        room, thread = conversation.room, conversation.thread
        if uncertain and (found := await self._rooms.said_as(room, thread, mark)):
            return found
        event_id = await self._sealed.send(room, "m.room.message", content, mark)
        self._rooms.remember_place(event_id, Place(thread or event_id, ours=True))
        return event_id

    async def _pace(self, handle: str) -> None:
        """Wait until the live message may change again."""
        last = self._edited.pop(handle, None)
        if last is not None:
            await asyncio.sleep(max(0.0, last + self._bounds.edit_seconds - time.monotonic()))
        self._edited[handle] = time.monotonic()
        if len(self._edited) > _PACED:
            self._edited.popitem(last=False)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
