"""A few answers of Slack's over real HTTP and web sockets.

It keeps messages, delivers what a test hands it, and goes wrong when told to. What it is told it takes as it is.
"""

import asyncio
import contextlib
import hashlib
import hmac
import itertools
import json
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

TEAM, BOT, BOT_ID = "T0TEAM", "U0BOT", "B0BOT"
READS = {"conversations.replies", "conversations.history"}


class QuietServer(uvicorn.Server):
    """A server that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(app: Any, port: int = 0) -> AsyncIterator[int]:
    """Serve an ASGI application on loopback."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="critical", lifespan="off", timeout_graceful_shutdown=1
    )
    server = QuietServer(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


class SlackServer:
    """One workspace. ``calls`` is every call with its arguments, ``rooms`` the messages by channel."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.rooms: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.answers: dict[str, deque[Response]] = defaultdict(deque)
        self.after: dict[str, deque[Response]] = defaultdict(deque)
        self.sockets: list[WebSocket] = []
        self.acks: dict[str, asyncio.Future[Any]] = {}
        self.files: dict[str, bytes] = {}
        self.port = 0
        self.lives = True
        self._numbers = itertools.count(1)
        self._connected = asyncio.Event()
        self._stack = contextlib.AsyncExitStack()

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    async def start(self) -> None:
        routes = [
            Route("/api/{method}", self._call, methods=["POST", "GET"]),
            Route("/upload/{file}", self._upload, methods=["POST"]),
            WebSocketRoute("/socket", self._socket),
        ]
        self.port = await self._stack.enter_async_context(serving(Starlette(routes=routes), self.port))

    async def stop(self) -> None:
        for socket in list(self.sockets):
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.close(1001)
        await self._stack.aclose()
        self._stack = contextlib.AsyncExitStack()

    def ts(self) -> str:
        return f"{int(time.time())}.{next(self._numbers):06d}"

    def made(self, method: str) -> list[dict[str, Any]]:
        """Return what ``method`` was called with, in order."""
        return [given for name, given in self.calls if name == method]

    async def until(self, method: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until ``method`` was called ``count`` times."""
        async with asyncio.timeout(5):
            while len(self.made(method)) < count:
                await asyncio.sleep(0.01)
        return self.made(method)

    async def connected(self, count: int = 1) -> None:
        async with asyncio.timeout(8):
            while len(self.sockets) < count:
                await asyncio.sleep(0.01)

    async def deliver(self, payload: Mapping[str, Any], kind: str = "events_api", wait: float = 2.0) -> Any:
        """Send an envelope; return what it was acknowledged with (None: nothing), ``False`` for no acknowledgement."""
        envelope = f"env-{next(self._numbers)}"
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.acks[envelope] = done
        message = {"envelope_id": envelope, "type": kind, "payload": payload, "accepts_response_payload": True}
        await self.sockets[-1].send_text(json.dumps(message))
        try:
            async with asyncio.timeout(wait):
                return await done
        except TimeoutError:
            return False

    def person_says(
        self, room: str, text: str, *, thread: str = "", user: str = "U0ADA", **more: Any
    ) -> dict[str, Any]:
        """Keep a person's message; return it as the event that tells it."""
        said = {"type": "message", "user": user, "text": text, "ts": self.ts(), "team": TEAM, **more}
        if thread:
            said["thread_ts"] = thread
        self.rooms[room].append(said)
        return {**said, "channel": room}

    async def _call(self, request: Request) -> Response:
        if not self.lives:
            return PlainTextResponse("away", 503)
        method = request.path_params["method"]
        given = await _given(request)
        self.calls.append((method, given))
        if self.answers[method]:
            return self.answers[method].popleft()
        done = self._does(method, given)
        if self.after[method]:
            return self.after[method].popleft()
        return JSONResponse({"ok": "error" not in done, **done})

    def _does(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        if method == "auth.test":
            return {"team_id": TEAM, "user_id": BOT, "bot_id": BOT_ID}
        if method == "apps.connections.open":
            return {"url": f"ws://127.0.0.1:{self.port}/socket"}
        if method in ("chat.postMessage", "chat.startStream"):
            return self._says(given, stream=method == "chat.startStream")
        if method in ("chat.update", "chat.appendStream", "chat.stopStream"):
            return self._changes(method, given)
        if method == "chat.postEphemeral":
            return {"message_ts": self.ts()}
        if method in READS:
            return self._reads(method, given)
        if method == "files.getUploadURLExternal":
            file = f"F{next(self._numbers)}"
            return {"upload_url": f"http://127.0.0.1:{self.port}/upload/{file}", "file_id": file}
        if method == "files.completeUploadExternal":
            files = json.loads(given["files"])
            said = {"user": BOT, "bot_id": BOT_ID, "text": "", "ts": self.ts(), "thread_ts": given["thread_ts"]}
            self.rooms[given["channel_id"]].append({**said, "files": files})
            return {"files": files}
        return {}

    def _says(self, given: dict[str, Any], *, stream: bool) -> dict[str, Any]:
        said = {
            "type": "message", "user": BOT, "bot_id": BOT_ID, "ts": self.ts(), "text": given.get("text", ""),
            "thread_ts": given.get("thread_ts", ""), "blocks": given.get("blocks", []),
            "metadata": given.get("metadata"), "streams": stream,
        }  # fmt: skip
        for chunk in given.get("chunks", []):
            said["blocks"] = [*said["blocks"], *chunk.get("blocks", [])]
        self.rooms[given["channel"]].append(said)
        return {"ts": said["ts"], "channel": given["channel"]}

    def _changes(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        found = next((each for each in self.rooms[given["channel"]] if each["ts"] == given["ts"]), None)
        if found is None:
            return {"error": "message_not_found"}
        if method == "chat.update":
            if found["streams"]:
                return {"error": "streaming_state_conflict"}
            found |= {"blocks": given["blocks"], "text": given["text"]}
        elif not found["streams"]:
            return {"error": "message_not_in_streaming_state"}
        elif method == "chat.stopStream":
            found["streams"] = False
        return {"ts": given["ts"]}

    def _reads(self, method: str, given: dict[str, Any]) -> dict[str, Any]:
        found = self.rooms[given["channel"]]
        if method == "conversations.replies":
            found = [each for each in found if given["ts"] in (each["ts"], each.get("thread_ts"))]
        else:
            found = [each for each in found if each.get("thread_ts", "") in ("", each["ts"])][::-1]
        found = [each for each in found if float(each["ts"]) > float(given.get("oldest", 0))]
        start, size = int(given.get("cursor") or 0), int(given.get("limit", 100))
        more = {"response_metadata": {"next_cursor": str(start + size)}} if start + size < len(found) else {}
        return {"messages": found[start : start + size], **more}

    async def _upload(self, request: Request) -> Response:
        self.files[request.path_params["file"]] = await request.body()
        return PlainTextResponse("OK")

    async def _socket(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(json.dumps({"type": "hello", "num_connections": 1}))
        self.sockets.append(socket)
        try:
            while True:
                said = json.loads(await socket.receive_text())
                done = self.acks.get(said.get("envelope_id", ""))
                if done is not None and not done.done():
                    done.set_result(said.get("payload"))
        except (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            self.sockets.remove(socket)


async def _given(request: Request) -> dict[str, Any]:
    body = (await request.body()).decode()
    given: dict[str, Any] = dict(request.query_params)
    if request.headers.get("content-type", "").startswith("application/json"):
        return given | json.loads(body or "{}")
    return given | dict(parse_qsl(body))


def event(inner: Mapping[str, Any], event_id: str = "Ev1") -> dict[str, Any]:
    """Return the payload that tells an event."""
    return {"type": "event_callback", "team_id": TEAM, "api_app_id": "A0", "event_id": event_id, "event": inner}


def signed(secret: str, body: bytes, at: float | None = None) -> dict[str, str]:
    """Return the headers that Slack signs a request with."""
    stamp = str(int(time.time() if at is None else at))
    value = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return {
        "x-slack-request-timestamp": stamp, "x-slack-signature": f"v0={value}", "content-type": "application/json",
    }  # fmt: skip
