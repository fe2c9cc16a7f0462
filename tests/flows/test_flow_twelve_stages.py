"""One whole task, looked at from outside: twelve stages decided, not a byte moved without a permit of its own."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flow_endpoint import Endpoint, endpoint
from flow_openings import AT_HOME, opening
from flow_stage import Stage, contents, git, staged

from greylag.app.bootstrap import open_stores
from greylag.app.settings import load_settings
from greylag.domain.stages import Stage as Place
from greylag.governance.decision import decision_from

SERVE = ["python", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
NOTES = "the notes say: add a to b\n"
STORY = {
    "v": 1, "name": "calc", "when": "(?i)adding subtracts", "side": {"say": "calc"},
    "scenes": [
        {"prompt": "round 1, attempt 1", "turns": [
            {"say": "I look first.", "tools": [{"name": "read", "path": "calc.py"}]},
            {"say": "The sign is wrong.",
             "tools": [{"name": "edit", "path": "calc.py", "old": "a - b", "new": "a + b"}]},
            {"say": "Now I check it.", "tools": [{"name": "verify"}]},
            {"say": "`add` adds now; both tests pass.", "expect": "PASSED"},
        ]},
        {"prompt": "round 2", "turns": [
            {"say": "A word on it.", "tools": [{"name": "shell", "command": "echo '# adds' >> calc.py"}]},
            {"say": "The comment is there."},
        ]},
    ],
}  # fmt: skip
CARD = {"branch", "channel_topic", "file_names", "title"}
#: What moves at each stage in a whole task: kinds of assets, targets, and the metadata that travels along.
EXPECTED: dict[Place, tuple[set[str], set[tuple[str, str]], set[str]]] = {
    Place.INTAKE: ({"request"}, {("store", "control-plane")}, {"title"}),
    Place.PLACEMENT: ({"run"}, {("pool", "bubblewrap@local"), ("endpoint", "anthropic")}, set()),
    Place.CHECKOUT: ({"repository"}, {("sandbox", "bubblewrap")}, {"branch", "file_names"}),
    Place.CONTEXT: ({"prompt", "attachment"}, {("sandbox", "bubblewrap"), ("endpoint", "anthropic")}, {"file_names"}),
    Place.PROMPT: (
        {"prompt"}, {("endpoint", "anthropic")},
        {"branch", "commits", "file_names", "git_user", "os_version", "working_directory"},
    ),
    Place.TOOL: ({"repository"}, {("sandbox", "bubblewrap")}, set()),
    Place.ARTIFACT: (
        {"request", "attachment", "message", "prompt", "diff", "transcript", "report", "results", "build", "evidence"},
        {("store", "vault:local")}, set(),
    ),
    Place.CHAT: ({"card"}, {("chat", "thread:local")}, CARD),
    Place.PUSH: ({"diff"}, {("forge", "builtin")}, {"branch", "file_names", "title"}),
    Place.DEPLOY: ({"build"}, {("environment", "environment:calc/production")}, set()),
    Place.TRACE: ({"diff", "transcript"}, {("store", "vault:local")}, set()),
    Place.RETAIN: ({"task"}, {("store", "vault:local")}, set()),
}  # fmt: skip


@dataclass
class Whole:
    """A released task and all that is known of it."""

    stage: Stage
    played: Endpoint
    task: Any
    ledger: list[dict[str, Any]]

    @property
    def task_id(self) -> str:
        return str(self.task["task_id"])

    def decisions(self, place: Place | None = None) -> list[dict[str, Any]]:
        mine = [each for each in self.ledger if each["kind"] == "decision" and each["task_id"] == self.task_id]
        return [each for each in mine if place is None or each["stage"] == place]

    def permitted(self, place: Place) -> dict[str, dict[str, Any]]:
        return {entry["decision_id"]: entry for entry in self.decisions(place) if entry["permitted"]}

    def outcomes(self, place: Place) -> list[dict[str, Any]]:
        known = {entry["decision_id"] for entry in self.decisions(place)}
        return [entry for entry in self.ledger if entry["kind"] == "outcome" and entry["decision_id"] in known]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    folder = tmp_path_factory.mktemp("played")
    with (
        endpoint(folder, STORY) as played,
        staged(AT_HOME, played.env, {"open": opening("endpoint", "anthropic", "internal")}) as stage,
    ):
        yield Whole(stage, played, _whole_task(stage, tmp_path_factory.mktemp("calc")), stage.ledger())


def _whole_task(stage: Stage, folder: Path) -> Any:
    environments = [{"name": "production", "command": SERVE, "health_timeout_seconds": 8}]
    made = stage.calc(folder, build="archive", environments=environments)
    stage.add("calc", folder / made, build="archive", environments=environments)
    task = stage.ask(
        "adding subtracts, fix it", "calc", (), agent="claude", attachments=[{"name": "notes.txt", "text": NOTES}]
    )
    task_id = task["task_id"]
    assert task["status"] == "in_review", stage.thread(task_id)
    task = stage.reply(task_id, "say so in a comment", by="ada")
    assert task["status"] == "in_review", stage.thread(task_id)
    stage.content(task_id, "diff")
    stage.content(task_id, "transcript")
    done = stage.approve(task)
    assert done["status"] == "released", stage.thread(task_id)
    return stage.until(task_id, lambda now: "TaskClosed" in stage.kinds(now["task_id"]))


def test_all_twelve_stages_were_decided_and_permitted(whole: Whole) -> None:
    assert len(Place) == 12
    silent = [str(place) for place in Place if not whole.decisions(place)]
    assert silent == []
    assert [entry["stage"] for entry in whole.decisions() if not entry["permitted"]] == []


@pytest.mark.parametrize("place", list(Place))
def test_each_stage_was_asked_about_its_own_things(whole: Whole, place: Place) -> None:
    kinds, targets, surfaces = EXPECTED[place]
    asked = whole.decisions(place)
    assert {entry["asset"]["kind"] for entry in asked} == kinds
    assert {(entry["target"]["kind"], entry["target"]["name"]) for entry in asked} == targets
    assert {name for entry in asked for name in entry["asset"]["surfaces"]} == surfaces
    principals = {entry["principal"].partition(":")[0] for entry in asked}
    by = {Place.INTAKE: {"person"}, Place.TRACE: {"person"}, Place.PROMPT: {"agent"}, Place.TOOL: {"agent"}}
    assert principals == by.get(place, {"platform"})


def test_every_entry_about_a_decision_can_be_read_back_and_names_its_world(whole: Whole) -> None:
    worlds = {path.stem for path in (whole.stage.home / "worlds").glob("*.json")}
    for entry in whole.decisions():
        assert decision_from(entry).verdict.policy_version.removeprefix("world:") in worlds
        assert entry["asset"]["level"] == "internal"
        assert entry["asset"]["origins"] == ["DE"], "what nobody said of its origin is from where the install is"


def test_every_outcome_is_of_a_permitted_decision_and_each_once(whole: Whole) -> None:
    permitted = {entry["decision_id"] for entry in whole.ledger if entry["kind"] == "decision" and entry["permitted"]}
    outcomes = [entry["decision_id"] for entry in whole.ledger if entry["kind"] == "outcome"]
    assert [each for each in outcomes if each not in permitted] == []
    assert len(outcomes) == len(set(outcomes))


def test_what_moved_was_seen_where_it_came_to_rest(whole: Whole) -> None:
    for place, words in (
        (Place.CHECKOUT, {"checked_out"}), (Place.PROMPT, {"sent"}), (Place.ARTIFACT, {"stored"}),
        (Place.CHAT, {"sent"}), (Place.PUSH, {"pushed", "merged"}), (Place.DEPLOY, {"deployed"}),
        (Place.TRACE, {"read"}),
    ):  # fmt: skip
        seen = whole.outcomes(place)
        assert {entry["outcome"] for entry in seen} == words, place
        assert {entry["decision_id"] for entry in seen} == set(whole.permitted(place)), place


def test_every_object_in_the_vault_was_let_in(whole: Whole) -> None:
    stored = {(entry["asset"]["kind"], entry["asset"]["digest"]) for entry in whole.permitted(Place.ARTIFACT).values()}
    kept = {
        (each.kind, each.digest): text for owner, each, text in contents(whole.stage.home) if owner == whole.task_id
    }
    assert set(kept) == stored, "nothing is there that wasn't decided, and nothing was decided that isn't there"
    for (_, digest), content in kept.items():
        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
    # What lies on the disk, whoever names it: an object more than was decided would be one that nobody decided.
    files = [path for path in (whole.stage.home / "cells/local/vault/objects").rglob("*") if path.is_file()]
    decided = {
        (entry["task_id"], entry["asset"]["kind"], entry["asset"]["digest"])
        for entry in whole.ledger if entry["kind"] == "decision" and entry["stage"] == "artifact" and entry["permitted"]
    }  # fmt: skip
    assert len(files) == len(decided)


def test_every_message_in_the_thread_was_let_out_as_it_stands_there(whole: Whole) -> None:
    permitted = whole.permitted(Place.CHAT)
    messages = whole.stage.messages(whole.task_id)
    assert len(messages) > 8
    for message in messages:
        entry = permitted[message["decision_id"]]
        assert entry["asset"]["digest"] == f"sha256:{hashlib.sha256(message['text'].encode()).hexdigest()}"
    assert {message["decision_id"] for message in messages} == set(permitted), "and nothing was let out unsaid"


def test_every_byte_at_the_endpoint_was_let_out(whole: Whole) -> None:
    permitted = whole.permitted(Place.PROMPT)
    assert len(whole.played.bodies) == len(permitted) > 4
    sent = sorted(f"sha256:{hashlib.sha256(body).hexdigest()}" for body in whole.played.bodies)
    assert sent == sorted(entry["asset"]["digest"] for entry in permitted.values())
    sizes = sorted(len(body) for body in whole.played.bodies)
    assert sizes == sorted(entry["asset"]["size_bytes"] for entry in permitted.values())
    assert whole.stage.kinds(whole.task_id).count("TurnSettled") == len(permitted)
    for outcome in whole.outcomes(Place.PROMPT):
        assert outcome["facts"]["observed_place"]
        assert outcome["facts"]["status"] == 200


def test_every_commit_on_the_forge_was_let_in(whole: Whole) -> None:
    """What people brought in themselves apart: each ref of the platform's own stands for a decision that permits it."""
    folder = whole.stage.home / "cells" / "local" / "forge" / "calc.git"
    refs = subprocess.run(
        ["git", "-C", str(folder), "-c", "safe.directory=*", "for-each-ref", "--format=%(refname)"], text=True,
        capture_output=True, check=True,
    ).stdout.split()  # fmt: skip
    branches = [ref for ref in refs if ref.startswith("refs/heads/greylag/")]
    actions = [entry["action"] for entry in whole.permitted(Place.PUSH).values()]
    assert len(branches) == 1
    assert actions.count("merge") == 1
    assert actions.count("push") == 2, "one for each round"
    diffs = {entry["asset"]["digest"] for entry in whole.permitted(Place.PUSH).values()}
    kept = {
        each.digest for owner, each, _ in contents(whole.stage.home) if owner == whole.task_id and each.kind == "diff"
    }
    assert diffs == kept


def test_events_that_move_something_name_a_permitted_decision(whole: Whole) -> None:
    control, ledger, _ = open_stores(load_settings(whole.stage.home, {}), whole.stage.home)
    try:
        events = [record.event for record in control.events.read(whole.task_id)]
    finally:
        ledger.close()
        control.close()
    permitted = {entry["decision_id"]: entry["stage"] for entry in whole.decisions() if entry["permitted"]}
    named: dict[str, set[str]] = {}
    for event in events:
        if hasattr(event, "decision_id"):
            named.setdefault(type(event).__name__, set()).add(permitted[event.decision_id])
    assert named == {
        "TaskAccepted": {"intake"}, "TaskPlaced": {"placement"}, "TurnSettled": {"prompt"}, "ChangePushed": {"push"},
        "ReleaseStarted": {"deploy"},
    }  # fmt: skip


def test_what_a_person_takes_from_the_forge_is_a_decision_too(whole: Whole, tmp_path: Path) -> None:
    before = len(whole.stage.ledger())
    clone = whole.stage.clone("calc", tmp_path / "clone")
    assert "return a + b" in (clone / "calc.py").read_text()
    taken = whole.stage.ledger()[before:]
    assert taken
    assert {(entry["kind"], entry["stage"], entry["principal"]) for entry in taken} == {
        ("decision", "trace", "person:ada")
    }
    assert {(entry["repository"], entry["action"], entry["permitted"]) for entry in taken} == {
        ("calc", "read:git", True)
    }
    git(clone, "checkout", "--quiet", "-b", "mine")
    git(clone, "push", "--quiet", "origin", "mine")
    brought = [entry for entry in whole.stage.ledger()[before + len(taken) :] if entry["stage"] == "intake"]
    assert {(entry["principal"], entry["target"]["kind"], entry["permitted"]) for entry in brought} == {
        ("person:ada", "forge", True)
    }


def test_no_entry_holds_what_was_said(whole: Whole) -> None:
    text = json.dumps(whole.ledger)
    for words in ("adding subtracts", "add a to b", "say so in a comment", "both tests pass", "return a"):
        assert words not in text, words
