"""The JSON API under ``/api/v1``. Its OpenAPI document is served at ``/api/v1/openapi.json``."""

import asyncio
import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from greylag.app.importing import Incoming
from greylag.app.platform import Platform
from greylag.app.web import documents as doc
from greylag.app.web.identity import Acting, acting, require_operator
from greylag.delivery.desk import Attachment
from greylag.delivery.desk import Request as Wish
from greylag.delivery.releases import Live, live_releases, roll_back
from greylag.domain.ids import TaskId
from greylag.domain.repository import Person, Repository
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task

router = APIRouter(prefix="/api/v1")
_POLL_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 25.0


def platform_of(request: Request) -> Platform:
    """Return the platform this application serves."""
    platform: Platform = request.app.state.platform
    return platform


def who(request: Request) -> Acting:
    """Return who is asking; refuses nobody."""
    return acting(request, platform_of(request))


Wired = Annotated[Platform, Depends(platform_of)]
Who = Annotated[Acting, Depends(who)]
After = Annotated[int, Query(ge=0, le=2**53)]  # a sequence number


def _out(platform: Platform, task: Task) -> doc.TaskOut:
    return doc.task_out(task, platform.cell.labels.get(task.endpoint, ""))


@router.get("/health")
def health(platform: Wired) -> dict[str, str]:
    """Say that the platform answers, and for which region."""
    return {"status": "ok", "region": platform.cell.region}


@router.get("/whoami")
def whoami(who: Who) -> dict[str, object]:
    """Return the person this token or session stands for."""
    return {"name": who.person.name, "roles": list(who.person.roles), "via": who.via}


@router.post("/tasks", status_code=201)
def ask(body: doc.AskIn, platform: Wired, who: Who) -> doc.TaskOut:
    """Ask for a fix, a feature or a release; the same ``message_id`` again is the same task."""
    files = tuple(Attachment(each.name, each.text.encode("utf-8", "replace")) for each in body.attachments)
    wish = Wish(
        who.person.name, body.text, body.repository, body.agent, tuple(body.command), body.channel, body.message_id,
        files,
    )  # fmt: skip
    return _out(platform, platform.desk.ask(wish))


@router.get("/tasks")
def tasks(
    platform: Wired,
    who: Who,
    status: Annotated[list[TaskStatus] | None, Query()] = None,
    repository: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: str | None = None,
) -> list[doc.TaskOut]:
    """List tasks, newest first; page on with ``before`` = the last task id."""
    found = platform.cell.events.tasks(
        statuses=status, repository=repository, limit=limit, before=TaskId(before) if before else None
    )
    return [_out(platform, task) for task in found]


@router.get("/tasks/{task_id}")
def task(task_id: str, platform: Wired, who: Who) -> doc.TaskOut:
    """Return one task, by its id or an unambiguous beginning of it."""
    return _out(platform, platform.cell.events.find(task_id))


@router.get("/tasks/{task_id}/events")
def events(task_id: str, platform: Wired, who: Who, after: After = 0) -> list[doc.EventOut]:
    """Return the task's event log after a sequence number."""
    found = platform.cell.events.find(task_id)
    return [doc.event_out(record) for record in platform.cell.events.read(found.task_id, after)]


def read_messages(platform: Platform, task_id: TaskId, after: int) -> list[doc.MessageOut]:
    """Return what was said in a task's thread after a sequence number."""
    found = platform.cell.threads.messages(task_id, after)
    return [
        doc.MessageOut(
            sequence=message.sequence, at=message.at, author=message.author, kind=message.kind,
            text=platform.cell.vault.get(message.body, subject=task_id).decode("utf-8", "replace"),
            decision_id=message.decision_id,
            offers=[doc.OfferOut(verb=each.verb, label=each.label, value=each.value) for each in message.offers],
        )
        for message in found
    ]  # fmt: skip


@router.get("/tasks/{task_id}/messages")
async def messages(
    task_id: str, platform: Wired, who: Who, after: After = 0, wait: Annotated[float, Query(ge=0, le=60)] = 0
) -> list[doc.MessageOut]:
    """Return what was said after a sequence number; with ``wait`` seconds, hold the answer until there is something."""
    found = await asyncio.to_thread(platform.cell.events.find, task_id)
    end = time.monotonic() + min(wait, _LONGEST_WAIT_SECONDS)
    while True:
        said = await asyncio.to_thread(read_messages, platform, found.task_id, after)
        if said or time.monotonic() >= end:
            return said
        await asyncio.sleep(_POLL_SECONDS)


@router.post("/tasks/{task_id}/replies", status_code=201)
def reply(task_id: str, body: doc.ReplyIn, platform: Wired, who: Who) -> doc.TaskOut:
    """Say more in the thread: a follow-up, or the answer to a question."""
    found = platform.cell.events.find(task_id)
    return _out(platform, platform.desk.reply(found.task_id, who.person.name, body.text, body.message_id, body.mode))


@router.post("/tasks/{task_id}/takeover", status_code=201)
def take_over(task_id: str, platform: Wired, who: Who) -> doc.TaskOut:
    """Take the work over by hand; a running agent ends within seconds, and what it did so far is captured."""
    found = platform.cell.events.find(task_id)
    return _out(platform, platform.desk.take_over(found.task_id, who.person.name))


@router.post("/tasks/{task_id}/handback", status_code=201)
def hand_back(task_id: str, body: doc.HandBackIn, platform: Wired, who: Who) -> doc.TaskOut:
    """Hand back what was made by hand; it is verified, built and reviewed as any change."""
    found = platform.cell.events.find(task_id)
    desk, by = platform.desk, who.person.name
    return _out(platform, desk.hand_back(found.task_id, by, body.patch, body.base_commit, body.message_id))


@router.post("/tasks/{task_id}/approval", status_code=201)
def approve(task_id: str, body: doc.ApprovalIn, platform: Wired, who: Who) -> doc.TaskOut:
    """Approve exactly the digest that is up for review."""
    found = platform.cell.events.find(task_id)
    return _out(platform, platform.desk.approve(found.task_id, who.person.name, body.subject, who.via))


@router.post("/tasks/{task_id}/rejection", status_code=201)
def reject(task_id: str, body: doc.ReasonIn, platform: Wired, who: Who) -> doc.TaskOut:
    """Say no: the task ends and nothing is merged."""
    found = platform.cell.events.find(task_id)
    return _out(platform, platform.desk.reject(found.task_id, who.person.name, body.reason))


@router.post("/tasks/{task_id}/stop", status_code=201)
def stop(task_id: str, body: doc.ReasonIn, platform: Wired, who: Who) -> doc.TaskOut:
    """Stop a task; a running agent ends within seconds."""
    found = platform.cell.events.find(task_id)
    return _out(platform, platform.desk.stop(found.task_id, who.person.name, body.reason))


@router.get("/tasks/{task_id}/content/{kind}")
def content(task_id: str, kind: str, platform: Wired, who: Who, reason: str = "") -> Response:
    """Return content of a task (``diff``, ``report``, ``build`` …); each reading is a decision and on record."""
    return content_of(platform, who, task_id, kind, reason)


def content_of(platform: Platform, who: Acting, task_id: str, kind: str, reason: str) -> Response:
    """Return content of a task as a file to keep, never as something that a browser shows."""
    found = platform.cell.events.find(task_id)
    body = platform.desk.read(found.task_id, who.person.name, kind, reason)
    name = found.build.name if kind == "build" and found.build else f"{kind}.txt"
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-+") else "_" for c in name)
    headers = {"content-disposition": f'attachment; filename="{safe}"', "x-content-type-options": "nosniff"}
    return Response(body, media_type="application/octet-stream", headers=headers)


@router.get("/repositories")
def repositories(platform: Wired, who: Who) -> list[dict[str, object]]:
    """List the repositories and where each environment stands."""
    return [
        {
            "name": each.name, "region": each.region, "level": each.level, "default_branch": each.default_branch,
            "build": each.build, "keywords": list(each.keywords),
            "environments": [environment.name for environment in each.environments],
        }
        for each in platform.directory.repositories()
    ]  # fmt: skip


@router.get("/repositories/{name}")
def repository(name: str, platform: Wired, who: Who) -> dict[str, object]:
    """Return a repository's settings, in the shape in which they are posted."""
    return doc.repository_settings(platform.directory.repository(name))


@router.post("/repositories", status_code=201)
async def add_repository(body: doc.RepositoryIn, platform: Wired, request: Request) -> dict[str, str]:
    """Import a repository from a path or URL on the platform's machine, or a published package; for operators."""
    require_operator(request, platform)
    incoming = Incoming(body.source, body.patch)
    added: Repository = await platform.import_repository(body.value(platform.cell.region), incoming)
    return {"name": added.name, "default_branch": added.default_branch}


@router.post("/people", status_code=201)
def add_person(body: doc.PersonIn, platform: Wired, request: Request) -> dict[str, str]:
    """Add somebody, or give a new token; the token is told once and kept only as a hash. For operators."""
    require_operator(request, platform)
    token = f"glp_{platform.cell.clock.entropy(24).hex()}"
    platform.directory.add_person(Person(body.name, tuple(body.roles), body.email), token)
    return {"name": body.name, "token": token}


@router.get("/people")
def people(platform: Wired, who: Who) -> list[dict[str, object]]:
    """List everybody and their roles."""
    return [{"name": each.name, "roles": list(each.roles)} for each in platform.directory.people()]


@router.get("/releases")
async def releases(platform: Wired, who: Who, repository: str) -> list[Live]:
    """Say what is live in each environment of a repository."""
    return await live_releases(platform.cell, repository)


@router.post("/releases/rollback", status_code=201)
async def rollback(body: doc.RollbackIn, platform: Wired, who: Who) -> Live:
    """Bring an environment back to what ran there before."""
    return await roll_back(platform.cell, body.repository, body.environment, who.person.name)


@router.get("/ledger/entries")
def ledger_entries(
    platform: Wired, who: Who, start: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[dict[str, object]]:
    """Return ledger entries in order; they hold decisions and digests, never content."""
    return [{"index": entry.index, "body": entry.body.decode()} for entry in platform.cell.ledger.entries(start, limit)]


@router.get("/ledger/checkpoint")
def ledger_checkpoint(platform: Wired, who: Who) -> dict[str, str]:
    """Return the newest signed checkpoint and the public key to check it with."""
    return {"checkpoint": platform.cell.ledger.checkpoint(), "public_key": platform.ledger_public_key.hex()}
