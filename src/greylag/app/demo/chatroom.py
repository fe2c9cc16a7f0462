"""The demo's chat: the stand-in for Slack, with the platform in it by the real client, and told as it shows itself."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from pydantic import SecretStr

from greylag.app.fake_slack import Server, Workspace
from greylag.app.fake_slack.world.records import Message
from greylag.app.settings import ChatSettings, Settings, SlackSettings
from greylag.domain.errors import IntegrityError

CHANNEL = "murmur"
_BOT = "greylag"
_TASK = re.compile(r"\btask_[0-9a-z]{26}\b")
_ACKNOWLEDGED_SECONDS = 30.0
_SETTLED_SECONDS = 60.0
#: How the stand-in marks a step of a live card, at the beginning of its line.
_REACTIONS = re.compile(r"(:[\w+-]+: \d+ *)+")
_CARD_LINES = 3
_STEP = re.compile(r"^ *[○…✓✗] (.*)$")


class Chatroom:
    """One channel of a workspace, and what was told of its threads so far."""

    def __init__(self, workspace: Workspace, server: Server) -> None:
        self.workspace = workspace
        self.url = server.url
        self._api = server.api
        self._threads: dict[str, str] = {}
        self._told: dict[str, list[str]] = {}

    def settings(self, settings: Settings) -> Settings:
        """Return ``settings`` with this workspace as its Slack, over Socket Mode."""
        slack = SlackSettings(mode="socket", api_url=self._api, stand_in=True)
        tokens = {
            "slack_bot_token": SecretStr(self.workspace.bot_token),
            "slack_app_token": SecretStr(self.workspace.app_token),
        }
        return settings.model_copy(update={"chat": ChatSettings(slack=slack), **tokens})

    def accounts(self, people: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """Return each person's chat account: source and author."""
        source = f"slack:{self.workspace.world.team_id}"
        return {name: (source, self.workspace.user(name).id) for name in people}

    def ask(self, person: str, text: str) -> str:
        """Mention the bot in the channel, wait for its answer, and return the id of the task it names."""
        root = self.workspace.say(person, CHANNEL, f"@{_BOT} {text}")
        task_id: str = self.workspace.wait(lambda: self._named_in(root), _ACKNOWLEDGED_SECONDS)
        self._threads[task_id] = root
        return task_id

    def say(self, person: str, task_id: str, text: str) -> None:
        """Say more in a task's thread."""
        root = self._threads[task_id]
        self.workspace.say(person, CHANNEL, text, thread=root)

    def click(self, person: str, task_id: str, label: str) -> None:
        """Press the newest button of that label in a task's thread."""
        shown = [
            each.ts
            for each in self.workspace.thread(self._threads[task_id])
            if any(widget.label == label for widget in self.workspace.widgets(each.ts))
        ]
        if not shown:
            raise IntegrityError("GL-DEMO-001", f"there is no button {label!r} in the thread.", "run `greylag doctor`.")
        self.workspace.click(person, shown[-1], label)

    def answer_to(self, person: str, task_id: str, before: Callable[[], None]) -> str:
        """Do ``before`` and return what the bot then says, in the thread or to ``person`` alone."""
        known = {each.ts for each in self._messages(task_id, person)}
        before()
        found: Message = self.workspace.wait(lambda: self._new(task_id, person, known), _ACKNOWLEDGED_SECONDS)
        return "\n".join(self.workspace.lines(found))

    def is_settled(self, delivered: Callable[[], bool]) -> None:
        """Wait until everything that was said is in the thread."""
        self.workspace.wait(delivered, _SETTLED_SECONDS)

    def news(self, task_id: str) -> Iterator[str]:
        """Yield what the thread shows that was not told yet: messages, and new steps of its live cards."""
        for message in self._messages(task_id):
            mark, *lines = self._shown(message)
            told = self._told.setdefault(message.ts, [])
            fresh = [line for line in lines if line not in told]
            if not fresh:
                continue
            told += fresh
            at = datetime.fromtimestamp(float(message.ts), UTC).strftime("%H:%M:%S")
            who = self.workspace.name_of(message.user)
            if mark == "·":
                yield from (f"{at} · {who}: {line}" for line in fresh)
                continue
            yield f"{at} {mark} {who}: {fresh[0]}"
            yield from (f"             {line}" for line in fresh[1:])

    def _shown(self, message: Message) -> list[str]:
        first, *rest = self.workspace.lines(message)
        lines = [first.partition(": ")[2], *(line.removeprefix("    ") for line in rest)]
        steps = [found.group(1) for line in lines if (found := _STEP.match(line))]
        if steps:
            return ["·", *steps]
        has_buttons = any(not widget.url for widget in self.workspace.widgets(message.ts))
        said = [line for line in lines if line.strip() and not _REACTIONS.fullmatch(line)]
        return ["▣" if has_buttons and len(said) > _CARD_LINES else " ", *said]

    def _messages(self, task_id: str, person: str = "") -> list[Message]:
        return self.workspace.thread(self._threads[task_id], person)

    def _new(self, task_id: str, person: str, known: set[str]) -> Message | None:
        bot = self.workspace.bot.id
        return next((e for e in self._messages(task_id, person) if e.ts not in known and e.user == bot), None)

    def _named_in(self, root: str) -> str:
        found = _TASK.search(self.workspace.thread_text(root))
        return found.group() if found else ""


@contextmanager
def chatroom(people: Sequence[str]) -> Iterator[Chatroom]:
    """A workspace with ``people`` in it, served for as long as the demo runs."""
    workspace = Workspace(people, (CHANNEL,), bot=_BOT)
    with Server(workspace) as server:
        yield Chatroom(workspace, server)
