"""The data map of a platform at work: nine kinds of nine, found from its ledger; each look is a decision."""

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from flow_stage import MEND, PEOPLE, Stage, cli

NINE = {"request", "repository", "prompt", "transcript", "diff", "report", "build", "card", "evidence"}


@pytest.fixture(scope="module")
def task(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A task that went from asking to review: its id and its repository."""
    name = stage.calc(tmp_path_factory.mktemp("calc"))
    task_id = stage.start("adding subtracts, fix it", name, list(MEND))
    assert stage.rest(task_id)["status"] == "in_review"
    return task_id, name


@pytest.fixture
def browser(stage: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.url, timeout=60, trust_env=False) as client:
        yield client


def signed_in(stage: Stage, name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {stage.tokens[name]}"}


def test_nine_kinds_of_asset_are_located_with_evidence(
    stage: Stage, task: tuple[str, str], browser: httpx.Client
) -> None:
    found = browser.get("/api/v1/map", params={"task": task[0][:16]}, headers=signed_in(stage, "ada")).json()
    assert set(found["kinds"]) >= NINE
    assert {each["asset"]["task_id"] for each in found["located"]} == {task[0]}
    assert all(each["decisions"] for each in found["located"])
    assert found["coverage"]["observed"] > 0
    assert found["left_out"]["unread_entries"] == 0
    whole = browser.get("/api/v1/map", params={"repository": task[1]}, headers=signed_in(stage, "ada")).json()
    assert {each["asset"]["repository"] for each in whole["located"]} == {task[1]}


def test_the_command_line_finds_the_same_without_the_platform(
    stage: Stage, task: tuple[str, str], browser: httpx.Client
) -> None:
    answer = cli(stage.home, "map", "show", "--task", task[0], "--json", env=stage.env)
    assert answer.code == 0, answer.err
    online = browser.get("/api/v1/map", params={"task": task[0]}, headers=signed_in(stage, "ada")).json()
    assert [each["asset"] for each in answer.json["located"]] == [each["asset"] for each in online["located"]]


def test_the_person_who_asked_is_found_across_what_was_made(stage: Stage, task: tuple[str, str]) -> None:
    answer = cli(stage.home, "map", "show", "--person", "ada", "--json", env=stage.env)
    assert answer.code == 0, answer.err
    assert {"request", "prompt", "transcript", "report", "card"} <= set(answer.json["kinds"])


def test_the_page_works_without_scripts_and_pictures_are_whole(
    stage: Stage, task: tuple[str, str], browser: httpx.Client
) -> None:
    page = browser.get("/map", params={"repository": task[1]}, headers=signed_in(stage, "ada"))
    assert page.status_code == 200
    assert (
        page.text.index("at a place that was observed")
        < page.text.index('<form method="get"')
        < page.text.index("<table>")
    )
    assert "vault:local" in page.text
    assert " style=" not in page.text
    for picture in ("world", "lineage"):
        answer = browser.get(f"/map/{picture}.svg", headers=signed_in(stage, "ada"))
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        ElementTree.fromstring(answer.text)
    assert browser.get("/map/atlas.css").headers["content-type"].startswith("text/css")


def test_nobody_and_the_curious_see_nothing(stage: Stage, task: tuple[str, str], browser: httpx.Client) -> None:
    assert browser.get("/map").headers["location"] == "/login?next=/map"
    assert browser.get("/api/v1/map").status_code == 401
    curious = browser.get("/api/v1/map", params={"person": "grace"}, headers=signed_in(stage, "ada"))
    assert (curious.status_code, curious.json()["code"]) == (403, "GL-MAP-001")
    assert browser.get("/api/v1/map", params={"person": "ada"}, headers=signed_in(stage, "ada")).status_code == 200
    assert browser.get("/api/v1/map", params={"person": "ada"}, headers=signed_in(stage, "otto")).status_code == 200
    for odd in ("<script>", "../..", "x" * 61):
        assert browser.get("/api/v1/map", params={"task": odd}, headers=signed_in(stage, "ada")).status_code == 422
    assert browser.get("/api/v1/map", params={"task": "task_zz"}, headers=signed_in(stage, "ada")).status_code == 404
    assert browser.get("/map", params={"repository": "<b>none</b>"}, headers=signed_in(stage, "ada")).status_code == 200
    assert "auditor" in PEOPLE["otto"]


def test_each_look_is_a_decision_of_the_viewer(stage: Stage, task: tuple[str, str], browser: httpx.Client) -> None:
    browser.get("/map", params={"repository": task[1]}, headers=signed_in(stage, "otto"))
    entries = [json.loads(each["body"]) for each in stage.get("/ledger/entries", limit=1000)]
    looks = [entry for entry in entries if entry.get("action") == "read:map" and entry["principal"] == "person:otto"]
    assert looks
    assert {(each["stage"], each["asset"]["kind"], each["permitted"]) for each in looks} == {("trace", "map", True)}
    assert looks[-1]["repository"] == task[1]


def test_exports_are_made_beside_a_running_platform(stage: Stage, task: tuple[str, str], tmp_path: Path) -> None:
    for name in ("dora", "ocsf"):
        answer = cli(stage.home, "export", name, "--out", str(tmp_path / name), "--json", env=stage.env)
        assert answer.code == 0, answer.err
    made = cli(
        stage.home, "export", "statement", "--repository", task[1], "--out", str(tmp_path / "s.json"), "--json",
        env=stage.env,
    )  # fmt: skip
    key = made.json["public_key"]
    assert cli(stage.home, "evidence", "verify", str(tmp_path / "s.json"), "--key", key, env=stage.env).code == 0
    assert cli(stage.home, "evidence", "verify", str(tmp_path / "s.json"), "--key", "00" * 32, env=stage.env).code == 1
