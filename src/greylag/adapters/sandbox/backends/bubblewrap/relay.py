"""Carries connections from a sandbox's own sockets to the gateway's socket on the host; it knows no other target."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

_CONNECTIONS = 64
_CHUNK_BYTES = 65_536


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
