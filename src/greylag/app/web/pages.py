"""The web thread: ask, follow live, review and decide in a browser. Works by keyboard, on a phone, without scripts."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles

from greylag.app.platform import Platform
from greylag.app.web.api import After, Wired, platform_of, read_messages
from greylag.app.web.conversation import entry_of, folded
from greylag.app.web.documents import MessageOut, task_out
from greylag.app.web.identity import COOKIE, Acting, acting
from greylag.app.web.patches import read_patch, shortened
from greylag.app.web.rendering import HERE, page
from greylag.app.web.standing import rights_of, standing_of
from greylag.delivery.desk import Request as Wish
from greylag.domain.errors import GreylagError, RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.repository import Person
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task

router = APIRouter(include_in_schema=False)
_POLL_SECONDS = 0.5
_STREAM_SECONDS = 3600
_QUIET_SECONDS = 15
_SHOWN_CHARACTERS = 400_000
_SHOWN_ROWS = 10_000
_TASKS = 50
_LONGEST_THREAD = 5000
#: Where a sign-in may lead: pages of this site that a link in a chat points to.
_NEXT = re.compile(
    r"/tasks/[a-z0-9_]{4,40}(/see/[a-z]{1,20}|/decisions)?|/policy(/decisions/[a-z0-9_]{4,40})?|/facts|/map"
)
KINDS = {
    "diff": "Diff", "report": "Test report", "transcript": "Transcript", "prompt": "Prompt", "evidence": "Evidence",
    "request": "Request",
}  # fmt: skip


def mount_pages(app: FastAPI) -> None:
    """Add the pages and their static files to ``app``."""
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")


def error_page(request: Request, error: GreylagError, status: int) -> Response:
    """Return the page for an error; somebody who isn't signed in is sent to do that, and then to where they were."""
    if error.code == "GL-AUTH-001" and request.method == "GET":
        wanted = request.url.path
        then = f"?next={quote(wanted)}" if _NEXT.fullmatch(wanted) else ""
        return RedirectResponse(f"/login{then}", status_code=303)
    try:
        person = _who(request).person
    except GreylagError:
        person = None
    task = re.match(r"/tasks/[a-z0-9_]{4,40}(?=/)", request.url.path)
    return page("error.html", status=status, error=error, person=person, back=task.group() if task else "")


def _who(request: Request) -> Acting:
    return acting(request, platform_of(request))


@router.get("/login")
def login_form(wanted: Annotated[str, Query(alias="next", max_length=200)] = "") -> HTMLResponse:
    """Ask for a token."""
    return page("login.html", person=None, problem="", wanted=wanted)


@router.post("/login")
def login(
    request: Request,
    platform: Wired,
    token: Annotated[str, Form(max_length=200)] = "",
    wanted: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Sign in with a person's token."""
    if platform.directory.person_by_token(token.strip()) is None:
        return page("login.html", status=403, person=None, problem="No person has this token.", wanted=wanted)
    answer = RedirectResponse(wanted if _NEXT.fullmatch(wanted) else "/", status_code=303)
    secure = request.url.scheme == "https"
    # `lax`: a link in a chat or a mail leads to the page, signed in; forms of other sites are refused by their origin.
    answer.set_cookie(COOKIE, token.strip(), max_age=12 * 3600, httponly=True, samesite="lax", secure=secure)
    return answer


@router.post("/logout")
def logout() -> RedirectResponse:
    """Sign out of this browser."""
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


@router.get("/")
def index(
    request: Request, platform: Wired, before: Annotated[str | None, Query(pattern=r"^task_[a-z0-9]{26}$")] = None
) -> HTMLResponse:
    """Show the newest tasks, those that wait for the viewer first, and the place to ask."""
    person = _who(request).person
    people = platform.directory.people()
    found = platform.cell.events.tasks(limit=_TASKS, before=TaskId(before) if before else None)
    rows = [(task, standing_of(task, person, people)) for task in found]
    return page(
        "index.html", person=person, now=platform.cell.clock.now(), before=before,
        yours=[row for row in rows if row[1].tone == "you"], others=[row for row in rows if row[1].tone != "you"],
        older=found[-1].task_id if len(found) == _TASKS else "",
        repositories=[repository.name for repository in platform.directory.repositories()],
    )  # fmt: skip


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
    person = _who(request).person
    task = platform.cell.events.find(task_id)
    said = _whole_thread(platform, task.task_id)
    return page(
        "thread.html", person=person, task=task_out(task, platform.cell.labels.get(task.endpoint, "")),
        entries=folded(said), last=said[-1].sequence if said else 0, now=platform.cell.clock.now(),
        standing=standing_of(task, person, platform.directory.people()), rights=rights_of(task, person),
        in_review=task.status is TaskStatus.IN_REVIEW, version=_version(task),
    )  # fmt: skip


def _whole_thread(platform: Platform, task_id: TaskId) -> list[MessageOut]:
    said: list[MessageOut] = []
    while len(said) < _LONGEST_THREAD:
        more = read_messages(platform, task_id, said[-1].sequence if said else 0)
        said += more
        if not more:
            break
    return said


def _version(task: Task) -> str:
    """Return what the forms of a thread depend on."""
    return f"{task.status}/{task.subject}/{len(task.follow_ups)}/{bool(task.stop_requested_by)}"


@router.get("/tasks/{task_id}/stream")
async def stream(request: Request, task_id: str, platform: Wired, after: After = 0) -> StreamingResponse:
    """Send the thread's new messages as server-sent events; a reconnect goes on after the last one seen."""
    who = await asyncio.to_thread(_who, request)
    task = await asyncio.to_thread(platform.cell.events.find, task_id)
    last = request.headers.get("last-event-id", "")
    start = int(last) if re.fullmatch(r"[0-9]{1,15}", last) else after
    return StreamingResponse(_events(platform, task.task_id, who.person, start), media_type="text/event-stream")


async def _events(platform: Platform, task_id: TaskId, person: Person, after: int) -> AsyncIterator[str]:
    seen, told, quiet_seconds = after, "", 0.0
    for _ in range(int(_STREAM_SECONDS / _POLL_SECONDS)):
        # Before the messages: a status that says "closed" must not be older than the last message.
        closed, now = await asyncio.to_thread(_status_line, platform, task_id, person)
        said = await asyncio.to_thread(read_messages, platform, task_id, seen)
        for message in said:
            seen = message.sequence
            yield f"id: {seen}\ndata: {json.dumps(entry_of(message).line())}\n\n"
        if now != told:
            yield f"event: status\ndata: {now}\n\n"
        elif quiet_seconds >= _QUIET_SECONDS:
            yield ": still here\n\n"
        quiet_seconds = 0.0 if said or now != told or quiet_seconds >= _QUIET_SECONDS else quiet_seconds + _POLL_SECONDS
        told = now
        if closed and not said:
            yield f"event: status\ndata: {json.dumps({**json.loads(now), 'over': True})}\n\n"
            return
        await asyncio.sleep(_POLL_SECONDS)


def _status_line(platform: Platform, task_id: TaskId, person: Person) -> tuple[bool, str]:
    task = platform.cell.events.task(task_id)
    standing = standing_of(task, person, platform.directory.people())
    told = {**asdict(standing), "status": str(task.status), "version": _version(task), "resting": task.resting}
    return task.closed, json.dumps(told)


@router.get("/tasks/{task_id}/see/{kind}")
def see(request: Request, task_id: str, kind: str, platform: Wired) -> HTMLResponse:
    """Show a diff, a report or a transcript as text; the reading is a decision and on record."""
    who = _who(request)
    task = platform.cell.events.find(task_id)
    if kind not in KINDS:
        known = ", ".join(f"`{each}`" for each in KINDS)
        raise RequestRefused("GL-WEB-006", f"{kind[:40]!r} is nothing to look at here.", f"there is: {known}.")
    raw = platform.desk.read(task.task_id, who.person.name, kind, "review")
    text = (_statement(raw) if kind == "evidence" else raw).decode("utf-8", "replace")
    values: dict[str, Any] = {"person": who.person, "task": task_out(task), "title": KINDS[kind], "kind": kind}
    values["in_review"] = task.status is TaskStatus.IN_REVIEW
    if kind == "diff":
        return page("diff.html", patch=read_patch(text, _SHOWN_CHARACTERS, _SHOWN_ROWS), **values)
    lines = text[:_SHOWN_CHARACTERS].split("\n")
    cut = len(text) > _SHOWN_CHARACTERS or len(lines) > _SHOWN_ROWS
    return page("content.html", lines=[shortened(line) for line in lines[:_SHOWN_ROWS]], cut=cut, **values)


def _statement(envelope: bytes) -> bytes:
    """Return what a signed envelope states, to be read; the download is the envelope itself."""
    return json.dumps(json.loads(base64.b64decode(json.loads(envelope)["payload"])), indent=2).encode()


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
