"""Hostile words through the whole platform and a Slack: said, left in files, printed, and given as names.

Whatever they are, they stay words: each gets an answer or a refusal with a code, nobody is pinged, nothing is loaded or
run, and repository, intent, agent, rights and bounds are what the sender's own words and the operator say.
"""

import base64
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from flow_stage import CALC, MEND, Stage, make_repository, start_stage

from greylag.adapters.chat.port import Heard
from greylag.app.bootstrap import open_stores
from greylag.app.fake_slack import Server, Workspace
from greylag.app.fake_slack.world.reaching import outs
from greylag.app.fake_slack.world.records import Message
from greylag.app.settings import load_settings
from greylag.delivery.conversing.front.hearing import bounded
from greylag.delivery.intake.places import Known
from greylag.delivery.intake.reading import Reading, read, said_in
from greylag.delivery.intake.trust import own_words
from greylag.domain.conversation import Conversation
from greylag.domain.ids import TaskId
from tests.support import hostile_strings

CODE = re.compile(r"\bGL-[A-Z]+-\d{3}\b")
TASK = re.compile(r"\btask_[0-9a-z]{26}\b")
KNOWN = (Known("calc", ("add",), ("calc.py",)), Known("payments", ("invoice",), ("pay.py",)))
#: The intents that do more than work on a change, and what somebody has to have written for each.
SAYS = {
    "release": re.compile(r"releas|ship|deploy|roll|publish|live|liefer|veröffentlich", re.IGNORECASE),
    "stop": re.compile(r"stop|cancel|abort|halt|abbrech", re.IGNORECASE),
    "campaign": re.compile(r"all|every|each|both|jede|tou|tod", re.IGNORECASE),
}
ROOMS = 60
_SETTINGS = """
[model]
kind = "none"

[chat.slack]
mode = "socket"
api_url = "{api}"
stand_in = true
"""
_WRITES = """
import base64, json, os, sys
names, texts = json.loads(base64.b64decode(sys.argv[1]))
for text in texts:
    print(text, flush=True)
for number, name in enumerate(names):
    open(name, "w", newline="", encoding="utf-8").write(texts[number % len(texts)])
print("\\n".join(texts[-30:]), flush=True)
os.execvp("sed", ["sed", "-i", "s/a - b/a + b/", "calc.py"])
"""


@dataclass
class House:
    """A platform, the workspace it is in, and the address of its chat."""

    stage: Stage
    workspace: Workspace

    @property
    def source(self) -> str:
        return f"slack:{self.workspace.world.team_id}"

    def is_quiet(self) -> bool:
        """Whether everything that was heard is settled and everything that was said is delivered."""
        control, ledger, _ = open_stores(load_settings(self.stage.home, {}), self.stage.home)
        try:
            return not control.chats.waiting() and not control.chats.due((self.source,), region="local")
        finally:
            ledger.close()
            control.close()

    def settle(self, seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds
        while not self.is_quiet():
            assert time.monotonic() < end, "something was not handled or not delivered"
            time.sleep(0.3)

    def ours(self, root: str, person: str = "ada") -> list[Message]:
        return [each for each in self.workspace.thread(root, person) if each.user == self.workspace.bot.id]

    def words(self, root: str, person: str = "ada") -> str:
        return "\n".join(line for each in self.ours(root, person) for line in self.workspace.lines(each))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("hostile")
    workspace = Workspace(("ada", "grace", "mallory"), [f"room{number}" for number in range(ROOMS)])
    with Server(workspace) as server:
        env = {"GREYLAG_SLACK_BOT_TOKEN": workspace.bot_token, "GREYLAG_SLACK_APP_TOKEN": workspace.app_token}
        stage = start_stage(folder / "home", _SETTINGS.format(api=server.api), env)
        try:
            stage.add("calc", make_repository(folder / "calc", CALC), keywords=["add"])
            stage.add("payments", make_repository(folder / "payments", {"pay.py": "x = 1\n"}), keywords=["invoice"])
            made = House(stage, workspace)
            for name in ("ada", "grace"):
                stage.post(
                    "/people/links", {"name": name, "chat": made.source, "id": workspace.user(name).id}, by="grace"
                )
            workspace.wait(lambda: workspace.connections > 0, 60)
            yield made
        finally:
            stage.stop()


def some() -> list[str]:
    """Some of each kind, `ROOMS` together."""
    kinds = hostile_strings.by_kind()
    sayable = set(hostile_strings.sayable())
    each = -(-ROOMS // len(kinds))
    found = []
    for texts in kinds.values():
        fit = [text for text in texts if text in sayable and len(text) <= 4000]
        found += fit[:: max(1, len(fit) // each)][:each]
    return found[:ROOMS]


def require_inert(house: House, messages: list[Message]) -> None:
    """Nothing in them reaches anybody or anything; links lead to the platform only."""
    assert house.workspace.pings == []
    for each in messages:
        reached = outs({"text": each.text, "blocks": each.blocks}, lambda _: "")
        assert {out.kind for out in reached} <= {"unfurl"}, (each.text, reached)
        for widget in house.workspace.widgets(each.ts):
            assert not widget.url or widget.url.startswith(f"{house.stage.url}/"), widget.url


def defused(text: str) -> Reading:
    """How the sender's own words alone are read, as plain text."""
    return read(said_in(own_words(text)), KNOWN)


def test_no_text_is_read_as_more_than_its_sender_s_own_words_say() -> None:
    """All of them: intent and repository are those of the same words without what is quoted, code, or a link."""
    for text in hostile_strings.texts():
        said = bounded(Heard("e1", "mention", Conversation("slack:T1", "C1", "1.1"), "U1", "m1", text=text))
        assert said is not None
        reading, own = read(said_in(said.text), KNOWN), own_words(said.text)
        assert reading.intent == defused(said.text).intent, text[:200]
        if reading.repository == "payments":
            assert "payment" in said.text.lower() or "invoice" in own.lower(), text[:200]
        for intent, says in SAYS.items():
            assert reading.intent != intent or says.search(own), (intent, text[:200])


def test_each_is_answered_and_none_gets_more_than_its_own_words_say(house: House) -> None:
    stage, workspace = house.stage, house.workspace
    people = {each["name"]: each["roles"] for each in stage.get("/people", by="grace")}
    known = {each["task_id"] for each in stage.get("/tasks", by="grace")}
    said = {workspace.say("ada", f"room{number}", f"@greylag {text}"): text for number, text in enumerate(some())}
    assert len(said) == ROOMS

    workspace.wait(lambda: all(house.ours(root) for root in said), 120)
    house.settle()

    for root, text in said.items():
        words = house.words(root)
        assert TASK.search(words) or CODE.search(words), (text, words)
    require_inert(house, [each for each in workspace.messages(user="ada") if each.user == workspace.bot.id])
    tasks = [each for each in stage.get("/tasks", by="grace", limit=200) if each["task_id"] not in known]
    assert len(tasks) >= ROOMS - 10, "most of them are requests"
    control, ledger, _ = open_stores(load_settings(stage.home, {}), stage.home)
    try:
        for task in (control.events.task(TaskId(each["task_id"])) for each in tasks):
            assert (task.requester, task.channel, task.region) == ("ada", house.source, "local")
            assert (task.agent, task.agent_command, task.attachments) == ("", None, ())
            assert task.approvals == task.releases == task.handed_back == ()
            assert task.repository in (None, "", "calc", "payments")
            assert task.title.isprintable()
            if task.level:
                assert task.level in ("internal", "confidential", "restricted"), "a text lowers nothing"
            asked = _asked_in(house, task.room, said)
            assert task.intent in ("", defused(asked).intent), asked
            if task.repository == "payments":
                assert "payment" in asked.lower() or "invoice" in asked.lower(), asked
    finally:
        ledger.close()
        control.close()
    assert {each["name"]: each["roles"] for each in stage.get("/people", by="grace")} == people
    assert {each["name"] for each in stage.get("/repositories", by="grace")} == {"calc", "payments"}


def _asked_in(house: House, room: str, said: dict[str, str]) -> str:
    return next(text for root, text in said.items() if house.workspace.message(root).channel == room)


def test_somebody_whom_nobody_knows_gets_a_way_to_say_who_they_are_and_nothing_else(house: House) -> None:
    workspace = house.workspace
    before = len(house.stage.get("/tasks", by="grace", limit=200))
    roots = [workspace.say("mallory", f"room{number}", f"@greylag {text}") for number, text in enumerate(some()[:12])]
    workspace.wait(lambda: all(house.ours(root, "mallory") for root in roots), 60)
    house.settle()
    assert len(house.stage.get("/tasks", by="grace", limit=200)) == before
    require_inert(house, [each for root in roots for each in house.ours(root, "mallory")])


def test_what_an_agent_leaves_behind_is_inert_in_the_thread(house: House) -> None:
    stage, workspace = house.stage, house.workspace
    root = workspace.say("ada", "room0", "this is where the work is talked about")
    texts = [text.replace("\0", "")[:300] for text in hostile_strings.lines()[::5] if text.replace("\0", "").strip()]
    names = [name for name in hostile_strings.file_names()[::9] if name.isprintable() or "\u202e" in name][:60]
    coded = base64.b64encode(json.dumps([names, texts]).encode()).decode()
    held = stage.start("add subtracts, fix it", "calc", ["python3", "-c", _WRITES, coded])
    room = workspace.message(root).channel
    control, ledger, _ = open_stores(load_settings(stage.home, {}), stage.home)
    try:
        control.chats.bind(Conversation(house.source, room, root), TaskId(held), datetime.now(UTC))
    finally:
        ledger.close()
        control.close()

    task = stage.rest(held)
    house.settle()

    assert task["status"] == "in_review", stage.thread(held)
    assert len(task["files"]) > 30
    shown = house.ours(root)
    assert len(shown) >= 3
    require_inert(house, shown)
    labels = {widget.label for each in shown for widget in workspace.widgets(each.ts)}
    assert {"Approve", "Reject"} <= {label.split(",")[0] for label in labels}, labels
    text = house.words(root)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "+    return a + b" in stage.content(held, "diff").decode("utf-8", "replace")


def test_names_are_checked_where_they_are_made(house: House) -> None:
    """Of people, repositories, environments, branches and agents: refused with a code, and nothing is made."""
    stage = house.stage
    people, repositories = (stage.get(path, by="grace") for path in ("/people", "/repositories"))
    source = str(stage.home.parent / "calc")
    for number, name in enumerate(hostile_strings.branch_names()[::24]):
        if re.fullmatch(r"[A-Za-z0-9._-]*", name):
            continue
        stage.refused("/people", {"name": name, "roles": ["requester"]}, by="grace")
        stage.refused("/people", {"name": "eve", "roles": [name]}, by="grace")
        stage.refused("/repositories", {"name": name, "source": source}, by="grace")
        environment = {"name": name, "command": ["true"]}
        stage.refused("/repositories", {"name": "eve", "source": source, "environments": [environment]}, by="grace")
        if number % 16 == 0:  # the others are refused before anything is copied
            stage.refused("/repositories", {"name": "eve", "source": source, "default_branch": name}, by="grace")
        stage.refused("/tasks", {"text": "fix add", "repository": name, "agent": "command", "command": list(MEND)})
        stage.refused("/tasks", {"text": "fix add", "repository": "calc", "agent": name, "command": list(MEND)})
    assert stage.get("/people", by="grace") == people
    assert stage.get("/repositories", by="grace") == repositories
