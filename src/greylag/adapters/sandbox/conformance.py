"""The promises every sandbox backend must keep, tried by hostile programs; run by tests and by ``greylag doctor``."""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from greylag.adapters.sandbox import hostile
from greylag.adapters.sandbox.port import GATEWAY_SOCKET, Ended, EndReason, Limits, Network, Sandbox, SandboxSpec
from greylag.adapters.sandbox.toolchain import Toolchain
from greylag.domain.errors import GreylagError

_LIMITS = Limits(memory_mb=512, processes=64, timeout_seconds=30)
_VARIABLES = ("HOME", "TMPDIR", "PATH", "LANG", "PWD", "GIVEN")
_SECRET_VARIABLE = "GREYLAG_CONFORMANCE_SECRET"  # noqa: S105 a name, and the value is made up for the run


@dataclass(frozen=True, slots=True)
class Check:
    """One promise: ``passed``, or ``detail`` says what was seen instead."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Host:
    """What is planted on the host for the programs to find."""

    secret: str
    hidden_file: Path
    hidden_socket: Path
    gateway: Path
    port: int
    abstract: str


@dataclass(slots=True)
class _Suite:
    """A sandbox, the folder the suite may use, and what runs Python inside."""

    sandbox: Sandbox
    scratch: Path
    toolchain: Toolchain | None
    host: _Host
    count: int = field(default=0)

    def workspace(self) -> Path:
        self.count += 1
        folder = self.scratch / f"workspace-{self.count}"
        folder.mkdir()
        self.sandbox.adopt(folder)
        return folder

    def spec(self, *argv: str, limits: Limits = _LIMITS) -> SandboxSpec:
        spec = SandboxSpec(argv, self.workspace(), limits=limits)
        if self.toolchain is None:
            return spec
        return replace(spec, mounts=self.toolchain.mounts, env=self.toolchain.env)

    def python(self, source: str, *arguments: str, limits: Limits = _LIMITS) -> SandboxSpec:
        program = self.toolchain.python if self.toolchain is not None else "/usr/bin/python3"
        return self.spec(program, "-I", "-S", "-c", source, *arguments, limits=limits)


async def run_checks(sandbox: Sandbox, scratch: Path, toolchain: Toolchain | None = None) -> tuple[Check, ...]:
    """Return what ``sandbox`` keeps and what it doesn't; ``scratch`` is an existing folder for the suite's own use.

    Python runs inside from ``toolchain``, else from /usr/bin/python3. Never raises for what a backend does wrong: a
    check that could not be run has not passed. Takes about ten seconds.
    """
    probe = await sandbox.probe()
    if not probe.ready:
        return (Check("isolation can be had", False, f"{probe.detail} Next: {probe.remedy}"),)
    checks = [Check("isolation can be had", True)]
    place = scratch / f"conformance-{secrets.token_hex(4)}"
    place.mkdir(mode=0o700)
    try:
        async with _planted(place) as host:
            suite = _Suite(sandbox, place, toolchain, host)
            for group in (_isolation, _gateway, *_LIMIT_CHECKS, *_RESULT_CHECKS):
                checks += await _guarded(group, suite)
    finally:
        sandbox.discard(place)
    return tuple(checks)


async def _guarded(group: Callable[[_Suite], Awaitable[Sequence[Check]]], suite: _Suite) -> Sequence[Check]:
    try:
        return await group(suite)
    except (GreylagError, OSError, ValueError, KeyError) as error:
        return (Check(group.__name__.strip("_").replace("_", " "), False, f"could not be run: {error}"),)


@contextlib.asynccontextmanager
async def _planted(place: Path) -> AsyncIterator[_Host]:
    """Plant a secret in the environment and in a file, and listen on sockets of every kind."""
    token = secrets.token_hex(8)
    hidden = place / "hidden"
    hidden.write_text(token)
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    abstract = f"greylag-{token}"
    os.environ[_SECRET_VARIABLE] = token
    servers = []
    try:
        tcp = await asyncio.start_server(_greet, "127.0.0.1", 0)
        servers.append(tcp)
        servers.append(await asyncio.start_unix_server(_greet, f"\0{abstract}"))
        for name in ("socket", "gateway"):
            servers.append(await asyncio.start_unix_server(_greet, f"/proc/self/fd/{folder}/{name}"))
        port = tcp.sockets[0].getsockname()[1]
        yield _Host(token, hidden, place / "socket", place / "gateway", port, abstract)
    finally:
        del os.environ[_SECRET_VARIABLE]
        os.close(folder)
        for server in servers:
            server.close()


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        line = await reader.readline()
        writer.write(b"heard " + line)
        await writer.drain()
    writer.close()


async def _isolation(suite: _Suite) -> Sequence[Check]:
    host = suite.host
    neighbour = suite.workspace()
    spec = suite.python(hostile.ESCAPES)
    spec = replace(spec, env={**spec.env, "GIVEN": "yes"})
    facts = {
        "secret": host.secret, "variables": [*_VARIABLES, *spec.env], "port": host.port, "abstract": host.abstract,
        "hidden": [str(host.hidden_file), str(neighbour), str(suite.scratch)], "hidden_socket": str(host.hidden_socket),
        "platform_pid": os.getpid(), "host_name": socket.gethostname(),
    }  # fmt: skip
    ended = await suite.sandbox.run(spec, json.dumps(facts).encode())
    if ended.exit_code != 0:
        return (Check("isolation", False, _said(ended)),)
    return [Check(f"closed: {name}", not got, got) for name, got in json.loads(ended.stdout).items()]


async def _gateway(suite: _Suite) -> Sequence[Check]:
    host = suite.host
    spec = replace(suite.python(hostile.GATEWAY), network=Network.GATEWAY, gateway=host.gateway)
    facts = {"socket": GATEWAY_SOCKET, "port": host.port, "hidden_socket": str(host.hidden_socket)}
    ended = await suite.sandbox.run(spec, json.dumps(facts).encode())
    if ended.exit_code != 0:
        return (Check("gateway", False, _said(ended)),)
    found = json.loads(ended.stdout)
    expected = {
        "unix": "heard hello", "tcp": "heard hello", "host port": "ConnectionRefusedError", "metadata": "OSError",
        "real socket": "FileNotFoundError", "port taken": "",
    }  # fmt: skip
    return [
        Check(f"gateway: {name}", found.get(name) == wanted, f"got {found.get(name)!r}, expected {wanted!r}")
        for name, wanted in expected.items()
    ]


async def _processes(suite: _Suite) -> Sequence[Check]:
    ended = await suite.sandbox.run(suite.python(hostile.FORK_BOMB))
    count = int(ended.stdout or b"0")
    after = await suite.sandbox.run(suite.spec("true"))
    passed = 0 < count < _LIMITS.processes and after.exit_code == 0
    return (Check("limit: processes", passed, f"{count} started; {_said(ended)}"),)


async def _memory(suite: _Suite) -> Sequence[Check]:
    limits = replace(_LIMITS, memory_mb=128)
    alone = await suite.sandbox.run(suite.python(hostile.MEMORY, "private", "512", limits=limits))
    many = await suite.sandbox.run(suite.python(hostile.MEMORY, "shared", "48", "6", limits=limits))
    return (
        Check("limit: memory of one process", alone.exit_code == 9 or alone.reason is EndReason.MEMORY, _said(alone)),
        Check("limit: memory of all together", many.reason is EndReason.MEMORY, _said(many)),
    )


async def _disk(suite: _Suite) -> Sequence[Check]:
    checks = []
    for kind in ("plain", "locked", "deep", "many"):
        limits = replace(_LIMITS, disk_mb=16, disk_files=2000)
        ended = await suite.sandbox.run(suite.python(hostile.DISK, kind, limits=limits))
        checks.append(Check(f"limit: disk, {kind}", ended.reason is EndReason.DISK, _said(ended)))
    limits = replace(_LIMITS, file_size_mb=1)
    ended = await suite.sandbox.run(suite.spec("dd", "if=/dev/zero", "of=big", "bs=65536", "count=64", limits=limits))
    size = (suite.scratch / f"workspace-{suite.count}" / "big").stat().st_size
    checks.append(Check("limit: size of a file", size <= 1024 * 1024 and ended.exit_code != 0, _said(ended)))
    return checks


async def _output(suite: _Suite) -> Sequence[Check]:
    limits = replace(_LIMITS, output_bytes=100_000)
    ended = await suite.sandbox.run(suite.spec("yes", limits=limits))
    passed = ended.reason is EndReason.OUTPUT and ended.truncated and len(ended.stdout) == limits.output_bytes
    return (Check("limit: output", passed, f"{len(ended.stdout)} bytes; {_said(replace(ended, stdout=b''))}"),)


async def _time(suite: _Suite) -> Sequence[Check]:
    limits = replace(_LIMITS, timeout_seconds=0.7)
    started = time.monotonic()
    ended = await suite.sandbox.run(suite.spec("sh", "-c", "trap '' TERM HUP; while :; do :; done", limits=limits))
    took = time.monotonic() - started
    return (Check("limit: time", ended.reason is EndReason.TIMED_OUT and took < 5, f"{took:.1f} s; {_said(ended)}"),)


async def _daemon(suite: _Suite) -> Sequence[Check]:
    spec = suite.python(hostile.DAEMON)
    started = time.monotonic()
    ended = await suite.sandbox.run(spec)
    took = time.monotonic() - started
    size = (spec.workspace / "alive").stat().st_size
    await asyncio.sleep(0.2)
    grown = (spec.workspace / "alive").stat().st_size - size
    passed = ended.reason is EndReason.EXITED and took < 10 and grown == 0
    return (Check("end: nothing is left running", passed, f"{took:.1f} s, {grown} bytes later; {_said(ended)}"),)


async def _results(suite: _Suite) -> Sequence[Check]:
    async def run(script: str, stdin: bytes = b"") -> Ended:
        return await suite.sandbox.run(suite.spec("sh", "-c", script), stdin)

    data = bytes(range(256)) * 1000
    echoed = await run("cat", data)
    code = await run("echo out; echo err >&2; exit 7")
    signalled = await run("kill -TERM $$")
    held = await run("sleep 60 & echo done")
    unread = await run("exec <&-; echo ok", data)
    missing = await suite.sandbox.run(suite.spec("/no/such/program"))
    return (
        Check("result: bytes go through unchanged", echoed.stdout == data and echoed.exit_code == 0, _said(code)),
        Check("result: exit code and streams", (code.exit_code, code.stdout, code.stderr) == (7, b"out\n", b"err\n")),
        Check("result: signal", signalled.exit_code == 143, _said(signalled)),
        Check("result: a held pipe delays nothing", held.duration_seconds < 5 and held.stdout == b"done\n"),
        Check("result: input may stay unread", unread.stdout == b"ok\n", _said(unread)),
        Check("result: a missing program", missing.exit_code not in (0, None), _said(missing)),
    )


async def _folders(suite: _Suite) -> Sequence[Check]:
    """What a program left behind goes, and nothing that its links point to."""
    kept = suite.scratch / "kept"
    kept.mkdir()
    (kept / "file").write_text("kept")
    script = (
        f"ln -s {kept} link; mkdir -p a/b; ln -s {kept}/file a/b/link; touch a/b/f; chmod 000 a/b/f a/b a;"
        " mkfifo pipe; i=0; while [ $i -lt 300 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done"
    )
    spec = suite.spec("sh", "-c", script)
    ended = await suite.sandbox.run(spec)
    suite.sandbox.discard(spec.workspace)
    suite.sandbox.discard(spec.workspace)
    gone = spec.workspace.name not in os.listdir(suite.scratch)
    intact = (kept / "file").read_text() == "kept" and kept.stat().st_uid == os.geteuid()
    shutil.rmtree(kept)
    return (Check("discard: all of it and nothing else", gone and intact and ended.exit_code == 0, _said(ended)),)


_LIMIT_CHECKS = (_processes, _memory, _disk, _output, _time, _daemon)
_RESULT_CHECKS = (_results, _folders)


def _said(ended: Ended) -> str:
    output = (ended.stdout[-200:] + ended.stderr[-200:]).decode(errors="replace")
    return f"{ended.reason}, exit code {ended.exit_code}, {output!r}"
