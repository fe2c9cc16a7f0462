"""The stand-in and a real Bolt app by Socket Mode: told, acknowledged, told again, away and back, clicked."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond, AsyncSay
from slack_sdk.web.async_client import AsyncWebClient

from greylag.app.fake_slack import Rules, Server, Workspace
from greylag.app.fake_slack.world.records import Delivery
from greylag.domain.errors import BackendError, RequestRefused
from tests.support.fake_slack_stage import QUICK, bolt, button, client_of, connected, field, modal, section


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(Workspace(rules=QUICK)) as running:
        yield running


@pytest.fixture
def slack(server: Server) -> Workspace:
    return server.workspace


@pytest.fixture
def heard() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def app(server: Server, heard: list[dict[str, Any]]) -> AsyncApp:
    """A program that keeps each event it hears and answers a mention."""
    made = bolt(server)

    @made.event("app_mention")
    async def mentioned(body: dict[str, Any], say: AsyncSay) -> None:
        heard.append(body)
        await say(text="heard", thread_ts=body["event"].get("thread_ts") or body["event"]["ts"])

    @made.event("message")
    async def message(body: dict[str, Any]) -> None:
        heard.append(body)

    @made.event("reaction_added")
    async def reaction(body: dict[str, Any]) -> None:
        heard.append(body)

    return made


def kinds(heard: list[dict[str, Any]]) -> list[str]:
    return [body["event"]["type"] for body in heard]


async def test_a_mention_and_its_answer(server: Server, slack: Workspace, app: AsyncApp, heard: list[Any]) -> None:
    async with connected(server, app):
        began = time.monotonic()
        ts = slack.say("ada", "general", "@greylag see https://a.example/b?c=d&e, @grace, @channel <b> #general")
        await slack.until(lambda: "heard" in slack.thread_text(ts))
        assert time.monotonic() - began < 2
        [mention] = [body["event"] for body in heard if body["event"]["type"] == "app_mention"]
    bot, grace, room = slack.bot.id, slack.user("grace").id, slack.channel("general").id
    assert mention["text"] == (
        f"<@{bot}> see <https://a.example/b?c=d&amp;e>, <@{grace}>, <!channel> &lt;b&gt; <#{room}|general>"
    )
    assert (mention["user"], mention["channel"], mention["ts"]) == (slack.user("ada").id, room, ts)
    assert sorted(kinds(heard)) == ["app_mention", "message"], "both, for one message, as Slack does"
    assert len({body["event_id"] for body in heard}) == 2
    assert slack.pings == [], "what people ping is their own affair"


async def test_in_direct_messages_there_are_no_mentions(
    server: Server, slack: Workspace, app: AsyncApp, heard: list[Any]
) -> None:
    async with connected(server, app):
        slack.say("ada", "@ada", "@greylag hello", files=[("a.txt", b"x")])
        slack.say("grace", "@grace", "hello")
        await slack.until(lambda: len(heard) == 2)
        await asyncio.sleep(0.05)
    assert [(each["event"]["channel_type"], each["event"].get("subtype")) for each in heard] == [
        ("im", "file_share"), ("im", None),
    ]  # fmt: skip


async def test_what_is_not_acknowledged_comes_again_and_then_no_more(server: Server, slack: Workspace) -> None:
    seen: list[tuple[str, int, str]] = []

    async def deaf(socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            told = json.loads(message.data)
            if told["type"] == "events_api":
                seen.append((told["payload"]["event_id"], told["retry_attempt"], told["retry_reason"]))

    url = (await client_of(server).apps_connections_open(app_token=slack.app_token))["url"]
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        listening = asyncio.create_task(deaf(socket))
        slack.say("ada", "@ada", "hello?")
        await slack.until(lambda: slack.deliveries[0].state == "failed")
        listening.cancel()
    assert [(attempt, reason) for _, attempt, reason in seen] == [
        (0, ""),
        (1, "timeout"),
        (2, "timeout"),
        (3, "timeout"),
    ]
    assert len({event for event, *_ in seen}) == 1


async def test_nobody_there(slack: Workspace) -> None:
    slack.say("ada", "@ada", "anybody?")
    await slack.until(lambda: slack.deliveries[0].state == "failed")
    assert (slack.deliveries[0].reason, slack.deliveries[0].attempt) == ("no_connection", 3)


async def test_the_same_event_again_on_demand(
    server: Server, slack: Workspace, app: AsyncApp, heard: list[Any]
) -> None:
    async with connected(server, app):
        slack.say("ada", "@ada", "once")
        await slack.until(lambda: len(heard) == 1)
        slack.redeliver(heard[0]["event_id"])
        slack.redeliver(heard[0]["event_id"])
        await slack.until(lambda: len(heard) == 3)
    assert len({each["event_id"] for each in heard}) == 1
    with pytest.raises(RequestRefused, match="GL-FAKE-003"):
        slack.redeliver("Ev0")


async def test_events_held_back_come_in_the_other_order(
    server: Server, slack: Workspace, app: AsyncApp, heard: list[Any]
) -> None:
    async with connected(server, app):
        slack.hold()
        for words in ("one", "two", "three"):
            slack.say("ada", "@ada", words)
        await asyncio.sleep(0.1)
        assert heard == []
        slack.release(reverse=True)
        await slack.until(lambda: len(heard) == 3)
    assert [each["event"]["text"] for each in heard] == ["three", "two", "one"]


async def test_a_refresh_loses_nothing(server: Server, slack: Workspace, app: AsyncApp, heard: list[Any]) -> None:
    async with connected(server, app):
        await server.disconnect()
        slack.say("ada", "@ada", "in between")
        await slack.until(lambda: heard and slack.connections == 1)
    assert heard[0]["event"]["text"] == "in between"


async def test_each_event_goes_to_one_of_many_connections(
    server: Server, slack: Workspace, app: AsyncApp, heard: list[Any]
) -> None:
    async with connected(server, app, count=3):
        for number in range(30):
            slack.say("ada", "@ada", str(number))
        await slack.until(lambda: len(heard) >= 30)
        await asyncio.sleep(0.1)
    assert sorted(int(each["event"]["text"]) for each in heard) == list(range(30))
    assert {each.state for each in slack.deliveries} == {"acked"}


async def test_slack_is_away_and_back(server: Server, slack: Workspace, app: AsyncApp, heard: list[Any]) -> None:
    async with connected(server, app):
        ts = slack.say("ada", "@ada", "before")
        await slack.until(lambda: heard)
        port, web = server.port, client_of(server)
        await server.stop()
        with pytest.raises((aiohttp.ClientError, OSError)):
            await web.auth_test()
        await server.start()
        assert server.port == port
        await slack.until(lambda: slack.connections == 1)
        slack.say("ada", "@ada", "after", thread=ts)
        await slack.until(lambda: len(heard) == 2)
        assert len((await web.conversations_replies(channel=slack.direct("ada").id, ts=ts))["messages"]) == 2


async def test_buttons_menus_and_the_answer_where_it_happened(server: Server, slack: Workspace, app: AsyncApp) -> None:
    bodies: list[dict[str, Any]] = []

    @app.action("approve")
    async def approve(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()
        bodies.append(body)
        await respond(text="approved", replace_original=True)
        await respond(text="only for you", response_type="ephemeral", thread_ts=body["message"]["thread_ts"])

    @app.action("pick")
    async def pick(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        bodies.append(body)

    options = [{"text": {"type": "plain_text", "text": name}, "value": name.lower()} for name in ("Murmur", "Tide")]
    menu = {
        "type": "static_select", "action_id": "pick", "options": options,
        "placeholder": {"type": "plain_text", "text": "Which repository"},
    }  # fmt: skip
    root = slack.say("ada", "general", "root")
    pressed = [button("Approve", "approve", value="sha256:1"), menu]
    card = await client_of(server).chat_postMessage(
        channel=slack.channel("general").id, thread_ts=root, text="card",
        blocks=[section("Decide"), {"type": "actions", "elements": pressed}],
    )  # fmt: skip
    async with connected(server, app):
        told = slack.click("grace", card["ts"], "Which repository", "Tide")
        await slack.until(lambda: told.state == "acked")
        slack.click("grace", card["ts"], "Approve")
        await slack.until(lambda: "only for you" in slack.thread_text(root, "grace"))
    assert bodies[0]["actions"][0]["selected_option"]["value"] == "tide"
    assert bodies[1]["actions"][0]["value"] == "sha256:1"
    assert bodies[1]["user"]["id"] == slack.user("grace").id
    assert bodies[1]["container"] == {
        "type": "message", "message_ts": card["ts"], "channel_id": slack.channel("general").id, "is_ephemeral": False,
        "thread_ts": root,
    }  # fmt: skip
    assert slack.thread_text(root) == "ada: root\ngreylag (edited): approved"
    for wrong in ("Launch", "", "nothing"):
        with pytest.raises(RequestRefused):
            slack.click("ada", root, wrong)


async def test_a_modal_with_a_mistake_in_it(server: Server, slack: Workspace, app: AsyncApp) -> None:
    given: list[str] = []

    @app.action("reject")
    async def reject(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        view = modal(field("Reason", "reason", max_length=100), callback_id="why", notify_on_close=True)
        await client.views_open(trigger_id=body["trigger_id"], view=view)

    @app.view("why")
    async def why(ack: AsyncAck, view: dict[str, Any]) -> None:
        given.append(view["state"]["values"]["reason"]["reason-text"]["value"])
        if len(given[-1]) < 5:
            await ack(response_action="errors", errors={"reason": "Say more."})
        else:
            await ack()

    closed: list[dict[str, Any]] = []

    @app.view_closed("why")
    async def gone(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        closed.append(body)

    asked = [{"type": "actions", "elements": [button("Reject", "reject")]}]
    card = await client_of(server).chat_postMessage(channel=slack.channel("general").id, text="card", blocks=asked)
    async with connected(server, app):
        slack.click("grace", card["ts"], "Reject")
        await slack.until(lambda: slack.modal("grace"))
        with pytest.raises(RequestRefused):
            slack.submit("grace", {"Reason": ""})
        with pytest.raises(RequestRefused):
            slack.submit("grace", {"Raison": "x"})
        with pytest.raises(RequestRefused):
            slack.submit("ada", {"Reason": "not mine"})
        slack.submit("grace", {"Reason": "no"})
        await slack.until(lambda: slack.modal("grace").errors == {"reason": "Say more."})
        slack.submit("grace", {"reason-text": "it is wrong"})
        await slack.until(lambda: slack.modal("grace") is None)
        slack.click("grace", card["ts"], "Reject")
        await slack.until(lambda: slack.modal("grace"))
        slack.dismiss("grace")
        await slack.until(lambda: closed)
    assert given == ["no", "it is wrong"]


async def test_an_answer_to_a_modal_that_slack_would_not_take(server: Server, slack: Workspace, app: AsyncApp) -> None:
    @app.view("odd")
    async def odd(ack: AsyncAck) -> None:
        await ack(response_action="errors", errors={"nonesuch": "x"})

    @app.action("go")
    async def go(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=modal(field("A", "a"), callback_id="odd"))

    asked = [{"type": "actions", "elements": [button("Go", "go")]}]
    card = await client_of(server).chat_postMessage(channel=slack.channel("general").id, text="card", blocks=asked)
    async with connected(server, app):
        slack.click("ada", card["ts"], "go")
        await slack.until(lambda: slack.modal("ada"))
        told = slack.submit("ada", {"A": "x"})
        await slack.until(lambda: told.state == "failed")
    assert "errors must name blocks" in told.reason
    assert slack.modal("ada") is not None


async def test_a_click_is_told_once(server: Server, slack: Workspace) -> None:
    asked = [{"type": "actions", "elements": [button("Go", "go")]}]
    card = await client_of(server).chat_postMessage(channel=slack.channel("general").id, text="card", blocks=asked)
    told: Delivery = slack.click("ada", card["ts"], "go")
    await slack.until(lambda: told.state == "failed")
    assert (told.reason, told.attempt) == ("no_connection", 0)


async def test_reactions_edits_and_homes_are_told(
    server: Server, slack: Workspace, app: AsyncApp, heard: list[Any]
) -> None:
    opened: list[dict[str, Any]] = []

    @app.event("app_home_opened")
    async def home(event: dict[str, Any], client: AsyncWebClient) -> None:
        opened.append(event)
        await client.views_publish(user_id=event["user"], view={"type": "home", "blocks": [section("hello")]})

    async with connected(server, app):
        ts = slack.say("ada", "general", "helo")
        slack.react("grace", ts, "eyes")
        slack.react("grace", ts, "eyes")
        slack.edit("ada", ts, "hello")
        slack.delete(ts)
        slack.open_home("ada")
        await slack.until(lambda: len(heard) == 4 and slack.home_text("ada") == "hello")
        slack.open_home("ada", "messages")
        await slack.until(lambda: len(opened) == 2)
    assert kinds(heard) == ["message", "reaction_added", "message", "message"]
    assert [each["event"].get("subtype") for each in heard] == [None, None, "message_changed", "message_deleted"]
    assert heard[2]["event"]["message"]["text"] == "hello"
    assert [each["tab"] for each in opened] == ["home", "messages"]


async def test_a_connection_needs_its_ticket(server: Server, slack: Workspace) -> None:
    web = client_of(server)
    url = (await web.apps_connections_open(app_token=slack.app_token))["url"]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url) as first:
            assert (await first.receive_json())["type"] == "hello"
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(url)
            await first.send_str("no json")
            await first.send_str('{"envelope_id": "unknown"}')
            await first.send_str("[]")
            slack.say("ada", "@ada", "still there")
            assert (await first.receive_json())["payload"]["event"]["text"] == "still there"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(server.url.replace("http", "ws") + "/link?ticket=made-up")


async def test_waiting_has_an_end(slack: Workspace) -> None:
    slack.say("ada", "general", "words")
    with pytest.raises(BackendError, match="ada: words"):
        await slack.until(lambda: False, 0.05)
    with pytest.raises(BackendError):
        await asyncio.to_thread(slack.wait, lambda: False, 0.05)


def test_it_serves_from_a_thread_of_its_own() -> None:
    slack = Workspace(rules=Rules(retry_delays=()))
    server = Server(slack)
    with server:
        slack.say("ada", "@ada", "hello")
        slack.wait(lambda: slack.deliveries[0].state == "failed")
        first = server.url
    with server:
        assert server.url == first
