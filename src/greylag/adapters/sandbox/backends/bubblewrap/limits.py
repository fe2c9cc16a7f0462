"""What no kernel limit bounds without control groups: memory and disk of a whole sandbox, watched from outside."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from greylag.adapters.sandbox.port import EndReason, Limits
from greylag.adapters.sandbox.trees import Usage, measure
from greylag.domain.errors import BackendError

_PERIOD_SECONDS = 0.25
_DISK_PERIOD_SECONDS = 2.0
_DISK_PERIOD_FACTOR = 10  # walking a big workspace takes at most a tenth of one processor
_EARLY_FRACTION = 8  # walk at once when the file system lost this part of what is still allowed
_MEBIBYTE = 1024 * 1024
_PROCESSES = 8192


@dataclass(slots=True)
class _Disk:
    """What the last walk found and what the file system had free then."""

    usage: Usage
    free_bytes: int
    free_files: int
    next_walk: float


class Watchdog:
    """Looks at a sandbox four times a second and reports the first limit it passes."""

    def __init__(
        self, child: int, workspace: Path, limits: Limits, walkers: Executor, over: Callable[[EndReason], None]
    ) -> None:
        self._child = child
        self._workspace = workspace
        self._limits = limits
        self._walkers = walkers
        self._over = over

    async def watch(self) -> None:
        """Watch until a limit is passed (then ``over`` is called once) or this is cancelled.

        What can't be watched may not run: where the workspace can't be looked at, the program is ended as killed.
        """
        try:
            self._over(await self._first_passed())
        except (OSError, BackendError):
            self._over(EndReason.KILLED)

    async def _first_passed(self) -> EndReason:
        loop = asyncio.get_running_loop()
        disk: _Disk | None = None
        while True:
            if await loop.run_in_executor(self._walkers, memory_over, self._child, self._limits.memory_mb * _MEBIBYTE):
                return EndReason.MEMORY
            if disk is None or self._should_walk(disk):
                disk = await loop.run_in_executor(self._walkers, self._walk)
                if self._disk_over(disk.usage):
                    return EndReason.DISK
            await asyncio.sleep(_PERIOD_SECONDS)

    def _walk(self) -> _Disk:
        started = time.monotonic()
        space = os.statvfs(self._workspace)
        usage = measure(self._workspace, max_files=self._limits.disk_files, max_bytes=self._limits.disk_mb * _MEBIBYTE)
        now = time.monotonic()
        pause = max(_DISK_PERIOD_SECONDS, (now - started) * _DISK_PERIOD_FACTOR)
        return _Disk(usage, space.f_bavail * space.f_frsize, space.f_favail, now + pause)

    def _should_walk(self, disk: _Disk) -> bool:
        if time.monotonic() >= disk.next_walk:
            return True
        space = os.statvfs(self._workspace)
        left_bytes = self._limits.disk_mb * _MEBIBYTE - disk.usage.size_bytes
        left_files = self._limits.disk_files - disk.usage.files
        lost_bytes = disk.free_bytes - space.f_bavail * space.f_frsize
        lost_files = disk.free_files - space.f_favail
        return lost_bytes * _EARLY_FRACTION > left_bytes or lost_files * _EARLY_FRACTION > left_files

    def _disk_over(self, usage: Usage) -> bool:
        return (
            not usage.complete
            or usage.size_bytes > self._limits.disk_mb * _MEBIBYTE
            or usage.files > self._limits.disk_files
        )


def memory_over(root: int, limit_bytes: int) -> bool:
    """Say whether process ``root`` and its descendants use more memory than ``limit_bytes``.

    The resident sizes, which count shared pages again and again, are a cheap first look; where they are over, the
    proportional sizes decide (proc(5), ``smaps_rollup``).
    """
    processes = descendants(root)
    page = os.sysconf("SC_PAGE_SIZE")
    resident = 0
    for process in processes:
        words = _read(f"/proc/{process}/statm").split()
        resident += int(words[1]) * page if len(words) > 1 else 0
    return resident > limit_bytes and sum(_proportional(process) for process in processes) > limit_bytes


def _proportional(process: int) -> int:
    total = 0
    for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
        if line.startswith((b"Pss:", b"SwapPss:")):
            total += int(line.split()[1]) * 1024
    return total


def descendants(root: int) -> list[int]:
    """Return ``root`` and what it started: orphans too, because ``root`` is process 1 inside and adopts them."""
    found = [root]
    for process in found:
        try:
            threads = os.listdir(f"/proc/{process}/task")
        except OSError:
            continue
        for thread in threads:
            found += [int(word) for word in _read(f"/proc/{process}/task/{thread}/children").split()]
        if len(found) > _PROCESSES:
            break
    return found


def _read(path: str) -> bytes:
    """Return a file of a process, empty where the process has gone meanwhile."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
