"""One attempt: a fresh workspace, an agent in a sandbox, and what the platform reads out of it afterwards."""

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path

from greylag.adapters.agents.port import Agent, AgentResult, Assignment, VerifyAnswer
from greylag.adapters.forge.port import Capture
from greylag.adapters.models.port import RunGrant, Session, TurnReceipt
from greylag.delivery.briefing import asked_of
from greylag.delivery.cell import PLATFORM, Cell, digest_of, label_of
from greylag.delivery.checking import Candidate, check, clean_checkout
from greylag.delivery.prompts import VERSION, Attached, FollowUp, compose, steered
from greylag.delivery.steering.hearing import Messenger
from greylag.delivery.steering.heartbeat import doing, slot
from greylag.delivery.steering.stopping import interruption, watch_for_stop, why_stopped
from greylag.domain import events as ev
from greylag.domain.errors import BackendError, GreylagError, RequestRefused
from greylag.domain.ids import ChangeId, RunId, TaskId, derived_id
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.domain.states import RunStatus
from greylag.domain.task import Run, Task
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target

_ENDED_BY_WORD = AgentResult("stopped", "it was ended by a person's word while the platform was away", b"")


@dataclass(frozen=True, slots=True)
class Try:
    """Which attempt this is. With ``fresh`` it begins at the default branch's head, without the last change."""

    round: int
    attempt: int
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class _Start:
    run: Run
    base_commit: str
    patch: bytes
    prompt: str


async def attempt(cell: Cell, task_id: TaskId, which: Try) -> str:
    """Let the agent work once; answer ``finished`` or ``failed``. Safe to run again after a crash.

    Where a person's word ended it, answer why: ``stopped``, ``replaced`` or ``taken_over``.
    """
    task = await cell.task(task_id)
    run_id = run_id_of(task_id, which)
    known = next((run for run in task.runs if run.run_id == run_id), None)
    if known is not None and known.status is RunStatus.STOPPED:
        return interruption(task) or "stopped"
    if known is not None and known.status is not RunStatus.STARTED:
        return "failed" if known.status is RunStatus.FAILED else "finished"
    why = interruption(task)
    if why and not (why == "replaced" and known is None and which.attempt == 1):  # that round begins with what was said
        return await _end(cell, task, run_id, _ENDED_BY_WORD) if known is not None else why
    if known is not None and any(change.run_id == run_id for change in task.changes):
        # The agent had ended and its change was taken; it must not begin again on top of it.
        last = AgentResult("finished", "its last words were lost when the platform stopped", b"")
        return await _end(cell, task, run_id, last)
    repository = await cell.repository(task)
    start = await _begin(cell, task, which, known, repository)
    folder = cell.workspaces / task_id / run_id
    try:
        candidate = Candidate(start.base_commit, start.patch)
        await clean_checkout(cell, task, candidate, folder, f"workspace/{run_id}")
        async with slot(cell, "the agent works"):
            result = await _work(cell, task, repository, start, folder)
        return await _finish(cell, task, start, folder, result)
    finally:
        cell.sandbox.discard(folder)


def run_id_of(task_id: TaskId, which: Try) -> RunId:
    """Return the id of an attempt: the same attempt always has the same one."""
    return RunId(derived_id("run", task_id, str(which.round), str(which.attempt)))


async def _begin(cell: Cell, task: Task, which: Try, known: Run | None, repository: Repository) -> _Start:
    base, patch = await _starting_point(cell, task, which, repository)
    if known is not None:
        return _Start(known, known.base_commit, patch, await _prompt_again(cell, task, known))
    follow_ups = await _follow_ups(cell, task)
    report = ""
    last = task.run
    if patch and last is not None and last.status is RunStatus.TURNED_BACK and last.report is not None:
        report = (await cell.fetch(task, last.report)).decode()
    run_id = run_id_of(task.task_id, which)
    prompt = compose(
        await asked_of(cell, task), which=f"round {which.round}, attempt {which.attempt}", holds_change=bool(patch),
        follow_ups=follow_ups, report=report, attached=await _attached(cell, task, repository, run_id),
    )  # fmt: skip
    kept = await cell.keep_input(task, prompt.encode(), "prompt", key=f"prompt/{run_id}")
    task = await cell.task(task.task_id)
    await _admit_prompt(cell, task, kept.digest, kept.size_bytes, f"context/{run_id}")
    started = ev.RunStarted(run_id, which.round, which.attempt, base, kept, VERSION, len(follow_ups))
    await cell.record(task.task_id, started, f"started/{run_id}")
    run = next(run for run in (await cell.task(task.task_id)).runs if run.run_id == run_id)
    return _Start(run, base, patch, prompt)


async def _follow_ups(cell: Cell, task: Task) -> list[FollowUp]:
    return [
        FollowUp(by, (await cell.fetch(task, said)).decode(), mode == "replace")
        for by, said, mode in zip(task.follow_up_authors, task.follow_ups, task.follow_up_modes, strict=True)
    ]


async def _prompt_again(cell: Cell, task: Task, run: Run) -> str:
    """Return the prompt of a run that the platform's end cut off, with what its agent had been told since."""
    prompt = (await cell.fetch(task, run.prompt)).decode()
    told = (await _follow_ups(cell, task))[run.prompted : run.follow_ups]
    if not told:
        return prompt
    prompt = "\n".join([prompt, *(steered(said, task.requester) for said in told)])
    key = f"context/{run.run_id}/again/{run.follow_ups}"
    await _admit_prompt(cell, task, digest_of(prompt.encode()), len(prompt.encode()), key)
    return prompt


async def _admit_prompt(cell: Cell, task: Task, digest: str, size_bytes: int, key: str) -> None:
    asset = Asset("prompt", label_of(task), cell.region, digest, size_bytes)
    target = Target("sandbox", cell.sandbox.name)
    await cell.admit(Hop(Stage.CONTEXT, PLATFORM, "tell", asset, target, key, task.task_id, task.repository or ""))


async def _attached(cell: Cell, task: Task, repository: Repository, run_id: RunId) -> list[Attached]:
    """Return what was attached, as far as policy lets it into a prompt for the task's endpoint (stage ``context``)."""
    target = Target("endpoint", task.endpoint) if task.endpoint else Target("sandbox", cell.sandbox.name)
    found = []
    for number, (name, kept) in enumerate(zip(task.attachment_names, task.attachments, strict=True)):
        content = await cell.fetch(task, kept)
        label = label_of(task).joined(cell.labeller.of_repository(repository, (name,)))
        asset = cell.asset("attachment", label, content, surfaces=("file_names",), people=(task.requester,))
        key = f"attachment/{run_id}/{number}"
        hop = Hop(Stage.CONTEXT, PLATFORM, "tell", asset, target, key, task.task_id, repository.name)
        passed = await asyncio.to_thread(cell.door.send, hop, content)
        task = await cell.relabel(task, passed.label)
        found.append(Attached(name, passed.content.decode("utf-8", "replace"), ", ".join(passed.applied)))
    return found


async def _starting_point(cell: Cell, task: Task, which: Try, repository: Repository) -> tuple[str, bytes]:
    rounds = {run.run_id: run.round for run in task.runs}
    change = task.change_so_far
    usable = change is not None and (not which.fresh or rounds.get(change.run_id) == which.round)
    if change is None or not usable:
        return await cell.forge.head(repository.name, repository.default_branch), b""
    return change.base_commit, await cell.fetch(task, change.diff)


async def _work(cell: Cell, task: Task, repository: Repository, start: _Start, folder: Path) -> AgentResult:
    agent = cell.agents[task.agent]
    tools = await cell.toolbox(repository)
    stop = asyncio.Event()
    assignment = await _assignment(cell, task, repository, start, folder)
    await cell.say(task, "progress", _opening(agent, start.run), f"begins/{start.run.run_id}")
    session = await _open_session(cell, task, start) if task.endpoint else None
    messenger = Messenger(cell, task.task_id, start.run, assignment.more)
    watchers = [asyncio.create_task(watch_for_stop(cell, task.task_id, stop))]
    if agent.hears:
        watchers.append(asyncio.create_task(messenger.watch()))
    assignment = replace(assignment, stop=stop, session=session, mounts=tools.mounts, env=tools.env)
    try:
        result = await agent.work(assignment)
    except GreylagError as error:
        if isinstance(error, BackendError) and error.transient:
            raise
        result = AgentResult("failed", str(error), b"")
    finally:
        for watcher in watchers:
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        if session is not None:
            await cell.gateway.close(start.run.run_id)
    if result.outcome != "stopped":
        await messenger.end()
    return result


def _opening(agent: Agent, run: Run) -> str:
    which = f"attempt {run.attempt}" + (f" of round {run.round}" if run.round > 1 else "")
    return f"{agent.name} begins, {which}"


async def _open_session(cell: Cell, task: Task, start: _Start) -> Session:
    run_id = start.run.run_id

    async def on_turn(receipt: TurnReceipt) -> None:
        event = ev.TurnSettled(
            run_id, receipt.number, receipt.endpoint, receipt.model, receipt.input_tokens, receipt.output_tokens,
            receipt.cost_usd_micros, receipt.decision_id,
        )  # fmt: skip
        await cell.record(task.task_id, event, f"turn/{run_id}/{receipt.decision_id}")

    return await cell.gateway.open(
        RunGrant(
            task_id=task.task_id,
            run_id=run_id,
            region=cell.region,
            endpoint=task.endpoint,
            repository=task.repository or "",
            label=label_of(await cell.task(task.task_id)),
            cap_usd_micros=cell.bounds.cap_usd_micros,
            spent_usd_micros=task.cost_usd_micros,
            max_calls=cell.bounds.turns * 2,
            on_turn=on_turn,
        )
    )


async def _assignment(cell: Cell, task: Task, repository: Repository, start: _Start, folder: Path) -> Assignment:
    run_id = start.run.run_id
    lines = iter(range(cell.bounds.progress_lines))
    checks = iter(range(cell.bounds.turns))

    async def progress(line: str) -> None:
        number = next(lines, None)
        if number is not None:
            await cell.say(task, "progress", line, f"progress/{run_id}/{number}")

    async def verify() -> VerifyAnswer:
        number = next(checks, None)
        if number is None:
            return VerifyAnswer(False, "verify was called too often in this run.")
        asset = Asset("repository", label_of(task), cell.region)
        target = Target("sandbox", cell.sandbox.name)
        who, key = f"agent:{task.agent}", f"{run_id}/{number}"
        await cell.admit(Hop(Stage.TOOL, who, "verify", asset, target, key, task.task_id, repository.name))
        try:
            seen = await cell.forge.capture(repository.name, start.base_commit, folder, cell.bounds.capture)
        except RequestRefused as error:
            return VerifyAnswer(False, str(error))
        candidate = Candidate(start.base_commit, seen.patch, seen.tree, seen.files)
        with doing("the agent has the checks run"):
            report = await check(cell, task, repository, candidate, f"tool/{run_id}/{number}")
        return VerifyAnswer(report.passed, report.text())

    limits = replace(cell.bounds.sandbox, timeout_seconds=cell.bounds.run_seconds)
    command: tuple[str, ...] = ()
    if task.agent_command is not None:
        command = tuple(json.loads(await cell.fetch(task, task.agent_command)))
    return Assignment(
        task_id=task.task_id, run_id=run_id, prompt=start.prompt, workspace=folder, sandbox=cell.sandbox,
        limits=limits, progress=progress, stop=asyncio.Event(), command=command, model=cell.model,
        max_turns=cell.bounds.turns, verify=verify,
    )  # fmt: skip


async def _finish(cell: Cell, task: Task, start: _Start, folder: Path, result: AgentResult) -> str:
    if task.intent == "question":  # whatever it did to the workspace goes with it
        return await _end(cell, task, start.run.run_id, result)
    why = await why_stopped(cell, task.task_id) if result.outcome == "stopped" else ""
    if result.outcome == "finished" or why == "taken_over":  # who takes over goes on from what there is
        try:
            capture = await cell.forge.capture(task.repository or "", start.base_commit, folder, cell.bounds.capture)
            await _record_change(cell, task, start, capture)
        except RequestRefused as error:  # what it left can't be taken: its failure, and a person says how to go on
            outcome = "stopped" if why else "failed"
            result = replace(result, outcome=outcome, detail=str(error))
    return await _end(cell, task, start.run.run_id, result)


async def _end(cell: Cell, task: Task, run_id: RunId, result: AgentResult) -> str:
    transcript = None
    if result.transcript:
        transcript = await cell.keep(task, result.transcript, "transcript", key=f"transcript/{run_id}")
    if result.outcome == "finished" and result.detail and task.intent != "question":
        # Said first: what is recorded is not done again after a crash, and would never be told.
        await cell.say(task, "text", f"{task.agent}: {result.detail[:1500]}", f"summary/{run_id}")
    finished = ev.RunFinished(run_id, result.outcome, result.detail[:2000], transcript)
    await cell.record(task.task_id, finished, f"finished/{run_id}")
    return await why_stopped(cell, task.task_id) if result.outcome == "stopped" else result.outcome


async def _record_change(cell: Cell, task: Task, start: _Start, capture: Capture) -> None:
    run_id = start.run.run_id
    diff = await cell.keep(task, capture.patch, "diff", key=f"diff/{run_id}", media_type="text/x-diff")
    event = ev.ChangeCaptured(
        ChangeId(derived_id("chg", run_id, capture.tree)), run_id, start.base_commit, capture.tree, diff,
        capture.files, capture.added_lines, capture.removed_lines,
    )  # fmt: skip
    await cell.record(task.task_id, event, f"captured/{run_id}")
