"""One run's side of the gateway: who may call, which paths there are, and how an answer gets to the harness."""

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from greylag.adapters.models.refusal import OVERLOADED, REFUSED, ErrorAnswer, answer_for
from greylag.adapters.models.request import BODY_BYTES, passed_headers, read_request
from greylag.adapters.models.turn import Turns
from greylag.domain.errors import GreylagError, RequestRefused

_BODY_SECONDS = 60.0
_CALLS_AT_ONCE = 8
_COUNT_BYTES_PER_TOKEN = 4  # between prose and code: what a harness plans its context by, not what money is held by

_NOBODY = ErrorAnswer(401, "authentication_error", "GL-GATEWAY-003: this needs the run's token. Next: send it.")
_NOTHING = ErrorAnswer(404, "not_found_error", "GL-GATEWAY-011: the gateway has no such path. Next: use /v1/messages.")
_DEFECT = ErrorAnswer(
    REFUSED, "api_error", "GL-GATEWAY-008: the gateway failed; nothing more is sent. Next: ask the operator."
)
_OVER = ErrorAnswer(REFUSED, "permission_error", "GL-GATEWAY-012: the run is over. Next: start a new task.")

_log = logging.getLogger(__name__)

_Scope = Mapping[str, Any]
_Receive = Callable[[], Awaitable[Mapping[str, Any]]]
_Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class _AsgiDelivery:
    """Delivers one answer over ASGI, and knows how far it got."""

    def __init__(self, send: _Send) -> None:
        self._send = send
        self.started = False
        self._streams = False
        self._ended = False

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        self.started = True
        self._streams = headers.get("content-type", "").startswith("text/event-stream")
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def chunk(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        self._ended = True
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def fail(self, answer: ErrorAnswer) -> None:
        """Say ``answer``: as the whole reply, or, where a stream has begun, as the event that ends it."""
        if not self.started:
            body = answer.body()
            headers = {"content-type": "application/json", "content-length": str(len(body))}
            if answer.status != OVERLOADED:
                headers |= {"x-should-retry": "false", "connection": "close"}  # the rest of the request is not read
            await self.start(answer.status, headers)
            await self.chunk(body)
            await self.end()
        elif not self._ended and self._streams:
            await self.chunk(answer.event())
            await self.end()


class RunSession:
    """The ASGI application of one run's socket. Every path but the two that say "alive" needs the run's token.

    ``GET /v1/models`` and ``POST /v1/messages/count_tokens`` are answered here: the endpoint's own token counter
    would need the whole prompt.
    """

    def __init__(self, turns: Turns, token: str) -> None:
        self._turns = turns
        self._token = token.encode()
        self._works: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._closed = False

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Answer one request; never raises for what a peer may send."""
        if scope["type"] != "http":
            return
        delivery = _AsgiDelivery(send)
        try:
            await self._route(scope, receive, delivery)
        except GreylagError as error:
            await delivery.fail(answer_for(error))
        except asyncio.CancelledError:
            await delivery.fail(_OVER)
        except Exception:  # noqa: BLE001 - a defect must not look like the endpoint's answer, nor end the other calls
            _log.exception("GL-GATEWAY-008: a request of a run could not be answered")
            await delivery.fail(_DEFECT)

    async def close(self) -> None:
        """End the calls under way and wait until each is settled; whoever calls later is refused."""
        self._closed = True
        for work in self._works:
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)
        await self._turns.drain()

    async def _route(self, scope: _Scope, receive: _Receive, delivery: _AsgiDelivery) -> None:
        method, path = scope["method"], scope["path"]
        if (method, path) in (("HEAD", "/"), ("GET", "/api/hello"), ("HEAD", "/api/hello")):
            await _say(delivery, {"message": "hello"})
        elif not self._known(scope):
            await delivery.fail(_NOBODY)
        elif self._closed:
            await delivery.fail(_OVER)
        elif (method, path) == ("GET", "/v1/models"):
            await _say(delivery, {"data": [], "has_more": False, "first_id": None, "last_id": None})
        elif (method, path) == ("POST", "/v1/messages/count_tokens"):
            body = await _body(receive)
            await _say(delivery, {"input_tokens": -(-len(body) // _COUNT_BYTES_PER_TOKEN)})
        elif (method, path) == ("POST", "/v1/messages"):
            async with self._room:
                await self._converse(scope, receive, delivery)
        else:
            await delivery.fail(_NOTHING)

    async def _converse(self, scope: _Scope, receive: _Receive, delivery: _AsgiDelivery) -> None:
        draft = read_request(await _body(receive))
        if self._closed:
            raise asyncio.CancelledError
        work = asyncio.ensure_future(self._turns.take(draft, passed_headers(scope["headers"]), delivery))
        self._works.add(work)
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
            await work
        finally:
            gone.cancel()
            self._works.discard(work)

    def _known(self, scope: _Scope) -> bool:
        given = (_token(name.lower(), value) for name, value in scope["headers"])
        return any(hmac.compare_digest(token, self._token) for token in given if token)


def _token(name: bytes, value: bytes) -> bytes:
    if name == b"x-api-key":
        return value.strip()
    if name == b"authorization" and value[:7].lower() == b"bearer ":
        return value[7:].strip()
    return b""


async def _say(delivery: _AsgiDelivery, what: Mapping[str, object]) -> None:
    body = msgspec.json.encode(what)
    await delivery.start(200, {"content-type": "application/json", "content-length": str(len(body))})
    await delivery.chunk(body)
    await delivery.end()


async def _body(receive: _Receive) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise asyncio.CancelledError  # gone before the request was whole: nobody is left to be told
                body += message.get("body", b"")
                if len(body) > BODY_BYTES:
                    raise _too_much(f"a request over {BODY_BYTES} bytes")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise _too_much(f"a request that takes longer than {_BODY_SECONDS:.0f} s to arrive") from error


async def _gone(receive: _Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _too_much(what: str) -> RequestRefused:
    return RequestRefused("GL-GATEWAY-004", f"the gateway does not take {what}.", "let the agent read less at once.")
