"""What must hold over every finished task: decided, ledgered, provable, and nothing of it where it must not be."""

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_stage import Stage, contents, script, staged, start_stage

from greylag.app.bootstrap import open_stores
from greylag.app.settings import load_settings
from greylag.domain.stages import Stage as Place

REQUEST = "the word is Zwiebelfisch-Request and adding subtracts, fix it"
LINE = "Zwiebelfisch-Line"
SAID = "Zwiebelfisch-Said"
CASSETTE = {
    "v": 1, "name": "calc", "when": "adding subtracts", "side": {"say": "calc"},
    "scenes": [{"prompt": "", "turns": [
        {"say": SAID, "tools": [
            {"name": "shell", "command": f"echo '# {LINE}' >> calc.py; sed -i 's/a - b/a + b/' calc.py"},
            {"name": "verify"},
        ]},
        {"say": "It adds now.", "expect": "PASSED"},
    ]}],
}  # fmt: skip
SERVE = ["python", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    cassettes = tmp_path_factory.mktemp("cassettes")
    (cassettes / "calc.json").write_text(json.dumps(CASSETTE))
    with staged(f'[model]\nkind = "scripted"\ncassettes = "{cassettes}"\n') as running:
        yield running


@pytest.fixture(scope="module")
def finished(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A task through every stage: a model, a verify tool, a release, somebody who read."""
    environments = [{"name": "production", "command": SERVE, "health_timeout_seconds": 8}]
    name = stage.calc(tmp_path_factory.mktemp("calc"), build="archive", environments=environments)
    task = stage.ask(REQUEST, name, (), agent="claude")
    assert task["status"] == "in_review", stage.thread(task["task_id"])
    stage.content(task["task_id"], "diff")
    done = stage.approve(task)
    assert done["status"] == "released", stage.thread(task["task_id"])
    return done


def decisions(stage: Stage, task_id: str) -> list[dict[str, Any]]:
    return [entry for entry in stage.ledger() if entry["kind"] == "decision" and entry["task_id"] == task_id]


def test_every_stage_was_decided_and_every_word_and_object_has_its_decision(stage: Stage, finished: Any) -> None:
    task_id = finished["task_id"]
    made = decisions(stage, task_id)

    assert {entry["stage"] for entry in made} == {str(place) for place in Place}
    assert all(entry["permitted"] for entry in made)
    known = {entry["decision_id"]: entry for entry in made}
    for message in stage.messages(task_id):
        entry = known[message["decision_id"]]
        assert (entry["stage"], entry["asset"]["kind"]) == ("chat", "card")
    stored = {entry["asset"]["digest"] for entry in made if entry["stage"] == "artifact"}
    kept = {reference.digest for owner, reference, _ in contents(stage.home) if owner == task_id}
    assert kept <= stored
    assert {"request", "diff", "evidence", "build"} <= {entry["asset"]["kind"] for entry in made}


def test_the_evidence_names_decisions_that_the_ledger_proves(stage: Stage, finished: Any, tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    shown = stage.cli("evidence", "show", finished["task_id"], "--as", "otto", "--output", str(file), "--json")
    assert shown.code == 0, shown.err
    statement = shown.json
    key = stage.get("/ledger/checkpoint")["public_key"]

    assert stage.cli("evidence", "verify", str(file), "--key", key).code == 0
    changed = tmp_path / "changed.json"
    changed.write_bytes(file.read_bytes().replace(b'"payload":"', b'"payload":"e30', 1))
    tampered = stage.cli("evidence", "verify", str(changed), "--key", key)
    assert (tampered.code, "GL-EVIDENCE-001" in tampered.err) == (1, True)
    known = {entry["decision_id"]: entry for entry in decisions(stage, finished["task_id"])}
    proofs = statement["predicate"]["ledger"]["proofs"]
    assert {proof["decision"] for proof in proofs} <= set(known)
    proven = {known[proof["decision"]]["stage"] for proof in proofs}
    assert {"intake", "placement", "prompt", "push", "deploy"} <= proven
    assert statement["predicate"]["verifierRuns"][0]["result"] == {"passed": 2, "failed": 0}


def test_the_ledger_is_intact_and_one_changed_byte_is_found(stage: Stage, finished: Any, tmp_path: Path) -> None:
    verified = stage.cli("ledger", "verify", "--json")
    assert (verified.code, verified.json["intact"]) == (0, True)
    assert verified.json["entries"] == len(stage.ledger()) == verified.json["signed"]

    exported = stage.cli("ledger", "export", str(tmp_path / "out"), "--json")
    assert exported.json["entries"] == len((tmp_path / "out" / "entries.jsonl").read_bytes().splitlines())
    again = stage.cli("ledger", "export", str(tmp_path / "out"))
    assert (again.code, "GL-LEDGER-009" in again.err) == (2, True)


def test_the_event_log_makes_the_same_tasks_again(stage: Stage, finished: Any) -> None:
    control, ledger, _ = open_stores(load_settings(stage.home, {}), stage.home)
    try:
        before = control.events.tasks(limit=500)
        assert control.events.rebuild() == len(before)
        assert control.events.tasks(limit=500) == before
    finally:
        ledger.close()
        control.close()
    assert stage.get(f"/tasks/{finished['task_id']}") == finished


def test_no_content_lies_outside_the_vault(stage: Stage, finished: Any) -> None:
    words = (REQUEST.encode(), LINE.encode(), SAID.encode(), b"return a - b")
    plain = {word for word in words for _, _, content in contents(stage.home) if word in content}
    assert plain == set(words)  # they are there, and readable with the region's keys

    seen = {}
    for path in stage.home.rglob("*"):
        if path.is_file() and not {"forge", "deploy"} & set(path.relative_to(stage.home).parts):
            raw = path.read_bytes()
            seen |= {(path.name, word): True for word in words if word in raw}
    # A task's title is its request's first line: the control plane shows it in lists.
    assert {place for place in seen if place[1] != REQUEST.encode()} == set()
    assert {name.partition("-")[0] for name, _ in seen} <= {"control.db"}
    assert REQUEST not in json.dumps(stage.ledger())


def test_while_the_ledger_can_not_be_written_nothing_leaves_and_then_it_goes_on(tmp_path: Path) -> None:
    with staged() as stage:
        name = stage.calc(tmp_path)
        task_id = stage.start(REQUEST, name, script("touch begun", "sleep 2", *_mend()))
        stage.until(task_id, lambda task: task["status"] == "working")
        ledger = stage.home / "cells" / "local" / "ledger.db"
        _run(
            ledger,
            "CREATE TRIGGER out_of_order BEFORE INSERT ON greylag_ledger_entry BEGIN SELECT RAISE(FAIL, 'full'); END",
        )
        entries = len(stage.ledger())

        refused = stage.call(
            "POST", "/tasks", json={"text": "more", "repository": name, "agent": "command", "command": ["true"]}
        )
        assert refused.is_server_error or refused.status_code == 409, refused.text
        assert refused.json()["code"].startswith("GL-")
        time.sleep(6)
        task = stage.get(f"/tasks/{task_id}")
        assert task["status"] in ("working", "failed")
        assert not task["branch"]
        assert len(stage.ledger()) == entries
        assert "ChangePushed" not in stage.kinds(task_id)

        _run(ledger, "DROP TRIGGER out_of_order")
        task = stage.rest(task_id, 90)
        assert task["status"] in ("in_review", "failed", "handed_over"), stage.thread(task_id)
        assert stage.messages(task_id)[-1]["kind"] in ("card", "error"), stage.thread(task_id)
        assert stage.cli("ledger", "verify").code == 0


def _mend() -> tuple[str, ...]:
    return ("sed -i 's/a - b/a + b/' calc.py",)


def _run(database: Path, statement: str) -> None:
    connection = sqlite3.connect(database, timeout=30)
    with connection:
        connection.execute(statement)
    connection.close()


def test_what_waits_outlives_a_restart_and_expires_as_a_no(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = "[bounds]\nreview_days = 0.00015\nrun_seconds = 4\n"  # 13 s for a review
    stage = start_stage(home, settings)
    try:
        name = stage.calc(tmp_path)
        late = stage.ask(REQUEST, name, script("echo begun", "sleep 60"))
        assert late["status"] == "handed_over"
        assert "4 s" in late["outcome"], late["outcome"]
        task = stage.ask(REQUEST, name)
        assert task["status"] == "in_review"
        tokens = stage.tokens
    finally:
        stage.stop()
    assert stage.process.returncode == 0

    stage = start_stage(home, settings, tokens=tokens)
    try:
        assert stage.get(f"/tasks/{task['task_id']}")["subject"] == task["subject"]
        ended = stage.until(task["task_id"], lambda task: task["ended"] and task["resting"], 60)
        assert ended["status"] == "expired"
        assert "nobody decided in time" in stage.thread(task["task_id"])
        refused = stage.refused(f"/tasks/{task['task_id']}/approval", {"subject": task["subject"]}, by="grace")
        assert refused["code"] == "GL-APPROVE-002"
    finally:
        stage.stop()
