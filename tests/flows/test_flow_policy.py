"""Why a decision is as it is: over HTTP, in pages without scripts, and on the command line."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flow_stage import Stage, make_repository, staged

HOSTILE = "</code><script>alert(1)</script>\u202e\x1b[31m"
#: A chat of the operator's own, elsewhere; and an opening that comes later.
FACTS = """
schema_version = 2

[[target]]
kind = "chat"
name = "away"
places = ["US"]
processor = ""
pinned = true
trains_by_default = false
source = "a test"
retrieved = 2026-01-02
status = "in_force"
certainty = "O"
"""
OPENED = """
schema_version = 2

[[opening]]
kind = "endpoint"
name = "anthropic"
max_level = "internal"
source = "a test"
retrieved = 2026-01-02
status = "in_force"
certainty = "O"
"""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    settings = '[region]\njurisdiction = "GB"\n[bounds]\nattempts = 1\n'
    with staged(settings, facts={"own": FACTS}) as running:
        yield running


@pytest.fixture(scope="module")
def task(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A task that came to rest, on confidential data from the UK."""
    name = stage.calc(tmp_path_factory.mktemp("calc"), level="confidential", origins=["GB"])
    found: dict[str, Any] = stage.ask("make add add", name)
    return found


@pytest.fixture(scope="module")
def refused(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a denial: a repository that holds secrets goes to no forge."""
    source = make_repository(tmp_path_factory.mktemp("secret") / "vaulted", {"a.txt": "a\n"})
    body = {"name": "vaulted", "source": str(source), "classes": ["secret"], "origins": ["GB"]}
    problem = stage.refused("/repositories", body, by="grace")
    assert problem["status"] == 451
    return problem["decision_id"]


@pytest.fixture
def browser(stage: Stage) -> Iterator[httpx.Client]:
    """Somebody with one role, signed in, without scripts."""
    with httpx.Client(base_url=stage.url, timeout=60, trust_env=False, follow_redirects=True) as client:
        client.post("/login", data={"token": stage.tokens["ada"]}, headers={"origin": stage.url})
        yield client


def test_a_refusal_is_explained_in_the_world_it_was_made_in(stage: Stage, refused: str, browser: httpx.Client) -> None:
    found = stage.get(f"/policy/decisions/{refused}")
    told = found["explanation"]
    assert (found["world"], found["reproduced"], found["notes"]) == ("recorded", True, [])
    assert found["decision"]["permitted"] is told["verdict"]["permitted"] is False
    assert "secret-in-content" in found["decision"]["rules"]
    assert [rule["rule_id"] for rule in told["rules"]] == found["decision"]["rules"]
    assert told["remedies"]
    assert told["alternatives"] or told["no_alternative"]
    assert len(told["one_line"]) <= 300
    shown = browser.get(f"/policy/decisions/{refused}").text
    assert "the same answer" in shown
    assert "What would turn it" in shown
    line = stage.cli("policy", "explain", refused, "--as", "ada")
    assert (line.code, line.out.splitlines()[0].split(":")[0]) == (0, "DENIED")
    assert "no legal advice" in line.out


def test_a_refusal_on_the_command_line_leads_to_why(stage: Stage, refused: str, tmp_path: Path) -> None:
    source = make_repository(tmp_path / "vaulted", {"a.txt": "a\n"})
    config = tmp_path / "own.toml"
    config.write_text('classes = ["secret"]\norigins = ["GB"]\n')
    answer = stage.cli("repo", "add", str(source), "--config", str(config), "--as", "grace")
    assert answer.code == 3
    way = next(line for line in answer.err.splitlines() if "why: greylag policy explain dec_" in line)
    assert stage.cli(*way.split("greylag ", 1)[1].split(), "--as", "grace").out.startswith("DENIED")


def test_each_decision_of_a_task_leads_to_why(stage: Stage, task: dict[str, Any], browser: httpx.Client) -> None:
    task_id = task["task_id"]
    found = stage.get(f"/policy/tasks/{task_id}")
    recorded = [e["decision_id"] for e in stage.ledger() if e.get("task_id") == task_id and e["kind"] == "decision"]
    assert [each["decision_id"] for each in found] == recorded
    assert {"intake", "placement", "checkout", "context", "artifact", "chat"} <= {each["stage"] for each in found}
    shown = browser.get(f"/tasks/{task_id}/decisions").text
    assert f'href="/tasks/{task_id}/decisions"' in browser.get(f"/tasks/{task_id}").text
    for stage_name in ("intake", "checkout", "chat"):
        decision = next(each["decision_id"] for each in found if each["stage"] == stage_name)
        assert f'href="/policy/decisions/{decision}"' in shown
        assert browser.get(f"/policy/decisions/{decision}").status_code == 200
        assert stage.get(f"/policy/decisions/{decision}")["reproduced"] is True
    told = stage.cli("policy", "explain", task_id, "--as", "ada")
    assert told.code == 0
    assert all(decision in told.out for decision in recorded)


def test_a_flow_that_has_not_happened(stage: Stage, browser: httpx.Client) -> None:
    flow = {
        "stage": "prompt", "target_kind": "endpoint", "target": "anthropic", "level": "internal",
        "classes": "user.contact.email", "origins": "DE",
    }  # fmt: skip
    before = len(stage.ledger())
    told = stage.get("/policy/explain", **flow)["explanation"]
    assert told["verdict"]["permitted"] is False
    assert {regime["name"] for regime in told["label"]["regimes"]} == {"eu-gdpr"}
    assert [axis["name"] for axis in told["target"]["axes"]] == [
        "residency", "processing", "storage", "support", "control plane", "sub-processors", "reach", "control",
        "provenance",
    ]  # fmt: skip
    page = browser.get("/policy/explain", params=flow)
    assert page.status_code == 200
    assert "denied" in page.text
    assert 'value="anthropic"' in page.text
    arguments = ("--stage", "prompt", "--endpoint", "anthropic", "--level", "internal", "--class", "user.contact.email")
    line = stage.cli("policy", "explain", *arguments, "--origin", "DE", "--as", "ada", "--json")
    assert line.json["explanation"]["verdict"]["rules"] == told["verdict"]["rules"]
    assert len(stage.ledger()) == before, "asking is no decision and moves nothing"


def test_a_repository_lends_its_label(stage: Stage, task: dict[str, Any]) -> None:
    flow = {"stage": "prompt", "target_kind": "endpoint", "target": "anthropic", "repository": task["repository"]}
    label = stage.get("/policy/explain", **flow)["explanation"]["label"]
    assert (label["level"], label["origins"]) == ("confidential", ["GB"])
    lower = stage.get("/policy/explain", **flow, level="public")["explanation"]["label"]
    assert lower["level"] == "confidential", "less than the repository's own can't be asked for"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"stage": "teleport"}, 400), ({"level": "secret"}, 400), ({"target_kind": "moon"}, 400), ({"target": ""}, 400),
        ({"at": "yesterday"}, 400), ({"principal": "root"}, 400), ({"repository": "nobody-has-it"}, 404),
        ({"classes": ",".join(map(str, range(100)))}, 400), ({"surprise": "x"}, 422), ({"stage": "x" * 300}, 422),
        ({"target": HOSTILE}, 200), ({"classes": HOSTILE}, 200), ({"principal": f"agent:{HOSTILE}"}, 200),
        ({"asset": "\x00"}, 200), ({"surfaces": HOSTILE}, 200),
    ],
)  # fmt: skip
def test_what_somebody_types_is_data(stage: Stage, browser: httpx.Client, change: dict[str, str], status: int) -> None:
    flow = {"stage": "prompt", "target_kind": "endpoint", "target": "anthropic"} | change
    answer = stage.call("GET", "/policy/explain", query=flow)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["code"].startswith("GL-")
        assert answer.json()["remedy"]
    page = browser.get("/policy/explain", params=flow)
    assert page.status_code in (status, 400), "what is not known is said beside the form"
    assert "<script>alert" not in page.text
    assert "\u202e" not in page.text.split("<form", 1)[0]


def test_rules_and_facts_can_be_read_by_anybody_signed_in(stage: Stage, browser: httpx.Client) -> None:
    found = stage.get("/policy")
    assert found["home_region"] == "local"
    assert "house-one-region" in {pack["name"] for pack in found["packs"]}
    stages = stage.get("/policy/matrix")
    assert len(stages) == 12
    assert all(each["permits"] and each["forbids"] for each in stages)
    shown = browser.get("/policy").text
    assert all(f'id="rule-{rule["rule_id"]}"' in shown for pack in found["packs"] for rule in pack["rules"])
    for path in ("/policy", "/facts", "/policy/explain", "/tasks/task_x/decisions", "/policy/decisions/dec_x"):
        answer = httpx.get(f"{stage.url}{path}", trust_env=False)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login")
    assert httpx.get(f"{stage.url}/api/v1/policy", trust_env=False).status_code == 401


def test_facts_are_searched_and_paged(stage: Stage, browser: httpx.Client) -> None:
    first = stage.get("/facts")
    assert (len(first["rows"]), first["page"]) == (50, 1)
    last = stage.get("/facts", page=first["pages"])
    assert len(last["rows"]) == first["total"] - 50 * (first["pages"] - 1)
    row = next(each for each in stage.get("/facts", search="EU-US-dpf")["rows"] if each["row"] == "adequacy/eu-us-dpf")
    assert row["source"]
    assert row["certainty"] in "ABCKMO"
    assert stage.get("/facts", search="no row is called this")["rows"] == []
    assert stage.get("/facts", page=10_000)["rows"] == []
    assert stage.call("GET", "/facts", query={"page": 0}).status_code == 422
    assert "eu-us-dpf" in browser.get("/facts", params={"search": "DPF"}).text
    assert "<script>alert" not in browser.get("/facts", params={"search": HOSTILE}).text


def test_no_such_decision(stage: Stage, browser: httpx.Client) -> None:
    for path in ("dec_0000", "dec_" + "0" * 26, "x" * 300, "%2e%2e"):
        answer = stage.call("GET", f"/policy/decisions/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "GL-EXPLAIN-001")
        assert browser.get(f"/policy/decisions/{path}").status_code == 404
    assert stage.call("GET", "/policy/tasks/task_" + "0" * 26).status_code == 404
    assert stage.cli("policy", "explain", "dec_0000", "--as", "ada").code == 2
    assert stage.cli("policy", "explain", "../../etc", "--as", "ada").code == 2
    assert stage.cli("policy", "explain", "--as", "ada").code == 2


def test_after_the_world_has_changed_the_recorded_one_still_explains(
    stage: Stage, refused: str, browser: httpx.Client
) -> None:
    """Last: facts and kept worlds of the platform are changed."""
    before = stage.get("/policy")["version"]
    (stage.home / "facts" / "opened.toml").write_text(OPENED)
    end = time.monotonic() + 30
    while stage.get("/policy")["version"] == before:
        assert time.monotonic() < end, "the platform takes changed facts up"
        time.sleep(0.2)
    assert [each["name"] for each in stage.get("/policy")["openings"]] == ["anthropic"]
    found = stage.get(f"/policy/decisions/{refused}")
    assert (found["world"], found["reproduced"]) == ("recorded", True)
    assert found["explanation"]["verdict"]["policy_version"] == before

    kept = stage.home / "worlds" / f"{before.removeprefix('world:')}.json"
    content = json.loads(kept.read_text())
    kept.write_text(json.dumps({**content, "home_region": "elsewhere"}))
    for _ in range(2):
        found = stage.get(f"/policy/decisions/{refused}")
        assert (found["world"], found["reproduced"]) == ("current", False)
        assert "can't be had" in found["notes"][0]
        assert "can&#39;t be had" in browser.get(f"/policy/decisions/{refused}").text
        kept.unlink(missing_ok=True)
