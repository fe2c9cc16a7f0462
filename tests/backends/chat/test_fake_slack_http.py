"""The stand-in and a real Bolt app by signed HTTP requests, and requests that are forged."""

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import uvicorn
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.web.async_client import AsyncWebClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from greylag.app.fake_slack import Server, Workspace
from greylag.app.fake_slack.dispatching import signed_headers
from tests.support.fake_slack_stage import QUICK, button, field, modal


class Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Program:
    """Somebody's program: a Bolt app behind HTTP, which can be told to fail its next answers."""

    def __init__(self, slack: Workspace) -> None:
        logging.getLogger("slack_bolt").setLevel(logging.CRITICAL)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/slack/events"
        self.slack = slack
        self.fail: list[Response | float] = []
        self.headers: list[dict[str, str]] = []
        self.heard: list[str] = []

    def app(self, api: str) -> AsyncApp:
        made = AsyncApp(
            client=AsyncWebClient(self.slack.bot_token, base_url=api), signing_secret=self.slack.signing_secret
        )

        @made.event("message")
        async def message(event: dict[str, Any]) -> None:
            self.heard.append(event["text"])

        @made.action("go")
        async def go(ack: AsyncAck, body: dict[str, Any], client: AsyncWebClient) -> None:
            await ack()
            await client.views_open(trigger_id=body["trigger_id"], view=modal(field("A", "a"), callback_id="form"))

        @made.view("form")
        async def form(ack: AsyncAck, view: dict[str, Any]) -> None:
            value = view["state"]["values"]["a"]["a-text"]["value"]
            await (ack(response_action="errors", errors={"a": "no"}) if value == "bad" else ack())

        return made

    @contextlib.asynccontextmanager
    async def serving(self, api: str) -> AsyncIterator[None]:
        handler = AsyncSlackRequestHandler(self.app(api))

        async def endpoint(request: Request) -> Response:
            self.headers.append(dict(request.headers))
            if self.fail:
                wrong = self.fail.pop(0)
                if isinstance(wrong, Response):
                    return wrong
                await asyncio.sleep(wrong)
            return await handler.handle(request)

        routes = Starlette(routes=[Route("/slack/events", endpoint, methods=["POST"])])
        running = Quiet(uvicorn.Config(routes, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
        task = asyncio.create_task(running.serve(sockets=[self.listener]))
        try:
            yield
        finally:
            running.should_exit = True
            await task


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    slack = Workspace(rules=replace(QUICK, ack_seconds=0.5))
    made = Program(slack)
    async with Server(slack, request_url=made.url) as server, made.serving(server.api):
        yield made


async def test_an_event_is_signed_and_told(program: Program) -> None:
    slack = program.slack
    slack.say("ada", "@ada", "hällo & <b>")
    await slack.until(lambda: slack.deliveries[0].state == "acked")
    await slack.until(lambda: program.heard == ["hällo &amp; &lt;b&gt;"])
    assert "x-slack-retry-num" not in program.headers[0]


async def test_a_failed_answer_is_tried_again_with_its_reason(program: Program) -> None:
    program.fail = [Response("down", 503), 0.8]
    program.slack.say("ada", "@ada", "again")
    await program.slack.until(lambda: program.slack.deliveries[0].state == "acked")
    assert [(each.get("x-slack-retry-num"), each.get("x-slack-retry-reason")) for each in program.headers] == [
        (None, None), ("1", "http_error"), ("2", "http_timeout"),
    ]  # fmt: skip


async def test_an_app_can_say_not_to_try_again(program: Program) -> None:
    program.fail = [Response("no", 500, headers={"x-slack-no-retry": "1"})]
    program.slack.say("ada", "@ada", "once")
    await program.slack.until(lambda: program.slack.deliveries[0].state == "failed")
    assert len(program.headers) == 1


async def test_clicks_and_modals_by_http(program: Program) -> None:
    slack = program.slack
    web = AsyncWebClient(slack.bot_token, base_url=f"{slack.url}/api/")
    asked = [{"type": "actions", "elements": [button("Go", "go")]}]
    card = await web.chat_postMessage(channel=slack.channel("general").id, text="card", blocks=asked)
    slack.click("ada", card["ts"], "Go")
    await slack.until(lambda: slack.modal("ada"))
    slack.submit("ada", {"A": "bad"})
    await slack.until(lambda: slack.modal("ada").errors == {"a": "no"})
    slack.submit("ada", {"A": "good"})
    await slack.until(lambda: slack.modal("ada") is None)


@pytest.mark.parametrize("case", ["another secret", "ten minutes old", "another body", "no signature"])
async def test_a_forged_request_is_refused_by_the_program(case: str, program: Program) -> None:
    slack = program.slack
    body = json.dumps({"type": "event_callback", "event": {"type": "message", "text": "forged"}}).encode()
    at = str(int(time.time()) - (600 if case == "ten minutes old" else 0))
    headers = signed_headers("other" if case == "another secret" else slack.signing_secret, at, body)
    if case == "another body":
        body = body.replace(b"forged", b"worse!")
    if case == "no signature":
        del headers["x-slack-signature"]
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(program.url, content=body, headers=headers)
    assert answer.status_code == 401
    assert program.heard == []


async def test_nobody_listens() -> None:
    slack = Workspace(rules=QUICK)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    async with Server(slack, request_url=url):
        slack.say("ada", "@ada", "anybody?")
        await slack.until(lambda: slack.deliveries[0].state == "failed")
    assert slack.deliveries[0].reason == "connection_failed"
