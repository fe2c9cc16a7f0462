"""``greylag doctor --chat``: tries a chat of the settings in one of its rooms, by the same promises as every chat."""

import asyncio
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from greylag.adapters.chat.backends.slack.chat import SlackChat
from greylag.adapters.chat.conformance import Permits, check_room
from greylag.adapters.chat.counterpart import Seen, digest_of
from greylag.adapters.chat.port import Chat, Post
from greylag.adapters.store.port import ChatStore
from greylag.app.bootstrap import open_stores, places_of
from greylag.app.checkup import Row
from greylag.app.install.chats import matrix_place, open_chats, own_chats, slack_place
from greylag.app.install.clock import SystemClock
from greylag.app.install.law.lawbook import read_world
from greylag.app.settings import Settings, load_settings
from greylag.domain.conversation import Conversation
from greylag.domain.errors import GreylagError, OperatorError
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.egress.door import Door
from greylag.egress.hop import Hop
from greylag.egress.permit import Permit
from greylag.governance.facts import FactBase
from greylag.governance.question import Asset, Target

_HELLO = "Greylag tries this room: a dozen short messages follow in this thread, and that is all."
_SEEN_MESSAGES = 60
_KINDS = {Stage.CHAT: "chat", Stage.PUSH: "forge"}


@dataclass(frozen=True, slots=True)
class _History:
    """Somebody who sees a thread as the chat's own history tells it."""

    chat: Chat
    conversation: Conversation

    async def seen(self) -> Sequence[Seen]:
        """Return the newest messages."""
        found = await self.chat.history(self.conversation, _SEEN_MESSAGES)
        return [Seen(each.message_id, each.text, each.ours, each.author) for each in found]


async def check_chat_room(home: Path, kind: str, room: str) -> list[Row]:
    """Say a dozen short messages in a thread of ``room``, and return a row for each promise.

    Every message is a decision of this install's policy over public words, recorded in a ledger that is thrown away.
    """
    try:
        settings = load_settings(home)
        with tempfile.TemporaryDirectory(prefix="greylag-doctor-") as folder:
            return await _tried(settings, home, Path(folder), kind, room)
    except GreylagError as error:
        return [Row(f"chat {kind}", "can be tried", False, error.message, error.remedy)]


async def _tried(settings: Settings, home: Path, scratch: Path, kind: str, room: str) -> list[Row]:
    today = SystemClock().now().date()
    policy = read_world(settings, home, own=_own(settings), today=today).policy(today=today)
    facts = policy.facts_on(today)
    control, ledger, _ = await asyncio.to_thread(open_stores, Settings(), scratch)
    opened: list[Chat] = []
    try:

        async def opening() -> Chat:
            opened.append(await _opened(settings, home, kind, control.chats, facts))
            return opened[-1]

        looking = await opening()
        region = settings.region.name
        permits = _permits(Door(policy, ledger, SystemClock(), region), region)
        beginning = Conversation(looking.source, room)
        post = Post(beginning, f"doctor/{secrets.token_hex(8)}", "text", _HELLO, digest_of(_HELLO))
        root = await looking.post(permits(Stage.CHAT, looking.where, post.digest), post)
        onlooker = _History(looking, Conversation(looking.source, room, root))
        found = await check_room(opening, onlooker, permits)
    finally:
        for each in opened:
            await each.close()
        ledger.close()
        control.close()
    return [Row(f"chat {kind}", each.promise, each.kept, each.detail) for each in found]


def _own(settings: Settings) -> list[tuple[str, str]]:
    """Return the operator's own targets, and those that a permit is made for only to be refused."""
    given = settings.chat
    places = [slack_place(given)] if given.slack.mode != "off" else []
    places += [matrix_place(given)] if given.matrix.homeserver else []
    refused = [each for place in places for each in (("chat", f"{place}-elsewhere"), ("forge", place))]
    return [("store", "control-plane"), *own_chats(given), *refused]


async def _opened(settings: Settings, home: Path, kind: str, store: ChatStore, facts: FactBase) -> Chat:
    folder = places_of(settings, home).cell / "chats"
    chats = open_chats(settings, folder, store, lambda: facts)
    chat = next((each for each in chats if each.name == kind), None)
    if chat is None:
        known = ", ".join(f"`{each.name}`" for each in chats) or "none"
        raise OperatorError(
            "GL-CHAT-041", f"the settings name no chat {kind[:40]!r} (they name: {known}).",
            "say which with `--chat` and `--room`, or set it up: see docs/how-to.",
        )  # fmt: skip
    if isinstance(chat, SlackChat):
        await chat.open()
    return chat


def _permits(door: Door, region: str) -> Permits:
    def permit(stage: Stage, target: str, digest: str) -> Permit:
        asset = Asset("card", Label("public"), region, digest)
        key = f"doctor/{secrets.token_hex(8)}"
        return door.admit(Hop(stage, "platform:greylag", "check", asset, Target(_KINDS[stage], target), key))

    return permit
