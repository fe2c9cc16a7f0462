"""The ASGI application: what answers at which path."""

import json
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from greylag.app.fake_slack.acting import LARGEST_FILE_BYTES
from greylag.app.fake_slack.dispatching import Dispatcher
from greylag.app.fake_slack.page import forms, pages
from greylag.app.fake_slack.page.control import Control
from greylag.app.fake_slack.page.guard import Guard
from greylag.app.fake_slack.webapi import files
from greylag.app.fake_slack.webapi.answering import LONGEST_BODY_BYTES, Dropped, answer, body_of
from greylag.app.fake_slack.webapi.replying import reply
from greylag.app.fake_slack.workspace import Workspace
from greylag.app.fake_slack.world.problems import SlackError
from greylag.app.fake_slack.world.text import clean


def create_application(workspace: Workspace, dispatcher: Dispatcher) -> ASGIApp:
    """Return what serves ``workspace``; ``dispatcher`` keeps the app's connections."""

    async def api(request: Request) -> Response:
        return await answer(workspace, request)

    async def link(socket: WebSocket) -> None:
        await dispatcher.serve(socket)

    app = Starlette(
        routes=[
            Route("/api/{method}", api, methods=["GET", "POST"]),
            WebSocketRoute("/link", link),
            Route("/upload/v1/{ticket}", _upload(workspace), methods=["POST"]),
            Route("/files-pri/{name}", _download(workspace)),
            Route("/files-pri/{name}/download", _download(workspace)),
            Route("/actions/{team}/{token}", _reply(workspace), methods=["POST"]),
            *pages.routes(workspace),
            *forms.routes(workspace),
            *Control(workspace, dispatcher).routes(),
        ]
    )
    return Guard(app)


Endpoint = Callable[[Request], Awaitable[Response]]


def _upload(workspace: Workspace) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        fault = workspace.faults.take("upload")
        try:
            content = await _content(request)
            if fault is not None and not fault.after:
                return PlainTextResponse("upstream error", fault.status)
            with workspace.lock:
                text = files.upload(workspace, request.path_params["ticket"], content)
        except SlackError as error:
            return PlainTextResponse(error.error, 400)
        return PlainTextResponse(text) if fault is None else Dropped()

    return endpoint


async def _content(request: Request) -> bytes:
    """Return the bytes that came, as they are or as a form's file."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await body_of(request, LARGEST_FILE_BYTES)
    if not 0 < int(request.headers.get("content-length", "0")) <= LARGEST_FILE_BYTES + LONGEST_BODY_BYTES:
        raise SlackError("request_too_large")
    async with request.form(max_files=1) as form:
        first = next((each for each in form.values() if not isinstance(each, str)), None)
        return await first.read() if first is not None else b""


def _download(workspace: Workspace) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        file = workspace.world.files.get(request.path_params["name"].rpartition("-")[2])
        if request.headers.get("authorization") != f"Bearer {workspace.bot_token}":
            return Response(
                status_code=302, headers={"location": workspace.url + "/"}
            )  # Slack leads to its sign-in page
        if file is None or file.state == "asked":
            return PlainTextResponse("file_not_found", 404)
        headers = {"content-disposition": "attachment", "x-content-type-options": "nosniff"}
        return Response(file.content, media_type="application/octet-stream", headers=headers)

    return endpoint


def _reply(workspace: Workspace) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            values = clean(json.loads(await body_of(request, LONGEST_BODY_BYTES)))
            if not isinstance(values, dict):
                raise SlackError("invalid_payload")
            reply(workspace, request.path_params["token"], values)
        except ValueError:
            return PlainTextResponse("invalid_payload", 400)
        except SlackError as error:
            return PlainTextResponse(error.error, 404 if error.error.endswith("_url") else 400)
        return PlainTextResponse("ok")

    return endpoint
