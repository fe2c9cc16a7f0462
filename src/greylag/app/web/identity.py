"""Who is asking: a person by their token, or the local operator acting for somebody by name."""

from dataclasses import dataclass
from hmac import compare_digest

from fastapi import Request

from greylag.app.platform import Platform
from greylag.domain.errors import RequestRefused
from greylag.domain.repository import Person

COOKIE = "greylag_session"
ACTING_FOR = "x-greylag-as"


@dataclass(frozen=True, slots=True)
class Acting:
    """The person an act counts as, and by which way (``token``, ``operator``, ``session``)."""

    person: Person
    via: str


def acting(request: Request, platform: Platform) -> Acting:
    """Return who is asking. Raises RequestRefused ``GL-AUTH-001`` (nobody), ``-002`` (operator names nobody)."""
    header = request.headers.get("authorization", "")
    token = header.removeprefix("Bearer ").strip() if header.startswith("Bearer ") else ""
    if token and compare_digest(token.encode(), platform.operator_token.encode()):
        name = request.headers.get(ACTING_FOR, "")
        if not name:
            raise RequestRefused("GL-AUTH-002", "the operator must say for whom.", "add `--as NAME`.")
        return Acting(_named(platform, name), "operator")
    person = platform.directory.person_by_token(token) if token else None
    via = "token"
    if person is None and request.cookies.get(COOKIE):
        person, via = platform.directory.person_by_token(request.cookies[COOKIE]), "session"
    if person is None:
        raise RequestRefused("GL-AUTH-001", "nobody is signed in.", "sign in with your token.")
    return Acting(person, via)


def _named(platform: Platform, name: str) -> Person:
    known = [person.name for person in platform.directory.people()]
    if name not in known:
        others = f"`--as NAME` ({', '.join(known[:20])}), or add " if known else "add "
        raise RequestRefused(
            "GL-PERSON-001",
            f"there is no person {name[:60]!r}.",
            f"say who this is: {others}somebody: `greylag person add NAME --role requester --role reviewer`.",
        )
    return platform.directory.person(name)


def require_operator(request: Request, platform: Platform) -> Acting | None:
    """Return who acts as operator: the local one (None) or a person with the role. Raises ``GL-AUTH-003``."""
    header = request.headers.get("authorization", "")
    if compare_digest(header.encode(), f"Bearer {platform.operator_token}".encode()):
        return None
    who = acting(request, platform)
    if "operator" not in who.person.roles:
        raise RequestRefused("GL-AUTH-003", f"{who.person.name} is no operator.", "ask one to do it.")
    return who
