"""The search for the smallest change that turns an answer.

Breadth first by the number of changes, and complete for the changes it knows: a denial stands as long as each rule in
its way sees what it saw, so only a change of something such a rule looks at can be the next step (a hitting set, as in
Reiter, "A theory of diagnosis from first principles", 1987).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC

from greylag.domain.labels import LEVELS
from greylag.governance.explanation.changes import Situation, Standpoint, may_touch, moves
from greylag.governance.explanation.reading import RuleReader
from greylag.governance.explanation.values import Change, Flip, Nearest
from greylag.governance.facts import Adequacy, FactBase, Law, Mechanism, Opening, Regime, Row, TargetFact, is_stale
from greylag.governance.policy.cedar import CedarPolicy
from greylag.governance.policy.supposing import Supposed, Supposition
from greylag.governance.question import Discharged, Question

MAX_CHANGES = 3
MAX_QUESTIONS = 400
#: Variations that are made ready to see whether they differ in what counts; most do not, and are never asked.
MAX_MADE = 800
MAX_FLIPS = 8
MAX_WITHOUT = 24
#: How much each table of facts can be trusted to stay as it is, for ranking what a permit hangs by.
_STEADY: Mapping[str, int] = {
    "adequacy": 10, "mechanism": 12, "certification": 14, "opening": 20, "processor": 30, "regime": 40,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to: ``flips`` by effort, ``tried`` questions; ``whole`` False where it was cut short.

    ``nearest`` is what comes nearest where nothing turns it.
    """

    flips: tuple[Flip, ...]
    tried: int
    whole: bool
    nearest: Nearest | None = None


@dataclass(frozen=True, slots=True)
class _Node:
    """Some changes together, what they lead to, and how that is answered."""

    changes: frozenset[Change]
    standpoint: Standpoint
    case: Supposition
    answer: Supposed


class Search:
    """Asks one policy about variations of one question, which is ``permitted`` or not. Used once."""

    def __init__(self, policy: CedarPolicy, question: Question, permitted: bool, others: Sequence[str] = ()) -> None:
        self.policy = policy
        self.question = question
        self.others = others
        self.reader = RuleReader(policy)
        self.tried = 0
        self.made = 0
        self.whole = True
        facts = policy.facts_on(question.at.astimezone(UTC).date())
        names = {self.question.target.name, *self.others}
        behind = facts.target(self.question.target.kind, self.question.target.name)
        names |= {behind.name} if behind is not None else set()

        regimes = None if permitted else set(self._regimes(facts))

        def counts(row: Row) -> bool:
            """Whether a row can matter: there are many other targets, texts of law and regimes that can't."""
            if isinstance(row, TargetFact | Opening):
                return row.name in names
            if isinstance(row, Regime):
                return regimes is None or row.name in regimes
            if isinstance(row, Adequacy | Mechanism):
                return regimes is None or row.regime in regimes
            return not isinstance(row, Law)

        self._rows: dict[str, Row] = {row.row: row for row in facts.rows if counts(row)}
        self._base = FactBase(facts.valid, facts.known, tuple(self._rows.values()), facts.silent, facts.missing)
        self._facts: dict[tuple[Row, ...], FactBase] = {(): self._base}

    def _regimes(self, facts: FactBase) -> tuple[str, ...]:
        """Return the regimes on the data; no change that opens a denial brings a further one."""
        label = self.question.asset.label
        return *label.regimes, *facts.regimes_of(label.classes, label.origins)

    def opening(self) -> Found:
        """Return the smallest changes that permit what is denied."""
        root = self._node(frozenset(), Situation(self.question))
        if root is None or root.answer.errors:
            return Found((), self.tried, False)
        frontier, seen, flips, nearest = [root], {root.changes}, [], root
        for _ in range(MAX_CHANGES):
            steps = [step for node in frontier for step in self._steps(node, seen)]
            steps.sort(key=lambda step: (sum(change.effort for change in step[0]), sorted(c.words for c in step[0])))
            left = max(0, MAX_QUESTIONS - self.tried)
            self.whole = self.whole and len(steps) <= left
            frontier = self._ask(steps[:left])
            flips = [node for node in frontier if node.answer.permitted]
            if flips:
                break
            nearest = min([nearest, *frontier], key=_distance)
        found = sorted((_flip(node) for node in flips), key=lambda flip: (flip.effort, flip.words))
        near = None if found else Nearest(_flip(nearest).changes, nearest.answer.rules)
        return Found(tuple(found[:MAX_FLIPS]), self.tried, self.whole, near)

    def closing(self) -> Found:
        """Return the single changes that would deny what is permitted, what is least sure first."""
        steps = [(frozenset({change}), situation) for change, situation in self._losses()]
        nodes = self._ask(
            [
                (changes, point, case)
                for changes, situation in steps
                if (made := self._made(situation))
                for point, case in (made,)
            ]
        )
        found = sorted(
            (_flip(node) for node in nodes if not node.answer.permitted), key=lambda flip: (flip.effort, flip.words)
        )
        return Found(tuple(found[:MAX_FLIPS]), self.tried, self.whole)

    def _steps(
        self, node: _Node, seen: set[frozenset[Change]]
    ) -> Iterator[tuple[frozenset[Change], Standpoint, Supposition]]:
        """Yield what one more change of something that the rules in the way look at leads to."""
        if node.answer.errors:
            return
        rules = node.answer.rules or self.reader.permits
        reads = self.reader.reads(rules)
        for change, situation in moves(node.standpoint, self.reader.names(rules), self.others):
            changes = node.changes | {change}
            if changes in seen or not may_touch(change, reads):
                continue
            self.whole = self.whole and self.made < MAX_MADE
            if self.made >= MAX_MADE:
                return
            self.made += 1
            made = self._made(situation)
            if made is not None and _differs(node.case, made[1], reads):
                seen.add(changes)
                yield changes, *made

    def _node(self, changes: frozenset[Change], situation: Situation) -> _Node | None:
        made = self._made(situation)
        return self._ask([(changes, *made)])[0] if made is not None else None

    def _made(self, situation: Situation) -> tuple[Standpoint, Supposition] | None:
        facts = self._facts_of(situation)
        case = self.policy.supposing(situation.question, facts)
        return (Standpoint(situation, case.asked, facts, self.policy.home_region), case) if case is not None else None

    def _facts_of(self, situation: Situation) -> FactBase:
        if situation.rows not in self._facts:
            base, rows = self._base, {**self._rows, **{row.row: row for row in situation.rows}}
            holding = tuple(row for row in rows.values() if row.basis.decides)
            names = {row.row for row in situation.rows}
            silent = [row for row in base.silent if row.row not in names]
            silent += [row for row in situation.rows if not row.basis.decides]
            missing = tuple(name for name in base.missing if name not in names)
            self._facts[situation.rows] = FactBase(base.valid, base.known, holding, tuple(silent), missing)
        return self._facts[situation.rows]

    def _ask(self, steps: Sequence[tuple[frozenset[Change], Standpoint, Supposition]]) -> list[_Node]:
        self.tried += len(steps)
        answers = self.policy.suppose([case for _, _, case in steps])
        return [_Node(*step, answer) for step, answer in zip(steps, answers, strict=True)]

    def _losses(self) -> Iterator[tuple[Change, Situation]]:
        """Yield what a permit could lose: a row it rests on, something that was discharged, its level."""
        here, done, asset = Situation(self.question), self.question.discharged, self.question.asset
        for name in done.applied:
            left = Discharged(tuple(each for each in done.applied if each != name), done.approvals)
            yield Change("obligation", f"`{name}` is not done", 5), here.asking(replace(self.question, discharged=left))
        for role in done.approvals:
            left = replace(done, approvals=tuple(each for each in done.approvals if each != role))
            yield (
                Change("approval", f"`{role}` does not approve it", 5),
                here.asking(replace(self.question, discharged=left)),
            )
        if asset.label.level in LEVELS[:-1]:
            label = replace(asset.label, level=LEVELS[asset.label.rank + 1])
            question = replace(self.question, asset=replace(asset, label=label))
            yield Change("level", f"the data is {label.level}", 15), here.asking(question)
        home = f"place/{self.policy.home_region}"  # without it there is no world to ask in
        names = [name for name in self.policy.decide(self.question).facts if name in self._rows and name != home]
        used = [self._rows[name] for name in names]
        used.sort(key=lambda row: (self._hold(row), row.row))
        self.whole = self.whole and len(used) <= MAX_WITHOUT
        for row in used[:MAX_WITHOUT]:
            day, known = self._base.valid, self._base.known
            basis = replace(row.basis, status="annulled", valid_from=day, valid_to=None, known_from=known)
            change = Change("row", f"`{row.row}` is annulled", self._hold(row))
            yield change, here.having(replace(row, basis=basis))

    def _hold(self, row: Row) -> int:
        """Return how firmly a row stands, 0 … 100; what is challenged, stale or unchecked goes first."""
        shaky = row.basis.status == "challenged" or is_stale(row.basis, self._base.known)
        return max(0, _STEADY.get(row.row.partition("/")[0], 60) - (10 if shaky else 0))


def _differs(before: Supposition, after: Supposition, reads: frozenset[str]) -> bool:
    """Whether something in ``reads``, or the principal, is another in ``after``."""
    if before.request["principal"] != after.request["principal"]:
        return True
    return any(
        _read(before, variable, name) != _read(after, variable, name)
        for variable, _, name in (each.partition(".") for each in reads)
    )


def _read(case: Supposition, variable: str, name: str) -> object:
    values = case.request["context"] if variable == "context" else case.resource["attrs"]
    return values if name == "*" or not isinstance(values, Mapping) else values.get(name)


def _distance(node: _Node) -> tuple[bool, int, int]:
    """Return how far a denial is from a permit: rules in the way, then effort; no rule at all is no permit either."""
    answer = node.answer
    return bool(answer.errors), len(answer.rules) or 1, sum(change.effort for change in node.changes)


def _flip(node: _Node) -> Flip:
    situation = node.standpoint.situation
    changes = tuple(sorted(node.changes, key=lambda change: (change.effort, change.words)))
    return Flip(changes, situation.question, situation.rows)
