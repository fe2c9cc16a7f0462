"""People who talk with the platform in the stand-in for Slack while somebody keeps killing it.

The stand-in lives in the test's own process: what stands in it survives every kill, and so does what people said.
"""

import json
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from greylag.app.fake_slack import Rules, Server, Workspace
from greylag.app.fake_slack.faults import Fault
from greylag.app.fake_slack.world.records import Delivery, Message
from greylag.domain.errors import RequestRefused
from tests.chaos.driver import STUCK_SECONDS, Api, Moment, Stuck, Victim
from tests.chaos.victim import AGENT
from tests.flows.flow_stage import CALC, make_repository

ROOM = "murmur"
BOT = "greylag"
PEOPLE = {"ada": ["requester"], "grace": ["requester", "reviewer", "operator"]}
#: What works in the sandbox: it is slow where the request says so, and knows one follow-up.
WORK = (
    "sh", "-euc",
    'echo looks around; if grep -q unhurried "$GREYLAG_PROMPT_FILE"; then sleep 60; fi\n'
    "sed -i 's/a - b/a + b/' calc.py; echo mended calc.py\n"
    'if grep -q "say why" "$GREYLAG_PROMPT_FILE"; then sed -i "1i # Sums are sums." calc.py; echo said why; fi',
)  # fmt: skip
SETTINGS = """
[chat.slack]
mode = "socket"
api_url = "{api}"
stand_in = true
"""
_TASK = re.compile(r"\btask_[0-9a-z]{26}\b")
#: Slack's three tries, six minutes in all, scaled to how long a start takes here.
PATIENT = Rules(retry_delays=(0.0, 2.0, 15.0))
#: Three tries that are over before anybody is back: what was missed has to be looked up.
HASTY = (0.0, 0.1, 0.3)
#: The calls whose answers get lost after they took effect, or which fail.
_CALLS = ("chat.postMessage", "chat.startStream", "chat.appendStream", "chat.stopStream", "reactions.add")
_FAULTS = (Fault("drop", after=True), Fault("drop", after=True), Fault("status", status=503), Fault("drop"))

#: Where it can die while it hears and while it speaks, and in how many calls at most.
HEARING = (("take", 6), ("arrive", 5), ("settle", 12), ("bind", 2), ("note", 10), ("mark", 5))
SPEAKING = (("post", 12), ("call", 30), ("sending", 10), ("sent", 10), ("say", 12))
REST = (("event", 14), ("vault", 14), ("ledger", 60), ("wake", 4), ("start", 2), ("checkout", 2), ("merge", 1))


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread that somebody began: ``said`` is what people wrote in it (their ``ts``), in order, the root first."""

    root: str
    task_id: str
    status: str
    said: list[str] = field(default_factory=list)
    follow_ups: int = 0
    answers: int = 0


def settings_of(server: Server) -> str:
    """Return what the platform's settings say of the stand-in."""
    return SETTINGS.format(api=server.api)


def env_of(workspace: Workspace) -> Mapping[str, str]:
    """Return the secrets of the stand-in and the agent's program, as the victim's environment."""
    return {
        "GREYLAG_SLACK_BOT_TOKEN": workspace.bot_token, "GREYLAG_SLACK_APP_TOKEN": workspace.app_token,
        AGENT: json.dumps(WORK),
    }  # fmt: skip


def furnish(api: Api, workspace: Workspace, folder: Path) -> None:
    """People, who they are in the chat, and two repositories to choose from."""
    for name, roles in PEOPLE.items():
        api.post("/people", {"name": name, "roles": roles}, "grace")
        account = {"name": name, "chat": f"slack:{workspace.world.team_id}", "id": workspace.user(name).id}
        api.post("/people/links", account, "grace")
    for name in ("calc", "notes"):
        source = make_repository(folder / name, CALC)
        api.post("/repositories", {"name": name, "source": str(source)}, "grace")


class Talk:
    """What people say and press. They say everything once; a button that Slack calls failed they press again."""

    def __init__(self, workspace: Workspace, victim: Victim, rng: random.Random, *, faults: bool = True) -> None:
        self._place = workspace
        self._victim = victim
        self._api = Api(victim)
        self._rng = rng
        self._faults = faults
        self.threads: list[Thread] = []

    def tell(self) -> list[Thread]:
        """A bug that needs a question, a follow-up and an approval; a task that is stopped; a question."""
        mend = self._begin("ada", "add in the calculator subtracts, fix it", "merged")
        # From here on the room is known: what is missed there is looked up.
        self._place.rules = replace(self._place.rules, retry_delays=HASTY)
        self._press("ada", mend, "calc")
        seen = self._card(mend, "")
        self._say("ada", mend, "please say why in a comment")
        self._say("grace", mend, "status")
        live = self._begin("grace", "what is live in calc?", "answered")
        self._card(mend, seen)
        slow = self._begin("ada", "in calc, rename double to twice, unhurried", "cancelled")
        self._press("grace", mend, "Approve")
        self._until(lambda: self._task(slow)["status"] == "working", slow)
        self._say("ada", slow, "stop")
        self.threads = [
            replace(mend, follow_ups=1, answers=1), replace(live), replace(slow)
        ]  # fmt: skip
        for each in self.threads:
            self._until(lambda each=each: self._task(each)["ended"] and self._task(each)["resting"], each)  # type: ignore[misc]
        for each in self.threads:
            self._until(lambda each=each: self._arrived(each), each)  # type: ignore[misc]
        return self.threads

    def _begin(self, person: str, words: str, status: str) -> Thread:
        self._go_wrong()
        self._think()
        root = self._place.say(person, ROOM, f"@{BOT} {words}")
        named = self._until(lambda: _TASK.search(self._place.thread_text(root)), None)
        return Thread(root, named.group(), status, [root])

    def _say(self, person: str, thread: Thread, words: str) -> None:
        self._go_wrong()
        self._think()
        thread.said.append(self._place.say(person, ROOM, words, thread=thread.root))

    def _press(self, person: str, thread: Thread, label: str) -> None:
        """Press the newest button of that label until Slack says that it was taken."""
        while True:
            shown = self._until(lambda: self._with(thread, label), thread)
            self._think()
            pressed = self._place.click(person, shown.ts, label)
            if self._until(lambda pressed=pressed: _over(pressed), thread) == "acked":  # type: ignore[misc]
                return
            self._until(lambda: self._place.connections, thread)

    def _card(self, thread: Thread, seen: str) -> str:
        """Wait for a review card that is newer than ``seen``; return its ``ts``."""

        def newer() -> Message | None:
            found = self._with(thread, "Approve")
            return found if found is not None and found.ts > seen else None

        found: Message = self._until(newer, thread)
        return found.ts

    def _with(self, thread: Thread, label: str) -> Message | None:
        shown = [
            each
            for each in self._place.thread(thread.root)
            if any(widget.label == label for widget in self._place.widgets(each.ts))
        ]
        return shown[-1] if shown else None

    def _task(self, thread: Thread) -> Any:
        return self._api.get(f"/tasks/{thread.task_id}")

    def _arrived(self, thread: Thread) -> bool:
        told = self._api.get(f"/tasks/{thread.task_id}/conversations")
        return bool(told) and all(each["delivered"] for each in told)

    def _go_wrong(self) -> None:
        if self._faults and self._rng.random() < 0.5:
            self._place.faults.next(self._rng.choice(_CALLS), self._rng.choice(_FAULTS))

    def _think(self) -> None:
        time.sleep(self._rng.uniform(0.0, 0.8))

    def _until(self, seen: Callable[[], Any], thread: Thread | None) -> Any:
        until = time.monotonic() + STUCK_SECONDS
        while True:
            if self._victim.failed is not None:
                raise Stuck(f"the platform is not kept up any more: {self._victim.failed!r}") from self._victim.failed
            try:
                found = seen()
            except RequestRefused:
                found = None
            if found:
                return found
            if time.monotonic() > until:
                raise Stuck(f"nothing happened for {STUCK_SECONDS:.0f} s:\n{self.shown(thread)}")
            time.sleep(0.05)

    def shown(self, thread: Thread | None = None) -> str:
        """Return what stands in the room, or in one thread, and what the app did not take."""
        missed = [(each.kind, each.state, each.reason) for each in self._place.deliveries if each.state != "acked"]
        messages = self._place.thread(thread.root) if thread else self._place.messages(ROOM)
        return "\n".join([line for each in messages for line in self._place.lines(each)] + [f"not taken: {missed}"])


def _over(pressed: Delivery) -> str:
    return pressed.state if pressed.state in ("acked", "failed") else ""


def draw(rng: random.Random, count: int) -> list[Moment]:
    """Draw ``count`` moments: while it hears, while it speaks, at any other trace it leaves, or by the clock."""
    sorts: list[str] = []
    while len(sorts) < count:
        sorts += rng.sample(("hears", "speaks", "clock", "speaks", "hears", "rest"), 6)
    return [_moment(rng, sort) for sort in sorts[:count]]


def _moment(rng: random.Random, sort: str) -> Moment:
    if sort == "clock":
        return Moment(rng.uniform(0.2, 6.0))
    site, most = rng.choice({"hears": HEARING, "speaks": SPEAKING, "rest": REST}[sort])
    # Most calls of the first third: a start in the middle of the story makes fewer of them.
    nth = min(rng.randint(1, most), rng.randint(1, most))
    return Moment(0.0, "", "", nth, site, rng.choice(("before", "after")))
