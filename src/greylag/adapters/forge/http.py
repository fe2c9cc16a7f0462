"""The built-in forge's repositories over git's smart HTTP protocol, as an ASGI application.

``git http-backend`` does the protocol; this decides who may and what is asked for, streams both ways within bounds, and
ends the child when the client goes. Nothing but the three smart requests is served.
Source: git's Documentation/gitprotocol-http.txt and git-http-backend(1); RFC 3875 (CGI).
"""

import asyncio
import base64
import binascii
import contextlib
import inspect
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from greylag.adapters.forge.git import Git, end
from greylag.adapters.forge.layout import write_hook
from greylag.adapters.forge.names import REPOSITORY
from greylag.adapters.forge.scratch import sweep

Authorise = Callable[[str, str, str, str], "str | Awaitable[str | None] | None"]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]

UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"
_PATH = re.compile(rf"/({REPOSITORY.pattern}?)(?:\.git)?/(info/refs|{UPLOAD}|{RECEIVE})")
_PROTOCOL = re.compile(r"[a-z0-9=:.-]{1,64}")
_PERSON = re.compile(r"[^\x21-\x7e\u00a1-\uffff]|[<>]")
_CHUNK = 64 * 1024
_HEADER_BYTES = 16 * 1024
_CREDENTIAL_BYTES = 4096
_PASSED_HEADERS = frozenset((b"content-type", b"cache-control", b"expires", b"pragma"))


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """How much and how long one request may be, and how many run at once (more are told to come again)."""

    fetch_request_bytes: int = 16 * 1024 * 1024
    push_request_bytes: int = 512 * 1024 * 1024
    seconds: float = 3600.0
    idle_seconds: float = 120.0
    at_once: int = 16


_BOUNDS = HttpBounds()


@dataclass(frozen=True, slots=True)
class _Asked:
    """One well-formed request: repository name, service, what the CGI program is to be told."""

    repository: str
    service: str
    action: str
    method: str
    headers: dict[bytes, bytes]


class _Gone(Exception):
    """The client went away."""


class _Answer(Exception):
    """The request ends here with an error status."""

    def __init__(self, status: int, text: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers


def smart_http(
    root: Path, authorise: Authorise, *, git: Path | None = None, bounds: HttpBounds = _BOUNDS
) -> "SmartHttp":
    """Return an ASGI application that serves the bare repositories ``root/NAME.git``.

    ``authorise(user, password, repository, service)`` returns the person's name, or None for 401; it may be async.
    ``service`` is ``git-upload-pack`` (read) or ``git-receive-pack`` (push). The protected branch and ``greylag/*``
    refuse every push, by a hook. Raises OperatorError ``GL-FORGE-020`` where git is not installed.
    """
    return SmartHttp(Git(root.absolute() / ".home", git), root.absolute(), authorise, bounds)


class SmartHttp:
    """The application; made by `smart_http`. Mount it anywhere: it looks at the path below ``root_path``."""

    def __init__(self, git: Git, root: Path, authorise: Authorise, bounds: HttpBounds) -> None:
        self._git = git
        self._root = root
        self._authorise = authorise
        self._bounds = bounds
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI event; anything but HTTP is not ours."""
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served here, got {scope['type']!r}")
        try:
            asked = _asked(scope)
            person = await self._person(asked)
            repository = self._root / f"{asked.repository}.git"
            if not (repository / "HEAD").is_file():
                raise _Answer(404, f"There is no repository {asked.repository}.")
            if self._running >= self._bounds.at_once:
                raise _Answer(503, "Too many git requests run now: try again.", ((b"retry-after", b"5"),))
            self._running += 1
            try:
                await self._serve(asked, person, repository, _Exchange(receive, send, self._bounds))
            finally:
                self._running -= 1
        except _Answer as answer:
            await _respond(send, answer)
        except _Gone:
            return

    async def _person(self, asked: _Asked) -> str:
        user, password = _credentials(asked.headers.get(b"authorization", b""))
        answer = self._authorise(user, password, asked.repository, asked.service) if user or password else None
        person = await answer if inspect.isawaitable(answer) else answer
        if not person:
            challenge = (b"www-authenticate", b'Basic realm="Greylag", charset="UTF-8"')
            raise _Answer(401, "Give your name and an access token.", (challenge,))
        return person

    async def _serve(self, asked: _Asked, person: str, repository: Path, exchange: "_Exchange") -> None:
        push = asked.service == RECEIVE
        limit = self._bounds.push_request_bytes if push else self._bounds.fetch_request_bytes
        announced = asked.headers.get(b"content-length", b"")
        if announced and (not announced.isdigit() or int(announced) > limit):
            raise _Answer(413, f"At most {limit} bytes are taken in one request.")
        if push:
            await asyncio.to_thread(write_hook, repository)
            await asyncio.to_thread(sweep, repository)
        process = await asyncio.create_subprocess_exec(
            *self._git.command((f"core.hooksPath={repository}/hooks", f"receive.maxInputSize={limit}")), "http-backend",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            cwd=self._git.home, env=self._environment(asked, person, announced), start_new_session=True, umask=0o022,
            limit=_CHUNK,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._bounds.seconds):
                await exchange.run(process, limit)
        except TimeoutError:
            exchange.refuse_late(504, "This took too long.")
        finally:
            await end(process)

    def _environment(self, asked: _Asked, person: str, announced: bytes) -> dict[str, str]:
        env = self._git.environment() | {
            "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": asked.method,
            "GIT_PROJECT_ROOT": str(self._root), "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_ADDR": "",
            "PATH_INFO": f"/{asked.repository}.git/{asked.action}", "REMOTE_USER": _PERSON.sub("_", person)[:100],
            "QUERY_STRING": f"service={asked.service}" if asked.method == "GET" else "",
        }  # fmt: skip
        if asked.method == "POST":
            env["CONTENT_TYPE"] = f"application/x-{asked.service}-request"
        if announced:
            env["CONTENT_LENGTH"] = announced.decode("ascii")
        if asked.headers.get(b"content-encoding", b"").lower() in {b"gzip", b"x-gzip"}:
            env["HTTP_CONTENT_ENCODING"] = "gzip"
        protocol = asked.headers.get(b"git-protocol", b"").decode("latin-1")
        if _PROTOCOL.fullmatch(protocol):
            env["GIT_PROTOCOL"] = protocol
        return env


class _Exchange:
    """One request body into a CGI program, its answer out; whoever stops first stops the other."""

    def __init__(self, receive: Receive, send: Send, bounds: HttpBounds) -> None:
        self._receive = receive
        self._send = send
        self._bounds = bounds
        self._begun = False

    async def run(self, process: asyncio.subprocess.Process, limit: int) -> None:
        """Pump until the program has answered. Raises `_Gone` where the client left, `_Answer` where it errs."""
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101
        body = asyncio.ensure_future(self._body(process.stdin, limit))
        answer = asyncio.ensure_future(self._answer(process.stdout))
        try:
            # The body's task outlives the body: it goes on listening for the client's leaving and ends by an error.
            await asyncio.wait((body, answer), return_when=asyncio.FIRST_COMPLETED)
            await (answer if answer.done() else body)
        finally:
            body.cancel()
            answer.cancel()
            await asyncio.gather(body, answer, return_exceptions=True)

    def refuse_late(self, status: int, text: str) -> None:
        """Answer with an error where nothing was sent yet; else the client sees a broken stream, which git notices."""
        if not self._begun:
            raise _Answer(status, text)
        raise _Gone

    async def _body(self, into: asyncio.StreamWriter, limit: int) -> None:
        size, more = 0, True
        while more:
            async with asyncio.timeout(self._bounds.idle_seconds):
                message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                self.refuse_late(413, f"At most {limit} bytes are taken in one request.")
            more = message.get("more_body", False)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it needs no more: its answer tells why
                into.write(chunk)
                await into.drain()
        into.close()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise _Gone

    async def _answer(self, out: asyncio.StreamReader) -> None:
        status, headers = await self._head(out)
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        self._begun = True
        while chunk := await out.read(_CHUNK):
            async with asyncio.timeout(self._bounds.idle_seconds):
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def _head(self, out: asyncio.StreamReader) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Read the CGI header block. Source: RFC 3875, section 6.3."""
        status, headers, size = 200, [(b"x-content-type-options", b"nosniff")], 0
        while line := (await _line(out)).rstrip(b"\r\n"):
            size += len(line)
            name, colon, value = line.partition(b":")
            if size > _HEADER_BYTES or not colon:
                raise _Answer(502, "git answered with something else than HTTP.")
            if name.lower() == b"status":
                status = int(value.split()[0])
            elif name.lower() in _PASSED_HEADERS:
                headers.append((name.lower(), value.strip()))
        if not size:
            raise _Answer(502, "git ended without an answer.")
        return status, headers


async def _line(out: asyncio.StreamReader) -> bytes:
    try:
        return await out.readline()
    except ValueError:
        raise _Answer(502, "git answered with something else than HTTP.") from None


def _asked(scope: Scope) -> _Asked:
    path = str(scope["path"])
    mounted_at = str(scope.get("root_path", ""))
    found = _PATH.fullmatch(path.removeprefix(mounted_at) if mounted_at else path)
    if found is None:
        raise _Answer(404, "There is nothing here.")
    name, action = found[1].removesuffix(".git"), found[2]
    method = str(scope["method"])
    headers = {bytes(key).lower(): bytes(value) for key, value in scope["headers"]}
    if action != "info/refs":
        if method != "POST":
            raise _Answer(405, "Only POST is answered here.", ((b"allow", b"POST"),))
        if headers.get(b"content-type", b"") != f"application/x-{action}-request".encode():
            raise _Answer(415, f"The body must be application/x-{action}-request.")
        return _Asked(name, action, action, method, headers)
    service = dict(parse_qsl(bytes(scope.get("query_string", b"")).decode("latin-1"))).get("service", "")
    if method != "GET":
        raise _Answer(405, "Only GET is answered here.", ((b"allow", b"GET"),))
    if service not in {UPLOAD, RECEIVE}:
        raise _Answer(403, "Only git's smart HTTP protocol is spoken here: use a current git.")
    return _Asked(name, service, action, method, headers)


def _credentials(header: bytes) -> tuple[str, str]:
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic" or len(encoded) > _CREDENTIAL_BYTES:
        return "", ""
    try:
        user, _, password = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password


async def _respond(send: Send, answer: _Answer) -> None:
    body = f"{answer.text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"), *answer.headers,
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
