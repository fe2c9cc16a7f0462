"""The engine on DBOS Transact: SQLite for one machine, PostgreSQL for several."""

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from dbos import DBOS, DBOSClient

from greylag.adapters.engine import cell as cells
from greylag.adapters.engine.flow import Home, Workflow, drive
from greylag.adapters.engine.reaper import Reaper
from greylag.adapters.engine.sealing import SealedJson
from greylag.adapters.engine.slots import DatabaseSlots, FileSlots, Slots, check_name
from greylag.domain.errors import GreylagError, OperatorError
from greylag.domain.ids import TaskId, derived_id

_ALIVE = ["ENQUEUED", "DELAYED", "PENDING"]
_BROKEN = ["ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_BROKEN_LIMIT = 1000
# Every restart of a worker counts as an attempt for each run that waits in it; a wait of weeks must outlive many.
_RECOVERIES = 10_000
_THREADS = 32
_CLOSE_SECONDS = 1.0


class DbosEngine:
    """`Engine` on DBOS: one cell per region, one worker per process.

    ``database_url``: ``sqlite:////folder/engine.db`` (a file of its own) or ``postgresql://…`` (a schema of its own).
    ``state_dir`` holds the cell's ``engine.key``, the same for all workers of the cell. ``worker`` is a stable slot
    name. A start or wake (SQLite) is seen after up to ``poll_seconds``; dead workers are looked for every
    ``reap_seconds``. An instance that is never launched can start and wake tasks for the workers of other processes.
    """

    _launched_here: ClassVar["DbosEngine | None"] = None

    def __init__(
        self, region: str, database_url: str, worker: str, state_dir: Path, poll_seconds: float = 0.25,
        reap_seconds: float = 5.0,
    ) -> None:  # fmt: skip
        self._cell = cells.cell(region, database_url, state_dir)
        self._worker = check_name(worker)
        self._poll_seconds = poll_seconds
        self._reap_seconds = reap_seconds
        self._lock = threading.Lock()
        self._client: DBOSClient | None = None
        self._sealing: SealedJson | None = None
        self._queue = ""
        self._slots: Slots | None = None
        self._reaper: Reaper | None = None
        self._home: Home | None = None
        self._active: set[str] = set()

    async def launch(self, workflow: Workflow) -> None:
        """As `Engine.launch`. ``workflow`` and its steps run on the loop this is called on.

        Raises OperatorError ``GL-ENGINE-001``; ``GL-ENGINE-005`` where this process has launched an engine already;
        ``GL-ENGINE-006`` for a wrong key; BackendError ``GL-ENGINE-003`` where the database can't be reached.
        """
        if DbosEngine._launched_here is not None:
            raise OperatorError(
                "GL-ENGINE-005",
                "the engine can't work: this process works in a region already.",
                "run one process for each region.",
            )
        DbosEngine._launched_here = self
        self._home = Home(asyncio.get_running_loop())
        try:
            await asyncio.to_thread(self._launch, workflow, self._home)
        except BaseException:
            await self.close()
            raise

    def start(self, task_id: TaskId) -> None:
        """As `Engine.start`. Raises BackendError ``GL-ENGINE-003`` where the database can't be reached."""
        cells.enqueue(self._connected(), self._queue, task_id)

    def wake(self, task_id: TaskId, key: str) -> None:
        """As `Engine.wake`. Raises BackendError ``GL-ENGINE-003`` where the database can't be reached."""
        cells.send_wake(self._connected(), task_id, derived_id("wake", task_id, key))

    def running(self) -> frozenset[TaskId]:
        """As `Engine.running`. Raises BackendError ``GL-ENGINE-003`` where the database can't be reached."""
        client = self._connected()
        with cells.reachable():
            runs = client.list_workflows(status=_ALIVE, name=cells.WORKFLOW, load_input=False, load_output=False)
        return frozenset(TaskId(run.workflow_id) for run in runs)

    def failed(self) -> Mapping[TaskId, str]:
        """As `Engine.failed`: the newest 1,000. Raises BackendError ``GL-ENGINE-003``."""
        client = self._connected()
        with cells.reachable():
            runs = client.list_workflows(
                status=_BROKEN, name=cells.WORKFLOW, load_input=False, limit=_BROKEN_LIMIT, sort_desc=True
            )
        ended = "its run was ended after it had outlived too many workers"
        return {TaskId(run.workflow_id): str(run.error) if run.error else ended for run in runs}

    async def close(self) -> None:
        """As `Engine.close`; under way in a second or two: steps get one second to clean up after themselves."""
        home = self._home
        await asyncio.to_thread(self._stop)
        left = home.tasks - {asyncio.current_task()} if home is not None else set()
        if left:
            await asyncio.wait(left, timeout=_CLOSE_SECONDS)
        with self._lock:
            client, self._client = self._client, None
            slots, self._slots = self._slots, None
        if client is not None:
            client.destroy()
        if slots is not None:
            slots.release()
        self._home = None
        if DbosEngine._launched_here is self:
            DbosEngine._launched_here = None

    def _connected(self) -> DBOSClient:
        with self._lock:
            if self._client is None:
                client, self._sealing, self._queue = cells.connect(self._cell)
                try:
                    cells.register_queue(client, self._queue, self._poll_seconds)
                except BaseException:
                    client.destroy()
                    raise
                self._client = client
            return self._client

    def _launch(self, workflow: Workflow, home: Home) -> None:
        """Runs in a thread without a loop: the engine's library would otherwise take over the platform's loop."""
        client = self._connected()
        slots: Slots
        file = self._cell.file
        slots = FileSlots(file) if file is not None else DatabaseSlots(self._cell.url, self._cell.schema)
        slots.hold(self._worker)
        self._slots = slots
        with cells.reachable():
            self._launch_library(workflow, home)
        self._reaper = Reaper(
            client, self._queue, slots, self._worker, lambda: frozenset(self._active), self._lost, self._reap_seconds
        )
        self._reaper.begin()

    def _launch_library(self, workflow: Workflow, home: Home) -> None:
        DBOS(
            config={
                "name": self._cell.application,
                "system_database_url": self._cell.url,
                "dbos_system_schema": self._cell.schema,
                "application_version": cells.VERSION,
                "executor_id": self._worker,
                "serializer": self._sealing,
                "notification_listener_polling_interval_sec": self._poll_seconds,
                "max_executor_threads": _THREADS,
                "log_level": "WARNING",
                "enable_otlp": False,
            }
        )

        async def run(task_id: str) -> None:
            self._active.add(task_id)
            try:
                await drive(TaskId(task_id), workflow, home)
            finally:
                self._active.discard(task_id)

        DBOS.workflow(name=cells.WORKFLOW, max_recovery_attempts=_RECOVERIES)(run)
        DBOS.listen_queues([self._queue])
        DBOS.launch()

    def _stop(self) -> None:
        reaper, self._reaper = self._reaper, None
        if reaper is not None:
            reaper.end()
        if DbosEngine._launched_here is self:
            # The library's dispatcher hangs for ten seconds where its loop is stopped under its hands: with runs on
            # their way to us it gets a second to hand them over. Taking new ones has stopped by then.
            DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=1 if self._arriving() else 0)

    def _arriving(self) -> bool:
        """Whether runs may be on their way from the queue into this process."""
        try:
            return bool(self.running() - {TaskId(task_id) for task_id in self._active})
        except GreylagError:
            return True

    def _lost(self) -> None:
        home = self._home
        if home is not None and not home.loop.is_closed():
            home.submit(self.close)
