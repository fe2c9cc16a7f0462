"""The server: Web API, Socket Mode, files, the page and its control, on one bound port of this machine."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from greylag.app.fake_slack.application import create_application
from greylag.app.fake_slack.dispatching import Dispatcher
from greylag.app.fake_slack.workspace import Workspace
from greylag.domain.errors import OperatorError

_KEEP_SECONDS = 1.0
_START_SECONDS = 20.0


class _Protocol(H11Protocol):
    """HTTP whose requests know how to end their connection without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.app_state = {**self.app_state, "abort": transport.abort}


class _Uvicorn(uvicorn.Server):
    """A server that leaves the process's signals alone (several may run, in any thread) and ends at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ending = asyncio.Event()

    async def main_loop(self) -> None:
        """Tick ten times a second, as the original does, until the end, which wakes it."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks = (ticks + 1) % 864_000
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self.ending.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """Serves a workspace at ``http://127.0.0.1:port``; port 0 takes a free one and keeps it.

    `start` and `stop` work in the running event loop, `start_in_thread` and `stop_in_thread` beside it. Stopped and
    started again it is at the same port with the same state: Slack was away. With ``request_url`` the app is told by
    signed HTTP requests instead of Socket Mode; with ``state`` everything is kept in that file.
    """

    def __init__(
        self, workspace: Workspace, port: int = 0, *, request_url: str = "", state: Path | None = None
    ) -> None:
        self.workspace = workspace
        self.port = port
        self.request_url = request_url
        self.state = state
        self._uvicorn: _Uvicorn | None = None
        self._dispatcher: Dispatcher | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return self.workspace.url

    @property
    def api(self) -> str:
        """The ``base_url`` for a client of the Web API."""
        return f"{self.workspace.url}/api/"

    async def start(self) -> str:
        """Listen and answer; return the URL. Raises OperatorError ``GL-FAKE-001`` where the port is taken."""
        listener = self._bind()
        self.port = listener.getsockname()[1]
        self.workspace.url = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.get_running_loop()
        self._dispatcher = Dispatcher(self.workspace, self.request_url)
        app = create_application(self.workspace, self._dispatcher)
        config = uvicorn.Config(
            app, log_level="critical", lifespan="off", access_log=False, server_header=False, http=_Protocol,
            timeout_graceful_shutdown=1, ws_ping_interval=None,
        )  # fmt: skip
        self._uvicorn = _Uvicorn(config)
        serving = asyncio.create_task(self._uvicorn.serve(sockets=[listener]))
        while not self._uvicorn.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        self._tasks = [serving, asyncio.create_task(self._dispatcher.run())]
        if self.state is not None:
            self._tasks.append(asyncio.create_task(self._keep(self.state)))
        self.workspace.changed()
        return self.workspace.url

    def _bind(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", self.port))
        except OSError as error:
            listener.close()
            raise OperatorError(
                "GL-FAKE-001",
                f"127.0.0.1:{self.port} can't be listened on: {error.strerror}.",
                "end what listens there, or choose another: `greylag fake-slack --port N`.",
            ) from error
        return listener

    async def stop(self) -> None:
        """End every connection and listen no more; the state stays."""
        if self._uvicorn is None or self._dispatcher is None:
            return
        self._uvicorn.should_exit = True
        self._uvicorn.ending.set()
        await self._dispatcher.disconnect(say=False)
        self.workspace.changed()
        serving, *others = self._tasks
        for each in others:
            each.cancel()
        for each in others:
            with suppress(asyncio.CancelledError):
                await each
        for connection in list(self._uvicorn.server_state.connections):
            connection.transport.abort()
        self._uvicorn.force_exit = True
        await serving
        self._uvicorn = None
        self.workspace.connections = 0
        if self.state is not None:
            await asyncio.to_thread(self.workspace.keep, self.state)

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """End the app's connections as Slack does now and then: it says so, and the app is to come back."""
        if self._dispatcher is not None:
            await self._dispatcher.disconnect(reason)

    async def _keep(self, state: Path) -> None:
        kept = -1
        while True:
            if kept != self.workspace.version:
                kept = self.workspace.version
                await asyncio.to_thread(self.workspace.keep, state)
            await asyncio.sleep(_KEEP_SECONDS)

    async def __aenter__(self) -> "Server":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start_in_thread(self) -> str:
        """Serve from a thread of its own; return the URL. Raises what `start` raises."""
        ready = threading.Event()
        raised: list[BaseException] = []
        over = asyncio.Event()

        async def run() -> None:
            try:
                await self.start()
            except OperatorError as error:
                raised.append(error)
                return
            finally:
                ready.set()
            await over.wait()
            await self.stop()

        self._over = over
        self._thread = threading.Thread(target=lambda: asyncio.run(run()), name="fake-slack", daemon=True)
        self._thread.start()
        if not ready.wait(_START_SECONDS):
            raise OperatorError("GL-FAKE-006", "the stand-in for Slack did not start in time.", "try again.")
        if raised:
            raise raised[0]
        return self.url

    def stop_in_thread(self) -> None:
        """End what `start_in_thread` began, and wait for the end."""
        if self._thread is None or self._loop is None:
            return
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_START_SECONDS)
        self._thread = None

    def __enter__(self) -> "Server":
        self.start_in_thread()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_in_thread()
