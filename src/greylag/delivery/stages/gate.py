"""The gate: the host's verifiers on a clean checkout decide; the agent's words don't."""

import json

from greylag.delivery import hints
from greylag.delivery.cell import Cell
from greylag.delivery.checking import Candidate, check
from greylag.delivery.steering.heartbeat import slot
from greylag.delivery.steering.stopping import unless_stopped, why_stopped
from greylag.domain import events as ev
from greylag.domain.conversation import Offer
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.states import RunStatus
from greylag.domain.task import Change, Run, Task

_SHOWN_CHARACTERS = 1500


async def gate(cell: Cell, task_id: TaskId, *, last: bool) -> str:
    """Verify the newest run's change: ``passed``, ``turned_back`` or, when it was the ``last``, ``handed_over``.

    Where a person's word ended it meanwhile, answer why: ``stopped``, ``replaced`` or ``taken_over``.
    """
    task = await cell.task(task_id)
    run, change = task.run, task.change
    if run is None or change is None or change.run_id != run.run_id:
        why = run.detail if run is not None and run.status is RunStatus.FAILED else "the agent left nothing to check"
        return await hand_over(cell, task_id, why)
    if run.status is RunStatus.FINISHED:
        if await unless_stopped(cell, task_id, _verify(cell, task, run, change)) is None:
            return await why_stopped(cell, task_id)
        task = await cell.task(task_id)
        run = task.runs[-1]
    if run.status is RunStatus.PASSED:
        await cell.record(task_id, ev.ChangeVerified(change.change_id, change.tree), f"verified/{run.run_id}")
        return "passed"
    if not last:
        return "turned_back"
    tried = f"what {run.by.removeprefix('person:')} handed back" if run.by else f"{run.attempt} attempts"
    return await hand_over(cell, task_id, f"{tried} did not pass the verifiers: {run.detail}")


async def hand_over(cell: Cell, task_id: TaskId, reason: str = "") -> str:
    """Give the task to a person, who says how to go on or stops it; a wait costs nothing. Answer ``handed_over``.

    Without ``reason`` it is what the newest run ended with.
    """
    task = await cell.task(task_id)
    run = task.run
    why = (reason or (run.detail if run else "") or "no reason was given")[:2000]
    key = f"handed_over/{run.run_id if run else ''}"
    lines = (f"I need a person: {why[:_SHOWN_CHARACTERS]}", "Say how to go on, or stop it.", *hints.to_go_on(task_id))
    offers: tuple[Offer, ...] = (Offer("say", "Say how to go on"), Offer("stop", "Stop"))
    if task.intent == "release":
        mend = "It can't be released as it stands: have it mended first, as another task. Then stop this one."
        lines, offers = (lines[0], mend, *hints.to_stop(task_id)), (Offer("stop", "Stop"),)
    await cell.say(task, "error", "\n".join(lines), key, offers)
    await cell.record(task_id, ev.TaskHandedOver(why, run.report if run else None), key)
    return "handed_over"


async def _verify(cell: Cell, task: Task, run: Run, change: Change) -> bool:
    repository = await cell.repository(task)
    patch = await cell.fetch(task, change.diff)
    if patch or task.intent == "release":
        candidate = Candidate(change.base_commit, patch, change.tree, change.files)
        async with slot(cell, "checks run"):
            report = await check(cell, task, repository, candidate, f"gate/{run.run_id}")
        passed, text = report.passed, report.text()
    else:
        report, passed, text = None, False, "The agent changed nothing."
    kept = await cell.keep(task, text.encode(), "report", key=f"report/{run.run_id}")
    summary = text.strip().splitlines()[0][:300] if text.strip() else "no output"
    results: Reference | None = None
    names: tuple[str, ...] = ()
    if report is not None:
        names = tuple(result.name for result in report.results)
        raw = json.dumps([result.record() for result in report.results]).encode()
        results = await cell.keep(task, raw, "results", key=f"results/{run.run_id}", media_type="application/json")
    event = ev.RunVerified(run.run_id, change.tree, passed, summary, kept, names, results)
    verdict = "Verified on a clean checkout" if passed else "The verifiers turned it back"
    # Said first: what is recorded is not done again after a crash, and would never be told.
    await cell.say(task, "text", f"{verdict}: {text[:_SHOWN_CHARACTERS]}", f"checked/{run.run_id}")
    await cell.record(task.task_id, event, f"checked/{run.run_id}")
    return passed
