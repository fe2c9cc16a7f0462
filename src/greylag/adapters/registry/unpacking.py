"""Reads a source distribution without trusting it: bytes in, files in memory out. Nothing is ever written.

Taken are plain files and folders below one top folder, as PEP 625 and the packaging guide's "source distribution
format" describe them. Everything else in an archive can only be a mistake or an attack, and the whole is refused.
"""

import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from greylag.domain.errors import RequestRefused

_GZIP = 31  # zlib's number for "a gzip header and the largest window"
_PLAIN_FILE = (tarfile.REGTYPE, tarfile.AREGTYPE)
_PATH_CHARACTERS = 400
_DEPTH = 40


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """Bounds of one archive: its entries (files and folders), one file, and everything unpacked, in bytes."""

    entries: int = 10_000
    file_bytes: int = 16 * 1024 * 1024
    total_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SourceTree:
    """The files of a source distribution by relative path, without the top folder, and which are programs."""

    files: Mapping[str, bytes]
    executable: frozenset[str]


def unpack(archive: bytes, limits: UnpackLimits | None = None) -> SourceTree:
    """Return the files in ``archive``, a ``.tar.gz``. Raises RequestRefused ``GL-REGISTRY-006`` for a hostile one.

    That is: not a gzipped tar, over a limit, an entry that is no plain file or folder (links, devices, holes), a path
    that is absolute or goes up, the same path twice, more than one top folder.
    """
    bounds = limits or UnpackLimits()
    tar = _decompressed(archive, bounds.total_bytes)
    files: dict[str, bytes] = {}
    executable: set[str] = set()
    tops: set[str] = set()
    for member, content in _members(tar, bounds):
        top, _, path = _checked_path(member.name).partition("/")
        tops.add(top)
        if len(tops) > 1:
            raise _refused(f"it has more than one top folder, {_named(sorted(tops)[1])} among them")
        if member.isdir():
            continue
        if not path or path in files:
            raise _refused(f"{_named(member.name)} is {'there twice' if path else 'in no folder'}")
        files[path] = content
        if member.mode & 0o111:
            executable.add(path)
    if not files:
        raise _refused("there is no file in it")
    return SourceTree(files, frozenset(executable))


def _decompressed(archive: bytes, most_bytes: int) -> bytes:
    reader = zlib.decompressobj(_GZIP)
    try:
        tar = reader.decompress(archive, most_bytes + 1)
    except zlib.error as error:
        raise _refused(f"it is not gzip: {error}") from error
    if len(tar) > most_bytes:
        raise _refused(f"it unpacks to more than {most_bytes} bytes")
    if not reader.eof or reader.unused_data.strip(b"\0"):
        raise _refused("it ends before its end" if not reader.eof else "something follows its end")
    return tar


def _members(tar: bytes, bounds: UnpackLimits) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Yield every entry that may be taken, with its content; refuse at the first that may not."""
    try:
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as opened:
            for count in range(bounds.entries + 2):
                member = opened.next()
                if member is None:
                    # tarfile takes a broken entry for the end: the end is where nothing but zeros follows.
                    if tar[opened.offset :].strip(b"\0"):
                        raise _refused("an entry in it is broken")
                    return
                if count >= bounds.entries:
                    raise _refused(f"it has more than {bounds.entries} entries")
                yield member, _content(opened, member, bounds.file_bytes)
    except RequestRefused:
        raise
    except Exception as error:
        raise _refused(f"it is not a tar archive ({type(error).__name__})") from error


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo, most_bytes: int) -> bytes:
    if member.isdir() and member.size == 0:
        return b""
    if member.type not in _PLAIN_FILE or member.issparse():
        raise _refused(f"{_named(member.name)} is neither a plain file nor a folder")
    if not 0 <= member.size <= most_bytes:
        raise _refused(f"{_named(member.name)} has {member.size} bytes, at most {most_bytes} are taken")
    file = opened.extractfile(member)
    content = file.read() if file is not None else b""
    if len(content) != member.size:
        raise _refused(f"{_named(member.name)} ends before its end")
    return content


def _checked_path(path: str) -> str:
    parts = path.split("/")
    bad = {"", ".", ".."} & set(parts) or "\0" in path or len(path) > _PATH_CHARACTERS or len(parts) > _DEPTH
    if bad:
        raise _refused(f"{_named(path)} is not a path inside a folder")
    return path


def _named(path: str) -> str:
    return ascii(path[:120])


def _refused(why: str) -> RequestRefused:
    return RequestRefused(
        "GL-REGISTRY-006",
        f"the source distribution is not taken: {why}.",
        "choose another version, or import the project's git repository: `greylag repo add URL`.",
    )
