"""First the recorded world, bit for bit; then the other one, added up in bounded memory."""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
import whatif_world as small
from hypothesis import given
from hypothesis import strategies as st
from whatif_world import TODAY, WORLD, ask, decided, drill, pair

from greylag.domain.errors import IntegrityError
from greylag.domain.stages import Stage
from greylag.governance.decision import Decision, decision_from, entry_of
from greylag.governance.policy import CedarPolicy
from greylag.governance.question import Target, Verdict
from greylag.governance.whatif import LiveThings, Outcome, Pair, Report, matrix_of, relabelled, replay, verify_baseline
from greylag.governance.whatif import report as reporting
from greylag.governance.whatif.matrix import labels_in_use
from greylag.governance.whatif.replay import MAX_MISMATCHES

POLICY = WORLD.policy(today=TODAY)
ANNULLED = {"kind": "fact", "rows": ["adequacy/framework"], "set": {"status": "annulled"}}
NOTHING = {"kind": "label", "repository": "no-such", "level": "restricted"}
ENDPOINTS = ("acme-us", "acme-eu", "beau", "shut", "nowhere")
CLASSES = ("user.behavior", "user.name", "code.proprietary", "code")
_OTHER: dict[str, Any] = {
    "permitted": False, "rules": ("t-other",), "reasons": ("because",), "remedies": ("none",), "facts": (),
    "policy_version": WORLD.version, "errors": ("broke",), "obligations": ("redact",), "certainty": "K",
}  # fmt: skip


def history() -> list[Decision]:
    """Return decisions on every class towards every endpoint, as the ledger would give them back."""
    made = [
        decided(ask(endpoint, *classes), number, repository=("shop", "till")[number % 2], policy=POLICY)
        for number, (endpoint, classes) in enumerate(
            (endpoint, classes) for endpoint in ENDPOINTS for classes in ((), *((each,) for each in CLASSES))
        )
    ]
    return [decision_from(entry_of(each)) for each in made]


def told(*changes: dict[str, object], live: LiveThings | None = None, decisions: list[Decision] | None = None) -> Any:
    """Return the document of a replay of `history` under these changes."""
    both, made = pair(*changes), drill(*changes)
    report = Report(made, live or LiveThings(), {"shop": "ada", "till": "grace"})
    for outcome in replay(decisions or history(), lambda _: both, relabelled(made)):
        report.add(outcome)
    return report.document(report.holding.affected(both, TODAY))


def test_the_recorded_world_answers_as_recorded() -> None:
    assert verify_baseline(history(), lambda _: POLICY) == ()


@pytest.mark.parametrize("field", [each.name for each in fields(Verdict) if each.name != "policy_version"])
def test_every_field_of_a_verdict_is_compared(field: str) -> None:
    good = decided(ask("acme-us", "user.behavior"), policy=POLICY)
    tampered = replace(good, verdict=replace(good.verdict, **{field: _OTHER[field]}))
    (found,) = verify_baseline([tampered], lambda _: POLICY)
    assert (found.decision_id, found.field) == (good.decision_id, field)


def test_a_mismatch_stops_the_replay_and_is_named() -> None:
    decisions = history()
    wrong = replace(decisions[3], verdict=replace(decisions[3].verdict, permitted=not decisions[3].verdict.permitted))
    both = pair(ANNULLED)
    outcomes = replay([*decisions[:3], wrong, *decisions[4:]], lambda _: both, relabelled(drill(ANNULLED)))
    seen: list[Outcome] = []
    with pytest.raises(IntegrityError) as caught:
        seen.extend(outcomes)
    assert caught.value.code == "GL-WHATIF-001"
    assert wrong.decision_id in caught.value.message
    assert "`permitted`" in caught.value.message
    assert len(seen) <= 3, "after the first mismatch nothing more is told"


def test_few_mismatches_are_looked_for() -> None:
    def all_wrong() -> Iterator[Decision]:
        for number in range(10**6):
            good = decided(ask("beau"), number, policy=POLICY)
            yield replace(good, verdict=replace(good.verdict, certainty="K"))

    assert len(verify_baseline(all_wrong(), lambda _: POLICY)) == MAX_MISMATCHES
    with pytest.raises(IntegrityError):
        list(replay(all_wrong(), lambda _: Pair(POLICY, POLICY, pair(NOTHING).changed), relabelled(drill(NOTHING))))


def test_a_replay_holds_one_decision_at_a_time() -> None:
    taken = 0

    def one_by_one() -> Iterator[Decision]:
        nonlocal taken
        for each in history():
            taken += 1
            yield each

    both = pair(ANNULLED)
    for number, _ in enumerate(replay(one_by_one(), lambda _: both, relabelled(drill(ANNULLED))), start=1):
        assert taken == number


def test_a_drill_that_changes_nothing_flips_nothing() -> None:
    document = told(NOTHING)
    assert (document["newly_denied"], document["newly_allowed"], document["for_other_reasons"]) == (0, 0, 0)
    assert document["decisions"] == len(history())
    assert document["flows"] == []


def test_the_framework_gone_takes_the_region_whose_support_reaches_out() -> None:
    document = told(ANNULLED)
    targets = {each["name"]: each["newly_denied"] for each in document["by"]["target"]}
    assert targets == {"endpoint/acme-us": 1, "endpoint/acme-eu": 1}
    assert {each["name"] for each in document["by"]["law"]} == {"transfers"}
    assert {each["name"] for each in document["by"]["rule"]} == {"t-transfer"}
    for flow in document["flows"]:
        assert flow["because"] == ["adequacy/framework"]
        assert [each["name"] for each in flow["fallback"]["targets"]] == ["beau"]
    assert document["cost"] == {
        "decisions": 2, "with_fallback": 2, "without_fallback": 0, "tasks": 2, "price_permille": 950,
        "fallback_price_permille": 1200,
    }  # fmt: skip


def test_flips_go_both_ways() -> None:
    document = told(
        {"kind": "opening", "target": "shut", "max_level": "internal"},
        {"kind": "opening", "target": "beau", "max_level": "closed"},
    )
    ways = {each["name"]: (each["newly_denied"] > 0, each["newly_allowed"] > 0) for each in document["by"]["target"]}
    assert ways == {"endpoint/shut": (False, True), "endpoint/beau": (True, False)}
    owners = {each["name"]: each["newly_denied"] + each["newly_allowed"] for each in document["by"]["owner"]}
    assert sum(owners.values()) == document["newly_denied"] + document["newly_allowed"]
    assert set(owners) == {"ada", "grace"}
    total = (
        document["newly_denied"] + document["newly_allowed"] + document["still_permitted"] + document["still_denied"]
    )
    assert total == document["decisions"]


def test_without_another_endpoint_the_reason_is_told() -> None:
    document = told({"kind": "parent", "processor": "Beau", "parent": "Acme"})
    (flow,) = document["flows"]
    assert flow["label"]["classes"] == ["code.proprietary"]
    assert flow["fallback"] == {"targets": [], "obligations": [], "none_because": "none: nobody else will do"}
    assert document["cost"]["without_fallback"] == 1


def test_what_would_open_a_flow_is_told() -> None:
    change = {"kind": "label", "class": "user.behavior", "add_classes": ["user.name"]}
    document = told(change, decisions=[decided(ask("beau", "user.behavior"), policy=POLICY)])
    assert document["flows"][0]["fallback"]["obligations"] == ["pseudonymise"]


def live_history() -> list[Decision]:
    stored = ask("vault", kind="store", stage=Stage.ARTIFACT)
    shown = ask("environment:shop/live", kind="environment", stage=Stage.DEPLOY)
    prompts = [decided(ask("acme-us", "user.behavior"), number, policy=POLICY) for number in (1, 2)]
    return [*prompts, decided(stored, 3, policy=POLICY), decided(shown, 4, policy=POLICY)]


def test_what_is_live_is_asked_again_as_of_today() -> None:
    lost = {"kind": "region-lost", "place": "home"}
    live = LiveThings({"task_1": "working"}, {"sha256:0": "shop-1.whl"})
    document = told(ANNULLED, lost, live=live, decisions=live_history())
    found = {(each["kind"], each["name"], each["state"]) for each in document["live"]["affected"]}
    assert found == {("run", "task_1", "working"), ("build", "shop-1.whl", "sha256:0")}
    assert document["live"]["asked"] == 2
    unconcerned = told(ANNULLED, live=LiveThings({"task_9": "working"}), decisions=live_history())
    assert unconcerned["live"]["affected"] == []


def test_what_is_refused_today_anyway_is_not_the_drills_doing() -> None:
    was = decided(ask("acme-us", "user.behavior"), 1, policy=POLICY)
    now = small.changed({"kind": "opening", "target": "acme-us", "max_level": "closed"}).world
    both = pair(ANNULLED)
    report = Report(drill(ANNULLED), LiveThings({"task_1": "working"}), {})
    for outcome in replay([was], lambda _: both, relabelled(drill(ANNULLED))):
        report.add(outcome)
    later = Pair(now.policy(today=TODAY), both.after, both.changed)
    assert report.holding.affected(later, TODAY) == ()
    assert len(report.holding.affected(both, TODAY)) == 1


def test_a_report_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "MAX_FLOWS", 3)
    monkeypatch.setattr(reporting, "MAX_NAMES", 2)
    decisions = [
        decided(ask("acme-us", "user.behavior"), number, repository=f"r{number}", policy=POLICY) for number in range(9)
    ]  # fmt: skip
    document = told(ANNULLED, decisions=decisions)
    assert (document["newly_denied"], len(document["flows"]), document["flows_left_out"]) == (9, 3, 6)
    assert [each["name"] for each in document["by"]["repository"]] == ["(others)", "r0", "r1"]


def test_decisions_of_several_worlds_are_each_asked_in_their_own() -> None:
    later = small.changed({"kind": "opening", "target": "shut", "max_level": "internal"}).world
    other = later.policy(today=TODAY)
    decisions = [decided(ask("shut"), 1, policy=POLICY), decided(ask("shut"), 2, policy=other)]
    assert [each.verdict.permitted for each in decisions] == [False, True]
    policies = {WORLD.version: POLICY, later.version: other}
    assert verify_baseline(decisions, policies.__getitem__) == ()
    assert verify_baseline(decisions, lambda _: POLICY) != ()


def test_the_matrix_shows_every_label_everywhere_and_what_moves() -> None:
    labels, more = labels_in_use(history())
    both = pair(ANNULLED)
    matrix = matrix_of(both, labels, today=TODAY, drilled=True, left_out=more)
    moved = {
        (cell.target, cell.stage) for cell in matrix.cells if cell.answer == "permit" and cell.after == "deny"
    }  # fmt: skip
    assert {target for target, _ in moved} == {"acme-us", "acme-eu"}
    assert {stage for _, stage in moved} == {str(stage) for stage in Stage}
    assert not any(cell.target == "shut" for cell in matrix.cells), "what is not open is no choice"
    until = {(cell.target, cell.obligations) for cell in matrix.cells if cell.answer == "until"}
    assert ("beau", ("pseudonymise",)) in until
    document = matrix.document()
    assert len(document["cells"]) == len(matrix.cells)  # type: ignore[arg-type]


@given(
    endpoint=st.sampled_from(ENDPOINTS), classes=st.sets(st.sampled_from(CLASSES)), stage=st.sampled_from(list(Stage)),
    who=st.sampled_from(["agent:a", "agent:b", "person:c", "platform:d", "agent:", "nobody", "agent:" + "x" * 300, ""]),
    level=st.sampled_from(["public", "internal", "restricted"]), size=st.sampled_from([0, 5, -1, True, 2**63]),
)  # fmt: skip
def test_what_is_remembered_is_what_would_have_been_answered(
    endpoint: str, classes: set[str], stage: Stage, who: str, level: str, size: Any
) -> None:
    """Verdicts are kept by what rules can see; a policy that has kept nothing yet must answer the same."""
    question = replace(ask(endpoint, *sorted(classes), stage=stage, level=level), principal=who)
    question = replace(question, asset=replace(question.asset, size_bytes=size))
    POLICY.decide(replace(question, principal="agent:somebody-else"))
    POLICY.decide(replace(question, asset=replace(question.asset, size_bytes=7)))
    FRESH._verdicts = {}
    assert POLICY.decide(question) == FRESH.decide(question)


FRESH = WORLD.policy(today=TODAY)


@pytest.mark.parametrize(
    "rule",
    [
        '@id("x") @clause("x") @reason("r") @no_remedy("n")'
        ' forbid (principal == Greylag::Agent::"a", action, resource);',
        '@id("x") @clause("x") @reason("r") @no_remedy("n") forbid (principal, action, resource)'
        ' when { principal == Greylag::Agent::"a" };',
        '@id("x") @clause("x") @reason("r") @no_remedy("n") forbid (principal, action, resource is Greylag::Target)'
        ' when { principal is Greylag::Agent && [principal].contains(Greylag::Agent::"a") };',
        '@id("x") @clause("x") @reason("{principal} asked") @no_remedy("n")'
        " forbid (principal is Greylag::Agent, action, resource);",
    ],
)
def test_a_rule_about_one_principal_is_never_answered_for_another(rule: str) -> None:
    policy = CedarPolicy((*WORLD.packs, small.pack("x", rule)), WORLD.book, "home", today=TODAY)
    assert policy.rules.names_principal
    first = policy.decide(replace(ask("beau"), principal="agent:a"))
    second = policy.decide(replace(ask("beau"), principal="agent:b"))
    assert first != second
    assert not POLICY.rules.names_principal


def test_an_unknown_target_is_nowhere_else_after_a_loss() -> None:
    both = pair({"kind": "region-lost", "jurisdiction": "DE"})
    question = replace(ask("acme-eu"), target=Target("pool", "other"))
    assert "region-lost" not in both.asked_after(question).rules
