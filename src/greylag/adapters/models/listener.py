"""A UNIX socket that speaks HTTP to programs nobody trusts: bounded connections, heads, requests and patience."""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from greylag.domain.errors import OperatorError

CONNECTIONS = 64
HEAD_BYTES = 64 * 1024
REQUEST_BYTES = 20 * 1024 * 1024  # a whole request with the overhead of its chunks; the body has its own, lower bound
HEAD_SECONDS = 30.0
_PATH_BYTES = 107  # sun_path in <sys/un.h> holds 108 with the closing zero
_STALE_SECONDS = 60.0


class _BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the bounds that a public server would get from the proxy before it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.access_log = False
        self._in_head = True
        self._request_bytes = 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head and self._patience is None:
            self._arm()
        self._request_bytes += len(data)
        super().data_received(data)
        if self._request_bytes > (HEAD_BYTES + len(data) if self._in_head else REQUEST_BYTES):
            self.transport.abort()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._request_bytes = 0

    def _arm(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self._out_of_patience)

    def _disarm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _out_of_patience(self) -> None:
        self.transport.abort()


class Listener:
    """One listening socket and its connections."""

    def __init__(self, path: Path, server: asyncio.AbstractServer, state: ServerState) -> None:
        self.path = path
        self._server = server
        self._state = state

    def close(self) -> None:
        """Stop listening, drop every connection and remove the socket."""
        self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        self.path.unlink(missing_ok=True)


async def listen(folder: Path, name: str, app: Callable[..., Awaitable[None]]) -> Listener:
    """Serve ``app`` (raw ASGI) on a new socket ``folder/name``.

    The program that connects may run under another user, and reaches the socket through a bind mount: so everybody
    may write to it, while ``folder`` can be passed through but not listed. The caller's token is the key.
    Raises OperatorError ``GL-GATEWAY-002`` where no socket can be made there.
    """
    path = folder / name
    bound = _bound(folder, path)
    config = uvicorn.Config(app, log_config=None, ws="none", lifespan="off", interface="asgi3", timeout_keep_alive=75)
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(
        lambda: _BoundedProtocol(config=config, server_state=state, app_state={}, _loop=loop),
        sock=bound,
        backlog=CONNECTIONS,
    )
    return Listener(path, server, state)


def _bound(folder: Path, path: Path) -> socket.socket:
    if len(os.fsencode(path)) > _PATH_BYTES:
        raise _no_socket(path, f"the path is longer than {_PATH_BYTES} bytes, the most a UNIX socket may have")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        bound.bind(os.fspath(path))
        path.chmod(0o666)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise _no_socket(path, error.strerror or type(error).__name__) from error
    return bound


def sweep(folder: Path, prefix: str) -> None:
    """Remove sockets that a killed process left in ``folder``: older than a minute, and nobody listens."""
    for path in folder.glob(f"{prefix}*"):
        try:
            if time.time() - path.lstat().st_mtime < _STALE_SECONDS or not path.is_socket():
                continue
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            continue  # gone meanwhile, or not ours: then it is not ours to remove


def _no_socket(path: Path, why: str) -> OperatorError:
    return OperatorError(
        "GL-GATEWAY-002",
        f"the gateway can't listen at `{path}`: {why}.",
        "use a home folder with a short path that Greylag may write to (`--home`, `GREYLAG_HOME`).",
    )
