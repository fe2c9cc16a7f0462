"""Hearing: what people add while an agent works is told to it, by a decision each, and what it really took is recorded.

What it did not take stays unread, and so begins the next round: nothing that was said is lost, nothing is told that
policy does not let into a prompt.
"""

import asyncio
import logging
from contextlib import suppress

from greylag.adapters.agents.port import STEERS_A_RUN, Steer
from greylag.delivery.cell import PLATFORM, Cell, digest_of, label_of
from greylag.delivery.prompts import FollowUp, steered
from greylag.domain import events as ev
from greylag.domain.errors import BackendError, PolicyRefused
from greylag.domain.ids import TaskId
from greylag.domain.stages import Stage
from greylag.domain.task import Run, Task
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target

_POLL_SECONDS = 0.5

_log = logging.getLogger(__name__)


class Messenger:
    """Brings the follow-ups of mode ``add`` to the agent of one run."""

    def __init__(self, cell: Cell, task_id: TaskId, run: Run, more: "asyncio.Queue[Steer]") -> None:
        self._cell = cell
        self._task_id = task_id
        self._run_id = run.run_id
        self._more = more
        self._known = run.follow_ups  # told by the prompt: so many from the first
        self._brought: set[int] = set()
        self._heard: set[int] = set()
        self._refused: set[int] = set()

    async def watch(self) -> None:
        """Bring what is said, as it is said; returns only when it is cancelled."""
        while True:
            with suppress(BackendError):  # a database that is away for a moment: what was said is still there later
                task = await self._cell.task(self._task_id)
                for index in range(self._known, len(task.follow_ups)):
                    if task.follow_up_modes[index] == "add" and index not in self._brought:
                        await self._bring(task, index)
            await asyncio.sleep(_POLL_SECONDS)

    async def end(self) -> None:
        """Say of all that was to be told and wasn't taken, or came too late to be brought, that it comes next."""
        task = await self._cell.task(self._task_id)
        meant = {index for index in range(self._known, len(task.follow_ups)) if task.follow_up_modes[index] == "add"}
        for index in sorted((meant | self._brought) - self._heard - self._refused):
            text = "The agent had ended before it could be told; what was said last comes next."
            await self._cell.say(task, "text", text, f"untold/{self._run_id}/{index}")

    async def _bring(self, task: Task, index: int) -> None:
        cell = self._cell
        if len(self._brought) >= STEERS_A_RUN:
            return
        by, words = task.follow_up_authors[index], (await cell.fetch(task, task.follow_ups[index])).decode()
        text = steered(FollowUp(by, words), task.requester)
        # Before it is told, so that no call which holds it is decided without what it is.
        cell.gateway.relabel(self._run_id, label_of(task))
        asset = Asset("prompt", label_of(task), cell.region, digest_of(text.encode()), len(text.encode()))
        target = Target("sandbox", cell.sandbox.name)
        key = f"context/{self._run_id}/{index}"
        self._brought.add(index)
        try:
            await cell.admit(
                Hop(Stage.CONTEXT, PLATFORM, "tell", asset, target, key, task.task_id, task.repository or "")
            )
        except PolicyRefused as error:
            self._refused.add(index)
            why = f"The agent is not told what was said last: {error.message}\nNext: {error.remedy} ({error.code})"
            await cell.say(task, "error", why, f"withheld/{self._run_id}/{index}")
            return

        async def heard() -> None:
            await self._note(index)

        self._more.put_nowait(Steer(text, heard))

    async def _note(self, index: int) -> None:
        """Say and record that the agent has it; counted is what it holds without a gap, from the first follow-up."""
        self._heard.add(index)
        task = await self._cell.task(self._task_id)
        # Said first: what is recorded is not done again after a crash, and would never be told.
        await self._cell.say(task, "text", "Told the agent.", f"told/{self._run_id}/{index}")
        count = self._known
        while count in self._heard:
            count += 1
        if count > self._known:
            self._known = count
            await self._cell.record(
                self._task_id, ev.RunSteered(self._run_id, count), f"steered/{self._run_id}/{count}"
            )
