"""Builds one artifact of a checkout, in a sandbox without network.

Must never take a file from a sandbox that is not one plain file of a known kind and bounded size.
"""

import asyncio
import gzip
import io
import json
import os
import re
import stat
import struct
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from greylag.adapters.sandbox.port import WORKSPACE, Ended, EndReason, Limits, Mount, Sandbox, SandboxSpec
from greylag.delivery.outputs import Listing, UnfitOutput, last_lines, read_listing, read_plain, take_only_file
from greylag.domain.errors import RequestRefused

BUILDERS = ("auto", "wheel", "npm", "archive")
ARTIFACT_BYTES = 256 * 1024 * 1024
_ARCHIVED_FILES = 50_000
_OUTPUT = ".greylag-output"
_LAST_LINES = 15
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,200}")
_EARLIEST = 315_532_800  # 1980-01-01, before which a zip archive can't name a time


@dataclass(frozen=True, slots=True)
class Artifact:
    """What was built: a file name without folders, its bytes, its media type."""

    name: str
    content: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What to build: ``builder`` is one of `BUILDERS`, ``tree`` names the content, ``epoch_seconds`` its time.

    The time becomes ``SOURCE_DATE_EPOCH`` (reproducible-builds.org), so the same tree gives the same bytes wherever the
    repository's own build tool keeps to it.
    """

    repository: str
    builder: str
    tree: str
    epoch_seconds: int


def choose_builder(listing: Listing, builder: str) -> str:
    """Return ``wheel``, ``npm`` or ``archive``: ``builder`` itself, or for ``auto`` what the files of ``listing`` say.

    Raises RequestRefused ``GL-BUILD-001`` for an unknown builder, or one that these files can't be built by.
    """
    able = {"wheel": _is_python(listing), "npm": _is_npm(listing), "archive": True}
    if builder == "auto":
        return next(name for name, can in able.items() if can)
    if builder not in able:
        raise _refused("001", f"there is no builder {builder!r}", f"use one of {', '.join(BUILDERS)}")
    if not able[builder]:
        needs = "a `pyproject.toml` or `setup.py`" if builder == "wheel" else "a `package.json` with name and version"
        raise _refused("001", f"builder `{builder}` needs {needs} at the top", "add it, or build with `archive`")
    return builder


def _is_python(listing: Listing) -> bool:
    if "setup.py" in listing.names:
        return True
    try:
        project = tomllib.loads(listing.contents.get("pyproject.toml", b"").decode())
    except (ValueError, RecursionError):
        return True  # broken: the builder has to say so
    return "project" in project or "build-system" in project


def _is_npm(listing: Listing) -> bool:
    try:
        package = json.loads(listing.contents.get("package.json", b"{}"))
    except (ValueError, RecursionError):
        return True
    return isinstance(package, dict) and {"name", "version"} <= set(package)


async def build_artifact(
    sandbox: Sandbox,
    workspace: Path,
    plan: BuildPlan,
    limits: Limits,
    mounts: tuple[Mount, ...] = (),
    env: Mapping[str, str] | None = None,
) -> Artifact:
    """Build the clean checkout ``workspace`` (adopted by ``sandbox``) and return the one artifact.

    ``mounts`` and ``env`` bring the toolchain. Raises RequestRefused ``GL-BUILD-001`` (see `choose_builder`),
    ``GL-BUILD-002`` with the build's last lines, ``GL-BUILD-003`` for a missing build requirement, ``GL-BUILD-004``
    where the output is not one acceptable file, ``GL-BUILD-005`` where it went out of bounds; and what `Sandbox.run`
    raises.
    """
    builder = await asyncio.to_thread(_prepared, workspace, plan)
    if builder == "archive":
        content = await asyncio.to_thread(archive, workspace, plan.epoch_seconds)
        return Artifact(_archive_name(plan), content, "application/gzip")
    ended = await sandbox.run(_spec(builder, workspace, plan, limits, (mounts, dict(env or {}))))
    _require_success(ended, builder, plan)
    return await asyncio.to_thread(_collected, workspace, builder)


def _prepared(workspace: Path, plan: BuildPlan) -> str:
    if os.path.lexists(workspace / _OUTPUT):
        raise _refused("004", f"the repository has a `{_OUTPUT}` of its own", "remove it from the repository")
    return choose_builder(read_listing(workspace), plan.builder)


def _collected(workspace: Path, builder: str) -> Artifact:
    try:
        name, content = take_only_file(workspace, _OUTPUT, ARTIFACT_BYTES)
    except UnfitOutput as error:
        raise _refused("004", f"the build ended well, but {error}", "make it produce exactly one artifact") from error
    return _accepted(builder, name, content)


# As `python -m build`, without the working directory on the path: no `build.py` of the repository may stand in.
_RUN_BUILD = (
    "import sys; sys.path[:] = [path for path in sys.path if path]; import runpy;"
    " runpy.run_module('build', run_name='__main__', alter_sys=True)"
)


def _spec(
    builder: str, workspace: Path, plan: BuildPlan, limits: Limits, tools: tuple[tuple[Mount, ...], dict[str, str]]
) -> SandboxSpec:
    output = f"{WORKSPACE}/{_OUTPUT}"
    argv: tuple[str, ...] = ("python3", "-c", _RUN_BUILD, "--wheel", "--no-isolation", "--outdir", output, WORKSPACE)
    if builder == "npm":
        argv = ("/bin/sh", "-c", 'mkdir "$1" && exec npm pack --pack-destination "$1"', "build", output)
    env = {
        **tools[1],
        "SOURCE_DATE_EPOCH": str(max(_EARLIEST, plan.epoch_seconds)), "PYTHONHASHSEED": "0", "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", "CI": "true", "npm_config_offline": "true",
        "npm_config_update_notifier": "false", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }  # fmt: skip
    return SandboxSpec(argv, workspace, tools[0], env, limits)


_MISSING = (
    re.compile(r"No module named '?(build)'?$", re.M),
    re.compile(r"(?:Unmet|Missing) dependencies[^\n]*:\s+([A-Za-z0-9][A-Za-z0-9._-]{0,99})"),
    re.compile(r"Cannot import '([A-Za-z0-9_]{1,99})"),
    re.compile(r"ModuleNotFoundError: No module named '([A-Za-z0-9_]{1,99})"),
)


def _require_success(ended: Ended, builder: str, plan: BuildPlan) -> None:
    if ended.reason is not EndReason.EXITED:
        bound = {
            EndReason.TIMED_OUT: "took too long", EndReason.MEMORY: "used too much memory",
            EndReason.DISK: "wrote too much to disk", EndReason.OUTPUT: "printed too much",
        }.get(ended.reason, "was ended")  # fmt: skip
        raise _refused("005", f"the build {bound} and was stopped", "make the build smaller")
    if ended.exit_code == 0:
        return
    said = last_lines(ended.stdout + b"\n" + ended.stderr, _LAST_LINES)
    for pattern in _MISSING if builder == "wheel" else ():
        if found := pattern.search(said):
            requirement = found[1].replace("_", "-")
            raise _refused(
                "003",
                f"the build needs the package `{requirement}`, which is missing in the sandbox",
                f"`greylag repo set {plan.repository} --requirement {requirement}`",
            )
    if ended.exit_code == 127:
        program = "npm" if builder == "npm" else "python3"
        raise _refused("003", f"the build needs `{program}`, which is missing in the sandbox", "see `greylag doctor`")
    what = f"the build failed with exit code {ended.exit_code}; its last lines:\n{said}\n"
    raise _refused("002", what, "mend what they say")


def _accepted(builder: str, name: str, content: bytes) -> Artifact:
    ending, media_type, readable = {
        "wheel": (".whl", "application/zip", _is_zip), "npm": (".tgz", "application/gzip", _is_tar),
    }[builder]  # fmt: skip
    if not _NAME.fullmatch(name) or not name.endswith(ending):
        raise _refused("004", f"the build made {name[:100]!r}, expected a file `*{ending}`", "correct the build")
    if not readable(content):
        raise _refused("004", f"`{name}` is no readable `{ending}` file", "correct the build")
    return Artifact(name, content, media_type)


def _is_zip(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return any(name.endswith(".dist-info/WHEEL") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, LookupError, struct.error):
        return False


def _is_tar(content: bytes) -> bool:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            return stream.read(512)[257:262] == b"ustar"
    except (OSError, EOFError, ValueError):
        return False


def _archive_name(plan: BuildPlan) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", plan.repository).strip("-.") or "repository"
    return f"{name[:100]}-{plan.tree[:12]}.tar.gz"


def archive(folder: Path, epoch_seconds: int) -> bytes:
    """Return a ``tar.gz`` of the checkout ``folder`` without ``.git``: the same files give the same bytes.

    Raises RequestRefused ``GL-BUILD-004`` for links that lead out of the folder, for what is neither file nor link,
    and over 50,000 files or 256 MiB.
    """
    buffer = io.BytesIO()
    count = size = 0
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member, content in _members(folder):
            count, size = count + 1, size + len(content)
            if count > _ARCHIVED_FILES or size > ARTIFACT_BYTES:
                most = f"{_ARCHIVED_FILES} files or {ARTIFACT_BYTES} bytes"
                raise _refused("004", f"the tree has over {most}", "build a part of it as a wheel or package")
            member.mtime = max(0, epoch_seconds)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=max(0, epoch_seconds))


def _members(folder: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    for parent, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
        place = PurePosixPath(os.path.relpath(parent, folder))
        if place == PurePosixPath("."):
            folders[:] = [name for name in folders if name != ".git"]
        folders.sort()
        for name in sorted((*folders, *files)):
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                yield _member(descriptor, place / name, status)


def _member(folder: int, path: PurePosixPath, status: os.stat_result) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(str(path))
    if stat.S_ISLNK(status.st_mode):
        member.type, member.mode = tarfile.SYMTYPE, 0o777
        member.linkname = os.readlink(path.name, dir_fd=folder)
        if _leads_out(path, member.linkname):
            raise _refused("004", f"the link {str(path)!r} leads out of the repository", "remove it")
        return member, b""
    if not stat.S_ISREG(status.st_mode):
        raise _refused("004", f"{str(path)!r} is neither a file nor a link", "remove it")
    try:
        content = read_plain(path.name, folder, ARTIFACT_BYTES)
    except UnfitOutput as error:
        raise _refused("004", f"{str(path)!r} can't be taken: {error}", "remove it") from error
    member.mode = 0o755 if status.st_mode & 0o100 else 0o644
    member.size = len(content)
    return member, content


def _leads_out(link: PurePosixPath, target: str) -> bool:
    """Whether ``target`` of ``link`` is absolute or climbs above the top at any point."""
    if target.startswith("/"):
        return True
    depth = len(link.parts) - 1
    for part in target.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return True
    return False


def _refused(number: str, what: str, remedy: str) -> RequestRefused:
    return RequestRefused(f"GL-BUILD-{number}", what if what.endswith("\n") else f"{what}.", f"{remedy}.")
