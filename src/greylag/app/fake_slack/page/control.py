"""The same as JSON: what people do, what can be seen, what goes wrong. For a test or a demo in another process."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from greylag.app.fake_slack.dispatching import Dispatcher
from greylag.app.fake_slack.faults import Fault
from greylag.app.fake_slack.workspace import Workspace
from greylag.app.fake_slack.world.records import Json
from greylag.domain.errors import BackendError, GreylagError, RequestRefused

_LONGEST_WAIT_SECONDS = 120.0


class Control:
    """Answers ``/control/…``."""

    def __init__(self, workspace: Workspace, dispatcher: Dispatcher) -> None:
        self._workspace = workspace
        self._dispatcher = dispatcher

    def routes(self) -> list[BaseRoute]:
        """Return the routes: what is asked by GET, what is done by POST."""
        seen = {
            "state": self._state, "messages": self._messages, "deliveries": self._deliveries, "calls": self._calls,
            "pings": self._pings,
        }  # fmt: skip
        done = {
            "say": self._say, "edit": self._edit, "delete": self._delete, "press": self._press, "submit": self._submit,
            "dismiss": self._dismiss, "react": self._react, "home": self._home, "fault": self._fault,
            "redeliver": self._redeliver, "hold": self._hold,
        }  # fmt: skip
        asked: list[BaseRoute] = [Route(f"/control/{name}", self._get(act)) for name, act in seen.items()]
        told: list[BaseRoute] = [
            Route(f"/control/{name}", self._post(act), methods=["POST"]) for name, act in done.items()
        ]
        own: list[BaseRoute] = [
            Route("/control/thread", self._thread),
            Route("/control/wait", self._wait, methods=["POST"]),
            Route("/control/disconnect", self._disconnect, methods=["POST"]),
        ]
        return [*asked, *told, *own]

    def _get(self, act: Callable[[Request], Any]) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            try:
                with self._workspace.lock:
                    return JSONResponse(act(request))
            except GreylagError as error:
                return _refused(error)

        return endpoint

    def _post(self, act: Callable[[Json], Any]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return JSONResponse(act(await _body(request)) or {})
            except GreylagError as error:
                return _refused(error)

        return endpoint

    # What can be seen

    def _state(self, _: Request) -> Json:
        workspace = self._workspace
        rooms = [
            {"id": each.id, "name": each.name, "kind": each.kind, "members": each.members}
            for each in workspace.world.channels.values()
        ]
        return {
            "team_id": workspace.world.team_id, "bot_user_id": workspace.bot.id, "base_url": f"{workspace.url}/api/",
            "bot_token": workspace.bot_token, "app_token": workspace.app_token,
            "signing_secret": workspace.signing_secret, "connections": workspace.connections,
            "people": {each.name: each.id for each in workspace.people}, "channels": rooms,
        }  # fmt: skip

    def _messages(self, request: Request) -> Any:
        query = request.query_params
        return [asdict(each) for each in self._workspace.messages(query.get("channel", ""), query.get("user", ""))]

    def _deliveries(self, _: Request) -> Any:
        return [asdict(each) for each in self._workspace.deliveries]

    def _calls(self, _: Request) -> Any:
        return [asdict(each) for each in self._workspace.calls]

    def _pings(self, _: Request) -> Any:
        return [asdict(each) for each in self._workspace.pings]

    def _thread(self, request: Request) -> Response:
        query = request.query_params
        try:
            return PlainTextResponse(self._workspace.thread_text(query.get("ts", ""), query.get("user", "")) + "\n")
        except GreylagError as error:
            return _refused(error)

    # What is done

    def _say(self, given: Json) -> Json:
        user, channel, text = _strings(given, "user", "channel", "text")
        return {"ts": self._workspace.say(user, channel, text, thread=str(given.get("thread") or ""))}

    def _edit(self, given: Json) -> None:
        self._workspace.edit(*_strings(given, "user", "ts", "text"))

    def _delete(self, given: Json) -> None:
        self._workspace.delete(*_strings(given, "ts"))

    def _press(self, given: Json) -> Json:
        user, where, what = _strings(given, "user", "where", "what")
        return {"id": self._workspace.click(user, where, what, str(given.get("choice") or "")).id}

    def _submit(self, given: Json) -> Json:
        values = given.get("values") or {}
        if not isinstance(values, dict):
            raise _wrong("`values` is an object of texts by label")
        (user,) = _strings(given, "user")
        return {"id": self._workspace.submit(user, {str(name): str(each) for name, each in values.items()}).id}

    def _dismiss(self, given: Json) -> None:
        self._workspace.dismiss(*_strings(given, "user"))

    def _react(self, given: Json) -> None:
        self._workspace.react(*_strings(given, "user", "ts", "name"))

    def _home(self, given: Json) -> None:
        self._workspace.open_home(*_strings(given, "user"))

    def _fault(self, given: Json) -> None:
        known = {"after", "seconds", "error", "status"}
        (method, kind), times = _strings(given, "method", "kind"), given.get("times", 1)
        try:
            fault = Fault(kind, **{name: given[name] for name in known & set(given)})
            self._workspace.faults.next(method, fault, int(times))
        except (TypeError, ValueError) as error:
            raise _wrong(str(error)) from error

    def _redeliver(self, given: Json) -> Json:
        return {"id": self._workspace.redeliver(*_strings(given, "event_id")).id}

    def _hold(self, given: Json) -> None:
        if given.get("on"):
            self._workspace.hold()
        else:
            self._workspace.release(reverse=bool(given.get("reverse")))

    async def _wait(self, request: Request) -> Response:
        """Wait until a thread shows some words; answer with the thread as plain text."""
        try:
            given = await _body(request)
            ts, words = _strings(given, "ts", "contains")
            seconds = min(float(given.get("seconds") or 10.0), _LONGEST_WAIT_SECONDS)
            await self._workspace.until(lambda: words in self._workspace.thread_text(ts), seconds)
        except GreylagError as error:
            return _refused(error)
        except (TypeError, ValueError) as error:
            return _refused(_wrong(str(error)))
        return PlainTextResponse(self._workspace.thread_text(ts) + "\n")

    async def _disconnect(self, _: Request) -> Response:
        await self._dispatcher.disconnect()
        return JSONResponse({})


async def _body(request: Request) -> Json:
    """Return the JSON object of a request. Raises RequestRefused ``GL-FAKE-007``."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise _wrong("the body is not said to be `application/json`")
    try:
        found = json.loads(await request.body())
    except ValueError as error:
        raise _wrong(f"the body is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise _wrong("the body is no JSON object")
    return found


def _strings(given: Json, *names: str) -> list[str]:
    missing = [name for name in names if not isinstance(given.get(name), str)]
    if missing:
        raise _wrong(f"`{missing[0]}` is missing or no text")
    return [given[name] for name in names]


def _wrong(what: str) -> RequestRefused:
    return RequestRefused("GL-FAKE-007", f"{what}.", "see docs/reference/fake-slack.md for what each call takes.")


def _refused(error: GreylagError) -> Response:
    status = 504 if isinstance(error, BackendError) else 404 if error.code == "GL-FAKE-003" else 400
    return JSONResponse({"code": error.code, "message": error.message, "remedy": error.remedy}, status)
