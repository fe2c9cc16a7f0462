"""Event logs: one event for each entry, by the schemas of those who read them."""

import json
import re
from datetime import datetime
from typing import Any

import jsonschema
import openlineage.client.event_v2 as client
import pytest

from greylag.governance.exports import Install, Period, ai_act_log, ocsf_events, openlineage_events
from greylag.governance.exports.events import moment, uuid_of
from greylag.governance.question import Target
from tests.support.source import ROOT
from tests.support.synthetic_ledger import ENDPOINT, PERSONAL, VAULT, SyntheticLedger, facts_for_tests

FACTS = facts_for_tests()
INSTALL = Install("greylag", "1.2.3", "local", "DE", controller="Music GmbH")
HOSTILE = "\u202e</script>\n=1\x00"


def ledger() -> SyntheticLedger:
    found = SyntheticLedger()
    found.task("task_1")
    found.decide("prompt", "prompt", ENDPOINT, label=PERSONAL, content="a", permitted=False, principal="agent:run_1")
    found.decide("prompt", "prompt", Target("endpoint", "nobody"), label=PERSONAL, content="b", outcome="broken_off")
    found.decide("tool", "requirements", Target("host", "package-index"), task="", repository="", action="install")
    found.decide("artifact", HOSTILE, Target("store", HOSTILE), content="c", principal="", action=HOSTILE)
    found.decide("trace", "diff", VAULT, principal="person:bob", action="read:review")
    return found


def events(make: Any) -> list[dict[str, Any]]:
    made = make(ledger().entries, INSTALL) if make is ai_act_log else make(ledger().entries, FACTS, INSTALL)
    return [json.loads(json.dumps(each)) for each in made]


@pytest.mark.parametrize("make", [ai_act_log, openlineage_events, ocsf_events])
def test_each_entry_is_one_event_and_a_period_narrows(make: Any) -> None:
    entries = ledger().entries
    assert len(events(make)) == len(entries)
    arguments = (INSTALL,) if make is ai_act_log else (FACTS, INSTALL)
    assert list(make(entries, *arguments, Period(until="2026-11-02"))) == []


def test_the_ai_act_log_can_be_held_against_the_ledger() -> None:
    entries, log = ledger().entries, events(ai_act_log)
    for event in log:
        entry = entries[event["ledger_index"]]
        assert datetime.fromisoformat(event["at"]) == datetime.fromisoformat(str(entry["at"]))
        assert (
            event["event"] == "outcome" if entry["kind"] == "outcome" else event["decision_id"] == entry["decision_id"]
        )
    refused = [event for event in log if event["event"] == "refused"]
    assert [event["target"]["name"] for event in refused] == ["anthropic"]
    assert {event["person_involved"] for event in log if event["event"] == "use_started"} == {"ann-task_1"}


def test_an_openlineage_run_starts_is_seen_or_fails() -> None:
    runs: dict[str, list[str]] = {}
    for event in events(openlineage_events):
        runs.setdefault(event["run"]["runId"], []).append(event["eventType"])
    kinds = {tuple(each) for each in runs.values()}
    assert kinds == {("START",), ("START", "COMPLETE"), ("START", "ABORT"), ("FAIL",)}


def test_openlineage_facets_tell_place_company_and_transfer() -> None:
    event = next(
        each for each in events(openlineage_events)
        if each["outputs"] and each["outputs"][0]["namespace"] == "greylag://endpoint/anthropic"
        and each["job"]["name"] == "prompt"
    )  # fmt: skip
    facets = event["outputs"][0]["facets"]
    assert facets["greylag_jurisdiction"]["residency"] == ["US"]
    assert facets["greylag_processor"]["subProcessors"] == ["Cloud Co"]
    unknown = next(
        each for each in events(openlineage_events)
        if each["outputs"] and each["outputs"][0]["namespace"] == "greylag://endpoint/nobody"
    )["outputs"][0]["facets"]  # fmt: skip
    assert unknown["greylag_jurisdiction"]["residency"] == ["unknown"]
    assert unknown["greylag_transfer"]["regimes"][0]["uncovered"] == ["unknown"]
    assert event["run"]["facets"]["parent"]["run"]["runId"] == uuid_of("task", "task_1")


def test_openlineage_events_are_what_its_own_client_makes() -> None:
    for event in events(openlineage_events):
        made = client.RunEvent(
            eventTime=event["eventTime"], producer=event["producer"], eventType=client.RunState(event["eventType"]),
            run=client.Run(event["run"]["runId"]), job=client.Job(event["job"]["namespace"], event["job"]["name"]),
            inputs=[client.InputDataset(each["namespace"], each["name"]) for each in event["inputs"]],
            outputs=[client.OutputDataset(each["namespace"], each["name"]) for each in event["outputs"]],
        )  # fmt: skip
        assert made.schemaURL == event["schemaURL"]


def test_openlineage_facets_fit_their_published_schemas() -> None:
    schema = json.loads((ROOT / "docs" / "reference" / "openlineage-facets.json").read_text())
    count = 0
    for event in events(openlineage_events):
        for holder in (event["run"], *event["inputs"], *event["outputs"]):
            for facet in holder["facets"].values():
                base, _, pointer = facet["_schemaURL"].partition("#")
                if base == schema["$id"]:
                    validator = jsonschema.Draft202012Validator({**schema, "$ref": f"#{pointer}"})
                    assert [error.message for error in validator.iter_errors(facet)] == []
                    count += 1
    assert count > 60
    broken = jsonschema.Draft202012Validator({**schema, "$ref": "#/$defs/JurisdictionDatasetFacet"})
    assert list(broken.iter_errors({"residency": []}))


def test_ocsf_events_fit_the_schema_of_their_class() -> None:
    schema = json.loads((ROOT / "tests" / "assets" / "schemas" / "ocsf-1.5.0-api-activity.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    found = events(ocsf_events)
    assert [error.message for event in found for error in validator.iter_errors(event)] == []
    assert list(validator.iter_errors({**found[0], "made_up": 1}))
    assert list(validator.iter_errors({name: value for name, value in found[0].items() if name != "actor"}))


def test_ocsf_says_allowed_denied_or_observed_and_its_ids_fit_together() -> None:
    for event in events(ocsf_events):
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["time"] > 1_700_000_000_000
        assert (event["action_id"], event["disposition_id"]) in {(1, 1), (2, 2), (3, 17)}
    denied = [event for event in events(ocsf_events) if event["action_id"] == 2]
    assert [event["unmapped"]["reach"] for event in denied] == [["IN", "US"]]


def test_ids_are_uuids_and_an_odd_time_is_seen_and_not_lost() -> None:
    form = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(form.fullmatch(uuid_of("decision", str(number))) for number in range(200))
    assert len({uuid_of("a", "b"), uuid_of("ab", ""), uuid_of("a", "bc")}) == 3
    assert moment("yesterday").year == 1970
    assert moment("2026-01-01").tzinfo is not None
