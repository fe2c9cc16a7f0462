"""Where data would go, axis by axis, and which other targets would do as well."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from greylag.governance.explanation.values import Alternative, Axis, TargetUse
from greylag.governance.facts import CLOSED, OPERATOR, UNKNOWN, FactBase, Processor, TargetFact
from greylag.governance.policy.cedar import ROUTABLE_KINDS, CedarPolicy
from greylag.governance.policy.request import Asked
from greylag.governance.question import Question, Target

MAX_OTHERS = 200
MAX_SHOWN = 12
#: Targets the search may try where no other is permitted as it stands.
MAX_TRIED = 4
TIERS = ("home", "regime-home", "adequate", "safeguarded")


@dataclass(frozen=True, slots=True)
class Others:
    """Other targets of the kind: those permitted, best first; why the rest is not; and which are worth a try."""

    permitted: tuple[Alternative, ...]
    reason: str
    worth_a_try: tuple[str, ...]


def target_use(asked: Asked, facts: FactBase) -> TargetUse:
    """Return what is known of the target of ``asked``, each axis apart: nothing is summed up to one region."""
    target, fact = asked.question.target, asked.fact
    if fact is None:
        return TargetUse(target.kind, target.name, known=False)
    reach, processor = facts.reach(fact), facts.processor(fact.processor)
    trains = {True: "yes", False: "no", None: UNKNOWN}[fact.trains_by_default]
    subs = tuple(f"{name}: {', '.join(sorted(codes))}" for name, codes in reach.by_sub_processor)
    axes = (
        Axis("residency", _sorted(reach.residency)),
        Axis("processing", _sorted(reach.processing), fact.processing),
        Axis("storage", _sorted(reach.storage), fact.storage),
        Axis("support", _sorted(reach.support), fact.support),
        Axis("control plane", _sorted(reach.control_plane), fact.control_plane),
        Axis("sub-processors", _sorted(reach.sub_processors), subs),
        Axis("reach", _sorted(reach.everywhere)),
        Axis("control", _sorted(facts.control(fact))),
        Axis("provenance", tuple(fact.weights_from) or (UNKNOWN,)),
    )
    return TargetUse(
        kind=target.kind, name=target.name, known=True, own=not fact.processor, processor=fact.processor,
        legal_entity=processor.legal_entity if processor is not None else "", axes=axes,
        control=_control(fact, facts), certifications=facts.certifications(fact.processor) if fact.processor else (),
        pinned=fact.pinned, trains=trains, retention_days=fact.retention_days, max_level=fact.max_level,
        price_permille=fact.price_permille, uncovered_surfaces=fact.uncovered_surfaces, certainty=facts.certainty(fact),
    )  # fmt: skip


def _sorted(codes: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(codes))


def _control(fact: TargetFact, facts: FactBase) -> tuple[tuple[str, str], ...]:
    """Return which state can compel, and by way of whom."""
    if not fact.processor:
        return ((OPERATOR, "the operator runs it itself"),)
    found: list[tuple[str, str]] = []
    left, seen = [fact.processor], set[str]()
    while left:
        name = left.pop(0)
        if name in seen:
            continue
        seen.add(name)
        row = facts.processor(name)
        found += [(UNKNOWN, f"nothing is known of {name}")] if row is None else _compelled(row)
        left += row.parents if row is not None else ()
    return tuple(found)


def _compelled(row: Processor) -> list[tuple[str, str]]:
    seat = (row.seat or UNKNOWN, f"seat of {row.legal_entity}")
    return [seat, *((each.country, f"{each.basis} ({row.name})") for each in row.controlled_by)]


def others(policy: CedarPolicy, question: Question, facts: FactBase) -> Others:
    """Return which other targets of the kind the same is permitted for, ranked; or why there are none.

    Home before a place where no regime is left before an adequate one before one with safeguards; then what the
    operator runs itself, then the price.
    """
    kind, name = question.target.kind, question.target.name
    if kind not in ROUTABLE_KINDS:
        return Others((), f"one {kind} can't stand in for another", ())
    rows = [row for row in facts.targets if row.kind == kind and row.name != name and not row.covers_many]
    if not rows:
        return Others((), f"the facts know no other {kind}", ())
    asked = [replace(question, target=Target(kind, row.name)) for row in rows[:MAX_OTHERS]]
    answers = policy.ask_all(asked)
    permitted = [
        _alternative(policy, each, row, facts)
        for each, row, answer in zip(asked, rows, answers, strict=False)
        if answer.permitted
    ]
    permitted.sort(key=lambda each: (TIERS.index(each.tier), not each.own, each.price_permille, each.name))
    if permitted:
        return Others(tuple(permitted[:MAX_SHOWN]), "", ())
    return Others((), _refused(rows, [answer.rules for answer in answers]), _near(rows, facts, policy.home_region))


def _alternative(policy: CedarPolicy, question: Question, row: TargetFact, facts: FactBase) -> Alternative:
    case = policy.supposing(question, facts)
    if case is None:
        raise ValueError("a question that was answered is well formed")
    reach = facts.reach(row)
    tier = (
        "home" if reach.names - {UNKNOWN} <= {policy.home_region} and not (row.processor and UNKNOWN in reach.names)
        else "regime-home" if not case.asked.transfers
        else "adequate" if not case.asked.restricted
        else "safeguarded"
    )  # fmt: skip
    return Alternative(row.kind, row.name, tier, not row.processor, row.price_permille, tuple(sorted(reach.names)))


def _refused(rows: Sequence[TargetFact], rules: Sequence[tuple[str, ...]]) -> str:
    """Say why none of the others will do: how many are closed, and which rules refuse the most of the open ones."""
    count: dict[str, int] = {}
    closed = sum(row.max_level == CLOSED for row in rows)
    for row, each in zip(rows, rules, strict=False):
        for rule in (each or ("no rule permits it",)) if row.max_level != CLOSED else ():
            count[rule] = count.get(rule, 0) + 1
    worst = sorted(count, key=lambda rule: (-count[rule], rule))[:3]
    by = f", {', '.join(f'{count[rule]} refused by `{rule}`' for rule in worst)}" if worst else ""
    return f"of {len(rows)} other {rows[0].kind}s known none is permitted: {closed} not opened by the operator{by}"


def _near(rows: Sequence[TargetFact], facts: FactBase, home: str) -> tuple[str, ...]:
    """Return the targets that are nearest to what a rule may want: own, at home, with a fixed place, opened."""

    def distance(row: TargetFact) -> tuple[bool, bool, bool, bool, int, str]:
        away = not facts.reach(row).names <= {home}
        return bool(row.processor), away, not row.pinned, row.max_level == CLOSED, row.price_permille, row.name

    return tuple(row.name for row in sorted(rows, key=distance)[:MAX_TRIED])
