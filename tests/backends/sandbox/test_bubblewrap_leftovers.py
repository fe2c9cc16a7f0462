"""What a platform leaves that is killed while it starts programs: nothing, once the next one has begun."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox

PLATFORM = """
import asyncio, sys
from pathlib import Path
from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
from greylag.adapters.sandbox.port import SandboxSpec
from greylag.adapters.sandbox.toolchain import find_toolchain

async def main(folder):
    sandbox = BubblewrapSandbox(folder / "state")
    sandbox.adopt(folder / "workspace")
    spec = SandboxSpec(("sleep", "60"), folder / "workspace", find_toolchain().mounts)
    await sandbox.probe()
    print("starts", flush=True)
    await asyncio.gather(*(sandbox.run(spec) for _ in range(12)))

asyncio.run(main(Path(sys.argv[1])))
"""


def _title(state: Path) -> bytes:
    return f"greylag-sandbox-{hashlib.sha256(os.fsencode(state)).hexdigest()[:16]}".encode()


def _alive(state: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().split(b"\0", 1)[0] == _title(state):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("milliseconds", [0, 15, 40, 100])
def test_the_next_platform_ends_what_was_being_started(tmp_path: Path, milliseconds: int) -> None:
    (tmp_path / "workspace").mkdir()
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    platform = subprocess.Popen([sys.executable, "-c", PLATFORM, tmp_path], env=env, stdout=subprocess.PIPE)
    assert platform.stdout is not None
    assert platform.stdout.readline() == b"starts\n"
    until = time.monotonic() + 10
    while not _alive(tmp_path / "state"):
        assert time.monotonic() < until, "nothing was started, so nothing is shown here"
    time.sleep(milliseconds / 1000)
    platform.kill()
    platform.communicate()
    until = time.monotonic() + 5
    sandbox = BubblewrapSandbox(tmp_path / "state")
    while sandbox.end_leftovers() or _alive(tmp_path / "state"):
        assert time.monotonic() < until, _alive(tmp_path / "state")
        time.sleep(0.02)


def test_only_its_own_are_ended(tmp_path: Path) -> None:
    mine, other = (
        subprocess.Popen([_title(tmp_path / name), "60"], executable="/bin/sleep") for name in ("mine", "other")
    )
    try:
        assert BubblewrapSandbox(tmp_path / "mine").end_leftovers() == 1
        assert mine.wait(5) != 0
        assert other.poll() is None
    finally:
        for each in (mine, other):
            each.kill()
            each.wait()
