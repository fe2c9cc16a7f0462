"""One call from the request to its answer: token, scopes, limits, faults, arguments, effect, record."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from greylag.app.fake_slack.faults import Fault
from greylag.app.fake_slack.place import Place
from greylag.app.fake_slack.webapi.given import Given, Method, check_arguments
from greylag.app.fake_slack.webapi.methods import METHODS
from greylag.app.fake_slack.world.problems import SlackError
from greylag.app.fake_slack.world.records import Call, Json
from greylag.app.fake_slack.world.text import clean

LONGEST_BODY_BYTES = 4_000_000
_ROOMS = {"public": "channels", "private": "groups", "im": "im"}


class Dropped(Response):
    """No answer: the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """End the connection, and wait until the server knows that it ended."""
        scope["state"]["abort"]()
        await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it came: its method's name, its token, its arguments."""

    name: str
    token: str
    values: Mapping[str, Any]


async def read(request: Request) -> Asked:
    """Return the call of a request. Raises SlackError where its body is none."""
    name = request.path_params["method"]
    values: dict[str, Any] = dict(request.query_params)
    body = await body_of(request, LONGEST_BODY_BYTES)
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind == "application/json" and body:
        try:
            given = json.loads(body)
        except ValueError as error:
            raise SlackError("invalid_json") from error
        if not isinstance(given, dict):
            raise SlackError("json_not_object")
        values |= clean(given)
    elif body:
        try:
            values |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=100))
        except ValueError as error:
            raise SlackError("invalid_form_data") from error
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return Asked(name, token if scheme.lower() == "bearer" else str(values.get("token") or ""), values)


async def body_of(request: Request, most: int) -> bytes:
    """Return a request's body. Raises SlackError for one that is too long."""
    size = 0
    parts = []
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise SlackError("request_too_large")
        parts.append(part)
    return b"".join(parts)


async def answer(place: Place, request: Request) -> Response:
    """Answer a call."""
    try:
        asked = await read(request)
    except SlackError as error:
        return _refused(error)
    fault = place.faults.take(asked.name)
    if fault is not None and not fault.after:
        made = await _go_wrong(fault)
        if made is not None:
            _record(place, asked, fault.kind, made.status_code)
            return made
    made = _run(place, asked)
    if fault is not None and fault.after:
        return await _go_wrong(fault) or made
    return made


def _run(place: Place, asked: Asked) -> Response:
    with place.lock:
        try:
            method = METHODS.get(asked.name)
            if method is None:
                raise SlackError("unknown_method", req_method=asked.name)
            _allow(place, method, asked)
            check_arguments(method, asked.values, refuse_unknown=place.rules.refuse_unknown)
            wait = _wait(place, method, asked)
            if wait:
                _record(place, asked, "ratelimited", 429)
                return _limited(wait)
            done = method.handler(Given(place, asked.values, asked.name))
        except SlackError as error:
            _record(place, asked, error.error, 200)
            return _refused(error)
        _record(place, asked, "", 200)
        place.changed()
        return JSONResponse({"ok": True, **done})


def _allow(place: Place, method: Method, asked: Asked) -> None:
    """Check the token and what it may. Raises SlackError."""
    if not asked.token:
        raise SlackError("not_authed")
    if asked.token not in (place.bot_token, place.app_token):
        raise SlackError("invalid_auth")
    if (asked.token == place.app_token) is not method.by_app:
        raise SlackError("not_allowed_token_type")
    room = place.world.channels.get(str(asked.values.get("channel", "")))
    needed = [each.replace("channels:", f"{_ROOMS[room.kind]}:") if room else each for each in method.scopes]
    lacking = [each for each in needed if place.rules.scopes and each not in place.rules.scopes]
    if lacking:
        raise SlackError("missing_scope", needed=",".join(needed), provided=",".join(sorted(place.rules.scopes)))


def _wait(place: Place, method: Method, asked: Asked) -> float:
    if not place.rules.limits:
        return 0.0
    return place.limits.wait_seconds(asked.name, method.tier, str(asked.values.get("channel", "")), place.clock())


async def _go_wrong(fault: Fault) -> Response | None:
    """Return the answer of a call that goes wrong, or None where it goes on late."""
    if fault.kind == "drop":
        return Dropped()
    if fault.kind == "hang":
        await asyncio.sleep(fault.seconds)
        return None
    if fault.kind == "ratelimited":
        return _limited(fault.seconds)
    if fault.kind == "error":
        return _refused(SlackError(fault.error))
    return Response("upstream error", fault.status)


def _limited(seconds: float) -> Response:
    return JSONResponse(
        {"ok": False, "error": "ratelimited"}, status_code=429, headers={"retry-after": str(max(1, round(seconds)))}
    )


def _refused(error: SlackError) -> Response:
    made: Json = {"ok": False, "error": error.error, **error.more}
    if error.messages:
        made["response_metadata"] = {"messages": list(error.messages)}
    return JSONResponse(made)


def _record(place: Place, asked: Asked, error: str, status: int) -> None:
    shown = {name: value for name, value in asked.values.items() if name != "token"}
    place.calls.append(Call(asked.name, shown, error, place.clock(), status))
