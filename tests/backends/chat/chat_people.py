"""People on the other side of each chat, for the conformance suite: what they do there, and what they see."""

import json
import re
from collections.abc import Sequence
from typing import Any

import httpx
from nio import RoomMessage

from greylag.adapters.chat.counterpart import Seen
from greylag.adapters.chat.port import Control
from greylag.app.fake_slack import Workspace
from greylag.app.fake_slack.world import outline
from greylag.app.fake_slack.world.records import Message
from greylag.domain.conversation import Conversation
from tests.support.matrix_people import Bot, Person

_TAGS = re.compile(r"<(a|img|font|span|div|del|h\d|mx-reply|code|b|strong|em|blockquote|ul|li|table)\b[^>]*>", re.I)


class SlackPerson:
    """Ada in the stand-in for Slack, in a thread of hers."""

    redelivers = keeps = True

    def __init__(self, workspace: Workspace, source: str, root: str) -> None:
        self.workspace, self.root = workspace, root
        self.author = workspace.user("ada").id
        self.conversation = Conversation(source, workspace.channel("general").id, root)

    async def say(self, text: str) -> str:
        return self.workspace.say("ada", "general", text, thread=self.root)

    async def click(self, message_id: str, control: Control, words: str = "") -> None:
        self.workspace.click("ada", message_id, control.label)
        if words:
            view = await self.workspace.until(lambda: self.workspace.modal("ada"))
            [field] = [each for each in self.workspace.widgets(view.id) if each.kind == "plain_text_input"]
            self.workspace.submit("ada", {field.action_id: words})

    async def react(self, message_id: str, mark: str) -> None:
        self.workspace.react("ada", message_id, {"\u2705": "white_check_mark"}[mark])

    async def server_reads(self, words: str) -> bool:
        return True

    async def seen(self) -> Sequence[Seen]:
        return [self._seen(each) for each in self.workspace.thread(self.root, "ada")]

    def _seen(self, message: Message) -> Seen:
        space = self.workspace
        pieces = outline.of_message(message, space.name_of)
        bot = space.bot.id
        return Seen(
            message.ts, "\n".join(outline.plain_lines([each for each in _flat(pieces) if each.kind != "widgets"])),
            message.user == bot, message.username or space.name_of(message.user),
            controls=tuple(_control(each) for each in space.widgets(message.ts)),
            acts=tuple(_slack_acts(space, message, pieces)) if message.user == bot else (),
            marks=tuple(name for name, users in message.reactions.items() if bot in users),
            files=tuple((space.file(each).name, space.file(each).content) for each in message.files),
        )  # fmt: skip


def _flat(pieces: Sequence[outline.Piece]) -> list[outline.Piece]:
    return [piece for each in pieces for piece in (each, *_flat(each.inner))] if pieces else []


def _control(widget: outline.Widget) -> Control:
    if widget.url:
        return Control(widget.label, url=widget.url)
    carried = json.loads(widget.value)
    return Control(widget.label, carried["verb"], carried["value"], carried["task_id"])


def _slack_acts(space: Workspace, message: Message, pieces: Sequence[outline.Piece]) -> list[str]:
    spans = [span for piece in _flat(pieces) for span in piece.spans]
    reaching = [f"{each.kind} {each.target}" for each in space.pings if each.ts == message.ts]
    marked = [f"{each.kind} {each.text!r}" for each in spans if each.kind in ("user", "mass", "room", "emoji")]
    links = [
        f"link {each.text!r} to {each.target}" for each in spans if each.kind == "link" and each.text != each.target
    ]
    return [*reaching, *marked, *links, *("image" for each in _flat(pieces) if each.kind == "image")]


class MatrixPerson:
    """Ann in a room of a real Matrix server, in a thread of hers."""

    redelivers = keeps = True

    def __init__(self, ann: Person, bot: Bot, room: str, root: str) -> None:
        self.ann, self.bot, self.room, self.root = ann, bot, room, root
        self.author = ann.user
        self.conversation = Conversation("matrix:chat.test", room, root)

    async def say(self, text: str) -> str:
        return await self.ann.say(self.room, text, thread=self.root)

    async def click(self, message_id: str, control: Control, words: str = "") -> None:
        raise AssertionError("nothing can be pressed in Matrix")

    async def react(self, message_id: str, mark: str) -> None:
        await self.ann.react(self.room, message_id, mark)

    async def server_reads(self, words: str) -> bool:
        headers = {"authorization": f"Bearer {self.ann.client.access_token}"}
        address = f"{self.bot.server.url}/_matrix/client/v3/rooms/{self.room}/messages"
        async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
            answer = await client.get(address, params={"dir": "b", "limit": 200})
        assert len(answer.json()["chunk"]) > 5
        return words in answer.text

    async def seen(self) -> Sequence[Seen]:
        events = await self.ann.read(self.room, lambda _: True)
        said: dict[str, tuple[str, dict[str, Any]]] = {}
        marks: dict[str, list[str]] = {}
        for event in events:
            content = event.source["content"]
            relates = content.get("m.relates_to", {})
            if event.source["type"] == "m.reaction" and event.sender == self.bot.user:
                marks.setdefault(relates["event_id"], []).append(relates["key"])
            elif isinstance(event, RoomMessage) and relates.get("rel_type") == "m.replace":
                said[relates["event_id"]] = (event.sender, content["m.new_content"])
            elif isinstance(event, RoomMessage) and relates.get("event_id") == self.root:
                said[event.event_id] = (event.sender, content)
        return [
            Seen(
                at, content["body"], sender == self.bot.user, sender,
                acts=tuple(_matrix_acts(content)) if sender == self.bot.user else (),
                marks=tuple(marks.get(at, ())), files=await self._files(content),
            )
            for at, (sender, content) in said.items()
        ]  # fmt: skip

    async def _files(self, content: dict[str, Any]) -> tuple[tuple[str, bytes], ...]:
        if content["msgtype"] != "m.file":
            return ()
        return ((content.get("filename", content["body"]), await self.ann.download(content)),)


def _matrix_acts(content: dict[str, Any]) -> list[str]:
    called = content.get("m.mentions")
    acts = [] if called == {} else [f"calls {called}"]
    return acts + [found[0] for found in _TAGS.finditer(content.get("formatted_body", ""))]
