"""One task's thread: follow it live, answer, steer, look, decide. Works by keyboard, on a phone, without scripts."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from greylag.app.platform import Platform
from greylag.app.web.api import After, Wired, content_of, platform_of, read_messages
from greylag.app.web.documents import MessageOut, task_out
from greylag.app.web.identity import Acting, acting
from greylag.app.web.patches import read_patch, shortened
from greylag.app.web.rendering import page
from greylag.app.web.thread.conversation import entry_of, folded
from greylag.app.web.thread.offers import KINDS, Offered, offers_of
from greylag.app.web.thread.standing import rights_of, standing_of
from greylag.delivery.answering import status_words
from greylag.delivery.releases import roll_back
from greylag.domain.errors import RequestRefused
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
_LONGEST_THREAD = 5000
#: So many choices are buttons; more of them are a list.
_BUTTONS = 8
_MODES = (
    ("", "as my words say"), ("add", "now: tell the agent at its work"),
    ("replace", "now: instead of what it does"), ("queue", "afterwards: the next round begins with it"),
)  # fmt: skip


def _who(request: Request) -> Acting:
    return acting(request, platform_of(request))


@router.get("/tasks/{task_id}")
async def thread(request: Request, task_id: str, platform: Wired, doing: bool = False) -> HTMLResponse:
    """Show one task's thread; ``doing`` asks what it does just now, and is answered in the page."""
    person = (await asyncio.to_thread(_who, request)).person
    task = await asyncio.to_thread(platform.cell.events.find, task_id)
    told = await status_words(platform.cell, task) if doing else ""
    return await asyncio.to_thread(_thread, platform, task, person, told)


def _thread(platform: Platform, task: Task, person: Person, told: str) -> HTMLResponse:
    said = _whole_thread(platform, task.task_id)
    rights = rights_of(task, person)
    offers = offers_of(said, task, rights)
    answering = next((at for at, each in offers.items() if any(act.verb == "answer" for act in each.now)), 0)
    standing = standing_of(task, person, platform.directory.people())
    return page(
        "thread.html", person=person, task=task_out(task, platform.cell.labels.get(task.endpoint, "")),
        entries=folded(said, task.task_id), last=said[-1].sequence if said else 0, now=platform.cell.clock.now(),
        standing=standing, rights=rights, in_review=task.status is TaskStatus.IN_REVIEW, version=_version(task),
        offers=offers, nothing=Offered(), answering=answering, told=told, modes=_MODES if rights.steer else (),
        asked=task.status is TaskStatus.ASKED, few=len(task.choices) <= _BUTTONS,
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
    return "/".join((
        task.status, task.subject, str(len(task.follow_ups)), task.stop_requested_by, task.taken_over_by, task.question,
    ))  # fmt: skip


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
            yield f"id: {seen}\ndata: {json.dumps(entry_of(message, task_id).line())}\n\n"
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


@router.get("/tasks/{task_id}/download/{kind}")
def download(request: Request, task_id: str, kind: str, platform: Wired) -> Response:
    """Return content as a file to keep; whoever isn't signed in, or may not, gets a page that says so."""
    return content_of(platform, _who(request), task_id, kind, "download")


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
    request: Request,
    task_id: str,
    platform: Wired,
    text: Annotated[str, Form(max_length=64_000)] = "",
    mode: Annotated[str, Form(max_length=16)] = "",
) -> RedirectResponse:
    """Take a follow-up or an answer from the form; ``mode`` says what a follow-up is for, empty: its words decide."""
    return _decide(request, task_id, lambda who, task: platform.desk.reply(task, who.person.name, text, mode=mode))


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


@router.post("/tasks/{task_id}/roll-back")
async def roll_back_here(
    request: Request, task_id: str, platform: Wired, environment: Annotated[str, Form(max_length=64)] = ""
) -> RedirectResponse:
    """Bring an environment of the task's repository back to what ran there before."""
    who = await asyncio.to_thread(_who, request)
    task = await asyncio.to_thread(platform.cell.events.find, task_id)
    if not any(each.environment == environment for each in task.releases):
        known = ", ".join(f"`{each.environment}`" for each in task.releases) or "none"
        raise RequestRefused(
            "GL-WEB-007", f"{task_id} was not released to {environment[:40]!r}.", f"it was released to: {known}."
        )
    await roll_back(platform.cell, task.repository or "", environment, who.person.name)
    return RedirectResponse(f"/tasks/{task.task_id}", status_code=303)
