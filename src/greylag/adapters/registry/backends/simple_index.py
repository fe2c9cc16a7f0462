"""A package index as pip knows it: a page for each project (PEP 691 JSON, PEP 503 HTML) with a link for each file."""

import asyncio
import base64
import hashlib
import hmac
import html.parser
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urljoin, urlsplit, urlunsplit

from greylag.adapters.registry.pinning import is_file_of, normalised
from greylag.adapters.registry.port import Pinned
from greylag.domain.errors import BackendError, OperatorError, RequestRefused
from greylag.domain.stages import Stage
from greylag.egress.http import HttpBounds, HttpDoor
from greylag.egress.permit import Permit

DEFAULT_INDEX = "https://pypi.org/simple"
_INDEX_VARIABLES = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
_PAGE = HttpBounds(silence_seconds=30.0, total_seconds=60.0, body_bytes=16 * 1024 * 1024)
_FILE = HttpBounds(silence_seconds=30.0, total_seconds=180.0, body_bytes=64 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    kind: str
    body: bytes


class SimpleIndex:
    """The `greylag.adapters.registry.port.PackageRegistry` that ``env`` names, as pip and uv would find it.

    Of ``env`` are used: ``PIP_INDEX_URL`` (else uv's, else the public index), proxies and ``NO_PROXY``. A user and
    password in the index's URL go to its own host alone. Certificates are checked against the system's, or
    ``SSL_CERT_FILE``. Nothing is read or opened before the first fetch.
    """

    def __init__(self, target: str, env: Mapping[str, str]) -> None:
        self.target = target
        self._env = dict(env)

    async def fetch(self, permit: Permit, wanted: Pinned) -> bytes:
        """Return the pinned file's bytes; see the port."""
        permit.require(Stage.TOOL, self.target)
        index = self._index()
        page = f"{urlunsplit(index)}/{normalised(wanted.project)}/"
        answer = await self._get(permit, index, urlsplit(page), _PAGE)
        if answer.status == 404:
            raise _unknown(wanted, f"{index.hostname} has no project of that name")
        _require_success(answer, page)
        # Parsing what a stranger wrote may take its time: not on the loop.
        links = await asyncio.to_thread(_links, answer)
        address = next((link for name, link in links.items() if is_file_of(name, wanted)), None)
        if address is None:
            raise _unknown(wanted, f"{index.hostname} has no `.tar.gz` of that version")
        file = _file_link(address, page, index)
        answer = await self._get(permit, index, file, _FILE)
        _require_success(answer, urlunsplit(file))
        seen = hashlib.sha256(answer.body).hexdigest()
        if not hmac.compare_digest(seen, wanted.sha256):
            raise BackendError(
                "GL-REGISTRY-004",
                f"{wanted.project} {wanted.version} from {file.hostname} is not the pinned file: got {len(answer.body)}"
                f" bytes with SHA-256 {seen}, expected {wanted.sha256}. Nothing was kept.",
                "find out who changed it before you pin another digest.",
            )
        return answer.body

    def _index(self) -> SplitResult:
        given = next((self._env[name] for name in _INDEX_VARIABLES if self._env.get(name)), DEFAULT_INDEX)
        try:
            parts = urlsplit(given.strip().rstrip("/"))
            usable = parts.scheme in ("https", "http") and bool(parts.hostname) and not (parts.query or parts.fragment)
            _ = parts.port
        except ValueError:
            usable = False
        if not usable or (parts.scheme == "http" and parts.username):
            raise OperatorError(
                "GL-REGISTRY-005",
                f"the package index `{_shown(given)}` can't be asked.",
                "set `PIP_INDEX_URL` to an `https` address (plain `http` is taken without a password).",
            )
        return parts

    async def _get(self, permit: Permit, index: SplitResult, address: SplitResult, bounds: HttpBounds) -> _Answer:
        headers = {"accept": _ACCEPT}
        host = index.netloc.rpartition("@")[2]
        bare = address._replace(netloc=address.netloc.rpartition("@")[2], fragment="")
        if index.username and (bare.scheme, bare.netloc) == (index.scheme, host):
            pair = f"{unquote(index.username)}:{unquote(index.password or '')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        # What leaves in the open, where the operator set it so, is a package's name; what comes is checked by digest.
        plain = bare.scheme == "http"
        door = HttpDoor(
            f"{bare.scheme}://{bare.netloc}", Stage.TOOL, self.target, bounds=bounds, proxy=self._proxy(bare),
            unsafe_plain_http=plain,
        )  # fmt: skip
        try:
            reply = await door.request(permit, "GET", urlunsplit(bare), headers)
            kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
            return _Answer(reply.status, kind, await reply.read())
        finally:
            await door.close()

    def _proxy(self, address: SplitResult) -> str | None:
        env = self._env
        proxy = env.get(f"{address.scheme}_proxy") or env.get(f"{address.scheme.upper()}_PROXY")
        if not proxy:
            return None
        host = (address.hostname or "").lower()
        for entry in (env.get("no_proxy") or env.get("NO_PROXY") or "").lower().split(","):
            name = entry.strip().lstrip(".").partition(":")[0]
            if name == "*" or (name and (host == name or host.endswith(f".{name}"))):
                return None
        return proxy if "://" in proxy else f"http://{proxy}"


def _links(answer: _Answer) -> dict[str, str]:
    """Return address by file name from a project's page. Raises BackendError ``GL-REGISTRY-003`` for no such page."""
    try:
        text = answer.body.decode()
        if "json" not in answer.kind:
            return _html_links(text)
        return {str(file["filename"]): str(file["url"]) for file in json.loads(text)["files"]}
    except (ValueError, KeyError, TypeError, RecursionError, AssertionError) as error:
        raise _unusable(f"its page can't be read ({type(error).__name__})") from error


def _html_links(text: str) -> dict[str, str]:
    links: dict[str, str] = {}

    class Anchors(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            address = dict(attrs).get("href")
            if tag == "a" and address:
                links[unquote(urlsplit(address).path.rsplit("/", 1)[-1])] = address

    Anchors().feed(text)
    return links


def _file_link(link: str, page: str, index: SplitResult) -> SplitResult:
    """Return a link of ``page`` as an address that may be asked: no weaker than the index, and nothing odd in it."""
    try:
        parts = urlsplit(urljoin(page, link))
        _ = parts.port
        odd = not all("!" <= character <= "~" for character in link) or ".." in unquote(parts.path).split("/")
        usable = not odd and parts.scheme in {"https", index.scheme} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable or parts.netloc.rpartition("@")[0] not in ("", index.netloc.rpartition("@")[0]):
        raise _unusable(f"its link {link[:200]!r} is not one that may be followed")
    return parts


def _require_success(answer: _Answer, address: str) -> None:
    if answer.status != 200:
        raise _unusable(f"{_shown(address)} was answered with status {answer.status}", transient=answer.status >= 500)


def _shown(address: str) -> str:
    """Return ``address`` without a password."""
    scheme, mark, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{slash}{path}"[:200]


def _unknown(wanted: Pinned, why: str) -> RequestRefused:
    return RequestRefused(
        "GL-REGISTRY-002",
        f"there is no source distribution of {wanted.project} {wanted.version} to be had: {why}.",
        "check name and version, and which index this machine is set to (`PIP_INDEX_URL`).",
    )


def _unusable(why: str, *, transient: bool = False) -> BackendError:
    return BackendError(
        "GL-REGISTRY-003",
        f"the package index gave an answer that can't be used: {why}.",
        "check the address in `PIP_INDEX_URL`, and try again.",
        transient=transient,
    )
