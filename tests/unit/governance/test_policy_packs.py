"""The shipped packs: every example, alone and all together; what they owe their readers; what they leave usable."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from greylag.domain.errors import OperatorError
from greylag.domain.labels import LEVELS, Label
from greylag.domain.stages import Stage
from greylag.governance.facts import Adequacy, Basis, FactBook, Opening, Place, Processor, TargetFact, own_target
from greylag.governance.policy import CedarPolicy, check_examples
from greylag.governance.policy.examples import moved_examples
from greylag.governance.policy.pack import Rule
from greylag.governance.question import Asset, Discharged, Question, Target, Verdict
from tests.support.policies import (
    BASE,
    NAMES,
    TODAY,
    all_together,
    given,
    in_force,
    joined,
    law,
    library,
    pack,
    policy,
    shipped,
    with_required,
)

EXAMPLES = [(name, example) for name in NAMES for example in given(name).examples]
RULES = [(name, rule) for name in NAMES for rule in pack(name).rules]
LAW_PACKS = [name for name in NAMES if pack(name).kind == "law"]
AT = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)

#: Who may do what in the base pack, so that a stage can be asked about at all.
USUAL: Mapping[Stage, tuple[str, str]] = {
    Stage.INTAKE: ("person:ada", "store"),
    Stage.PLACEMENT: ("platform:greylag", "pool"),
    Stage.CHECKOUT: ("platform:greylag", "sandbox"),
    Stage.CONTEXT: ("agent:claude", "sandbox"),
    Stage.PROMPT: ("agent:claude", "endpoint"),
    Stage.TOOL: ("agent:claude", "host"),
    Stage.ARTIFACT: ("platform:greylag", "store"),
    Stage.CHAT: ("platform:greylag", "chat"),
    Stage.PUSH: ("platform:greylag", "forge"),
    Stage.DEPLOY: ("platform:greylag", "environment"),
    Stage.TRACE: ("platform:greylag", "exporter"),
    Stage.RETAIN: ("platform:greylag", "store"),
}
#: What one pack allows and another one in force does not, and by which of its rules: each of these is meant.
MEANT: Mapping[tuple[str, str], set[str]] = {
    # What the law leaves to a decision, the house has decided.
    ("dora", "and may accept"): {"control-not-approved"},
    ("eu-data-act", "to one whose measures are on record it may go"): {"control-not-approved"},
    (BASE, "a public prompt may"): {"never-to-a-trainer"},
    (BASE, "the text of a card may go to the workspace"): {"control-not-approved"},
    (BASE, "with a link in their place nothing is uncovered"): {"control-not-approved"},
    # The same data is under another law as well.
    ("uk-finance-raw-stays", "transactions from elsewhere are not for this pack"): {
        "dora-contract-missing", "dora-request-names-place",
    },
    ("us-dsp", "nor at a company out of reach of every country of concern"): {
        "hipaa-no-associate-agreement", "hipaa-minimum-necessary",
    },
    ("us-dsp", "a hundred are below the threshold"): {
        "hipaa-no-associate-agreement", "hipaa-minimum-necessary", "hipaa-place-not-analysed",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_each_pack_hold_and_meet_every_rule(name: str) -> None:
    assert check_examples(pack(name), with_required(name)[:-1], library()) == []


@pytest.mark.parametrize("name", NAMES)
def test_each_pack_shows_what_it_allows_denies_and_opens_again(name: str) -> None:
    expected = {example.expect for example in given(name).examples}
    assert {"allow", "deny"} <= expected or {"allow", "deny-until"} <= expected
    if any(rule.obligations for rule in pack(name).rules):
        assert "deny-until" in expected
    ids = {rule.rule_id for rule in pack(name).rules}
    explained = {example.rule for example in given(name).examples if example.expect != "allow"} - {"no-match"}
    assert {rule.rule_id for rule in pack(name).rules if rule.effect == "forbid"} == explained & ids


def test_what_one_pack_allows_and_another_denies_is_meant() -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for name, example in EXAMPLES:
        if pack(name).status != "in_force":
            continue
        verdict = all_together(name, example.home_region).decide(example.question)
        assert verdict.errors == ()
        if example.expect == "allow" and not verdict.permitted:
            found[name, example.title] = set(verdict.rules)
    assert found == MEANT


def test_packs_together_never_permit_what_one_of_them_denies() -> None:
    for name, example in EXAMPLES:
        if pack(name).status == "in_force" and example.expect != "allow":
            verdict = all_together(name, example.home_region).decide(example.question)
            assert not verdict.permitted, (name, example.title)
            assert example.rule in verdict.rules or example.rule == "no-match"
            assert verdict.remedies


# What a pack owes its reader


@pytest.mark.parametrize("name", LAW_PACKS)
def test_a_law_pack_forbids_only_and_stands_on_the_base(name: str) -> None:
    assert {rule.effect for rule in pack(name).rules} == {"forbid"}
    assert pack(name).requires == (BASE,)


@pytest.mark.parametrize("name", [name for name in LAW_PACKS if pack(name).status == "in_force"])
def test_every_rule_of_a_law_pack_cites_a_clause_and_a_row_of_law(name: str) -> None:
    for rule in pack(name).rules:
        assert rule.clause
        assert rule.law, rule.rule_id


def test_every_regime_in_the_shipped_facts_has_one_pack_that_speaks_for_it() -> None:
    regimes = {row.name for row in law().as_of(date(2027, 6, 1), date(2027, 6, 1)).regimes()}
    spoken = sorted(regime for each in in_force() for regime in each.regimes)
    assert spoken == sorted(regimes)


@pytest.mark.parametrize(("name", "rule"), RULES, ids=[rule.rule_id for _, rule in RULES])
def test_a_rule_explains_itself_in_one_plain_sentence(name: str, rule: Rule) -> None:
    for text in (rule.reason, *rule.remedies):
        plain = re.sub(r"\b(Art|s)\. ", "", text)
        assert ". " not in plain, text
        assert not text.endswith((".", " "))
        assert text == text.strip()
        assert len(text) <= 260, text
        assert text.isascii(), text
    if rule.effect == "forbid":
        assert rule.remedies or rule.no_remedy


def test_rule_ids_and_clauses_are_told_apart() -> None:
    ids = [rule.rule_id for _, rule in RULES]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{name}: {each.title}" for name, each in EXAMPLES])
def test_the_texts_of_a_verdict_have_their_gaps_filled(name: str, example: object) -> None:
    verdict = policy(name, example.home_region).decide(example.question)  # type: ignore[attr-defined]
    for text in (*verdict.reasons, *verdict.remedies):
        assert not re.search(r"\{[a-z_]+\}", text), text
        assert "  " not in text
        assert " ," not in text


# Facts that the packs stand on


def test_all_packs_in_force_load_over_the_shipped_facts() -> None:
    loaded = CedarPolicy(in_force(), shipped(), "here", today=TODAY)
    assert loaded.decide(ask(Stage.ARTIFACT, "vault:here", "confidential")).permitted


def test_a_draft_may_not_decide_and_may_be_drilled() -> None:
    with pytest.raises(OperatorError, match="GL-POLICY-018"):
        CedarPolicy([*in_force(), pack("cada-draft")], shipped(), "here", today=TODAY)
    drill = CedarPolicy([*in_force(), pack("cada-draft")], shipped(), "here", today=TODAY, drill=True)
    row = next(row for row in drill.facts_on(TODAY).targets if row.kind == "endpoint" and row.processor)
    assert "cada-2-support-outside" in drill.decide(ask(Stage.PROMPT, row.name, "confidential")).rules


def ask(stage: Stage, name: str, level: str, *, kind: str = "", label: Label | None = None) -> Question:
    who, usual = USUAL[stage]
    asset = Asset("text", label or Label.of(level, origins=["DE"]), "here")
    return Question(stage, who, "send", asset, Target(kind or usual, name), AT)


@pytest.mark.parametrize("jurisdiction", ["unknown", "DE"])
def test_an_install_that_nobody_has_configured_denies_every_external_hop_and_says_how_to_open(
    jurisdiction: str,
) -> None:
    loaded = CedarPolicy(in_force(), shipped("here", jurisdiction), "here", today=TODAY)
    external = [row for row in loaded.facts_on(TODAY).targets if row.processor]
    assert len(external) > 20
    for row in external:
        for stage in Stage:
            verdict = loaded.decide(ask(stage, row.name, "public", kind=row.kind))
            assert not verdict.permitted
            assert "level-above-target" in verdict.rules
            assert any(
                f"greylag facts open {row.kind} '{row.name}' --level public --because WHY" in text
                for text in verdict.remedies
            )
            assert ("home-unknown" in verdict.rules) is (jurisdiction == "unknown")


# What the operator runs itself at home stays usable

LABELS = [
    Label.of(level, classes=[each], origins=origins)
    for level in ("internal", "restricted")
    for each in (
        "code", "finance.transaction", "user.contact.email", "user.health_and_medical.genetic", "user.payment",
    )
    for origins in ((), ("unknown",), ("DE",), ("GB",), ("CH",), ("CA-QC",), ("CN",), ("IN",), ("US",))
]  # fmt: skip
#: Rules about data that has to be in one country, whoever runs the machine.
LOCALISING = {
    "uk-raw-transactions-stay": "GB", "uk-raw-transactions-unseen": "GB", "rbi-payment-data-stays": "IN",
}  # fmt: skip


@pytest.mark.parametrize("jurisdiction", ["DE", "GB", "US", "CN", "IN", "CA-QC", "unknown"])
def test_at_home_all_packs_together_leave_work_possible_with_every_label(jurisdiction: str) -> None:
    basis = Basis("a test", date(2026, 1, 2), "in_force", "O")
    kinds = sorted({kind for _, kind in USUAL.values()} - {"host"})
    rows = [Place("here", (jurisdiction,), basis), *(own_target(kind, f"own:{kind}", "here", basis) for kind in kinds)]
    loaded = CedarPolicy(in_force(), joined([law(), FactBook(tuple(rows))]), "here", today=TODAY)
    for stage, (_, kind) in USUAL.items():
        if kind == "host":
            continue
        for label in LABELS:
            verdict = loaded.decide(ask(stage, f"own:{kind}", label.level, label=label))
            assert set(verdict.rules) <= set(LOCALISING) or verdict.permitted, (stage, label, verdict.rules)
            if not verdict.permitted:
                origins = {LOCALISING[rule] for rule in verdict.rules}
                assert origins <= set(label.origins)
                assert jurisdiction not in origins


# One change of facts, and which examples it moves


def move(name: str, change: Callable[[FactBook], FactBook]) -> dict[str, tuple[bool, bool]]:
    moved = moved_examples(pack(name), with_required(name)[:-1], library(), change)
    return {each.title: (each.before.permitted, each.after.permitted) for each in moved}


def newest(book: FactBook, row: str) -> object:
    return max((each for each in book.rows if each.row == row), key=lambda each: each.basis.valid_from or date.min)


def annulled(row: str) -> Callable[[FactBook], FactBook]:
    def change(book: FactBook) -> FactBook:
        found = newest(book, row)
        assert isinstance(found, Adequacy)
        return book.replaced(replace(found, basis=replace(found.basis, status="annulled")))

    return change


def owned_by(company: str, parent: str) -> Callable[[FactBook], FactBook]:
    def change(book: FactBook) -> FactBook:
        found = newest(book, f"processor/{company}")
        assert isinstance(found, Processor)
        return book.replaced(replace(found, parents=(parent,)))

    return change


def test_annulling_the_data_privacy_framework_closes_what_stood_on_it_and_nothing_else() -> None:
    assert move("eu-gdpr", annulled("adequacy/eu-us-dpf")) == {
        "under the challenged framework a certified company is still adequate": (True, False),
        "health data at a company which other law can order is for the data protection officer": (False, False),
        "with her approval it may go": (True, False),
    }


def test_the_swiss_framework_is_another_one() -> None:
    title = "the United States are for companies under the Swiss framework"
    assert move("ch-fadp", annulled("adequacy/ch-us-dpf")) == {title: (True, False)}


def test_a_new_parent_moves_only_what_asks_for_control() -> None:
    assert move("sovereign-control", owned_by("Near SAS", "Far Inc.")) == {
        "and to a company that approved states alone can compel": (True, False),
        "it may go to the company under approved control": (True, False),
        "a place in France that is looked at from India": (False, False),
        "weights from nobody knows where are weights from elsewhere": (False, False),
    }
    assert move("no-training-on-inputs", owned_by("Near GmbH", "Far Inc.")) == {}


def test_a_country_that_is_notified_closes_at_once() -> None:
    def change(book: FactBook) -> FactBook:
        zone = newest(book, "zone/in-dpdp-restricted/made-up")
        return book.replaced(replace(zone, members=("KP", "US")))  # type: ignore[type-var]

    moved = move("in-dpdp", change)
    assert moved["the act lets it go to a country that is not notified"] == (True, False)


# Obligations are proven, never promised


@pytest.mark.parametrize(
    ("name", "example"),
    [each for each in EXAMPLES if each[1].expect == "deny-until"],
    ids=[f"{name}: {each.title}" for name, each in EXAMPLES if each.expect == "deny-until"],
)
def test_discharging_exactly_the_obligations_opens_and_a_finding_closes_again(name: str, example: object) -> None:
    question: Question = example.question  # type: ignore[attr-defined]
    decide = policy(name, example.home_region).decide  # type: ignore[attr-defined]
    first = decide(question)
    done = discharged(first, question.discharged)
    assert decide(replace(question, discharged=done)).permitted
    if first.obligations and not all(each.startswith("approve:") for each in first.obligations):
        found = replace(done, residual_findings=1)
        assert not decide(replace(question, discharged=found)).permitted
    halved = discharged(replace(first, obligations=first.obligations[1:]), question.discharged)
    if halved != done:
        assert not decide(replace(question, discharged=replace(halved, residual_findings=0))).permitted


def discharged(verdict: Verdict, before: Discharged) -> Discharged:
    applied, approvals = set(before.applied), set(before.approvals)
    for obligation in verdict.obligations:
        step = obligation.partition("|")[0]
        if step.startswith("approve:"):
            approvals |= set(step.removeprefix("approve:").split(","))
        else:
            applied.add(step)
    return Discharged(tuple(sorted(applied)), tuple(sorted(approvals)))


def test_an_opened_endpoint_is_open_to_its_level_and_no_further() -> None:
    row = shipped().as_of(TODAY, TODAY).target("endpoint", "anthropic")
    assert isinstance(row, TargetFact)
    opening = Opening("endpoint", "anthropic", "internal", replace(row.basis, certainty="O", review_by=None))
    loaded = CedarPolicy([pack(BASE)], joined([shipped(), FactBook((opening,))]), "here", today=TODAY)
    plain = [loaded.decide(ask(Stage.PROMPT, "anthropic", level)).permitted for level in LEVELS]
    assert plain == [True, True, False, False]
