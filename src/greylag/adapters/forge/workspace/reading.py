"""The only reader of a workspace that an agent touched: it opens each file by itself and git never sees the folder.

Must never follow a link, open anything but a regular file, or read ``.git``. Everything found is a name or bytes.
"""

import asyncio
import errno
import os
import stat
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from greylag.adapters.forge.names import is_git_folder_name, shown
from greylag.adapters.forge.objects import GITLINK, LINK, Entry, blob_hash
from greylag.adapters.forge.port import CaptureLimits
from greylag.domain.errors import RequestRefused

_KINDS = {
    stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}  # fmt: skip
_DEPTH = 64
_PATH_BYTES = 1024
_LOOKED_AT_PER_FILE = 5  # ignored files beside the taken ones: seen, never opened, but not without end either
_CHUNK = 1024 * 1024
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NAMED = 5

Ignored = Callable[[Sequence[bytes]], Awaitable[set[bytes]]]


@dataclass(frozen=True, slots=True)
class Found:
    """One name in the workspace with what ``lstat`` said."""

    path: bytes
    stat: os.stat_result


@dataclass(frozen=True, slots=True)
class Written:
    """One changed file: a private copy at ``copy`` (None: removed), its git ``mode`` and expected object ``id``."""

    path: bytes
    mode: bytes = b""
    id: str = ""
    size_bytes: int = 0
    copy: Path | None = None
    link_target: bytes = b""


@dataclass(slots=True)
class _Survey:
    """What the walk has seen so far."""

    tracked: Mapping[bytes, Entry]
    limits: CaptureLimits
    files: list[Found] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    looked_at: int = 0


async def survey(folder: Path, tracked: Mapping[bytes, Entry], ignored: Ignored, limits: CaptureLimits) -> list[Found]:
    """Return the regular files and links of ``folder`` that could be part of a change, gitlinks of the base included.

    A folder is not entered where ``ignored`` names it (with a slash at its end) and nothing tracked lies below.
    Raises RequestRefused ``GL-FORGE-007``, naming up to five paths.
    """
    seen = _Survey(tracked, limits)
    holding_tracked = {parent for path in tracked for parent in _parents(path)}
    with _opened(folder) as root:
        level: list[bytes] = [b""]
        for _ in range(_DEPTH):
            below = await asyncio.to_thread(_look, root, level, seen)
            undecided = [path + b"/" for path in below if path not in holding_tracked]
            dropped = await ignored(undecided) if undecided else set()
            level = [path for path in below if path + b"/" not in dropped]
            if not level:
                break
        else:
            seen.refused.append(f"{shown(level[0])[:80]!r} lies more than {_DEPTH} folders deep")
    untracked = [found.path for found in seen.files if found.path not in tracked]
    dropped = await ignored(untracked) if untracked else set()
    taken = [found for found in seen.files if found.path not in dropped]
    seen.refused.extend(why for found in taken if (why := _unfit(found)))
    if seen.refused:
        raise _refused("; ".join(seen.refused[:_NAMED]) + (" …" if len(seen.refused) > _NAMED else ""))
    if len(untracked) - len(dropped) > limits.files:
        raise _refused(f"{len(untracked) - len(dropped)} new files, at most {limits.files} are taken")
    return taken


def read_changes(
    folder: Path, found: Sequence[Found], tracked: Mapping[bytes, Entry], limits: CaptureLimits, into: Path
) -> list[Written]:
    """Copy what differs from ``tracked`` to ``into`` and return it, removed files included.

    Reads at most the base's own bytes plus ``limits``. Raises RequestRefused ``GL-FORGE-007``.
    """
    reader = _Reader(limits, into, next(iter(tracked.values())).id if tracked else "0" * 40)
    present = {item.path for item in found}
    changes = [Written(path) for path in tracked if path not in present]
    with _opened(folder) as root:
        for parent, items in _by_folder(found):
            with _beneath(root, parent) as here:
                for item in items:
                    change = reader.read(here, item, tracked.get(item.path))
                    if change is not None:
                        changes.append(change)
    if reader.changed > limits.files:
        raise _refused(f"{reader.changed} changed files, at most {limits.files} are taken")
    return changes


class _Reader:
    """Reads single files below an opened folder and counts what it takes."""

    def __init__(self, limits: CaptureLimits, into: Path, sample_id: str) -> None:
        self._limits = limits
        self._into = into
        self._sample_id = sample_id
        self._taken_bytes = 0
        self.changed = 0

    def read(self, folder: int, found: Found, base: Entry | None) -> Written | None:
        """Return the change ``found`` is against ``base``, or None for no change."""
        name = found.path.rpartition(b"/")[2]
        with _named(found.path):
            if stat.S_ISDIR(found.stat.st_mode):  # the base has a submodule here, which is never fetched
                with _beneath(folder, name) as inside:
                    if os.listdir(inside):
                        raise _refused(f"{shown(found.path)[:120]!r} is a submodule and has files in it")
                return None
            if stat.S_ISLNK(found.stat.st_mode):
                return self._link(os.readlink(name, dir_fd=folder), found.path, base)
            with os.fdopen(os.open(name, _OPEN_FILE, dir_fd=folder), "rb", buffering=0) as file:
                return self._file(file.fileno(), found.path, base)

    def _link(self, target: bytes, path: bytes, base: Entry | None) -> Written | None:
        digest = blob_hash(self._sample_id, len(target))
        digest.update(target)
        if base is not None and base.mode == LINK and base.id == digest.hexdigest():
            return None
        copy = self._next_copy(path, len(target))
        copy.write_bytes(target)
        return Written(path, LINK, digest.hexdigest(), len(target), copy, target)

    def _file(self, handle: int, path: bytes, base: Entry | None) -> Written | None:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
            raise _refused(f"{shown(path)[:120]!r} changed its kind while it was read")
        mode = b"100755" if about.st_mode & 0o100 else b"100644"
        comparable = base is not None and base.mode in {b"100644", b"100755"} and base.size_bytes == about.st_size
        if base is not None and comparable and self._hashed(handle, path, about.st_size) == base.id:
            if base.mode == mode:
                return None
            self.changed += 1
            return Written(path, mode, base.id, about.st_size)
        copy = self._next_copy(path, about.st_size)
        os.lseek(handle, 0, os.SEEK_SET)
        return Written(path, mode, self._hashed(handle, path, about.st_size, copy), about.st_size, copy)

    def _hashed(self, handle: int, path: bytes, size_bytes: int, copy: Path | None = None) -> str:
        digest = blob_hash(self._sample_id, size_bytes)
        left = size_bytes
        with open(copy or os.devnull, "wb") as out:
            while chunk := os.read(handle, _CHUNK):
                left -= len(chunk)
                if left < 0:
                    break
                digest.update(chunk)
                if copy is not None:
                    out.write(chunk)
        if left:
            raise _refused(f"{shown(path)[:120]!r} changed while it was read")
        return digest.hexdigest()

    def _next_copy(self, path: bytes, size_bytes: int) -> Path:
        self.changed += 1
        self._taken_bytes += size_bytes
        if size_bytes > self._limits.file_bytes:
            raise _refused(f"{shown(path)[:120]!r} has {size_bytes} bytes, at most {self._limits.file_bytes} are taken")
        if self._taken_bytes > self._limits.total_bytes:
            raise _refused(f"the changed files have more than {self._limits.total_bytes} bytes together")
        return self._into / str(self.changed)


def _look(root: int, level: Iterable[bytes], seen: _Survey) -> list[bytes]:
    """List every folder of ``level``; collect its files in ``seen`` and return its folders."""
    below: list[bytes] = []
    bound = seen.limits.files * _LOOKED_AT_PER_FILE
    for parent in level:
        with _beneath(root, parent) as here, os.scandir(here) as listing:
            for item in listing:
                path = os.path.join(parent, os.fsencode(item.name))
                seen.looked_at += path not in seen.tracked
                if seen.looked_at > bound:
                    raise _refused(f"more than {bound} new names, ignored ones included")
                with _named(path):
                    _sort(Found(path, item.stat(follow_symlinks=False)), below, seen)
    return below


def _sort(found: Found, below: list[bytes], seen: _Survey) -> None:
    path = found.path
    if is_git_folder_name(path.rpartition(b"/")[2]):
        if path != b".git":  # the workspace's own is never read, whatever it is
            seen.refused.append(f"{shown(path)[:120]!r} is a git repository inside the workspace")
    elif len(path) > _PATH_BYTES:
        seen.refused.append(f"{shown(path)[:80]!r}… is longer than {_PATH_BYTES} bytes")
    elif not stat.S_ISDIR(found.stat.st_mode) or (path in seen.tracked and seen.tracked[path].mode == GITLINK):
        seen.files.append(found)
    else:
        below.append(path)


def _unfit(found: Found) -> str:
    mode = found.stat.st_mode
    if stat.S_ISREG(mode) and found.stat.st_nlink > 1:
        return f"{shown(found.path)[:120]!r} is a hard link"
    kind = _KINDS.get(stat.S_IFMT(mode))
    return f"{shown(found.path)[:120]!r} is {kind}" if kind else ""


def _by_folder(found: Sequence[Found]) -> Iterator[tuple[bytes, list[Found]]]:
    folders: dict[bytes, list[Found]] = {}
    for item in found:
        folders.setdefault(item.path.rpartition(b"/")[0], []).append(item)
    yield from folders.items()


def _parents(path: bytes) -> Iterator[bytes]:
    while (cut := path.rfind(b"/")) > 0:
        path = path[:cut]
        yield path


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    try:
        handle = os.open(folder, _OPEN_FOLDER)
    except OSError as error:
        raise _refused(f"the workspace `{folder}` can't be opened: {error.strerror}") from None
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _beneath(root: int, path: bytes) -> Iterator[int]:
    """Open the folder ``path`` below ``root`` one name at a time, so that no link is followed on the way."""
    handle = os.dup(root)
    try:
        with _named(path or b"."):
            for name in path.split(b"/") if path else [b"."]:
                below = os.open(name, _OPEN_FOLDER, dir_fd=handle)
                os.close(handle)
                handle = below
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _named(path: bytes) -> Iterator[None]:
    """Turn an operating system's refusal into ours, with the path's name."""
    try:
        yield
    except OSError as error:
        gone = error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENOENT}
        why = "changed while it was read" if gone else f"can't be read: {error.strerror}"
        raise _refused(f"{shown(path)[:120]!r} {why}") from None


def _refused(what: str) -> RequestRefused:
    return RequestRefused(
        "GL-FORGE-007",
        f"the workspace can't be taken as a change: {what}.",
        "ask the agent to remove what is named, or raise the limit, then try again.",
    )
