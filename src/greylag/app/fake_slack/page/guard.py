"""What keeps other sites out of the page, and the page from reaching other sites."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_FORM_BYTES = 34_000_000
_OPEN = ("/api/", "/link", "/upload/", "/files-pri/", "/actions/")
_NAMES = ("127.0.0.1", "localhost")
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff", "referrer-policy": "same-origin", "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin", "cross-origin-resource-policy": "same-origin",
}  # fmt: skip


class Guard:
    """Refuses the page and its control to other sites; what a Slack client calls has its token instead."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the headers that every answer of the page has."""
        if scope["type"] != "http" or scope["path"].startswith(_OPEN):
            await self._app(scope, receive, send)
            return
        problem = _problem(Request(scope))
        app = PlainTextResponse(problem[1], problem[0]) if problem else self._app

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                had = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in had]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await app(scope, receive, with_headers)


def _problem(request: Request) -> tuple[int, str] | None:
    host = request.headers.get("host", "")
    if urlsplit(f"//{host}").hostname not in _NAMES:
        return 421, f"this is not {host[:100]!r}"
    origin = request.headers.get("origin")
    if request.method == "GET":
        return None
    if origin is not None and urlsplit(origin).netloc != host:
        return 403, "use this site's own pages"
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > LONGEST_FORM_BYTES:
        return 413, "the body is too long, or its length is not said"
    return None
