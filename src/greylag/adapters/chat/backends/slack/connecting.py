"""The two ways in which events reach us: a web socket that we open, or requests that Slack makes."""

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.web.async_client import AsyncWebClient
from starlette.types import Receive, Scope, Send

from greylag.adapters.chat.backends.slack.calls import SILENT, Calls
from greylag.domain.errors import BackendError, OperatorError

_log = logging.getLogger(__name__)

_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")
_BODY_BYTES = 1_048_576


class _Socket(SocketModeClient):
    """The vendor's client of Socket Mode, whose addresses are checked and whose lost access is noticed."""

    def __init__(self, calls: Calls, ping_seconds: float) -> None:
        super().__init__(
            app_token=calls.access.app_token, logger=SILENT, ping_interval=ping_seconds,
            web_client=AsyncWebClient(base_url=calls.access.api_url, logger=SILENT, retry_handlers=[]),
        )  # fmt: skip
        if calls.access.is_local:
            self.proxy = None
        self._calls = calls
        self.locked_out: OperatorError | None = None

    async def issue_new_wss_url(self) -> str:
        """Ask for the address of a new connection."""
        try:
            return await self._calls.socket_url()
        except OperatorError as error:
            self.locked_out = error
            raise


class _Handler(AsyncSocketModeHandler):
    """The vendor's handler, around a client of ours."""

    def __init__(self, app: AsyncApp, client: _Socket) -> None:
        self.app = app
        self.app_token = client.app_token
        self.client = client
        client.socket_mode_request_listeners.append(self.handle)  # type: ignore[arg-type]  # as the parent does


class Sockets:
    """Keeps one Socket Mode connection. The vendor's client reconnects by itself; where it doesn't, a new one is made.

    ``patience_seconds`` is how long a connection may be away before that.
    """

    def __init__(self, calls: Calls, app: AsyncApp, *, ping_seconds: float, patience_seconds: float) -> None:
        self._calls = calls
        self._app = app
        self._ping_seconds = ping_seconds
        self._patience_seconds = patience_seconds
        self.connected = False

    async def run(self, stop: asyncio.Event, arrived: Callable[[], Awaitable[None]]) -> None:
        """Stay connected until ``stop``; ``arrived`` is called at each new beginning. Raises OperatorError."""
        wait_seconds = 0.5
        while not stop.is_set():
            try:
                url = await self._calls.socket_url()
                wait_seconds = await self._hold(url, stop, arrived) or wait_seconds
            except BackendError as error:
                _log.warning("Slack can't be heard (%s); the next try is in %.0f s", error.code, wait_seconds)
            if await _is_set(stop, wait_seconds):
                return
            wait_seconds = min(wait_seconds * 2, 30.0)

    async def _hold(self, url: str, stop: asyncio.Event, arrived: Callable[[], Awaitable[None]]) -> float:
        """Hold one client until it is lost or ``stop``; return how long to wait then, 0 where it never connected."""
        client = _Socket(self._calls, self._ping_seconds)
        client.wss_uri = url
        try:
            try:
                async with asyncio.timeout(15):
                    await _Handler(self._app, client).connect_async()  # type: ignore[no-untyped-call]  # the vendor's
            except TimeoutError:
                _log.warning("Slack's web socket did not open")
                return 0.0
            self.connected = True
            await arrived()
            await self._watch(client, stop)
            return 0.5
        finally:
            self.connected = False
            with contextlib.suppress(
                Exception
            ):  # a connection that is lost anyway; aiohttp's errors can't be named here
                await client.close()  # type: ignore[no-untyped-call]  # the vendor's

    async def _watch(self, client: _Socket, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        seen = loop.time()
        while not await _is_set(stop, 0.25):
            if client.locked_out is not None:
                raise client.locked_out
            self.connected = await client.is_connected()
            if self.connected:
                seen = loop.time()
            elif loop.time() - seen > self._patience_seconds:
                _log.warning("the connection to Slack is lost; a new one is made")
                return


class Events:
    """The ASGI application for ``/slack/events``: events and clicks that Slack sends over HTTP."""

    def __init__(self, app: AsyncApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A body over 1 MiB, a wrong signature or an age over five minutes changes nothing."""
        if scope["type"] != "http":
            return
        if scope["method"] != "POST":
            await _answer(send, 405)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        signed = _TIMESTAMP.fullmatch(headers.get("x-slack-request-timestamp", "")) and _SIGNATURE.fullmatch(
            headers.get("x-slack-signature", "")
        )
        if not signed:
            await _answer(send, 401)
            return
        body = await _body(receive, headers.get("content-length", ""))
        if body is None:
            await _answer(send, 413)
            return
        try:
            request = AsyncBoltRequest(body=body.decode(), headers={**headers})
        except (ValueError, RecursionError, AttributeError, TypeError):
            await _answer(send, 400)  # not what Slack sends; nothing of it was looked at
            return
        done = await self._app.async_dispatch(request)
        kind = done.first_headers().get("content-type", "text/plain")
        await _answer(send, done.status, done.body.encode(), kind)


async def _body(receive: Receive, length: str) -> bytes | None:
    if length.isascii() and length.isdigit() and int(length[:12]) > _BODY_BYTES:
        return None
    taken = bytearray()
    while True:
        part = await receive()
        if part["type"] != "http.request":
            return None
        taken += part.get("body", b"")
        if len(taken) > _BODY_BYTES:
            return None
        if not part.get("more_body", False):
            return bytes(taken)


async def _answer(send: Send, status: int, body: bytes = b"", kind: str = "text/plain") -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _is_set(stop: asyncio.Event, seconds: float) -> bool:
    """Wait at most ``seconds`` for ``stop``; return whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()
