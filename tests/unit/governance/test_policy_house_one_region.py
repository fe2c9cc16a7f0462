"""The shipped house rules: every example, and what no question may ever get."""

import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.repository import LEVELS
from greylag.domain.stages import Stage
from greylag.egress.door import Policy
from greylag.governance.facts import TARGET_KINDS, Basis, FactBase, own_target, parse_facts
from greylag.governance.policy import CedarPolicy, Example, Pack, check_examples, parse_pack
from greylag.governance.policy.examples import parse_examples
from greylag.governance.question import Asset, Question, Target

POLICIES = Path(__file__).resolve().parents[3] / "policies"
HOUSE = POLICIES / "packs" / "house-one-region"
AT = datetime(2026, 3, 4, tzinfo=UTC)
BASIS = Basis("a test", date(2026, 1, 2), "in_force", "O")
PRINCIPALS = ("person:ada", "agent:claude", "platform:greylag")


def load_pack() -> Pack:
    return parse_pack(
        tomllib.loads((HOUSE / "pack.toml").read_text()),
        (HOUSE / "policy.cedar").read_text(),
        (HOUSE / "schema.cedarschema").read_text(),
        tomllib.loads((HOUSE / "examples.toml").read_text()),
    )


def load_facts(jurisdiction: str = "DE") -> FactBase:
    facts = FactBase()
    for path in sorted((POLICIES / "facts").glob("*.toml")):
        variables = {"region": "local", "jurisdiction": jurisdiction}
        facts = facts.overlaid_with(parse_facts(tomllib.loads(path.read_text()), variables))
    return facts.with_rows(
        targets=[own_target("forge", "forge:local", "local", BASIS), own_target("chat", "console", "local", BASIS)]
    )


PACK = load_pack()
EXAMPLES = parse_examples(PACK)
POLICY = CedarPolicy(PACK, load_facts(), "local")
EXAMPLE_POLICY = CedarPolicy(PACK, EXAMPLES[1], EXAMPLES[0])


def ask(
    stage: str, principal: str, level: str, target_kind: str, target: str, *, kind: str = "text", origin: str = "local"
) -> Question:
    return Question(Stage(stage), principal, "send", Asset(kind, level, origin), Target(target_kind, target), AT)


def test_the_examples_of_the_pack_hold_and_meet_every_rule_and_stage() -> None:
    assert check_examples(PACK) == []


@pytest.mark.parametrize("example", EXAMPLES[2], ids=lambda example: example.title)
def test_each_example_gets_its_verdict(example: Example) -> None:
    verdict = EXAMPLE_POLICY.decide(example.question)
    assert verdict.errors == ()
    assert verdict.permitted is (example.expect == "allow")
    assert verdict.reasons
    assert verdict.policy_version == EXAMPLE_POLICY.version
    if example.rule == "no-match":
        assert verdict.rules == ()
    else:
        assert example.rule in verdict.rules
    assert bool(verdict.remedies) is not verdict.permitted


@pytest.mark.parametrize("stage", list(Stage))
def test_each_stage_has_an_allowed_and_a_denied_example(stage: Stage) -> None:
    expected = {example.expect for example in EXAMPLES[2] if example.question.stage is stage}
    assert expected == {"allow", "deny"}


def test_the_policy_has_the_shape_the_door_asks_for() -> None:
    policy: Policy = POLICY
    assert policy.decide(ask("intake", "person:ada", "internal", "store", "vault:local")).permitted


def test_an_internal_prompt_may_go_to_the_shipped_anthropic_row_and_a_confidential_one_is_told_what_to_do() -> None:
    assert POLICY.decide(ask("prompt", "agent:claude", "internal", "endpoint", "anthropic")).permitted
    denied = POLICY.decide(ask("prompt", "agent:claude", "confidential", "endpoint", "anthropic"))
    assert not denied.permitted
    assert denied.rules == ("level-above-target", "leaves-the-region", "endpoint-unpinned")
    assert "endpoint/anthropic" in denied.facts
    assert any("self-hosted" in remedy for remedy in denied.remedies)
    assert any("registered transformation" in remedy for remedy in denied.remedies)
    assert denied.remedies[0] == "use endpoint `scripted`, where the same is permitted"


def test_the_operators_own_row_closes_the_anthropic_endpoint() -> None:
    facts = load_facts()
    row = facts.target("endpoint", "anthropic")
    assert row is not None
    closed = POLICY.with_facts(facts.overlaid_with(FactBase(targets=(replace(row, max_level="public"),))))
    question = ask("prompt", "agent:claude", "internal", "endpoint", "anthropic")
    assert closed.decide(question).rules == ("level-above-target",)
    assert closed.version != POLICY.version


@pytest.mark.parametrize("trains", [True, None])
@pytest.mark.parametrize("level", LEVELS[1:])
def test_nothing_above_public_goes_where_it_is_or_may_be_trained_on(trains: bool | None, level: str) -> None:
    row = replace(own_target("endpoint", "hungry", "local", BASIS), trains_by_default=trains)
    policy = POLICY.with_facts(load_facts().with_rows(targets=[row]))
    verdict = policy.decide(ask("prompt", "agent:claude", level, "endpoint", "hungry"))
    assert verdict.rules == ("trains-on-inputs",)


def test_a_target_whose_row_names_no_place_is_not_at_home() -> None:
    row = replace(own_target("endpoint", "vague", "local", BASIS), places=())
    policy = POLICY.with_facts(load_facts().with_rows(targets=[row]))
    verdict = policy.decide(ask("prompt", "agent:claude", "confidential", "endpoint", "vague"))
    assert "leaves-the-region" in verdict.rules


def test_an_unpinned_target_is_not_at_home_whatever_places_it_names() -> None:
    row = replace(own_target("endpoint", "loose", "local", BASIS), pinned=False)
    policy = POLICY.with_facts(load_facts().with_rows(targets=[row]))
    verdict = policy.decide(ask("prompt", "agent:claude", "confidential", "endpoint", "loose"))
    assert set(verdict.rules) == {"leaves-the-region", "endpoint-unpinned"}


def test_a_target_nobody_knows_the_controller_of_gets_nothing_restricted() -> None:
    row = replace(own_target("endpoint", "orphan", "local", BASIS), controlled_by=())
    for jurisdiction in ("DE", "unknown"):
        policy = CedarPolicy(PACK, load_facts(jurisdiction).with_rows(targets=[row]), "local")
        verdict = policy.decide(ask("prompt", "agent:claude", "restricted", "endpoint", "orphan"))
        assert verdict.rules == ("control-from-elsewhere",)


def test_an_install_that_does_not_know_its_jurisdiction_still_works_at_home() -> None:
    policy = CedarPolicy(PACK, load_facts("unknown"), "local")
    for level in LEVELS:
        assert policy.decide(ask("artifact", "platform:greylag", level, "store", "vault:local")).permitted


STAGES = st.sampled_from(list(Stage))
TEXTS = st.text(max_size=300) | st.sampled_from(["secret", "prompt", "local", "", "a\x00b", "\ud800", "{target}"])
NAMES = st.text(max_size=40) | st.sampled_from(
    ["*", "?", "endpoint/?", "anthropic ", "Anthropic", "vault:", "environment:*", "anthropic\n", "scripted/../x"]
)


@given(
    stage=STAGES, principal=st.sampled_from(PRINCIPALS), level=st.sampled_from(LEVELS[1:]), kind=TEXTS, origin=TEXTS,
    target_kind=st.sampled_from(TARGET_KINDS), name=NAMES, surfaces=st.lists(TEXTS, max_size=3),
)  # fmt: skip
def test_nothing_above_public_ever_goes_to_a_target_without_a_row(
    stage: Stage, principal: str, level: str, kind: str, origin: str, target_kind: str, name: str, surfaces: list[str]
) -> None:
    if POLICY.facts.target(target_kind, name) is not None:
        return
    asset = Asset(kind, level, origin, surfaces=tuple(surfaces))
    verdict = POLICY.decide(Question(stage, principal, "send", asset, Target(target_kind, name), AT))
    assert not verdict.permitted
    assert verdict.remedies
    assert verdict.reasons
    assert verdict.errors or "unknown-place" in verdict.rules


@given(
    stage=STAGES | TEXTS, principal=st.sampled_from(PRINCIPALS) | TEXTS, action=TEXTS,
    level=st.sampled_from(LEVELS) | TEXTS, kind=TEXTS, origin=TEXTS | st.none(),
    size=st.integers() | st.none() | st.floats() | st.booleans(), target_kind=st.sampled_from(TARGET_KINDS) | TEXTS,
    name=NAMES | st.sampled_from(["vault:local", "scripted", "anthropic", "console", "forge:local"]) | st.none(),
    surfaces=st.lists(TEXTS | st.none(), max_size=3) | st.none(),
)  # fmt: skip
def test_whatever_a_question_holds_there_is_a_verdict_and_an_error_is_a_no(
    stage: object, principal: str, action: str, level: str, kind: str, origin: object, size: object, target_kind: str,
    name: object, surfaces: list[object] | None,
) -> None:  # fmt: skip
    asset = Asset(kind, level, origin, size_bytes=size, surfaces=surfaces)  # type: ignore[arg-type]
    question = Question(stage, principal, action, asset, Target(target_kind, name), AT)  # type: ignore[arg-type]
    verdict = POLICY.decide(question)
    assert not (verdict.permitted and verdict.errors)
    assert verdict.permitted or verdict.remedies
    for text in (*verdict.reasons, *verdict.remedies, *verdict.errors):
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 2000
    assert POLICY.decide(question) == verdict, "the same question gets the same verdict"


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage not in ("context", "prompt", "tool")])
def test_an_agent_gets_nowhere_but_to_context_prompt_and_tool(stage: Stage) -> None:
    for row in POLICY.facts.targets:
        name = row.name.replace("*", "x")
        for level in LEVELS:
            verdict = POLICY.decide(ask(stage, "agent:claude", level, row.kind, name))
            assert not verdict.permitted
            assert "agent-outside-its-stages" in verdict.rules


@pytest.mark.parametrize("stage", ["push", "deploy"])
@pytest.mark.parametrize("principal", ["person:ada", "agent:claude"])
def test_only_the_platform_pushes_and_deploys(stage: str, principal: str) -> None:
    kind, name = {"push": ("forge", "forge:local"), "deploy": ("environment", "environment:a/b")}[stage]
    assert POLICY.decide(ask(stage, "platform:greylag", "restricted", kind, name)).permitted
    assert "only-the-platform-releases" in POLICY.decide(ask(stage, principal, "public", kind, name)).rules


@pytest.mark.parametrize(
    "principal", ["ada", "", ":", "person:", "root:ada", "Person:ada", " person:ada", "person" + "x" * 300, "platform"]
)
def test_a_principal_of_no_known_kind_gets_nothing(principal: str) -> None:
    verdict = POLICY.decide(ask("intake", principal, "public", "store", "vault:local"))
    assert not verdict.permitted
    assert any("`principal`" in error for error in verdict.errors)


def test_a_decision_is_quick_enough_to_be_asked_at_every_hop() -> None:
    questions = [ask("prompt", "agent:claude", "internal", "endpoint", "anthropic") for _ in range(200)]
    started = datetime.now(UTC)
    assert all(POLICY.decide(question).permitted for question in questions)
    each = (datetime.now(UTC) - started).total_seconds() / len(questions)
    assert each < 0.005, "the aim is 0.0005 s; ten times that is a defect even on a busy machine"


def test_one_policy_serves_many_threads_with_the_same_verdicts() -> None:
    questions = [example.question for example in EXAMPLES[2]] * 5
    expected = [EXAMPLE_POLICY.decide(question) for question in questions]
    with ThreadPoolExecutor(max_workers=8) as pool:
        assert list(pool.map(EXAMPLE_POLICY.decide, questions)) == expected
