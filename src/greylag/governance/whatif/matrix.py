"""The future as a table: every label in use, asked towards every target at every stage, before and after a drill."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from greylag.domain.labels import LEVELS, Label
from greylag.domain.stages import Stage
from greylag.governance.decision import Decision
from greylag.governance.facts import CLOSED
from greylag.governance.policy import CedarPolicy
from greylag.governance.policy.supposing import Supposed
from greylag.governance.question import Asset, Question, Target
from greylag.governance.whatif.replay import REGION_LOST, Pair
from greylag.governance.whatif.report import label_document

MAX_LABELS = 64
MAX_CELLS = 100_000
_AT_ONCE = 1_000
_ALWAYS_SHOWN = frozenset({
    (Stage.PLACEMENT, "pool"), (Stage.PROMPT, "endpoint"), (Stage.TOOL, "host"), (Stage.ARTIFACT, "store"),
    (Stage.CHAT, "chat"), (Stage.PUSH, "forge"), (Stage.DEPLOY, "environment"), (Stage.TRACE, "exporter"),
})  # fmt: skip
PERMIT, UNTIL, DENY = "permit", "until", "deny"
#: Who asks at each stage; the platform where nobody else is named.
_ASKING: Mapping[Stage, str] = {
    Stage.INTAKE: "person", Stage.CONTEXT: "agent", Stage.PROMPT: "agent", Stage.TOOL: "agent",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """One label towards one target at one stage. ``answer`` ∈ permit, deny, until (then ``obligations`` say what).

    ``after`` is the same under a drill, empty without one.
    """

    label: Label
    stage: str
    target_kind: str
    target: str
    answer: str
    obligations: tuple[str, ...]
    rules: tuple[str, ...]
    after: str = ""
    after_rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Matrix:
    """Every cell, and how many labels and cells were left out because there are too many."""

    labels: tuple[Label, ...]
    cells: tuple[Cell, ...]
    labels_left_out: int = 0
    cells_left_out: int = 0

    def document(self) -> dict[str, object]:
        """Return this as plain JSON values."""
        return {
            "schema_version": 1,
            "labels": [label_document(label) for label in self.labels],
            "cells": [_cell(cell, self.labels.index(cell.label)) for cell in self.cells],
            "labels_left_out": self.labels_left_out, "cells_left_out": self.cells_left_out,
        }  # fmt: skip


def labels_in_use(decisions: Iterable[Decision]) -> tuple[tuple[Label, ...], int]:
    """Return the different labels of recorded assets, highest level first, and how many times there was one more."""
    seen: dict[Label, None] = {}
    more = 0
    for decision in decisions:
        label = replace(decision.question.asset.label, derived_by=(), subjects=0)
        if label not in seen:
            if len(seen) < MAX_LABELS:
                seen[label] = None
            else:
                more += 1
    return tuple(sorted(seen, key=lambda each: (-each.rank, each.classes, each.origins))), more


def matrix_of(pair: Pair, labels: tuple[Label, ...], *, today: date, drilled: bool, left_out: int = 0) -> Matrix:
    """Return the table of ``labels`` by open targets by the stages at which such a target is used, as of ``today``.

    A stage and a kind of target belong together where public data without classes may go to one of that kind, be it
    only after something was discharged; or by their nature (`_ALWAYS_SHOWN`), so that a target to which nothing at all
    may go is seen as such.
    """
    policy = pair.before
    at = datetime(today.year, today.month, today.day, tzinfo=UTC)
    targets = [Target(row.kind, row.name) for row in policy.facts_on(today).targets if row.max_level != CLOSED]
    every = [(stage, target) for stage in Stage for target in targets]
    plain = [_question(policy, Label(LEVELS[0]), stage, target, at) for stage, target in every]
    used = {
        (stage, target.kind)
        for (stage, target), answer in zip(every, _answers(policy, plain), strict=True)
        if answer.word != DENY
    }
    ways = [(stage, target) for stage, target in every if (stage, target.kind) in used | _ALWAYS_SHOWN]
    cases = [(label, stage, target) for label in labels for stage, target in ways]
    asked = [_question(policy, *case, at) for case in cases[:MAX_CELLS]]
    before = _answers(policy, asked)
    after = _answers(pair.after, asked) if drilled else [_Answer("", (), ())] * len(asked)
    cells = [
        Cell(
            label, str(stage), target.kind, target.name, first.word, first.obligations, first.rules, second.word,
            (REGION_LOST,) if drilled and pair.is_lost(question) else second.rules,
        )
        for (label, stage, target), question, first, second in zip(cases, asked, before, after, strict=False)
    ]  # fmt: skip
    return Matrix(labels, tuple(cells), left_out, len(cases) - len(cells))


@dataclass(frozen=True, slots=True)
class _Answer:
    word: str
    obligations: tuple[str, ...]
    rules: tuple[str, ...]


def _answers(policy: CedarPolicy, questions: Sequence[Question]) -> list[_Answer]:
    """Return bare answers, a bounded number of questions at a time."""
    found: list[_Answer] = []
    for start in range(0, len(questions), _AT_ONCE):
        found += [_answer(policy, each) for each in policy.ask_all(questions[start : start + _AT_ONCE])]
    return found


def _answer(policy: CedarPolicy, supposed: Supposed) -> _Answer:
    if supposed.permitted:
        return _Answer(PERMIT, (), supposed.rules)
    rules = [policy.rules.rules[each][1] for each in supposed.rules if each in policy.rules.rules]
    open_to = rules and len(rules) == len(supposed.rules) and all(rule.obligations for rule in rules)
    if not open_to or supposed.errors:
        return _Answer(DENY, (), supposed.rules)
    wanted = dict.fromkeys(str(each) for rule in rules for each in rule.obligations)
    return _Answer(UNTIL, tuple(wanted), supposed.rules)


def _question(policy: CedarPolicy, label: Label, stage: Stage, target: Target, at: datetime) -> Question:
    principal = f"{_ASKING.get(stage, 'platform')}:matrix"
    name = f"{target.name[:-1]}matrix" if target.name.endswith("*") else target.name
    return Question(stage, principal, "send", Asset("asset", label, policy.home_region), Target(target.kind, name), at)


def _cell(cell: Cell, label: int) -> dict[str, object]:
    return {
        "label": label, "stage": cell.stage, "target_kind": cell.target_kind, "target": cell.target,
        "answer": cell.answer, "obligations": list(cell.obligations), "rules": list(cell.rules), "after": cell.after,
        "after_rules": list(cell.after_rules),
    }  # fmt: skip
