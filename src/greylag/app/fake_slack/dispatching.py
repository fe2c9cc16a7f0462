"""Telling the app: over Socket Mode or by signed requests, again where it did not acknowledge, as Slack does."""

import asyncio
import hashlib
import hmac
import json
import logging
import random
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import httpx
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from greylag.app.fake_slack import viewing
from greylag.app.fake_slack.place import Place
from greylag.app.fake_slack.world.records import Delivery, Json
from greylag.app.fake_slack.world.text import clean

_log = logging.getLogger(__name__)
_MOST_CONNECTIONS = 10
_LONGEST_ANSWER = 1_000_000
_IDLE_SECONDS = 60.0
_A_DAY_SECONDS = 86_400.0


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the ``X-Slack-Signature`` of a request (Slack's version ``v0``)."""
    signed = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def signed_headers(secret: str, timestamp: str, body: bytes, kind: str = "application/json") -> dict[str, str]:
    """Return the headers that make a request one of Slack's."""
    return {
        "content-type": kind, "user-agent": "Slackbot 1.0 (stand-in)", "x-slack-request-timestamp": timestamp,
        "x-slack-signature": signature(secret, timestamp, body),
    }  # fmt: skip


def in_http(delivery: Delivery) -> tuple[bytes, str]:
    """Return the body that tells something by HTTP, and its content type."""
    text = json.dumps(delivery.payload)
    if delivery.kind == "events_api":
        return text.encode(), "application/json"
    return urlencode({"payload": text}).encode(), "application/x-www-form-urlencoded"


class Dispatcher:
    """Takes what is to be told from the place and tells it, each thing to one connection at random.

    With ``request_url`` it tells by signed requests to that URL instead.
    """

    def __init__(self, place: Place, request_url: str = "") -> None:
        self._place = place
        self._request_url = request_url
        self._sockets: list[WebSocket] = []
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._random = random.Random()
        self._client: httpx.AsyncClient | None = None
        # An HTTP request has a bound of its own.
        self._patience_seconds = _A_DAY_SECONDS if request_url else place.rules.ack_seconds

    async def run(self) -> None:
        """Tell until cancelled."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        end = self._place.watch(wake)
        with self._place.lock:
            for each in self._place.deliveries:
                if each.state == "sent":  # under way when the server was stopped
                    self._not_acknowledged(each, "connection_failed")
        try:
            while True:
                self._wake.clear()
                wait = await self._pass()
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
        finally:
            end()
            for task in self._tasks:
                task.cancel()
            if self._client is not None:
                await self._client.aclose()

    async def _pass(self) -> float:
        """Tell what is due; return after how many seconds something is due again."""
        place, now = self._place, self._place.clock()
        with place.lock:
            for each in place.deliveries:
                if each.state == "sent" and each.deadline_at <= now:
                    self._not_acknowledged(each, "timeout")
            open_ones = [each for each in place.deliveries if each.state == "waiting"]
            due = [] if place.held else [each for each in open_ones if each.due_at <= now]
            for each in due:
                each.state, each.deadline_at = "sent", now + self._patience_seconds
        for each in due:
            await self._tell(each)
        with place.lock:
            times = [each.due_at for each in place.deliveries if each.state == "waiting" and not place.held]
            times += [each.deadline_at for each in place.deliveries if each.state == "sent"]
        return max(0.005, min([each - place.clock() for each in times], default=_IDLE_SECONDS))

    async def _tell(self, delivery: Delivery) -> None:
        if self._request_url:
            task = asyncio.create_task(self._post(delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        if not self._sockets:
            self._not_acknowledged(delivery, "no_connection")
            return
        envelope: Json = {
            "envelope_id": delivery.id, "type": delivery.kind, "payload": delivery.payload,
            "accepts_response_payload": delivery.kind == "interactive",
        }  # fmt: skip
        if delivery.kind == "events_api":
            envelope |= {"retry_attempt": delivery.attempt, "retry_reason": delivery.reason}
        socket = self._random.choice(self._sockets)
        with suppress(RuntimeError, WebSocketDisconnect):  # a connection that ends just now: no acknowledgement comes
            await socket.send_text(json.dumps(envelope))

    def _not_acknowledged(self, delivery: Delivery, reason: str) -> None:
        """Plan to tell an event again, by the delays; a click is told once."""
        delays = self._place.rules.retry_delays
        if delivery.kind != "events_api" or delivery.last or delivery.attempt >= len(delays):
            delivery.state, delivery.reason = "failed", reason
            self._place.changed()
            return
        delivery.state, delivery.reason = "waiting", reason
        delivery.due_at = self._place.clock() + delays[delivery.attempt]
        delivery.attempt += 1

    def _acknowledged(self, delivery: Delivery, answer: Any) -> None:
        place = self._place
        with place.lock:
            if delivery.state in ("acked", "failed"):
                return
            delivery.state = "acked"
            delivery.answer = answer if isinstance(answer, dict) else None
            problem = viewing.settle(place, delivery.payload, answer)
            if problem:
                delivery.state, delivery.reason = "failed", problem
            place.changed()

    # Socket Mode

    async def serve(self, socket: WebSocket) -> None:
        """Keep a connection of the app until it ends."""
        ticket = socket.query_params.get("ticket", "")
        if ticket not in self._place.tickets or len(self._sockets) >= _MOST_CONNECTIONS:
            await socket.close(1008)
            return
        self._place.tickets.remove(ticket)
        await socket.accept()
        self._sockets.append(socket)
        self._place.connections = len(self._sockets)
        hello = {
            "type": "hello", "num_connections": len(self._sockets),
            "connection_info": {"app_id": self._place.world.app_id},
            "debug_info": {"host": "stand-in", "build_number": 1, "approximate_connection_time": 18060},
        }  # fmt: skip
        try:
            await socket.send_text(json.dumps(hello))
            self._place.changed()
            while True:
                self._hear(await socket.receive_text())
        except (WebSocketDisconnect, RuntimeError, KeyError):  # the end of it, from either side
            pass
        finally:
            self._sockets.remove(socket)
            self._place.connections = len(self._sockets)
            self._place.changed()

    def _hear(self, text: str) -> None:
        try:
            said = clean(json.loads(text))
        except ValueError:
            _log.warning("the app sent something that is no JSON over Socket Mode: %.80r", text)
            return
        envelope = said.get("envelope_id") if isinstance(said, dict) else None
        found = next((each for each in self._place.deliveries if each.id == envelope), None)
        if found is not None:
            self._acknowledged(found, said.get("payload"))

    async def disconnect(self, reason: str = "refresh_requested", *, say: bool = True) -> None:
        """End every connection, as Slack does now and then; with ``say`` it says so first."""
        for socket in list(self._sockets):
            with suppress(RuntimeError, WebSocketDisconnect):
                if say and socket.application_state is WebSocketState.CONNECTED:
                    told = {"type": "disconnect", "reason": reason, "debug_info": {"host": "stand-in"}}
                    await socket.send_text(json.dumps(told))
                await socket.close(1001)

    # HTTP

    async def _post(self, delivery: Delivery) -> None:
        place = self._place
        body, kind = in_http(delivery)
        headers = signed_headers(place.signing_secret, str(int(place.clock())), body, kind)
        if delivery.attempt:
            headers |= {"x-slack-retry-num": str(delivery.attempt), "x-slack-retry-reason": delivery.reason}
        try:
            answer = await self._http().post(
                self._request_url, content=body, headers=headers, timeout=place.rules.ack_seconds
            )
        except httpx.TimeoutException:
            reason = "http_timeout"
        except httpx.HTTPError:
            reason = "connection_failed"
        else:
            if answer.is_success:
                self._acknowledged(delivery, _json(answer.content))
                return
            delivery.last = delivery.last or answer.headers.get("x-slack-no-retry") == "1"
            reason = "http_error"
        with place.lock:
            if delivery.state == "sent":
                self._not_acknowledged(delivery, reason)
        self._wake.set()

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False)
        return self._client


def _json(content: bytes) -> Any:
    """Return the JSON of an answer; an empty or other body says nothing."""
    with suppress(ValueError):
        return clean(json.loads(content[:_LONGEST_ANSWER] or b"null"))
    return None
