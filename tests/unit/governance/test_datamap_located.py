"""Where everything is: from the ledger and the facts alone, with what is unknown shown as unknown."""

import pytest

from greylag.domain.labels import Label
from greylag.governance.datamap import DataMap, PersonRoles, Query, copies_of, map_document, path_of, project
from greylag.governance.question import Target
from tests.support.synthetic_ledger import (
    CHAT,
    ENDPOINT,
    INDEX,
    NINE,
    VAULT,
    SyntheticLedger,
    digest,
    facts_for_tests,
)

FACTS = facts_for_tests()
MARK = "sub_0123456789abcdef01234567"


def evidence(found: DataMap) -> dict[tuple[str, str], str]:
    """Return how sure each kind at each target is."""
    return {(each.asset.kind, each.target.name): each.evidence for each in found.located}


def test_nine_kinds_of_asset_are_located_nine_of_nine_each_with_its_decision() -> None:
    ledger = SyntheticLedger()
    ledger.task()
    found = project(ledger.entries, FACTS)
    decided = {str(entry["decision_id"]) for entry in ledger.entries if entry["kind"] == "decision"}
    assert set(NINE) <= set(found.kinds)
    for kind in NINE:
        copies = [each for each in found.located if each.asset.kind == kind]
        assert copies
        assert all(each.decisions and set(each.decisions) <= decided for each in copies)
        assert all(each.standing.residency == (("US",) if each.target == ENDPOINT else ("DE",)) for each in copies)


def test_a_person_is_found_across_prompt_transcript_build_log_and_chat() -> None:
    ledger = SyntheticLedger()
    ledger.task("task_1")
    ledger.task("task_2", mark=MARK)
    found = project(ledger.entries, FACTS, query=Query(people=frozenset({MARK})))
    assert {each.asset.task_id for each in found.located} == {"task_2"}
    assert set(found.kinds) == {"prompt", "transcript", "report", "message", "card"}
    assert {each.target for each in found.located} == {VAULT, ENDPOINT, CHAT}


def test_a_person_is_found_by_what_they_asked_and_never_by_what_they_read() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "diff", VAULT, outcome="stored")
    ledger.decide("artifact", "request", VAULT, principal="person:ann")
    ledger.decide("trace", "diff", VAULT, principal="person:ann", action="read:review")
    found = project(ledger.entries, FACTS, query=Query(people=frozenset({"person:ann"})))
    assert found.kinds == ("request",)


def test_a_decision_alone_is_declared_and_an_outcome_at_an_own_place_is_observed() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "diff", VAULT)
    ledger.decide("artifact", "report", VAULT, outcome="stored")
    found = project(ledger.entries, FACTS)
    assert evidence(found) == {("diff", "vault:local"): "declared", ("report", "vault:local"): "observed"}
    assert (found.coverage.assets, found.coverage.observed, found.coverage.declared) == (2, 1, 1)
    assert found.coverage.percent == 50


@pytest.mark.parametrize(
    ("place", "sure", "contradicted"),
    [
        ("us", "observed", False),
        ("US", "observed", False),
        ("", "declared", False),
        ("not_available", "declared", False),
        ("global", "declared", False),
        ("somewhere nice", "declared", False),
        ("DE", "observed", True),
        ("eu", "observed", True),
    ],
)
def test_that_a_company_answered_says_nothing_of_where(place: str, sure: str, contradicted: bool) -> None:
    ledger = SyntheticLedger()
    ledger.decide("prompt", "prompt", ENDPOINT, outcome="sent", place=place)
    (copy,) = project(ledger.entries, FACTS).located
    assert (copy.evidence, copy.contradicted, copy.arrived) == (sure, contradicted, True)
    assert copy.observed_place == place


def test_a_target_without_a_row_stays_unknown_whatever_arrives() -> None:
    ledger = SyntheticLedger()
    ledger.decide("prompt", "prompt", Target("endpoint", "nobody"), outcome="sent")
    found = project(ledger.entries, FACTS)
    (copy,) = found.located
    assert (copy.evidence, copy.standing.known, copy.standing.control) == ("unknown", False, ("unknown",))
    assert [(use.code, use.unknown) for use in found.uses] == [("unknown", 1)]
    assert found.coverage.unknown == 1
    assert any(reader.kind == "state" and reader.name == "unknown" for reader in found.readers)


def test_an_own_region_whose_jurisdiction_nobody_said_is_a_place_in_an_unknown_country() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "diff", VAULT, outcome="stored")
    found = project(ledger.entries, facts_for_tests("unknown"))
    (copy,) = found.located
    assert (copy.evidence, copy.standing.places, copy.standing.residency) == ("observed", ("local",), ("unknown",))
    assert [use.code for use in found.uses] == ["unknown"]


def test_a_refusal_is_no_place_and_stands_in_the_path() -> None:
    ledger = SyntheticLedger()
    refused = ledger.decide("prompt", "prompt", ENDPOINT, permitted=False)
    found = project(ledger.entries, FACTS)
    assert found.located == ()
    assert [(step.decision_id, step.permitted, step.rules) for step in found.steps] == [
        (refused, False, ("house.keep-at-home",))
    ]
    assert found.coverage.assets == 0


def test_what_was_never_sent_is_nowhere() -> None:
    ledger = SyntheticLedger()
    ledger.decide("prompt", "prompt", ENDPOINT, outcome="not_sent")
    assert project(ledger.entries, FACTS).located == ()
    ledger.decide("prompt", "prompt", ENDPOINT, outcome="sent")
    assert len(project(ledger.entries, FACTS).located) == 1


def test_choosing_an_endpoint_and_reading_move_nothing() -> None:
    ledger = SyntheticLedger()
    ledger.decide("placement", "run", ENDPOINT)
    ledger.decide("trace", "diff", VAULT, principal="person:ann", action="read:review")
    found = project(ledger.entries, FACTS)
    assert found.located == ()
    assert [step.reads for step in found.steps] == [False, True]


def test_the_path_is_in_order_from_where_to_where_with_what_was_seen() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "prompt", VAULT, content="x", outcome="stored")
    ledger.decide("prompt", "prompt", ENDPOINT, content="x", permitted=False)
    ledger.decide("prompt", "prompt", ENDPOINT, content="x", outcome="sent", place="us")
    found = project(ledger.entries, FACTS)
    asset = found.located[0].asset
    assert asset.digest == digest("x")
    assert [
        (step.stage, step.origin, step.permitted, step.outcome, step.observed_place) for step in path_of(found, asset)
    ] == [
        ("artifact", "local", True, "stored", ""),
        ("prompt", "local", False, "", ""),
        ("prompt", "local", True, "sent", "us"),
    ]
    assert [each.target.name for each in copies_of(found, asset)] == ["vault:local", "anthropic"]
    assert [step.index for step in found.steps] == [0, 2, 3]


def test_the_platforms_own_hops_are_among_them() -> None:
    ledger = SyntheticLedger()
    ledger.decide("tool", "requirements", INDEX, task="", repository="", action="install", outcome="fetched")
    ledger.decide("retain", "database", Target("store", "backup:local"), task="", repository="", action="backup")
    ledger.decide("trace", "spans", Target("exporter", "otlp"), task="", repository="", action="export")
    ledger.task()
    found = project(ledger.entries, FACTS)
    own = {(flow.stage, flow.target.name) for flow in found.flows if flow.own}
    assert own == {("tool", "package-index"), ("retain", "backup:local"), ("trace", "otlp")}
    assert {("intake", "control-plane")} <= {(flow.stage, flow.target.name) for flow in found.flows}
    assert {each.asset.kind for each in found.located if not each.asset.task_id} == {
        "requirements",
        "database",
        "spans",
    }


def test_who_can_read_names_people_services_companies_and_states() -> None:
    ledger = SyntheticLedger()
    ledger.task()
    ledger.decide("trace", "diff", VAULT, principal="person:bob", action="read:review")
    ledger.decide("trace", "diff", VAULT, principal="person:bob", action="read:review", content="y", permitted=False)
    found = project(ledger.entries, FACTS, people=[PersonRoles("bob", ("reviewer",)), PersonRoles("cleo", ())])
    readers = {(each.kind, each.name): each for each in found.readers}
    assert (readers["person", "bob"].times, readers["person", "bob"].refused) == (1, 1)
    assert readers["person", "cleo"].times == 0
    assert readers["person", "ann-task_1"].times == 1
    assert ("service", "platform:greylag") in readers
    assert readers["service", "agent:run_task_1"].times == 1
    assert ("processor", "Anthropic PBC (Anthropic Ireland, Limited)") in readers
    assert ("sub-processor", "Cloud Co") in readers
    assert "can compel Anthropic PBC" in readers["state", "US"].why
    assert "its territory holds" in readers["state", "DE"].why


def test_a_parents_state_can_compel() -> None:
    ledger = SyntheticLedger()
    ledger.decide("prompt", "prompt", Target("endpoint", "european"))
    found = project(ledger.entries, FACTS)
    assert {each.name for each in found.readers if each.kind == "state"} == {"FR", "SE", "US"}
    assert [(use.code, use.total, use.spread) for use in found.uses] == [("FR", 0, 1), ("SE", 0, 1)]


def test_erasure_is_declared_until_it_is_seen_and_later_copies_are_there_again() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "diff", VAULT, outcome="stored")
    ledger.decide("retain", "task", VAULT, action="erase", content="t")
    (copy,) = project(ledger.entries, FACTS).located
    assert copy.erased == "declared"
    assert project(ledger.entries, FACTS).coverage.assets == 0
    ledger.decide("retain", "task", VAULT, action="erase", content="t", outcome="erased")
    assert project(ledger.entries, FACTS).located[0].erased == "observed"
    ledger.decide("artifact", "diff", VAULT, outcome="stored")
    assert project(ledger.entries, FACTS).located[0].erased == ""


def test_a_refused_retention_erases_and_a_decided_one_has_its_days() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "diff", VAULT)
    ledger.decide("artifact", "diff", VAULT, task="task_2")
    ledger.decide("retain", "task", VAULT, action="retain-90-days", content="t")
    ledger.decide("retain", "task", VAULT, task="task_2", action="retain-90-days", permitted=False, content="t")
    first, second = project(ledger.entries, FACTS).located
    assert (first.retain_days, first.erased) == (90, "")
    assert (second.retain_days, second.erased) == (None, "declared")


def test_a_repository_that_becomes_known_later_is_the_tasks_from_the_beginning() -> None:
    ledger = SyntheticLedger()
    ledger.task("task_1", "music")
    ledger.task("task_2", "bank")
    found = project(ledger.entries, FACTS, query=Query(repository="bank"))
    assert {each.asset.task_id for each in found.located} == {"task_2"}
    assert {each.asset.repository for each in found.located} == {"bank"}
    assert "request" in found.kinds
    narrowed = project(ledger.entries, FACTS, query=Query(task_id="task_1"))
    assert {each.asset.repository for each in narrowed.located} == {"music"}
    whole = project(ledger.entries, FACTS)
    assert len(found.located) + len(narrowed.located) == len(whole.located)


def test_declassifications_are_told() -> None:
    ledger = SyntheticLedger()
    label = {"level": "restricted", "classes": ["finance.transaction"], "origins": ["GB"]}
    ledger.add(
        {
            "kind": "declassification", "declassification_id": "dcl_1", "task_id": "task_1", "repository": "bank",
            "region": "local", "transformation": "aggregate", "parameters": {}, "before": label,
            "after": {"level": "internal"}, "input_digest": "sha256:a", "output_digest": "sha256:b",
            "scanner_version": "1", "residual_findings": 0, "by": "platform",
        }
    )  # fmt: skip
    (each,) = project(ledger.entries, FACTS).declassified
    assert (each.transformation, each.before.level, each.after.level) == ("aggregate", "restricted", "internal")
    assert project(ledger.entries, FACTS, query=Query(repository="music")).declassified == ()


def test_the_label_is_the_one_last_decided_on() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "diff", VAULT, label=Label.of("restricted"))
    ledger.decide("artifact", "diff", VAULT, label=Label.of("internal"), action="again")
    (copy,) = project(ledger.entries, FACTS).located
    assert (copy.label.level, copy.times) == ("internal", 2)


def test_the_same_ledger_gives_the_same_map() -> None:
    first, second = SyntheticLedger(), SyntheticLedger()
    for ledger in (first, second):
        ledger.task("task_1", mark=MARK)
        ledger.task("task_2", seen=False)
    assert map_document(project(first.entries, FACTS)) == map_document(project(second.entries, FACTS))
