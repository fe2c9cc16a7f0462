"""The package index this machine uses, read with the standard library alone: for set-up, before anything is installed.

The index is the first of ``UV_DEFAULT_INDEX``, ``UV_INDEX_URL``, ``PIP_INDEX_URL``, ``index-url`` in pip's
configuration files, and https://pypi.org/simple. Pages are read as PEP 691 (JSON) or PEP 503 (HTML). A password in an
address goes to that address's own host only and is never shown.
"""

import base64
import configparser
import hashlib
import html.parser
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
import urllib.response
from collections.abc import Callable
from pathlib import Path

DEFAULT_INDEX = "https://pypi.org/simple"
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
PAGE_LIMIT_BYTES = 32 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 60
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


class IndexUnavailable(Exception):
    """The index, or a file on it, can't be had now; the message says why."""


class FileUnacceptable(Exception):
    """The file is not on the index, or is another than the pinned one; nothing of it was kept."""


def configured_index() -> str:
    """Return the address of the index, without a slash at the end."""
    from_environment = next((os.environ[name] for name in INDEX_VARIABLES if os.environ.get(name)), None)
    return (from_environment or pip_setting("index-url") or DEFAULT_INDEX).rstrip("/")


def configured_certificates() -> str | None:
    """Return the file of certificates this machine is set to, None for the system's own."""
    from_environment = next((os.environ[name] for name in CERTIFICATE_VARIABLES if os.environ.get(name)), None)
    return from_environment or pip_setting("cert")


def pip_setting(key: str) -> str | None:
    """Return ``key`` from pip's configuration files, the most specific first; unreadable ones count as absent."""
    home = Path(os.environ.get("HOME") or "/nonexistent")
    places = [home / ".config" / "pip" / "pip.conf", home / ".pip" / "pip.conf", Path("/etc/pip.conf")]
    if os.environ.get("PIP_CONFIG_FILE"):
        places.insert(0, Path(os.environ["PIP_CONFIG_FILE"]))
    for place in places:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(place, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        value = parser.get("global", key, fallback="").strip()
        if value:
            return value
    return None


def find(project: str, filename: str) -> str:
    """Return where the index has ``filename``. Raises IndexUnavailable or FileUnacceptable."""
    page = f"{configured_index()}/{project}/"
    with open_url(page, ACCEPT) as reply:
        kind = reply.headers.get_content_type()
        body = reply.read(PAGE_LIMIT_BYTES)
    try:
        links = json_links(body) if "json" in kind else html_links(body)
    except (ValueError, KeyError, TypeError) as error:
        raise IndexUnavailable(f"the index page {shown(page)} can't be read: {error!r}.") from error
    if filename not in links:
        raise FileUnacceptable(f"the index page {shown(page)} has no `{filename}`.")
    address = urllib.parse.urlsplit(urllib.parse.urljoin(page, links[filename]))
    account = urllib.parse.urlsplit(page).netloc
    if address.netloc == account.rpartition("@")[2]:
        address = address._replace(netloc=account)  # the index's own host gets the index's own password
    return urllib.parse.urlunsplit(address)


def json_links(body: bytes) -> dict[str, str]:
    """Return address by file name from a PEP 691 page."""
    return {file["filename"]: file["url"] for file in json.loads(body)["files"]}


def html_links(body: bytes) -> dict[str, str]:
    """Return address by file name from a PEP 503 page."""
    links: dict[str, str] = {}

    class Anchors(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            address = dict(attrs).get("href")
            if tag == "a" and address:
                name = urllib.parse.unquote(urllib.parse.urlsplit(address).path.rsplit("/", 1)[-1])
                links[name] = address

    Anchors().feed(body.decode("utf-8", "replace"))
    return links


def download(
    address: str, to: Path, digest: str, size_bytes: int, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write what ``address`` holds to ``to``; ``progress`` is told the bytes before and after each piece.

    Raises FileUnacceptable where it is not of ``size_bytes`` with the SHA-256 ``digest``; ``to`` then has no meaning.
    """
    seen = hashlib.sha256()
    done = 0
    with open_url(address, "*/*") as reply, to.open("wb") as file:
        while done <= size_bytes and (chunk := reply.read(CHUNK_BYTES)):
            file.write(chunk)
            seen.update(chunk)
            if progress is not None:
                progress(done, done + len(chunk))
            done += len(chunk)
    if done != size_bytes or seen.hexdigest() != digest:
        raise FileUnacceptable(
            f"`{to.name}` from {shown(address)} is not the pinned one: got {done} bytes with SHA-256"
            f" {seen.hexdigest()}, expected {size_bytes} with {digest}. Nothing was kept."
        )


def open_url(address: str, accept: str) -> urllib.response.addinfourl:
    """Open an https address (or http, file as configured). Raises IndexUnavailable."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("https", "http", "file"):
        raise IndexUnavailable(f"the address {shown(address)} has the unknown scheme {parts.scheme!r}.")
    host = parts.netloc.rpartition("@")[2]
    bare = urllib.parse.urlunsplit(parts._replace(netloc=host))
    request = urllib.request.Request(bare, headers={"Accept": accept})  # noqa: S310 - the scheme was looked at above
    if parts.username:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    try:
        context = ssl.create_default_context(cafile=configured_certificates())
        reply: urllib.response.addinfourl = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context)  # noqa: S310
    except (urllib.error.URLError, OSError) as error:
        raise IndexUnavailable(f"{shown(address)} can't be reached: {getattr(error, 'reason', error)}.") from error
    return reply


def shown(address: str) -> str:
    """Return ``address`` without a password."""
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
