"""Leads the demo's story through the HTTP API while somebody keeps killing the platform under it."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

import greylag
from greylag.app.demo.music import BUG, FOLLOW_UP
from greylag.app.example import NAME, PEOPLE, example_body, example_calls
from greylag.domain.ids import TaskId, derived_id
from tests.chaos.processes import Process, processes_of

RELEASE = TaskId(derived_id("task", "chaos", "release"))
FIX = TaskId(derived_id("task", "chaos", "fix"))
SETTINGS = """
[model]
kind = "scripted"

[server]
port = 0

[region]
name = "{region}"
worker = "{worker}"
"""
STUCK_SECONDS = 240.0
_START_SECONDS = 60.0
_DYING_SECONDS = 10.0
_ROOT = Path(greylag.__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: ``delay`` seconds after the ``nth`` event ``kind`` of ``task`` is in the log (empty: after the
    start), or, with ``site``, at that very call (see `victim.SITES`).
    """

    delay: float = 0.0
    task: str = ""
    kind: str = ""
    nth: int = 1
    site: str = ""
    when: str = "after"

    def __str__(self) -> str:
        if self.site:
            return f"{self.when} call {self.nth} of {self.site} {self.kind}".rstrip()
        name = {RELEASE: "release", FIX: "fix"}.get(TaskId(self.task), "start")
        return f"{self.delay * 1000:.0f} ms after {name} {self.kind} {self.nth}".replace("  ", " ")


class Stuck(AssertionError):
    """The story does not go on."""


@dataclass
class Victim:
    """The platform's process and what is known of it. ``folder`` holds home, journal and output."""

    folder: Path
    env: Mapping[str, str]
    url: str = ""
    process: "subprocess.Popen[bytes] | None" = None
    orphans: list[Process] = field(default_factory=list)
    failed: BaseException | None = None

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def start(self, moment: Moment | None = None) -> None:
        fuse = []
        if moment is not None and moment.site:
            fuse = [json.dumps({"site": moment.site, "when": moment.when, "kind": moment.kind, "nth": moment.nth})]
        person = self.folder / "person"
        person.mkdir(exist_ok=True)
        env = {
            "PATH": os.environ["PATH"], "HOME": str(person), "LANG": "C.UTF-8",
            "PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}", **self.env,
        }  # fmt: skip
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("victim.py")), str(self.folder), *fuse],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env, cwd="/",
            )  # fmt: skip

    def wait_ready(self) -> bool:
        """Wait until it answers; False where it died on the way."""
        assert self.process is not None
        until = time.monotonic() + _START_SECONDS
        while self.process.poll() is None:
            try:
                told = json.loads((self.home / "run" / "server.json").read_text())
            except (FileNotFoundError, ValueError):
                told = {}
            if told.get("pid") == self.process.pid:
                self.url = str(told["url"])
                return True
            if time.monotonic() > until:
                raise Stuck(f"the platform did not start in {_START_SECONDS:.0f} s")
            time.sleep(0.01)
        return False

    def kill(self) -> None:
        """SIGKILL, now; what its sandboxes still hold is noted, to be gone soon."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.buried()

    def buried(self) -> None:
        assert self.process is not None
        self.process.wait(_DYING_SECONDS)
        self.url = ""
        self.orphans += processes_of(self.home)

    def stop(self) -> int:
        """End it as a person does; return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def journal(self) -> list[dict[str, Any]]:
        """Every event once, in the order it was first told."""
        try:
            lines = (self.folder / "journal").read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for line in lines:
            told = json.loads(line)
            found.setdefault((told["task"], told["key"]), told)
        return list(found.values())


@dataclass
class Api:
    """The platform's API for a client that doesn't give up: it asks again until it is answered."""

    victim: Victim
    patience: float = STUCK_SECONDS

    def call(self, method: str, path: str, by: str, body: Any = None) -> httpx.Response:
        until = time.monotonic() + self.patience
        while True:
            if self.victim.failed is not None:
                raise Stuck(f"the platform is not kept up any more: {self.victim.failed!r}") from self.victim.failed
            url = self.victim.url
            try:
                if url:
                    token = (self.victim.home / "operator.token").read_text().strip()
                    headers = {"authorization": f"Bearer {token}", "x-greylag-as": by}
                    with httpx.Client(base_url=url, headers=headers, timeout=30.0, trust_env=False) as client:
                        return client.request(method, f"/api/v1{path}", json=body)
            except (httpx.TransportError, OSError):
                pass
            if time.monotonic() > until:
                raise Stuck(f"{method} {path} was not answered in {self.patience:.0f} s")
            time.sleep(0.03)

    def get(self, path: str, by: str = "grace") -> Any:
        answer = self.call("GET", path, by)
        assert answer.is_success, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def post(self, path: str, body: Any, by: str, also_fine: tuple[str, ...] = ()) -> Any:
        answer = self.call("POST", path, by, body)
        said = answer.json()
        assert answer.is_success or said["code"] in also_fine, f"POST {path}: {answer.status_code} {answer.text}"
        return said

    def until(self, task_id: str, done: Callable[[Any], bool]) -> Any:
        """Wait until ``done``; a task that says nothing new for too long is stuck."""
        until, sequence = time.monotonic() + self.patience, -1
        while True:
            task = self.get(f"/tasks/{task_id}")
            if done(task):
                return task
            if task["sequence"] != sequence:
                until, sequence = time.monotonic() + self.patience, task["sequence"]
            if time.monotonic() > until:
                raise Stuck(f"{task_id} is `{task['status']}` and nothing happened for {self.patience:.0f} s")
            time.sleep(0.1)


class Story:
    """What people do in the demo: a release as it stands, then a bug, a follow-up, an approval, a release."""

    def __init__(self, api: Api, rng: random.Random) -> None:
        self._api = api
        self._rng = rng

    def tell(self) -> None:
        api = self._api
        for name, roles in PEOPLE.items():
            api.post("/people", {"name": name, "roles": roles}, "grace")
        api.post("/repositories", example_body(), "grace", ("GL-FORGE-001",))
        assert [each["name"] for each in api.get("/repositories")] == [NAME]
        self._ask(RELEASE, "release", f"release {NAME} as it is")
        self._approve(RELEASE)
        self._ask(FIX, "fix", BUG)
        seen = self._in_review(FIX)["subject"]
        self._think()
        api.post(f"/tasks/{FIX}/replies", {"text": FOLLOW_UP, "message_id": "follow-up"}, "ada")
        api.until(FIX, lambda task: task["ended"] or (task["status"] == "in_review" and task["subject"] != seen))
        self._approve(FIX)

    def _ask(self, task_id: TaskId, message_id: str, text: str) -> None:
        body = {"text": text, "channel": "chaos", "message_id": message_id}
        assert self._api.post("/tasks", body, "ada")["task_id"] == task_id

    def _in_review(self, task_id: TaskId) -> Any:
        task = self._api.until(task_id, lambda task: task["ended"] or task["resting"])
        assert task["status"] == "in_review", _told(self._api, task)
        return task

    def _approve(self, task_id: TaskId) -> None:
        task = self._in_review(task_id)
        self._think()
        # An approval that was taken while its answer got lost is refused as nothing being up for review any more.
        fine = ("GL-APPROVE-002",)
        self._api.post(f"/tasks/{task_id}/approval", {"subject": task["subject"]}, "grace", fine)
        task = self._api.until(task_id, lambda task: task["ended"] and task["resting"])
        assert task["status"] == "released", _told(self._api, task)
        assert task["approved_by"] == ["grace"]

    def _think(self) -> None:
        time.sleep(self._rng.uniform(0.0, 0.6))


def exercise(api: Api) -> list[str]:
    """Call the live service as the examples' documentation says; return what it answers wrongly."""
    live = {each["environment"]: each for each in api.get(f"/releases?repository={NAME}")}
    problems = []
    for environment in ("staging", "production"):
        url = live[environment]["url"]
        if not url:
            problems.append(f"{environment} does not run: {live[environment]}")
            continue
        with httpx.Client(base_url=url, timeout=10.0, trust_env=False) as client:
            for call in example_calls("skip-fix"):
                answer = client.request(call.method, call.path, json=call.body)
                status, place, expected = call.expected["after"]
                value: Any = answer.json()
                for key in place.split("."):
                    value = value[int(key)] if isinstance(value, list) else value.get(key)
                if (answer.status_code, value) != (status, expected):
                    problems.append(f"{environment}: {call.method} {call.path} answers {answer.status_code} {value!r}")
    return problems


def _told(api: Api, task: Any) -> str:
    said = api.get(f"/tasks/{task['task_id']}/messages")
    return f"{task['status']} {task['code']} {task['outcome']}\n" + "\n".join(each["text"] for each in said[-6:])


class Killer(threading.Thread):
    """Keeps the victim alive, and kills it at each of ``moments`` in turn, until the story is told."""

    def __init__(self, victim: Victim, moments: list[Moment]) -> None:
        super().__init__(name="killer", daemon=True)
        self._victim = victim
        self._moments = moments
        self._told = threading.Event()
        self.kills: list[Moment] = []

    def run(self) -> None:
        try:
            for moment in [*self._moments, None]:
                self._victim.start(moment)
                ready = self._victim.wait_ready()
                if moment is None:
                    if not ready:
                        raise Stuck("the platform ended by itself")
                    return
                if not self._struck(moment):
                    return
                self.kills.append(moment)
        except Exception as error:  # noqa: BLE001 - handed to the thread that tells the story
            self._victim.failed = error

    def finish(self) -> None:
        """The story is told: kill no more. Raises what went wrong in the thread."""
        self._told.set()
        self.join(60)
        if self._victim.failed is not None:
            raise self._victim.failed

    def abandon(self) -> None:
        """The story can't be told: leave nothing running."""
        self._told.set()
        self.join(_START_SECONDS + _DYING_SECONDS)
        if self._victim.process is not None and self._victim.process.poll() is None:
            self._victim.kill()

    def _struck(self, moment: Moment) -> bool:
        process = self._victim.process
        assert process is not None
        begun = time.monotonic()
        while process.poll() is None:
            if self._told.is_set():
                return False
            if not moment.site and self._due(moment, begun):
                self._victim.kill()
                return True
            time.sleep(0.01)
        if process.returncode != -signal.SIGKILL or not moment.site:
            raise Stuck(f"the platform ended by itself with {process.returncode}")
        self._victim.buried()
        return True

    def _due(self, moment: Moment, begun: float) -> bool:
        since = begun
        if moment.kind:
            seen = [e["at"] for e in self._victim.journal() if (e["task"], e["kind"]) == (moment.task, moment.kind)]
            if len(seen) < moment.nth:
                return False
            since = max(begun, seen[moment.nth - 1])
        return time.monotonic() >= since + moment.delay


def run_story(folder: Path, env: Mapping[str, str], moments: list[Moment], rng: random.Random) -> tuple[Killer, Victim]:
    """Tell the story once under ``moments``; the platform still runs afterwards. Raises Stuck or AssertionError."""
    victim = Victim(folder, env)
    write_settings(victim.home)
    killer = Killer(victim, moments)
    killer.start()
    try:
        Story(Api(victim), rng).tell()
        killer.finish()
    except BaseException:
        killer.abandon()
        raise
    return killer, victim


def write_settings(home: Path, region: str = "local", worker: str = "worker-1", more: str = "") -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / "greylag.toml").write_text(SETTINGS.format(region=region, worker=worker) + more)


#: Seconds at which each event stood in the log when the story was told undisturbed, on a machine with two busy cores.
Timeline = list[tuple[float, str, str, int]]


def timeline_of(journal: list[dict[str, Any]], begun: float) -> Timeline:
    """Return (seconds, task, kind, which of that kind) of each event but model turns, which a retry multiplies."""
    counts: Counter[tuple[str, str]] = Counter()
    found: Timeline = []
    for told in journal:
        if told["kind"] != "TurnSettled":
            counts[told["task"], told["kind"]] += 1
            place = counts[told["task"], told["kind"]]
            found.append((told["at"] - begun, told["task"], told["kind"], place))
    return found


_CALLS = (
    ("say", 12), ("ledger", 60), ("vault", 25), ("checkout", 3), ("capture", 4), ("sandbox", 4), ("push", 1),
    ("merge", 1), ("deploy", 2), ("live", 2), ("start", 1), ("wake", 2), ("session", 1), ("create", 1),
    ("repository", 1),
)  # fmt: skip


def draw(rng: random.Random, timeline: Timeline, count: int) -> list[Moment]:
    """Draw ``count`` moments for one flow: uniform over its length, near an event, and at exact calls."""
    placed: list[tuple[float, Moment]] = []
    length = timeline[-1][0]
    for _ in range(count):
        sort = rng.choice(("uniform", "uniform", "event", "call", "call"))
        at = rng.uniform(0.0, length)
        if sort == "uniform":
            before = [each for each in timeline if each[0] <= at]
            anchor = before[-1] if before else (0.0, "", "", 1)
            placed.append((at, Moment(at - anchor[0], *anchor[1:])))
        elif sort == "event":
            anchor = rng.choice(timeline)
            delay = rng.choice((rng.uniform(0.0, 0.05), rng.uniform(0.0, 0.5)))
            placed.append((anchor[0] + delay, Moment(delay, *anchor[1:])))
        elif rng.random() < 0.5:
            anchor = rng.choice(timeline)
            placed.append((anchor[0], Moment(0.0, "", anchor[2], 1, "event", rng.choice(("before", "after")))))
        else:
            site, most = rng.choice(_CALLS)
            when = rng.choice(("before", "after"))
            placed.append((at, Moment(0.0, "", "", rng.randint(1, most), site, when)))
    return [moment for _, moment in sorted(placed, key=lambda pair: pair[0])]


def shown(moments: list[Moment]) -> str:
    return json.dumps([asdict(moment) for moment in moments])
