"""Run a conversation with a sandboxed agent to its end, a person's stop, or the sandbox's limits."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

from greylag.adapters.sandbox.port import Ended, EndReason, Limits, SandboxProcess
from greylag.domain.errors import BackendError

STOP_GRACE_SECONDS = 3.0
EXIT_GRACE_SECONDS = 2.0
_INPUT_CLOSED = "GL-SANDBOX-004"


@dataclass(frozen=True, slots=True)
class Conversation:
    """How it went: ``answer`` is empty where the program ended first; ``interrupted`` says that a person stopped it."""

    answer: object
    interrupted: bool
    ended: Ended


async def supervise(
    process: SandboxProcess,
    talk: Coroutine[object, object, object],
    stop: asyncio.Event,
    interrupt: Callable[[], Awaitable[None]] | None = None,
) -> Conversation:
    """Return how ``talk`` with ``process`` went; whatever happens, no process is left.

    When ``stop`` is set, ``interrupt`` (where the agent knows one) asks it to stop, three seconds; then all is killed.
    After the talk the program has two seconds to leave by itself. ``talk`` may return None to say that the program
    ended before it was done; that the program closed its input means the same.
    """
    if stop.is_set():
        interrupt = None  # nothing was said yet that could be interrupted
    talking = asyncio.create_task(talk)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({talking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        interrupted = not talking.done()
        if interrupted and interrupt is not None:
            await _within(_ask_to_stop(interrupt, talking), STOP_GRACE_SECONDS)
        if interrupted:
            await process.kill()
            await asyncio.wait({talking}, timeout=STOP_GRACE_SECONDS)
        answer = _answer_of(talking)
        await _leave(process)
        return Conversation(answer, interrupted, await process.wait())
    finally:
        stopping.cancel()
        talking.cancel()
        await process.kill()
        await asyncio.gather(stopping, talking, return_exceptions=True)


async def _ask_to_stop(interrupt: Callable[[], Awaitable[None]], talking: asyncio.Task[object]) -> None:
    with contextlib.suppress(BackendError):  # it no longer listens: the kill that follows is the answer
        await interrupt()
    await asyncio.wait({talking})


async def _within(work: Coroutine[object, object, None], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(work, seconds)


def _answer_of(talking: asyncio.Task[object]) -> object:
    if not talking.done():
        return None
    try:
        return talking.result()
    except BackendError as error:
        if error.code != _INPUT_CLOSED:
            raise
        return None


async def _leave(process: SandboxProcess) -> None:
    with contextlib.suppress(BackendError):
        await _within(process.close_input(), EXIT_GRACE_SECONDS)
    leaving = asyncio.create_task(process.wait())
    try:
        await asyncio.wait({leaving}, timeout=EXIT_GRACE_SECONDS)
    finally:
        if not leaving.done():
            await process.kill()
        await asyncio.gather(leaving, return_exceptions=True)


def end_in_words(ended: Ended, limits: Limits) -> str:
    """Return why a program is no more, in words for a person."""
    match ended.reason:
        case EndReason.EXITED:
            return f"it ended with exit code {ended.exit_code}"
        case EndReason.TIMED_OUT:
            return f"it was ended after {limits.timeout_seconds:g} seconds"
        case EndReason.MEMORY:
            return f"it was ended because it used more than {limits.memory_mb} MB of memory"
        case EndReason.DISK:
            return f"it was ended because it wrote more than {limits.disk_mb} MB or {limits.disk_files} files"
        case EndReason.OUTPUT:
            return f"it was ended because it printed more than {limits.output_bytes} bytes"
        case EndReason.KILLED:
            return "it was ended by the platform"
