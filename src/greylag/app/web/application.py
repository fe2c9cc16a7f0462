"""The ASGI application: API, pages, git, and one shape for every error."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from greylag import __version__
from greylag.app.platform import Platform
from greylag.app.web import conversations, linking, maps, signing
from greylag.app.web.api import router
from greylag.app.web.documents import MOST_PATCH_CHARACTERS
from greylag.app.web.pages import error_page, mount_pages
from greylag.app.web.policy import api as policy_api
from greylag.app.web.policy import pages as policy_pages
from greylag.domain.errors import BackendError, GreylagError, IntegrityError, PolicyRefused, RequestRefused

_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_MISSING = frozenset(
    {"GL-TASK-001", "GL-REPO-001", "GL-PERSON-001", "GL-TASK-006", "GL-VAULT-002", "GL-EXPLAIN-001", "GL-LINK-006"}
)
_STATUS = {
    "GL-AUTH-001": 401, "GL-AUTH-002": 400, "GL-AUTH-003": 403, "GL-PERSON-002": 403, "GL-APPROVE-001": 403,
    "GL-MAP-001": 403, "GL-SIGNOFF-001": 403, "GL-LINK-002": 410, "GL-LINK-003": 410, "GL-LINK-004": 409,
}  # fmt: skip
_SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with `no-referrer` browsers send `Origin: null` from our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_LONGEST_BODY_BYTES = 1_000_000
_LONGEST_HANDED_BACK_BYTES = MOST_PATCH_CHARACTERS + 10_000


def create_app(platform: Platform, git: ASGIApp) -> FastAPI:
    """Return the application that serves ``platform``; ``git`` is mounted at ``/git``."""
    app = FastAPI(
        title="Greylag", version=__version__, openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None,
        summary="Asked in chat, done where the data may be, decided, recorded and shown.",
    )  # fmt: skip
    app.state.platform = platform
    app.include_router(router)
    app.include_router(policy_api.router)
    app.include_router(policy_pages.router)
    app.include_router(signing.router)
    app.include_router(linking.api)
    app.include_router(linking.pages)
    app.include_router(conversations.router)
    app.include_router(maps.api)
    app.include_router(maps.pages)
    mount_pages(app)
    app.mount("/git", git)
    if platform.chats.events is not None:
        # Not mounted: a mount answers its own address with a redirect, which Slack does not follow.
        app.router.routes.append(Route("/slack/events", platform.chats.events))
    app.add_exception_handler(GreylagError, _refused)  # type: ignore[arg-type]  # narrower than Exception, as meant
    app.add_exception_handler(RequestValidationError, _malformed)  # type: ignore[arg-type]  # the same
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]  # the same
    app.middleware("http")(_guard)
    return app


async def _guard(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Refuse requests from other sites and over-long bodies; set the security headers of every answer."""
    if not request.url.path.startswith("/git/"):
        problem = _foreign(request)
        if problem is not None:
            return await _refused(request, problem[1], problem[0])
    response = await call_next(request)
    for name, value in _SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if "cache-control" not in response.headers and not request.url.path.startswith("/static/"):
        response.headers["cache-control"] = "no-store"
    return response


def _foreign(request: Request) -> tuple[int, RequestRefused] | None:
    host = request.headers.get("host", "")
    platform: Platform = request.app.state.platform
    allowed = {"127.0.0.1", "localhost", "[::1]", platform.settings.server.host, *platform.settings.server.names}
    if urlsplit(f"//{host}").hostname not in {name.strip("[]") for name in allowed}:
        return 421, RequestRefused("GL-WEB-001", f"this is not {host!r}.", "use the name in `[server] names`.")
    origin = request.headers.get("origin")
    if request.method in _UNSAFE and origin and urlsplit(origin).netloc != host:
        return 403, RequestRefused(
            "GL-WEB-002", f"a request from {origin!r} was refused.", "use this site's own pages."
        )
    length = 0
    with suppress(ValueError):
        length = int(request.headers.get("content-length", "0"))
    longest = _LONGEST_HANDED_BACK_BYTES if request.url.path.endswith("/handback") else _LONGEST_BODY_BYTES
    chunked = request.method in _UNSAFE and "content-length" not in request.headers
    if length > longest or chunked:
        return 413, RequestRefused("GL-WEB-003", "the body is too long, or its length is not said.", "send less.")
    return None


def status_of(error: GreylagError) -> int:
    """Return the HTTP status an error is answered with."""
    if error.code in _STATUS:
        return _STATUS[error.code]
    if isinstance(error, PolicyRefused):
        return 451
    if isinstance(error, RequestRefused):
        return 404 if error.code in _MISSING else 409 if error.code.startswith(("GL-APPROVE", "GL-TASK")) else 400
    if isinstance(error, IntegrityError):
        return 409 if error.code == "GL-STATE-001" else 500
    return 503 if isinstance(error, BackendError) and error.transient else 500


async def _refused(request: Request, error: GreylagError, status: int = 0) -> Response:
    """Answer with the error: JSON to programs, a page to people."""
    status = status or status_of(error)
    if _for_programs(request):
        decision = error.decision_id if isinstance(error, PolicyRefused) else ""
        body = {"code": error.code, "message": error.message, "remedy": error.remedy, "decision_id": decision}
        return JSONResponse(body, status_code=status, headers=dict(_SECURITY_HEADERS))
    answer = await asyncio.to_thread(error_page, request, error, status)
    answer.headers.update(_SECURITY_HEADERS)
    return answer


def _for_programs(request: Request) -> bool:
    return request.url.path.startswith("/api/")


async def _malformed(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    remedy = "see /api/v1/openapi.json for the shape." if _for_programs(request) else "go back and send less."
    return await _refused(request, RequestRefused("GL-WEB-004", f"`{where}`: {first['msg']}.", remedy), 422)


async def _http(request: Request, error: HTTPException) -> Response:
    remedy = "see /api/v1/openapi.json for what there is." if _for_programs(request) else "go back to the tasks."
    return await _refused(request, RequestRefused("GL-WEB-005", f"{error.detail}.", remedy), error.status_code)
