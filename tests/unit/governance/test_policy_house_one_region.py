"""The shipped house rules: what no question may ever get, and what works at home."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.labels import LEVELS, Label
from greylag.domain.stages import Stage
from greylag.egress.door import Policy
from greylag.governance.facts import TARGET_KINDS, Basis, FactBook, Opening, TargetFact, own_target
from greylag.governance.policy import CedarPolicy
from greylag.governance.question import Asset, Question, Target
from tests.support import policies
from tests.support.policies import BASE, TODAY, pack, shipped

AT = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
BASIS = Basis("a test", date(2026, 1, 2), "in_force", "O")
PRINCIPALS = ("person:ada", "agent:claude", "platform:greylag")
OPENED = Opening("endpoint", "anthropic", "internal", BASIS)


def book(*rows: TargetFact | Opening, jurisdiction: str = "DE") -> FactBook:
    """Return the shipped facts of an install in region ``here``, with its forge and chat, and ``rows`` over them."""
    own = (own_target("forge", "forge:here", "here", BASIS), own_target("chat", "console", "here", BASIS))
    return shipped("here", jurisdiction).joined(FactBook(own)).overlaid_with(FactBook(rows))


def over(*rows: TargetFact | Opening, jurisdiction: str = "DE") -> CedarPolicy:
    """Return the house rules over `book`."""
    return CedarPolicy([pack(BASE)], book(*rows, jurisdiction=jurisdiction), "here", today=TODAY)


POLICY = over(OPENED)
EXAMPLES = [each for each in policies.given(BASE).examples if each.home_region == policies.given(BASE).home_region]
EXAMPLE_POLICY = policies.policy(BASE, policies.given(BASE).home_region)


def ask(
    stage: str, principal: str, level: str, target_kind: str, target: str, *, kind: str = "text", origin: str = "here"
) -> Question:
    asset = Asset(kind, Label.of(level, origins=["DE"]), origin)
    return Question(Stage(stage), principal, "send", asset, Target(target_kind, target), AT)


@pytest.mark.parametrize("stage", list(Stage))
def test_each_stage_has_an_allowed_and_a_denied_example(stage: Stage) -> None:
    expected = {example.expect == "allow" for example in EXAMPLES if example.question.stage is stage}
    assert expected == {True, False}


def test_the_policy_has_the_shape_the_door_asks_for() -> None:
    policy: Policy = POLICY
    assert policy.decide(ask("intake", "person:ada", "internal", "store", "vault:here")).permitted


def test_an_internal_prompt_may_go_to_an_opened_endpoint_and_a_confidential_one_is_told_what_to_do() -> None:
    assert POLICY.decide(ask("prompt", "agent:claude", "internal", "endpoint", "anthropic")).permitted
    denied = POLICY.decide(ask("prompt", "agent:claude", "confidential", "endpoint", "anthropic"))
    assert not denied.permitted
    assert {"level-above-target", "leaves-the-region", "endpoint-unpinned"} <= set(denied.rules)
    assert {"endpoint/anthropic", "opening/endpoint/anthropic", "place/here"} <= set(denied.facts)
    assert any("self-hosted" in remedy for remedy in denied.remedies)
    assert any("registered transformation" in remedy for remedy in denied.remedies)
    assert denied.remedies[0] == "use endpoint `scripted`, where the same is permitted"
    assert denied.obligations == ("redact",), "what is personal in it may be taken out; its level stays"


def test_what_nobody_opened_is_closed_to_public_text_and_says_how_to_open_it() -> None:
    denied = over().decide(ask("prompt", "agent:claude", "public", "endpoint", "anthropic"))
    assert denied.rules == ("level-above-target",)
    assert denied.reasons[0].startswith("the operator's limit for endpoint 'anthropic' is closed, and this is public")
    command = "`greylag facts open endpoint 'anthropic' --level public --because WHY`"
    assert any(command in remedy for remedy in denied.remedies)


def target(kind: str, name: str, **changes: object) -> TargetFact:
    """Return an own target in region ``here`` with some fields otherwise."""
    return replace(own_target(kind, name, "here", BASIS), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("trains", [True, None])
@pytest.mark.parametrize("level", LEVELS[1:])
def test_nothing_above_public_goes_where_it_is_or_may_be_trained_on(trains: bool | None, level: str) -> None:
    policy = over(target("endpoint", "hungry", trains_by_default=trains))
    assert policy.decide(ask("prompt", "agent:claude", level, "endpoint", "hungry")).rules == ("trains-on-inputs",)


@pytest.mark.parametrize(
    "places", [("unknown",), ("nowhere-described",), ("here", "nowhere-described"), ("here", "unknown"), ("DE",)]
)
def test_a_target_that_is_not_wholly_in_the_region_is_not_at_home(places: tuple[str, ...]) -> None:
    row = target("endpoint", "vague", processing=places)
    verdict = over(row).decide(ask("prompt", "agent:claude", "confidential", "endpoint", "vague"))
    assert "leaves-the-region" in verdict.rules


def test_an_unpinned_target_is_not_at_home_whatever_places_it_names() -> None:
    policy = over(target("endpoint", "loose", pinned=False))
    verdict = policy.decide(ask("prompt", "agent:claude", "confidential", "endpoint", "loose"))
    assert set(verdict.rules) == {"leaves-the-region", "endpoint-unpinned"}


def test_a_target_nobody_knows_the_controller_of_gets_nothing_restricted() -> None:
    row = target("endpoint", "orphan", processor="A Company Without A Row")
    for jurisdiction in ("DE", "unknown"):
        verdict = over(row, jurisdiction=jurisdiction).decide(
            ask("prompt", "agent:claude", "restricted", "endpoint", "orphan")
        )
        assert "control-from-elsewhere" in verdict.rules


def test_an_install_that_does_not_know_its_jurisdiction_works_at_home_and_nowhere_else() -> None:
    policy = over(OPENED, jurisdiction="unknown")
    for level in LEVELS:
        assert policy.decide(ask("artifact", "platform:greylag", level, "store", "vault:here")).permitted
    denied = policy.decide(ask("prompt", "agent:claude", "public", "endpoint", "anthropic"))
    assert denied.rules == ("home-unknown",)
    assert any("`jurisdiction` in the `[region]` table" in remedy for remedy in denied.remedies)


@pytest.mark.parametrize("level", LEVELS)
def test_public_text_too_stays_away_from_what_nobody_knows(level: str) -> None:
    for kind in TARGET_KINDS:
        for stage in Stage:
            for principal in PRINCIPALS:
                verdict = POLICY.decide(ask(stage, principal, level, kind, "nobody-knows-this.example"))
                assert not verdict.permitted
                assert "unknown-place" in verdict.rules


FACTS = POLICY.facts_on(TODAY)
STAGES = st.sampled_from(list(Stage))
TEXTS = st.text(max_size=300) | st.sampled_from(["secret", "prompt", "here", "", "a\x00b", "\ud800", "{target}"])
NAMES = st.text(max_size=40) | st.sampled_from(
    ["*", "?", "endpoint/?", "anthropic ", "Anthropic", "vault:", "environment:*", "anthropic\n", "scripted/../x"]
)


@given(
    stage=STAGES, principal=st.sampled_from(PRINCIPALS), level=st.sampled_from(LEVELS), kind=TEXTS, origin=TEXTS,
    target_kind=st.sampled_from(TARGET_KINDS), name=NAMES, surfaces=st.lists(TEXTS, max_size=3),
)  # fmt: skip
def test_nothing_ever_goes_to_a_target_without_a_row(
    stage: Stage, principal: str, level: str, kind: str, origin: str, target_kind: str, name: str, surfaces: list[str]
) -> None:
    if FACTS.target(target_kind, name) is not None:
        return
    asset = Asset(kind, Label(level), origin, surfaces=tuple(surfaces))
    verdict = POLICY.decide(Question(stage, principal, "send", asset, Target(target_kind, name), AT))
    assert not verdict.permitted
    assert verdict.remedies
    assert verdict.reasons
    assert verdict.errors or "unknown-place" in verdict.rules


@given(
    stage=STAGES | TEXTS, principal=st.sampled_from(PRINCIPALS) | TEXTS, action=TEXTS,
    level=st.sampled_from(LEVELS) | TEXTS, kind=TEXTS, origin=TEXTS | st.none(),
    size=st.integers() | st.none() | st.floats() | st.booleans(), target_kind=st.sampled_from(TARGET_KINDS) | TEXTS,
    name=NAMES | st.sampled_from(["vault:here", "scripted", "anthropic", "console", "forge:here"]) | st.none(),
    surfaces=st.lists(TEXTS | st.none(), max_size=3) | st.none(),
)  # fmt: skip
def test_whatever_a_question_holds_there_is_a_verdict_and_an_error_is_a_no(
    stage: object, principal: str, action: str, level: str, kind: str, origin: object, size: object, target_kind: str,
    name: object, surfaces: list[object] | None,
) -> None:  # fmt: skip
    asset = Asset(kind, Label(level), origin, size_bytes=size, surfaces=surfaces)  # type: ignore[arg-type]
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
    for row in FACTS.targets:
        name = row.name.replace("*", "x")
        for level in LEVELS:
            verdict = POLICY.decide(ask(stage, "agent:claude", level, row.kind, name))
            assert not verdict.permitted
            assert "agent-outside-its-stages" in verdict.rules


@pytest.mark.parametrize("stage", ["push", "deploy"])
@pytest.mark.parametrize("principal", ["person:ada", "agent:claude"])
def test_only_the_platform_pushes_and_deploys(stage: str, principal: str) -> None:
    kind, name = {"push": ("forge", "forge:here"), "deploy": ("environment", "environment:a/b")}[stage]
    assert POLICY.decide(ask(stage, "platform:greylag", "restricted", kind, name)).permitted
    assert "only-the-platform-releases" in POLICY.decide(ask(stage, principal, "public", kind, name)).rules


@pytest.mark.parametrize(
    "principal", ["ada", "", ":", "person:", "root:ada", "Person:ada", " person:ada", "person" + "x" * 300, "platform"]
)
def test_a_principal_of_no_known_kind_gets_nothing(principal: str) -> None:
    verdict = POLICY.decide(ask("intake", principal, "public", "store", "vault:here"))
    assert not verdict.permitted
    assert any("`principal`" in error for error in verdict.errors)


def test_a_decision_is_quick_enough_to_be_asked_at_every_hop() -> None:
    questions = [ask("prompt", "agent:claude", "internal", "endpoint", "anthropic") for _ in range(200)]
    started = datetime.now(UTC)
    assert all(POLICY.decide(question).permitted for question in questions)
    each = (datetime.now(UTC) - started).total_seconds() / len(questions)
    assert each < 0.005, "the aim is 0.0005 s; ten times that is a defect even on a busy machine"


def test_one_policy_serves_many_threads_with_the_same_verdicts() -> None:
    questions = [example.question for example in EXAMPLES] * 5
    expected = [EXAMPLE_POLICY.decide(question) for question in questions]
    with ThreadPoolExecutor(max_workers=8) as pool:
        assert list(pool.map(EXAMPLE_POLICY.decide, questions)) == expected
