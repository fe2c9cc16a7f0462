"""Cedar skips a rule that errs, which opens what the rule would have closed. These tests hold that it stays shut."""

from datetime import UTC, date, datetime
from typing import Any

import cedarpy
import pytest

from greylag.domain.errors import OperatorError
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.governance.facts import Basis, FactBook, Row, own_place, own_target
from greylag.governance.policy import CedarPolicy, Pack, check_examples, moved_examples, parse_pack
from greylag.governance.question import Asset, Question, Target
from tests.support.policies import BASE, SCHEMA, library
from tests.support.policies import pack as shipped_pack

RULES = shipped_pack(BASE).policy_text
EXAMPLES: dict[str, Any] = dict(shipped_pack(BASE).examples)
MANIFEST: dict[str, Any] = {
    "schema_version": 2, "name": "a-pack", "title": "a test", "version": "1", "status": "in_force", "kind": "house",
}  # fmt: skip
AT = datetime(2026, 3, 4, tzinfo=UTC)
BASIS = Basis("a test", date(2026, 1, 2), "in_force", "O")
FACTS = (
    own_place("local", BASIS),
    own_place("far", BASIS),
    own_target("store", "vault:local", "local", BASIS),
    own_target("endpoint", "near", "local", BASIS),
    own_target("endpoint", "away", "far", BASIS),
)
LAX = '@id("all") @reason("everything goes") permit (principal, action, resource);\n'
FORBID_UNKNOWN = (
    '@id("known-only") @reason("r") @remedy("m")'
    " forbid (principal, action, resource is Greylag::Target) when { !resource.known };\n"
)


def pack(rules: str = RULES, schema: str = SCHEMA, **manifest: object) -> Pack:
    return parse_pack(MANIFEST | manifest, rules, schema)


def made(given: Pack, *rows: Row, home: str = "local") -> CedarPolicy:
    return CedarPolicy([given], FactBook((*FACTS, *rows)), home, today=AT.date())


def ask(level: str = "internal", *, size: int = 0, name: str = "vault:local", kind: str = "store") -> Question:
    asset = Asset("build", Label(level), "local", size_bytes=size)
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
        made(pack(schema=schema))
    assert "tenant" in refused.value.message


def test_a_schema_that_asks_for_a_fact_nobody_states_is_refused() -> None:
    schema = SCHEMA.replace("known: Bool,", "known: Bool, blessed: Bool,")
    with pytest.raises(OperatorError, match="GL-POLICY-016"):
        made(pack(schema=schema))


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
    sound = made(pack())
    broken = made(pack(RULES + erring))
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
                Asset("a", Label(level), "local", size_bytes=2),
                Target("store", "vault:local"),
                AT,
            )
            assert not broken.decide(question).permitted


def test_an_erring_permit_denies_even_where_another_rule_permits() -> None:
    erring = (
        '@id("erring") @reason("r")'
        " permit (principal, action, resource) when { context.size_bytes + 9223372036854775807 > 5 };"
    )
    verdict = made(pack(RULES + erring)).decide(ask(size=2))
    assert not verdict.permitted
    assert verdict.errors


def test_a_pack_that_lets_the_canary_through_is_refused() -> None:
    with pytest.raises(OperatorError, match="GL-POLICY-015") as refused:
        made(pack(LAX))
    assert "was permitted" in refused.value.message


@pytest.mark.parametrize("stage", list(Stage))
def test_the_canary_sings_at_every_stage(stage: Stage) -> None:
    hole = (
        '@id("hole") @reason("r")'
        f' permit (principal, action == Greylag::Action::"{stage}", resource is Greylag::Target)'
        ' when { !resource.known && resource.kind == "host" };'
    )
    with pytest.raises(OperatorError, match="GL-POLICY-015") as refused:
        made(pack(hole))
    assert f"`{stage}`" in refused.value.message
    assert "host" in refused.value.message


def test_a_pack_that_only_spares_the_canary_meets_the_platforms_own_guard() -> None:
    sly = LAX + FORBID_UNKNOWN.replace("!resource.known", '!resource.known && context.kind == "canary"')
    policy = made(pack(sly))
    for level in ("public", "internal", "confidential", "restricted"):
        verdict = policy.decide(ask(level, name="vault:nowhere"))
        assert not verdict.permitted
        assert verdict.rules == ("unknown-target",)
        assert verdict.remedies[0].startswith("add a fact row for store 'vault:nowhere'")


def test_a_forbid_on_a_group_of_actions_holds() -> None:
    schema = SCHEMA.replace("  action intake,", "  action egress;\n  action intake,").replace(
        "trace, retain appliesTo", "trace, retain in [egress] appliesTo"
    )
    grouped = (
        LAX + FORBID_UNKNOWN + '@id("shut") @reason("r") @remedy("m")'
        ' forbid (principal, action in Greylag::Action::"egress", resource);'
    )
    verdict = made(pack(grouped, schema)).decide(ask("public"))
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
    policy = made(pack(many))
    expected = tuple(f"no-{number}" for number in range(30))
    for _ in range(20):
        verdict = policy.decide(ask())
        assert verdict.rules == expected
        assert verdict.remedies == ("m",)


def test_a_denial_for_want_of_a_rule_says_who_could() -> None:
    policy = made(pack())
    question = Question(
        Stage.ARTIFACT,
        "person:ada",
        "x",
        Asset("build", Label("internal"), "local"),
        Target("store", "vault:local"),
        AT,
    )
    verdict = policy.decide(question)
    assert (verdict.permitted, verdict.rules) == (False, ())
    assert verdict.remedies == ("at `artifact` this is open to: platform; let it be done that way",)
    nobody = policy.decide(ask(name="near", kind="endpoint"))
    assert nobody.remedies[0].startswith("none by asking otherwise")


def test_a_denied_route_names_a_permitted_one() -> None:
    policy = made(pack())
    asset, target = Asset("prompt", Label("confidential"), "local"), Target("endpoint", "away")
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
        {"name": "A pack"}, {"title": ""}, {"status": "maybe"}, {"schema_version": 1}, {"schema_version": True},
        {"kind": "custom"},
        {"regimes": "eu-gdpr"}, {"requires": ["A b"]},
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
        made(pack(), home="nowhere")
    with pytest.raises(OperatorError, match="GL-POLICY-018"):
        made(pack(status="proposed"))
    with pytest.raises(OperatorError, match="GL-POLICY-010"):
        pack(RULES + "//" + "x" * 1_100_000)


def test_the_version_changes_with_rules_schema_facts_and_region() -> None:
    versions = {
        made(pack()).version,
        made(pack(RULES + "// more")).version,
        made(pack(schema=SCHEMA + "// more")).version,
        made(pack(), own_target("pool", "p", "local", BASIS)).version,
        made(pack(), home="far").version,
    }
    assert len(versions) == 5
    assert made(pack()).version in versions


def with_examples(**changes: object) -> Pack:
    return parse_pack(MANIFEST, RULES, SCHEMA, EXAMPLES | changes)


def checked(given: Pack) -> list[str]:
    return check_examples(given, (), library())


def test_the_check_of_examples_finds_what_is_wrong() -> None:
    rows = [dict(row) for row in EXAMPLES["example"]]
    assert checked(with_examples()) == []
    flipped = [row | {"expect": "deny"} if number == 0 else row for number, row in enumerate(rows)]
    assert any("allow/deny" in failure for failure in checked(with_examples(example=flipped)))
    renamed = [row | {"rule": "permit-chat"} if number == 0 else row for number, row in enumerate(rows)]
    assert any("rule `permit-chat`" in failure for failure in checked(with_examples(example=renamed)))
    broken = [row | {"principal": "nobody"} if number == 0 else row for number, row in enumerate(rows)]
    assert any("could not be evaluated" in failure for failure in checked(with_examples(example=broken)))
    other = [row | {"obligations": ["redact"]} if "obligations" in row else row for row in rows]
    assert any("obligations: got/expected" in failure for failure in checked(with_examples(example=other)))
    without_secret = [row for row in rows if row["rule"] != "secret-stays"]
    assert checked(with_examples(example=without_secret)) == ["no example meets rule `secret-stays`"]
    without_retain = [row for row in rows if row["stage"] != "retain"]
    assert "no example is allowed at stage `retain`" in checked(with_examples(example=without_retain))


def test_other_facts_show_which_examples_move() -> None:
    moved = moved_examples(with_examples(), (), library(), lambda book: book.without("store/vault:frankfurt"))
    titles = {each.title: (each.before.permitted, each.after.permitted) for each in moved}
    assert titles["a person hands in a request"] == (True, False)
    assert "a public prompt may" not in titles


@pytest.mark.parametrize(
    "change",
    [
        {"example": []}, {"example": [{}]}, {"home_region": 3}, {"at": "2026-12-01"}, {"facts": ["nobody-wrote-this"]},
        {"example": [{"title": "x", "colour": 1}]},
        {"example": [dict(EXAMPLES["example"][0], stage="lunch")]},
        {"example": [dict(EXAMPLES["example"][0], expect="maybe")]},
        {"example": [dict(EXAMPLES["example"][0], size_bytes="1")]},
        {"example": [dict(EXAMPLES["example"][0], surfaces="title")]},
    ],
)  # fmt: skip
def test_malformed_examples_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(OperatorError, match="GL-POLICY-017"):
        checked(with_examples(**change))


def test_packs_that_do_not_fit_together_are_refused() -> None:
    facts = FactBook(FACTS)
    lone = pack(FORBID_UNKNOWN, name="lone", requires=["house-one-region"])
    rival = pack(FORBID_UNKNOWN.replace("known-only", "rival"), name="rival", conflicts_with=["a-pack"])
    twin = pack(RULES, name="twin")
    for packs, words in (
        ([], "no policy pack"), ([lone], "requires pack"), ([pack(), rival], "in conflict"),
        ([pack(), twin], "has the id"), ([pack(), pack()], "named twice"),
    ):  # fmt: skip
        with pytest.raises(OperatorError, match="GL-POLICY-023") as refused:
            CedarPolicy(packs, facts, "local", today=AT.date())
        assert words in refused.value.message
        assert refused.value.remedy


@pytest.mark.parametrize(
    ("manifest", "rules", "code"),
    [
        ({}, 'forbid (principal, action, resource) when { !(Greylag::Zone::"EEA".members.contains("DE")) };', "020"),
        ({"regimes": ["eu-gdpr"]}, "forbid (principal, action, resource) when { context.level > 9 };", "021"),
        ({}, '@law("gdpr-art-46") forbid (principal, action, resource) when { context.level > 9 };', "022"),
    ],
)
def test_what_the_facts_do_not_have_is_found_at_load(manifest: dict[str, object], rules: str, code: str) -> None:
    citing = pack(FORBID_UNKNOWN + '@id("citing") @reason("r") @remedy("m") ' + rules, **manifest)
    with pytest.raises(OperatorError, match=f"GL-POLICY-{code}") as refused:
        made(citing)
    assert refused.value.remedy


def test_a_law_pack_that_permits_is_refused() -> None:
    with pytest.raises(OperatorError, match="GL-POLICY-019"):
        pack(LAX, kind="law")
