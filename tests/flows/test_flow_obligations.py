"""A model that works abroad, run by somebody else: what may go there goes, changed as policy asks, and on record."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_stage import Stage, contents, staged

ROW = """source = "made up for this test"
retrieved = 2026-11-20
status = "in_force"
certainty = "O"
"""
ABROAD = f"""schema_version = 2

[[processor]]
name = "Far Inc."
legal_entity = "Far Inc."
seat = "US"
{ROW}
[[target]]
kind = "endpoint"
name = "scripted"
processing = ["US"]
storage = ["US"]
support = ["US"]
control_plane = ["US"]
processor = "Far Inc."
pinned = true
trains_by_default = false
retention_days = 0
{ROW}
[[mechanism]]
name = "idta-far"
kind = "idta"
regime = "uk-gdpr"
processor = "Far Inc."
importers = ["US"]
assessment = "TRA 7"
assessed_on = 2026-10-01
assessed_by = "the officer"
{ROW}
[[opening]]
kind = "endpoint"
name = "scripted"
max_level = "internal"
{ROW}"""
PEOPLE = "account,sort_code,date,amount,currency,type\n" + "".join(
    f"{40000000 + number:08d},20-45-{number:02d},2026-10-{number % 28 + 1:02d},{number}.5{number % 10},GBP,card\n"
    for number in range(60)
)
MAIL = "marigold.quince@firstbank.example.com"
ADDS = {"say": "Adding.", "tools": [{"name": "shell", "command": "sed -i 's/a - b/a + b/' calc.py"}]}
CASSETTES = {
    name: {
        "v": 1, "name": name, "when": words, "side": {"say": name},
        "scenes": [{"prompt": "", "turns": [ADDS, {"say": "It adds now."}]}],
    }
    for name, words in (("sums", "totals differ"), ("mail", "says that adding subtracts"))
}  # fmt: skip


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("cassettes")
    for name, cassette in CASSETTES.items():
        (folder / f"{name}.json").write_text(json.dumps(cassette))
    settings = f"""[region]
jurisdiction = "GB"

[model]
kind = "scripted"
cassettes = "{folder}"
"""
    with staged(settings, facts={"abroad": ABROAD}) as running:
        yield running


def entries(stage: Stage, task_id: str) -> list[dict[str, Any]]:
    mine = {each["decision_id"] for each in stage.ledger() if each.get("task_id") == task_id and "decision_id" in each}
    return [each for each in stage.ledger() if each.get("decision_id") in mine]


def test_raw_transactions_leave_the_country_as_sums_only_and_the_lowering_is_on_record(
    stage: Stage, tmp_path: Path
) -> None:
    rules = [{"pattern": "*.csv", "level": "confidential", "classes": ["finance.transaction"], "origins": ["GB"]}]
    name = stage.calc(tmp_path, path_rules=rules, origins=["GB"])
    task = stage.ask(
        "the totals differ from these payments, fix it", name, (), agent="claude",
        attachments=[{"name": "payments.csv", "text": PEOPLE}],
    )  # fmt: skip
    task_id = task["task_id"]
    assert task["status"] == "in_review", stage.thread(task_id)
    seen = entries(stage, task_id)
    told = [each for each in seen if each["kind"] == "decision" and each["asset"]["kind"] == "attachment"
            and each["stage"] == "context"]  # fmt: skip
    assert [(each["round"], each["permitted"]) for each in told[:2]] == [(1, False), (2, True)]
    assert any("uk-finance" in rule or "raw" in rule for rule in told[0]["rules"]), told[0]["rules"]
    assert told[0]["obligations"] == ["aggregate"]
    assert "finance.transaction" in told[0]["asset"]["classes"]
    assert "finance.transaction" not in told[1]["asset"]["classes"]
    assert told[1]["supersedes"] == told[0]["decision_id"]
    lowered = [each for each in seen if each["kind"] == "declassification"]
    assert len(lowered) == 1
    assert lowered[0]["transformation"].startswith("aggregate@")
    assert lowered[0]["residual_findings"] == 0
    assert lowered[0]["input_digest"] == told[0]["asset"]["digest"]
    assert lowered[0]["output_digest"] == told[1]["asset"]["digest"]
    sent = [each for each in seen if each["kind"] == "decision" and each["stage"] == "prompt"]
    assert sent
    assert all(each["permitted"] for each in sent)
    prompt = stage.content(task_id, "prompt").decode()
    assert "aggregate before it came here" in prompt
    assert "40000007" not in prompt, "a row left as it was"
    assert {kind: text for _, kind, text in kept(stage, task_id)}["attachment"] == PEOPLE.encode(), "the vault keeps it"


SOMEBODY_ELSES_THREAD = f"""schema_version = 2

[[processor]]
name = "Chat Ltd"
legal_entity = "Chat Ltd"
seat = "GB"
{ROW}
[[target]]
kind = "chat"
name = "thread:local"
places = ["GB"]
processor = "Chat Ltd"
pinned = true
trains_by_default = false
retention_days = 30
uncovered_surfaces = ["title", "file_names"]
{ROW}
[[opening]]
kind = "chat"
name = "thread:local"
max_level = "confidential"
{ROW}"""


def test_a_thread_that_does_not_cover_titles_gets_a_link_in_place_of_words(tmp_path: Path) -> None:
    settings = '[region]\njurisdiction = "GB"\n\n[server]\npublic_url = "https://greylag.example.com"\n'
    with staged(settings, facts={"chat": SOMEBODY_ELSES_THREAD}) as running:
        name = running.calc(tmp_path, level="confidential", origins=["GB"])
        task = running.ask("Zwiebelfisch: adding subtracts, fix it", name)
        said = running.messages(task["task_id"])
        assert task["status"] == "in_review", running.thread(task["task_id"])
        assert len(said) > 3
        for each in said:
            assert "Zwiebelfisch" not in each["text"]
            assert f"https://greylag.example.com/tasks/{task['task_id']}" in each["text"]
        posted = [each for each in running.ledger() if each["kind"] == "decision" and each["stage"] == "chat"]
        assert {(each["round"], each["permitted"]) for each in posted} == {(1, False), (2, True)}
        assert {tuple(each["obligations"]) for each in posted if not each["permitted"]} == {
            ("link-instead-of-content",)
        }


def test_an_address_in_a_prompt_is_a_pseudonym_abroad_and_itself_at_home(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path, origins=["GB"])
    task = stage.ask(f"{MAIL} says that adding subtracts, fix it", name, (), agent="claude")
    task_id = task["task_id"]
    assert task["status"] == "in_review", stage.thread(task_id)
    seen = entries(stage, task_id)
    rounds = [each for each in seen if each["kind"] == "decision" and each["stage"] == "prompt"]
    assert {(each["round"], each["permitted"]) for each in rounds} == {(1, False), (2, True)}
    assert all(each["discharged"]["applied"] == ["pseudonymise"] for each in rounds if each["permitted"])
    assert all(each["asset"]["subjects"] for each in rounds), "a person's data can be found by its mark"
    assert MAIL not in json.dumps(stage.ledger()), "the ledger holds no content"
    assert MAIL in stage.content(task_id, "prompt").decode()


def kept(stage: Stage, task_id: str) -> list[tuple[str, str, bytes]]:
    """Return what the vault holds of a task; the platform is stopped by nobody for that."""
    return [(task, reference.kind, text) for task, reference, text in contents(stage.home) if task == task_id]
