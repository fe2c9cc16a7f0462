"""An install that nobody has configured sends nothing out, and says how to open the first way; doing that opens it."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_endpoint import Endpoint, endpoint
from flow_openings import commands_in
from flow_stage import CALC, Stage, cli, environment, make_repository, start_stage

STORY = {
    "v": 1, "name": "calc", "when": "(?i)adding subtracts", "side": {"say": "calc"},
    "scenes": [{"prompt": "", "turns": [
        {"say": "The sign is wrong.", "tools": [{"name": "shell", "command": "sed -i 's/a - b/a + b/' calc.py"}]},
        {"say": "It adds now."},
    ]}],
}  # fmt: skip
#: How many refusals a person may meet on the way to the first model call, each with one thing to do.
MOST_STEPS = 2


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Endpoint]:
    folder = tmp_path / "played"
    folder.mkdir()
    with endpoint(folder, STORY) as running:
        yield running


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="glzero-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "home"


def ask(stage: Stage) -> Any:
    return stage.ask("adding subtracts, fix it", "calc", (), agent="claude")


def test_following_the_remedies_opens_the_first_way_and_nothing_leaves_before(
    home: Path, tmp_path: Path, played: Endpoint
) -> None:
    source = make_repository(tmp_path / "calc", CALC)
    stage = start_stage(home, env=played.env)
    tokens = stage.tokens
    try:
        stage.add("calc", source)
        taken: list[str] = []
        task = ask(stage)
        while task["status"] == "refused":
            assert (task["code"], played.touched) == ("GL-POLICY-001", 0), "nothing reached the endpoint"
            assert len(taken) < MOST_STEPS, f"{taken} did not open it: {task['outcome']} {task['remedy']}"
            thread = stage.thread(task["task_id"])
            assert task["remedy"].split(" Or: ")[0] in thread, "the person is told in the thread"
            assert "No (" in thread, "and why, in one line"
            assert "Smallest remedy: " in thread
            stage, step = follow(stage, task["remedy"], played)
            taken.append(step)
            task = ask(stage)
        assert taken == ["jurisdiction", "facts open endpoint anthropic --level internal"]
        assert task["status"] == "in_review", stage.thread(task["task_id"])
        assert played.bodies
    finally:
        stage.stop()
    assert tokens


def follow(stage: Stage, remedy: str, played: Endpoint) -> tuple[Stage, str]:
    """Do the first thing that a remedy tells an operator to do, as it stands there."""
    if found := re.search(r"set `(\w+)` in the `\[(\w+)\]` table of the settings", remedy):
        stage.stop()
        settings = f'[{found[2]}]\n{found[1]} = "DE"\n'
        return start_stage(stage.home, settings, env=played.env, tokens=stage.tokens), found[1]
    for command in commands_in(remedy):
        if command[:2] == ["facts", "open"]:
            done = stage.cli(*command)
            assert done.code == 0, done.out + done.err
            stage.until_taken()
            return stage, " ".join(command[: command.index("--because")])
    raise AssertionError(f"nothing in this remedy can be done: {remedy}")


def test_without_a_way_out_everything_at_home_works(home: Path, tmp_path: Path, played: Endpoint) -> None:
    stage = start_stage(home, env=played.env)
    try:
        stage.add("calc", make_repository(tmp_path / "calc", CALC))
        task = stage.ask("adding subtracts, fix it", "calc")
        assert task["status"] == "in_review", stage.thread(task["task_id"])
        assert stage.approve(task)["status"] == "merged"
        assert played.touched == 0
    finally:
        stage.stop()


def test_an_opening_that_is_taken_back_closes_within_seconds(home: Path, tmp_path: Path, played: Endpoint) -> None:
    home.mkdir(mode=0o700)
    (home / "greylag.toml").write_text('[region]\njurisdiction = "DE"\n')
    opened = cli(home, "facts", "open", "endpoint", "anthropic", "--level", "internal", "--because", "a test")
    assert opened.code == 0, opened.out + opened.err
    stage = start_stage(home, env=played.env)
    try:
        stage.add("calc", make_repository(tmp_path / "calc", CALC))
        assert ask(stage)["status"] == "in_review"
        calls = len(played.bodies)
        closed = cli(home, "facts", "close", "endpoint", "anthropic", env=environment(home))
        assert closed.code == 0, closed.out + closed.err
        stage.until_taken()
        task = ask(stage)
        assert (task["status"], task["code"]) == ("refused", "GL-POLICY-001")
        assert len(played.bodies) == calls
    finally:
        stage.stop()
