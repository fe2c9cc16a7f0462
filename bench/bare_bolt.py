"""The floor of `bench/mentions.py`: a Bolt app that reacts to a mention and answers it, with nothing behind it.

python bench/bare_bolt.py API_URL, with ``SLACK_BOT_TOKEN`` and ``SLACK_APP_TOKEN`` in the environment.
"""

import asyncio
import os
import sys
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient


async def main() -> None:
    client = AsyncWebClient(os.environ["SLACK_BOT_TOKEN"], base_url=sys.argv[1], retry_handlers=[])
    app = AsyncApp(client=client)

    @app.event("message")
    async def heard(event: dict[str, Any]) -> None:
        """Take note of the other form in which a mention comes, as the platform has to."""

    @app.event("app_mention")
    async def mentioned(event: dict[str, Any]) -> None:
        await client.reactions_add(channel=event["channel"], timestamp=event["ts"], name="eyes")
        await client.chat_postMessage(channel=event["channel"], thread_ts=event["ts"], text="I am on it.")

    handler = AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"])
    handler.client.web_client = client  # asked for the address of the socket
    await handler.connect_async()  # type: ignore[no-untyped-call]
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
