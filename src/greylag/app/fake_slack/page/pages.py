"""The pages: rooms, threads, the app's home, and how to connect a program of one's own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from greylag.app.fake_slack import acting
from greylag.app.fake_slack.page.rendering import HERE, render, shown
from greylag.app.fake_slack.workspace import Workspace
from greylag.app.fake_slack.world.outline import of_view, plain
from greylag.app.fake_slack.world.records import Channel, User, View
from greylag.domain.errors import GreylagError

#: The cookie that says who somebody is on the page; a browser test sets it to a person's id.
COOKIE = "stand_in_user"
_MOST_SHOWN = 200
_PAUSE_SECONDS = 0.05
_BEAT_SECONDS = 15.0
Page = Callable[[Workspace, Request, User], Response]


def person(workspace: Workspace, request: Request) -> User:
    """Return who sits at the page: whom the cookie names, else the first of the people."""
    found = workspace.world.users.get(request.cookies.get(COOKIE, ""))
    return found if found is not None and not found.is_bot else workspace.people[0]


def routes(workspace: Workspace) -> list[BaseRoute]:
    """Return the routes of the pages."""

    def page(make: Page) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            with workspace.lock:
                reader = person(workspace, request)
                try:
                    return make(workspace, request, reader)
                except GreylagError as error:
                    return error_page(workspace, reader, error, 404)

        return endpoint

    async def stream(request: Request) -> Response:
        return StreamingResponse(_changes(workspace), media_type="text/event-stream")

    return [
        Route("/", page(_start)),
        Route("/c/{channel}", page(_channel)),
        Route("/c/{channel}/t/{ts}", page(_thread)),
        Route("/home", page(_home)),
        Route("/connect", page(_connect)),
        Route("/file/{id}", page(_file)),
        Route("/stream", stream),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]


def _fresh(request: Request) -> bool:
    """Return whether a person opened the page; a refresh by the script tells the app nothing."""
    return request.headers.get("x-stand-in") != "refresh"


def _around(workspace: Workspace, reader: User, **more: Any) -> dict[str, Any]:
    rooms = [
        each for each in workspace.world.channels.values() if each.kind != "im" and reader.id in each.members
    ]  # fmt: skip
    view = workspace.modal(reader.id)
    return {
        "reader": reader, "people": workspace.people, "rooms": rooms, "bot": workspace.bot.name, "here": "",
        "direct": workspace.direct(reader.id), "connections": workspace.connections, "modal": _modal(workspace, view),
        "lost": _lost(workspace), **more,
    }  # fmt: skip


def _lost(workspace: Workspace) -> str:
    """Return what to say where the app did not take the last thing it was told."""
    last = workspace.deliveries[-1] if workspace.deliveries else None
    if last is None or last.state != "failed":
        return ""
    return f"{workspace.bot.name} did not take the last event or click ({last.reason})."


def _modal(workspace: Workspace, view: View | None) -> dict[str, Any] | None:
    if view is None:
        return None
    names = {name: plain(view.content.get(name)) for name in ("title", "submit", "close")}
    pieces = of_view(view.content, view.values, workspace.name_of)
    version = f"{view.id}-{view.hash}-{len(view.errors)}"
    return {"id": view.id, "version": version, "pieces": pieces, "errors": view.errors, **names}


def _start(workspace: Workspace, _: Request, reader: User) -> Response:
    rooms = [each for each in workspace.world.channels.values() if reader.id in each.members and each.kind != "im"]
    return RedirectResponse(f"/c/{rooms[0].id if rooms else workspace.direct(reader.id).id}", 303)


def _room(workspace: Workspace, request: Request, reader: User) -> Channel:
    found = workspace.channel(request.path_params["channel"])
    return found if reader.id in found.members else workspace.channel("\0")


def _channel(workspace: Workspace, request: Request, reader: User) -> Response:
    channel = _room(workspace, request, reader)
    if channel.kind == "im" and _fresh(request):
        acting.open_home(workspace, reader, "messages")
    found = [each for each in workspace.messages(channel.id, reader.id) if not each.thread_ts]
    messages = [shown(workspace, each, reader) for each in found[-_MOST_SHOWN:]]
    title = f"#{channel.name}" if channel.name else workspace.bot.name
    prompts = workspace.world.prompts.get(channel.id, [])
    more = {"channel": channel, "title": title, "messages": messages, "thread": "", "prompts": prompts, "doing": ""}
    return render("room.html", **_around(workspace, reader, **more, here=channel.id))


def _thread(workspace: Workspace, request: Request, reader: User) -> Response:
    channel, ts = _room(workspace, request, reader), request.path_params["ts"]
    found = [each for each in workspace.thread(ts, reader.id) if each.channel == channel.id]
    messages = [shown(workspace, each, reader) for each in found[-_MOST_SHOWN:]]
    status = workspace.world.statuses.get(ts, "")
    title = workspace.world.titles.get(ts) or f"Thread in {channel.name or 'direct messages'}"
    more = {"channel": channel, "title": title, "messages": messages, "thread": ts, "prompts": [], "doing": status}
    return render("room.html", **_around(workspace, reader, **more, here=channel.id))


def _home(workspace: Workspace, request: Request, reader: User) -> Response:
    if _fresh(request):
        acting.open_home(workspace, reader, "home")
    view = workspace.home(reader.id)
    pieces = of_view(view.content, view.values, workspace.name_of) if view else ()
    return render("home.html", **_around(workspace, reader, view=view, pieces=pieces, here="home"))


def _connect(workspace: Workspace, _: Request, reader: User) -> Response:
    calls = list(workspace.calls)[-30:][::-1]
    more = {"slack": workspace, "calls": calls, "pings": workspace.pings[-30:][::-1], "here": "connect"}
    return render("connect.html", **_around(workspace, reader, **more))


def _file(workspace: Workspace, request: Request, reader: User) -> Response:
    file = workspace.file(request.path_params["id"])
    if not any(reader.id in workspace.world.channels[room].members for room in file.shares):
        workspace.file("\0")
    headers = {"content-disposition": "attachment; filename*=UTF-8''" + _quoted(file.name)}
    return Response(file.content, media_type="application/octet-stream", headers=headers)


def _quoted(name: str) -> str:
    return "".join(chr(each) if chr(each).isalnum() and each < 128 else f"%{each:02X}" for each in name.encode())


async def _changes(workspace: Workspace) -> AsyncIterator[str]:
    """Yield an event after each change, at most twenty a second."""
    loop, wake = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        loop.call_soon_threadsafe(wake.set)

    end = workspace.watch(tell)
    try:
        yield f"data: {workspace.version}\n\n"
        while True:
            try:
                async with asyncio.timeout(_BEAT_SECONDS):
                    await wake.wait()
            except TimeoutError:
                yield ": here\n\n"
                continue
            await asyncio.sleep(_PAUSE_SECONDS)
            wake.clear()
            yield f"data: {workspace.version}\n\n"
    finally:
        end()


def error_page(workspace: Workspace, reader: User, error: GreylagError, status: int) -> Response:
    """Return the page that says what was wrong."""
    return render("error.html", status, **_around(workspace, reader, error=error))
