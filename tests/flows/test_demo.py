"""The demo as somebody sees it who just installed: an empty HOME, one command, and everything that it must show."""

import json
import platform
import shutil
from pathlib import Path

import pytest
from flow_stage import cli, environment

import greylag
from greylag.app.demo.music import FEATURES
from greylag.app.demo.run import run_demo
from greylag.app.example import example_calls
from greylag.app.install.tools import probe_claude
from greylag.app.settings import Settings
from greylag.domain.errors import RequestRefused

EVERY = {"first_release", "in_review", "released", "stages", "located", "explained", "ledger_intact", "tampering_found"}
BUG_ONLY = {"turned_back", "own_approval_refused", "new_subject"}


def require_claude() -> None:
    """Skip, and say why, where there is no Claude Code for this machine; elsewhere set-up has to have fetched it."""
    if platform.machine() not in ("x86_64", "aarch64") or platform.libc_ver()[0] != "glibc":
        pytest.skip(f"THE DEMO WAS NOT TRIED: no Claude Code for {platform.machine()} {platform.libc_ver()[0]}")
    assert probe_claude(Settings()).ready, "run `make setup`, or `python scripts/fetch_claude.py`"


def show(tmp_path: Path, *arguments: str) -> set[str]:
    """Run the demo and return the names of what was seen; all of it must be true."""
    require_claude()
    home = tmp_path / "home"
    answer = cli(home, "demo", "--json", *arguments)
    assert answer.code == 0, answer.out + answer.err
    shown = json.loads(answer.out)
    assert shown["ok"] is True
    assert all(value is True for value in shown["seen"].values())
    assert list((tmp_path / "home-person").iterdir()) == [], "nothing is left in HOME"
    return set(shown["seen"])


def calls(job: str, state: str) -> set[str]:
    found = {f"{state}_{number}" for number, _ in enumerate(example_calls(job))}
    assert found
    return found


@pytest.mark.slow
def test_the_demo_shows_the_bug_its_follow_up_and_the_ledger(tmp_path: Path) -> None:
    seen = show(tmp_path)
    assert seen == EVERY | BUG_ONLY | calls("skip-fix", "before") | calls("skip-fix", "after")


@pytest.mark.slow
@pytest.mark.parametrize("feature", sorted(FEATURES))
def test_the_demo_shows_each_feature(tmp_path: Path, feature: str) -> None:
    assert show(tmp_path, "--feature", feature) == EVERY | calls(feature, "before") | calls(feature, "after")


def test_without_claude_code_it_says_how_to_get_it_and_what_works_without(tmp_path: Path) -> None:
    package = Path(greylag.__file__).parent
    copy = tmp_path / "site" / "greylag"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    home = tmp_path / "home"
    answer = cli(home, "demo", "--json", env=environment(home, PYTHONPATH=str(copy.parent)))
    error = json.loads(answer.out)["error"]
    assert (answer.code, error["code"]) == (1, "GL-DEMO-003")
    assert "python scripts/fetch_claude.py" in error["remedy"]
    assert "greylag demo --real" in error["remedy"]


@pytest.mark.parametrize(("feature", "real"), [("no-such-thing", False), ("page-match", True)])
def test_a_feature_that_cannot_be_shown_is_refused(feature: str, real: bool) -> None:
    with pytest.raises(RequestRefused) as raised:
        run_demo(feature, real, None, as_json=True)
    assert raised.value.code == "GL-DEMO-002"
    assert all(f"`{name}`" in raised.value.remedy for name in FEATURES)
