"""Serving the platform: in the foreground (``greylag up``) or for as long as one command needs it."""

import asyncio
import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import uvicorn

from greylag.app.bootstrap import open_platform
from greylag.app.install.home import address_file, held
from greylag.app.settings import Settings
from greylag.app.web.application import create_app
from greylag.domain.errors import GreylagError, OperatorError

_log = logging.getLogger(__name__)
_SWEEP_SECONDS = 5.0
_START_SECONDS = 60.0
_GRACE_SECONDS = 2  # for answers under way; an open thread page would hold the end up for an hour


def bind(settings: Settings, port: int | None = None) -> socket.socket:
    """Return a bound socket. Raises OperatorError ``GL-SERVER-001`` where the port is taken or not allowed."""
    host, wanted = settings.server.host, settings.server.port if port is None else port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, wanted))
    except OSError as error:
        listener.close()
        raise OperatorError(
            "GL-SERVER-001",
            f"{host}:{wanted} can't be listened on: {error.strerror}.",
            "end what listens there, or choose another: `greylag up --port N`.",
        ) from error
    return listener


async def serve(
    settings: Settings, home: Path, listener: socket.socket, ready: Callable[[str], None], stop: asyncio.Event
) -> None:
    """Run the platform on ``listener`` until ``stop``; ``ready`` is told the URL once requests are answered.

    Raises what `open_platform` raises, and OperatorError ``GL-HOME-003`` where another process serves ``home``.
    """
    with held(home):
        await _serve(settings, home, listener, ready, stop)


async def _serve(
    settings: Settings, home: Path, listener: socket.socket, ready: Callable[[str], None], stop: asyncio.Event
) -> None:
    # Links lead to where it really listens, whichever port was free.
    here = settings.server.model_copy(update={"port": listener.getsockname()[1]})
    opened = await open_platform(settings.model_copy(update={"server": here}), home)
    try:
        app = create_app(opened.platform, opened.git)
        config = uvicorn.Config(
            app, log_level="warning", lifespan="off", access_log=False, server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )  # fmt: skip
        server = uvicorn.Server(config)
        host, port = listener.getsockname()[:2]
        url = f"http://{host}:{port}"
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        _write_address(home, url)
        sweeper = asyncio.create_task(_sweep(opened.platform.desk.sweep))
        ready(url)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        sweeper.cancel()
        stopping.cancel()
        await serving
    finally:
        address_file(home).unlink(missing_ok=True)
        await opened.platform.close()


async def _sweep(sweep: Callable[[], int]) -> None:
    while True:
        try:
            await asyncio.to_thread(sweep)
        except GreylagError as error:  # a database that is away comes back; the next sweep is then wanted all the more
            _log.warning("the sweep failed, the next one tries again: %s", error)
        await asyncio.sleep(_SWEEP_SECONDS)


def _write_address(home: Path, url: str) -> None:
    path = address_file(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    part.rename(path)


class BackgroundServer:
    """A platform in a thread of this process, for one command. Raises what `serve` raises, at `start`."""

    def __init__(self, settings: Settings, home: Path, port: int = 0) -> None:
        self._settings = settings
        self._home = home
        self._port = port
        self._ready = threading.Event()
        self._url = ""
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="greylag-server", daemon=True)

    def start(self) -> str:
        """Start, wait until it answers, and return its URL."""
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise OperatorError("GL-SERVER-002", "the platform did not start in time.", "run `greylag doctor`.")
        if self._error is not None:
            if isinstance(self._error, GreylagError):
                raise self._error
            raise OperatorError(
                "GL-SERVER-003", f"the platform did not start: {self._error!r}.", "run `greylag doctor`."
            ) from self._error
        return self._url

    def stop(self) -> None:
        """Stop and wait for the end; what is under way goes on at the next start."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_START_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits in `start`
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listener = bind(self._settings, self._port)
        await serve(self._settings, self._home, listener, self._tell, self._stop)

    def _tell(self, url: str) -> None:
        self._url = url
        self._ready.set()
