"""What could be otherwise about one question: its obligations, its label, what is agreed with whom, what is known.

Each change alters the question or fact rows and nothing else, so the same policy can be asked again. Only a bounded
list of changes is known here: those an operator, an officer or a vendor can really bring about.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from greylag.domain.labels import LEVELS, Label
from greylag.governance.explanation.values import Change
from greylag.governance.facts import (
    ANYWHERE,
    UNKNOWN,
    Basis,
    Certification,
    FactBase,
    Mechanism,
    Opening,
    Place,
    Row,
    TargetFact,
)
from greylag.governance.facts.values import MECHANISMS
from greylag.governance.policy.request import PRINCIPAL_TYPES, Asked
from greylag.governance.question import Discharged, Question, Target
from greylag.governance.transformations.registry import TRANSFORMATIONS, Transformation

SUPPOSED = "supposed, to explain a decision"
MAX_CLASSES = 12
MAX_CODES = 3
#: Where the home region is supposed to lie where nothing says anything about it.
ANY_CODE = "DE"
#: What a rule may ask to be applied, in words for people.
APPLIED: Mapping[str, str] = {
    "pseudonymise": "replace what names people by pseudonyms (`pseudonymise`), shown by a re-scan",
    "redact": "black out what was found in it (`redact`), shown by a re-scan",
    "aggregate": "send figures in place of single records (`aggregate`), shown by a re-scan",
    "encrypt": "encrypt it under a key of the home region (`encrypt`)",
    "link-instead-of-content": "send a link in place of the content (`link-instead-of-content`)",
    "pin-geo": "ask for a fixed place in the request itself (`pin-geo`)",
}
_EFFORT: Mapping[str, int] = {
    "pseudonymise": 20, "redact": 20, "aggregate": 25, "encrypt": 20, "link-instead-of-content": 12, "pin-geo": 18,
}  # fmt: skip
#: The mechanism that is usual where no rule names one.
_USUAL: Mapping[str, str] = {"uk-gdpr": "idta", "cn-pipl": "cac-contract"}
_MECHANISM_WORDS: Mapping[str, str] = {
    "scc": "standard contractual clauses", "idta": "the UK's transfer agreement (IDTA)",
    "uk-addendum": "the UK addendum to standard contractual clauses", "bcr": "binding corporate rules",
    "cac-assessment": "a security assessment of the CAC", "cac-contract": "the CAC's standard contract",
    "cac-certification": "a certification under the CAC's rules", "contract": "a contract about the transfer",
}  # fmt: skip
_NOWHERE = frozenset({ANYWHERE, UNKNOWN})


_TRANSFER = frozenset({"context.transfers", "context.restricted", "context.safeguards"})
_TRUST = frozenset({"resource.certainty", "resource.stale"})
#: Kind of change: everything it can alter of what a rule looks at. The other kinds can alter anything.
TOUCHES: Mapping[str, frozenset[str]] = {
    "obligation": frozenset({"context.applied", "context.residual_findings"}),
    "approval": frozenset({"context.approvals"}),
    "surfaces": frozenset({"context.surfaces"}),
    "level": frozenset({"context.level"}),
    "class": frozenset({"context.classes", "context.regimes"}) | _TRANSFER,
    "opening": frozenset({"resource.max_level"}) | _TRUST,
    "training": frozenset({"resource.trains_by_default"}) | _TRUST,
    "retention": frozenset({"resource.retention_known", "resource.retention_days"}) | _TRUST,
    "check": _TRUST,
    "certification": frozenset({"resource.certifications"}) | _TRUST | _TRANSFER,
    "mechanism": _TRANSFER,
    "assessment": _TRANSFER,
}


def may_touch(change: Change, reads: frozenset[str]) -> bool:
    """Whether ``change`` can alter something in ``reads`` (``context.level``, ``resource.*``)."""
    touched = TOUCHES.get(change.kind)
    return touched is None or any(each in reads or f"{each.partition('.')[0]}.*" in reads for each in touched)


@dataclass(frozen=True, slots=True)
class Situation:
    """A question, over the facts with ``rows`` as their latest versions; an annulled one takes its thing away."""

    question: Question
    rows: tuple[Row, ...] = ()

    def asking(self, question: Question) -> "Situation":
        """Return it with another question."""
        return replace(self, question=question)

    def having(self, *rows: Row) -> "Situation":
        """Return it with further rows, each in the place of one of the same name."""
        names = {row.row for row in rows}
        return replace(self, rows=(*(row for row in self.rows if row.row not in names), *rows))


@dataclass(frozen=True, slots=True)
class Standpoint:
    """A situation with what it means: resolved over its facts, for one home region."""

    situation: Situation
    asked: Asked
    facts: FactBase
    home: str

    @property
    def question(self) -> Question:
        """The question as it stands."""
        return self.situation.question

    @property
    def fact(self) -> TargetFact | None:
        """The target as it stands, with its opening."""
        return self.asked.fact

    def written(self) -> TargetFact:
        """Return the target's row as it is written. Raises ValueError where there is none."""
        row = self.facts.row(self.fact.row) if self.fact is not None else None
        if not isinstance(row, TargetFact):
            raise ValueError("the target has no row")
        return row

    def basis(self) -> Basis:
        """Return the basis of a row that is only supposed; newer than any other on that day."""
        day: date = self.facts.valid
        return Basis(SUPPOSED, day, "in_force", "O", valid_from=day, known_from=self.facts.known)


Moves = Iterator[tuple[Change, Situation]]
#: Attribute of context or resource: the texts that the rules in the way hold beside it.
Literals = Mapping[str, frozenset[str]]
_NONE: frozenset[str] = frozenset()


def moves(now: Standpoint, literals: Literals, others: Sequence[str] = ()) -> Moves:
    """Yield every single change of ``now`` with what it leads to.

    ``literals`` are the names of obligations, roles, schemes and safeguards in the rules that stand in the way,
    ``others`` the names of further targets of the same kind that are worth a try.
    """
    makers: tuple[Callable[[Standpoint, Literals], Moves], ...] = (
        _discharges, _principals, _surfaces, _labels, _opened, _known, _terms, _checked, _agreements, _jurisdictions,
    )  # fmt: skip
    for maker in makers:
        yield from maker(now, literals)
    for name in others:
        question = replace(now.question, target=Target(now.question.target.kind, name))
        if not now.situation.rows:
            yield Change("target", f"use {question.target.kind} `{name}`", 10), now.situation.asking(question)


def _discharges(now: Standpoint, literals: Literals) -> Moves:
    done = now.question.discharged
    for name in sorted(literals.get("applied", _NONE)):
        words = APPLIED.get(name)
        if name.startswith("retain:"):
            words = f"promise that it is erased after {name.removeprefix('retain:')} days (`{name}`)"
        if words is not None and (name not in done.applied or done.residual_findings):
            made = Discharged(tuple(sorted({*done.applied, name})), done.approvals, 0)
            effort = _EFFORT.get(name, 30)
            yield Change("obligation", words, effort), now.situation.asking(replace(now.question, discharged=made))
    for role in sorted(literals.get("approvals", _NONE) - set(done.approvals)):
        made = replace(done, approvals=tuple(sorted({*done.approvals, role})))
        yield (
            Change("approval", _sign_off(now, role), 30),
            now.situation.asking(replace(now.question, discharged=made)),
        )


def _sign_off(now: Standpoint, role: str) -> str:
    target = now.question.target
    return f"have a `{role}` sign it off: `greylag signoff give {target.kind} {target.name} --role {role}`"


def _principals(now: Standpoint, literals: Literals) -> Moves:
    words = {"person": "have a person do it", "agent": "have the agent do it", "platform": "let the platform do it"}
    for kind in PRINCIPAL_TYPES:
        if kind != now.asked.principal_kind:
            question = replace(now.question, principal=f"{kind}:{now.asked.principal_name}")
            yield Change("principal", words[kind], 15), now.situation.asking(question)


def _surfaces(now: Standpoint, literals: Literals) -> Moves:
    asset = now.question.asset
    uncovered = set(now.fact.uncovered_surfaces) if now.fact is not None else set()
    bare = tuple(each for each in asset.surfaces if each in uncovered) or asset.surfaces
    if bare:
        left = tuple(each for each in asset.surfaces if each not in bare)
        question = replace(now.question, asset=replace(asset, surfaces=left))
        yield Change("surfaces", f"leave {', '.join(bare)} out", 15), now.situation.asking(question)


def _labels(now: Standpoint, literals: Literals) -> Moves:
    label = now.question.asset.label
    ways: dict[str, list[str]] = {}
    for each in TRANSFORMATIONS.values():
        for above, below in each.lowers:
            if above == label.level:
                ways.setdefault(below, []).append(each.name)
    for level, names in ways.items():
        words = f"have the label lowered to {level} by {_any_of(names)}, if nothing is left that it was raised for"
        yield Change("level", words, 35), _labelled(now, replace(label, level=level))
    roots = {key.partition(".")[0] for key in label.classes}
    whole = [root for root in sorted(roots) if sum(key.split(".")[0] == root for key in label.classes) > 1]
    for key in (*label.classes[:MAX_CLASSES], *(f"{root}.*" for root in whole[:MAX_CODES])):
        root = key.removesuffix(".*")
        gone = {each for each in label.classes if each == key or (key != root and each.split(".")[0] == root)}
        able = [each.name for each in TRANSFORMATIONS.values() if all(_takes_out(each, one) for one in gone)]
        if able:
            words = f"have {key} taken out by {_any_of(able)}, shown by a re-scan"
            yield Change("class", words, 30 + 5 * (len(gone) - 1)), _labelled(now, _without(now, label, gone))


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _takes_out(transformation: Transformation, key: str) -> bool:
    """Whether a registered transformation can leave nothing of a class: by the way it works, or by replacing finds.

    One that leaves a class above it (pseudonyms are personal data still) takes nothing out.
    """
    scope = transformation.scope
    if any(key == each or key.startswith(f"{each}.") for each in transformation.adds):
        return False
    return not transformation.opaque and (
        transformation.ends(key) or any(key == each or key.startswith(f"{each}.") for each in scope)
        or (not scope and not transformation.removes)
    )  # fmt: skip


def _without(now: Standpoint, label: Label, gone: set[str]) -> Label:
    """Return ``label`` without these classes and without the regimes that only they brought along."""
    left = tuple(each for each in label.classes if each not in gone)
    derived = set(now.facts.regimes_of(label.classes, label.origins))
    kept = {*(set(label.regimes) - derived), *now.facts.regimes_of(left, label.origins)}
    return replace(label, classes=left, regimes=tuple(sorted(kept)))


def _labelled(now: Standpoint, label: Label) -> Situation:
    question = now.question
    return now.situation.asking(replace(question, asset=replace(question.asset, label=label)))


def _opened(now: Standpoint, literals: Literals) -> Moves:
    fact, level = now.fact, now.asked.label.level
    if fact is None or (fact.max_level in LEVELS and LEVELS.index(fact.max_level) >= LEVELS.index(level)):
        return
    row = Opening(fact.kind, fact.name, level, now.basis())
    words = f"the operator opens it: `greylag facts open {fact.kind} {fact.name} --level {level} --because WHY`"
    yield Change("opening", words, 40), now.situation.having(row)


def _known(now: Standpoint, literals: Literals) -> Moves:
    target = now.question.target
    if now.fact is not None or target.name.endswith("*"):
        return
    here = (now.home,)
    row = TargetFact(
        target.kind, target.name, here, here, here, here, "", True, False, now.asked.label.level, now.basis()
    )
    words = f"write a fact row for {target.kind} {target.name!r}, if the operator runs it itself in {now.home}"
    yield Change("row", words, 60), now.situation.having(row)


def _terms(now: Standpoint, literals: Literals) -> Moves:
    """What the operator can agree with the vendor about the target itself."""
    fact = now.fact
    if fact is None or not fact.processor:
        return
    row, basis, who = now.written(), now.basis(), fact.processor
    fixed = tuple(each for each in row.processing if each not in _NOWHERE) or (now.home,)
    stored = tuple(each for each in row.storage if each not in _NOWHERE) or fixed
    if not row.pinned or set(row.processing) & _NOWHERE:
        made = replace(row, pinned=True, processing=fixed, storage=stored, basis=basis)
        words = f"agree with {who} that `{row.name}` works and keeps data in {', '.join(fixed)} only"
        yield Change("pinned", words, 55), now.situation.having(made)
    elif set(row.support) != set(fixed) or set(row.control_plane) != set(fixed) or row.sub_processors:
        made = replace(row, support=fixed, control_plane=fixed, storage=stored, sub_processors=(), basis=basis)
        words = f"agree with {who} that `{row.name}` is supported and steered from {', '.join(fixed)} only, by itself"
        yield Change("reach", words, 65), now.situation.having(made)
    if row.trains_by_default is not False:
        words = f"agree with {who} that `{row.name}` does not train on what it is given"
        yield Change("training", words, 50), now.situation.having(replace(row, trains_by_default=False, basis=basis))
    if row.retention_days != 0:
        words = f"agree with {who} that `{row.name}` keeps nothing"
        yield Change("retention", words, 50), now.situation.having(replace(row, retention_days=0, basis=basis))


def _checked(now: Standpoint, literals: Literals) -> Moves:
    if now.fact is None:
        return
    behind = [now.facts.row(each.row) or each for each in now.facts.rows_behind(now.fact)]
    weak = [row for row in behind if row.basis.certainty in ("B", "C", "K") or _overdue(row, now.facts.known)]
    if weak:
        # Only what is known about it changes, never what it says.
        made = [replace(row, basis=replace(row.basis, certainty="A", review_by=None)) for row in weak]
        names = ", ".join(f"`{row.row}`" for row in weak[:4]) + (f" and {len(weak) - 4} more" if len(weak) > 4 else "")
        words = f"check {names} against the primary source; the answer stays yes only if what stands there is true"
        yield Change("check", words, 45), now.situation.having(*made)


def _overdue(row: Row, day: date) -> bool:
    return row.basis.review_by is not None and row.basis.review_by < day


def _agreements(now: Standpoint, literals: Literals) -> Moves:
    fact = now.fact
    if fact is None or not fact.processor:
        return
    for regime in now.asked.restricted:
        uncovered = now.facts.transfer(regime, now.asked.label, fact).uncovered
        if uncovered and not uncovered & _NOWHERE:
            yield from _mechanisms(now, fact, regime, tuple(sorted(uncovered)), literals)
    wanted = {
        scheme for row in now.facts.adequacies() if row.regime in now.asked.restricted for scheme in row.certified
    }
    for scheme in sorted(wanted | literals.get("certifications", _NONE)):
        lacking = [
            name for name in (fact.processor, *fact.sub_processors) if scheme not in now.facts.certifications(name)
        ]
        if lacking:
            rows = [Certification(name, scheme, now.basis()) for name in lacking]
            words = f"{' and '.join(lacking)} must hold a certificate of `{scheme}`"
            yield Change("certification", words, 80), now.situation.having(*rows)


def _mechanisms(
    now: Standpoint, fact: TargetFact, regime: str, importers: tuple[str, ...], literals: Literals
) -> Moves:
    for row in now.facts.mechanisms():
        if row.regime == regime and row.processor == fact.processor and not row.assessment:
            made = replace(row, assessment=SUPPOSED, assessed_on=now.facts.valid)
            words = f"have the assessment for `{row.row}` made and put on record"
            yield Change("assessment", words, 40), now.situation.having(made)
    named = literals.get("safeguards", _NONE)
    kinds = [kind for kind in MECHANISMS if f"{regime}/{kind}" in named] or [_USUAL.get(regime, "scc")]
    for kind in kinds:
        made = Mechanism(
            f"supposed-{regime}-{kind}", kind, regime, fact.processor, importers, now.basis(), assessment=SUPPOSED,
            assessed_on=now.facts.valid,
        )  # fmt: skip
        words = (
            f"agree {_MECHANISM_WORDS[kind]} with {fact.processor} for {', '.join(importers)},"
            f" with a recorded transfer assessment ({regime})"
        )
        yield Change("mechanism", words, 70), now.situation.having(made)


def _jurisdictions(now: Standpoint, literals: Literals) -> Moves:
    place = now.facts.place(now.home)
    if place is None or UNKNOWN not in place.jurisdictions:
        return
    codes = [each for each in now.asked.label.origins if each not in _NOWHERE][:MAX_CODES]
    for code in codes:
        words = f'set `jurisdiction = "{code}"` under `[region]` in the settings, if that is where this machine stands'
        yield Change("jurisdiction", words, 25), now.situation.having(Place(place.name, (code,), now.basis()))
    if not codes:
        words = (
            "set `jurisdiction` under `[region]` in the settings to the code of where this machine stands"
            f" (asked here as if it were {ANY_CODE})"
        )
        yield Change("jurisdiction", words, 25), now.situation.having(Place(place.name, (ANY_CODE,), now.basis()))
