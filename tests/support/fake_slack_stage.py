"""A program of somebody's on the stand-in for Slack: a real Bolt app over Socket Mode, and a real client."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from greylag.app.fake_slack import Rules, Server

#: Delays short enough for a test.
QUICK = Rules(ack_seconds=0.3, retry_delays=(0.0, 0.05, 0.1), trigger_seconds=3.0)


def client_of(server: Server, **more: Any) -> AsyncWebClient:
    """Return a client that tries nothing twice: by itself it says again what was said where the answer was lost."""
    return AsyncWebClient(server.workspace.bot_token, base_url=server.api, timeout=5, retry_handlers=[], **more)


@asynccontextmanager
async def connected(server: Server, app: AsyncApp, *, count: int = 1) -> AsyncIterator[list[AsyncSocketModeHandler]]:
    """Connect a Bolt app by Socket Mode, ``count`` times."""
    logging.getLogger("slack_bolt").setLevel(logging.CRITICAL)
    handlers = [AsyncSocketModeHandler(app, server.workspace.app_token, ping_interval=0.2) for _ in range(count)]
    for each in handlers:
        await each.connect_async()
    await server.workspace.until(lambda: server.workspace.connections == count)
    try:
        yield handlers
    finally:
        for each in handlers:
            await each.close_async()
        await asyncio.sleep(0)


def bolt(server: Server) -> AsyncApp:
    """Return a Bolt app that talks to the stand-in and hears messages."""
    logging.getLogger("slack_bolt").setLevel(logging.CRITICAL)
    return AsyncApp(client=client_of(server), signing_secret=server.workspace.signing_secret)


async def refused(call: Any) -> SlackApiError:
    """Return how Slack refused a call."""
    try:
        await call
    except SlackApiError as error:
        return error
    raise AssertionError("it was not refused")


def plain(text: str, kind: str = "plain_text") -> dict[str, Any]:
    """Return a text object."""
    return {"type": kind, "text": text}


def section(text: str, kind: str = "mrkdwn") -> dict[str, Any]:
    """Return a section."""
    return {"type": "section", "text": plain(text, kind)}


def button(label: str, action_id: str, **more: Any) -> dict[str, Any]:
    """Return a button."""
    return {"type": "button", "text": plain(label), "action_id": action_id, **more}


def modal(*blocks: dict[str, Any], title: str = "Why not", **more: Any) -> dict[str, Any]:
    """Return a modal."""
    return {"type": "modal", "title": plain(title), "submit": plain("Send"), "blocks": list(blocks), **more}


def field(label: str, block_id: str, **more: Any) -> dict[str, Any]:
    """Return a field to write in."""
    element = {"type": "plain_text_input", "action_id": f"{block_id}-text", **more}
    return {"type": "input", "block_id": block_id, "label": plain(label), "element": element}
