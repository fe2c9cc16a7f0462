"""The pipes of a running program, read and written without blocking and within bounds."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable

from greylag.domain.errors import BackendError

FLOOD_FACTOR = 16
_CHUNK_BYTES = 65_536
_LARGEST_PIPE_BYTES = 1024 * 1024  # /proc/sys/fs/pipe-max-size, what an unprivileged program may set


class Intake:
    """What a program writes to one pipe: at most ``limit_bytes`` are kept at any time.

    While `collecting`, the rest is dropped (``truncated``); otherwise reading pauses and the program waits. After
    ``FLOOD_FACTOR`` times the limit in all, or one line above it, ``on_flood`` is called once.
    """

    def __init__(self, descriptor: int, limit_bytes: int, on_flood: Callable[[], None], *, collecting: bool) -> None:
        self._descriptor = descriptor
        self._limit = limit_bytes
        self._on_flood = on_flood
        self._collecting = collecting
        self._kept = bytearray()
        self._scanned = 0
        self._total = 0
        self._reading = False
        self._changed = asyncio.Event()
        self.ended = asyncio.Event()
        self.truncated = False
        os.set_blocking(descriptor, False)
        self._resume()

    def collect(self) -> None:
        """From now on read to the end, whether or not somebody takes the bytes."""
        self._collecting = True
        self._resume()

    def kept(self) -> bytes:
        """Return what was read and not taken by `lines`."""
        return bytes(self._kept)

    def finish(self) -> None:
        """Read what a dead program left in the pipe and close it."""
        left = _LARGEST_PIPE_BYTES
        while not self.ended.is_set() and left > 0:
            before = self._total
            self._read()
            left -= self._total - before
            if self._total == before:
                break
        self._close()

    async def lines(self) -> AsyncIterator[bytes]:
        """Yield complete lines, then what stands after the last newline."""
        while True:
            end = self._kept.find(b"\n", self._scanned)
            if end >= 0:
                line = bytes(self._kept[:end])
                self._take(end + 1)
                yield line
            elif self.ended.is_set():
                if self._kept and not self.truncated:
                    rest = bytes(self._kept)
                    self._take(len(rest))
                    yield rest
                return
            else:
                await self._more()

    async def _more(self) -> None:
        self._scanned = len(self._kept)
        if self._scanned >= self._limit:
            self.truncated = True
            self._on_flood()
        self._changed.clear()
        await self._changed.wait()

    def _take(self, count: int) -> None:
        del self._kept[:count]
        self._scanned = 0
        self._resume()

    def _resume(self) -> None:
        if not self._reading and not self.ended.is_set():
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)
            self._reading = True

    def _pause(self) -> None:
        if self._reading:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            self._reading = False

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        self._total += len(data)
        room = self._limit - len(self._kept)
        self._kept += data[: max(room, 0)] if self._collecting else data
        self.truncated = self.truncated or (self._collecting and len(data) > room)
        if self._total > FLOOD_FACTOR * self._limit:
            self._on_flood()
        if not self._collecting and len(self._kept) >= self._limit:
            self._pause()
        self._changed.set()

    def _close(self) -> None:
        if self.ended.is_set():
            return
        self._pause()
        os.close(self._descriptor)
        self.ended.set()
        self._changed.set()


class Outlet:
    """A program's standard input."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._open = True
        self._ready = asyncio.Event()
        self._turn = asyncio.Lock()
        os.set_blocking(descriptor, False)

    async def write(self, data: bytes) -> None:
        """Write all of ``data``. Raises BackendError ``GL-SANDBOX-004`` where nobody reads any more."""
        rest = memoryview(data)
        async with self._turn:
            while rest:
                if not self._open:
                    raise _closed("it was closed here")
                try:
                    rest = rest[os.write(self._descriptor, rest[:_CHUNK_BYTES]) :]
                except BlockingIOError:
                    await self._writable()
                except OSError as error:
                    self.close()
                    raise _closed("the program closed it or has ended") from error

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        self._ready.clear()
        loop.add_writer(self._descriptor, self._ready.set)
        try:
            await self._ready.wait()
        finally:
            if self._open:
                loop.remove_writer(self._descriptor)

    async def close_after_writes(self) -> None:
        """Close once a write in progress is through."""
        async with self._turn:
            self.close()

    def close(self) -> None:
        """Close now; closed already is fine."""
        if self._open:
            asyncio.get_running_loop().remove_writer(self._descriptor)
            self._open = False
            self._ready.set()
            os.close(self._descriptor)


def _closed(why: str) -> BackendError:
    return BackendError(
        "GL-SANDBOX-004", f"standard input can't be written: {why}.", "read the program's output to see why it stopped."
    )
