"""Who is who in chats: the page on which somebody says that a chat account is theirs, and the operator's list."""

from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field

from greylag.adapters.store.port import ChatPerson
from greylag.app.web.api import Wired, platform_of
from greylag.app.web.identity import acting, require_operator
from greylag.app.web.rendering import page
from greylag.domain.errors import RequestRefused

api = APIRouter(prefix="/api/v1/people/links")
pages = APIRouter(include_in_schema=False)
Code = Annotated[str, Path(max_length=1000, pattern=r"^[A-Za-z0-9_-]{8,900}\.[A-Za-z0-9_-]{20,90}$")]


class LinkIn(BaseModel):
    """A chat account, and who it is."""

    model_config = ConfigDict(extra="forbid")

    chat: str = Field(max_length=255)
    id: str = Field(max_length=255)
    name: str = Field(default="", max_length=64)


@api.post("", status_code=201)
def add(body: LinkIn, platform: Wired, request: Request) -> dict[str, str]:
    """Say who a chat account is, whoever it was before; for operators."""
    require_operator(request, platform)
    return _out(platform.links.link(body.chat, body.id, body.name))


@api.get("")
def listing(platform: Wired, request: Request) -> list[dict[str, str]]:
    """List everybody who is known from a chat; for operators."""
    require_operator(request, platform)
    return [_out(each) for each in platform.links.all()]


@api.post("/remove")
def remove(body: LinkIn, platform: Wired, request: Request) -> dict[str, str]:
    """Forget who a chat account is; for operators."""
    require_operator(request, platform)
    return _out(platform.links.unlink(body.chat, body.id))


@pages.get("/link/{code}")
def show(request: Request, code: Code, platform: Wired) -> HTMLResponse:
    """Show which chat account would become whom; nothing happens by looking."""
    person = acting(request, platform_of(request)).person
    claim = platform.links.read(code)
    return page("link.html", person=person, claim=claim, now=platform.cell.clock.now(), code=code, done=False)


@pages.post("/link/{code}")
def confirm(
    request: Request, code: Code, platform: Wired, mine: Annotated[str, Form(max_length=64)] = ""
) -> HTMLResponse:
    """Record that the chat account is the signed-in person's: whom the page named when they confirmed."""
    person = acting(request, platform_of(request)).person
    if mine != person.name:
        raise RequestRefused(
            "GL-LINK-008",
            f"the page was made for {mine[:40]!r}, and {person.name} is signed in.",
            "open the link again and look whose account it will be.",
        )
    claim = platform.links.read(code)
    platform.links.redeem(code, person.name)
    return page("link.html", person=person, claim=claim, now=platform.cell.clock.now(), code=code, done=True)


def _out(known: ChatPerson) -> dict[str, str]:
    return {
        "person": known.person, "chat": known.source, "id": known.author, "via": known.via,
        "at": known.at.isoformat(timespec="seconds"),
    }  # fmt: skip
