"""Buttons, forms, homes and signed requests: what comes back is hostile until checked, and answered in time."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount

from greylag.adapters.chat.backends.slack.chat import SlackChat
from greylag.adapters.chat.port import Control, Home, HomeEntry
from greylag.domain.conversation import Conversation
from tests.support.slack_server import BOT, BOT_ID, TEAM, SlackServer, event, serving, signed
from tests.support.slack_stage import SOURCE, Inbox, Notes, allowed, chat_for, digest, listening, post

PLACE = Conversation(SOURCE, "C1", "1700000000.000001")
SECRET = "shhh-secret"


def click(said: dict[str, Any], button: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the payload that tells a click on ``button`` of the message ``said``."""
    return {
        "type": "block_actions", "team": {"id": TEAM}, "user": {"id": "U0BEA", "username": "bea", "team_id": TEAM},
        "channel": {"id": "C1"}, "message": said, "trigger_id": "trigger-1",
        "container": {"type": "message", "message_ts": said["ts"], "channel_id": "C1"},
        "actions": [{"type": "button", "action_ts": "1700000001.5", "action_id": "x", "value": button.get("value")}],
        **more,
    }  # fmt: skip


async def said_with(slack: SlackServer, chat: SlackChat, *controls: Control) -> tuple[dict[str, Any], list[Any]]:
    await chat.post(allowed("choose"), post("choose", controls=controls))
    said = slack.rooms["C1"][-1]
    return said, said["blocks"][-1]["elements"]


async def test_a_click_brings_back_what_the_button_carried(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    chat = chat_for(slack, notes)
    async with listening(chat, inbox):
        await slack.connected()
        said, [button] = await said_with(slack, chat, Control("Yes", "approve", 'a"b<!here>\U0001f469', "task_1"))
        assert await slack.deliver(click(said, button), "interactive") is None
        assert await slack.deliver(click(said, button), "interactive") is None
        assert (
            await slack.deliver(click(said, button, user={"id": "U0EVE", "team_id": "T0OTHER"}), "interactive") is None
        )
    first, stranger = inbox.heard
    assert (first.kind, first.verb, first.value, first.task_id) == (
        "click",
        "approve",
        'a"b<!here>\U0001f469',
        "task_1",
    )
    assert (first.author, first.author_name, first.message_id, first.conversation) == (
        "U0BEA",
        "bea",
        said["ts"],
        PLACE,
    )
    assert (first.vouched, stranger.vouched) == (True, False)


@pytest.mark.parametrize(
    "value",
    ["", "approve", "{", "[]", "7", "null", '{"verb": 7}', '{"verb": ""}', '{"verb":"x","value":{}}', "[" * 1999,
     '{"verb":"x","modes":["' + "m" * 80 + '"]}', "x" * 3000, 7, None, {"verb": "approve"}],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
async def test_a_value_that_we_did_not_write_is_ignored(
    slack: SlackServer, notes: Notes, inbox: Inbox, value: object
) -> None:
    chat = chat_for(slack, notes)
    async with listening(chat, inbox):
        await slack.connected()
        said, _ = await said_with(slack, chat, Control("Yes", "approve"))
        assert await slack.deliver(click(said, {"value": value}), "interactive") is None
    assert inbox.heard == []


async def test_a_button_of_another_app_is_ignored(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    chat = chat_for(slack, notes)
    async with listening(chat, inbox):
        await slack.connected()
        said, [button] = await said_with(slack, chat, Control("Yes", "approve"))
        other = {**said, "bot_id": "B0OTHER", "user": "U0OTHER"}
        assert await slack.deliver(click(other, button), "interactive") is None
    assert inbox.heard == []


async def test_a_click_that_is_not_kept_shows_at_the_button(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    chat = chat_for(slack, notes)
    inbox.down = True
    async with listening(chat, inbox):
        await slack.connected()
        said, [button] = await said_with(slack, chat, Control("Yes", "approve"))
        assert await slack.deliver(click(said, button), "interactive", wait=0.3) is False


def sent(view: dict[str, Any], words: object, mode: str = "", **more: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"words": {"words": {"type": "plain_text_input", "value": words}}}
    if mode:
        values["mode"] = {"mode": {"type": "static_select", "selected_option": {"value": mode}}}
    return {
        "type": "view_submission", "team": {"id": TEAM}, "user": {"id": "U0BEA", "username": "bea", "team_id": TEAM},
        "view": {"type": "modal", **view, "id": "V1", "state": {"values": values}, **more},
    }  # fmt: skip


async def test_a_button_that_asks_opens_a_form(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    chat = chat_for(slack, notes)
    asking = Control("Say more", "say", "run_1", "task_1", asks="What <!channel> else?", modes=("add", "queue"))
    async with listening(chat, inbox):
        await slack.connected()
        said, [button] = await said_with(slack, chat, asking)
        assert await slack.deliver(click(said, button), "interactive") is None
        assert inbox.heard == []
        [opened] = slack.made("views.open")
        assert opened["trigger_id"] == "trigger-1"
        view = opened["view"]
        assert view["blocks"][0]["label"] == {"type": "plain_text", "text": "What <!channel> else?", "emoji": False}
        assert len(view["private_metadata"]) <= 3000
        for empty in ("", "  \n ", None, 7):
            answer = await slack.deliver(sent(view, empty, "queue"), "interactive")
            assert answer["response_action"] == "errors"
        assert inbox.heard == []
        assert await slack.deliver(sent(view, " 300 ms & <b> ", "queue"), "interactive") is None
    [heard] = inbox.heard
    assert (heard.kind, heard.verb, heard.value, heard.task_id) == ("click", "say", "run_1", "task_1")
    assert (heard.text, heard.mode, heard.message_id, heard.conversation) == (
        "300 ms & <b>",
        "queue",
        said["ts"],
        PLACE,
    )


@pytest.mark.parametrize(
    "metadata", ["", "{", "[]", '{"verb":"approve"}', "x" * 4000, None, 7], ids=lambda v: str(v)[:9]
)
async def test_a_form_that_we_did_not_write_is_ignored(
    slack: SlackServer, notes: Notes, inbox: Inbox, metadata: object
) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        view = {"callback_id": "greylag:ask", "private_metadata": metadata}
        assert await slack.deliver(sent(view, "words"), "interactive") is None
        assert await slack.deliver(sent({"callback_id": "other", "private_metadata": "{}"}, "w"), "interactive") is None
    assert inbox.heard == []


async def test_a_form_that_did_not_open_shows_at_the_button(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    chat = chat_for(slack, notes)
    async with listening(chat, inbox):
        await slack.connected()
        said, [button] = await said_with(slack, chat, Control("No", "reject", asks="Why"))
        slack.answers["views.open"].append(JSONResponse({"ok": False, "error": "expired_trigger_id"}))
        assert await slack.deliver(click(said, button), "interactive", wait=0.3) is False
    assert inbox.heard == []


def home_opened(tab: str = "home") -> dict[str, Any]:
    return event({"type": "app_home_opened", "user": "U0ADA", "tab": tab, "channel": "D1"})


async def test_a_home_shows_what_waits_first(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    entries = (
        HomeEntry("skip <!channel> button", "running", "https://greylag.example/tasks/task_1", "task_1"),
        HomeEntry("playlist", "awaiting review", "javascript:alert(1)", "task_2", waits_for_you=True),
    )
    inbox.homes["U0ADA"] = Home("ada", entries, permit=allowed("the home"), digest=digest("the home"))
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        assert await slack.deliver(home_opened("messages")) is None
        assert await slack.deliver(home_opened()) is None
        [given] = await slack.until("views.publish")
    text = json.dumps(given["view"])
    assert given["user_id"] == "U0ADA"
    assert text.index("playlist") < text.index("skip")
    assert "javascript" not in text
    assert "mrkdwn" not in text


@pytest.mark.parametrize("home", [Home("ada"), Home("ada", permit=allowed("x"), digest=digest("another"))])
async def test_a_home_that_nothing_permits_is_not_shown(
    slack: SlackServer, notes: Notes, inbox: Inbox, home: Home
) -> None:
    inbox.homes["U0ADA"] = home
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        assert await slack.deliver(home_opened()) is None
        await asyncio.sleep(0.1)
    assert slack.made("views.publish") == []


async def test_a_problem_is_shown_with_the_way_on(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    inbox.homes["U0ADA"] = Home(
        problem="Nobody knows you here yet.",
        link="https://greylag.example/link/1",
        permit=allowed("h"),
        digest=digest("h"),
    )
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        await slack.deliver(home_opened())
        [given] = await slack.until("views.publish")
    assert given["view"]["blocks"][1]["elements"][0]["url"] == "https://greylag.example/link/1"


async def test_a_changed_context_is_acknowledged(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        assert await slack.deliver(event({"type": "app_context_changed", "user": "U0ADA"})) is None
    assert inbox.heard == []


# Events over HTTP.


@pytest.fixture
async def requests(slack: SlackServer, notes: Notes, inbox: Inbox) -> AsyncIterator[httpx.AsyncClient]:
    """Requests to a platform that hears Slack over HTTP, as its web application mounts it."""
    chat = chat_for(slack, notes, http=True)
    app = Starlette(routes=[Mount("/slack/events", chat.events)])
    async with (
        serving(app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        listening(chat, inbox),
    ):
        async with asyncio.timeout(5):
            while not chat.is_connected:
                await asyncio.sleep(0.01)
        yield client


def told(text: str = "fix it", ts: str = "1700000000.000001") -> bytes:
    inner = {
        "type": "app_mention",
        "user": "U0ADA",
        "text": f"<@{BOT}> {text}",
        "ts": ts,
        "channel": "C1",
        "team": TEAM,
    }
    return json.dumps(event(inner)).encode()


async def send(client: httpx.AsyncClient, body: bytes, headers: dict[str, str]) -> int:
    return (await client.post("/slack/events/", content=body, headers=headers)).status_code


async def test_a_good_signature_is_heard_once(requests: httpx.AsyncClient, inbox: Inbox) -> None:
    headers = signed(SECRET, told())
    assert [await send(requests, told(), headers) for _ in range(3)] == [200, 200, 200]  # replayed in its five minutes
    assert [each.text for each in inbox.heard] == ["fix it"]


async def test_what_is_not_kept_is_sent_again(requests: httpx.AsyncClient, inbox: Inbox) -> None:
    inbox.down = True
    assert await send(requests, told(), signed(SECRET, told())) == 500
    inbox.down = False
    assert await send(requests, told(), {**signed(SECRET, told()), "x-slack-retry-num": "1"}) == 200
    assert len(inbox.heard) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (signed("another", told()), 401), (signed(SECRET, told(), time.time() - 600), 401),
        (signed(SECRET, told(), time.time() + 600), 401), (signed(SECRET, b"another body"), 401), ({}, 401),
        ({**signed(SECRET, told()), "x-slack-request-timestamp": "soon"}, 401),
        ({**signed(SECRET, told()), "x-slack-signature": "v0=\xff"}, 401),
        ({**signed(SECRET, told()), "x-slack-signature": ""}, 401),
    ],
    ids=["forged", "stale", "from the future", "another body", "unsigned", "no time", "no hex", "empty"],
)  # fmt: skip
async def test_a_wrong_signature_changes_nothing(
    requests: httpx.AsyncClient, inbox: Inbox, headers: dict[str, str], status: int
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    assert (await requests.post("/slack/events/", content=told(), headers=raw)).status_code == status
    assert inbox.deliveries == 0


async def test_what_is_no_event_changes_nothing(requests: httpx.AsyncClient, inbox: Inbox) -> None:
    big = b"{" + b" " * 1_200_000
    assert await send(requests, big, signed(SECRET, big)) == 413
    for body in (b"\xff\xfe", b"{", b"[" * 100_000, b"", b"payload=%7B"):
        assert await send(requests, body, signed(SECRET, body) if body != b"\xff\xfe" else signed(SECRET, b"x")) in (
            200, 400, 401,
        )  # fmt: skip
    assert (await requests.get("/slack/events/")).status_code == 405
    assert inbox.deliveries == 0


async def test_the_address_is_verified_and_clicks_come_as_forms(
    requests: httpx.AsyncClient, slack: SlackServer, inbox: Inbox
) -> None:
    challenge = json.dumps({"type": "url_verification", "challenge": "c-1"}).encode()
    answer = await requests.post("/slack/events/", content=challenge, headers=signed(SECRET, challenge))
    assert answer.json() == {"challenge": "c-1"}
    said = {"ts": "1700000000.000002", "thread_ts": "1700000000.000001", "bot_id": BOT_ID, "user": BOT}
    value = json.dumps({"verb": "approve", "value": "sha256:1", "task_id": "task_1"})
    body = urlencode({"payload": json.dumps(click(said, {"value": value}))}).encode()
    headers = {**signed(SECRET, body), "content-type": "application/x-www-form-urlencoded"}
    assert await send(requests, body, headers) == 200
    assert [(each.verb, each.author) for each in inbox.heard] == [("approve", "U0BEA")]


async def test_before_anybody_listens_slack_has_to_come_again(slack: SlackServer, notes: Notes) -> None:
    chat = chat_for(slack, notes, http=True)
    app = Starlette(routes=[Mount("/slack/events", chat.events)])
    async with (
        serving(app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        assert await send(client, told(), signed(SECRET, told())) == 503


def test_socket_mode_has_no_address(slack: SlackServer, notes: Notes) -> None:
    assert chat_for(slack, notes).events is None


async def test_the_environment_changes_nothing(
    slack: SlackServer, notes: Notes, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "SLACK_SIGNING_SECRET",
        "SLACK_CLIENT_ID",
        "SLACK_CLIENT_SECRET",
    ):
        monkeypatch.setenv(name, "from-the-environment")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        inner = json.loads(told())["event"]
        assert await slack.deliver(event(inner)) is None
    assert len(inbox.heard) == 1
