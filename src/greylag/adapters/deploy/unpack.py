"""Builds unpacked as hostile archives: no way out of the folder, only files and inner links, all of it counted."""

import gzip
import io
import os
import posixpath
import re
import stat
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from greylag.domain.errors import RequestRefused

_CHUNK = 1024 * 1024
_PATH_BYTES = 1024
_DEPTH = 64
_WHEEL_DATA = re.compile(r"[^/]+\.data/(?:purelib|platlib)/")
_NPM_FOLDER = "package/"


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """How much an archive may hold once unpacked."""

    files: int = 20_000
    file_bytes: int = 256 * 1024 * 1024
    total_bytes: int = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Member:
    """One thing in an archive: its safe path and either content to copy or a link's target."""

    path: str
    executable: bool = False
    content: IO[bytes] | None = None
    link: str = ""


_LIMITS = UnpackLimits()


def unpack(build: bytes, into: Path, limits: UnpackLimits = _LIMITS) -> None:
    """Unpack a wheel (zip), ``tar.gz`` or npm ``tgz`` into the empty folder ``into``, world-readable.

    npm's ``package/`` and a wheel's ``*.data/purelib/`` prefixes are taken off. Raises RequestRefused
    ``GL-DEPLOY-003``; what was written until then is the caller's to remove.
    """
    try:
        if build[:4] == b"PK\x03\x04":
            _write(into, _from_zip(build, limits), limits)
        elif build[:2] == b"\x1f\x8b":
            with tempfile.TemporaryFile() as plain:
                _inflate(build, plain, limits)
                _write(into, _from_tar(plain), limits)
        else:
            raise _refused("it is neither a zip nor a gzip archive")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, NotImplementedError) as error:
        raise _refused(f"the archive is damaged: {error}") from None
    except (UnicodeError, ValueError, RuntimeError, LookupError, struct.error) as error:
        # tarfile and zipfile raise these for odd headers, and which of them depends on Python's patch release.
        raise _refused(f"the archive can't be read: {error}") from None


def _from_zip(build: bytes, limits: UnpackLimits) -> Iterator[_Member]:
    with zipfile.ZipFile(io.BytesIO(build)) as archive:
        if len(archive.infolist()) > limits.files:
            raise _too_many(limits)
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir():
                continue
            if kind not in {0, stat.S_IFREG}:
                raise _refused(f"{info.filename[:120]!r} is no plain file")
            if info.flag_bits & 0x1:
                raise _refused(f"{info.filename[:120]!r} is encrypted")
            name = _WHEEL_DATA.sub("", info.filename, count=1)
            with archive.open(info) as content:
                yield _Member(_safe(name), bool(info.external_attr >> 16 & 0o100), content)


def _from_tar(plain: IO[bytes]) -> Iterator[_Member]:
    with tarfile.open(fileobj=plain, mode="r:") as archive:
        npm = all(info.name.startswith(_NPM_FOLDER) or info.name == "package" for info in archive)
        for info in archive:
            name = info.name.removeprefix(_NPM_FOLDER) if npm else info.name
            if info.isdir():
                continue
            if info.issym():
                yield _Member(_safe(name), link=info.linkname)
            elif info.isreg():
                yield _Member(_safe(name), bool(info.mode & 0o100), archive.extractfile(info))
            else:
                raise _refused(f"{info.name[:120]!r} is a hard link, a device or another special file")


def _inflate(build: bytes, into: IO[bytes], limits: UnpackLimits) -> None:
    bound = limits.total_bytes + limits.files * 2048  # tar's own headers and padding
    size = 0
    with gzip.GzipFile(fileobj=io.BytesIO(build)) as packed:
        while chunk := packed.read(_CHUNK):
            size += len(chunk)
            if size > bound:
                raise _too_big(limits)
            into.write(chunk)
    into.seek(0)


def _write(into: Path, members: Iterator[_Member], limits: UnpackLimits) -> None:
    """Write every file first and the links last, so that nothing is ever written through a link."""
    links: list[_Member] = []
    total = 0
    for count, member in enumerate(members, start=1):
        if count > limits.files:
            raise _too_many(limits)
        if member.content is None:
            links.append(member)
            continue
        total += _write_file(into, member, min(limits.file_bytes, limits.total_bytes - total), limits)
    for member in links:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(member.path), member.link))
        if not member.link or posixpath.isabs(member.link) or target == ".." or target.startswith("../"):
            raise _refused(f"{member.path[:120]!r} is a link out of the build, to {member.link[:120]!r}")
        with _claimed(member):
            os.symlink(member.link, _place(into, member))
    root = into.resolve()
    for member in links:  # a link over a link could still lead out
        if not (into / member.path).resolve().is_relative_to(root):
            raise _refused(f"{member.path[:120]!r} is a link out of the build")


def _write_file(into: Path, member: _Member, room: int, limits: UnpackLimits) -> int:
    size = 0
    with _claimed(member):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(_place(into, member), flags, 0o755 if member.executable else 0o644)
    with os.fdopen(handle, "wb") as out:
        while member.content is not None and (chunk := member.content.read(_CHUNK)):
            size += len(chunk)
            if size > room:
                raise _too_big(limits)
            out.write(chunk)
        os.fchmod(handle, 0o755 if member.executable else 0o644)
    return size


def _place(into: Path, member: _Member) -> Path:
    place = into / member.path
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


@contextmanager
def _claimed(member: _Member) -> Iterator[None]:
    """Turn what the file system refuses (two members with one name, a file as a folder) into a refusal."""
    try:
        yield
    except OSError as error:
        raise _refused(f"{member.path[:120]!r} can't be written: {error.strerror}") from None


def _safe(name: str) -> str:
    parts = name.split("/")
    while parts and parts[0] == ".":
        parts = parts[1:]
    unsafe = not parts or any(part in {"", ".", ".."} for part in parts) or len(parts) > _DEPTH
    odd = any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in name) or "\\" in name
    if unsafe or odd or len(name.encode("utf-8", "replace")) > _PATH_BYTES:
        raise _refused(f"{name[:120]!r} is no safe relative path")
    return "/".join(parts)


def _too_many(limits: UnpackLimits) -> RequestRefused:
    return _refused(f"it has more than {limits.files} files")


def _too_big(limits: UnpackLimits) -> RequestRefused:
    return _refused(f"it unpacks to more than {limits.total_bytes} bytes, or one file to more than {limits.file_bytes}")


def _refused(why: str) -> RequestRefused:
    return RequestRefused(
        "GL-DEPLOY-003",
        f"the build can't be unpacked safely: {why}.",
        "build a wheel, an npm package or a tar.gz of plain files, then release that.",
    )
