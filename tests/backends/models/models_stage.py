"""A gateway with a real socket, a ledger one can read and break, and an Anthropic-shaped server on loopback."""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from greylag.adapters.models.backends.anthropic import AnthropicUpstream
from greylag.adapters.models.conformance import post
from greylag.adapters.models.gateway import LocalGateway
from greylag.adapters.models.port import Price, RunGrant, Session, TurnReceipt
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.egress.door import Door
from greylag.egress.http import HttpBounds, HttpDoor
from greylag.governance.question import Question, Verdict
from tests.support.sight import PlainSight

ENDPOINT = "eu-model"
KEY = "sk-the-platforms-own-key"
MODEL = "claude-test-1"
# $3 and $15 per million tokens, as whole millionths.
PRICE = Price(3_000_000, 15_000_000, 300_000, 3_750_000, "test list", 6_000_000)


class RealClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def entropy(self, size_bytes: int) -> bytes:
        return secrets.token_bytes(size_bytes)


@dataclass
class LevelPolicy:
    """Permits everything below `restricted`; ``broken`` makes it raise."""

    broken: bool = False
    questions: list[Question] = field(default_factory=list)

    def decide(self, question: Question) -> Verdict:
        self.questions.append(question)
        if self.broken:
            raise RuntimeError("the policy engine is gone")
        if question.asset.label.level == "restricted":
            return Verdict(False, ("no-restricted",), ("it would leave",), ("choose another endpoint.",), (), "v1")
        return Verdict(True, ("allow",), (), (), (), "v1")


@dataclass
class ListLedger:
    """``fails_on`` names the kinds of entries that can't be written."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    fails_on: Mapping[str, Exception] = field(default_factory=dict)

    def append(self, entry: Mapping[str, object], *, key: str) -> int:
        error = self.fails_on.get(str(entry["kind"]))
        if error is not None:
            raise error
        self.entries.append({**entry, "key": key})
        return len(self.entries) - 1

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["kind"] == kind]


@dataclass
class Hall:
    """A gateway in front of ``upstreams`` and everything that was seen around it."""

    gateway: LocalGateway
    policy: LevelPolicy
    ledger: ListLedger
    receipts: list[TurnReceipt] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def grant(self, **changes: Any) -> RunGrant:
        grant = RunGrant(
            task_id="task_1", run_id=f"run_{next(self.numbers)}", region="eu", endpoint=ENDPOINT,
            label=Label("internal"), cap_usd_micros=5_000_000, spent_usd_micros=0, max_calls=50, on_turn=self.keep,
        )  # fmt: skip
        return replace(grant, **changes)

    async def keep(self, receipt: TurnReceipt) -> None:
        self.receipts.append(receipt)

    @contextlib.asynccontextmanager
    async def run(self, **changes: Any) -> AsyncIterator["Run"]:
        grant = self.grant(**changes)
        run = Run(self, grant, await self.gateway.open(grant))
        try:
            yield run
        finally:
            await self.gateway.close(grant.run_id)


@dataclass
class Run:
    hall: Hall
    grant: RunGrant
    session: Session

    async def ask(self, *, path: str = "/v1/messages", **fields: Any) -> tuple[int, bytes]:
        return await post(self.session, path, body(**fields))

    async def close(self) -> None:
        await self.hall.gateway.close(self.grant.run_id)


def body(**fields: Any) -> bytes:
    request = {
        "model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": "hello"}], **fields,
    }  # fmt: skip
    return msgspec.json.encode({name: value for name, value in request.items() if value is not ...})


def sse(*events: tuple[str, dict[str, Any]]) -> bytes:
    return b"".join(
        f"event: {name}\ndata: ".encode() + msgspec.json.encode({"type": name, **data}) + b"\n\n"
        for name, data in events
    )


def stream_of(text: str = "hi", *, input_tokens: int = 100, output_tokens: int = 20, **usage: Any) -> bytes:
    """A whole streamed answer as the real endpoint writes one."""
    start_usage = {"input_tokens": input_tokens, "output_tokens": 1, **usage}
    return sse(
        ("message_start", {"message": {"id": "msg_1", "role": "assistant", "content": [], "usage": start_usage}}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("ping", {}),
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": output_tokens}}),
        ("message_stop", {}),
    )


@dataclass
class Stub:
    """An Anthropic-shaped server: checks the key, records what came, answers what it was told to."""

    url: str = ""
    seen: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    answer: Callable[[web.Request, dict[str, Any]], Any] | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        fields = msgspec.json.decode(await request.read())
        self.seen.append(({name.lower(): value for name, value in request.headers.items()}, fields))
        if request.headers.get("x-api-key") != KEY:
            error = {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}
            return web.json_response(error, status=401)
        try:
            if self.answer is not None:
                return await self.answer(request, fields)
            if fields.get("stream"):
                return await self.stream(request, [stream_of()])
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise
        usage = {"input_tokens": 100, "output_tokens": 20, "inference_geo": "us"}
        return web.json_response({"type": "message", "content": [{"type": "text", "text": "hi"}], "usage": usage})

    async def stream(
        self, request: web.Request, parts: list[bytes], *, pause: float = 0, cut: bool = False
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(pause)
        if cut:
            assert request.transport is not None
            request.transport.abort()
        return response


def anthropic(stub: Stub, key: str = KEY, **bounds: Any) -> AnthropicUpstream:
    door = HttpDoor(stub.url, Stage.PROMPT, ENDPOINT, bounds=HttpBounds(**bounds) if bounds else None)
    return AnthropicUpstream(ENDPOINT, door, key, lambda model: PRICE if model.startswith("claude") else None)


def hall_of(upstream: Any, socket_dir: Path, **named: Any) -> Hall:
    policy, ledger = LevelPolicy(), ListLedger()
    door = Door(policy, ledger, RealClock(), "eu")
    return Hall(
        LocalGateway({ENDPOINT: upstream}, door, RealClock(), socket_dir, **({"sight": PlainSight()} | named)),
        policy,
        ledger,
    )
