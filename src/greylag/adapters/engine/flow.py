"""The bridge between two event loops: workflows run at home, where their callers' sockets and locks live.

The engine has a loop and threads of its own, so that its database work never holds up the platform and its shutdown
never touches the platform's loop. A workflow and all of its steps run on the loop that launched the engine.
"""

import asyncio
import contextvars
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from dbos import DBOS, StepOptions
from dbos import error as dbos_errors

from greylag.adapters.engine.cell import WAKE
from greylag.adapters.engine.port import Flow
from greylag.domain.errors import BackendError, GreylagError, IntegrityError
from greylag.domain.ids import TaskId

Workflow = Callable[[Flow], Awaitable[None]]

ANSWER_BYTES = 64 * 1024
_DRAINED_WAKES = 32  # more than these stay queued and make the next waits return at once
_LOG = logging.getLogger("greylag.engine")
_T = TypeVar("_T")


class Home:
    """The loop that launched the engine, and what runs on it for the engine."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.tasks: set[asyncio.Task[Any]] = set()
        self._context = contextvars.copy_context()

    def submit(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> "Future[_T]":
        """Run ``work()`` at home; cancelling the future cancels it. Callable from any thread."""
        # A context of the launcher's, not of the caller's: the engine's own variables must not be seen by workflows.
        submitted = self._run(work)
        try:
            return self._context.copy().run(asyncio.run_coroutine_threadsafe, submitted, self.loop)
        except RuntimeError:  # the loop is closed: the process ends
            submitted.close()
            raise asyncio.CancelledError from None

    async def _run(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("`Home` works in tasks only")
        self.tasks.add(task)
        try:
            return await work()
        finally:
            self.tasks.discard(task)


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """What a workflow asks of the engine: one step, or one wait, answered through ``answer`` (a future at home)."""

    answer: "asyncio.Future[Any]"
    name: str = ""
    work: Callable[[], Awaitable[str]] | None = None
    seconds: float = 0.0


class BridgedFlow:
    """`Flow` at home: passes each request to the engine's loop and awaits the answer. One request at a time."""

    def __init__(self, task_id: TaskId, home: Home, ask: Callable[[_Request], None]) -> None:
        self.task_id = task_id
        self.closed = False
        self._home = home
        self._ask = ask
        self._names: Counter[str] = Counter()

    async def step(self, name: str, work: Callable[[], Awaitable[str]]) -> str:
        """As `Flow.step`; a name that comes again is counted, so that each position has its own."""
        self._names[name] += 1
        count = self._names[name]
        position = name if count == 1 else f"{name}#{count}"
        answer: str = await self._asked(_Request(self._home.loop.create_future(), name=position, work=work))
        return answer

    async def wait(self, seconds: float) -> bool:
        """As `Flow.wait`. Raises ValueError for a time that is not finite."""
        if not math.isfinite(seconds):
            raise ValueError(f"`seconds` must be finite, got {seconds}")
        woken: bool = await self._asked(_Request(self._home.loop.create_future(), seconds=max(0.0, seconds)))
        return woken

    async def _asked(self, request: _Request) -> Any:
        if self.closed:
            raise asyncio.CancelledError
        try:
            self._ask(request)
        except RuntimeError:  # the engine's loop is closed
            raise asyncio.CancelledError from None
        return await request.answer


async def drive(task_id: TaskId, workflow: Workflow, home: Home) -> None:
    """Run ``workflow`` at home and serve its requests on the engine's loop. Called inside the engine's workflow.

    Ends by CancelledError where the run can't go on here: it then stays unfinished in the database, to be taken up
    again. Raises what ``workflow`` raised.
    """
    loop = asyncio.get_running_loop()
    requests: asyncio.Queue[_Request | None] = asyncio.Queue()
    flow = BridgedFlow(task_id, home, lambda request: _put(loop, requests, request))

    async def run() -> None:
        await workflow(flow)

    body = home.submit(run)
    body.add_done_callback(lambda _: _ended(loop, requests))
    try:
        while (request := await requests.get()) is not None:
            await _serve(request, home)
    except asyncio.CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever broke in the engine, the run is not at fault and stays
        _LOG.warning("the run of %s can't go on in this worker: %s", task_id, type(error).__name__)
        raise asyncio.CancelledError from None
    finally:
        flow.closed = True
        body.cancel()
    if body.cancelled():
        raise asyncio.CancelledError
    uncaught = body.exception()
    if uncaught is not None:
        what = uncaught.code if isinstance(uncaught, GreylagError) else type(uncaught).__name__
        _LOG.error("the run of %s ended by an error nobody caught: %s", task_id, what)
        raise uncaught


def _put(loop: asyncio.AbstractEventLoop, requests: "asyncio.Queue[_Request | None]", request: _Request | None) -> None:
    loop.call_soon_threadsafe(requests.put_nowait, request)


def _ended(loop: asyncio.AbstractEventLoop, requests: "asyncio.Queue[_Request | None]") -> None:
    if not loop.is_closed():
        _put(loop, requests, None)


async def _serve(request: _Request, home: Home) -> None:
    try:
        value: object = await (_wait(request) if request.work is None else _step(request, request.work, home))
    except dbos_errors.DBOSUnexpectedStepError as error:
        _settle(request, home, None, _unfitting(request, error))
    except _Refused as refused:
        _settle(request, home, None, refused.error)
    else:
        _settle(request, home, value, None)


class _Refused(Exception):
    """The step's own outcome is ``error``, as opposed to a failure of the engine."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


async def _step(request: _Request, work: Callable[[], Awaitable[str]], home: Home) -> str:
    raised: list[Exception] = []

    async def at_home() -> str:
        try:
            return await asyncio.wrap_future(home.submit(lambda: _answer(request.name, work)))
        except Exception as error:
            raised.append(error)
            raise

    try:
        answer: str = await DBOS.run_step_async(StepOptions(name=request.name), at_home)
    except Exception as error:
        if any(error is own for own in raised) or isinstance(error, GreylagError):
            raise _Refused(error) from None
        raise
    return answer


async def _answer(name: str, work: Callable[[], Awaitable[str]]) -> str:
    try:
        answer: object = await work()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise  # the engine closes or gave the run up
        raise BackendError(
            "GL-ENGINE-004", f"step `{name}` was cancelled from inside.", "start the task again.", transient=True
        ) from None
    if not isinstance(answer, str) or len(answer.encode("utf-8", "surrogatepass")) > ANSWER_BYTES:
        got = f"{len(answer)} characters" if isinstance(answer, str) else type(answer).__name__
        raise IntegrityError(
            "GL-ENGINE-002",
            f"step `{name}` must answer text of at most {ANSWER_BYTES} bytes, got {got}.",
            "report this: it is a defect in Greylag; content belongs into the vault.",
        )
    return answer


async def _wait(request: _Request) -> bool:
    if await DBOS.recv_async(WAKE, timeout_seconds=request.seconds) is None:
        return False
    for _ in range(_DRAINED_WAKES - 1):
        if await DBOS.recv_async(WAKE, timeout_seconds=0) is None:
            break
    return True


def _unfitting(request: _Request, error: Exception) -> IntegrityError:
    asked = f"step `{request.name}`" if request.work is not None else "a wait"
    return IntegrityError(
        "GL-ENGINE-008",
        f"the workflow asks for {asked} where it did something else before the last restart: {str(error)[:300]}",
        "go back to the version this task was begun with, or start the task again.",
    )


def _settle(request: _Request, home: Home, value: object, error: Exception | None) -> None:
    def settle() -> None:
        if request.answer.done():
            return
        if error is not None:
            request.answer.set_exception(error)
        else:
            request.answer.set_result(value)

    if not home.loop.is_closed():
        home.loop.call_soon_threadsafe(settle)
