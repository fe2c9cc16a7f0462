"""The order of the stages, and nothing else. What the stages know of each other stands here.

The function runs again from the top after a crash; the engine gives back what finished steps answered, so it
branches on those answers alone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from greylag.adapters.engine.port import Flow
from greylag.delivery.cell import Cell
from greylag.delivery.stages.answer import give_answer, tell
from greylag.delivery.stages.attempt import Try, attempt
from greylag.delivery.stages.build import build
from greylag.delivery.stages.closing import cancel, expire, fail, finish_release, retain
from greylag.delivery.stages.gate import gate, hand_over
from greylag.delivery.stages.intake import give_up_asking, intake, read_answer
from greylag.delivery.stages.merge import merge, remake
from greylag.delivery.stages.placement import place
from greylag.delivery.stages.release import release
from greylag.delivery.stages.review import request_review
from greylag.delivery.stages.waiting import look
from greylag.delivery.stages.without_agent import settle_take_over, take_as_it_stands, take_by_hand
from greylag.delivery.steering.heartbeat import Heartbeat
from greylag.domain.errors import BackendError, GreylagError, IntegrityError
from greylag.domain.ids import TaskId

_log = logging.getLogger(__name__)
_TRIES = 3
_BACKOFF_SECONDS = 2.0
_LONGEST_BACKOFF_SECONDS = 30.0

#: What breaks a round off: its end, a person who takes over, a word that drops it.
_BROKEN_OFF = ("ended", "taken_over", "replaced")
#: What the heartbeat says of a step, by its first word; stages say it more exactly.
_WORDS = {
    "intake": "reading the request", "placement": "finding a place to work", "attempt": "getting ready to work",
    "gate": "getting ready to check", "build": "getting ready to build", "review": "preparing the review",
    "merge": "merging", "remake": "making the change again on top", "by": "taking in what was handed back",
    "release": "releasing", "retain": "tidying up",
}  # fmt: skip

Work = Callable[[], Awaitable[str]]


def deliver(cell: Cell) -> Callable[[Flow], Awaitable[None]]:
    """Return the workflow of ``cell``: one call leads one task from the message to its end."""

    async def workflow(flow: Flow) -> None:
        await _Story(cell, flow).tell()

    return workflow


class _Story:
    """One task's way through the stages; holds no state that a replay would not make again."""

    def __init__(self, cell: Cell, flow: Flow) -> None:
        self._cell = cell
        self._flow = flow
        self._id: TaskId = flow.task_id
        self._heartbeat = Heartbeat(cell, flow.task_id)

    async def tell(self) -> None:
        """Lead the task from the message to its end."""
        cell, task = self._cell, self._id
        if await self._enter() and await self._agree():
            await self._release()
        await self._step("retain", lambda: retain(cell, task))

    async def _step(self, name: str, work: Work) -> str:
        """Run one durable step; an error that can't be waited out ends the task in the open: ``ended``.

        Where not even that can be said (the ledger is away), the task waits until it can.
        """
        return await self._flow.step(name, lambda: self._heard(name, work))

    async def _heard(self, name: str, work: Work) -> str:
        async with self._heartbeat.during(_WORDS.get(name.partition(" ")[0], "at work")):
            return await self._guarded(name, work)

    async def _guarded(self, name: str, work: Work) -> str:
        tries = 0
        while True:
            tries += 1
            try:
                return await work()
            except GreylagError as error:
                cause = error
            except Exception as error:  # noqa: BLE001 - the last line: an accepted request never ends in silence
                _log.exception("step %s of %s", name, self._id)
                cause = _defect(name, error)
            if tries >= _TRIES or not (isinstance(cause, BackendError) and cause.transient):
                try:
                    return await fail(self._cell, self._id, cause)
                except GreylagError as error:
                    _log.error("step %s of %s waits, for its end can't be said: %s", name, self._id, error)
            await asyncio.sleep(min(_BACKOFF_SECONDS * tries, _LONGEST_BACKOFF_SECONDS))

    async def _enter(self) -> bool:
        """Intake and placement; False where the task has ended."""
        cell, task = self._cell, self._id
        answer = await self._step("intake", lambda: intake(cell, task))
        while answer == "asked":
            seen = await self._step("look", lambda: look(cell, task))
            if seen == "ended":
                return False
            if seen.startswith("waiting"):
                await self._flow.wait(float(seen.removeprefix("waiting ")))
            elif seen != "stop":
                await self._step("unanswered", lambda: give_up_asking(cell, task))
                return False
            answer = await self._step("answer", lambda: read_answer(cell, task))
            if answer == "received":
                answer = await self._step("intake", lambda: intake(cell, task))
        if answer == "status":
            await self._step("tell", lambda: tell(cell, task))
        if (
            answer not in ("accepted", "question")
            or await self._step("placement", lambda: place(cell, task)) == "ended"
        ):
            return False
        if answer == "question":
            await self._answer()
        return answer == "accepted"

    async def _answer(self) -> None:
        """Have the agent read and answer, once more where more was said meanwhile; the end of the task, either way."""
        cell, task = self._cell, self._id
        for number in range(1, cell.bounds.rounds + 1):
            which = Try(number, 1, fresh=True)
            outcome = await self._step(f"attempt {number}.1", lambda w=which: attempt(cell, task, w))  # type: ignore[misc]
            outcome = await self._unless_stopped(outcome)
            if outcome == "ended":
                return
            said = await self._step(f"answer {number}", lambda o=outcome: give_answer(cell, task, o))  # type: ignore[misc]
            if said != "more":
                return
        await self._step("rounds", lambda: fail(cell, task, _too_many(cell.bounds.rounds)))

    async def _agree(self) -> bool:
        """Rounds of work and review until an approved change is merged; False where the task has ended."""
        number, begins = 1, "work"
        while number <= self._cell.bounds.rounds:
            outcome = await self._round(number, begins)
            if outcome == "ended":
                return False
            number += 1
            begins = "work" if outcome == "replaced" else await self._next(outcome, number)
            if begins in ("ended", "merged"):
                return begins == "merged"
        await self._step("rounds", lambda: fail(self._cell, self._id, _too_many(self._cell.bounds.rounds)))
        return False

    async def _round(self, number: int, begins: str) -> str:
        """One round: an agent at ``work`` (``afresh``: without the last change), or only a ``check`` of what is."""
        if begins == "check":
            outcome = await self._checked(number, 1, last=True)
        else:
            outcome = await self._work(number, fresh=begins == "afresh")
        return await self._show() if outcome == "passed" else outcome

    async def _next(self, outcome: str, number: int) -> str:
        """Wait for a person; answer how round ``number`` begins, or ``merged`` or ``ended``."""
        cell, task = self._cell, self._id
        if outcome == "taken_over":
            await self._step("take over", lambda: settle_take_over(cell, task))
        said = await self._person()
        if said == "handed_back":
            taken = await self._unless_stopped(await self._step("by hand", lambda: take_by_hand(cell, task, number)))
            return taken if taken == "ended" else "check"  # where it can't be taken, the check says so
        if said != "approved":
            return "ended" if said == "ended" else "work"
        merged = await self._step("merge", lambda: merge(cell, task))
        if merged != "drifted":
            return "merged" if merged == "merged" else "ended"
        again = await self._step("remake", lambda: remake(cell, task, number))
        return {"ended": "ended", "finished": "check"}.get(again, "afresh")

    async def _work(self, number: int, *, fresh: bool) -> str:
        """One round of attempts: ``passed``, ``handed_over``, ``taken_over``, ``replaced`` or ``ended``."""
        cell, task = self._cell, self._id
        if number == 1:
            taken = await self._unless_stopped(await self._step("as it stands", self._without_agent))
            if taken != "agent":
                return await self._checked(1, 1, last=True) if taken == "finished" else "ended"
        verdict = "turned_back"
        for tried in range(1, cell.bounds.attempts + 1):
            which = Try(number, tried, fresh)
            outcome = await self._step(f"attempt {number}.{tried}", lambda w=which: attempt(cell, task, w))  # type: ignore[misc]
            outcome = await self._unless_stopped(outcome)
            if outcome == "failed":
                return await self._step("hand over", lambda: hand_over(cell, task))
            if outcome in _BROKEN_OFF:
                return outcome
            verdict = await self._checked(number, tried, last=tried == cell.bounds.attempts)
            if verdict != "turned_back":
                return verdict
        return verdict

    async def _without_agent(self) -> str:
        task = await self._cell.task(self._id)
        return await take_as_it_stands(self._cell, self._id) if task.intent == "release" else "agent"

    async def _checked(self, number: int, tried: int, *, last: bool) -> str:
        verdict = await self._step(f"gate {number}.{tried}", lambda: gate(self._cell, self._id, last=last))
        return await self._unless_stopped(verdict)

    async def _unless_stopped(self, outcome: str) -> str:
        """Return ``outcome``; where it is ``stopped``, end the task: ``ended``."""
        if outcome != "stopped":
            return outcome
        return await self._step("cancel", lambda: cancel(self._cell, self._id))

    async def _show(self) -> str:
        """Build and ask for review: ``in_review``, ``handed_over``, ``taken_over``, ``replaced`` or ``ended``."""
        cell, task = self._cell, self._id
        built = await self._unless_stopped(await self._step("build", lambda: build(cell, task)))
        if built == "failed":
            return await self._step("hand over", lambda: hand_over(cell, task, "the build failed, see above"))
        return built if built in _BROKEN_OFF else await self._step("review", lambda: request_review(cell, task))

    async def _person(self) -> str:
        """Wait for a person: ``approved``, ``follow_up``, ``handed_back`` or ``ended``."""
        cell, task = self._cell, self._id
        while True:
            seen = await self._step("look", lambda: look(cell, task))
            if seen.startswith("waiting"):
                await self._flow.wait(float(seen.removeprefix("waiting ")))
            elif seen == "stop":
                return await self._step("cancel", lambda: cancel(cell, task))
            elif seen == "taken_over":
                await self._step("take over", lambda: settle_take_over(cell, task))
            elif seen == "expired":
                return await self._step("expire", lambda: expire(cell, task))
            else:
                return seen

    async def _release(self) -> None:
        cell, task = self._cell, self._id
        names = await self._step("environments", self._environments)
        if names == "ended":
            return
        for name in names.split():
            outcome = await self._step(f"release {name}", lambda n=name: release(cell, task, n))  # type: ignore[misc]
            if outcome != "released":
                return
        if names:
            await self._step("finish", lambda: finish_release(cell, task))

    async def _environments(self) -> str:
        repository = await self._cell.repository(await self._cell.task(self._id))
        return " ".join(environment.name for environment in repository.environments)


def _too_many(rounds: int) -> GreylagError:
    return IntegrityError("GL-TASK-005", f"the task had {rounds} rounds.", "ask for what is left as a new task.")


def _defect(step: str, error: Exception) -> GreylagError:
    return IntegrityError(
        "GL-TASK-900",
        f"step `{step}` failed in a way nobody expected ({type(error).__name__}).",
        "the operator finds the cause in the log; ask again, nothing was done twice.",
    )
