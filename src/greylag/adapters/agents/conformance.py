"""What every agent must do, tried for real: by the tests over each backend, and by ``greylag doctor`` on this machine.

An act is a shell script that the agent is made to run: by a scripted model, a scripted agent, or because the program
is a shell. What the agent says is not asked; what is left in the workspace is.
"""

import asyncio
import json
import os
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from greylag.adapters.agents.cleaning import display_line
from greylag.adapters.agents.port import Agent, AgentResult, Assignment, Steer, nothing_more
from greylag.adapters.agents.transcript import TRANSCRIPT_BYTES

STOP_WITHIN_SECONDS = 12.0
_START_WITHIN_SECONDS = 60.0
_BEAT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Act:
    """Something the agent is made to do. With ``fails`` the work itself must break off with an error."""

    name: str
    script: str
    fails: bool = False


EDIT = Act("edit", "printf 'edited\\n' > edited.txt")
WAIT = Act("wait", f"(while :; do echo >> beats.txt; sleep {_BEAT_SECONDS}; done) & sleep 600")
FAIL = Act("fail", "exit 3", fails=True)
LOOK = Act("look", "{ env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; } > seen.txt; echo looked")
ACTS = (EDIT, WAIT, FAIL, LOOK)

Stage = Callable[[Act], AbstractAsyncContextManager[Assignment]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise and whether it was kept; ``detail`` says what was seen instead."""

    promise: str
    kept: bool
    detail: str = ""


async def check_agent(agent: Agent, stage: Stage) -> tuple[Finding, ...]:
    """Return the findings for ``agent``; ``stage`` sets up an assignment in which it carries out the act it is given.

    Takes some seconds. Puts a made-up secret into this process's environment for the time of one act.
    """
    return (*await _edits(agent, stage), *await _hears(agent, stage), *await _stops(agent, stage),
            *await _fails(agent, stage), *await _sees_nothing(agent, stage))  # fmt: skip


async def _edits(agent: Agent, stage: Stage) -> tuple[Finding, ...]:
    lines: list[str] = []

    async def note(line: str) -> None:
        lines.append(line)

    async with stage(EDIT) as assignment:
        result = await agent.work(replace(assignment, progress=note))
        content = _read(assignment.workspace / "edited.txt")
    return (
        Finding("finishes", result.outcome == "finished", _told(result)),
        Finding("edits the workspace", content == "edited\n", f"edited.txt holds {content!r}; {_told(result)}"),
        Finding("tells only clean lines", all(line and line == display_line(line) for line in lines), repr(lines)),
        Finding("keeps a bounded transcript of JSON lines", _is_transcript(result.transcript), _told(result)),
    )


async def _hears(agent: Agent, stage: Stage) -> tuple[Finding, ...]:
    more, heard = nothing_more(), [0]

    async def note() -> None:
        heard[0] += 1

    more.put_nowait(Steer("say I have heard it", note))
    async with stage(EDIT) as assignment:
        result = await agent.work(replace(assignment, more=more))
    taken = (heard[0], more.qsize())
    promise = "takes once what is said while it works" if agent.hears else "leaves alone what it can't be told"
    kept = result.outcome == "finished" and taken == ((1, 0) if agent.hears else (0, 1))
    return (Finding(promise, kept, f"heard {taken[0]} times, {taken[1]} left; {_told(result)}"),)


async def _stops(agent: Agent, stage: Stage) -> tuple[Finding, ...]:
    async with stage(WAIT) as assignment:
        beats = assignment.workspace / "beats.txt"
        working = asyncio.create_task(agent.work(assignment))
        try:
            started = await _appears(beats, working)
            assignment.stop.set()
            since = time.monotonic()
            await asyncio.wait({working}, timeout=STOP_WITHIN_SECONDS)
            took = time.monotonic() - since
            stopped = working.done() and working.result().outcome == "stopped"
            before = _read(beats)
            await asyncio.sleep(_BEAT_SECONDS * 6)
            quiet = _read(beats) == before
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
    told = _told(working.result()) if stopped else f"not after {took:.1f} s"
    return (
        Finding("starts what it is asked to", started, "beats.txt never appeared"),
        Finding("stops within seconds", stopped, told),
        Finding("leaves no process behind", started and quiet, "something still writes to beats.txt"),
    )


async def _fails(agent: Agent, stage: Stage) -> tuple[Finding, ...]:
    async with stage(FAIL) as assignment:
        result = await agent.work(assignment)
    return (Finding("reports failure in words", result.outcome == "failed" and bool(result.detail), _told(result)),)


async def _sees_nothing(agent: Agent, stage: Stage) -> tuple[Finding, ...]:
    name, canary = "GREYLAG_CONFORMANCE_CANARY", secrets.token_hex(16)
    async with stage(LOOK) as assignment:
        os.environ[name] = canary  # what a careless start of a program would hand on
        try:
            result = await agent.work(assignment)
        finally:
            del os.environ[name]
        seen = _read(assignment.workspace / "seen.txt")
    return (
        Finding("looks at its environment", "PATH=" in seen, f"seen.txt holds {seen[:100]!r}; {_told(result)}"),
        Finding("has nothing of the host's environment", canary not in seen, f"{name} was seen inside"),
    )


async def _appears(file: Path, working: asyncio.Task[AgentResult]) -> bool:
    end = time.monotonic() + _START_WITHIN_SECONDS
    while not _read(file) and not working.done() and time.monotonic() < end:
        await asyncio.wait({working}, timeout=_BEAT_SECONDS)
    return bool(_read(file))


def _read(file: Path) -> str:
    with suppress(FileNotFoundError):
        return file.read_text(encoding="utf-8", errors="replace")
    return ""


def _is_transcript(transcript: bytes) -> bool:
    try:
        entries = [json.loads(line) for line in transcript.splitlines()]
    except ValueError:
        return False
    return bool(entries) and len(transcript) <= TRANSCRIPT_BYTES + 1024 and all(type(one) is dict for one in entries)


def _told(result: AgentResult) -> str:
    return f"outcome {result.outcome!r}: {result.detail}"
