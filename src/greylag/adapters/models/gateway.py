"""The gateway on this machine: one UNIX socket and one token for each run."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from greylag.adapters.models.listener import Listener, listen, sweep
from greylag.adapters.models.port import RunGrant, Session, Sight, Upstream
from greylag.adapters.models.request import read_request
from greylag.adapters.models.session import RunSession
from greylag.adapters.models.single import SingleAnswer
from greylag.adapters.models.turn import Turns
from greylag.domain.clock import Clock
from greylag.domain.errors import OperatorError
from greylag.domain.labels import Label
from greylag.egress.door import Door

_PREFIX = "gw-"


@dataclass(frozen=True, slots=True)
class _Open:
    turns: Turns
    session: RunSession
    listener: Listener


class LocalGateway:
    """Opens a socket for each run in ``socket_dir`` (keep it short) and sends what `Door` permits to ``upstreams``.

    ``upstreams`` is keyed by the endpoint's name in the fact base. All methods belong to one event loop, which also
    runs each grant's ``on_turn``. ``call_seconds`` bounds one model call from its first byte to its last.
    """

    def __init__(
        self, upstreams: Mapping[str, Upstream], door: Door, clock: Clock, socket_dir: Path, *,
        sight: Sight, call_seconds: float = 900.0,
    ) -> None:  # fmt: skip
        self._upstreams = dict(upstreams)
        self._door = door
        self._clock = clock
        self._socket_dir = socket_dir
        self._sight = sight
        self._call_seconds = call_seconds
        self._open: dict[str, _Open] = {}

    async def open(self, grant: RunGrant) -> Session:
        """Listen for one run; opening a run again ends its former session.

        Raises OperatorError ``GL-GATEWAY-001`` for an endpoint that is not configured, ``GL-GATEWAY-002`` where no
        socket can be made.
        """
        upstream = self._upstream(grant.endpoint)
        await self.close(grant.run_id)
        turns = await self._turns(grant, upstream)
        await asyncio.to_thread(sweep, self._socket_dir, _PREFIX)
        token = f"glt_{self._clock.entropy(32).hex()}"
        session = RunSession(turns, token)
        listener = await listen(self._socket_dir, f"{_PREFIX}{self._clock.entropy(12).hex()}", session)
        self._open[grant.run_id] = _Open(turns, session, listener)
        return Session(listener.path, token)

    async def complete(self, grant: RunGrant, body: bytes) -> bytes:
        """Carry one call of the platform's own through: decided, reserved, sent, settled and receipted as an agent's.

        Raises as `open` and `Turns.take`, RequestRefused ``GL-GATEWAY-004`` and ``-005`` for a body that no agent may
        send, BackendError ``GL-GATEWAY-007`` where the receipt could not be kept, ``-009`` for too long an answer and
        ``-014`` for one that is an error.
        """
        draft, answer = read_request(body), SingleAnswer(grant.endpoint)
        turns = await self._turns(grant, self._upstream(grant.endpoint))
        try:
            await turns.take(draft, {}, answer)
        finally:
            await turns.drain()
        turns.raise_lost()
        return answer.body

    def _upstream(self, endpoint: str) -> Upstream:
        upstream = self._upstreams.get(endpoint)
        if upstream is None:
            raise OperatorError(
                "GL-GATEWAY-001",
                f"endpoint `{endpoint}` is not configured; configured are"
                f" {', '.join(f'`{name}`' for name in sorted(self._upstreams)) or 'none'}.",
                "add the endpoint to the settings, or choose another one.",
            )
        return upstream

    async def _turns(self, grant: RunGrant, upstream: Upstream) -> Turns:
        # Price tables are large and load when first asked: not here, where every other run would wait.
        await asyncio.to_thread(upstream.price, "")
        return Turns(grant, upstream, self._door, self._sight, self._clock.entropy(16).hex(), self._call_seconds)

    def relabel(self, run_id: str, label: Label) -> None:
        """Join ``label`` to the run's, for every call that is decided from now on."""
        if opened := self._open.get(run_id):
            opened.turns.relabel(label)

    async def close(self, run_id: str) -> None:
        """Stop listening and forget the token; calls under way are ended and settled; an unknown run is fine.

        Raises BackendError ``GL-GATEWAY-007``, after everything is closed, where a receipt could not be kept.
        """
        opened = self._open.pop(run_id, None)
        if opened is None:
            return
        try:
            await opened.session.close()
        finally:
            opened.listener.close()
        opened.turns.raise_lost()

    async def shutdown(self) -> None:
        """Close every run and every endpoint's connections. Raises as `close`, the first of them, at the end."""
        endings = await asyncio.gather(*(self.close(run_id) for run_id in list(self._open)), return_exceptions=True)
        for upstream in self._upstreams.values():
            await upstream.close()
        for ending in endings:
            if isinstance(ending, BaseException):
                raise ending
