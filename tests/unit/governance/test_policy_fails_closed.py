"""Cedar skips a rule that errs, which opens what the rule would have closed. These tests hold that it stays shut."""

import json
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import cedarpy
import pytest

from greylag.domain.errors import OperatorError
from greylag.domain.stages import Stage
from greylag.governance.facts import Basis, FactBase, own_place, own_target
from greylag.governance.policy import CedarPolicy, Pack, check_examples, parse_pack
from greylag.governance.question import Asset, Question, Target

HOUSE = Path(__file__).resolve().parents[3] / "policies" / "packs" / "house-one-region"
RULES = (HOUSE / "policy.cedar").read_text()
SCHEMA = (HOUSE / "schema.cedarschema").read_text()
EXAMPLES = tomllib.loads((HOUSE / "examples.toml").read_text())
MANIFEST: dict[str, Any] = {
    "schema_version": 1, "name": "a-pack", "title": "a test", "version": "1", "status": "in_force",
}  # fmt: skip
AT = datetime(2026, 3, 4, tzinfo=UTC)
BASIS = Basis("a test", date(2026, 1, 2), "in_force", "O")
FACTS = FactBase(
    (own_place("local", BASIS), own_place("far", BASIS)),
    (
        own_target("store", "vault:local", "local", BASIS),
        own_target("endpoint", "near", "local", BASIS),
        own_target("endpoint", "away", "far", BASIS),
    ),
)
LAX = '@id("all") @reason("everything goes") permit (principal, action, resource);\n'
FORBID_UNKNOWN = (
    '@id("known-only") @reason("r") @remedy("m")'
    " forbid (principal, action, resource is Greylag::Target) when { !resource.known };\n"
)


def pack(rules: str = RULES, schema: str = SCHEMA, **manifest: object) -> Pack:
    return parse_pack(MANIFEST | manifest, rules, schema)


def ask(level: str = "internal", *, size: int = 0, name: str = "vault:local", kind: str = "store") -> Question:
    asset = Asset("build", level, "local", size_bytes=size)
    return Question(Stage.ARTIFACT, "platform:greylag", "store", asset, Target(kind, name), AT)


def test_the_trap_is_there_without_a_schema_and_shut_with_it() -> None:
    """Reproduces it in bare Cedar, so that a library that mends or moves the trap is noticed."""
    rules = "permit (principal, action, resource); forbid (principal, action, resource) when { context.level > 0 };"
    request = {
        "principal": {"type": "Greylag::Platform", "id": "p"}, "action": {"type": "Greylag::Action", "id": "chat"},
        "resource": {"type": "Greylag::Target", "id": "t"}, "context": {},
    }  # fmt: skip
    bare = cedarpy.is_authorized(request, rules, [])
    assert bare.decision is cedarpy.Decision.Allow, "an erring forbid is skipped"
    assert bare.diagnostics.errors
    checked = cedarpy.is_authorized(request, rules, [], schema=SCHEMA)
    assert checked.decision is cedarpy.Decision.NoDecision


def test_a_schema_that_asks_for_an_attribute_nobody_sends_permits_nothing() -> None:
    schema = SCHEMA.replace("verb: String,", "verb: String, tenant: String,")
    with pytest.raises(OperatorError, match="GL-POLICY-015") as refused:
        CedarPolicy(pack(schema=schema), FACTS, "local")
    assert "tenant" in refused.value.message


def test_a_schema_that_asks_for_a_fact_nobody_states_is_refused() -> None:
    schema = SCHEMA.replace("known: Bool,", "known: Bool, blessed: Bool,")
    with pytest.raises(OperatorError, match="GL-POLICY-016"):
        CedarPolicy(pack(schema=schema), FACTS, "local")


def test_a_misspelt_attribute_is_caught_before_any_decision() -> None:
    with pytest.raises(OperatorError, match="GL-POLICY-013") as refused:
        pack(RULES.replace("resource.max_level }", "resource.max_levle }"))
    assert "`level-above-target`" in refused.value.message


def test_an_erring_forbid_denies_and_shows_its_error() -> None:
    # Overflow passes validation and errs when it is evaluated.
    erring = (
        '@id("erring") @reason("r") @remedy("m")'
        " forbid (principal, action, resource) when { context.size_bytes * 9223372036854775807 > 5 };"
    )
    sound = CedarPolicy(pack(), FACTS, "local")
    broken = CedarPolicy(pack(RULES + erring), FACTS, "local")
    assert sound.decide(ask(size=2)).permitted
    verdict = broken.decide(ask(size=2))
    assert not verdict.permitted
    assert any("erring" in error for error in verdict.errors)
    assert verdict.remedies
    for level in ("public", "internal", "confidential", "restricted"):
        for stage in Stage:
            question = Question(
                stage,
                "platform:greylag",
                "x",
                Asset("a", level, "local", size_bytes=2),
                Target("store", "vault:local"),
                AT,
            )
            assert not broken.decide(question).permitted


def test_an_erring_permit_denies_even_where_another_rule_permits() -> None:
    erring = (
        '@id("erring") @reason("r")'
        " permit (principal, action, resource) when { context.size_bytes + 9223372036854775807 > 5 };"
    )
    verdict = CedarPolicy(pack(RULES + erring), FACTS, "local").decide(ask(size=2))
    assert not verdict.permitted
    assert verdict.errors


def test_a_pack_that_lets_the_canary_through_is_refused() -> None:
    with pytest.raises(OperatorError, match="GL-POLICY-015") as refused:
        CedarPolicy(pack(LAX), FACTS, "local")
    assert "was permitted" in refused.value.message


@pytest.mark.parametrize("stage", list(Stage))
def test_the_canary_sings_at_every_stage(stage: Stage) -> None:
    hole = (
        '@id("hole") @reason("r")'
        f' permit (principal, action == Greylag::Action::"{stage}", resource is Greylag::Target)'
        ' when { !resource.known && resource.kind == "host" };'
    )
    with pytest.raises(OperatorError, match="GL-POLICY-015") as refused:
        CedarPolicy(pack(hole), FACTS, "local")
    assert f"`{stage}`" in refused.value.message
    assert "host" in refused.value.message


def test_a_pack_that_only_spares_the_canary_meets_the_platforms_own_guard() -> None:
    sly = LAX + FORBID_UNKNOWN.replace("!resource.known", '!resource.known && context.kind == "canary"')
    policy = CedarPolicy(pack(sly), FACTS, "local")
    for level in ("internal", "confidential", "restricted"):
        verdict = policy.decide(ask(level, name="vault:nowhere"))
        assert not verdict.permitted
        assert verdict.rules == ("unknown-target",)
        assert verdict.remedies == ("add a fact row for store 'vault:nowhere'",)
    assert policy.decide(ask("public", name="vault:nowhere")).permitted


def test_a_forbid_on_a_group_of_actions_holds() -> None:
    schema = SCHEMA.replace("  action intake,", "  action egress;\n  action intake,").replace(
        "trace, retain appliesTo", "trace, retain in [egress] appliesTo"
    )
    grouped = (
        LAX + FORBID_UNKNOWN + '@id("shut") @reason("r") @remedy("m")'
        ' forbid (principal, action in Greylag::Action::"egress", resource);'
    )
    verdict = CedarPolicy(pack(grouped, schema), FACTS, "local").decide(ask("public"))
    assert not verdict.permitted
    assert verdict.rules == ("shut",)


def test_every_rule_is_named_in_the_order_of_the_pack_each_time() -> None:
    many = (
        LAX
        + FORBID_UNKNOWN
        + "".join(
            f'@id("no-{number}") @reason("r{number}") @remedy("m") forbid (principal, action, resource);\n'
            for number in range(30)
        )
    )
    policy = CedarPolicy(pack(many), FACTS, "local")
    expected = tuple(f"no-{number}" for number in range(30))
    for _ in range(20):
        verdict = policy.decide(ask())
        assert verdict.rules == expected
        assert verdict.remedies == ("m",)


def test_a_denial_for_want_of_a_rule_says_who_could() -> None:
    policy = CedarPolicy(pack(), FACTS, "local")
    question = Question(
        Stage.ARTIFACT, "person:ada", "x", Asset("build", "internal", "local"), Target("store", "vault:local"), AT
    )
    verdict = policy.decide(question)
    assert (verdict.permitted, verdict.rules) == (False, ())
    assert verdict.remedies == ("at `artifact` this is open to: platform; let it be done that way",)
    nobody = policy.decide(ask(name="near", kind="endpoint"))
    assert nobody.remedies[0].startswith("none by asking otherwise")


def test_a_denied_route_names_a_permitted_one() -> None:
    policy = CedarPolicy(pack(), FACTS, "local")
    asset, target = Asset("prompt", "confidential", "local"), Target("endpoint", "away")
    verdict = policy.decide(Question(Stage.PROMPT, "agent:x", "send", asset, target, AT))
    assert verdict.rules == ("leaves-the-region",)
    assert verdict.remedies[0] == "use endpoint `near`, where the same is permitted"


@pytest.mark.parametrize(
    ("rules", "code", "words"),
    [
        ("permit (", "GL-POLICY-011", "can't be read"),
        ("", "GL-POLICY-011", "0/1"),
        ("\ud800", "GL-POLICY-011", "can't be read"),
        ('@id("a") @reason("r") permit (principal == ?principal, action, resource);', "GL-POLICY-011", "templates"),
        ('@reason("r") permit (principal, action, resource);', "GL-POLICY-014", "policy0"),
        ('@id("A b") @reason("r") permit (principal, action, resource);', "GL-POLICY-014", "@id"),
        ('@id("a") permit (principal, action, resource);', "GL-POLICY-014", "no @reason"),
        ('@id("a") @reason("r") forbid (principal, action, resource);', "GL-POLICY-014", "@remedy"),
        ('@id("a") @reason("r") @remedy("") forbid (principal, action, resource);', "GL-POLICY-014", "@remedy"),
        (
            '@id("a") @reason("r") @remedy("m") @no_remedy("n") forbid (principal, action, resource);',
            "GL-POLICY-014",
            "either",
        ),
        ('@id("a") @reason("{password}") permit (principal, action, resource);', "GL-POLICY-014", "password"),
        ('@id("a") @reason("r") @remedi("m") permit (principal, action, resource);', "GL-POLICY-014", "@remedi"),
        (LAX + LAX, "GL-POLICY-014", "two rules"),
    ],
)
def test_a_pack_that_does_not_explain_itself_is_refused(rules: str, code: str, words: str) -> None:
    with pytest.raises(OperatorError) as refused:
        pack(rules)
    assert refused.value.code == code
    assert words in refused.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"name": "A pack"}, {"title": ""}, {"status": "maybe"}, {"schema_version": 2}, {"schema_version": True},
        {"owner": "x"}, {"version": 1},
    ],
)  # fmt: skip
def test_a_wrong_manifest_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(OperatorError, match="GL-POLICY-010"):
        pack(**change)


def test_other_ways_in_which_a_policy_does_not_come_to_be() -> None:
    with pytest.raises(OperatorError, match="GL-POLICY-012"):
        pack(schema="entity {")
    with pytest.raises(OperatorError, match="GL-POLICY-016"):
        CedarPolicy(pack(), FACTS, "nowhere")
    with pytest.raises(OperatorError, match="GL-POLICY-018"):
        CedarPolicy(pack(status="proposed"), FACTS, "local")
    with pytest.raises(OperatorError, match="GL-FACTS-005"):
        CedarPolicy(pack(), FACTS.with_rows(targets=[own_target("pool", "p", "atlantis", BASIS)]), "local")
    with pytest.raises(OperatorError, match="GL-POLICY-010"):
        pack(RULES + "//" + "x" * 1_100_000)


def test_the_version_changes_with_rules_schema_facts_and_region() -> None:
    versions = {
        CedarPolicy(pack(), FACTS, "local").version,
        CedarPolicy(pack(RULES + "// more"), FACTS, "local").version,
        CedarPolicy(pack(schema=SCHEMA + "// more"), FACTS, "local").version,
        CedarPolicy(pack(), FACTS.with_rows(targets=[own_target("pool", "p", "local", BASIS)]), "local").version,
        CedarPolicy(pack(), FACTS, "far").version,
    }
    assert len(versions) == 5
    assert CedarPolicy(pack(), FACTS, "local").version in versions


def with_examples(**changes: object) -> Pack:
    data = json.loads(json.dumps(EXAMPLES, default=str))
    for table in ("place", "target"):
        data[table] = EXAMPLES[table]
    return parse_pack(MANIFEST, RULES, SCHEMA, data | changes)


def test_the_check_of_examples_finds_what_is_wrong() -> None:
    rows = [dict(row) for row in EXAMPLES["example"]]
    assert check_examples(with_examples()) == []
    flipped = [row | {"expect": "deny"} if number == 0 else row for number, row in enumerate(rows)]
    assert any("allow/deny" in failure for failure in check_examples(with_examples(example=flipped)))
    renamed = [row | {"rule": "permit-chat"} if number == 0 else row for number, row in enumerate(rows)]
    assert any("rule `permit-chat`" in failure for failure in check_examples(with_examples(example=renamed)))
    broken = [row | {"principal": "nobody"} if number == 0 else row for number, row in enumerate(rows)]
    assert any("could not be evaluated" in failure for failure in check_examples(with_examples(example=broken)))
    without_secret = [row for row in rows if row["rule"] != "secret-stays"]
    assert check_examples(with_examples(example=without_secret)) == ["no example meets rule `secret-stays`"]
    without_retain = [row for row in rows if row["stage"] != "retain"]
    assert "no example is allowed at stage `retain`" in check_examples(with_examples(example=without_retain))


def test_other_facts_show_which_examples_move() -> None:
    policy_pack = with_examples()
    facts = FactBase((own_place("frankfurt", BASIS),))
    failures = check_examples(policy_pack, facts)
    assert any("a person hands in a request" in failure for failure in failures)


@pytest.mark.parametrize(
    "change",
    [
        {"example": []}, {"example": [{}]}, {"home_region": 3}, {"notes": 1},
        {"example": [{"title": "x", "colour": 1}]},
        {"example": [dict(EXAMPLES["example"][0], stage="lunch")]},
        {"example": [dict(EXAMPLES["example"][0], expect="maybe")]},
        {"example": [dict(EXAMPLES["example"][0], size_bytes="1")]},
        {"example": [dict(EXAMPLES["example"][0], surfaces="title")]},
    ],
)  # fmt: skip
def test_malformed_examples_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(OperatorError, match="GL-POLICY-017"):
        check_examples(with_examples(**change))
