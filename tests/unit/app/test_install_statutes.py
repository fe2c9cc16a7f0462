"""The law in force follows the operator's own facts while the platform runs, and a mistake in them changes nothing."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from greylag.app.install.law import statutes
from greylag.app.install.law.statutes import LivePolicy
from greylag.app.install.law.worlds import FOLDER, read_world
from greylag.app.settings import RegionSettings, Settings
from greylag.domain.errors import OperatorError
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.governance.question import Asset, Question, Target, Verdict

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
SETTINGS = Settings(region=RegionSettings(jurisdiction="DE"))
OPEN = """schema_version = 2

[[opening]]
kind = "endpoint"
name = "anthropic"
max_level = "{level}"
source = "a test"
retrieved = 2026-01-02
status = "in_force"
certainty = "O"
"""


class FixedClock:
    def now(self) -> datetime:
        return AT

    def entropy(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)


@dataclass
class Install:
    home: Path
    later: Callable[[], None]

    def write(self, text: str, name: str = "own.toml") -> Path:
        (self.home / "facts").mkdir(exist_ok=True)
        path = self.home / "facts" / name
        path.write_text(text)
        return path

    def live(self) -> LivePolicy:
        return LivePolicy(SETTINGS, self.home, (("store", "control-plane"),), FixedClock())

    @property
    def worlds(self) -> set[str]:
        return {path.stem for path in (self.home / FOLDER).glob("*.json")}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    passed = [1000.0]

    class Time:
        monotonic = staticmethod(lambda: passed[0])

    monkeypatch.setattr(statutes, "time", Time)
    return Install(tmp_path, lambda: passed.__setitem__(0, passed[0] + 5.0))


def ask(live: LivePolicy) -> Verdict:
    asset = Asset("prompt", Label.of("internal", origins=("DE",)), "local")
    return live.decide(Question(Stage.PROMPT, "agent:claude", "send", asset, Target("endpoint", "anthropic"), AT))


def test_a_file_that_comes_changes_the_answer_without_a_restart(install: Install) -> None:
    live = install.live()
    first = ask(live)
    assert "level-above-target" in first.rules
    install.write(OPEN.format(level="internal"))
    install.later()
    second = ask(live)
    assert second.permitted
    assert second.policy_version != first.policy_version
    assert live.problem == ""


def test_a_file_that_changes_or_goes_counts_too(install: Install) -> None:
    path = install.write(OPEN.format(level="internal"))
    live = install.live()
    assert ask(live).permitted
    path.write_text(OPEN.format(level="public"))
    install.later()
    assert not ask(live).permitted
    path.write_text(OPEN.format(level="internal"))
    install.later()
    assert ask(live).permitted
    path.unlink()
    install.later()
    assert not ask(live).permitted


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("schema_version = ", "GL-SETTINGS-004"), (OPEN.format(level="secret"), "GL-FACTS-003"),
        ("schema_version = 1\n", "GL-FACTS-001"),
        (OPEN.format(level="internal").replace("name =", 'colour = "red"\nname ='), "GL-FACTS-002"),
        (OPEN.format(level="internal") + OPEN.format(level="public").partition("\n")[2], "GL-FACTS-004"),
    ],
)  # fmt: skip
def test_a_broken_file_changes_nothing_and_is_told(
    install: Install, text: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    install.write(OPEN.format(level="internal"), "good.toml")
    live = install.live()
    before = ask(live)
    path = install.write(text, "broken.toml")
    install.later()
    with caplog.at_level(logging.INFO):
        assert ask(live) == before
        install.later()
        assert ask(live) == before
    assert code in live.problem
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1, "once, not each second"
    path.unlink()
    install.later()
    assert ask(live) == before
    assert live.problem == ""


def test_a_broken_file_stays_broken_until_it_is_mended_whatever_else_changes(install: Install) -> None:
    live = install.live()
    install.write("schema_version = ", "broken.toml")
    install.later()
    ask(live)
    install.write(OPEN.format(level="internal"), "good.toml")
    install.later()
    assert not ask(live).permitted, "half of what the operator says is not what the operator says"
    assert live.problem


def test_an_install_does_not_start_under_facts_that_cannot_be_read(install: Install) -> None:
    install.write("schema_version = ")
    with pytest.raises(OperatorError, match="GL-SETTINGS-004"):
        install.live()


def test_each_world_is_kept_before_its_first_decision_and_reads_back(install: Install) -> None:
    live = install.live()
    versions = [ask(live).policy_version]
    assert install.worlds == {versions[0].removeprefix("world:")}
    install.write(OPEN.format(level="internal"))
    install.later()
    versions.append(ask(live).policy_version)
    assert install.worlds == {version.removeprefix("world:") for version in versions}
    for version, permitted in zip(versions, (False, True), strict=True):
        world = read_world(install.home, version)
        assert world.version == version
        policy = world.policy(today=AT.date())
        asset = Asset("prompt", Label.of("internal", origins=("DE",)), "local")
        question = Question(Stage.PROMPT, "agent:claude", "send", asset, Target("endpoint", "anthropic"), AT)
        assert policy.decide(question).permitted is permitted


def test_a_world_that_cannot_be_kept_does_not_decide(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    live = install.live()
    before = ask(live)

    def full(home: Path, world: object) -> Path:
        raise OperatorError("GL-WORLD-004", "the disk is full.", "make room.")

    monkeypatch.setattr(statutes, "keep_world", full)
    install.write(OPEN.format(level="internal"))
    install.later()
    assert ask(live) == before
    assert "GL-WORLD-004" in live.problem


def test_a_kept_world_holds_no_question_and_is_for_its_owner(install: Install) -> None:
    ask(install.live())
    (path,) = (install.home / FOLDER).glob("*.json")
    assert path.stat().st_mode & 0o077 == 0
    assert set(json.loads(path.read_text())) == {"format", "version", "home_region", "schema", "packs", "facts"}
