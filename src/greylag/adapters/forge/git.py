"""The one hardened way to run git on the host: an empty environment, nobody's configuration, bounded time and output.

Must never run through a shell, never read a system, user or workspace configuration, and never start a program that a
repository names (hooks, filters, editors, pagers, askpass, fsmonitor, gpg, ssh).
"""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from greylag.domain.errors import BackendError, OperatorError

_FALSE = "/bin/false"
_SEARCHED = ("/usr/bin", "/usr/local/bin", "/bin", "/opt/git/bin", "/run/current-system/sw/bin")
_OLDEST = (2, 38)
_STDERR_BYTES = 64 * 1024
_CHUNK = 256 * 1024
_GRACE_SECONDS = 2.0

# Each of these is a way by which a repository, a user or a machine could make git start a program or write elsewhere.
_CONFIG = (
    "core.fsmonitor=false", "core.untrackedCache=false", "core.hooksPath=/dev/null", "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null", f"core.sshCommand={_FALSE}", f"core.askPass={_FALSE}", f"core.editor={_FALSE}",
    f"core.alternateRefsCommand={_FALSE}", f"sequence.editor={_FALSE}", "core.symlinks=false", "core.pager=cat",
    "credential.helper=", "protocol.allow=never", f"gpg.program={_FALSE}", f"gpg.ssh.program={_FALSE}",
    f"gpg.x509.program={_FALSE}", "commit.gpgSign=false", "tag.gpgSign=false", "log.showSignature=false",
    "diff.external=", "diff.ignoreSubmodules=all", "submodule.recurse=false", "fetch.recurseSubmodules=false",
    "safe.bareRepository=explicit", "gc.auto=0", "maintenance.auto=false", "core.protectHFS=true",
    "core.protectNTFS=true", "transfer.fsckObjects=true", "core.fsync=committed,reference", "core.quotePath=true",
    "core.autocrlf=false", "core.filesRefLockTimeout=1000", "core.packedRefsTimeout=1000", "tar.umask=0022",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GitPlace:
    """Where one git command works: everything git would else discover by itself.

    New objects go to ``objects`` (default: the git folder's own); ``borrow`` names further object folders to read.
    """

    git_dir: Path
    work_tree: Path | None = None
    index: Path | None = None
    objects: Path | None = None
    borrow: tuple[Path, ...] = ()

    def environment(self) -> dict[str, str]:
        """Return the ``GIT_*`` variables that pin this place."""
        env = {"GIT_DIR": str(self.git_dir)}
        if self.work_tree is not None:
            env["GIT_WORK_TREE"] = str(self.work_tree)
        if self.index is not None:
            env["GIT_INDEX_FILE"] = str(self.index)
        if self.objects is not None:
            env["GIT_OBJECT_DIRECTORY"] = str(self.objects)
        if self.borrow:
            env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = ":".join(_quoted(path) for path in self.borrow)
        return env


@dataclass(frozen=True, slots=True)
class GitBounds:
    """How long one command may take and how much it may print on standard output."""

    seconds: float = 120.0
    output_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GitOutput:
    """What a finished command printed; ``stderr`` is cut at 64 KiB."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text without surrounding white space; what isn't UTF-8 is escaped."""
        return self.stdout.decode("utf-8", "backslashreplace").strip()

    @property
    def complaint(self) -> str:
        """The last lines git said on standard error, on one line, without control characters, at most 400 long."""
        said = self.stderr.decode("utf-8", "backslashreplace").replace("\r", "\n").strip().splitlines()[-4:]
        return re.sub(r"[^\x20-\x7e\u00a1-\u1fff]", "?", "; ".join(line.strip() for line in said))[:400] or "no message"


class GitOutputTooLarge(BackendError):
    """A command printed more than its bound and was ended."""


_DEFAULT_BOUNDS = GitBounds()


class Git:
    """Runs one git program; ``home`` is an own empty folder that serves as HOME and working directory."""

    def __init__(self, home: Path, binary: Path | None = None) -> None:
        self.binary = binary or find_git()
        self.home = home

    def command(self, config: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the start of every command line: the program and its safety settings, then ``config``."""
        flags = [part for setting in (*_CONFIG, *config) for part in ("-c", setting)]
        return (str(self.binary), "--no-pager", "--no-replace-objects", *flags)

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a git process that talks to nobody."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.home), "XDG_CONFIG_HOME": str(self.home),
            "LC_ALL": "C.UTF-8", "TZ": "UTC", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": _FALSE, "SSH_ASKPASS": _FALSE,
            "GIT_PAGER": "cat", "GIT_EDITOR": _FALSE, "GIT_SEQUENCE_EDITOR": _FALSE, "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "",
            "GIT_LITERAL_PATHSPECS": "1",
        }  # fmt: skip

    async def run(
        self,
        *arguments: str,
        place: GitPlace | None = None,
        stdin: bytes | Path = b"",
        config: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
        bounds: GitBounds = _DEFAULT_BOUNDS,
        ok: tuple[int, ...] = (0,),
    ) -> GitOutput:
        """Run ``git ARGUMENTS`` and return what it printed.

        ``stdin`` is bytes or a file to read from. Raises BackendError ``GL-FORGE-016`` for an exit code outside
        ``ok``, ``GL-FORGE-017`` (transient) over time, `GitOutputTooLarge` ``GL-FORGE-018`` over the output bound.
        """
        whole = self.environment() | (place.environment() if place else {}) | dict(env or {})
        with contextlib.ExitStack() as opened:
            source = opened.enter_context(stdin.open("rb")) if isinstance(stdin, Path) else asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(
                *self.command(config), *arguments, stdin=source, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE, cwd=self.home, env=whole, start_new_session=True, umask=0o022,
                limit=_CHUNK,
            )  # fmt: skip
        output = await _collected(process, stdin if isinstance(stdin, bytes) else b"", bounds, arguments[0])
        if output.code not in ok:
            raise BackendError(
                "GL-FORGE-016",
                f"`git {arguments[0]}` ended with {output.code}: {output.complaint}",
                "look at the message; the repository was left as it was.",
            )
        return output


def find_git() -> Path:
    """Return the absolute path of git. Raises OperatorError ``GL-FORGE-020`` where there is none."""
    for folder in _SEARCHED:
        candidate = Path(folder) / "git"
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise OperatorError(
        "GL-FORGE-020",
        f"no `git` program in {', '.join(_SEARCHED)}.",
        "install it: `apt-get install git` (or your system's way), then start again.",
    )


async def require_version(git: Git) -> str:
    """Return git's version, or raise OperatorError ``GL-FORGE-021`` where it is too old to be run safely."""
    text = (await git.run("version")).text
    found = re.search(r"(\d+)\.(\d+)", text)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST:
        raise OperatorError(
            "GL-FORGE-021",
            f"`{git.binary}` is {text!r}; at least version {_OLDEST[0]}.{_OLDEST[1]} is needed.",
            "install a newer git: `apt-get install git`.",
        )
    return text


async def end(process: asyncio.subprocess.Process) -> None:
    """End ``process`` and everything it started (it leads a session of its own); already gone is fine.

    It is asked first, so that git removes its lock files; two seconds later it is killed.
    """
    if process.returncode is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
    _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


async def _collected(process: asyncio.subprocess.Process, stdin: bytes, bounds: GitBounds, verb: str) -> GitOutput:
    gathered = asyncio.gather(
        _fed(process.stdin, stdin), _bounded(process.stdout, bounds.output_bytes), _cut(process.stderr), process.wait()
    )
    try:
        _, stdout, stderr, code = await asyncio.wait_for(gathered, bounds.seconds)
    except TimeoutError:
        raise BackendError(
            "GL-FORGE-017",
            f"`git {verb}` took longer than {bounds.seconds:.0f} s and was ended.",
            "try again when the machine or the network is less busy.",
            transient=True,
        ) from None
    except _TooMuch:
        raise GitOutputTooLarge(
            "GL-FORGE-018",
            f"`git {verb}` printed more than {bounds.output_bytes} bytes and was ended.",
            "make the change or the repository smaller, or raise the limit.",
        ) from None
    finally:
        if process.returncode is None:
            await asyncio.shield(end(process))
    return GitOutput(code, stdout, stderr)


class _TooMuch(Exception):
    """More output than agreed."""


async def _fed(stream: asyncio.StreamWriter | None, data: bytes) -> None:
    if stream is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it read what it wanted; its exit code tells
        stream.write(data)
        await stream.drain()
        stream.close()
        await stream.wait_closed()


async def _bounded(stream: asyncio.StreamReader | None, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        size += len(chunk)
        if size > limit:
            raise _TooMuch
        chunks.append(chunk)
    return b"".join(chunks)


async def _cut(stream: asyncio.StreamReader | None) -> bytes:
    kept = b""
    while stream is not None and (chunk := await stream.read(_CHUNK)):
        kept = (kept + chunk)[-_STDERR_BYTES:]
    return kept


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
