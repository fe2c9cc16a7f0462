"""Host-side verbs on folders that untrusted programs wrote: own, measure, remove.

Every step goes through the descriptor of an opened folder and follows no link, so nothing outside is ever touched.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from greylag.domain.errors import BackendError

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 128
_MOST_ENTRIES = 5_000_000


@dataclass(frozen=True, slots=True)
class Usage:
    """Files (of any kind) and disk bytes of a tree; not ``complete`` where a bound stopped the count."""

    files: int
    size_bytes: int
    complete: bool


class _TooDeep(Exception):
    """A folder lies deeper than any honest one."""


def own(folder: Path, identity: int) -> None:
    """Give ``folder`` and all in it to uid and gid ``identity``.

    Raises BackendError ``GL-SANDBOX-006`` for a folder that isn't one, is nested too deep, holds too much, or holds a
    file with a second name somewhere: giving that away could give away somebody else's file.
    """
    root = _open_root(folder)
    try:
        _own_tree(root, folder, identity)
    except _TooDeep:
        raise _unworkable(folder, f"it is nested deeper than {_DEEPEST} folders") from None
    except OSError as error:
        raise _unworkable(folder, f"it can't be given to uid {identity}: {error}") from error
    finally:
        os.close(root)


def _own_tree(root: int, folder: Path, identity: int) -> None:
    for count, (parent, name, status) in enumerate(_walk(root)):
        if count >= _MOST_ENTRIES:
            raise _unworkable(folder, f"it holds more than {_MOST_ENTRIES} entries")
        if status.st_uid == identity and status.st_gid == identity:
            continue
        if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
            raise _unworkable(folder, f"{name!r} in it has {status.st_nlink} names (hard links)")
        os.chown(name, identity, identity, dir_fd=parent, follow_symlinks=False)
    os.chown(f"/proc/self/fd/{root}", identity, identity)


def measure(folder: Path, *, max_files: int, max_bytes: int) -> Usage:
    """Count ``folder``; stop, with ``complete`` False, past a bound or at nesting no honest program makes.

    A folder that its owner locked is opened for its owner, because what can't be counted can't be bounded.
    """
    files = size = 0
    root = _open_root(folder)
    try:
        for _, _, status in _walk(root):
            files += 1
            size += status.st_blocks * 512
            if files > max_files or size > max_bytes:
                return Usage(files, size, complete=False)
    except (_TooDeep, PermissionError):
        return Usage(files, size, complete=False)
    finally:
        os.close(root)
    return Usage(files, size, complete=True)


def remove(folder: Path) -> None:
    """Remove ``folder``, whatever is in it; a link is removed itself, missing is fine.

    What is nested deep is moved to the top and removed from there, so neither depth nor path length matters. Raises
    BackendError ``GL-SANDBOX-006`` where something can't be removed.
    """
    try:
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            os.unlink(folder)
            return
        root = os.open(folder, _FOLDER)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unworkable(folder, str(error)) from error
    try:
        _empty(root)
        os.rmdir(folder)
    except OSError as error:
        raise _unworkable(folder, f"it can't be removed: {error}") from error
    finally:
        os.close(root)


def _empty(root: int) -> None:
    moved = 0
    while folders := _clear(root):
        for name in folders:
            moved = _remove_beneath(root, name, moved)
        if moved > _MOST_ENTRIES:
            raise OSError(f"more than {_MOST_ENTRIES} folders are nested too deep")


def _remove_beneath(root: int, name: str, moved: int) -> int:
    """Remove folder ``name`` of ``root``; what lies too deep goes to ``root``. Return how many were moved so far."""
    stack: list[tuple[str, int, list[str]]] = []
    try:
        _descend(stack, root, name)
        while stack:
            own_name, folder, folders = stack[-1]
            if not folders:
                stack.pop()
                os.close(folder)
                os.rmdir(own_name, dir_fd=stack[-1][1] if stack else root)
            elif len(stack) < _DEEPEST // 2:
                _descend(stack, folder, folders.pop())
            else:
                nested = folders.pop()
                _unlock(nested, folder)
                moved += 1
                os.rename(nested, f".greylag-removed-{moved}-{os.getpid()}", src_dir_fd=folder, dst_dir_fd=root)
    finally:
        for _, folder, _ in stack:
            os.close(folder)
    return moved


def _descend(stack: list[tuple[str, int, list[str]]], parent: int, name: str) -> None:
    folder = os.open(name, _FOLDER, dir_fd=parent)
    stack.append((name, folder, []))
    stack[-1] = (name, folder, _clear(folder))


def _clear(folder: int) -> list[str]:
    """Remove everything in ``folder`` but folders; return their names."""
    readable = _readable(folder)
    try:
        folders: list[str] = []
        names: list[str] = []
        with os.scandir(readable) as entries:
            for entry in entries:
                (folders if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
        for name in names:
            os.unlink(name, dir_fd=folder)
        return folders
    finally:
        os.close(readable)


def _walk(root: int) -> Iterator[tuple[int, str, os.stat_result]]:
    """Yield (folder descriptor, name, status) of everything beneath ``root``, depth first, one descriptor a level."""
    stack = [(os.dup(root), _names(root))]
    try:
        while stack:
            folder, names = stack[-1]
            if not names:
                os.close(stack.pop()[0])
                continue
            name = names.pop()
            try:
                status = os.lstat(name, dir_fd=folder)
                yield folder, name, status
                if not stat.S_ISDIR(status.st_mode):
                    continue
                child = os.open(name, _FOLDER, dir_fd=folder)
            except (FileNotFoundError, NotADirectoryError):
                continue  # a program that is still running took it away
            stack.append((child, []))
            if len(stack) > _DEEPEST:
                raise _TooDeep
            stack[-1] = (child, _names(child))
    finally:
        for folder, _ in stack:
            os.close(folder)


def _names(folder: int) -> list[str]:
    readable = _readable(folder)
    try:
        return os.listdir(readable)
    finally:
        os.close(readable)


def _readable(folder: int) -> int:
    """Return a readable descriptor of the folder opened as ``folder``, unlocking it for its owner if need be."""
    path = f"/proc/self/fd/{folder}"
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & 0o700 != 0o700:
        os.chmod(path, mode | 0o700)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _unlock(name: str, parent: int) -> None:
    """Make a folder movable: its owner needs to write to it."""
    child = os.open(name, _FOLDER, dir_fd=parent)
    try:
        os.close(_readable(child))
    finally:
        os.close(child)


def _open_root(folder: Path) -> int:
    try:
        return os.open(folder, _FOLDER)
    except OSError as error:
        raise _unworkable(folder, f"it isn't a folder that can be opened: {error}") from error


def _unworkable(folder: Path, why: str) -> BackendError:
    return BackendError(
        "GL-SANDBOX-006",
        f"the folder `{folder}` can't be worked on: {why}.",
        "look at its owner and content; remove it by hand as the user who runs Greylag, or as root.",
    )
