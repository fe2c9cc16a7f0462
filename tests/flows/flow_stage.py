"""A whole platform for tests: the real program in a process of its own, and repositories to work on."""

import itertools
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import httpx

import greylag
from greylag.adapters.vault.backends.local import LocalVault
from greylag.app.bootstrap import open_stores
from greylag.app.settings import load_settings
from greylag.domain.references import Reference

RUN = "from greylag.app.cli.main import run; run()"
PEOPLE = {
    "ada": ["requester"],
    "grace": ["requester", "reviewer", "operator"],
    "lin": ["reviewer"],
    "otto": ["auditor"],
}
GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Somebody Else", "GIT_AUTHOR_EMAIL": "else@example.org",
    "GIT_COMMITTER_NAME": "Somebody Else", "GIT_COMMITTER_EMAIL": "else@example.org",
}  # fmt: skip
_SOURCE = str(Path(greylag.__file__).parents[1])
_REST_SECONDS = 120.0
_NUMBERS = itertools.count(1)

CALC = {
    "calc.py": "def add(a, b):\n    return a - b\n\n\ndef double(a):\n    return add(a, a)\n",
    "test_calc.py": "from calc import add, double\n\n\ndef test_add():\n    assert add(2, 2) == 4\n\n\n"
    "def test_double():\n    assert double(4) == 8\n",
}  # fmt: skip
MEND = ("sed", "-i", "s/a - b/a + b/", "calc.py")


def environment(home: Path, **more: str) -> dict[str, str]:
    """A small environment as a person's shell has it, without anything of the one the tests run in."""
    person = home.parent / f"{home.name}-person"
    person.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(person), "PYTHONPATH": _SOURCE, "LANG": "C.UTF-8", **more}


def git(folder: Path, *arguments: str, **more: str) -> str:
    """Run git in ``folder`` with nothing of this machine's configuration."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **GIT, **more},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def make_repository(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Make a git repository with one commit of ``files``."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "All there is")
    return folder


def script(*lines: str) -> list[str]:
    """An agent that is a shell script."""
    return ["sh", "-euc", "\n".join(lines)]


@dataclass
class Answer:
    """How a command of the real command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return httpx.Response(200, content=self.out).json()


def cli(home: Path, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Answer:
    """Run the real command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, "--home", str(home), *arguments], env=env or environment(home), cwd=cwd or "/",
        capture_output=True, text=True, timeout=180, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return Answer(done.returncode, done.stdout, done.stderr)


@dataclass
class Stage:
    """A running platform, its people, and short ways to do what they do."""

    home: Path
    url: str
    env: dict[str, str]
    process: subprocess.Popen[str]
    lines: "queue.Queue[str]"
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.operator = (self.home / "operator.token").read_text().strip()
        self._client = httpx.Client(base_url=self.url, timeout=60.0, trust_env=False)

    def call(
        self,
        method: str,
        path: str,
        *,
        by: str = "ada",
        token: str = "",
        query: Mapping[str, Any] | None = None,
        json: Any = None,
    ) -> httpx.Response:
        """Call the API as ``by``: through the operator's token, or with a token of their own."""
        headers = {"authorization": f"Bearer {token or self.operator}"}
        if not token:
            headers["x-greylag-as"] = by
        return self._client.request(method, f"/api/v1{path}", headers=headers, params=query, json=json)

    def get(self, path: str, *, by: str = "ada", **query: Any) -> Any:
        answer = self.call("GET", path, by=by, query=query)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, body: Any, *, by: str = "ada") -> Any:
        answer = self.call("POST", path, by=by, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def refused(self, path: str, body: Any, *, by: str = "ada") -> dict[str, str]:
        """Post what must be refused and return the error, which has a code and a next step."""
        answer = self.call("POST", path, by=by, json=body)
        assert answer.is_error, answer.text
        problem = answer.json()
        assert problem["code"].startswith("GL-"), problem
        assert problem["message"], problem
        assert problem["remedy"], problem
        return {**problem, "status": answer.status_code}

    def content(self, task_id: str, kind: str, *, by: str = "grace") -> bytes:
        answer = self.call("GET", f"/tasks/{task_id}/content/{kind}", by=by, query={"reason": "test"})
        assert answer.is_success, answer.text
        return answer.content

    def add(self, name: str, source: Path | str, **settings: Any) -> str:
        self.post("/repositories", {"name": name, "source": str(source), **settings}, by="grace")
        return name

    def calc(self, folder: Path, files: Mapping[str, str] = CALC, **settings: Any) -> str:
        """Bring in a small repository with a bug, under a name of its own."""
        name = f"calc{next(_NUMBERS)}"
        return self.add(name, make_repository(folder / name, files), **settings)

    def start(self, text: str, repository: str | None = None, command: Sequence[str] = MEND, **more: Any) -> str:
        body = {"text": text, "repository": repository, "agent": "command", "command": list(command), **more}
        return str(self.post("/tasks", body)["task_id"])

    def ask(self, text: str, repository: str | None = None, command: Sequence[str] = MEND, **more: Any) -> Any:
        """Ask for something and wait until it rests."""
        return self.rest(self.start(text, repository, command, **more))

    def rest(self, task_id: str, seconds: float = _REST_SECONDS) -> Any:
        """Wait until the task needs a person or has ended."""
        return self.until(task_id, lambda task: bool(task["resting"]), seconds)

    def until(self, task_id: str, done: Any, seconds: float = _REST_SECONDS) -> Any:
        end = time.monotonic() + seconds
        while True:
            task = self.get(f"/tasks/{task_id}")
            if done(task):
                return task
            if time.monotonic() > end:
                raise AssertionError(f"{task['status']} after {seconds} s:\n{self.thread(task_id)}")
            time.sleep(0.1)

    def reply(self, task_id: str, text: str, *, by: str = "ada") -> Any:
        self.post(f"/tasks/{task_id}/replies", {"text": text}, by=by)
        return self.rest(task_id)

    def approve(self, task: Any, *, by: str = "grace") -> Any:
        self.post(f"/tasks/{task['task_id']}/approval", {"subject": task["subject"]}, by=by)
        return self.rest(task["task_id"])

    def messages(self, task_id: str) -> list[dict[str, Any]]:
        return list(self.get(f"/tasks/{task_id}/messages"))

    def thread(self, task_id: str) -> str:
        """Everything that was said in a task's thread."""
        return "\n".join(f"[{said['kind']}] {said['author']}: {said['text']}" for said in self.messages(task_id))

    def kinds(self, task_id: str) -> list[str]:
        """The names of a task's events in order."""
        return [each["kind"] for each in self.get(f"/tasks/{task_id}/events")]

    def ledger(self) -> list[dict[str, Any]]:
        """Every entry of the ledger."""
        import json  # noqa: PLC0415 - the name is a parameter above

        entries: list[dict[str, Any]] = []
        while page := self.get("/ledger/entries", start=len(entries), limit=1000):
            entries += [json.loads(each["body"]) for each in page]
        return entries

    def clone(self, name: str, folder: Path, *, by: str = "ada") -> Path:
        """Clone from the platform's forge over HTTP with a person's token."""
        port = self.url.rsplit(":", 1)[1]
        git(
            folder.parent, "clone", "--quiet", f"http://{by}:{self.tokens[by]}@127.0.0.1:{port}/git/{name}", folder.name
        )
        return folder

    def until_taken(self) -> None:
        """Wait as long as a running platform may need to take changed facts."""
        time.sleep(1.5)

    def cli(self, *arguments: str) -> Answer:
        return cli(self.home, *arguments, env=self.env)

    def stop(self) -> None:
        """Stop the platform as a person does, and wait for its end."""
        self._client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


def start_stage(
    home: Path,
    settings: str = "",
    env: Mapping[str, str] | None = None,
    tokens: dict[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
    people: Mapping[str, Sequence[str]] = PEOPLE,
) -> Stage:
    """Start `greylag up` on ``home`` with the settings file ``settings``; without ``tokens`` the ``people`` are made.

    ``facts`` are fact files of the operator's own, by name.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in (facts or {}).items():
        (home / "facts").mkdir(mode=0o700, exist_ok=True)
        (home / "facts" / f"{name}.toml").write_text(text)
    if settings:
        (home / "greylag.toml").write_text(settings)
    given = environment(home, **(env or {}))
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "--home", str(home), "up", "--port", "0"], env=given, cwd="/", text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_collect, args=(process, lines), daemon=True).start()
    seen = []
    end = time.monotonic() + 90
    while not seen or "answers at" not in seen[-1]:
        try:
            seen.append(lines.get(timeout=0.5))
        except queue.Empty:
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                raise AssertionError("the platform did not start:\n" + "".join(seen)) from None
    stage = Stage(home, seen[-1].split("answers at ", 1)[1].split()[0], given, process, lines, tokens or {})
    if not tokens:
        for name, roles in people.items():
            made = stage.call(
                "POST", "/people", json={"name": name, "roles": list(roles), "email": f"{name}@example.org"}
            )
            stage.tokens[name] = made.json()["token"]
    return stage


def contents(home: Path) -> Iterator[tuple[str, Reference, bytes]]:
    """Every object that the event logs and threads of a SQLite home name, in plain, with the task it belongs to."""
    control, ledger, _ = open_stores(load_settings(home, {}), home)
    vault = LocalVault(home / "cells" / "local" / "vault", "local")
    try:
        for task in control.events.tasks(limit=500):
            values = [
                getattr(record.event, each.name)
                for record in control.events.read(task.task_id)
                for each in fields(record.event)
            ]
            values += [message.body for message in control.threads.messages(task.task_id)]
            values += [each for value in values if isinstance(value, tuple) for each in value]
            for reference in {value for value in values if isinstance(value, Reference)}:
                yield task.task_id, reference, vault.get(reference, subject=task.task_id)
    finally:
        ledger.close()
        control.close()


def _collect(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    process.stdout.close()


@contextmanager
def staged(
    settings: str = "",
    env: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
    people: Mapping[str, Sequence[str]] = PEOPLE,
) -> Iterator[Stage]:
    """A platform in a temporary folder that is taken down at the end."""
    with tempfile.TemporaryDirectory(prefix="glflow-", ignore_cleanup_errors=True) as folder:
        stage = start_stage(Path(folder) / "home", settings, env, facts=facts, people=people)
        try:
            yield stage
        finally:
            stage.stop()
