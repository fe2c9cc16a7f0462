"""Sets up assignments with real parts: sandbox, workspace, and where asked for the gateway and its scripted model."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from greylag.adapters.agents.port import Assignment, Steer, VerifyAnswer, nothing_more
from greylag.adapters.models.backends.cassette import Cassette
from greylag.adapters.models.backends.scripted import ScriptedUpstream
from greylag.adapters.models.gateway import LocalGateway
from greylag.adapters.models.port import ModelCall, ModelReply, RunGrant, Session, TurnReceipt
from greylag.adapters.sandbox.port import Limits, Mount, Sandbox
from greylag.domain.labels import Label
from greylag.egress.door import Door
from greylag.egress.permit import Permit
from greylag.governance.question import Question, Verdict
from tests.support.sight import PlainSight

ASSETS = Path(__file__).parents[2] / "assets"
ACP_AGENT = Mount(ASSETS / "acp_agent.py", "/opt/acp_agent.py")
ENDPOINT = "scripted"
MODEL = "scripted-model"


def cassette(*turns: Mapping[str, object], side: str = "a title") -> Cassette:
    """Return a cassette of one scene with ``turns``."""
    story = {"v": 1, "name": "test", "when": "", "side": {"say": side}, "scenes": [{"prompt": "", "turns": turns}]}
    return msgspec.convert(story, Cassette)


def shell(command: str) -> dict[str, object]:
    """Return a turn that runs ``command``."""
    return {"tools": [{"name": "shell", "command": command}]}


class Time:
    """The real clock and the real randomness."""

    def now(self) -> datetime:
        """Return the time, aware."""
        return datetime.now(UTC)

    def entropy(self, size_bytes: int) -> bytes:
        """Return random bytes."""
        return secrets.token_bytes(size_bytes)


@dataclass
class Rules:
    """A policy that says yes, or no to everything."""

    permitted: bool = True

    def decide(self, question: Question) -> Verdict:
        """Answer ``question``."""
        reasons = () if self.permitted else ("personal data may not leave the region",)
        return Verdict(self.permitted, ("test",), reasons, ("choose another endpoint.",), (), "1")


@dataclass
class Pages:
    """A ledger in memory."""

    entries: list[Mapping[str, object]] = field(default_factory=list)

    def append(self, entry: Mapping[str, object], *, key: str) -> int:
        """Keep ``entry``."""
        self.entries.append(entry)
        return len(self.entries) - 1


@dataclass
class Stage:
    """One workspace and what was told from it."""

    sandbox: Sandbox
    workspace: Path
    sockets: Path
    lines: list[str] = field(default_factory=list)
    turns: list[TurnReceipt] = field(default_factory=list)

    def assignment(self, **fields: Any) -> Assignment:
        """Return an assignment on the workspace."""
        self.sandbox.adopt(self.workspace)
        usual: dict[str, Any] = {
            "task_id": "task_1", "run_id": "run_1", "prompt": "Please fix it.", "workspace": self.workspace,
            "sandbox": self.sandbox, "limits": Limits(timeout_seconds=60), "progress": self._tell,
            "stop": asyncio.Event(),
        }  # fmt: skip
        return Assignment(**(usual | fields))

    @asynccontextmanager
    async def session(self, script: Sequence[Cassette], rules: Rules | None = None) -> AsyncIterator[Session]:
        """Open a run's session at a real gateway with a scripted model."""
        clock = Time()
        door = Door(rules or Rules(), Pages(), clock, "home")
        gateway = LocalGateway(
            {ENDPOINT: ScriptedUpstream(ENDPOINT, script)}, door, clock, self.sockets, sight=PlainSight()
        )
        grant = RunGrant("task_1", "run_1", "home", ENDPOINT, Label("internal"), 1_000_000, 0, 100, self._settle)
        try:
            yield await gateway.open(grant)
        finally:
            await gateway.shutdown()

    async def _tell(self, line: str) -> None:
        self.lines.append(line)

    async def _settle(self, receipt: TurnReceipt) -> None:
        self.turns.append(receipt)


class Said:
    """Things said to an agent at work, and which of them it took."""

    def __init__(self, *texts: str) -> None:
        self.more = nothing_more()
        self.heard: list[str] = []
        for text in texts:
            self.say(text)

    def say(self, text: str) -> None:
        """Say ``text``."""

        async def heard() -> None:
            self.heard.append(text)

        self.more.put_nowait(Steer(text, heard))


@contextmanager
def watched(bodies: list[bytes]) -> Iterator[None]:
    """Collect the body of every call that reaches a scripted model."""
    send = ScriptedUpstream.send

    async def noting(self: ScriptedUpstream, permit: Permit, call: ModelCall) -> ModelReply:
        bodies.append(call.body)
        return await send(self, permit, call)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptedUpstream, "send", noting)
        yield


def answering(*answers: VerifyAnswer | Exception) -> Callable[[], Awaitable[VerifyAnswer]]:
    """Return verifiers that give ``answers`` one after the other."""
    left = list(answers)

    async def verify() -> VerifyAnswer:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return verify
