"""Every promise of the chat port, kept by the Matrix backend in a plain and in an encrypted room of a real server."""

from collections.abc import Sequence
from typing import Any

import pytest
from nio import MegolmEvent

from greylag.adapters.chat.conformance import check_chat
from greylag.adapters.chat.counterpart import Seen
from greylag.adapters.chat.port import Chat, Control
from greylag.domain.conversation import Conversation
from tests.support.matrix_people import Bot, Person
from tests.support.permits import permit


class Onlooker:
    """Ann in one thread, with what her app shows there."""

    redelivers = keeps = True

    def __init__(self, ann: Person, bot: Bot, room: str, root: str) -> None:
        self.author = ann.user
        self.conversation = Conversation("matrix:chat.test", room, root)
        self._ann, self._bot, self._room, self._root = ann, bot, room, root
        self._files: dict[str, bytes] = {}

    async def say(self, text: str) -> str:
        return await self._ann.say(self._room, text, to=self._bot.user, thread=self._root)

    async def click(self, message_id: str, control: Control, words: str = "") -> None:
        raise AssertionError("there is nothing to press")

    async def react(self, message_id: str, mark: str) -> None:
        await self._ann.react(self._room, message_id, mark)

    async def server_reads(self, words: str) -> bool:
        path = f"/_matrix/client/v3/rooms/{self._room}/messages?dir=b&limit=500"
        kept = self._bot.server.call("GET", path, token=self._ann.client.access_token)
        assert len(kept["chunk"]) > 10
        return words in str(kept)

    async def seen(self) -> Sequence[Seen]:
        events = await self._ann.read(self._room, lambda _: True)
        assert not [each for each in events if isinstance(each, MegolmEvent)]
        shown: dict[str, Seen] = {}
        for event in events:
            content = event.source["content"]
            relates = content.get("m.relates_to") or {}
            if event.source["type"] == "m.reaction" and event.sender == self._bot.user and relates["event_id"] in shown:
                old = shown[relates["event_id"]]
                shown[old.message_id] = _with(old, marks=(*old.marks, relates["key"]))
            elif event.source["type"] == "m.room.message" and relates.get("rel_type") == "m.replace":
                old = shown[relates["event_id"]]
                shown[old.message_id] = _with(old, text=content["m.new_content"]["body"], acts=_acts(content))
            elif event.source["type"] == "m.room.message" and relates.get("event_id") == self._root:
                shown[event.event_id] = await self._message(event, content)
        return list(shown.values())

    async def _message(self, event: Any, content: dict[str, Any]) -> Seen:
        files: tuple[tuple[str, bytes], ...] = ()
        if content["msgtype"] == "m.file":
            if event.event_id not in self._files:
                self._files[event.event_id] = await self._ann.download(content)
            files = ((content["filename"], self._files[event.event_id]),)
        ours = event.sender == self._bot.user
        return Seen(event.event_id, content["body"], ours, acts=_acts(content) if ours else (), files=files)


def _with(seen: Seen, **changes: Any) -> Seen:
    fields = {name: getattr(seen, name) for name in Seen.__dataclass_fields__}
    return Seen(**fields | changes)


def _acts(content: dict[str, Any]) -> tuple[str, ...]:
    """Return what an app would take for more than words: it shows ``body`` as it is where nothing else is there."""
    parts = (content, content.get("m.new_content", content))
    telling = ("m.mentions", "format", "formatted_body")
    return tuple(f"{name}: {part[name]!r}" for part in parts for name in telling if part.get(name))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("encrypted", [False, True])
async def test_the_promises_are_kept(bot: Bot, ann: Person, encrypted: bool) -> None:
    bot.listen()
    other = bot.server.register(bot.local.replace("greylag", "ben"))
    room = await ann.room(bot.user, other, encrypted=encrypted)
    await bot.joined(room, ann)
    root = await ann.say(room, "the thread of the checks")
    await bot.stop()

    async def opened() -> Chat:
        return bot.new()

    findings = await check_chat(opened, Onlooker(ann, bot, room, root), permit)
    broken = {finding.promise: finding.detail for finding in findings if not finding.kept}
    if not encrypted:
        assert broken.pop("the server can't read it") == "it can"
    assert broken == {}
    assert len(findings) > 40
