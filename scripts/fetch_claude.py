"""Fetch the Claude Code binary that the `claude` agent drives, from the package index this machine already uses.

Takes the pinned wheel of `claude-agent-sdk`, checks its SHA-256 while it downloads, and keeps only the one program in
it: ``.tools/claude/claude`` with a ``VERSION`` file beside it. Nothing is installed, nothing is redistributed; the
program is Anthropic's, under Anthropic's terms (https://code.claude.com/docs/en/legal-and-compliance).

Index: ``PIP_INDEX_URL``, ``UV_INDEX_URL`` or ``UV_DEFAULT_INDEX``, else https://pypi.org/simple (PEP 691, PEP 503).
Needs Python 3.11 and its standard library. Exit codes: 0 there (or already there), 1 could not, 2 usage.
"""

import argparse
import base64
import hashlib
import html.parser
import http.client
import json
import os
import platform
import shutil
import ssl
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import urllib.response
import zipfile
from dataclasses import dataclass
from pathlib import Path

PROJECT = "claude-agent-sdk"
VERSION = "0.2.187"
PROGRAM_VERSION = "2.1.330"
MEMBER = "claude_agent_sdk/_bundled/claude"
DEFAULT_INDEX = "https://pypi.org/simple"
INDEX_VARIABLES = ("PIP_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX")
PAGE_LIMIT_BYTES = 32 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024
TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Wheel:
    """One pinned wheel and the program in it; sizes in bytes, digests SHA-256 in hex."""

    filename: str
    digest: str
    size_bytes: int
    program_digest: str
    program_bytes: int


# Builds for musl (Alpine) are not published as wheels of this release.
WHEELS = {
    ("x86_64", "glibc"): Wheel(
        f"claude_agent_sdk-{VERSION}-py3-none-manylinux_2_17_x86_64.whl",
        "693132296d1ffca857b5d393e449fd138a89bd08024d9a3e519615ba4040d9c3",
        167_559_200,
        "f390eaa0814e6a1bff74cbb47acb74cb9c89d30ced809fe0af5af00c7bfe8ebb",
        381_121_040,
    ),
    ("aarch64", "glibc"): Wheel(
        f"claude_agent_sdk-{VERSION}-py3-none-manylinux_2_17_aarch64.whl",
        "3f9f9de8676779af46a0ae49a9dafb9934ea8bd9526a0cd60cc86cde787eee41",
        166_940_434,
        "6016f90cac783e367fb1aa97c768a2efb94a0128a5b46b70fb3d8fcbbd9dd444",
        379_971_000,
    ),
}


class FetchError(Exception):
    """It can't be had; the message says why and what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Fetch, unless the right program is already there; return the exit code."""
    parser = argparse.ArgumentParser(description="Fetch the Claude Code binary for the `claude` agent.")
    default = Path(__file__).resolve().parent.parent / ".tools" / "claude"
    parser.add_argument("--into", type=Path, default=default, help="folder to put it in (default: %(default)s)")
    folder: Path = parser.parse_args(arguments).into
    try:
        wheel = wanted()
        if sha256_of(folder / "claude") == wheel.program_digest:
            write_version(folder, wheel)
            print(f"Claude Code is already in {folder}.")
            return 0
        fetch(wheel, folder)
    except (FetchError, OSError, ValueError, http.client.HTTPException, zipfile.BadZipFile) as error:
        print(
            f"fetch_claude: {error}\n"
            "Without it the `claude` agent is not available; the agents `acp` and `command` work all the same.\n"
            "Next: mend the cause and run `python scripts/fetch_claude.py` again.",
            file=sys.stderr,
        )
        return 1
    print(f"Claude Code is in {folder}.")
    return 0


def wanted() -> Wheel:
    """Return the wheel for this machine. Raises FetchError where the release has none."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    libc = platform.libc_ver()[0] or "musl"
    wheel = WHEELS.get((machine, libc)) if sys.platform == "linux" else None
    if wheel is None:
        known = ", ".join(f"linux {cpu} with {lib}" for cpu, lib in WHEELS)
        raise FetchError(f"there is no wheel for {sys.platform} {machine} with {libc} (there is: {known}).")
    return wheel


def fetch(wheel: Wheel, folder: Path) -> None:
    """Download, check and unpack ``wheel`` so that ``folder`` holds either the whole program or what it held before."""
    folder.mkdir(parents=True, exist_ok=True)
    need = wheel.size_bytes + wheel.program_bytes
    free = shutil.disk_usage(folder).free
    if free < need:
        raise FetchError(f"{folder} has {free >> 20} MB free, {need >> 20} MB are needed.")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        archive = Path(scratch) / "wheel"
        download(find(wheel), wheel, archive)
        program = Path(scratch) / "claude"
        unpack(archive, wheel, program)
        program.chmod(0o755)
        program.replace(folder / "claude")
    write_version(folder, wheel)


def find(wheel: Wheel) -> str:
    """Return the wheel's address as the index gives it (PEP 691 JSON, or PEP 503 HTML from an older index)."""
    index = next((os.environ[name] for name in INDEX_VARIABLES if os.environ.get(name)), DEFAULT_INDEX)
    page = f"{index.rstrip('/')}/{PROJECT}/"
    accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
    with open_url(page, accept) as reply:
        kind = reply.headers.get_content_type()
        body = reply.read(PAGE_LIMIT_BYTES)
    try:
        links = json_links(body) if "json" in kind else html_links(body)
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"the index page {shown(page)} can't be read: {error!r}.") from error
    if wheel.filename not in links:
        raise FetchError(f"the index page {shown(page)} has no `{wheel.filename}`.")
    address = urllib.parse.urlsplit(urllib.parse.urljoin(page, links[wheel.filename]))
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


def download(address: str, wheel: Wheel, to: Path) -> None:
    """Write ``wheel`` to ``to``, showing progress. Raises FetchError where size or SHA-256 is another."""
    digest = hashlib.sha256()
    done = 0
    with open_url(address, "*/*") as reply, to.open("wb") as file:
        while done <= wheel.size_bytes and (chunk := reply.read(CHUNK_BYTES)):
            file.write(chunk)
            digest.update(chunk)
            show_progress(done, done + len(chunk), wheel.size_bytes)
            done += len(chunk)
    if done != wheel.size_bytes or digest.hexdigest() != wheel.digest:
        raise FetchError(
            f"`{wheel.filename}` from {shown(address)} is not the pinned one: got {done} bytes with SHA-256"
            f" {digest.hexdigest()}, expected {wheel.size_bytes} with {wheel.digest}. Nothing was kept."
        )


def unpack(archive: Path, wheel: Wheel, to: Path) -> None:
    """Write the one program in ``archive`` to ``to``. Raises FetchError where it is another than the pinned one."""
    digest = hashlib.sha256()
    left = wheel.program_bytes
    try:
        with zipfile.ZipFile(archive) as wheel_file, wheel_file.open(MEMBER) as source, to.open("wb") as file:
            while left >= 0 and (chunk := source.read(CHUNK_BYTES)):
                file.write(chunk)
                digest.update(chunk)
                left -= len(chunk)
            file.flush()
            os.fsync(file.fileno())
    except KeyError as error:
        raise FetchError(f"`{wheel.filename}` has no `{MEMBER}`.") from error
    if digest.hexdigest() != wheel.program_digest:
        raise FetchError(f"`{MEMBER}` in `{wheel.filename}` is not the pinned program. Nothing was kept.")


def write_version(folder: Path, wheel: Wheel) -> None:
    """Say beside the program what it is: one ``name value`` a line."""
    text = (
        f"version {PROGRAM_VERSION}\nprogram sha256:{wheel.program_digest}\n"
        f"package {PROJECT}=={VERSION}\nwheel sha256:{wheel.digest}\n"
    )
    target = folder / "VERSION"
    if target.is_file() and target.read_text(encoding="utf-8") == text:
        return
    part = folder / f".VERSION-{os.getpid()}"
    part.write_text(text, encoding="utf-8")
    part.replace(target)


def sha256_of(file: Path) -> str:
    """Return the file's SHA-256 in hex, empty where there is no such file."""
    try:
        with file.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def open_url(address: str, accept: str) -> urllib.response.addinfourl:
    """Open an https address (or http, file as configured), giving a password in it to its own host only."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in ("https", "http", "file"):
        raise FetchError(f"the address {shown(address)} has the unknown scheme {parts.scheme!r}.")
    host = parts.netloc.rpartition("@")[2]
    bare = urllib.parse.urlunsplit(parts._replace(netloc=host))
    request = urllib.request.Request(bare, headers={"Accept": accept})  # noqa: S310 - the scheme was looked at above
    if parts.username:
        pair = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        request.add_unredirected_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
    context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT"))
    try:
        reply: urllib.response.addinfourl = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context)  # noqa: S310
    except (urllib.error.URLError, TimeoutError) as error:
        raise FetchError(f"{shown(address)} can't be reached: {getattr(error, 'reason', error)}.") from error
    return reply


def shown(address: str) -> str:
    """Return ``address`` without a password."""
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def show_progress(before: int, after: int, total: int) -> None:
    """Show a line for each tenth, or one moving line on a terminal."""
    percent = after * 100 // total
    if sys.stderr.isatty():
        print(f"\r{PROJECT} {VERSION}: {after >> 20} of {total >> 20} MB", end="", file=sys.stderr, flush=True)
        if after >= total:
            print(file=sys.stderr)
    elif before == 0 or percent // 10 != before * 100 // total // 10:
        print(f"{PROJECT} {VERSION}: {percent} % of {total >> 20} MB", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
