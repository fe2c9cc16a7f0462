"""The reaper: takes over the runs of workers that died, over the engine's public verbs alone."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable

from dbos import DBOSClient, WorkflowStatus

from greylag.adapters.engine.cell import WORKFLOW, reachable
from greylag.adapters.engine.slots import Slots
from greylag.domain.errors import BackendError

#: A run that is taken over more often than this within `WINDOW_SECONDS` is what kills its workers: it is ended.
TAKEOVERS = 5
WINDOW_SECONDS = 3600.0
_ATTRIBUTE = "greylag_taken_at"
_LOG = logging.getLogger("greylag.engine")


class Reaper:
    """Sweeps one cell every ``every_seconds`` in a thread of its own.

    ``active`` tells which runs this process has in hand; ``lost`` is called once when another process has taken this
    worker's slot.
    """

    def __init__(
        self, client: DBOSClient, queue: str, slots: Slots, worker: str, active: Callable[[], frozenset[str]],
        lost: Callable[[], None], every_seconds: float,
    ) -> None:  # fmt: skip
        self._client = client
        self._queue = queue
        self._slots = slots
        self._worker = worker
        self._active = active
        self._lost = lost
        self._every = every_seconds
        self._suspects: frozenset[str] = frozenset()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="greylag-engine-reaper", daemon=True)

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def end(self) -> None:
        """Stop the thread and wait for it, at most a second."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            if not self._slots.still_held():
                _LOG.critical("another process has taken worker slot %r: this one stops working", self._worker)
                self._lost()
                return
            try:
                self.sweep()
            except BackendError as error:
                _LOG.warning("the sweep for runs of dead workers failed, the next one tries again: %s", error)

    def sweep(self) -> tuple[str, ...]:
        """Take over what no live worker has in hand and return the ids.

        Raises BackendError ``GL-ENGINE-003`` where the database can't be reached.
        """
        with reachable():
            begun = self._client.list_workflows(status="PENDING", name=WORKFLOW, load_input=False, load_output=False)
        runs: defaultdict[str, list[WorkflowStatus]] = defaultdict(list)
        for run in begun:
            runs[run.executor_id or ""].append(run)
        taken = self._sweep_own(runs.pop(self._worker, []))
        for worker in sorted(runs):
            with self._slots.probe(worker) as dead:
                if dead:
                    taken += [run.workflow_id for run in runs[worker] if self._take(run)]
        return tuple(taken)

    def _sweep_own(self, own: list[WorkflowStatus]) -> list[str]:
        """Take up runs that carry this worker's name but that it doesn't know, when seen so twice."""
        unknown = {run.workflow_id: run for run in own if run.workflow_id not in self._active()}
        stranded = [run for task_id, run in unknown.items() if task_id in self._suspects]
        self._suspects = frozenset(unknown)
        return [run.workflow_id for run in stranded if self._take(run)]

    def _take(self, run: WorkflowStatus) -> bool:
        now = time.time()
        known = (run.attributes or {}).get(_ATTRIBUTE)
        earlier = [at for at in known if isinstance(at, int | float) and at > now - WINDOW_SECONDS] if known else []
        with reachable():
            if len(earlier) >= TAKEOVERS:
                self._client.cancel_workflow(run.workflow_id)
                _LOG.error("the run of %s outlived %d workers in an hour and was ended", run.workflow_id, len(earlier))
                return False
            self._client.update_workflow_attributes(run.workflow_id, {_ATTRIBUTE: [*earlier, now]}, merge=True)
            # Without the queue's name the run would land on a queue that every worker of the application serves.
            self._client.resume_workflows([run.workflow_id], queue_name=self._queue)
        _LOG.warning("took over the run of %s from worker %r", run.workflow_id, run.executor_id)
        return True
