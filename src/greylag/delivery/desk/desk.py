"""The desk: everything people can say to the platform, checked, recorded, and handed to the workflow.

The event log is written first; waking the workflow is only a hint, repeated by `Desk.sweep`. All methods are
synchronous and may be called from any thread.
"""

from greylag.adapters.engine.port import Engine
from greylag.delivery.cell import Cell, label_of
from greylag.delivery.desk.asking import Request, take_request
from greylag.delivery.desk.checks import task_here
from greylag.delivery.desk.deciding import take_approval, take_rejection
from greylag.delivery.desk.handing import hand_back, take_over
from greylag.delivery.desk.steering import take_reply, take_stop
from greylag.delivery.desk.sweeping import sweep
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target


class Desk:
    """Takes what people say. Raises RequestRefused with code and remedy for what can't be done as said."""

    def __init__(self, cell: Cell, engine: Engine) -> None:
        self._cell = cell
        self._engine = engine

    def ask(self, request: Request) -> Task:
        """See `greylag.delivery.desk.asking.take_request`."""
        return take_request(self._cell, self._engine, request)

    def reply(self, task_id: TaskId, by: str, text: str, message_id: str = "", mode: str = "") -> Task:
        """See `greylag.delivery.desk.steering.take_reply`."""
        return take_reply(self._cell, self._engine, task_id, by, text, message_id, mode)

    def take_over(self, task_id: TaskId, by: str) -> Task:
        """See `greylag.delivery.desk.handing.take_over`."""
        return take_over(self._cell, self._engine, task_id, by)

    def hand_back(self, task_id: TaskId, by: str, patch: bytes, base_commit: str, message_id: str = "") -> Task:
        """See `greylag.delivery.desk.handing.hand_back`."""
        return hand_back(self._cell, self._engine, task_id, by, patch, base_commit, message_id)

    def approve(self, task_id: TaskId, by: str, subject: str = "", via: str = "") -> Task:
        """See `greylag.delivery.desk.deciding.take_approval`."""
        return take_approval(self._cell, self._engine, task_id, by, subject, via)

    def reject(self, task_id: TaskId, by: str, reason: str) -> Task:
        """See `greylag.delivery.desk.deciding.take_rejection`."""
        return take_rejection(self._cell, self._engine, task_id, by, reason)

    def stop(self, task_id: TaskId, by: str, reason: str = "") -> Task:
        """See `greylag.delivery.desk.steering.take_stop`."""
        return take_stop(self._cell, self._engine, task_id, by, reason)

    def read(self, task_id: TaskId, by: str, kind: str, reason: str = "") -> bytes:
        """Return content of a task to a person (stage ``trace``): ``diff``, ``report``, ``build``, ``transcript``,
        ``prompt``, ``evidence`` or ``request``. Raises RequestRefused ``GL-TASK-006`` where there is none.
        """  # noqa: D205
        cell = self._cell
        person = cell.directory.person(by)
        task = task_here(cell, task_id)
        change, run, build = task.change, task.run, task.build
        found = {
            "request": task.request, "diff": change.diff if change else None, "evidence": task.sealed or task.evidence,
            "report": run.report if run else None, "transcript": run.transcript if run else None,
            "prompt": run.prompt if run else None, "build": build.artifact if build else None,
        }  # fmt: skip
        reference = found.get(kind)
        if reference is None:
            there = ", ".join(f"`{name}`" for name, each in found.items() if each is not None)
            raise RequestRefused("GL-TASK-006", f"{task_id} has no `{kind}` (yet).", f"there is: {there}.")
        asset = Asset(kind, label_of(task), cell.region, reference.digest, reference.size_bytes)
        action = f"read:{reason}" if reason else "read"
        key = f"read/{kind}/{person.name}/{cell.clock.entropy(8).hex()}"
        target = Target("store", f"vault:{cell.region}")
        permit = cell.door.admit(
            Hop(Stage.TRACE, f"person:{person.name}", action[:80], asset, target, key, task_id, task.repository or "")
        )
        content = cell.vault.get(reference, subject=task_id)
        cell.door.observe(permit, "read", {"kind": kind, "size_bytes": len(content)})
        return content

    def sweep(self) -> int:
        """See `greylag.delivery.desk.sweeping.sweep`."""
        return sweep(self._cell, self._engine)
