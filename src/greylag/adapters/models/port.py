"""Upstream: one model endpoint as the gateway sees it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from greylag.domain.labels import Label
from greylag.egress.permit import Permit


@dataclass(frozen=True, slots=True)
class Price:
    """Rates in millionths of a US dollar per million tokens, and where they come from.

    ``long_cache_write_usd_micros`` is for cache entries kept for an hour (0: as the others). ``long_prompt`` holds a
    number of input tokens above which the other rates count for the whole call.
    """

    input_usd_micros: int
    output_usd_micros: int
    cache_read_usd_micros: int
    cache_write_usd_micros: int
    source: str
    long_cache_write_usd_micros: int = 0
    long_prompt: "tuple[int, Price] | None" = None


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request in the Anthropic Messages protocol: the exact body that would leave, and headers worth passing on."""

    path: str
    model: str
    body: bytes
    headers: Mapping[str, str]
    max_tokens: int
    stream: bool


class Chunks(Protocol):
    """A body as it comes. Whoever reads it exhausts it or closes it; closing lets go of the connection at once.

    Any asynchronous generator of bytes is one.
    """

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def __anext__(self) -> Awaitable[bytes]: ...

    def aclose(self) -> Awaitable[None]:
        """Stop reading; a second time does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class ModelReply:
    """Status, headers (lower-case names) and the body as it comes. The reader must exhaust or close ``chunks``."""

    status: int
    headers: Mapping[str, str]
    chunks: Chunks


class Upstream(Protocol):
    """One endpoint of the fact base. ``label`` is shown wherever a person sees its work (empty for a real model)."""

    endpoint: str
    label: str

    def price(self, model: str) -> Price | None:
        """Return the rates of ``model``; None for unknown, which the gateway refuses."""
        ...

    async def send(self, permit: Permit, call: ModelCall) -> ModelReply:
        """Send ``call``. The permit is for stage ``prompt`` towards this endpoint with the body's digest.

        Raises IntegrityError ``GL-EGRESS-001`` for another permit, BackendError where the endpoint can't be reached;
        an answer with an error status is a reply. Tries once: trying again is the harness's business.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class TurnReceipt:
    """What one settled call was: money in millionths of a US dollar, place as observed in the reply or ``unknown``."""

    number: int
    endpoint: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd_micros: int
    decision_id: str
    observed_place: str
    status: int


class Restorer(Protocol):
    """Puts back, in text that comes piece by piece, what pseudonyms stand for."""

    def feed(self, text: str) -> str:
        """Return what can be told of the text so far; what may be the start of a pseudonym is held back."""
        ...

    def close(self) -> str:
        """Return what was held back."""
        ...


class Sight(Protocol):
    """What the gateway must know of a prompt before it asks the door, and of a reply before it passes it on."""

    def of_prompt(self, body: bytes, base: Label) -> tuple[Label, tuple[str, ...]]:
        """Return ``base`` joined with what is found in a request's body, and keyed marks of people it names."""
        ...

    def restorer(self, task_id: str, *, in_json: bool) -> Restorer:
        """Return a fresh restorer for the pseudonyms of a task; ``in_json`` escapes originals for a JSON text."""
        ...


@dataclass(frozen=True, slots=True)
class RunGrant:
    """What one run may spend and on what. ``spent_usd_micros`` is what the task has already cost."""

    task_id: str
    run_id: str
    region: str
    endpoint: str
    label: Label
    cap_usd_micros: int
    spent_usd_micros: int
    max_calls: int
    on_turn: Callable[[TurnReceipt], Awaitable[None]]
    repository: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A run's own door to the model: a UNIX socket and a token that is good for nothing else."""

    socket: Path
    token: str


class Gateway(Protocol):
    """Opens one session per run; decides, reserves, sends, settles and keeps a receipt for each call."""

    async def open(self, grant: RunGrant) -> Session:
        """Listen for one run. Raises OperatorError ``GL-GATEWAY-001`` for an endpoint that is not configured."""
        ...

    async def complete(self, grant: RunGrant, body: bytes) -> bytes:
        """Carry one call of the platform's own through, as an agent's, and return the body of the answer.

        ``body`` is a Messages request that is not streamed. Raises what stands in the way of an agent's call
        (RequestRefused, PolicyRefused, OperatorError, BackendError), and BackendError ``GL-GATEWAY-014`` where the
        endpoint answers with an error. Cancelling it ends the call at the endpoint; it is settled all the same.
        """
        ...

    def relabel(self, run_id: str, label: Label) -> None:
        """Join ``label`` to the run's: every call that is decided from now on carries it. An unknown run is fine.

        For what is said to an agent at work: called before it is told.
        """
        ...

    async def close(self, run_id: str) -> None:
        """Stop listening and forget the token; calls under way are ended and settled; an unknown run is fine.

        Raises BackendError ``GL-GATEWAY-007``, after everything is closed, where a receipt could not be kept.
        """
        ...
