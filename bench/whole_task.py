"""A whole task: what the platform takes from the request to the card, beside the bare sum of the same parts.

The parts are those the platform also runs, by the same toolchain: clone, the harness, one run of the tests, the build.
Once they are run as bare processes, once each in the platform's sandbox. What is left over is the platform itself:
decisions, ledger, vault, durable steps, capture, fresh checkouts, evidence.
"""

import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from bench.measuring import Figure, Machine, rounds
from bench.running import running
from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
from greylag.adapters.sandbox.port import SandboxSpec
from greylag.adapters.sandbox.toolchain import Toolchain, find_toolchain
from greylag.app.install.tools import find_venv
from greylag.app.settings import Settings

_ROOT = Path(__file__).parents[1]
_FILES = {
    "pyproject.toml": '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
    '[project]\nname = "parcel"\nversion = "1.0"\n\n[tool.hatch.build]\npackages = ["parcel"]\n',
    "parcel/__init__.py": '"""Weighs parcels."""\n\n\ndef weight(*parts):\n    return sum(parts) - 1\n',
    "tests/test_parcel.py": "import time\n\nfrom parcel import weight\n\n\ndef test_weight():\n    time.sleep(1)\n"
    "    assert weight(1, 2) == 3\n",
}  # fmt: skip
_AGENT = ("sed", "-i", "s/sum(parts) - 1/sum(parts)/", "parcel/__init__.py")
_TESTS = ("python3", "-m", "pytest", "-q", "-p", "no:cacheprovider")
_BUILD = ("python3", "-m", "build", "--wheel", "--no-isolation", "--outdir", ".out", ".")


def measure(machine: Machine, quick: bool) -> list[Figure]:
    toolchain = find_toolchain(find_venv(Settings()))
    with tempfile.TemporaryDirectory(prefix="glbench-") as name:
        folder = Path(name)
        origin = _origin(folder / "origin")
        numbers = itertools.count(1)
        with _platform(folder / "home") as platform, _parts(folder, origin, toolchain) as parts:
            platform.post("/repositories", {"name": "parcel", "source": str(origin)})
            waits: list[float] = []
            taken = rounds(
                machine,
                2 if quick else 9,
                {
                    "platform": lambda: platform.task(next(numbers), waits),
                    "bare": lambda: parts.bare(next(numbers)),
                    "sandboxed": lambda: parts.sandboxed(next(numbers)),
                },
            )
    note = "request to card, with one gate and one build; the rest of the ledger, vault and evidence work is in it"
    return [
        Figure("whole task", "s", taken["platform"], "its parts, bare", taken["bare"], note=note),
        Figure("whole task", "s", taken["platform"], "its parts, each in the sandbox", taken["sandboxed"], note=note),
        Figure("asked until the workflow begins", "s", tuple(waits[1:]), "none", (0.0,)),
    ]


@dataclass
class _Platform:
    client: httpx.Client

    def post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def task(self, number: int, waits: list[float]) -> float:
        """Ask and wait for the card; return the seconds between them by the event log's own clock."""
        text = f"fix the weight of parcels, {number}"
        made = self.post("/tasks", {"text": text, "repository": "parcel", "agent": "command", "command": _AGENT})
        while True:
            task = self.client.get(f"/tasks/{made['task_id']}").json()
            if task["resting"]:
                break
            time.sleep(0.05)
        assert task["status"] == "in_review", task
        events = self.client.get(f"/tasks/{made['task_id']}/events").json()
        at = {event["kind"]: datetime.fromisoformat(event["at"]) for event in reversed(events)}
        waits.append((at["TaskAccepted"] - at["TaskReceived"]).total_seconds())
        self.post(f"/tasks/{made['task_id']}/stop", {"reason": "measured"})
        while not self.client.get(f"/tasks/{made['task_id']}").json()["ended"]:
            time.sleep(0.05)
        return (at["ReviewRequested"] - at["TaskReceived"]).total_seconds()


@contextmanager
def _platform(home: Path) -> Iterator[_Platform]:
    with running(home) as client:
        platform = _Platform(client)
        platform.post("/people", {"name": "ada", "roles": ["requester", "operator"]})
        yield platform


@dataclass
class _Parts:
    """The parts of the task, run directly one after the other."""

    folder: Path
    origin: Path
    toolchain: Toolchain
    sandbox: BubblewrapSandbox
    runner: asyncio.Runner

    def bare(self, number: int) -> float:
        """As processes of this machine, by the same toolchain, with a small environment."""
        env = {"PATH": self.toolchain.env["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"}

        def run(command: tuple[str, ...], workspace: Path) -> None:
            subprocess.run(command, cwd=workspace, env=env, check=True, capture_output=True, stdin=subprocess.DEVNULL)

        return self._timed(number, run, owned=False)

    def sandboxed(self, number: int) -> float:
        """Each in the platform's sandbox, with the mounts and the environment the platform gives."""

        def run(command: tuple[str, ...], workspace: Path) -> None:
            spec = SandboxSpec(command, workspace, self.toolchain.mounts, self.toolchain.env)
            ended = self.runner.run(self.sandbox.run(spec))
            assert ended.exit_code == 0, ended

        return self._timed(number, run, owned=True)

    def _timed(self, number: int, run: Callable[[tuple[str, ...], Path], None], *, owned: bool) -> float:
        workspace = self.folder / f"parts-{number}"
        begun = time.perf_counter()
        _git(self.folder, "clone", "--quiet", "--no-hardlinks", str(self.origin), str(workspace))
        if owned:
            self.sandbox.adopt(workspace)
        for command in (_AGENT, _TESTS, _BUILD):
            run(command, workspace)
        seconds = time.perf_counter() - begun
        self.sandbox.discard(workspace)
        return seconds


@contextmanager
def _parts(folder: Path, origin: Path, toolchain: Toolchain) -> Iterator[_Parts]:
    with asyncio.Runner() as runner:
        yield _Parts(folder, origin, toolchain, BubblewrapSandbox(folder / "sandbox"), runner)


def _origin(folder: Path) -> Path:
    for name, content in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "-m", "All there is")
    return folder


def _git(folder: Path, *arguments: str) -> None:
    who = {f"GIT_{role}_{what}": "bench" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    git = shutil.which("git") or "git"
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", **who}
    subprocess.run([git, *arguments], cwd=folder, env=env, check=True, capture_output=True)
