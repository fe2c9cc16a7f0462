"""One model call from its reservation to its receipt: reserve, decide, send, relay, settle, in this order."""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from greylag.adapters.models.budget import OUTPUT_RESERVE_TOKENS, Budget, cost_usd_micros, estimated_tokens, worst_case
from greylag.adapters.models.port import (
    ModelCall,
    ModelReply,
    Price,
    Restorer,
    RunGrant,
    Sight,
    TurnReceipt,
    Upstream,
)
from greylag.adapters.models.reply.restoring import EventRestorer, restored_body
from greylag.adapters.models.reply.usage import Usage, UsageReader, usage_of
from greylag.adapters.models.request import Draft
from greylag.domain.errors import BackendError, GreylagError, IntegrityError, OperatorError, RequestRefused
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.egress.door import Door, Passed
from greylag.egress.hop import Hop
from greylag.egress.http import NOT_SENT
from greylag.egress.permit import Permit
from greylag.governance.question import Asset, Target

# What a harness puts into its prompts besides the conversation and the files it was asked to read.
PROMPT_SURFACES = ("branch", "commits", "file_names", "git_user", "os_version", "working_directory")

_WHOLE_REPLY_BYTES = 16 * 1024 * 1024
_PASSED_REPLY_HEADERS = ("content-type", "request-id", "retry-after", "x-should-retry")

_log = logging.getLogger(__name__)


class Delivery(Protocol):
    """Where an answer goes: the harness's side of the call."""

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status and headers."""
        ...

    async def chunk(self, data: bytes) -> None:
        """Send the next bytes; waits while the harness doesn't read."""
        ...

    async def end(self) -> None:
        """Say that this was all."""
        ...


@dataclass(frozen=True, slots=True)
class _Turn:
    """A call that has its money. ``output_tokens`` is how many of them the reserve holds.

    ``masked``: what leaves holds pseudonyms, so the reply is restored on its way back.
    """

    number: int
    call: ModelCall
    price: Price
    held_usd_micros: int
    input_tokens: int
    output_tokens: int
    masked: bool = False


@dataclass(slots=True)
class _Seen:
    """What has been seen of a call so far; filled while it runs, read when it settles."""

    sent: bool = False
    status: int = 0
    complete: bool = False
    whole: Usage | None = None
    reader: UsageReader = field(default_factory=UsageReader)

    @property
    def usage(self) -> Usage | None:
        return self.whole or self.reader.usage

    @property
    def outcome(self) -> str:
        if not self.sent:
            return "not_sent"
        return "sent" if self.complete else "broken_off"


class Turns:
    """Takes the calls of one run. Nothing of a call leaves without money held and a permit for exactly its bytes.

    ``nonce`` is fresh for each session, so that a call which really leaves a second time has a decision of its own.
    """

    def __init__(
        self, grant: RunGrant, upstream: Upstream, door: Door, sight: Sight, nonce: str, call_seconds: float
    ) -> None:
        self._grant = grant
        self._upstream = upstream
        self._door = door
        self._sight = sight
        self._nonce = nonce
        self._pseudonym = f"run-{hashlib.sha256(nonce.encode()).hexdigest()[:32]}"
        self._call_seconds = call_seconds
        self._budget = Budget(grant.cap_usd_micros, grant.spent_usd_micros, grant.max_calls)
        self._number = 0
        self._receipts = asyncio.Lock()
        self._settling: set[asyncio.Future[None]] = set()
        self.lost: str = ""

    async def take(self, draft: Draft, headers: Mapping[str, str], delivery: Delivery) -> None:
        """Carry one call through and deliver its answer.

        Raises RequestRefused ``GL-BUDGET-001`` (the cap), ``-002`` (no price), ``-003`` (too many calls), whatever
        `Door.admit` raises, and BackendError or OperatorError where the endpoint fails. Cancelling it ends the call
        at the endpoint; it is settled all the same.
        """
        await self.drain()  # so that a receipt that can't be kept stops the very next call
        turn = self._reserved(draft, headers)
        try:
            passed = await self._admitted(turn)
        except BaseException:
            self._budget.settle(turn.held_usd_micros, 0)
            raise
        permit, seen = passed.permit, _Seen()
        turn = replace(turn, call=replace(turn.call, body=passed.content), masked="pseudonymise" in passed.applied)
        try:
            await self._relayed(permit, turn, seen, delivery)
        finally:
            settling = asyncio.ensure_future(self._settled(permit, turn, seen))
            self._settling.add(settling)
            settling.add_done_callback(self._settling.discard)
            await asyncio.shield(settling)

    def relabel(self, label: Label) -> None:
        """Join ``label`` to the one that every further call is decided with."""
        self._grant = replace(self._grant, label=self._grant.label.joined(label))

    async def drain(self) -> None:
        """Wait until every call that has ended is settled."""
        if self._settling:
            await asyncio.wait(self._settling)  # `gather` would end them when the one who waits is cancelled

    def _reserved(self, draft: Draft, headers: Mapping[str, str]) -> _Turn:
        if self.lost:
            raise _receipts_lost(self._grant.run_id, self.lost)
        self._budget.count_call()
        price = self._upstream.price(draft.model)
        if price is None:
            raise RequestRefused(
                "GL-BUDGET-002",
                f"the price of model {draft.model!r} at endpoint `{self._grant.endpoint}` is unknown.",
                "choose a model with a known price, or let the operator set its rates.",
            )
        reserve = min(draft.max_tokens, OUTPUT_RESERVE_TOKENS)
        amount = worst_case(price, draft.size_bytes, reserve)
        affordable = self._budget.affordable_output(price, draft.size_bytes, draft.max_tokens)
        if affordable <= draft.thinking_tokens < draft.max_tokens:  # the endpoint takes no less than its thinking
            amount = worst_case(price, draft.size_bytes, draft.thinking_tokens + 1)
        self._budget.reserve(amount)
        body = draft.sealed(affordable, self._pseudonym)
        self._number += 1
        call = ModelCall("/v1/messages", draft.model, body, headers, affordable, draft.stream)
        return _Turn(self._number, call, price, amount, estimated_tokens(draft.size_bytes), reserve)

    async def _admitted(self, turn: _Turn) -> Passed:
        """Ask the door in a thread (policy and ledger are synchronous); a decision once begun is always waited for."""
        grant = self._grant
        asked = asyncio.ensure_future(asyncio.to_thread(self._asked, turn))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            passed = await asked
            await asyncio.to_thread(self._door.observe, passed.permit, "not_sent", {"run_id": grant.run_id})
            raise
        except BackendError as error:
            # Transient or not: without a ledger nothing leaves, and the harness is to stop rather than to try again.
            raise BackendError(error.code, error.message, error.remedy) from error

    def _asked(self, turn: _Turn) -> Passed:
        grant, body = self._grant, turn.call.body
        label, subjects = self._sight.of_prompt(body, grant.label)
        asset = Asset("prompt", label, grant.region, surfaces=PROMPT_SURFACES, subjects=subjects)
        hop = Hop(
            stage=Stage.PROMPT, principal=f"agent:{grant.run_id}", action="send", asset=asset,
            target=Target("endpoint", grant.endpoint), key=f"{grant.run_id}/{self._nonce}/{turn.number}",
            task_id=grant.task_id, repository=grant.repository,
        )  # fmt: skip
        return self._door.send(hop, body)

    async def _relayed(self, permit: Permit, turn: _Turn, seen: _Seen, delivery: Delivery) -> None:
        try:
            async with asyncio.timeout(self._call_seconds):
                seen.sent = True
                reply = await self._upstream.send(permit, turn.call)
                try:
                    seen.status = reply.status
                    await self._passed_on(reply, turn, seen, delivery)
                finally:
                    await reply.chunks.aclose()
        except TimeoutError as error:
            raise BackendError(
                "GL-GATEWAY-006",
                f"the call to `{self._grant.endpoint}` took longer than {self._call_seconds:.0f} s and was ended.",
                "ask for less in one step, or let the operator raise `call_seconds`.",
            ) from error
        except BackendError as error:
            seen.sent = error.code not in NOT_SENT
            raise
        except IntegrityError:
            seen.sent = False  # the permit did not fit: no byte went out
            raise

    async def _passed_on(self, reply: ModelReply, turn: _Turn, seen: _Seen, delivery: Delivery) -> None:
        if reply.status in (401, 403):
            raise OperatorError(
                "GL-GATEWAY-010",
                f"endpoint `{self._grant.endpoint}` refused the platform's own key (HTTP {reply.status}).",
                "let the operator check the endpoint's key and its rights.",
            )
        headers = {name: reply.headers[name] for name in _PASSED_REPLY_HEADERS if name in reply.headers}
        if reply.headers.get("content-type", "").startswith("text/event-stream"):
            await delivery.start(reply.status, headers)
            restoring = EventRestorer(self._restorer) if turn.masked else None
            async for chunk in reply.chunks:
                seen.reader.feed(chunk)
                if piece := restoring.feed(chunk) if restoring is not None else chunk:
                    await delivery.chunk(piece)
            if restoring is not None and (piece := restoring.close()):
                await delivery.chunk(piece)
            seen.complete = seen.reader.complete
            await delivery.end()
            return
        body = await _whole(reply, self._grant.endpoint)
        seen.whole, seen.complete = usage_of(body), True
        if turn.masked:
            body = restored_body(body, self._restorer)
        await delivery.start(reply.status, {**headers, "content-length": str(len(body))})
        await delivery.chunk(body)
        await delivery.end()

    def _restorer(self, in_json: bool) -> Restorer:
        return self._sight.restorer(self._grant.task_id, in_json=in_json)

    async def _settled(self, permit: Permit, turn: _Turn, seen: _Seen) -> None:
        usage, cost, basis = _charged(turn, seen)
        self._budget.settle(turn.held_usd_micros, cost)
        receipt = TurnReceipt(
            number=turn.number, endpoint=self._grant.endpoint, model=turn.call.model,
            input_tokens=usage.all_input_tokens, output_tokens=usage.output_tokens, cost_usd_micros=cost,
            decision_id=permit.decision_id, observed_place=usage.place, status=seen.status,
        )  # fmt: skip
        facts: dict[str, str | int] = {
            "run_id": self._grant.run_id, "number": turn.number, "model": turn.call.model, "status": seen.status,
            "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
            "cache_read_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens + usage.long_cache_write_tokens,
            "usage": basis, "cost_usd_micros": cost, "price": turn.price.source, "observed_place": usage.place,
        }  # fmt: skip
        async with self._receipts:
            try:
                await asyncio.to_thread(self._door.observe, permit, seen.outcome, facts)
                await self._grant.on_turn(receipt)
            except Exception as error:  # noqa: BLE001 - whatever kept the receipt out: no further call, and `close` says so
                self.lost = self.lost or (str(error) if isinstance(error, GreylagError) else type(error).__name__)
                _log.error("GL-GATEWAY-007: the receipt of %s could not be kept: %s", permit.decision_id, self.lost)

    def raise_lost(self) -> None:
        """Raise BackendError ``GL-GATEWAY-007`` where a call's receipt could not be kept."""
        if self.lost:
            raise _receipts_lost(self._grant.run_id, self.lost)


async def _whole(reply: ModelReply, endpoint: str) -> bytes:
    body = bytearray()
    async for chunk in reply.chunks:
        body += chunk
        if len(body) > _WHOLE_REPLY_BYTES:
            raise BackendError(
                "GL-GATEWAY-009",
                f"endpoint `{endpoint}` answered with more than {_WHOLE_REPLY_BYTES} bytes at once.",
                "check what stands at the endpoint's address.",
            )
    return bytes(body)


def _charged(turn: _Turn, seen: _Seen) -> tuple[Usage, int, str]:
    """Return usage, cost and where they come from: ``reported``, ``reserved`` (never told), or ``none``."""
    usage = seen.usage
    if not seen.sent or seen.status >= 400:
        return Usage(), 0, "none"
    if usage is not None and seen.complete:
        return usage, cost_usd_micros(turn.price, usage), "reported"
    assumed = usage or Usage(input_tokens=turn.input_tokens)
    assumed = replace(assumed, output_tokens=max(assumed.output_tokens, turn.output_tokens))
    return assumed, max(turn.held_usd_micros, cost_usd_micros(turn.price, assumed)), "reserved"


def _receipts_lost(run_id: str, why: str) -> BackendError:
    return BackendError(
        "GL-GATEWAY-007",
        f"a receipt of run `{run_id}` could not be kept ({why}).",
        "mend what is named, then let the task run again.",
    )
