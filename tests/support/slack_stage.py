"""A Slack backend on a stage: the server, a store in memory, a listener that keeps or refuses, and permits."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from typing import Any

from greylag.adapters.chat.backends.slack.calls import SlackAccess
from greylag.adapters.chat.backends.slack.chat import SlackChat, Timing
from greylag.adapters.chat.port import Heard, Home, Post
from greylag.adapters.store.port import Posting
from greylag.domain.conversation import Conversation
from greylag.domain.ids import TaskId
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit
from tests.support.permits import permit
from tests.support.slack_server import TEAM, SlackServer

WHERE = "slack"
SOURCE = f"slack:{TEAM}"
QUICK = Timing(pace_seconds=0.0, patience_seconds=5.0, ping_seconds=0.3, lost_seconds=1.0, look_again_seconds=0.2)


class Notes:
    """What a backend asks of a chat store, in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.bound: dict[Conversation, TaskId] = {}
        self.posted: dict[tuple[str, str, str], Posting] = {}

    def note(self, source: str, name: str) -> str:
        return self.kept.get((source, name), "")

    def put_note(self, source: str, name: str, value: str) -> None:
        assert len(value) <= 65_536
        self.kept[(source, name)] = value

    def task_in(self, conversation: Conversation) -> TaskId | None:
        return self.bound.get(conversation)

    def posted_as(self, source: str, room: str, handle: str) -> Posting | None:
        return self.posted.get((source, room, handle))


class Inbox:
    """Keeps what it is told, once per event; raises while ``down``."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.deliveries = 0
        self.down = False
        self.gate: asyncio.Event | None = None
        self.homes: dict[str, Home] = {}

    async def take(self, heard: Heard) -> None:
        self.deliveries += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise RuntimeError("the store is away")
        if heard.event_id not in {each.event_id for each in self.heard}:
            self.heard.append(heard)

    async def home(self, source: str, author: str) -> Home:
        return self.homes.get(author, Home())

    async def until(self, count: int) -> list[Heard]:
        async with asyncio.timeout(8):
            while len(self.heard) < count:
                await asyncio.sleep(0.01)
        return self.heard


def digest(text: str | bytes) -> str:
    return f"sha256:{hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()}"


def allowed(text: str | bytes, where: str = WHERE) -> Permit:
    return permit(Stage.CHAT, where, digest(text))


def post(text: str, key: str = "k1", **more: Any) -> Post:
    place = more.pop("conversation", Conversation(SOURCE, "C1", "1700000000.000001"))
    return Post(place, key, more.pop("kind", "text"), text, digest(text), **more)


def chat_for(server: SlackServer, notes: Notes, *, http: bool = False, timing: Timing = QUICK) -> SlackChat:
    access = SlackAccess(
        "xoxb-secret-bot", "" if http else "xapp-secret-app", "shhh-secret" if http else "", api_url=server.api
    )
    return SlackChat(access, where=WHERE, notes=notes, residency="US", timing=timing)


@contextlib.asynccontextmanager
async def listening(chat: SlackChat, inbox: Inbox) -> AsyncIterator[asyncio.Task[None]]:
    """Let ``chat`` listen for ``inbox`` meanwhile."""
    task = asyncio.create_task(chat.listen(inbox))
    try:
        yield task
    finally:
        await chat.close()
        if not task.cancelled() and task.done():
            task.exception()
