"""The one way out of a sandbox: from sockets it can reach to the gateway's socket on the host, and nowhere else.

Nothing that listens runs inside, so nothing there can be killed or replaced: the TCP socket is made from outside, by a
short-lived process that enters the sandbox's network name space. Source: setns(2), ioctl_ns(2).
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

from greylag.domain.errors import BackendError

_SECONDS = 10.0
_CONNECTIONS = 64
_CHUNK_BYTES = 65_536

# Runs in a process of its own: joining a user name space needs a single thread. It gets the name space's descriptor
# and a socket to answer on; the loopback address appears a moment after the name space.
_HELPER = """
import ctypes, errno, fcntl, os, socket, sys, time
network, answer, port, backlog = (int(word) for word in sys.argv[1:5])
owner = fcntl.ioctl(network, 0xB701)
libc = ctypes.CDLL(None, use_errno=True)
for space, kind in ((owner, 0x10000000), (network, 0x40000000)):
    if libc.setns(space, kind) != 0:
        raise OSError(ctypes.get_errno(), "setns")
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
until = time.monotonic() + 5
while True:
    try:
        listener.bind(("127.0.0.1", port))
        break
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL or time.monotonic() > until:
            raise
        time.sleep(0.001)
listener.listen(backlog)
socket.send_fds(socket.socket(fileno=answer), [b"ok"], [listener.fileno()])
"""


async def listen_inside(child: int, port: int) -> socket.socket:
    """Return a socket listening on 127.0.0.1:``port`` in the network name space of process ``child``.

    Raises BackendError ``GL-SANDBOX-007`` where it can't be had; the sandbox must not run then.
    """
    listening = asyncio.ensure_future(asyncio.to_thread(_listen_inside, child, port))
    try:
        return await asyncio.shield(listening)
    except asyncio.CancelledError:
        listening.add_done_callback(_close)
        raise


def _close(listening: "asyncio.Future[socket.socket]") -> None:
    """Close what came after nobody waited for it any more."""
    if not listening.cancelled() and listening.exception() is None:
        listening.result().close()


def _listen_inside(child: int, port: int) -> socket.socket:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            network = os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _failed(str(error)) from error
        try:
            ended = _run_helper(network, theirs.fileno(), port)
        finally:
            os.close(network)
        ours.settimeout(0.1)
        with contextlib.suppress(OSError):
            _, descriptors, _, _ = socket.recv_fds(ours, 16, 1)
            if descriptors:
                listener = socket.socket(fileno=descriptors[0])
                listener.setblocking(False)
                return listener
    raise _failed(ended.stderr[-500:].decode(errors="replace").strip() or f"exit code {ended.returncode}")


def _run_helper(network: int, answer: int, port: int) -> subprocess.CompletedProcess[bytes]:
    words = [str(number) for number in (network, answer, port, _CONNECTIONS)]
    try:
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", _HELPER, *words], pass_fds=(network, answer), env={}, cwd="/",
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(str(error)) from error


def _failed(why: str) -> BackendError:
    return BackendError(
        "GL-SANDBOX-007",
        f"no listener could be made in the sandbox's network name space: {why}.",
        "run `greylag doctor`; the program was not started.",
        transient=True,
    )


class Relay:
    """Accepts on listening sockets and copies bytes to and from one UNIX socket, at most 64 connections at a time."""

    def __init__(self, gateway: Path) -> None:
        self._gateway = gateway
        self._servers: list[asyncio.Server] = []
        self._carrying: set[asyncio.Task[None]] = set()

    async def accept(self, listener: socket.socket) -> None:
        """Serve ``listener`` from now on; it belongs to the relay."""
        serve = asyncio.start_unix_server if listener.family == socket.AF_UNIX else asyncio.start_server
        try:
            server = await serve(self._carry, sock=listener, start_serving=False)
        except BaseException:
            listener.close()
            raise
        self._servers.append(server)
        await server.start_serving()

    async def close(self) -> None:
        """Stop accepting and end every connection."""
        for server in self._servers:
            server.close()
        for task in tuple(self._carrying):
            task.cancel()
        if self._carrying:
            await asyncio.wait(tuple(self._carrying), timeout=5)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._carrying) >= _CONNECTIONS:
            writer.transport.abort()
            return
        self._carrying.add(task)
        try:
            # A connection's end, however rude, concerns nobody but its two ends.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._join(reader, writer)
        finally:
            writer.transport.abort()
            self._carrying.discard(task)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self._gateway)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, up_writer))
                group.create_task(_copy(up_reader, writer))
        except* OSError:
            pass
        finally:
            up_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def unix_listener(folder: Path, identity: int | None) -> socket.socket:
    """Return a UNIX socket listening as ``gateway.sock`` in ``folder``, connectable by ``identity`` alone and root.

    Bound through the folder's descriptor, since a socket's path may have only 107 bytes.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(f"/proc/self/fd/{descriptor}/gateway.sock")
        path = folder / "gateway.sock"
        os.chmod(path, 0o600)
        if identity is not None:
            os.chown(path, identity, identity)
        listener.listen(_CONNECTIONS)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    finally:
        os.close(descriptor)
    return listener
