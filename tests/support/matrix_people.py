"""People on a Matrix server: clients of their own, encryption included, and what our backend is given in tests."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from nio import (
    AsyncClient,
    AsyncClientConfig,
    JoinResponse,
    LoginResponse,
    MegolmEvent,
    RoomCreateResponse,
    RoomSendResponse,
    SyncResponse,
    UploadResponse,
)
from nio.crypto.attachments import decrypt_attachment
from nio.store import SqliteMemoryStore

from greylag.adapters.chat.backends.matrix import MatrixAccount, MatrixBounds, MatrixChat
from greylag.adapters.chat.port import Control, Heard, Home, Post
from greylag.domain.conversation import Conversation
from greylag.domain.stages import Stage
from tests.support.permits import permit
from tests.support.synapse import SynapseServer

WHERE = "matrix:chat.test"
_ENCRYPTION = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
_ALL = {"room": {"timeline": {"limit": 500}}}


class Person:
    """Somebody with one device, whose app keeps nothing when it ends."""

    def __init__(self, server: SynapseServer, user: str, password: str = "secret") -> None:
        config = AsyncClientConfig(store=SqliteMemoryStore, max_timeouts=5, max_limit_exceeded=5)
        self.user = user
        self.client = AsyncClient(server.url, user, store_path="", config=config)
        self._password = password
        self.timeline: list[tuple[str, Any]] = []

    async def enter(self) -> "Person":
        assert isinstance(await self.client.login(self._password), LoginResponse)
        await self.sync()
        return self

    async def leave(self) -> None:
        await self.client.close()

    async def sync(self) -> None:
        """Take in what came, and keep the keys in order."""
        answer = await self.client.sync(100, _ALL)
        assert isinstance(answer, SyncResponse)
        for room, info in answer.rooms.join.items():
            self.timeline += [(room, event) for event in info.timeline.events]
        for room in list(answer.rooms.invite):
            assert isinstance(await self.client.join(room), JoinResponse)
        if self.client.should_upload_keys:
            await self.client.keys_upload()
        if self.client.should_query_keys:
            await self.client.keys_query()
        if self.client.should_claim_keys:
            await self.client.keys_claim(self.client.get_users_for_key_claiming())
        await self.client.send_to_device_messages()

    async def room(self, *invited: str, encrypted: bool, name: str = "room") -> str:
        """Make a room and return its id."""
        state = (_ENCRYPTION,) if encrypted else ()
        made = await self.client.room_create(name=name, invite=list(invited), initial_state=state)
        assert isinstance(made, RoomCreateResponse)
        await self.sync()
        return made.room_id

    async def send(self, room: str, content: dict[str, Any], kind: str = "m.room.message") -> str:
        await self.sync()
        sent = await self.client.room_send(room, kind, content, ignore_unverified_devices=True)
        assert isinstance(sent, RoomSendResponse), sent
        return sent.event_id

    async def say(self, room: str, text: str, *, to: str = "", thread: str = "", **more: Any) -> str:
        """Say ``text``, mentioning ``to``, in ``thread``; return the event's id."""
        content: dict[str, Any] = {"msgtype": "m.text", "body": text, "m.mentions": {"user_ids": [to]} if to else {}}
        if thread:
            content["m.relates_to"] = {
                "rel_type": "m.thread", "event_id": thread, "is_falling_back": True,
                "m.in_reply_to": {"event_id": thread},
            }  # fmt: skip
        return await self.send(room, content | more)

    async def react(self, room: str, event: str, key: str) -> str:
        relates = {"rel_type": "m.annotation", "event_id": event, "key": key}
        return await self.send(room, {"m.relates_to": relates}, "m.reaction")

    async def read(self, room: str, until: Callable[[list[Any]], bool], seconds: float = 15) -> list[Any]:
        """Return the room's events as this person sees them, as soon as they are as ``until`` wants them."""
        async with asyncio.timeout(seconds):
            while True:
                await self.sync()
                for number, (where, event) in enumerate(self.timeline):
                    if isinstance(event, MegolmEvent):
                        with suppress(Exception):
                            self.timeline[number] = (where, self.client.decrypt_event(event))
                seen = [event for where, event in self.timeline if where == room]
                if until(seen):
                    return seen

    async def download(self, content: dict[str, Any]) -> bytes:
        """Return the bytes of a file message."""
        file = content.get("file")
        answer = await self.client.download(file["url"] if file else content["url"])
        if not file:
            return bytes(answer.body)
        return bytes(decrypt_attachment(answer.body, file["key"]["k"], file["hashes"]["sha256"], file["iv"]))

    async def upload(self, content: bytes) -> str:
        answer, _ = await self.client.upload(lambda *_: content, filesize=len(content))
        assert isinstance(answer, UploadResponse)
        return str(answer.content_uri)


class MemoryNotes:
    """Notes that outlive a backend, as the store's do."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def note(self, source: str, name: str) -> str:
        return self.kept.get((source, name), "")

    def put_note(self, source: str, name: str, value: str) -> None:
        assert len(value.encode()) <= 64_000
        self.kept[source, name] = value


class Ears:
    """A listener that keeps what it takes; ``broken`` makes it fail so many times."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.broken = 0

    async def take(self, heard: Heard) -> None:
        if self.broken:
            self.broken -= 1
            raise OSError("the disk is full")
        self.heard.append(heard)

    async def home(self, source: str, author: str) -> Home:
        return Home()

    async def wait(self, count: int, seconds: float = 15) -> list[Heard]:
        """Return everything heard, as soon as it is ``count``."""
        async with asyncio.timeout(seconds):
            while len(self.heard) < count:
                await asyncio.sleep(0.02)
        return self.heard

    def texts(self) -> list[str]:
        return [heard.text for heard in self.heard]


class Bot:
    """Our backend, started and stopped as the platform would."""

    def __init__(self, server: SynapseServer, user: str, folder: Path, known: set[str]) -> None:
        self.server, self.user, self.folder, self.known = server, user, folder, known
        self.local = user[1:].split(":")[0]
        self.notes, self.ears = MemoryNotes(), Ears()
        self.bounds = MatrixBounds(patience_seconds=2.0, edit_seconds=0.05, away_seconds=0.3, wait_seconds=2.0)
        self.chat = self.new()
        self._listening: asyncio.Task[None] | None = None

    def new(self, password: str = "secret") -> MatrixChat:
        account = MatrixAccount(self.server.url, self.user, password)
        return MatrixChat(
            account, self.folder, WHERE, self.notes, lambda _, author: author in self.known, bounds=self.bounds
        )

    def listen(self) -> None:
        self._listening = asyncio.create_task(self.chat.listen(self.ears))

    async def stop(self) -> None:
        await self.chat.close()
        if self._listening is not None:
            await self._listening
        self._listening = None

    async def restart(self) -> None:
        """End as a process does, and begin anew on what was kept."""
        await self.stop()
        self.chat = self.new()
        self.listen()

    async def joined(self, room: str, person: Person, seconds: float = 15) -> None:
        """Wait until the bot is in the room and ``person`` knows its device."""
        async with asyncio.timeout(seconds):
            while (ours := person.client.rooms[room].users.get(self.user)) is None or ours.invited:
                await person.sync()
        await person.sync()

    async def post(self, post: Post, **more: Any) -> str:
        return await self.chat.post(permit(Stage.CHAT, WHERE, post.digest), post, **more)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def a_post(room: str, thread: str, text: str, *, key: str = "k/1", kind: str = "text", **more: Any) -> Post:
    """Return a post as the courier makes it."""
    conversation = Conversation("matrix:chat.test", room, thread)
    return Post(conversation, key, kind, text, digest(text.encode()), **more)


APPROVE = Control("Approve", "approve", "sha256:" + "a" * 64, "task_1", said="approve")
OPEN = Control("Open the page", url="https://greylag.test/tasks/task_1")
