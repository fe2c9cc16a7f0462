"""One released service: a program in a sandbox, its bounded log, and whether it still lives."""

import asyncio
from pathlib import Path

from greylag.adapters.sandbox.port import Ended, EndReason, Sandbox, SandboxProcess, SandboxSpec

_LOG_BYTES = 1024 * 1024
_RESTARTS = 1000
_PAUSE_SECONDS = 1.0
# The sandbox's own bounds on one program, which a service that works for months may reach by no fault of its own.
_NOT_ITS_FAULT = frozenset((EndReason.OUTPUT, EndReason.TIMED_OUT))


class ServiceLog:
    """The last one to two MiB of what a service printed, in ``path`` and ``path.1``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size if path.exists() else 0

    def append(self, line: bytes) -> None:
        """Add one line, cut at 8 KiB."""
        cut = line[:8192] + b"\n"
        if self._size + len(cut) > _LOG_BYTES:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._size = 0
        with self._path.open("ab") as file:
            file.write(cut)
        self._size += len(cut)

    def tail(self, size_bytes: int = 2000) -> str:
        """Return the end of the log as printable text."""
        try:
            data = self._path.read_bytes()[-size_bytes:]
        except FileNotFoundError:
            return ""
        text = data.decode("utf-8", "replace")
        return "".join(char if char.isprintable() or char == "\n" else "?" for char in text).strip()


class Service:
    """A service that was started; it is started again where only a bound of the sandbox ended it."""

    def __init__(self, sandbox: Sandbox, spec: SandboxSpec, log: ServiceLog, digest: str, port: int) -> None:
        self.digest = digest
        self.port = port
        self.argv = spec.argv
        self.log = log
        self.ended: Ended | None = None
        self._sandbox = sandbox
        self._spec = spec
        self._process: SandboxProcess | None = None
        self._watching: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def alive(self) -> bool:
        """Whether the program runs as far as is known."""
        return self._watching is not None and not self._watching.done()

    async def start(self) -> None:
        """Start the program; raises what the sandbox raises."""
        self._process = await self._sandbox.start(self._spec)
        self._watching = asyncio.create_task(self._watch())
        self._watching.add_done_callback(self._note)

    async def stop(self) -> None:
        """End the program and everything it started; ended already is fine."""
        self._stopping.set()
        while self._watching is not None and self._process is not None:
            await self._process.kill()
            done, _ = await asyncio.wait((self._watching,), timeout=_PAUSE_SECONDS)
            if done:  # else it was just being started again: kill that one too
                return

    def _note(self, watching: "asyncio.Task[None]") -> None:
        """Put into the log what kept the service from being watched or started again: nobody awaits the task."""
        if not watching.cancelled() and (error := watching.exception()) is not None:
            self.log.append(f"greylag: {error}".encode())

    def again(self) -> "Service":
        """Return the same service, not started."""
        return Service(self._sandbox, self._spec, self.log, self.digest, self.port)

    def last_words(self) -> str:
        """Say how it ended and what it said last."""
        how = "it runs" if self.ended is None else f"it ended ({self.ended.reason}, exit code {self.ended.exit_code})"
        said = self.log.tail(600).replace("\n", " | ")
        return f"{how}; its log ends with: {said}" if said else f"{how} and said nothing"

    async def _watch(self) -> None:
        for _ in range(_RESTARTS):
            ended = await self._lived()
            if self._stopping.is_set() or ended.reason not in _NOT_ITS_FAULT:
                self.ended = ended
                return
            self.log.append(f"greylag: started again, ended by a limit of the sandbox ({ended.reason})".encode())
            await asyncio.sleep(_PAUSE_SECONDS)
            if self._stopping.is_set():
                return
            self._process = await self._sandbox.start(self._spec)

    async def _lived(self) -> Ended:
        process = self._process
        assert process is not None  # noqa: S101 - only called once it was started
        await process.close_input()
        async for line in process.lines():
            self.log.append(line)
        return await process.wait()
