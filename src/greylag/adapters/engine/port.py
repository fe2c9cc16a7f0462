"""Engine: runs one durable workflow per task, in one cell."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from greylag.domain.ids import TaskId


class Flow(Protocol):
    """What a running workflow can do. Everything outside happens in a step; steps run at least once."""

    task_id: TaskId

    async def step(self, name: str, work: Callable[[], Awaitable[str]]) -> str:
        """Run ``work`` and remember its short answer (≤ 64 kB of text); after a crash a finished step is not re-run.

        What ``work`` raises is raised here and remembered too: after a crash it comes again, errors of
        `greylag.domain.errors` as themselves, others as BackendError ``GL-ENGINE-004``. Raises IntegrityError
        ``GL-ENGINE-002`` for an answer that is too long. Steps of one flow run one at a time, in the order asked for.
        """
        ...

    async def wait(self, seconds: float) -> bool:
        """Sleep durably until somebody wakes the task (True) or ``seconds`` have passed since then (False)."""
        ...


class Engine(Protocol):
    """One cell's engine: own application name, own system database, own workers."""

    async def launch(self, workflow: Callable[[Flow], Awaitable[None]]) -> None:
        """Begin to work: recover what this worker had begun, then take new tasks.

        Raises OperatorError ``GL-ENGINE-001`` where another live process holds this worker's name.
        """
        ...

    def start(self, task_id: TaskId) -> None:
        """Start the task's workflow; starting it again is fine."""
        ...

    def wake(self, task_id: TaskId, key: str) -> None:
        """Wake the task's wait once per ``key``; a wake that comes before the wait is kept.

        A task that was never started has nothing to wake.
        """
        ...

    def running(self) -> frozenset[TaskId]:
        """Return the tasks that were started and whose workflow has not ended."""
        ...

    def failed(self) -> Mapping[TaskId, str]:
        """Return the tasks whose workflow ended by an error nobody caught, with that error in words."""
        ...

    async def close(self) -> None:
        """Stop working; what is under way goes on at the next launch."""
        ...
