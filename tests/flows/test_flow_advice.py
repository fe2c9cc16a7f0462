"""Intake with a model to advise it, whole: what it chooses is said and on record; what it may not, is asked."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flow_stage import CALC, Stage, make_repository, staged

SETTINGS = """
[model]
kind = "scripted"
cassettes = {cassettes}
[agent]
intake_model = "advise"
"""


def cassette(name: str, when: str, say: Any) -> dict[str, Any]:
    said = say if isinstance(say, str) else json.dumps(say)
    return {"v": 1, "name": name, "when": when, "scenes": [{"prompt": "", "turns": [{"say": "?"}]}],
            "side": {"say": said}}  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("advice")
    (folder / "cassettes").mkdir()
    tills = {"intent": "fix", "repository": "tills", "ask": "none"}
    for each in (
        cassette("good", "adding at the counter", tills),
        cassette("elsewhere", "adding at the desk", {**tills, "repository": "production"}),
    ):
        (folder / "cassettes" / f"{each['name']}.json").write_text(json.dumps(each))
    with staged(SETTINGS.format(cassettes=json.dumps(str(folder / "cassettes")))) as running:
        for name in ("tills", "ledgers"):
            running.add(name, make_repository(folder / name, CALC))
        yield running


def events_of(stage: Stage, task_id: str) -> list[str]:
    return [kind for kind in stage.kinds(task_id) if kind in ("RequestAdvised", "QuestionAsked", "TaskAccepted")]


def test_a_model_finds_what_the_rules_could_not(stage: Stage) -> None:
    task = stage.ask("adding at the counter subtracts")
    task_id = task["task_id"]
    assert task["status"] == "in_review", stage.thread(task_id)
    assert events_of(stage, task_id) == ["RequestAdvised", "TaskAccepted"]
    assert "A model (scripted model — no real model was called) took it as a fix in tills" in stage.thread(task_id)
    (sent,) = [each for each in stage.ledger() if each.get("task_id") == task_id and each.get("stage") == "prompt"]
    assert sent["target"] == {"kind": "endpoint", "name": "scripted"}
    (settled,) = [
        each for each in stage.ledger() if each["kind"] == "outcome" and each["decision_id"] == sent["decision_id"]
    ]
    assert settled["outcome"] == "sent"


@pytest.mark.parametrize("text", ["adding at the desk subtracts", "adding at the till subtracts"])
def test_another_answer_or_none_leaves_the_question_to_the_person(stage: Stage, text: str) -> None:
    task = stage.ask(text)
    task_id = task["task_id"]
    assert task["status"] == "asked", stage.thread(task_id)
    assert "Which repository is this about?" in stage.thread(task_id)
    assert events_of(stage, task_id) == ["RequestAdvised", "QuestionAsked"]
    assert "A model" not in stage.thread(task_id)

    task = stage.reply(task_id, "ledgers")

    assert task["status"] == "in_review", stage.thread(task_id)
    assert task["repository"] == "ledgers"
    assert events_of(stage, task_id)[-1] == "TaskAccepted"
