"""With a key set, asking uses the real model's path: the real Claude Code, the gateway, an endpoint that wants the key.

Only who answers at the endpoint's address is played: a local server that speaks the Messages protocol from a script.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_endpoint import KEY, Endpoint, endpoint
from flow_openings import AT_HOME, opening
from flow_stage import Stage, contents, script, staged

OPEN = {"open": opening("endpoint", "anthropic", "internal")}
PRICED = "claude-sonnet-4-5"
STORY = {
    "v": 1, "name": "calc", "when": "(?i)adding subtracts",
    "side": {"say": "calc"},
    "scenes": [{
        "prompt": "round 1, attempt 1",
        "turns": [
            {"say": "I look first.", "tools": [{"name": "read", "path": "calc.py"}],
             "usage": {"input_tokens": 2000, "output_tokens": 50}},
            {"say": "The sign is wrong.", "expect": "a - b",
             "tools": [
                 {"name": "shell", "command": "env > seen.txt; cat /proc/*/environ >> seen.txt 2>/dev/null; true"},
                 {"name": "edit", "path": "calc.py", "old": "a - b", "new": "a + b"},
             ],
             "usage": {"input_tokens": 2200, "output_tokens": 80}},
            {"say": "Now I check it.", "tools": [{"name": "verify"}],
             "usage": {"input_tokens": 2300, "output_tokens": 20}},
            {"say": "`add` adds now; both tests pass.", "expect": "PASSED",
             "usage": {"input_tokens": 2400, "output_tokens": 30}},
        ],
    }],
}  # fmt: skip


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint(tmp_path_factory.mktemp("played"), STORY) as running:
        yield running


@pytest.fixture(scope="module")
def stage(played: Endpoint) -> Iterator[Stage]:
    with staged(AT_HOME, played.env, OPEN) as running:
        yield running


def ask(stage: Stage, name: str) -> Any:
    return stage.ask("adding subtracts, fix it", name, (), agent="")


def test_asking_uses_the_endpoint_with_the_key_which_nobody_else_ever_sees(
    stage: Stage, played: Endpoint, tmp_path: Path
) -> None:
    name = stage.calc(tmp_path)
    asked = stage.cli("ask", "adding subtracts, fix it", "--repo", name, "--as", "ada", "--json")
    assert asked.code == 0, asked.out + asked.err
    task = asked.json

    assert (task["status"], task["agent"], task["model_label"]) == ("in_review", "claude", "")
    assert {key for key, _ in played.seen} == {KEY}
    assert {body["model"] for _, body in played.seen} == {PRICED}
    turns = [body for _, body in played.seen if body.get("tools")]
    assert len(turns) == 4
    # $3 and $15 for a million tokens, as listed; rounded up call by call.
    assert task["cost_usd"] >= (8900 * 3 + 180 * 15) / 1e6
    assert task["runs"][0]["turns"] == len(played.seen)
    assert sorted(task["files"]) == ["calc.py", "seen.txt"]

    done = stage.approve(task)
    assert done["status"] == "merged"
    decided = {entry["stage"] for entry in stage.ledger() if entry.get("task_id") == task["task_id"]}
    assert {"prompt", "tool", "retain"} <= decided
    outcomes = [entry["facts"] for entry in stage.ledger() if entry["kind"] == "outcome" and "model" in entry["facts"]]
    assert sum(int(facts["cost_usd_micros"]) for facts in outcomes) == round(task["cost_usd"] * 1e6)
    assert_secret_nowhere(stage, KEY)


def assert_secret_nowhere(stage: Stage, secret: str) -> None:
    found = [str(path) for path in stage.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    found += [reference.digest for _, reference, content in contents(stage.home) if secret.encode() in content]
    found += [line for entry in stage.ledger() if secret in (line := json.dumps(entry))]
    said = [stage.lines.get_nowait() for _ in range(stage.lines.qsize())]
    assert found + [line for line in said if secret in line] == []


def test_an_agent_without_the_gateway_s_token_gets_nothing(stage: Stage, tmp_path: Path, played: Endpoint) -> None:
    name = stage.calc(tmp_path)
    before = len(played.seen)
    curl = (
        "import urllib.request, urllib.error\n"
        "asked = urllib.request.Request('http://127.0.0.1:8080/v1/messages', b'{}')\n"
        "try:\n    urllib.request.urlopen(asked, timeout=3)\n"
        "    print('SPOKE')\nexcept OSError as error:\n    print('NOTHING', error)\n"
    )

    task = stage.ask("adding subtracts, fix it", name, ["python3", "-c", curl])

    assert "SPOKE" not in stage.thread(task["task_id"])
    assert "NOTHING" in stage.thread(task["task_id"])
    assert len(played.seen) == before


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("[bounds]\ncap_usd = 0.0001\n", "GL-BUDGET-001"),
        ('[model]\nmodel = "claude-of-tomorrow-9"\n', "GL-BUDGET-002"),
    ],
)
def test_money_that_is_not_there_or_not_known_stops_the_run_in_words(
    played: Endpoint, tmp_path: Path, settings: str, code: str
) -> None:
    before = len(played.seen)
    with staged(AT_HOME + settings, played.env, OPEN) as stage:
        task = ask(stage, stage.calc(tmp_path))
        thread = stage.thread(task["task_id"])

    assert task["status"] == "handed_over"
    assert code in thread
    assert task["cost_usd"] == 0
    assert len(played.seen) == before


def test_a_wrong_key_is_the_operators_to_mend_and_is_not_shown(tmp_path: Path, played: Endpoint) -> None:
    env = {"ANTHROPIC_API_KEY": "sk-wrong-one-of-all", "ANTHROPIC_BASE_URL": played.url}
    with staged(AT_HOME, env, OPEN) as stage:
        task = ask(stage, stage.calc(tmp_path))
        thread = stage.thread(task["task_id"])
        assert_secret_nowhere(stage, "sk-wrong-one-of-all")

    assert task["status"] == "handed_over"
    assert "GL-GATEWAY-010" in thread


def test_without_a_key_a_model_is_asked_for_in_words(tmp_path: Path) -> None:
    with staged() as stage:
        name = stage.calc(tmp_path)
        asked = stage.cli("ask", "adding subtracts, fix it", "--repo", name, "--as", "ada")
        other = stage.ask("adding subtracts, fix it", name, script("sed -i 's/a - b/a + b/' calc.py"))

    assert asked.code == 1
    assert "GL-AGENT-004" in asked.out
    assert "ANTHROPIC_API_KEY" in asked.out
    assert other["status"] == "in_review"
