"""Agent: a harness that works on an assignment inside a sandbox."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from greylag.adapters.models.port import Session
from greylag.adapters.sandbox.port import Limits, Mount, Probe, Sandbox


@dataclass(frozen=True, slots=True)
class VerifyAnswer:
    """What the `verify` tool tells the agent: short, parsed, bounded."""

    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Steer:
    """Something more for an agent at work: ``text`` as it is told; ``heard`` is awaited once the harness has taken it.

    What a harness never took is not `heard`: it is told by the prompt of a later run.
    """

    text: str
    heard: Callable[[], Awaitable[None]]


#: How much can be said to one run while it works; what comes after waits for the next one.
STEERS_A_RUN = 20


def nothing_more() -> "asyncio.Queue[Steer]":
    """Return an empty `Assignment.more`."""
    return asyncio.Queue(STEERS_A_RUN)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One run's work. ``command`` is the program of the ``command`` and ``acp`` agents (empty for the others).

    ``progress`` gets one cleaned line per milestone; ``stop`` is set when a person stops the task; ``verify`` runs the
    host's verifiers on the workspace as it stands (None where the agent can't call tools). ``more`` is what is said
    while it works, for agents that hear: none of it that lies there when the work would end is left untold.
    """

    task_id: str
    run_id: str
    prompt: str
    workspace: Path
    sandbox: Sandbox
    limits: Limits
    progress: Callable[[str], Awaitable[None]]
    stop: asyncio.Event
    command: tuple[str, ...] = ()
    model: str = ""
    max_turns: int = 60
    session: Session | None = None
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    verify: Callable[[], Awaitable[VerifyAnswer]] | None = None
    more: "asyncio.Queue[Steer]" = field(default_factory=nothing_more)


@dataclass(frozen=True, slots=True)
class AgentResult:
    """How the agent stopped: ``outcome`` ∈ finished, stopped, failed; ``transcript`` is bounded UTF-8 JSON lines."""

    outcome: str
    detail: str
    transcript: bytes


class Agent(Protocol):
    """A harness. ``needs_model`` says whether it must be given a gateway session; ``hears``, whether it takes `Steer`s.

    An agent that doesn't hear leaves ``Assignment.more`` alone.
    """

    name: str
    needs_model: bool
    hears: bool

    async def probe(self) -> Probe:
        """Say whether the harness can be started here, and which version."""
        ...

    async def work(self, assignment: Assignment) -> AgentResult:
        """Work until done, stopped or out of bounds. Raises only GreylagError; the workspace holds what was done."""
        ...
