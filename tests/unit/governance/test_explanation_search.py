"""What is said to turn an answer does turn it, and nothing smaller does."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greylag.domain.labels import LEVELS
from greylag.domain.stages import Stage
from greylag.governance.explanation import Explanation, as_json, as_text, explain, one_line
from greylag.governance.explanation.changes import TOUCHES, Situation, Standpoint, moves
from greylag.governance.explanation.reading import RuleReader
from greylag.governance.explanation.targets import others
from greylag.governance.facts import FactBook
from greylag.governance.policy import CedarPolicy
from greylag.governance.question import Question, Target
from tests.support.lawbook import HOME, TODAY, ask, opened, policy_of, shipped_packs

BOOK = opened(
    ("endpoint", "anthropic", "internal"), ("endpoint", "mistral-eu", "confidential"), ("chat", "slack", "internal"),
    ("endpoint", "bedrock-eu-west-2", "restricted"), ("endpoint", "openai-eu", "public"),
)  # fmt: skip
POLICY = policy_of(BOOK)
TARGETS = (
    ("endpoint", "anthropic"), ("endpoint", "mistral-eu"), ("endpoint", "bedrock-eu-west-2"), ("endpoint", "openai-eu"),
    ("endpoint", "own-model"), ("endpoint", "deepseek"), ("endpoint", "nobody-knows-it"), ("chat", "slack"),
    ("chat", "thread:local"), ("forge", "builtin"), ("store", f"vault:{HOME}"), ("host", "pypi.org"),
    ("environment", "environment:prod"), ("exporter", "elsewhere"), ("pool", f"pool:{HOME}"),
)  # fmt: skip
CLASSES = ("user.contact.email", "user.name", "user.health_and_medical", "finance.transaction", "code", "secret")
ORIGINS = ("GB", "DE", "US", "CA-QC", "CN", "CH", "ZZ")

questions = st.builds(
    lambda stage, target, level, classes, origins, principal, applied, surfaces: ask(
        stage, *target, level, classes=tuple(classes), origins=tuple(origins), principal=principal,
        applied=tuple(applied), surfaces=tuple(surfaces), asset="prompt",
    ),
    st.sampled_from([str(stage) for stage in Stage]), st.sampled_from(TARGETS), st.sampled_from(LEVELS),
    st.lists(st.sampled_from(CLASSES), max_size=3, unique=True),
    st.lists(st.sampled_from(ORIGINS), max_size=2, unique=True),
    st.sampled_from(["person:anna", "agent:claude", "platform:greylag"]),
    st.lists(st.sampled_from(["pseudonymise", "redact", "aggregate"]), max_size=2, unique=True),
    st.lists(st.sampled_from(["title", "file_names", "branch"]), max_size=2, unique=True),
)  # fmt: skip
quick = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def over(book: FactBook) -> CedarPolicy:
    """Return a policy of its own over changed facts: nothing is shared with what explained."""
    return CedarPolicy(shipped_packs(), book, HOME, today=TODAY)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(questions)
def test_bare_answers_are_those_that_count(question: Question) -> None:
    """The explanation asks by two other ways than the door; all three say the same."""
    verdict = POLICY.decide(question)
    (bare,) = POLICY.ask_all([question])
    case = POLICY.supposing(question, POLICY.facts_on(TODAY))
    assert case is not None
    (supposed,) = POLICY.suppose([case])
    for answer in (bare, supposed):
        assert (answer.permitted, answer.rules) == (verdict.permitted, verdict.rules)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(questions)
def test_what_is_said_to_turn_the_answer_turns_it(question: Question) -> None:
    explained = explain(POLICY, question)
    assert explained.verdict == POLICY.decide(question)
    for flip in explained.flips[:3]:
        policy = over(BOOK.replaced(*flip.rows)) if flip.rows else POLICY
        assert policy.decide(flip.question).permitted is not explained.verdict.permitted, flip.words


@quick
@given(questions)
def test_a_denial_has_a_remedy_or_the_reason_why_not(question: Question) -> None:
    explained = explain(POLICY, question)
    if explained.verdict.permitted:
        assert explained.remedies == ()
        assert explained.flips, "every permit rests on something"
    else:
        assert explained.remedies
        assert all(each.text for each in explained.remedies)
        assert explained.alternatives or explained.no_alternative
        assert explained.flips or explained.nearest is not None
    assert 0 < len(one_line(explained)) <= 300
    assert "\n" not in one_line(explained)
    assert json.loads(json.dumps(as_json(explained)))["verdict"]["permitted"] is explained.verdict.permitted
    assert as_text(explained).startswith("PERMITTED" if explained.verdict.permitted else "DENIED")


@quick
@given(questions)
def test_alternatives_are_permitted(question: Question) -> None:
    for each in others(POLICY, question, POLICY.facts_on(TODAY)).permitted:
        assert POLICY.decide(replace(question, target=Target(each.kind, each.name))).permitted


MINIMAL = {
    "two changes": ask(
        "prompt", "endpoint", "anthropic", "confidential", classes=("finance.transaction",), origins=("GB",)
    ),
    "personal": ask("prompt", "endpoint", "mistral-eu", "internal", classes=("user.contact.email",), origins=("DE",)),
    "closed": ask("prompt", "endpoint", "deepseek", "internal"),
    "unknown": ask("prompt", "endpoint", "nobody-knows-it", "public"),
    "wrong principal": ask("push", "forge", "builtin", principal="agent:claude"),
    "surfaces": ask(
        "chat", "chat", "slack", "confidential", surfaces=("title",), classes=("user.name",), origins=("US",)
    ),
}  # fmt: skip


@pytest.mark.parametrize("question", MINIMAL.values(), ids=MINIMAL.keys())
def test_nothing_smaller_turns_it(question: Question) -> None:
    """By brute force: every set of fewer changes, whether or not a rule in the way looks at what it changes."""
    explained = explain(POLICY, question)
    assert explained.whole
    size = min((len(flip.changes) for flip in explained.flips), default=0)
    assert all(len(flip.changes) == size for flip in explained.flips)
    for smaller in range(1, size or 3):
        turned = [words for words, permitted in every(question, smaller) if permitted]
        assert turned == []


@pytest.mark.parametrize("name", ["two changes", "closed", "unknown", "wrong principal"])
def test_nothing_of_the_same_size_is_overlooked(name: str) -> None:
    question = MINIMAL[name]
    explained = explain(POLICY, question)
    size = min(len(flip.changes) for flip in explained.flips)
    words = {frozenset(change.words for change in flip.changes) for flip in explained.flips}
    elsewhere = {each.name for each in explained.alternatives}
    found = {words for words, permitted in every(question, size) if permitted}
    told = {each for each in found if not any(f"`{name}`" in word for word in each for name in elsewhere)}
    assert words <= found
    assert len(words) == min(len(told), 8)


def every(question: Question, size: int) -> Iterator[tuple[frozenset[str], bool]]:
    """Yield each set of ``size`` changes that can be made one after the other, and whether it is permitted then."""
    reader = RuleReader(POLICY)
    names = reader.names([rule.rule_id for pack in POLICY.packs for rule in pack.rules])
    layer: dict[frozenset[str], Situation] = {frozenset(): Situation(question)}
    for _ in range(size):
        following: dict[frozenset[str], Situation] = {}
        for words, situation in layer.items():
            for change, after in moves(standpoint(situation), names, worth_a_try(question)):
                following.setdefault(words | {change.words}, after)
        layer = {words: after for words, after in following.items() if len(words) > 0}
    cases = [(words, standpoint(after)) for words, after in layer.items() if len(words) == size]
    made = [POLICY.supposing(point.question, point.facts) for _, point in cases]
    answers = POLICY.suppose([case for case in made if case is not None])
    yield from ((words, answer.permitted) for (words, _), answer in zip(cases, answers, strict=True))


def worth_a_try(question: Question) -> tuple[str, ...]:
    """Return what the search itself is given."""
    return others(POLICY, question, POLICY.facts_on(TODAY)).worth_a_try


def standpoint(situation: Situation) -> Standpoint:
    book = BOOK.replaced(*situation.rows) if situation.rows else BOOK
    facts = book.as_of(TODAY, TODAY)
    case = POLICY.supposing(situation.question, facts)
    assert case is not None
    return Standpoint(situation, case.asked, facts, HOME)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(questions)
def test_a_change_alters_nothing_but_what_is_said_of_it(question: Question) -> None:
    """The search leaves changes out by this table; a change that altered more would be overlooked."""
    reader = RuleReader(POLICY)
    names = reader.names([rule.rule_id for pack in POLICY.packs for rule in pack.rules])
    point = standpoint(Situation(question))
    before = POLICY.supposing(question, point.facts)
    assert before is not None
    for change, situation in moves(point, names):
        after = POLICY.supposing(situation.question, standpoint(situation).facts)
        assert after is not None
        altered = {f"context.{name}" for name in differing(before.request["context"], after.request["context"])}
        altered |= {f"resource.{name}" for name in differing(before.resource["attrs"], after.resource["attrs"])}
        assert altered <= TOUCHES.get(change.kind, altered), change.words


def differing(one: object, other: object) -> set[str]:
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def test_the_search_is_bounded() -> None:
    hard = ask(
        "prompt", "endpoint", "deepseek", "restricted", classes=CLASSES, origins=ORIGINS, surfaces=("title", "branch")
    )
    explained: Explanation = explain(POLICY, hard)
    assert explained.tried <= 401
    assert explained.remedies
