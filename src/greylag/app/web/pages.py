"""The pages around the threads: sign in, the list of tasks, and the place to ask."""

import re
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles

from greylag.app.web.api import Wired, platform_of
from greylag.app.web.identity import COOKIE, Acting, acting
from greylag.app.web.rendering import HERE, page
from greylag.app.web.thread import pages as thread_pages
from greylag.app.web.thread.standing import standing_of
from greylag.delivery.desk import Request as Wish
from greylag.domain.errors import GreylagError
from greylag.domain.ids import TaskId

router = APIRouter(include_in_schema=False)
_TASKS = 50
#: Where a sign-in may lead: pages of this site that a link in a chat points to.
_NEXT = re.compile(
    r"/tasks/[a-z0-9_]{4,40}(/(see|download)/[a-z]{1,20}|/decisions)?|/policy(/decisions/[a-z0-9_]{4,40})?|/facts|/map"
    r"|/link/[A-Za-z0-9_-]{8,900}\.[A-Za-z0-9_-]{20,90}"
)


def mount_pages(app: FastAPI) -> None:
    """Add the pages and their static files to ``app``."""
    app.include_router(router)
    app.include_router(thread_pages.router)
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
def login_form(wanted: Annotated[str, Query(alias="next", max_length=1_100)] = "") -> HTMLResponse:
    """Ask for a token."""
    return page("login.html", person=None, problem="", wanted=wanted)


@router.post("/login")
def login(
    request: Request,
    platform: Wired,
    token: Annotated[str, Form(max_length=200)] = "",
    wanted: Annotated[str, Form(max_length=1_100)] = "",
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
