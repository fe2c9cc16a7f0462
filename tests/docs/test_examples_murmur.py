"""Replays every scene of every cassette on a copy of `examples/murmur`, and calls the service before and after."""

import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from greylag.domain.labels import LEVELS
from greylag.domain.repository import Environment, Repository

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TOOLS = {"read", "edit", "write", "shell", "verify"}
NEEDED = ("httpx", "pytest", "starlette", "uvicorn")

SKIP = "the skip button fires twice on a slow network, fix it"
DEBOUNCE = "make the debounce 300 ms"
REQUESTS = {
    "skip-fix": SKIP,
    "about-this-song": "add About This Song: a card of context for a track",
    "prompted-playlists": "add Prompted Playlists: a playlist from a sentence",
    "page-match": "add Page Match: from a page of a book to the second in the audiobook",
}
FEATURES = tuple(REQUESTS)[1:]
ADVICE = "You work on a repository. Read before you edit; call `verify` when you think that you are done."


def prompt(request: str, round_number: int = 1, attempt: int = 1, follow_up: str = "", report: str = "") -> str:
    """Return a first message as the platform writes it."""
    parts = [ADVICE, f"# Request (round {round_number}, attempt {attempt})\n{request}"]
    if follow_up:
        parts.append(f"## Follow-up\n{follow_up}")
    if report:
        parts.append(f"## What the verifiers said about your last change\n{report}")
    return "\n\n".join([*parts, "Answer with a short summary when done."])


@functools.cache
def python() -> str:
    """Return an interpreter that can run murmur and its tests."""
    if all(importlib.util.find_spec(name) for name in NEEDED):
        return sys.executable
    toolchain = ROOT / ".toolchain" / "bin" / "python"
    if toolchain.exists():
        return str(toolchain)
    pytest.skip(f"NOT REPLAYED: no interpreter here has {', '.join(NEEDED)}; install the `toolchain` group")


@pytest.fixture(scope="session")
def programs(tmp_path_factory) -> str:
    """Return a search path on which `python` is `python()`."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "python").write_text(f'#!/bin/sh\nexec "{python()}" "$@"\n')
    (folder / "python").chmod(0o755)
    return f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin"


class Workspace:
    """A copy of murmur in which scenes are played, under the rules that the harness has for its tools."""

    def __init__(self, folder: Path, programs: str) -> None:
        self.folder = folder
        self.verified: bool | None = None  # what the verifiers said last
        self._env = {
            "PATH": programs,
            "HOME": str(folder.parent),
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        ignored = shutil.ignore_patterns("__pycache__", ".*_cache", "dist")
        shutil.copytree(EXAMPLES / "murmur", folder, ignore=ignored)

    def play(self, message: str) -> str:
        """Play the scene that ``message`` chooses; return its last words."""
        self.verified = None
        turns = choose(message)["turns"]
        read: set[str] = set()
        newest = ""
        for number, turn in enumerate(turns):
            assert re.search(turn.get("expect", ""), newest), (number, turn["expect"], newest[-2000:])
            if "tools" not in turn:
                assert number == len(turns) - 1, "words without tools end a conversation"
                return turn["say"]
            for tool in turn["tools"]:
                newest = self._use(tool, read)
        raise AssertionError("a scene ends in words without tools")

    def write(self, message: str) -> None:
        """Make the edits of the scene that ``message`` chooses, and run nothing."""
        read: set[str] = set()
        for tool in (tool for turn in choose(message)["turns"] for tool in turn.get("tools", ())):
            if tool["name"] not in ("shell", "verify"):
                self._use(tool, read)

    def verify(self) -> tuple[bool, str]:
        """Run the whole suite."""
        ended = self._shell("python -m pytest -q")
        assert ended.returncode in (0, 1), ended.stdout + ended.stderr
        self.verified = ended.returncode == 0
        return self.verified, ended.stdout

    def _use(self, tool: dict[str, str], read: set[str]) -> str:
        match tool["name"]:
            case "shell":
                ended = self._shell(tool["command"])
                return f"{ended.stdout}{ended.stderr}\nexit code {ended.returncode}"
            case "verify":
                passed, text = self.verify()
                return f"{'passed' if passed else 'failed'}: {text[-400:]}"
        path = self.folder / tool["path"]
        assert path.resolve().is_relative_to(self.folder.resolve()), tool["path"]
        if tool["name"] == "read":
            read.add(tool["path"])
            return path.read_text()
        assert tool["path"] in read or not path.exists(), f"{tool['path']} was not read before"
        if tool["name"] == "write":
            path.write_text(tool["content"])
        else:
            text = path.read_text()
            assert text.count(tool["old"]) == 1, (tool["path"], tool["old"])
            path.write_text(text.replace(tool["old"], tool["new"]))
        read.add(tool["path"])
        return "done"

    def _shell(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def serving(self) -> Iterator[httpx.Client]:
        """Start the service on a free port; yield a client for it."""
        command = [python(), "-m", "murmur", "--port", "0"]
        env = self._env | {"PYTHONPATH": str(self.folder / "src")}
        with subprocess.Popen(command, env=env, cwd=self.folder, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                told = ""
                while not (match := re.search(r"http://127\.0\.0\.1:(\d+)", told)):
                    line = process.stderr.readline()
                    assert line, f"murmur ended: {told}"
                    told += line
                with httpx.Client(base_url=f"http://127.0.0.1:{match[1]}", trust_env=False) as client:
                    yield client
            finally:
                process.kill()


def cassettes() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((EXAMPLES / "cassettes").glob("*.json"))}


def choose(message: str) -> dict[str, Any]:
    """Return the scene that ``message`` chooses, as the scripted model does."""
    chosen = [cassette for cassette in cassettes().values() if re.search(cassette["when"], message)]
    assert len(chosen) == 1, [cassette["name"] for cassette in chosen]
    return next(scene for scene in chosen[0]["scenes"] if re.search(scene["prompt"], message))


@pytest.fixture
def workspace(tmp_path, programs) -> Workspace:
    return Workspace(tmp_path / "murmur", programs)


def calls(name: str, when: str) -> list[tuple[str, str, Any, int, str, Any]]:
    """Return the calls that the README lists for a job, with what it says is answered ``when``."""
    readme = (EXAMPLES / "README.md").read_text()
    block = re.search(rf"^### {name}$.*?^```calls\n(.*?)^```$", readme, re.M | re.S)
    assert block, f"the README has no calls for {name}"
    found = []
    for call in re.split(r"^(?=[A-Z])", block[1], flags=re.M)[1:]:
        first, *answers = call.splitlines()
        method, path, *body = first.split(" ", 2)
        answer = next((line for line in answers if line.split()[0] == when), None)
        assert answer, f"{first}: the README says nothing about {when!r}"
        _, status, place, value = answer.split(maxsplit=3)
        found.append((method, path, json.loads(body[0]) if body else None, int(status), place, json.loads(value)))
    assert found
    return found


def assert_calls(workspace: Workspace, names: Iterable[str], when: str) -> None:
    promised = [call for name in names for call in calls(name, when)]
    with workspace.serving() as client:
        for method, path, body, status, place, expected in promised:
            answer = client.request(method, path, json=body)
            assert answer.status_code == status, (path, answer.text)
            value = answer.json()
            for step in place.split("."):
                value = value[int(step) if step.isdigit() else step]
            assert value == expected, (path, place)


def test_the_baseline_is_green_and_has_the_bug(workspace):
    passed, text = workspace.verify()
    assert passed, text
    count = re.search(r"(\d+) passed", text)
    assert count
    assert int(count[1]) >= 25
    assert_calls(workspace, REQUESTS, "before")


def test_the_bug_is_fixed_in_two_attempts_and_a_follow_up(workspace):
    words = workspace.play(prompt(SKIP))
    assert "no longer" in words, "the first attempt is sure of itself"
    passed, report = workspace.verify()
    assert not passed
    assert "test_two_quick_skips_move_two_tracks" in report
    assert "test_skip_retry" not in report, "its own test passes"
    assert_calls(workspace, ["skip-fix"], "first")

    workspace.play(prompt(SKIP, attempt=2, report=report[-1500:]))
    assert workspace.verified
    assert_calls(workspace, ["skip-fix"], "after")

    workspace.play(prompt(SKIP, round_number=2, follow_up=DEBOUNCE))
    assert workspace.verified
    assert_calls(workspace, ["skip-fix"], "after")
    assert "REPEAT_MILLISECONDS = 300\n" in (workspace.folder / "src/murmur/queues.py").read_text()


def test_the_first_attempt_does_not_ask_the_verifiers():
    scene = choose(prompt(SKIP))
    assert not [tool for turn in scene["turns"] for tool in turn.get("tools", ()) if tool["name"] == "verify"]


def test_the_new_tests_fail_without_the_fix(workspace, tmp_path, programs):
    fixed = Workspace(tmp_path / "fixed", programs)
    fixed.write(prompt(SKIP))
    fixed.write(prompt(SKIP, attempt=2))
    shutil.copy(fixed.folder / "tests/test_skip_retry.py", workspace.folder / "tests")
    passed, report = workspace.verify()
    assert not passed
    assert "test_a_skip_that_is_sent_again_moves_one_track" in report


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_is_added_and_works(workspace, name):
    workspace.play(prompt(REQUESTS[name]))
    assert workspace.verified
    assert_calls(workspace, [name], "after")


def test_all_jobs_can_be_done_one_after_the_other(workspace):
    for name in reversed(FEATURES):
        workspace.write(prompt(REQUESTS[name]))
    workspace.write(prompt(SKIP))
    workspace.write(prompt(SKIP, attempt=2))
    workspace.write(prompt(SKIP, round_number=2, follow_up=DEBOUNCE))
    passed, report = workspace.verify()
    assert passed, report
    assert_calls(workspace, REQUESTS, "after")


def test_all_jobs_can_be_done_at_once(tmp_path, programs):
    """Branches of the four jobs merge without a conflict, and what is merged is green."""

    def git(folder: Path, *arguments: str) -> None:
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)

    workspace = Workspace(tmp_path / "murmur", programs)
    git(workspace.folder, "init", "-q", "-b", "main")
    git(workspace.folder, "add", "-A")
    git(workspace.folder, "commit", "-q", "-m", "baseline")
    for name, request in REQUESTS.items():
        git(workspace.folder, "checkout", "-q", "-b", name, "main")
        workspace.write(prompt(request))
        if name == "skip-fix":
            workspace.write(prompt(request, attempt=2))
        git(workspace.folder, "add", "-A")
        git(workspace.folder, "commit", "-q", "-m", name)
    git(workspace.folder, "checkout", "-q", "main")
    for name in REQUESTS:
        git(workspace.folder, "merge", "-q", "--no-ff", "-m", name, name)
    passed, report = workspace.verify()
    assert passed, report


def test_every_change_is_clean_for_the_linter(workspace):
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("NOT CHECKED: ruff is not installed beside this interpreter")
    for request in REQUESTS.values():
        workspace.write(prompt(request))
    workspace.write(prompt(SKIP, attempt=2))
    for arguments in (["check"], ["format", "--check"]):
        ended = subprocess.run(
            [ruff, *arguments, "--no-cache", "."], cwd=workspace.folder, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("name", REQUESTS)
def test_a_cassette_has_the_agreed_shape(name):
    cassette = cassettes()[name]
    assert set(cassette) == {"v", "name", "when", "scenes", "side"}
    assert (cassette["v"], cassette["name"]) == (1, name)
    assert set(cassette["side"]) == {"say"}
    for scene in cassette["scenes"]:
        assert set(scene) == {"prompt", "turns"}
        *working, last = scene["turns"]
        assert "tools" not in last
        for turn in scene["turns"]:
            assert set(turn) <= {"expect", "say", "tools", "usage"}
            assert turn["say"]
            assert all(turn["usage"][key] > 0 for key in ("input_tokens", "output_tokens"))
        for tool in (tool for turn in working for tool in turn["tools"]):
            assert tool["name"] in TOOLS


def test_a_request_chooses_one_cassette_and_others_choose_none():
    assert set(cassettes()) == set(REQUESTS)
    for name, request in REQUESTS.items():
        assert choose(prompt(request)) in cassettes()[name]["scenes"]
    other = prompt("add a sleep timer to the player")
    assert not [name for name, cassette in cassettes().items() if re.search(cassette["when"], other)]


def test_the_platform_is_told_what_it_understands():
    told = tomllib.loads((EXAMPLES / "murmur.toml").read_text())
    environments = tuple(
        Environment(region="here", **(each | {"command": tuple(each["command"])})) for each in told.pop("environments")
    )
    repository = Repository(region="here", environments=environments, **told)
    assert repository.level in LEVELS
    assert [environment.name for environment in environments] == ["staging", "production"]
    for request in REQUESTS.values():
        assert any(keyword in request.lower() for keyword in repository.keywords), request


@pytest.mark.parametrize("jobs", [(), tuple(REQUESTS)])
def test_a_build_holds_the_code_the_seed_and_the_version(workspace, jobs):
    builder = next(
        (each for each in (python(), str(ROOT / ".toolchain/bin/python")) if _can_build(each)),
        None,
    )
    if builder is None:
        pytest.skip("NOT BUILT: no interpreter here has hatchling; install the `toolchain` group")
    for name in jobs:
        workspace.write(prompt(REQUESTS[name]))
    if jobs:
        workspace.write(prompt(SKIP, attempt=2))
    command = [builder, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    subprocess.run(command, cwd=workspace.folder, check=True, capture_output=True, timeout=120)
    (wheel,) = (workspace.folder / "dist").glob("*.whl")
    assert wheel.name == f"murmur-1.4.{len(jobs)}-py3-none-any.whl"
    release = workspace.folder.parent / "release"
    shutil.unpack_archive(wheel, release, "zip")
    shutil.rmtree(workspace.folder / "src")
    (workspace.folder / "src").symlink_to(release)
    with workspace.serving() as client:
        assert client.get("/healthz").json() == {"status": "ok", "version": f"1.4.{len(jobs)}"}
        assert len(client.get("/audiobooks").json()["audiobooks"]) == 2


def _can_build(interpreter: str) -> bool:
    command = [interpreter, "-c", "import hatchling"]
    return Path(interpreter).exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0
