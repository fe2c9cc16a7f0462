"""What a replay comes to: flips both ways by law, repository, owner, target and price."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from greylag.domain.labels import Label
from greylag.governance.policy import CedarPolicy
from greylag.governance.question import Question
from greylag.governance.whatif.drill import Drill
from greylag.governance.whatif.fallback import Fallback, fallback_of, price_of
from greylag.governance.whatif.live import Affected, Holding, LiveThings
from greylag.governance.whatif.replay import REGION_LOST, Outcome

#: How many different flows, names in a group and tasks a report tells apart; the rest is counted.
MAX_FLOWS = 2_000
MAX_NAMES = 1_000
MAX_TASKS = 100_000
#: What stands for a denial because no rule speaks, for one because the evaluation failed, and in a law's place.
NO_MATCH, ERROR, PLATFORM, LOST = "no-match", "error", "the platform itself", "a lost region"
OTHERS = "(others)"
GROUPS = ("law", "rule", "repository", "owner", "target", "stage")
DENIED, ALLOWED = "newly_denied", "newly_allowed"


class Tally:
    """How many decisions of a flow there were, how large what they were about, and of which tasks."""

    def __init__(self) -> None:
        self.decisions = 0
        self.size_bytes = 0
        self.tasks: set[str] = set()


@dataclass(frozen=True, slots=True)
class Flow:
    """Decisions that flip alike: the same way, stage, target, repository, label and kind of asset and principal.

    ``rules`` are those that now forbid or no longer do, ``laws`` what they rest on, ``because`` the rows and packs of
    the drill among the facts used. ``fallback`` is None for what is newly allowed.
    """

    way: str
    first: str
    question: Question
    repository: str
    owner: str
    rules: tuple[str, ...]
    laws: tuple[str, ...]
    why: str
    because: tuple[str, ...]
    price_permille: int
    fallback: Fallback | None
    tally: Tally = field(default_factory=Tally, compare=False)

    def document(self) -> dict[str, object]:
        """Return this as plain JSON values."""
        asset = self.question.asset
        return {
            "way": self.way, "stage": str(self.question.stage), "target_kind": self.question.target.kind,
            "target": self.question.target.name, "repository": self.repository, "owner": self.owner,
            "asset": asset.kind, "label": label_document(asset.label), "decisions": self.tally.decisions,
            "tasks": len(self.tally.tasks), "size_bytes": self.tally.size_bytes, "first_decision": self.first,
            "rules": list(self.rules), "laws": list(self.laws), "why": self.why, "because": list(self.because),
            "price_permille": self.price_permille,
            "fallback": self.fallback.document() if self.fallback is not None else None,
        }  # fmt: skip


class Report:
    """Adds up outcomes in bounded memory. ``owners`` maps repositories to who answers for them."""

    def __init__(self, drill: Drill, live: LiveThings, owners: Mapping[str, str]) -> None:
        self.drill = drill
        self.holding = Holding(live)
        self.counts: Counter[str] = Counter()
        self.groups: dict[str, dict[str, Counter[str]]] = {name: {} for name in GROUPS}
        self.flows: dict[tuple[object, ...], Flow] = {}
        self.flows_left_out = 0
        self.tasks: set[str] = set()
        self.worlds: set[str] = set()
        self._owners = owners

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        decision = outcome.decision
        self.counts["decisions"] += 1
        self.worlds.add(decision.verdict.policy_version)
        self.holding.look(outcome)
        if not outcome.flipped:
            self.counts["still_permitted" if outcome.after.permitted else "still_denied"] += 1
            self.counts["for_other_reasons"] += outcome.moved
            return
        way = DENIED if outcome.before.permitted else ALLOWED
        self.counts[way] += 1
        if decision.task_id and len(self.tasks) < MAX_TASKS:
            self.tasks.add(decision.task_id)
        rules, laws = _rules(outcome)
        self._flow(outcome, way, rules, laws)
        target = decision.question.target
        names: Mapping[str, Iterable[str]] = {
            "law": laws, "rule": rules, "repository": (decision.repository,), "stage": (str(decision.question.stage),),
            "owner": (self._owners.get(decision.repository, ""),), "target": (f"{target.kind}/{target.name}",),
        }  # fmt: skip
        for group, those in names.items():
            for name in those:
                self._count(group, name, way)

    def document(self, affected: Iterable[Affected]) -> dict[str, object]:
        """Return everything as plain JSON values, most frequent first; ``affected`` is what is live and concerned."""
        drill = self.drill
        flows = sorted(self.flows.values(), key=lambda flow: (-flow.tally.decisions, flow.first))
        concerned = tuple(affected)
        return {
            "schema_version": 1,
            "drill": {"name": drill.name, "title": drill.title, "status": drill.status, "note": drill.note},
            "decisions": self.counts["decisions"], "worlds": len(self.worlds),
            **{name: self.counts[name] for name in (
                DENIED, ALLOWED, "still_permitted", "still_denied", "for_other_reasons")},
            "tasks": len(self.tasks),
            "by": {group: _ranked(names) for group, names in self.groups.items()},
            "flows": [flow.document() for flow in flows], "flows_left_out": self.flows_left_out,
            "cost": self._cost(),
            "live": {
                "asked": len(self.holding.live.tasks) + len(self.holding.live.builds)
                + len(self.holding.live.environments),
                "affected": [each.document() for each in concerned], "left_out": self.holding.left_out,
            },
        }  # fmt: skip

    def _cost(self) -> dict[str, object]:
        """Sum up prices: of each newly denied flow to an endpoint against its best fallback, by decisions."""
        denied = [
            each for each in self.flows.values() if each.way == DENIED and each.question.target.kind == "endpoint"
        ]
        served = [(each, each.fallback.targets[0]) for each in denied if each.fallback and each.fallback.targets]
        decisions = sum(each.tally.decisions for each, _ in served)
        before = sum(each.tally.decisions * each.price_permille for each, _ in served)
        after = sum(each.tally.decisions * offer.price_permille for each, offer in served)
        return {
            "decisions": sum(each.tally.decisions for each in denied), "with_fallback": decisions,
            "without_fallback": sum(each.tally.decisions for each in denied) - decisions,
            "tasks": len({task for each in denied for task in each.tally.tasks}),
            "price_permille": before // decisions if decisions else None,
            "fallback_price_permille": after // decisions if decisions else None,
        }  # fmt: skip

    def _flow(self, outcome: Outcome, way: str, rules: tuple[str, ...], laws: tuple[str, ...]) -> None:
        decision, question = outcome.decision, outcome.question
        asset = question.asset
        principal = question.principal.partition(":")[0]
        key = (
            way, question.stage, question.target, decision.repository, principal, asset.kind, asset.label, rules,
            question.discharged,
        )  # fmt: skip
        flow = self.flows.get(key)
        if flow is None:
            if len(self.flows) >= MAX_FLOWS:
                self.flows_left_out += 1
                return
            flow = self.flows[key] = self._begun(outcome, way, rules, laws)
        flow.tally.decisions += 1
        flow.tally.size_bytes += asset.size_bytes
        if decision.task_id in self.tasks:
            flow.tally.tasks.add(decision.task_id)

    def _begun(self, outcome: Outcome, way: str, rules: tuple[str, ...], laws: tuple[str, ...]) -> Flow:
        decision, question, pair = outcome.decision, outcome.question, outcome.pair
        denial = outcome.after if way == DENIED else outcome.before
        used = {*outcome.before.facts, *outcome.after.facts}
        used |= {f"pack/{name}" for policy in (pair.before, pair.after) for name in _packs(policy, rules)}
        return Flow(
            way=way,
            first=decision.decision_id,
            question=question,
            repository=decision.repository,
            owner=self._owners.get(decision.repository, ""),
            rules=rules,
            laws=laws,
            why=(denial.reasons or denial.errors or ("no rule permits it",))[0],
            because=tuple(sorted(used & pair.changed.touched)),
            price_permille=price_of(pair.before.facts_on(question.at.date()), question.target),
            fallback=fallback_of(pair.after, question, outcome.after) if way == DENIED else None,
        )

    def _count(self, group: str, name: str, way: str) -> None:
        names = self.groups[group]
        if name not in names and len(names) >= MAX_NAMES:
            name = OTHERS
        names.setdefault(name, Counter())[way] += 1


def _rules(outcome: Outcome) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the rules that made the denial, on whichever side it is, and the laws they rest on."""
    denied_after = outcome.before.permitted
    denial, policy = (
        (outcome.after, outcome.pair.after) if denied_after else (outcome.before, outcome.pair.before)
    )  # fmt: skip
    if not denial.rules:
        return ((ERROR if denial.errors else NO_MATCH,), (PLATFORM,))
    laws: dict[str, None] = {}
    for rule_id in denial.rules:
        laws |= dict.fromkeys(_laws(policy, rule_id))
    return denial.rules, tuple(laws)


def _laws(policy: CedarPolicy, rule_id: str) -> tuple[str, ...]:
    found = policy.rules.rules.get(rule_id)
    if rule_id == REGION_LOST:
        return (LOST,)
    if found is None:
        return (PLATFORM,)
    rule = found[1]
    named = tuple(law.removeprefix("law/") for law in rule.law)
    return named or (f"{rule.pack}: {rule.clause}" if rule.clause else rule.pack,)


def _packs(policy: CedarPolicy, rules: Iterable[str]) -> set[str]:
    return {policy.rules.rules[each][1].pack for each in rules if each in policy.rules.rules}


def label_document(label: Label) -> dict[str, object]:
    """Return a label as plain JSON values, without its derivation."""
    return {
        "level": label.level, "classes": list(label.classes), "origins": list(label.origins),
        "regimes": list(label.regimes),
    }  # fmt: skip


def _ranked(names: Mapping[str, Counter[str]]) -> list[dict[str, object]]:
    order = sorted(names, key=lambda name: (-names[name].total(), name))
    return [{"name": name, DENIED: names[name][DENIED], ALLOWED: names[name][ALLOWED]} for name in order]
