"""The web thread: ask, follow live, review and decide in a browser. Works by keyboard, on a phone, without scripts."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from greylag.app.web.api import Wired, platform_of, read_messages
from greylag.app.web.documents import task_out
from greylag.app.web.identity import COOKIE, Acting, acting
from greylag.delivery.desk import Request as Wish
from greylag.domain.errors import GreylagError, RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.states import TaskStatus

router = APIRouter(include_in_schema=False)
_HERE = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=select_autoescape(default=True), undefined=StrictUndefined
)
_POLL_SECONDS = 0.5
_KEPT = frozenset("\n\t")
_STREAM_SECONDS = 3600
_DIFF_CHARACTERS = 400_000


def visible(text: str) -> str:
    """Return ``text`` with ``·`` for what moves a cursor, hides text or turns its direction (Unicode TR 36)."""
    return "".join(c if c.isprintable() or c in _KEPT else "·" for c in text)


_TEMPLATES.filters["visible"] = visible


def mount_pages(app: FastAPI) -> None:
    """Add the pages and their static files to ``app``."""
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")


def error_page(request: Request, error: GreylagError, status: int) -> Response:
    """Return the page for an error; somebody who isn't signed in is sent to do that."""
    if error.code == "GL-AUTH-001" and request.method == "GET":
        return RedirectResponse("/login", status_code=303)
    return _page("error.html", status=status, error=error, person=None)


def _page(name: str, status: int = 200, **values: object) -> HTMLResponse:
    return HTMLResponse(_TEMPLATES.get_template(name).render(**values), status_code=status)


def _who(request: Request) -> Acting:
    return acting(request, platform_of(request))


@router.get("/login")
def login_form() -> HTMLResponse:
    """Ask for a token."""
    return _page("login.html", person=None, problem="")


@router.post("/login")
def login(request: Request, token: Annotated[str, Form(max_length=200)], platform: Wired) -> Response:
    """Sign in with a person's token."""
    if platform.directory.person_by_token(token.strip()) is None:
        return _page("login.html", status=403, person=None, problem="No person has this token.")
    answer = RedirectResponse("/", status_code=303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, token.strip(), max_age=12 * 3600, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/logout")
def logout() -> RedirectResponse:
    """Sign out of this browser."""
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/")
def index(request: Request, platform: Wired) -> HTMLResponse:
    """Show the newest tasks and the place to ask."""
    who = _who(request)
    tasks = [
        task_out(task, platform.cell.labels.get(task.endpoint, "")) for task in platform.cell.events.tasks(limit=50)
    ]
    repositories = [repository.name for repository in platform.directory.repositories()]
    return _page("index.html", person=who.person, tasks=tasks, repositories=repositories)


@router.post("/ask")
def ask(
    request: Request,
    platform: Wired,
    text: Annotated[str, Form(max_length=64_000)] = "",
    repository: Annotated[str, Form(max_length=64)] = "",
) -> RedirectResponse:
    """Take a request from the form."""
    who = _who(request)
    task = platform.desk.ask(Wish(who.person.name, text, repository or None, channel="web"))
    return RedirectResponse(f"/tasks/{task.task_id}", status_code=303)


@router.get("/tasks/{task_id}")
def thread(request: Request, task_id: str, platform: Wired) -> HTMLResponse:
    """Show one task's thread."""
    who = _who(request)
    task = platform.cell.events.find(task_id)
    said = read_messages(platform, task.task_id, 0)
    out = task_out(task, platform.cell.labels.get(task.endpoint, ""))
    may = "reviewer" in who.person.roles and who.person.name not in (task.requester, *task.follow_up_authors)
    in_review = task.status is TaskStatus.IN_REVIEW
    return _page(
        "thread.html", person=who.person, task=out, messages=said, last=said[-1].sequence if said else 0,
        may_approve=may and in_review, in_review=in_review,
    )  # fmt: skip


@router.get("/tasks/{task_id}/stream")
async def stream(request: Request, task_id: str, platform: Wired, after: int = 0) -> StreamingResponse:
    """Send the thread's new messages as server-sent events; a reconnect goes on after the last one seen."""
    await asyncio.to_thread(_who, request)
    task = await asyncio.to_thread(platform.cell.events.find, task_id)
    last = request.headers.get("last-event-id", "")
    start = int(last) if last.isdigit() else after

    async def events() -> AsyncIterator[str]:
        seen = start
        for _ in range(int(_STREAM_SECONDS / _POLL_SECONDS)):
            said = await asyncio.to_thread(read_messages, platform, task.task_id, seen)
            for message in said:
                seen = message.sequence
                shown = message.model_copy(update={"text": visible(message.text)})
                yield f"id: {seen}\ndata: {json.dumps(shown.model_dump(mode='json'))}\n\n"
            now = await asyncio.to_thread(platform.cell.events.task, TaskId(task.task_id))
            yield f"event: status\ndata: {json.dumps({'status': str(now.status), 'sequence': now.sequence})}\n\n"
            if now.closed and not said:
                return
            await asyncio.sleep(_POLL_SECONDS)

    return StreamingResponse(events(), media_type="text/event-stream")


@router.get("/tasks/{task_id}/see/{kind}")
def see(request: Request, task_id: str, kind: str, platform: Wired) -> HTMLResponse:
    """Show a diff, a report or a transcript as text; the reading is a decision and on record."""
    who = _who(request)
    task = platform.cell.events.find(task_id)
    text = platform.desk.read(task.task_id, who.person.name, kind, "review").decode("utf-8", "replace")
    cut = len(text) > _DIFF_CHARACTERS
    rows = [(_row_class(line) if kind == "diff" else "", line) for line in text[:_DIFF_CHARACTERS].split("\n")]
    return _page("content.html", person=who.person, task=task_out(task), kind=kind, rows=rows, cut=cut)


def _row_class(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ")):
        return "head"
    return {"+": "plus", "-": "minus", "@": "hunk"}.get(line[:1], "")


def _decide(request: Request, task_id: str, act: Callable[[Acting, TaskId], object]) -> RedirectResponse:
    who = _who(request)
    task = platform_of(request).cell.events.find(task_id)
    act(who, task.task_id)
    return RedirectResponse(f"/tasks/{task.task_id}", status_code=303)


@router.post("/tasks/{task_id}/reply")
def reply(
    request: Request, task_id: str, platform: Wired, text: Annotated[str, Form(max_length=64_000)] = ""
) -> RedirectResponse:
    """Take a follow-up or an answer from the form."""
    return _decide(request, task_id, lambda who, task: platform.desk.reply(task, who.person.name, text))


@router.post("/tasks/{task_id}/approve")
def approve(
    request: Request, task_id: str, platform: Wired, subject: Annotated[str, Form(max_length=80)] = ""
) -> RedirectResponse:
    """Approve exactly the digest the page showed."""
    if not subject:
        raise RequestRefused("GL-APPROVE-003", "the form did not say what was seen.", "open the thread again.")
    return _decide(request, task_id, lambda who, task: platform.desk.approve(task, who.person.name, subject, "web"))


@router.post("/tasks/{task_id}/reject")
def reject(
    request: Request, task_id: str, platform: Wired, reason: Annotated[str, Form(max_length=2000)] = ""
) -> RedirectResponse:
    """Say no."""
    return _decide(request, task_id, lambda who, task: platform.desk.reject(task, who.person.name, reason))


@router.post("/tasks/{task_id}/stop")
def stop(request: Request, task_id: str, platform: Wired) -> RedirectResponse:
    """Stop the task."""
    return _decide(request, task_id, lambda who, task: platform.desk.stop(task, who.person.name))
