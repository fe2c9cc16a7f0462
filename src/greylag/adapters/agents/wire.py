"""JSON messages, one a line, over the standard streams of a sandboxed program.

The program is not trusted: what it sends is parsed here, bounded, and handed on as plain values one at a time, so
that a flood waits in its own pipe and never in the platform's memory.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

import orjson

from greylag.adapters.agents.transcript import Transcript
from greylag.adapters.sandbox.port import SandboxProcess

_LINES_AT_ONCE = 50


class JsonLines:
    """One conversation. Lines that aren't a JSON object are noted in the transcript and skipped."""

    def __init__(self, process: SandboxProcess, transcript: Transcript) -> None:
        self._process = process
        self._transcript = transcript
        self._sending = asyncio.Lock()

    async def send(self, message: Mapping[str, object]) -> None:
        """Send one message. Raises BackendError ``GL-SANDBOX-004`` where the program no longer listens."""
        self._transcript.add("sent", message)
        async with self._sending:
            await self._process.write(orjson.dumps(message) + b"\n")

    async def messages(self) -> AsyncIterator[dict[str, object]]:
        """Yield what the program sends until it closes its output."""
        async for line in lines_of(self._process):
            if not line.strip():
                continue
            try:
                message = orjson.loads(line)
            except orjson.JSONDecodeError:
                message = None
            if isinstance(message, dict):
                self._transcript.add("received", message)
                yield message
            else:
                self._transcript.add("noise", line[:1000].decode("utf-8", "replace"))


async def lines_of(process: SandboxProcess) -> AsyncIterator[bytes]:
    """Yield the program's lines, letting the rest of the platform work in between however fast they come."""
    count = 0
    async for line in process.lines():
        count += 1
        if count % _LINES_AT_ONCE == 0:
            await asyncio.sleep(0)
        yield line


def mapping(value: object) -> Mapping[str, object]:
    """Return ``value`` if it is a JSON object, else an empty one: for reading fields of untrusted messages."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """Return ``value`` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """Return ``value`` if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""
