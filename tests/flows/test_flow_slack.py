"""Slack on a whole platform, over signed requests: what nobody said is not done, and what was said is done once."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx
import pytest
from flow_stage import Stage, staged

from greylag.adapters.store.port import Arrival
from greylag.app.bootstrap import open_stores
from greylag.app.fake_slack import Rules, Server, Workspace
from greylag.app.fake_slack.dispatching import in_http, signed_headers
from greylag.app.fake_slack.world.records import Delivery
from greylag.app.install.tools import find_claude
from greylag.app.settings import Settings, load_settings
from tests.support.chat_threads import assert_same_thread, reached_the_agent, shown_in_slack

ROOM = "general"
PEOPLE = {"ada": ["requester", "reviewer"], "grace": ["requester", "reviewer", "operator"], "lin": ["requester"]}
CASSETTE = {
    "v": 1, "name": "calc", "when": "adding subtracts", "side": {"say": "calc"},
    "scenes": [{"prompt": "", "turns": [
        {"say": "A sign.", "tools": [{"name": "shell", "command": "sed -i 's/a - b/a + b/' calc.py; date +%N >> n"}]},
        {"say": "It adds now."},
    ]}],
}  # fmt: skip
SERVE = ["python", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
SETTINGS = """
[model]
kind = "scripted"
cassettes = "{cassettes}"
[chat.slack]
mode = "http"
api_url = "{api}"
stand_in = true
"""


@dataclass
class Talk:
    """A platform, the workspace it listens to, and a repository that both may talk about."""

    stage: Stage
    server: Server
    repository: str

    @property
    def slack(self) -> Workspace:
        return self.server.workspace

    @property
    def source(self) -> str:
        return f"slack:{self.slack.world.team_id}"

    @property
    def events(self) -> str:
        return f"{self.stage.url}/slack/events"

    def ask(self, text: str, *, by: str = "ada") -> tuple[str, str]:
        """Mention the bot; return the thread and the task that it names there."""
        root = self.slack.say(by, ROOM, f"@greylag {text}")
        (task_id,) = self.slack.wait(lambda: self.tasks_of(root), 30.0)
        return root, task_id

    def tasks_of(self, root: str) -> list[str]:
        return [each["task_id"] for each in self.stage.get("/tasks") if each["task_id"] in self.slack.thread_text(root)]

    def reads(self, root: str, words: str, person: str = "ada") -> str:
        """Return the thread as ``person`` reads it, once ``words`` stand there."""
        self.slack.wait(lambda: words in self.slack.thread_text(root, person), 60.0)
        return self.slack.thread_text(root, person)

    def card(self, root: str, label: str = "Approve") -> str:
        """Return the newest message of the thread that has the button ``label``."""
        found = [e.ts for e in self.slack.thread(root) if any(w.label == label for w in self.slack.widgets(e.ts))]
        return found[-1]

    def in_review(self, text: str) -> tuple[str, Any, str]:
        """Ask, and wait for the card; return thread, task and card."""
        root, task_id = self.ask(text)
        task = self.settled(task_id)
        assert task["status"] == "in_review", self.stage.thread(task_id)
        return root, task, self.card(root)

    def settled(self, task_id: str) -> Any:
        """Return the task once it rests and all of its thread was brought to Slack."""
        self.stage.rest(task_id)
        told = f"/tasks/{task_id}/conversations"
        return self.stage.until(
            task_id, lambda task: task["resting"] and all(e["delivered"] for e in self.stage.get(told))
        )

    def arrival(self, event_id: str) -> Arrival | None:
        """Return what the inbox has of an event."""
        control, ledger, _ = open_stores(load_settings(self.stage.home, {}), self.stage.home)
        try:
            return control.chats.known(self.source, event_id)
        finally:
            ledger.close()
            control.close()

    def outcome(self, delivery: Delivery) -> tuple[str, str]:
        """Return what became of a click: the inbox's state and reason."""
        told = delivery.payload
        when = told["actions"][0]["action_ts"]
        place = f"{told['channel']['id']}/{told['container']['message_ts']}/{told['user']['id']}/{when}"
        found = self.slack.wait(lambda: (row := self.arrival(place)) and row.state != "taken" and row, 20.0)
        return found.state, found.reason

    def logged(self) -> str:
        """Return what the platform has told its operator since the last call."""
        lines = []
        while not self.stage.lines.empty():
            lines.append(self.stage.lines.get())
        return "".join(lines)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    if not find_claude(Settings()).exists():
        pytest.skip("no Claude Code program here; fetch it: python scripts/fetch_claude.py")
    cassettes = tmp_path_factory.mktemp("cassettes")
    (cassettes / "calc.json").write_text(json.dumps(CASSETTE))
    slack = Workspace((*PEOPLE, "eve"), (ROOM,), rules=Rules(retry_delays=(0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0)))
    server = Server(slack)
    server.start_in_thread()
    secrets = {"GREYLAG_SLACK_BOT_TOKEN": slack.bot_token, "GREYLAG_SLACK_SIGNING_SECRET": slack.signing_secret}
    try:
        with staged(SETTINGS.format(cassettes=cassettes, api=server.api), secrets, people=PEOPLE) as stage:
            environments = [{"name": "production", "command": SERVE, "health_timeout_seconds": 8}]
            calc = stage.calc(tmp_path_factory.mktemp("calc"), build="archive", environments=environments)
            made = Talk(stage, server, calc)
            for name in PEOPLE:
                linked = stage.cli("person", "link", name, "--chat", made.source, "--id", slack.user(name).id)
                assert linked.code == 0, linked.err
            server.stop_in_thread()
            server.request_url = made.events
            server.start_in_thread()
            yield made
    finally:
        server.stop_in_thread()


@pytest.mark.parametrize("case", ["another secret", "six minutes old", "another body", "no signature"])
def test_a_forged_or_replayed_request_is_refused(case: str, talk: Talk) -> None:
    slack = talk.slack
    ts = f"{int(time.time())}.000{sha256(case.encode()).digest()[0]:03d}"
    event = {
        "type": "app_mention", "user": slack.user("ada").id, "channel": slack.channel(ROOM).id, "ts": ts,
        "text": f"<@{slack.bot.id}> adding subtracts in {talk.repository}, fix it", "team": slack.world.team_id,
    }  # fmt: skip
    payload = {"type": "event_callback", "team_id": slack.world.team_id, "event_id": "Ev1", "event": event}
    body = json.dumps(payload).encode()
    at = str(int(time.time()) - (360 if case == "six minutes old" else 0))
    headers = signed_headers("other" if case == "another secret" else slack.signing_secret, at, body)
    if case == "another body":
        body = body.replace(b"subtracts", b"subtracs!")
    if case == "no signature":
        del headers["x-slack-signature"]
    before = len(talk.stage.get("/tasks"))
    assert httpx.post(talk.events, content=body, headers=headers, trust_env=False).status_code == 401
    assert talk.arrival(f"{slack.channel(ROOM).id}/{ts}") is None
    assert len(talk.stage.get("/tasks")) == before


def test_another_workspace_is_nobody(talk: Talk) -> None:
    talk.logged()
    slack = talk.slack
    event = {"type": "app_mention", "user": "U1", "channel": "C1", "ts": f"{time.time():.6f}", "text": "do it"}
    body = json.dumps({"type": "event_callback", "team_id": "TOTHER", "event": event}).encode()
    headers = signed_headers(slack.signing_secret, str(int(time.time())), body)
    assert httpx.post(talk.events, content=body, headers=headers, trust_env=False).status_code == 200
    slack.wait(lambda: "ignored: an event of another workspace" in talk.logged())


def test_what_is_told_again_is_done_once(talk: Talk) -> None:
    slack = talk.slack
    root, task_id = talk.ask(f"what is live of {talk.repository}")
    events = [each for each in slack.deliveries if each.payload.get("event", {}).get("ts") == root]
    assert len(events) == 2, "as a message, and as a mention"
    for each in events:
        slack.redeliver(each.event_id)
        body, kind = in_http(each)
        headers = signed_headers(slack.signing_secret, str(int(time.time())), body, kind)
        assert httpx.post(talk.events, content=body, headers=headers, trust_env=False).status_code == 200
    slack.wait(lambda: all(each.state == "acked" for each in slack.deliveries if each.event_id))
    talk.settled(task_id)
    assert talk.tasks_of(root) == [task_id]
    assert_same_thread(
        talk.stage.messages(task_id), shown_in_slack(slack, root), (f"what is live of {talk.repository}",)
    )


def test_a_reply_that_comes_before_its_request_is_not_lost(talk: Talk) -> None:
    slack = talk.slack
    slack.hold()
    root = slack.say("ada", ROOM, f"@greylag adding subtracts in {talk.repository}, fix it")
    reply = slack.say("ada", ROOM, "with a test, please", thread=root)
    slack.release(reverse=True)
    (task_id,) = slack.wait(lambda: talk.tasks_of(root), 30.0)
    talk.settled(task_id)
    assert talk.tasks_of(root) == [task_id]
    # Nobody's reply where it came first: then it is in what the agent is given as part of the thread; else a reply.
    taken = talk.arrival(f"{slack.channel(ROOM).id}/{reply}")
    assert taken is None or taken.state == "handled"
    said = [each["text"] for each in talk.stage.messages(task_id)]
    assert said.count("with a test, please") == (0 if taken is None else 1)
    assert reached_the_agent(talk.stage.home, task_id, "with a test, please")


def test_replies_that_change_places_are_both_taken(talk: Talk) -> None:
    slack = talk.slack
    root, task, _ = talk.in_review(f"adding subtracts in {talk.repository}, fix it")
    slack.hold()
    said = [slack.say("ada", ROOM, f"{words}, please", thread=root) for words in ("the first", "the second")]
    slack.release(reverse=True)
    task = talk.stage.until(task["task_id"], lambda now: now["follow_ups"] == 2)
    talk.settled(task["task_id"])
    taken = [talk.arrival(f"{slack.channel(ROOM).id}/{ts}") for ts in said]
    assert [each.state for each in taken if each is not None] == ["handled", "handled"]
    for words in ("the first, please", "the second, please"):
        assert [each["text"] for each in talk.stage.messages(task["task_id"])].count(words) == 1


def carrying(delivery: Delivery, **changes: str) -> Delivery:
    """Change what a click carries, as somebody between Slack and the platform would."""
    action = delivery.payload["actions"][0]
    action["value"] = json.dumps(json.loads(action["value"]) | changes)
    return delivery


def test_clicks_are_bound_to_what_was_offered(talk: Talk) -> None:
    """Forged, stale and duplicated clicks change nothing, with the reason in the inbox and the log."""
    slack, stage = talk.slack, talk.stage
    root, task, card = talk.in_review(f"adding subtracts in {talk.repository}, fix it")
    other_root, other, other_card = talk.in_review(f"adding subtracts in {talk.repository}, fix it")
    talk.logged()

    def click(by: str = "grace", **changes: str) -> tuple[str, str]:
        slack.hold()
        made = carrying(slack.click(by, card, "Approve"), **changes)
        slack.release()
        return talk.outcome(made)

    state, reason = click("ada")
    assert (state, reason[:14]) == ("refused", "GL-APPROVE-001")
    assert "GL-APPROVE-001" in talk.reads(root, "ada can't approve it", "ada")
    assert "GL-APPROVE-001" not in slack.thread_text(root, "grace"), "only ada is told"
    assert click(value="sha256:" + "0" * 64)[1].startswith("GL-CHAT-032")
    assert click(verb="stop")[1].startswith("GL-CHAT-032")
    assert click(task_id=other["task_id"])[1].startswith("GL-CHAT-031")
    slack.hold()
    moved = slack.click("grace", card, "Approve")
    moved.payload["message"]["ts"] = moved.payload["container"]["message_ts"] = root
    slack.release()
    assert talk.outcome(moved)[1].startswith("GL-CHAT-030")
    slack.hold()
    theirs = slack.click("grace", card, "Approve")
    theirs.payload["message"] |= {"user": slack.user("ada").id, "bot_id": "", "app_id": ""}
    slack.release()
    log = ""

    def ignored() -> bool:
        nonlocal log
        log += talk.logged()
        return "ignored: a click on a button that is not ours" in log

    slack.wait(ignored)
    assert all(f"refused: click of {talk.source}: {code}" in log for code in ("GL-APPROVE-001", "GL-CHAT-030"))

    slack.say("ada", ROOM, "once more, please", thread=root)
    stage.until(task["task_id"], lambda now: now["follow_ups"] == 1)
    talk.settled(task["task_id"])
    assert click()[1].startswith("GL-APPROVE-003"), "the card is of an earlier change"
    assert [stage.get(f"/tasks/{each['task_id']}")["approved_by"] for each in (task, other)] == [[], []]

    first = slack.click("grace", other_card, "Approve")
    body, kind = in_http(first)
    for _ in range(2):
        headers = signed_headers(slack.signing_secret, str(int(time.time())), body, kind)
        assert httpx.post(talk.events, content=body, headers=headers, trust_env=False).status_code == 200
    assert talk.outcome(first)[0] == "handled"
    stage.until(other["task_id"], lambda now: now["status"] == "released")
    talk.settled(other["task_id"])
    approvals = [each for each in stage.messages(other["task_id"]) if each["text"].startswith("Approved ")]
    assert len(approvals) == 1
    assert stage.get(f"/tasks/{other['task_id']}")["approved_by"] == ["grace"]
    assert "Approved " in slack.thread_text(other_root)


def test_a_stranger_gets_a_link_and_nothing_else(talk: Talk) -> None:
    slack, stage = talk.slack, talk.stage
    made = stage.post("/people", {"name": "eve", "roles": ["requester"]}, by="grace")
    before = len(stage.get("/tasks"))
    root = slack.say("eve", ROOM, f"@greylag what is live of {talk.repository}")
    told = slack.wait(lambda: [each for each in slack.thread(root, "eve") if each.user == slack.bot.id], 30.0)[0]
    (link,) = [each.url for each in slack.widgets(told.ts) if each.label == "Say who you are"]
    assert told.ephemeral_to == slack.user("eve").id, "a link is for one person"
    arrival = slack.wait(
        lambda: (row := talk.arrival(f"{slack.channel(ROOM).id}/{root}")) and row.state != "taken" and row
    )
    assert (arrival.state, arrival.reason) == ("refused", "nobody is known by this account")
    assert len(stage.get("/tasks")) == before

    with httpx.Client(trust_env=False, follow_redirects=True, headers={"origin": stage.url}) as browser:
        assert "Sign in" in browser.get(link).text
        browser.post(f"{stage.url}/login", data={"token": made["token"]})
        page = browser.get(link).text
        assert slack.user("eve").id in page
        assert "eve is known there now" in browser.post(link, data={"mine": "eve"}).text
        assert "GL-LINK" in browser.post(link, data={"mine": "eve"}).text, "it works once"
    _, task_id = talk.ask(f"what is live of {talk.repository}", by="eve")
    assert stage.get(f"/tasks/{task_id}")["requester"] == "eve"
    talk.settled(task_id)


def test_what_the_platform_has_is_had_from_the_thread(talk: Talk) -> None:
    slack, stage = talk.slack, talk.stage
    for _ in range(2):
        root, task, card = talk.in_review(f"adding subtracts in {talk.repository}, fix it")
        slack.click("grace", card, "Approve")
        assert stage.until(task["task_id"], lambda now: now["status"] == "released")
    talk.settled(task["task_id"])
    now = stage.get("/releases", repository=talk.repository)[0]
    slack.say("ada", ROOM, "status", thread=root)
    assert "released" in talk.reads(root, "Now:")
    slack.say("ada", ROOM, "what is live?", thread=root)
    assert now["digest"][:19] in talk.reads(root, f"Live of {talk.repository}:")
    slack.say("lin", ROOM, "roll back production", thread=root)
    talk.reads(root, "GL-PERSON-002", "lin")
    slack.say("grace", ROOM, "roll back production", thread=root)
    talk.reads(root, "Bring back", "grace")
    asked = next(e.ts for e in slack.thread(root) if any(w.label.startswith("Roll prod") for w in slack.widgets(e.ts)))
    label = slack.widgets(asked)[0].label
    pressed = [slack.click("grace", asked, label) for _ in range(2)]
    # Whatever comes second is about a build that runs no more.
    assert sorted(talk.outcome(each)[0] for each in pressed) == ["handled", "refused"]
    assert any(talk.outcome(each)[1].startswith("GL-CHAT-025") for each in pressed)
    then = stage.get("/releases", repository=talk.repository)[0]
    assert then["digest"] != now["digest"]
    assert then["name"] in label


def test_slack_away_for_a_while(talk: Talk) -> None:
    """What people said meanwhile and what the platform had to say come once each, and in order."""
    slack, stage = talk.slack, talk.stage
    wish = f"adding subtracts in {talk.repository}, fix it"
    root, task, _ = talk.in_review(wish)
    task_id = task["task_id"]
    talk.server.stop_in_thread()
    stage.reply(task_id, "said on the page")
    heard = ["said in the thread", "and this too"]
    for each in heard:
        slack.say("ada", ROOM, each, thread=root)
    shown = len(shown_in_slack(slack, root))
    talk.server.start_in_thread()
    stage.until(task_id, lambda now: now["follow_ups"] == 3)
    talk.settled(task_id)
    assert len(shown_in_slack(slack, root)) > shown
    assert_same_thread(stage.messages(task_id), shown_in_slack(slack, root), (wish, *heard))
    assert slack.pings == []
