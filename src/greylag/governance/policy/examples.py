"""Example decisions that ship with a pack: what it must allow, what it must deny, and by which rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from greylag.domain.errors import OperatorError
from greylag.domain.labels import LEVELS, Label
from greylag.domain.stages import Stage
from greylag.governance.facts import FactBook, parse_facts
from greylag.governance.policy.cedar import CedarPolicy
from greylag.governance.policy.pack import SCHEMA_VERSION, Pack, pack_error
from greylag.governance.question import Asset, Discharged, Question, Target, Verdict

#: What an example may expect. ``deny-until``: denied, and open once exactly its ``obligations`` are discharged.
EXPECTATIONS = ("allow", "deny", "deny-until")
NO_MATCH = "no-match"
MAX_EXAMPLES = 2000

_REQUIRED = frozenset(
    {"title", "stage", "principal", "kind", "level", "target_kind", "target", "expect", "rule"}
)  # fmt: skip
_TEXTS = _REQUIRED | {"action", "origin", "home_region"}
_LISTS = frozenset({"classes", "origins", "surfaces", "applied", "approvals", "obligations"})
_COUNTS = frozenset({"size_bytes", "subjects", "residual_findings"})
_HEAD = frozenset({"schema_version", "home_region", "at", "facts", "example"})


@dataclass(frozen=True, slots=True)
class Example:
    """One question with the verdict it must get: ``expect`` ∈ `EXPECTATIONS`, with ``rule`` among the rules.

    ``rule`` is ``no-match`` where nothing may match. ``home_region`` is the region that is asked.
    """

    title: str
    question: Question
    expect: str
    rule: str
    home_region: str
    obligations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExampleSet:
    """The examples of one pack: asked on one day, at one home unless an example names another, over their own facts."""

    home_region: str
    at: date
    book: FactBook
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """An example whose verdict is another one over changed facts."""

    pack: str
    title: str
    before: Verdict
    after: Verdict


def parse_examples(pack: Pack, library: Mapping[str, FactBook]) -> ExampleSet:
    """Return what ``examples.toml`` of ``pack`` holds; ``library`` holds fact books by the names it may ask for.

    Raises OperatorError ``GL-POLICY-017`` for what is malformed, ``GL-FACTS-…`` for its facts.
    """
    data = pack.examples
    if data.get("schema_version") != SCHEMA_VERSION:
        got = data.get("schema_version")
        raise _malformed(pack, f"`schema_version`: got/expected: {got!r}/{SCHEMA_VERSION}")
    home, at, rows = data.get("home_region"), data.get("at"), data.get("example")
    if not isinstance(home, str) or not home:
        raise _malformed(pack, f"`home_region`: got/expected: {home!r}/the name of a place")
    if not isinstance(at, date) or isinstance(at, datetime):
        raise _malformed(pack, f"`at`: got/expected: {at!r}/the day on which the examples are asked")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_EXAMPLES:
        raise _malformed(pack, f"`example`: got/expected: no list/1 to {MAX_EXAMPLES} `[[example]]` tables")
    book = parse_facts({"schema_version": 2, **{name: data[name] for name in data if name not in _HEAD}})
    names = data.get("facts", [])
    for name in names if isinstance(names, list) else [names]:
        if not isinstance(name, str) or name not in library:
            raise _malformed(pack, f"`facts`: got/expected: {name!r}/one of {', '.join(sorted(library))}")
        book = book.joined(library[name])
    examples = tuple(_example(pack, row, home, at, number) for number, row in enumerate(rows, start=1))
    return ExampleSet(home, at, book, examples)


def check_examples(pack: Pack, others: Sequence[Pack], library: Mapping[str, FactBook]) -> list[str]:
    """Return what is wrong, in words: each example with another verdict, each rule without one.

    ``others`` are packs asked along with it (those it requires). A house pack must show each of the twelve stages with
    both outcomes. Raises OperatorError as `parse_examples` and as `CedarPolicy`.
    """
    given = parse_examples(pack, library)
    policies = _policies(pack, others, given, given.book)
    failures: list[str] = []
    seen_rules: set[str] = set()
    seen: set[tuple[Stage | None, bool]] = set()
    for example in given.examples:
        verdict = policies[example.home_region].decide(example.question)
        seen_rules.update(verdict.rules)
        seen |= {(example.question.stage, verdict.permitted), (None, verdict.permitted)}
        if (difference := difference_of(example, verdict)) is not None:
            failures.append(f"example {example.title!r}: {difference}")
    stages: tuple[Stage | None, ...] = tuple(Stage) if _permits(pack) else (None,)
    for stage in stages:
        for permitted, word in ((True, "allowed"), (False, "denied")):
            if (stage, permitted) not in seen:
                failures.append(f"no example is {word}" + (f" at stage `{stage}`" if stage else ""))
    failures += [f"no example meets rule `{rule.rule_id}`" for rule in pack.rules if rule.rule_id not in seen_rules]
    return failures


def moved_examples(
    pack: Pack, others: Sequence[Pack], library: Mapping[str, FactBook], change: Callable[[FactBook], FactBook]
) -> list[Moved]:
    """Return the examples whose verdict, rules or obligations are others once ``change`` is made to their facts.

    Raises OperatorError as `check_examples`; also where the packs can't be read over the changed facts at all.
    """
    given = parse_examples(pack, library)
    before = _policies(pack, others, given, given.book)
    after = _policies(pack, others, given, change(given.book))
    pairs = [
        (each, before[each.home_region].decide(each.question), after[each.home_region].decide(each.question))
        for each in given.examples
    ]
    return [
        Moved(pack.name, each.title, old, new)
        for each, old, new in pairs
        if (old.permitted, old.rules, old.obligations) != (new.permitted, new.rules, new.obligations)
    ]


def difference_of(example: Example, verdict: Verdict) -> str | None:
    """Return in words how ``verdict`` differs from what the example expects, None where it doesn't."""
    got = "allow" if verdict.permitted else "deny-until" if verdict.obligations else "deny"
    if verdict.errors:
        return f"it could not be evaluated: {'; '.join(verdict.errors)}"
    if got != example.expect and (got, example.expect) != ("deny-until", "deny"):
        return f"got/expected: {got}/{example.expect} (rules: {', '.join(verdict.rules) or 'no match'})"
    if (example.rule not in verdict.rules) if example.rule != NO_MATCH else bool(verdict.rules):
        return f"got/expected: {', '.join(verdict.rules) or 'no match'}/rule `{example.rule}`"
    if example.expect == "deny-until" and sorted(verdict.obligations) != sorted(example.obligations):
        return f"obligations: got/expected: {', '.join(verdict.obligations)}/{', '.join(example.obligations)}"
    if not verdict.permitted and not verdict.remedies:
        return "it is denied without a remedy"
    return None


def _policies(pack: Pack, others: Sequence[Pack], given: ExampleSet, book: FactBook) -> Mapping[str, CedarPolicy]:
    homes = sorted({each.home_region for each in given.examples})
    return {home: CedarPolicy([*others, pack], book, home, today=given.at, drill=True) for home in homes}


def _permits(pack: Pack) -> bool:
    return any(rule.effect == "permit" for rule in pack.rules)


def _example(pack: Pack, row: object, home: str, at: date, number: int) -> Example:
    if not isinstance(row, Mapping):
        raise _malformed(pack, f"example {number}: got/expected: {row!r}/a table")
    label = f"example {number} ({row.get('title')!r})"
    if unknown := sorted(set(row) - _TEXTS - _LISTS - _COUNTS):
        raise _malformed(pack, f"{label}: field `{unknown[0]}` is not known")
    if missing := sorted(_REQUIRED - set(row)):
        raise _malformed(pack, f"{label}: field `{missing[0]}` is missing")
    for name, value in row.items():
        kind = "a list of texts" if name in _LISTS else "a whole number" if name in _COUNTS else "a text"
        holds = (
            isinstance(value, list) and all(isinstance(each, str) for each in value)
            if name in _LISTS
            else isinstance(value, int) and not isinstance(value, bool)
            if name in _COUNTS
            else isinstance(value, str)
        )
        if not holds:
            raise _malformed(pack, f"{label}, field `{name}`: got/expected: {value!r}/{kind}")
    for name, allowed in (("stage", tuple(Stage)), ("expect", EXPECTATIONS), ("level", LEVELS)):
        if row[name] not in allowed:
            raise _malformed(pack, f"{label}, field `{name}`: got/expected: {row[name]!r}/one of {', '.join(allowed)}")
    home = row.get("home_region", home)
    return Example(
        row["title"], _question(row, home, at), row["expect"], row["rule"], home, tuple(row.get("obligations", ()))
    )


def _question(row: Mapping[str, object], home: str, at: date) -> Question:
    def text(name: str, default: str = "") -> str:
        return str(row.get(name, default))

    def several(name: str) -> tuple[str, ...]:
        value = row.get(name, ())
        return tuple(str(each) for each in value) if isinstance(value, list) else ()

    def count(name: str) -> int:
        value = row.get(name, 0)
        return value if isinstance(value, int) else 0

    label = Label.of(
        text("level"), classes=several("classes"), origins=several("origins"), subjects=count("subjects")
    )  # fmt: skip
    return Question(
        stage=Stage(text("stage")),
        principal=text("principal"),
        action=text("action", "send"),
        asset=Asset(
            text("kind"), label, text("origin", home), size_bytes=count("size_bytes"), surfaces=several("surfaces")
        ),
        target=Target(text("target_kind"), text("target")),
        at=datetime(at.year, at.month, at.day, tzinfo=UTC),
        discharged=Discharged(several("applied"), several("approvals"), count("residual_findings")),
    )


def _malformed(pack: Pack, what: str) -> OperatorError:
    return pack_error("017", pack.name, f"examples.toml: {what}")
