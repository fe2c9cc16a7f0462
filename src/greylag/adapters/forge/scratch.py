"""Short-lived folders for half-made things: held by a lock, and removed by the next user when their owner died."""

import asyncio
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

_STALE_LOCK_SECONDS = 60.0  # git holds a ref's lock for milliseconds
_STALE_PACK_SECONDS = 24 * 3600.0


class Scratch:
    """Gives out folders below ``root``; several processes may share it. A crash leaves nothing for long."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Path]:
        """Yield a fresh empty folder and remove it afterwards; folders of dead owners are removed first."""
        folder, lock = await asyncio.to_thread(self._take)
        try:
            yield folder
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            os.close(lock)
            lock_file(folder).unlink(missing_ok=True)

    def _take(self) -> tuple[Path, int]:
        self._root.mkdir(mode=0o700, exist_ok=True)
        with _held(self._root / "lock"):  # so that nobody takes a folder between its birth and its lock for abandoned
            for leftover in self._root.glob("*.lock"):
                _remove_abandoned(leftover)
            folder = self._root / secrets.token_hex(8)
            lock = os.open(lock_file(folder), os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder.mkdir(mode=0o700)
            return folder, lock


def lock_file(folder: Path) -> Path:
    """Return the file whose lock says that ``folder`` is in use."""
    return folder.with_name(f"{folder.name}.lock")


def sweep(repository: Path) -> bool:
    """Remove what a killed git left in a bare ``repository``: old ref locks, half-received packs.

    Says whether there was an old lock. Young ones belong to somebody who works.
    """
    stale = [lock for lock in repository.glob("refs/**/*.lock") if _older(lock, _STALE_LOCK_SECONDS)]
    stale += [lock for lock in repository.glob("*.lock") if _older(lock, _STALE_LOCK_SECONDS)]
    for lock in stale:
        lock.unlink(missing_ok=True)
    for half in (*repository.glob("objects/tmp_objdir-*"), *repository.glob("objects/pack/tmp_*")):
        if _older(half, _STALE_PACK_SECONDS):
            shutil.rmtree(half, ignore_errors=True) if half.is_dir() else half.unlink(missing_ok=True)
    return bool(stale)


def _older(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > seconds
    except FileNotFoundError:
        return False


def _remove_abandoned(lock: Path) -> None:
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = lock.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():  # else a process that outlived its parent still writes there: next time
            lock.unlink(missing_ok=True)
    except BlockingIOError:
        return  # its owner lives
    finally:
        os.close(handle)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
