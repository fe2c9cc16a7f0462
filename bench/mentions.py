"""A hundred mentions at once: how long until people see that they were heard, and until they are answered."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.measuring import Figure, Machine
from bench.running import running
from greylag.app.fake_slack import Server, Workspace

_ROOT = Path(__file__).parents[1]
_CHANNELS = 20
_MENTIONS, _QUICK_MENTIONS = 100, 20
_ROUNDS, _QUICK_ROUNDS = 5, 2
_PEOPLE = tuple(f"person{number}" for number in range(10))
_BURST_SECONDS = 180.0
#: What people are promised: the first sign of life within so many seconds, for 99 of 100.
_PROMISE_SECONDS = 3.0
_SETTINGS = """
[model]
kind = "none"

[chat.slack]
mode = "socket"
api_url = "{api}"
stand_in = true
"""
_FILES = {"greenhouse": "def water(litres):\n    return litres\n", "bakery": "def bake(loaves):\n    return loaves\n"}


@dataclass
class Burst:
    """What became of mentions that were said at once: seconds each until its reaction and its first answer."""

    signs: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)


def measure_mentions(machine: Machine, quick: bool) -> list[Figure]:
    """Measure the platform and the bare app in turns, each in its own workspace; the first round is thrown away."""
    count, rounds = (_QUICK_MENTIONS, _QUICK_ROUNDS) if quick else (_MENTIONS, _ROUNDS)
    ours: list[Burst] = []
    bare: list[Burst] = []
    with tempfile.TemporaryDirectory(prefix="glbench-") as name, _served() as one, _served() as two:
        folder = Path(name)
        with _platform(folder, one) as settled, _bare_app(folder, two):
            for number in range(rounds + 1):
                machine.look()
                for subject in (0, 1) if number % 2 else (1, 0):
                    if subject == 0:
                        ours.append(burst(one.workspace, count, number))
                        settled()
                    else:
                        bare.append(burst(two.workspace, count, number))
    return _figures(ours[1:], bare[1:], count)


def _figures(ours: list[Burst], bare: list[Burst], count: int) -> list[Figure]:
    figures = []
    for what, pick in (("first sign of life", _signs), ("first answer", _answers)):
        for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            limit = _PROMISE_SECONDS if (what, name) == ("first sign of life", "p99") else None
            figures.append(
                Figure(
                    f"{count} mentions, {what}, {name}", "s", tuple(quantile(pick(each), share) for each in ours),
                    "a bare Bolt app", tuple(quantile(pick(each), share) for each in bare), limit,
                    note=f"from the moment each stands in one of {_CHANNELS} channels, over Socket Mode",
                )
            )  # fmt: skip
    return figures


def _signs(made: Burst) -> list[float]:
    return made.signs


def _answers(made: Burst) -> list[float]:
    return made.answers


def quantile(values: list[float], share: float) -> float:
    """Return the smallest of ``values`` that at least ``share`` of them don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def burst(workspace: Workspace, count: int, number: int) -> Burst:
    """Say ``count`` mentions at once and wait until each has its reaction and its answer."""
    reacted: dict[str, float] = {}
    said: dict[str, float] = {}
    whole = threading.Event()

    def look() -> None:
        """Whoever changed something holds no lock of ours: what is read here is what stands there now."""
        now = workspace.clock()
        for ts in list(said):
            if ts not in reacted and workspace.world.messages[ts].reactions:
                reacted[ts] = now
        if len(reacted) == count:
            whole.set()

    end = workspace.watch(look)
    try:
        for one in range(count):
            text = f"@greylag the export of page {number}.{one} shows the wrong date, fix it"
            ts = workspace.say(_PEOPLE[one % len(_PEOPLE)], f"room{one % _CHANNELS}", text)
            said[ts] = float(ts)
        if not whole.wait(_BURST_SECONDS):
            raise RuntimeError(f"{count - len(reacted)} of {count} mentions got no sign of life")
        answered = workspace.wait(lambda: _answered(workspace, said), _BURST_SECONDS)
    finally:
        end()
    return Burst([reacted[ts] - at for ts, at in said.items()], [answered[ts] - at for ts, at in said.items()])


def _answered(workspace: Workspace, said: dict[str, float]) -> dict[str, float] | None:
    """Return when each was first answered, None while one is not."""
    first: dict[str, float] = {}
    for each in workspace.messages():
        if each.user == workspace.bot.id and each.thread_ts in said:
            first.setdefault(each.thread_ts, float(each.ts))
    return first if len(first) == len(said) else None


@contextmanager
def _served() -> Iterator[Server]:
    workspace = Workspace(_PEOPLE, [f"room{number}" for number in range(_CHANNELS)])
    with Server(workspace) as server:
        yield server


@contextmanager
def _platform(folder: Path, server: Server) -> Iterator[Callable[[], None]]:
    """Have a platform in the workspace; give what waits until it has said all it has to say."""
    workspace = server.workspace
    secrets = {"GREYLAG_SLACK_BOT_TOKEN": workspace.bot_token, "GREYLAG_SLACK_APP_TOKEN": workspace.app_token}
    with running(folder / "home", _SETTINGS.format(api=server.api), secrets) as client:
        _post(client, "/people", {"name": "ada", "roles": ["requester", "operator"]})
        for name, content in _FILES.items():
            (folder / name).mkdir()
            (folder / name / "main.py").write_text(content)
            _git_repository(folder / name)
            _post(client, "/repositories", {"name": name, "source": str(folder / name)})
        for name in _PEOPLE:
            _post(client, "/people", {"name": name, "roles": ["requester"]})
            account = {"chat": f"slack:{workspace.world.team_id}", "id": workspace.user(name).id}
            _post(client, "/people/links", {"name": name, **account})
        workspace.wait(lambda: workspace.connections > 0, 60)

        def settled() -> None:
            """Until nothing new was said for three seconds."""
            seen, since = -1, time.monotonic()
            while time.monotonic() - since < 3.0:
                if workspace.version != seen:
                    seen, since = workspace.version, time.monotonic()
                time.sleep(0.1)

        yield settled


@contextmanager
def _bare_app(folder: Path, server: Server) -> Iterator[None]:
    workspace = server.workspace
    env = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8",
        "SLACK_BOT_TOKEN": workspace.bot_token, "SLACK_APP_TOKEN": workspace.app_token,
    }  # fmt: skip
    with (folder / "bare").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(_ROOT / "bench" / "bare_bolt.py"), server.api], env=env, cwd="/",
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        workspace.wait(lambda: workspace.connections > 0, 60)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _post(client: httpx.Client, path: str, body: dict[str, object]) -> None:
    answer = client.post(path, json=body)
    assert answer.is_success, answer.text


def _git_repository(folder: Path) -> None:
    who = {f"GIT_{role}_{what}": "bench" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", **who}
    for given in (("init", "--quiet", "--initial-branch=main"), ("add", "--all"), ("commit", "--quiet", "-m", "All")):
        subprocess.run(["git", *given], cwd=folder, env=env, check=True, capture_output=True)
