"""What the page's forms do. The script sends them without leaving the page; without it they lead back."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from greylag.app.fake_slack.page.pages import COOKIE, error_page, person
from greylag.app.fake_slack.workspace import Workspace
from greylag.app.fake_slack.world.records import User
from greylag.domain.errors import GreylagError, RequestRefused

Act = Callable[[Workspace, User, FormData], None]
_MOST_PEOPLE = 50


def routes(workspace: Workspace) -> list[BaseRoute]:
    """Return the routes of the forms."""
    acts: dict[str, Act] = {
        "/react": _react, "/press": _press, "/submit": _submit, "/dismiss": _dismiss,
    }  # fmt: skip
    found: list[BaseRoute] = [Route(path, _form(workspace, act), methods=["POST"]) for path, act in acts.items()]
    return [*found, Route("/say", _say(workspace), methods=["POST"]), Route("/as", _as(workspace), methods=["POST"])]


def _form(workspace: Workspace, act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=200, max_part_size=100_000) as form:
            reader = person(workspace, request)
            try:
                await run_in_threadpool(act, workspace, reader, form)
            except GreylagError as error:
                return _wrong(workspace, request, reader, error)
            return _back(request)

    return endpoint


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.replace("\r\n", "\n") if isinstance(value, str) else ""


def _react(workspace: Workspace, reader: User, form: FormData) -> None:
    message, name = workspace.message(_text(form, "ts")), _text(form, "name")
    _in_room(workspace, reader, message.channel)
    act = workspace.unreact if reader.id in message.reactions.get(name, ()) else workspace.react
    act(reader.id, message.ts, name)


def _in_room(workspace: Workspace, reader: User, channel: str) -> None:
    if reader.id not in workspace.channel(channel).members:
        raise RequestRefused("GL-FAKE-005", f"{reader.name!r} is not in that room.", "choose another room.")


def _press(workspace: Workspace, reader: User, form: FormData) -> None:
    """Press one thing: ``press`` is its action, ``choice`` what was chosen (``choice-ACTION`` inside a modal)."""
    where, action = _text(form, "where"), _text(form, "press")
    if where in workspace.world.messages:
        _in_room(workspace, reader, workspace.message(where).channel)
    chosen = [str(each) for name in ("choice", f"choice-{action}") for each in form.getlist(name)]
    workspace.click(reader.id, where, action, "\n".join(chosen))


def _submit(workspace: Workspace, reader: User, form: FormData) -> None:
    names = [name.removeprefix("field-") for name in form if name.startswith("field-")]
    values = {
        name: "\n".join(str(each) for each in form.getlist(f"field-{name}")).replace("\r\n", "\n") for name in names
    }  # fmt: skip
    workspace.submit(reader.id, values, _text(form, "where"))


def _dismiss(workspace: Workspace, reader: User, _: FormData) -> None:
    workspace.dismiss(reader.id)


def _say(workspace: Workspace) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        async with request.form(max_files=10, max_fields=20, max_part_size=300_000) as form:
            reader = person(workspace, request)
            given = [each for each in form.getlist("file") if not isinstance(each, str) and each.filename]
            files = [(each.filename or "file", await each.read()) for each in given]
            channel, words, thread = (_text(form, name) for name in ("channel", "text", "thread"))
            try:
                await run_in_threadpool(workspace.say, reader.id, channel, words, thread=thread, files=files)
            except GreylagError as error:
                return _wrong(workspace, request, reader, error)
            return _back(request)

    return endpoint


def _as(workspace: Workspace) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=5) as form:
            try:
                new = _text(form, "new").strip().lower()
                chosen = _newcomer(workspace, new) if new else workspace.user(_text(form, "user"))
            except GreylagError as error:
                return _wrong(workspace, request, person(workspace, request), error)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(COOKIE, chosen.id, httponly=True, samesite="strict")
        return answer

    return endpoint


def _newcomer(workspace: Workspace, name: str) -> User:
    if not name.isascii() or not name.isalnum() or len(name) > 30 or len(workspace.people) >= _MOST_PEOPLE:
        raise RequestRefused("GL-FAKE-005", f"{name!r} can't be added.", "use at most 30 letters and digits.")
    return workspace.add_person(name)


def _back(request: Request) -> Response:
    """Lead back to where the form stands, or say to the script that it is done."""
    if request.headers.get("x-stand-in") == "form":
        return JSONResponse({"ok": True})
    return RedirectResponse(urlsplit(request.headers.get("referer", "/")).path or "/", 303)


def _wrong(workspace: Workspace, request: Request, reader: User, error: GreylagError) -> Response:
    if request.headers.get("x-stand-in") == "form":
        return JSONResponse({"ok": False, "problem": f"{error.message} {error.remedy}"}, 400)
    with workspace.lock:
        return error_page(workspace, reader, error, 400)
