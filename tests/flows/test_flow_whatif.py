"""Drills on what a real task left behind: its own ledger, its own worlds, while the platform goes on running."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_stage import Stage, staged

LOST = """
schema_version = 1
name = "home-lost"
title = "Our own region is gone"
status = "hypothetical"
[[change]]
kind = "region-lost"
place = "local"
"""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged('[model]\nkind = "scripted"\n') as running:
        yield running


@pytest.fixture(scope="module")
def waiting(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A task that waits for its reviewer, under two worlds: the operator opened something in between."""
    name = stage.calc(tmp_path_factory.mktemp("calc"), owner="ada")
    first = stage.ask("adding subtracts", name)
    assert first["status"] == "in_review", stage.thread(first["task_id"])
    opened = stage.cli("facts", "open", "endpoint", "mistral-eu", "--level", "internal", "--because", "a contract")
    assert opened.code == 0, opened.err
    second = stage.ask("adding still subtracts", name)
    assert second["status"] == "in_review", stage.thread(second["task_id"])
    return first, second


def run(stage: Stage, *arguments: str) -> dict[str, Any]:
    done = stage.cli("whatif", "run", *arguments, "--json")
    assert done.code == 0, done.err
    document: dict[str, Any] = done.json
    return document


def test_a_real_ledger_comes_out_as_recorded_in_each_of_its_worlds(stage: Stage, waiting: Any) -> None:
    recorded = [entry for entry in stage.ledger() if entry["kind"] == "decision"]
    document = run(stage, "dpf-annulled")
    assert document["decisions"] == len(recorded)
    assert document["worlds"] == len({entry["policy_version"] for entry in recorded}) >= 2
    assert (document["newly_denied"], document["newly_allowed"]) == (0, 0), "nothing went to anybody else"


def test_the_own_region_lost_stops_what_waits_there(stage: Stage, waiting: Any, tmp_path: Path) -> None:
    drill = tmp_path / "home-lost.toml"
    drill.write_text(LOST)
    document = run(stage, str(drill))
    assert document["newly_denied"] > 0
    assert {each["name"] for each in document["by"]["rule"]} == {"region-lost"}
    runs = {each["name"] for each in document["live"]["affected"] if each["kind"] == "run"}
    assert runs == {task["task_id"] for task in waiting}
    assert "build" in {each["kind"] for each in document["live"]["affected"]}


def test_the_matrix_speaks_of_the_labels_the_task_had(stage: Stage, waiting: Any) -> None:
    document = json.loads(stage.cli("whatif", "matrix", "--json").out)
    assert "internal" in {label["level"] for label in document["labels"]}
    scripted = {cell["answer"] for cell in document["cells"] if cell["target"] == "scripted"}
    assert scripted == {"permit"}
    mistral = {rule for cell in document["cells"] if cell["target"] == "mistral-eu" for rule in cell["rules"]}
    assert "home-unknown" in mistral, "opened, and still nothing may go there until the settings name a jurisdiction"
