"""From a policy and a question to the whole explanation."""

from collections.abc import Sequence
from datetime import UTC

from greylag.governance.explanation.evidence import row_use
from greylag.governance.explanation.search import Found, Search
from greylag.governance.explanation.targets import Others, others, target_use
from greylag.governance.explanation.values import Explanation, LabelUse, RegimeUse, Remedy, RuleUse, TargetUse
from greylag.governance.facts import FactBase
from greylag.governance.policy.cedar import CedarPolicy
from greylag.governance.policy.request import Asked, resolve
from greylag.governance.question import Question, Verdict

PLATFORM = "platform"
#: What rules suggest stands below what was found by asking.
RULE_EFFORT = 60


def explain(policy: CedarPolicy, question: Question) -> Explanation:
    """Return why ``policy`` answers ``question`` as it does, what that rests on, and what would turn the answer.

    Pure and bounded: it asks the same policy some hundred times. A question that can't be evaluated is explained as the
    refusal that it gets.
    """
    verdict = policy.decide(question)
    facts = policy.facts_on(question.at.astimezone(UTC).date())
    asked = resolve(question, facts)
    if not isinstance(asked, Asked):
        return _malformed(policy, question, verdict, facts)
    around = others(policy, question, facts) if not verdict.permitted else Others((), "", ())
    search = Search(policy, question, verdict.permitted, around.worth_a_try)
    found = search.closing() if verdict.permitted else search.opening()
    rules = _rules(verdict, search, facts, policy)
    return Explanation(
        question=question, verdict=verdict, day=question.at.astimezone(UTC).date(), home=policy.home_region,
        rules=rules, facts=tuple(row_use(name, facts, policy.book) for name in verdict.facts),
        label=_label(asked, facts, policy), target=target_use(asked, facts), flips=found.flips,
        alternatives=around.permitted, no_alternative=around.reason,
        remedies=() if verdict.permitted else _remedies(verdict, found, around), tried=found.tried, whole=found.whole,
        nearest=found.nearest,
    )  # fmt: skip


def _malformed(policy: CedarPolicy, question: Question, verdict: Verdict, facts: FactBase) -> Explanation:
    label, target = question.asset.label, question.target
    return Explanation(
        question=question, verdict=verdict, day=facts.valid, home=policy.home_region, rules=(), facts=(),
        label=LabelUse(label.level, label.classes, label.origins, label.subjects, label.derived_by),
        target=TargetUse(target.kind, target.name, known=False), flips=(), alternatives=(),
        no_alternative="the question itself is wrong, so no target will do",
        remedies=(Remedy("none", "; ".join(verdict.errors) or "the question can't be evaluated", 100),), tried=0,
        whole=True,
    )  # fmt: skip


def _rules(verdict: Verdict, search: Search, facts: FactBase, policy: CedarPolicy) -> tuple[RuleUse, ...]:
    # A reason for each rule; where no rule met, one reason says so.
    reasons = verdict.reasons if len(verdict.reasons) == len(verdict.rules) else ("",) * len(verdict.rules)
    found = []
    for rule_id, reason in zip(verdict.rules, reasons, strict=True):
        rule = search.reader.rule(rule_id)
        if rule is None:
            found.append(RuleUse(rule_id, "forbid", PLATFORM, "the platform's own guard", reason))
            continue
        laws = tuple(row_use(f"law/{name.removeprefix('law/')}", facts, policy.book) for name in rule.law)
        said = reason.removesuffix(f" [{rule.clause}]") if rule.clause else reason
        found.append(
            RuleUse(
                rule_id, rule.effect, rule.pack, rule.clause, said, laws,
                tuple(str(each) for each in rule.obligations), rule.remedies, rule.no_remedy,
            )
        )  # fmt: skip
    return tuple(found)


def _label(asked: Asked, facts: FactBase, policy: CedarPolicy) -> LabelUse:
    label = asked.label
    return LabelUse(
        label.level, label.classes, label.origins, label.subjects, label.derived_by,
        tuple(_regime(name, asked, facts, policy) for name in label.regimes),
    )  # fmt: skip


def _regime(name: str, asked: Asked, facts: FactBase, policy: CedarPolicy) -> RegimeUse:
    label, row = asked.label, facts.regime(name)
    classes = tuple(key for key in label.classes if name in facts.regimes_of((key,), label.origins))
    origins = tuple(code for code in label.origins if name in facts.regimes_of(label.classes, (code,)))
    title = row.title if row is not None else "nothing is known of this regime"
    spoken_for = name in policy.rules.regimes
    if asked.fact is None:
        return RegimeUse(name, title, classes, origins, True, ("unknown",), (), spoken_for)
    transfer = facts.transfer(name, label, asked.fact)
    return RegimeUse(
        name, title, classes, origins, transfer.leaves, tuple(sorted(transfer.uncovered)), transfer.safeguards,
        spoken_for, tuple(row_use(each, facts, policy.book) for each in transfer.rows),
    )  # fmt: skip


def _remedies(verdict: Verdict, found: Found, around: Others) -> tuple[Remedy, ...]:
    """Return what can be done, the least effort first; never nothing."""
    remedies = [
        Remedy("alternative", f"use {each.kind} `{each.name}`, where the same is permitted ({each.tier})", 10 + place)
        for place, each in enumerate(around.permitted[:4])
    ]
    remedies += [Remedy("change", flip.words, flip.effort) for flip in found.flips]
    known = {f"use {each.kind} `{each.name}`, where the same is permitted" for each in around.permitted}
    remedies += [_said(text) for text in verdict.remedies if text not in known]
    if not remedies:
        remedies = [Remedy("none", _nothing(found, around), 100)]
    return tuple(sorted(_once(remedies), key=lambda each: each.effort))


def _said(text: str) -> Remedy:
    if text.startswith("none"):
        return Remedy("none", text.removeprefix("none: "), 100)
    return Remedy("rule", text, RULE_EFFORT)


def _once(remedies: Sequence[Remedy]) -> list[Remedy]:
    return list({each.text: each for each in reversed(remedies)}.values())[::-1]


def _nothing(found: Found, around: Others) -> str:
    return f"none of {found.tried} changes that were tried opens it, and {around.reason}"
