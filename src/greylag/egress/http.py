"""The only HTTP client of the product: one door per allow-listed base URL, and only with a permit.

Nothing here follows a redirect, reads a proxy from the environment, keeps a cookie or asks for a compressed answer;
whatever the peer sends is bounded in bytes and time. Foreign exceptions leave as BackendError ``GL-EGRESS-01x``.
"""

import asyncio
import hashlib
import io
import ipaddress
import re
import ssl
import weakref
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from greylag.domain.errors import BackendError, IntegrityError, OperatorError
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

NOT_SENT = frozenset({"GL-EGRESS-010", "GL-EGRESS-015"})
"""Codes of errors that happen before the first byte of a request has left."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 9110, 5.1: a field name is a token
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,16384}")
_OURS = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class HttpBounds:
    """What one exchange may cost. ``silence_seconds`` bounds the wait for the next bytes, ``total_seconds`` all."""

    connect_seconds: float = 10.0
    silence_seconds: float = 300.0
    total_seconds: float = 1800.0
    request_bytes: int = 32 * 1024 * 1024
    header_bytes: int = 32 * 1024
    body_bytes: int = 64 * 1024 * 1024
    connections: int = 64


class HttpReply:
    """Status, lower-case headers, and the body as an iterator of chunks. Exhaust it or `aclose` it."""

    def __init__(self, response: aiohttp.ClientResponse, url: URL, bounds: HttpBounds, deadline: float) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
        self._response = response
        self._url = url
        self._left_bytes = bounds.body_bytes
        self._deadline = deadline

    def __aiter__(self) -> "HttpReply":
        return self

    async def __anext__(self) -> bytes:
        """Return the next bytes as they come. Raises BackendError; the connection is then closed."""
        try:
            async with asyncio.timeout_at(self._deadline):
                chunk: bytes = await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._response.close()
            raise _translated(error, self._url) from error
        if not chunk:
            self._response.release()
            raise StopAsyncIteration
        self._left_bytes -= len(chunk)
        if self._left_bytes < 0:
            self._response.close()
            raise _too_large(self._url)
        return chunk

    async def aclose(self) -> None:
        """Give the connection back, or drop it where the body was not read to its end."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    async def read(self) -> bytes:
        """Return the rest of the body, at most ``body_bytes``."""
        try:
            return b"".join([chunk async for chunk in self])
        finally:
            await self.aclose()


class HttpDoor:
    """Sends requests below one base URL, each with a permit for ``stage`` towards ``target`` and exactly its body.

    ``base_url`` is ``https://host[:port][/prefix]``; plain ``http`` is taken for loopback addresses only, unless
    ``unsafe_plain_http``. ``proxy`` is the one proxy to use, if any; the environment's are never looked at.
    Raises OperatorError ``GL-EGRESS-018`` for a base URL that can't be used.
    """

    def __init__(
        self, base_url: str, stage: Stage, target: str, *, bounds: HttpBounds | None = None, proxy: str | None = None,
        tls: ssl.SSLContext | None = None, unsafe_plain_http: bool = False,
    ) -> None:  # fmt: skip
        self._base = _checked_base(base_url, unsafe_plain_http=unsafe_plain_http)
        self._stage = stage
        self._target = target
        self._bounds = bounds or HttpBounds()
        self._proxy = proxy
        self._tls = tls
        self._sessions: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = (
            weakref.WeakKeyDictionary()
        )

    @property
    def base_url(self) -> str:
        """Return the base URL, without a trailing slash."""
        return str(self._base).rstrip("/")

    async def request(
        self, permit: Permit, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> HttpReply:
        """Send one request and return the reply as soon as its head is there.

        ``url`` is absolute and below the base URL, or begins with ``/`` and is put behind it. Raises IntegrityError
        ``GL-EGRESS-001`` for a permit of another hop or body, ``GL-EGRESS-017`` for a request that may not be made,
        BackendError ``GL-EGRESS-010`` … ``016`` for what went wrong outside.
        """
        permit.require(self._stage, self._target, f"sha256:{hashlib.sha256(body).hexdigest()}" if body else None)
        address = self._address(url)
        sent = _checked_headers(headers)
        if len(body) > self._bounds.request_bytes:
            raise _forbidden(f"a body of {len(body)} bytes is over the {self._bounds.request_bytes} that may be sent")
        deadline = asyncio.get_running_loop().time() + self._bounds.total_seconds
        data = io.BytesIO(body) if body else None  # as a stream, so that a large body doesn't hold the loop
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._session().request(
                    method, address, data=data, headers=sent, allow_redirects=False, proxy=self._proxy,
                    ssl=self._tls if self._tls is not None else True,
                )  # fmt: skip
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _translated(error, address) from error
        return _accepted(response, address, self._bounds, deadline)

    async def close(self) -> None:
        """Close the connections of the running loop."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    def _address(self, url: str) -> URL:
        try:
            address = URL(self.base_url + url if url.startswith("/") else url, encoded=True)
            prefix = self._base.path.rstrip("/")
            inside = (
                address.origin() == self._base.origin()
                and address.user is None
                and (address.path == prefix or address.path.startswith(prefix + "/"))
                and not {".", ".."} & set(address.path.split("/"))
            )
        except ValueError:
            inside = False
        if not inside or any(ord(character) <= 0x20 or ord(character) > 0x7E for character in url):
            raise _forbidden(f"{url[:200]!r} is not below the base URL {self.base_url!r}")
        return address

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            session = _new_session(self._bounds)
            self._sessions[loop] = session
        return session


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """What a service on this machine answered; ``body`` is cut at the bound that was asked for."""

    status: int
    body: bytes


async def get_local(url: str, timeout_seconds: float = 2.0, body_bytes: int = 4096) -> LocalAnswer:
    """GET ``url`` on this machine's loopback interface: a health check, which no byte leaves the machine for.

    Only ``http`` to a literal loopback address is taken (no name can be made to point elsewhere), no redirect is
    followed. Raises OperatorError ``GL-EGRESS-018`` for another URL, BackendError ``GL-EGRESS-01x`` without an answer.
    """
    try:
        address = URL(url)
        local = address.scheme == "http" and address.user is None and _is_loopback(address)
    except ValueError:
        local = False
    if not local:
        raise OperatorError(
            "GL-EGRESS-018",
            f"a health check may only ask this machine, got {url[:200]!r}.",
            "use a URL like `http://127.0.0.1:8000/health`.",
        )
    bounds = HttpBounds(connect_seconds=timeout_seconds, silence_seconds=timeout_seconds, body_bytes=body_bytes)
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            _new_session(bounds) as session,
            session.get(address, allow_redirects=False, headers={"accept-encoding": "identity"}) as response,
        ):
            return LocalAnswer(response.status, await _cut(response.content, body_bytes))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise _translated(error, address) from error


async def _cut(content: aiohttp.StreamReader, size_bytes: int) -> bytes:
    taken = bytearray()
    while len(taken) < size_bytes and (chunk := await content.read(size_bytes - len(taken))):
        taken += chunk
    return bytes(taken)


def _new_session(bounds: HttpBounds) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=bounds.connections),
        timeout=aiohttp.ClientTimeout(
            total=None, connect=None, sock_connect=bounds.connect_seconds, sock_read=bounds.silence_seconds
        ),
        trust_env=False,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=bounds.header_bytes,
        max_field_size=bounds.header_bytes,
        max_headers=128,
        skip_auto_headers=("User-Agent", "Accept", "Content-Type"),
    )


def _checked_base(base_url: str, *, unsafe_plain_http: bool) -> URL:
    try:
        base = URL(base_url)
        usable = (
            base.scheme in ("http", "https") and bool(base.host) and base.user is None
            and not base.query_string and not base.fragment
        )  # fmt: skip
    except ValueError:
        usable = False
    if not usable:
        raise OperatorError(
            "GL-EGRESS-018",
            f"{base_url[:200]!r} is not a base URL.",
            "write `https://host[:port][/prefix]`, without user, query or fragment.",
        )
    if base.scheme == "http" and not unsafe_plain_http and not _is_loopback(base):
        raise OperatorError(
            "GL-EGRESS-018",
            f"{base_url[:200]!r} would send content unencrypted over a network.",
            "use `https`, or set `unsafe_plain_http` for a network that nobody else can read.",
        )
    return base


def _is_loopback(url: URL) -> bool:
    try:
        return ipaddress.ip_address(url.host or "").is_loopback
    except ValueError:
        return False


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    sent = {"accept-encoding": "identity", "user-agent": "greylag"}
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value) or name.lower() in _OURS:
            raise _forbidden(f"the header {name[:64]!r} may not be sent as it is")
        sent[name.lower()] = value
    return sent


def _accepted(response: aiohttp.ClientResponse, url: URL, bounds: HttpBounds, deadline: float) -> HttpReply:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    size_bytes = sum(len(name) + len(value) + 4 for name, value in response.raw_headers)
    error = None
    if response.status in (301, 302, 303, 307, 308):
        error = _outside(
            "014", f"{url.host} answered with a redirect ({response.status}), which is never followed",
            "set the endpoint's final address.",
        )  # fmt: skip
    elif encoding != "identity":
        error = _outside(
            "016", f"{url.host} sent {encoding[:32]!r}-encoded bytes though `identity` was asked for",
            "switch compression off at the endpoint or its proxy.",
        )  # fmt: skip
    elif size_bytes > bounds.header_bytes or (response.content_length or 0) > bounds.body_bytes:
        error = _too_large(url)
    if error is not None:
        response.close()
        raise error
    return HttpReply(response, url, bounds, deadline)


def _translated(error: Exception, url: URL) -> BackendError:
    host = f"{url.host}:{url.port}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | ssl.SSLError):
        return _outside(
            "015", f"{host} could not prove who it is ({type(error).__name__})", "check the endpoint's certificate."
        )
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return _outside(
            "010", f"{host} can't be reached ({type(error).__name__})", "check the address and the network, try again.",
            transient=True,
        )  # fmt: skip
    if isinstance(error, TimeoutError):
        return _outside("011", f"{host} did not answer in time", "try again later.", transient=True)
    if isinstance(error, aiohttp.ClientResponseError | ValueError):
        return _outside(
            "012", f"{host} does not speak HTTP as it should ({type(error).__name__})", "check the endpoint's address."
        )
    return _outside("012", f"{host} broke off ({type(error).__name__})", "try again later.", transient=True)


def _outside(number: str, what: str, remedy: str, *, transient: bool = False) -> BackendError:
    return BackendError(f"GL-EGRESS-{number}", f"{what}.", remedy, transient=transient)


def _too_large(url: URL) -> BackendError:
    return _outside("013", f"{url.host} sent more than may be taken", "check the endpoint, or raise the bound.")


def _forbidden(what: str) -> IntegrityError:
    return IntegrityError("GL-EGRESS-017", f"{what}; nothing was sent.", "report this: it is a defect in Greylag.")
