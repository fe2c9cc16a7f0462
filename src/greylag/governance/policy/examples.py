"""Example decisions that ship with a pack: what it must allow, what it must deny and by which rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from greylag.domain.errors import OperatorError
from greylag.domain.stages import Stage
from greylag.governance.facts import FactBase, parse_facts
from greylag.governance.policy.cedar import CedarPolicy
from greylag.governance.policy.pack import Pack, pack_error
from greylag.governance.question import Asset, Question, Target, Verdict

_TEXTS = frozenset(
    {"title", "stage", "principal", "action", "kind", "level", "origin", "target_kind", "target", "expect", "rule"}
)


@dataclass(frozen=True, slots=True)
class Example:
    """One question with the verdict it must get: ``allow`` or ``deny``, with ``rule`` among the verdict's rules.

    ``rule`` is ``no-match`` where nothing may match.
    """

    title: str
    question: Question
    expect: str
    rule: str


def parse_examples(pack: Pack) -> tuple[str, FactBase, tuple[Example, ...]]:
    """Return the home region, the facts and the examples that ``pack`` brings.

    Raises OperatorError ``GL-POLICY-017`` for what is malformed, ``GL-FACTS-…`` for its facts.
    """
    data = pack.examples
    if unknown := sorted(set(data) - {"schema_version", "home_region", "place", "target", "example"}):
        raise _malformed(pack, f"`{unknown[0]}` is not known")
    home, rows = data.get("home_region"), data.get("example")
    if not isinstance(home, str) or not home:
        raise _malformed(pack, f"`home_region`: got/expected: {home!r}/the name of a place")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise _malformed(pack, "there are no `[[example]]` tables")
    facts = parse_facts({name: data[name] for name in ("schema_version", "place", "target") if name in data})
    return home, facts, tuple(_example(pack, row, home, number) for number, row in enumerate(rows, start=1))


def check_examples(pack: Pack, facts: FactBase | None = None) -> list[str]:
    """Return what is wrong, in words: each example whose verdict differs, each stage and rule without an example.

    The examples are asked over their own facts, or over ``facts`` to see which of them a change of facts would move.
    Raises OperatorError as `parse_examples` and as `CedarPolicy`.
    """
    home, own_facts, examples = parse_examples(pack)
    policy = CedarPolicy(pack, facts if facts is not None else own_facts, home)
    failures: list[str] = []
    seen_rules: set[str] = set()
    seen_stages: set[tuple[Stage, bool]] = set()
    for example in examples:
        verdict = policy.decide(example.question)
        seen_rules.update(verdict.rules)
        seen_stages.add((example.question.stage, verdict.permitted))
        if (difference := _difference(example, verdict)) is not None:
            failures.append(f"example {example.title!r}: {difference}")
    for stage in Stage:
        for permitted, word in ((True, "allowed"), (False, "denied")):
            if (stage, permitted) not in seen_stages:
                failures.append(f"no example is {word} at stage `{stage}`")
    failures += [f"no example meets rule `{rule.rule_id}`" for rule in pack.rules if rule.rule_id not in seen_rules]
    return failures


def _difference(example: Example, verdict: Verdict) -> str | None:
    got = "allow" if verdict.permitted else "deny"
    if verdict.errors:
        return f"it could not be evaluated: {'; '.join(verdict.errors)}"
    if got != example.expect:
        return f"got/expected: {got}/{example.expect} (rules: {', '.join(verdict.rules) or 'no match'})"
    if (example.rule not in verdict.rules) if example.rule != "no-match" else bool(verdict.rules):
        return f"got/expected: {', '.join(verdict.rules) or 'no match'}/rule `{example.rule}`"
    if not verdict.permitted and not verdict.remedies:
        return "it is denied without a remedy"
    return None


def _example(pack: Pack, row: Mapping[str, object], home: str, number: int) -> Example:
    label = f"example {number} ({row.get('title')!r})"
    if unknown := sorted(set(row) - _TEXTS - {"size_bytes", "surfaces"}):
        raise _malformed(pack, f"{label}: field `{unknown[0]}` is not known")
    text = {"action": "send", "origin": home, **{name: row[name] for name in _TEXTS if name in row}}
    size, surfaces = row.get("size_bytes", 0), row.get("surfaces", [])
    checks: tuple[tuple[str, object, bool, str], ...] = (
        *((name, text.get(name), isinstance(text.get(name), str), "a text") for name in sorted(_TEXTS)),
        ("stage", text.get("stage"), text.get("stage") in tuple(Stage), f"one of {', '.join(Stage)}"),
        ("expect", text.get("expect"), text.get("expect") in ("allow", "deny"), "allow or deny"),
        ("size_bytes", size, isinstance(size, int) and not isinstance(size, bool), "a whole number"),
        ("surfaces", surfaces, isinstance(surfaces, list), "a list of texts"),
    )
    for name, value, holds, expected in checks:
        if not holds:
            raise _malformed(pack, f"{label}, field `{name}`: got/expected: {value!r}/{expected}")
    return _checked_example({name: str(value) for name, value in text.items()}, size, surfaces)


def _checked_example(text: Mapping[str, str], size: object, surfaces: object) -> Example:
    question = Question(
        stage=Stage(text["stage"]),
        principal=text["principal"],
        action=text["action"],
        asset=Asset(
            text["kind"],
            text["level"],
            text["origin"],
            size_bytes=size if isinstance(size, int) else 0,
            surfaces=tuple(str(surface) for surface in surfaces) if isinstance(surfaces, list) else (),
        ),
        target=Target(text["target_kind"], text["target"]),
        at=datetime(2000, 1, 1, tzinfo=UTC),
    )
    return Example(text["title"], question, text["expect"], text["rule"])


def _malformed(pack: Pack, what: str) -> OperatorError:
    return pack_error("017", pack.name, f"examples.toml: {what}")
