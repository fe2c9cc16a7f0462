"""One running program: its streams, its limits and its certain end."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from greylag.adapters.sandbox.backends.bubblewrap.streams import Intake, Outlet
from greylag.adapters.sandbox.port import Ended, EndReason
from greylag.domain.errors import BackendError

_GRACE_SECONDS = 10.0
_STATUS_BYTES = 65_536
_MESSAGE_BYTES = 600


@dataclass(frozen=True, slots=True)
class Pipes:
    """The platform's ends of the program's standard streams."""

    stdin: int
    stdout: int
    stderr: int


class Status:
    """What bubblewrap tells about a start: the first process inside, and at the end the program's exit code.

    The documents come in pieces; there is no exit code where the program itself was never started.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._text = b""
        self._first: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._open = True
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    async def child(self) -> int | None:
        """Return the host's number of the sandbox's process 1, None where bubblewrap ended before making it."""
        return await asyncio.shield(self._first)

    def exit_code(self) -> int | None:
        """Return the program's exit code; everything that was written is read first."""
        while self._open:
            if not self._read():
                break
        return self._find("exit-code")

    def close(self) -> None:
        """Stop listening; closed already is fine."""
        if self._open:
            self._open = False
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
        if not self._first.done():
            self._first.set_result(None)

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, _STATUS_BYTES)
        except BlockingIOError:
            return False
        self._text = (self._text + data)[:_STATUS_BYTES]
        if not data:
            self.close()
        elif not self._first.done() and (child := self._find("child-pid")) is not None:
            self._first.set_result(child)
        return bool(data)

    def _find(self, key: str) -> int | None:
        for line in self._text.splitlines():
            with contextlib.suppress(ValueError):
                value = json.loads(line).get(key)
                if isinstance(value, int):
                    return value
        return None


class BubblewrapProcess:
    """A `SandboxProcess`: ends by itself, by a limit, or by `kill`; then nothing of it is left."""

    def __init__(
        self, process: subprocess.Popen[bytes], pipes: Pipes, status: Status, child: int | None, output_bytes: int
    ) -> None:
        self._process = process
        self._status = status
        self._init = _open_process(child) if child is not None else None
        self._started = time.monotonic()
        self._reason: EndReason | None = None
        self._ended: Ended | None = None
        self._cleanups: list[Callable[[], Awaitable[None]]] = []
        self._stdin = Outlet(pipes.stdin)
        self._stdout = Intake(pipes.stdout, output_bytes, self._flooded, collecting=False)
        self._stderr = Intake(pipes.stderr, output_bytes, self._flooded, collecting=True)
        self._end: asyncio.Task[None] = asyncio.get_running_loop().create_task(self._supervise())

    def bound(self, timeout_seconds: float, watch: Callable[[], Awaitable[None]]) -> None:
        """Put the wall time and a watchdog over the program until its end."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(timeout_seconds, self.end, EndReason.TIMED_OUT)
        watcher = asyncio.ensure_future(watch())

        async def stop() -> None:
            timer.cancel()
            watcher.cancel()
            await asyncio.wait([watcher])

        self._cleanups.append(stop)

    def at_end(self, cleanup: Callable[[], Awaitable[None]]) -> None:
        """Await ``cleanup()`` once everything inside is dead."""
        self._cleanups.append(cleanup)

    async def write(self, data: bytes) -> None:
        """Write to standard input. Raises BackendError ``GL-SANDBOX-004`` where the program has closed it."""
        await self._stdin.write(data)

    async def close_input(self) -> None:
        """Close standard input once what is being written is through."""
        await self._stdin.close_after_writes()

    def lines(self) -> AsyncIterator[bytes]:
        """Yield standard output line by line; see `SandboxProcess.lines`."""
        return self._stdout.lines()

    async def wait(self) -> Ended:
        """Wait for the end; what `lines` has not yielded is collected.

        Raises BackendError ``GL-SANDBOX-005`` where the sandbox could not be set up: the program never ran.
        """
        self._stdout.collect()
        await asyncio.shield(self._end)
        if self._ended is None:
            self._ended = self._result()
        return self._ended

    async def kill(self) -> None:
        """End it and everything it started, now; ended already is fine."""
        self.end(EndReason.KILLED)
        await asyncio.shield(self._end)

    def end(self, reason: EndReason) -> None:
        """Begin the end for ``reason``; the first reason given stands."""
        if self._end.done() or self._reason is not None:
            return
        self._reason = reason
        self._strike()

    def _flooded(self) -> None:
        self.end(EndReason.OUTPUT)

    def _strike(self) -> None:
        if self._init is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, signal.SIGKILL)
        self._process.kill()

    async def _supervise(self) -> None:
        """Wait for bubblewrap, then for process 1 inside, with which the kernel ends everything else inside."""
        monitor = os.pidfd_open(self._process.pid)
        try:
            await _gone(monitor)
        finally:
            os.close(monitor)
        self._process.wait()
        self._duration = time.monotonic() - self._started
        self._strike()
        if self._init is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_gone(self._init), _GRACE_SECONDS)
            os.close(self._init)
            self._init = None
        self._stdin.close()
        self._stdout.finish()
        self._stderr.finish()
        self._exit_code = self._status.exit_code()
        self._status.close()
        for cleanup in reversed(self._cleanups):
            await cleanup()

    def _result(self) -> Ended:
        reason, code = self._reason, self._exit_code
        stdout, stderr = self._stdout.kept(), self._stderr.kept()
        if reason is None and code is None:
            if self._process.returncode >= 0:
                raise never_ran(stderr)
            reason = EndReason.KILLED  # by somebody else on the host: an administrator, the kernel out of memory
        if reason is not None:
            code = None
        truncated = self._stdout.truncated or self._stderr.truncated
        return Ended(reason or EndReason.EXITED, code, stdout, stderr, truncated, self._duration)


def never_ran(stderr: bytes) -> BackendError:
    """Return the error for a sandbox that bubblewrap could not set up; ``stderr`` is bubblewrap's own."""
    said = stderr[-_MESSAGE_BYTES:].decode(errors="replace").strip() or "bubblewrap said nothing"
    return BackendError(
        "GL-SANDBOX-005",
        f"the sandbox could not be set up, so nothing ran: {said}",
        "run `greylag doctor` to see what this machine allows.",
    )


def _open_process(child: int) -> int | None:
    try:
        return os.pidfd_open(child)
    except ProcessLookupError:
        return None


async def _gone(pidfd: int) -> None:
    """Wait until the process behind ``pidfd`` has ended (pidfd_open(2): it becomes readable)."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(pidfd, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(pidfd)
