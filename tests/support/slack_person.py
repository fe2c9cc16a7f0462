"""A person at the stand-in for Slack: the other side of our backend, for the conformance suite."""

import json
from collections.abc import Sequence

from greylag.adapters.chat.counterpart import Seen
from greylag.adapters.chat.port import Control
from greylag.app.fake_slack.workspace import Workspace
from greylag.app.fake_slack.world import outline
from greylag.app.fake_slack.world.outline import Widget
from greylag.app.fake_slack.world.records import Message
from greylag.domain.conversation import Conversation

_NAMES = {"✅": "white_check_mark", "👍": "+1"}


class SlackPerson:
    """Ada, in one thread of a channel. What she says mentions the bot, so that Slack tells it twice."""

    redelivers = True
    keeps = True

    def __init__(self, workspace: Workspace, channel: str = "general", user: str = "ada") -> None:
        self.workspace = workspace
        self.author = workspace.user(user).id
        self._room = workspace.channel(channel).id
        root = workspace.say(user, channel, "@greylag a place for checks")
        self.conversation = Conversation(f"slack:{workspace.world.team_id}", self._room, root)

    async def say(self, text: str) -> str:
        return self.workspace.say(self.author, self._room, f"@greylag {text}", thread=self.conversation.thread)

    async def click(self, message_id: str, control: Control, words: str = "") -> None:
        self.workspace.click(self.author, message_id, control.label)
        if words:
            await self.workspace.until(lambda: self.workspace.modal(self.author))
            self.workspace.submit(self.author, {"words": words})

    async def react(self, message_id: str, mark: str) -> None:
        self.workspace.react(self.author, message_id, _NAMES[mark])

    async def server_reads(self, words: str) -> bool:
        return any(words in str(each) for each in self.workspace.messages(self._room))

    async def seen(self) -> Sequence[Seen]:
        return [self._seen(each) for each in self.workspace.thread(self.conversation.thread)[1:]]

    def _seen(self, message: Message) -> Seen:
        place = self.workspace
        pieces = outline.of_message(message, place.name_of)
        read = [each for each in pieces if each.kind != "widgets"]
        files = [place.world.files[each] for each in message.files]
        return Seen(
            message.ts, "\n".join(outline.plain_lines(read)), message.by_app,
            author=message.username or place.name_of(message.user),
            controls=tuple(_control(each) for each in place.widgets(message.ts)),
            acts=tuple(f"{each.kind} {each.target}" for each in place.pings if each.ts == message.ts),
            marks=tuple(name for name, users in message.reactions.items() if place.bot.id in users),
            files=tuple((each.title, each.content) for each in files),
        )  # fmt: skip


def _control(widget: Widget) -> Control:
    if widget.url:
        return Control(widget.label, url=widget.url)
    found = json.loads(widget.value)
    return Control(widget.label, found["verb"], found["value"], found["task_id"])
