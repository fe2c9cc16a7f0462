"""What every upstream and every gateway must do, as checks that run anywhere: in tests and in `greylag doctor`.

Against a paid endpoint the checks cost a few hundred tokens. They never raise for what they examine: each ends in a
`Finding`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from greylag.adapters.models.port import Gateway, ModelCall, ModelReply, RunGrant, Session, TurnReceipt, Upstream
from greylag.adapters.models.reply.usage import UsageReader, usage_of
from greylag.domain.errors import GreylagError, IntegrityError, RequestRefused
from greylag.egress.permit import Permit

_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """How one check ended; ``detail`` says what was seen where it did not pass."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamSubject:
    """An upstream to examine. ``admit`` returns a permit for exactly these bytes towards it.

    ``model`` is one it has; ``prompt`` is answered with text alone.
    """

    upstream: Upstream
    admit: Callable[[bytes], Permit]
    model: str
    prompt: str


@dataclass(frozen=True, slots=True)
class GatewaySubject:
    """A gateway to examine. ``grant`` is a generous one: the checks vary it and put in their own ``on_turn``.

    ``denied`` is a grant that policy refuses, None to leave that check out.
    """

    gateway: Gateway
    grant: RunGrant
    model: str
    prompt: str
    denied: RunGrant | None = None


class _Unmet(Exception):
    """A promise that was not kept."""


async def examine_upstream(subject: UpstreamSubject) -> tuple[Finding, ...]:
    """Try every promise of `Upstream` and return one finding for each."""
    checks: dict[str, Callable[[UpstreamSubject], Awaitable[None]]] = {
        "prices its model": _prices, "answers plainly": _answers, "streams": _streams,
        "refuses a permit for other bytes": _wants_permit, "lets go when closed early": _closes_early,
    }  # fmt: skip
    return tuple([await _tried(name, check(subject)) for name, check in checks.items()])


async def examine_gateway(subject: GatewaySubject) -> tuple[Finding, ...]:
    """Try every promise of `Gateway` and return one finding for each."""
    checks: dict[str, Callable[[GatewaySubject], Awaitable[None]]] = {
        "relays a plain answer": _relays_plain, "relays a stream": _relays_stream, "wants the token": _wants_token,
        "says no to unknown paths": _unknown_path, "counts tokens by itself": _counts,
        "refuses what is no request": _refuses_garbage, "refuses an unknown price": _refuses_price,
        "holds the number of calls": _holds_calls, "holds the budget": _holds_budget,
        "holds policy": _holds_policy, "carries a call of the platform's own": _completes,
        "forgets a closed run": _forgets,
    }  # fmt: skip
    return tuple([await _tried(name, check(subject)) for name, check in checks.items()])


async def _tried(name: str, check: Awaitable[None]) -> Finding:
    try:
        async with asyncio.timeout(_SECONDS):
            await check
    except (_Unmet, GreylagError, OSError, TimeoutError, ValueError, LookupError) as error:
        return Finding(name, False, f"{type(error).__name__}: {error}"[:500])
    return Finding(name, True)


def _want(met: bool, what: str) -> None:
    if not met:
        raise _Unmet(what)


def _body(model: str, prompt: str, *, stream: bool) -> bytes:
    return msgspec.json.encode({
        "model": model, "max_tokens": 64, "stream": stream,
        "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
        "tools": [{"name": "noop", "description": "Does nothing.", "input_schema": {"type": "object"}}],
    })  # fmt: skip


# --- Upstream


async def _sent(subject: UpstreamSubject, *, stream: bool) -> ModelReply:
    body = _body(subject.model, subject.prompt, stream=stream)
    call = ModelCall("/v1/messages", subject.model, body, {}, 64, stream)
    return await subject.upstream.send(subject.admit(body), call)


async def _prices(subject: UpstreamSubject) -> None:
    _want(subject.upstream.price(subject.model) is not None, f"no price for {subject.model!r}")
    _want(subject.upstream.price("no-such-model") is None, "a price for a model that does not exist")


async def _answers(subject: UpstreamSubject) -> None:
    reply = await _sent(subject, stream=False)
    body = b"".join([chunk async for chunk in reply.chunks])
    _want(reply.status == 200, f"status {reply.status}: {body[:200]!r}")
    _want(usage_of(body) is not None, f"no usage in {body[:200]!r}")


async def _streams(subject: UpstreamSubject) -> None:
    reply, reader, last = await _sent(subject, stream=True), UsageReader(), b""
    async for chunk in reply.chunks:
        reader.feed(chunk)
        last = (last + chunk)[-200:]
    _want(reply.status == 200, f"status {reply.status}")
    _want(reply.headers.get("content-type", "").startswith("text/event-stream"), f"headers {dict(reply.headers)!r}")
    _want(reader.complete and b"message_stop" in last, f"the stream ended with {last!r}")


async def _wants_permit(subject: UpstreamSubject) -> None:
    body = _body(subject.model, subject.prompt, stream=False)
    call = ModelCall("/v1/messages", subject.model, body, {}, 64, stream=False)
    try:
        reply = await subject.upstream.send(subject.admit(body + b" "), call)
    except IntegrityError as error:
        _want(error.code == "GL-EGRESS-001", f"refused with {error.code}")
        return
    await reply.chunks.aclose()
    raise _Unmet("bytes went out that the permit was not for")


async def _closes_early(subject: UpstreamSubject) -> None:
    reply = await _sent(subject, stream=True)
    await reply.chunks.__anext__()
    await reply.chunks.aclose()
    await reply.chunks.aclose()
    await _answers(subject)


# --- Gateway


class _Run:
    """One opened run, as its harness and its receipts see it."""

    def __init__(self, subject: GatewaySubject, **changes: Any) -> None:
        self.receipts: list[TurnReceipt] = []
        self._subject = subject
        self.grant = replace(subject.grant, on_turn=self._keep, **changes)
        self.session: Session

    async def __aenter__(self) -> "_Run":
        self.session = await self._subject.gateway.open(self.grant)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._subject.gateway.close(self.grant.run_id)

    async def _keep(self, receipt: TurnReceipt) -> None:
        self.receipts.append(receipt)

    async def ask(self, *, stream: bool = False, model: str = "", path: str = "/v1/messages") -> tuple[int, bytes]:
        body = _body(model or self._subject.model, self._subject.prompt, stream=stream)
        return await post(self.session, path, body)

    async def close(self) -> None:
        await self._subject.gateway.close(self.grant.run_id)


async def post(session: Session, path: str, body: bytes, *, token: str | None = None) -> tuple[int, bytes]:
    """POST ``body`` to a run's socket as its harness would, and return status and whole body."""
    reader, writer = await asyncio.open_unix_connection(str(session.socket))
    try:
        key = session.token if token is None else token
        head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n"
        writer.write(head.encode() + f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        head_bytes, _, rest = (await reader.read(-1)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    status = int(head_bytes.split(b" ", 2)[1]) if head_bytes else 0
    return status, _dechunked(rest) if b"transfer-encoding: chunked" in head_bytes.lower() else rest


def _dechunked(rest: bytes) -> bytes:
    body = bytearray()
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size or b"0", 16)
        body += rest[:length]
        rest = rest[length + 2 :]
    return bytes(body)


def _refused(answer: tuple[int, bytes], code: str) -> None:
    status, body = answer
    _want(status == 451 and code.encode() in body, f"wanted 451 {code}, got {status} {body[:200]!r}")
    _want(msgspec.json.decode(body)["type"] == "error", "the refusal is not in the protocol's shape")


async def _relays_plain(subject: GatewaySubject) -> None:
    async with _Run(subject) as run:
        status, body = await run.ask()
        await run.close()
    _want(status == 200 and usage_of(body) is not None, f"{status} {body[:200]!r}")
    _want([receipt.status for receipt in run.receipts] == [200], f"receipts {run.receipts!r}")


async def _relays_stream(subject: GatewaySubject) -> None:
    async with _Run(subject) as run:
        status, body = await run.ask(stream=True)
        await run.close()
    _want(status == 200 and b"event: message_stop" in body, f"{status} {body[-200:]!r}")
    _want(len(run.receipts) == 1 and run.receipts[0].output_tokens > 0, f"receipts {run.receipts!r}")


async def _wants_token(subject: GatewaySubject) -> None:
    async with _Run(subject) as run:
        body = _body(subject.model, subject.prompt, stream=False)
        for token in ("", "wrong", run.session.token[:-1]):
            status, _ = await post(run.session, "/v1/messages", body, token=token)
            _want(status == 401, f"status {status} for the token {token!r}")
        await run.close()
    _want(not run.receipts, f"receipts {run.receipts!r}")


async def _unknown_path(subject: GatewaySubject) -> None:
    async with _Run(subject) as run:
        status, body = await run.ask(path="/v1/files")
        _want(status == 404 and msgspec.json.decode(body)["type"] == "error", f"{status} {body[:200]!r}")


async def _counts(subject: GatewaySubject) -> None:
    async with _Run(subject) as run:
        status, body = await run.ask(path="/v1/messages/count_tokens")
        _want(status == 200 and msgspec.json.decode(body)["input_tokens"] > 0, f"{status} {body[:200]!r}")
        await run.close()
    _want(not run.receipts, "counting left the machine")


async def _refuses_garbage(subject: GatewaySubject) -> None:
    async with _Run(subject) as run:
        for body in (b"", b"{", b"[]", b'{"model": 1}', b"\xff\xfe", b"[" * 100_000):
            _refused(await post(run.session, "/v1/messages", body), "GL-GATEWAY-004")
        await run.close()
    _want(not run.receipts, f"receipts {run.receipts!r}")


async def _refuses_price(subject: GatewaySubject) -> None:
    async with _Run(subject) as run:
        _refused(await run.ask(model="no-such-model"), "GL-BUDGET-002")
        await run.close()
    _want(not run.receipts, f"receipts {run.receipts!r}")


async def _holds_calls(subject: GatewaySubject) -> None:
    async with _Run(subject, max_calls=2) as run:
        answers = await asyncio.gather(*(run.ask() for _ in range(5)))
        await run.close()
    passed = [answer for answer in answers if answer[0] == 200]
    _want(len(passed) == 2, f"{len(passed)} of 5 calls passed a limit of 2")
    for answer in answers:
        if answer not in passed:
            _refused(answer, "GL-BUDGET-003")


async def _holds_budget(subject: GatewaySubject) -> None:
    async with _Run(subject, cap_usd_micros=10, spent_usd_micros=11) as run:
        _refused(await run.ask(), "GL-BUDGET-001")
        await run.close()
    _want(not run.receipts, f"receipts {run.receipts!r}")


async def _holds_policy(subject: GatewaySubject) -> None:
    if subject.denied is None:
        return
    run = _Run(replace(subject, grant=subject.denied))
    async with run:
        _refused(await run.ask(), "GL-POLICY-001")
        await run.close()
    _want(not run.receipts, f"receipts {run.receipts!r}")


async def _completes(subject: GatewaySubject) -> None:
    run = _Run(subject)
    answer = await subject.gateway.complete(run.grant, _body(subject.model, subject.prompt, stream=False))
    _want(usage_of(answer) is not None, f"no usage in {answer[:200]!r}")
    _want([each.number for each in run.receipts] == [1], f"receipts {run.receipts!r}")
    poor = _Run(subject, cap_usd_micros=10, spent_usd_micros=11)
    try:
        await subject.gateway.complete(poor.grant, _body(subject.model, subject.prompt, stream=False))
    except RequestRefused as error:
        _want(error.code == "GL-BUDGET-001" and not poor.receipts, f"refused with {error.code}, {poor.receipts!r}")
        return
    raise _Unmet("a call without money was carried out")


async def _forgets(subject: GatewaySubject) -> None:
    async with _Run(subject) as run:
        await run.close()
        _want(not run.session.socket.exists(), f"`{run.session.socket}` is still there")
