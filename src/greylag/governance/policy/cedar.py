"""The policy itself: parsed once, asked often, closed whenever anything is not as it should be."""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from greylag.domain.errors import OperatorError
from greylag.domain.labels import LEVELS, Label
from greylag.domain.stages import Stage
from greylag.governance.facts import TARGET_KINDS, UNKNOWN, FactBase, FactBook
from greylag.governance.policy.pack import Pack, Rule, pack_error
from greylag.governance.policy.request import (
    PRINCIPAL_TYPES,
    Asked,
    is_size,
    principal_kind,
    printable,
    resolve,
    words,
)
from greylag.governance.policy.ruleset import RuleSet, check_citations, combine
from greylag.governance.policy.snapshot import Answer, Snapshot
from greylag.governance.policy.supposing import (
    REGIME_WITHOUT_PACK,
    UNKNOWN_TARGET,
    Supposed,
    Supposition,
    guards,
    supposition,
)
from greylag.governance.question import Asset, Question, Target, Verdict

#: Kinds of targets for which another one may do as well, so that a denial can name it.
ROUTABLE_KINDS = frozenset({"endpoint", "pool"})
MAX_ALTERNATIVES = 4
#: How many days' facts are kept ready at once, and how many verdicts.
MAX_SNAPSHOTS = 16
MAX_VERDICTS = 20_000

_PLACEHOLDER = re.compile(r"\{([a-z_]*)\}")


class CedarPolicy:
    """Answers questions by the rules of its packs over the facts valid and known at their time, for one region.

    Permits only where Cedar says Allow with no error at all, and whatever the packs say never lets anything go to a
    target without a fact row, nor data under a regime without a pack to a target the operator doesn't run itself. The
    same question always gets the same verdict; safe to share between threads. ``version`` names packs, schema, facts
    and region by digest. ``drill`` admits packs that are only proposed; such a policy is for what-if alone.

    Raises OperatorError ``GL-POLICY-015`` where a request that must be denied isn't, ``-016`` where facts and schema
    don't fit or the home region has no row, ``-018`` and ``-023`` for packs that do not fit, ``-020`` … ``-022`` for a
    zone, a regime or a law that the facts don't have.
    """

    def __init__(
        self, packs: Sequence[Pack], book: FactBook, home_region: str, *, today: date, drill: bool = False
    ) -> None:
        self.rules: RuleSet = combine(packs, drill=drill)
        check_citations(self.rules, book)
        self.book = book
        self.home_region = home_region
        self.version = policy_version(packs, book, home_region)
        self._boundaries = book.boundaries()
        # Filled by whoever asks, in any thread: reading and writing one key is one act, and all values are pure.
        self._snapshots: dict[int, Snapshot] = {}
        self._verdicts: dict[Hashable, Verdict] = {}
        if self.facts_on(today).place(home_region) is None:
            raise pack_error(
                "016", packs[0].name, f"the home region {home_region!r} has no `[[place]]` row in force",
                "add that row to the install's facts.",
            )  # fmt: skip
        self._sing(today)

    @property
    def packs(self) -> tuple[Pack, ...]:
        """The packs that decide."""
        return self.rules.packs

    def facts_on(self, day: date) -> FactBase:
        """Return the facts valid and known on ``day``."""
        return self._snapshot(day).facts

    def decide(self, question: Question) -> Verdict:
        """Return the verdict on ``question``; never raises for what a question may contain."""
        try:
            day = question.at.astimezone(UTC).date()
            key = self._key(question, bisect_right(self._boundaries, day))
            if (kept := self._verdicts.get(key)) is not None:
                return kept
            snapshot = self._snapshot(day)
            asked = resolve(question, snapshot.facts)
            verdict = self._failed(asked) if isinstance(asked, tuple) else self._verdict(asked, snapshot)
        except Exception as error:  # noqa: BLE001  whatever breaks in an evaluation, the answer is no
            return self._failed((f"the evaluation broke: {type(error).__name__}: {printable(str(error))}",))
        if len(self._verdicts) >= MAX_VERDICTS:
            self._verdicts = {}
        self._verdicts[key] = verdict
        return verdict

    def ask_all(self, questions: Sequence[Question]) -> list[Supposed]:
        """Return the bare answers to ``questions``, without texts or remedies; all for the day of the first."""
        if not questions:
            return []
        snapshot = self._snapshot(questions[0].at.astimezone(UTC).date())
        asked = [resolve(question, snapshot.facts) for question in questions]
        answers = iter(snapshot.ask([each for each in asked if isinstance(each, Asked)]))
        return [
            self._supposed(each, next(answers)) if isinstance(each, Asked) else Supposed(False, (), each)
            for each in asked
        ]

    def supposing(self, question: Question, facts: FactBase) -> Supposition | None:
        """Return ``question`` made ready to be asked over ``facts``, None where it is not well formed."""
        return supposition(question, facts, self.home_region)

    def suppose(self, cases: Sequence[Supposition]) -> list[Supposed]:
        """Return how ``cases`` would be answered by these rules over facts that need not be this policy's own."""
        if not cases:
            return []
        answers = self._snapshot(cases[0].facts.valid).suppose(cases)
        return [self._supposed(case.asked, answer) for case, answer in zip(cases, answers, strict=True)]

    def _supposed(self, asked: Asked, answer: Answer) -> Supposed:
        found = guards(asked, self.rules.regimes)
        rules = () if answer.allowed and found else answer.rule_ids
        return Supposed(answer.allowed and not found, (*rules, *found), answer.errors)

    def _key(self, question: Question, era: int) -> Hashable:
        """Name everything a verdict depends on. A digest, marks of people and derivations are in no rule's sight."""
        asset, label = question.asset, question.asset.label
        read = {"size_bytes", "*"} & self.rules.context_read
        size = asset.size_bytes if read or not is_size(asset.size_bytes) else 0
        kind = principal_kind(question.principal)
        who = question.principal if self.rules.names_principal or not kind else kind
        return (
            era, question.stage, who, question.action, question.target, question.discharged, asset.kind, asset.origin,
            asset.surfaces, size, label.level, label.classes, label.origins, label.regimes, label.subjects,
        )  # fmt: skip

    def _snapshot(self, day: date) -> Snapshot:
        era = bisect_right(self._boundaries, day)
        found = self._snapshots.get(era)
        if found is None:
            found = Snapshot(self.rules, self.book.as_of(day, day), self.home_region)
            if len(self._snapshots) >= MAX_SNAPSHOTS:
                self._snapshots = {}
            self._snapshots[era] = found
        return found

    def _verdict(self, asked: Asked, snapshot: Snapshot) -> Verdict:
        answer = snapshot.ask([asked])[0]
        used, certainty = _rows_used(asked, snapshot, [self.rules.rules[each][1] for each in answer.rule_ids])
        if answer.errors:
            return replace(self._failed(answer.errors), rules=answer.rule_ids, facts=used, certainty=certainty)
        texts = words(asked, snapshot.facts, self.home_region)
        rules = [self.rules.rules[rule_id][1] for rule_id in answer.rule_ids]
        verdict = Verdict(
            permitted=answer.allowed,
            rules=answer.rule_ids,
            reasons=tuple(_filled(rule.reason, texts) + (f" [{rule.clause}]" if rule.clause else "") for rule in rules),
            remedies=(),
            facts=used,
            policy_version=self.version,
            certainty=certainty,
        )
        guarded = self._guarded(asked, verdict, texts)
        if guarded.permitted:
            return guarded
        if not rules:
            reason = _filled("no rule lets {principal_kind} do `{stage}` towards {target_kind} {target}", texts)
            guarded = replace(guarded, reasons=(reason, *guarded.reasons))
        remedies = (*guarded.remedies, *self._remedies(asked, rules, texts, snapshot))
        return replace(guarded, remedies=tuple(dict.fromkeys(remedies)), obligations=_obligations(guarded, rules))

    def _guarded(self, asked: Asked, verdict: Verdict, texts: Mapping[str, str]) -> Verdict:
        """Deny what no pack may permit."""
        found = guards(asked, self.rules.regimes)
        if UNKNOWN_TARGET in found and UNKNOWN_TARGET not in verdict.rules:
            verdict = _denied(
                verdict,
                UNKNOWN_TARGET,
                _filled("nothing is known about {target_kind} {target}, and what is unknown gets nothing", texts),
                _filled("add a fact row for {target_kind} {target}, then open it: greylag facts open", texts),
            )
        if REGIME_WITHOUT_PACK in found:
            homeless = sorted(set(asked.label.regimes) - self.rules.regimes)
            verdict = _denied(
                verdict,
                REGIME_WITHOUT_PACK,
                f"the data is under {', '.join(homeless)}, and no active pack speaks for that",
                f"add a pack for {', '.join(homeless)} to `policy_packs`, or keep this with what the operator runs",
            )
        return verdict

    def _remedies(self, asked: Asked, rules: Sequence[Rule], texts: Mapping[str, str], snapshot: Snapshot) -> list[str]:
        found = [_filled(remedy, texts) for rule in rules for remedy in rule.remedies]
        found += [_filled(f"none: {rule.no_remedy}", texts) for rule in rules if rule.no_remedy]
        return self._alternatives(asked, snapshot) + found if rules else self._openings(asked, snapshot)

    def _openings(self, asked: Asked, snapshot: Snapshot) -> list[str]:
        """Say what would have to be otherwise for a question that no rule speaks about."""
        others = [replace(asked, principal_kind=kind) for kind in PRINCIPAL_TYPES if kind != asked.principal_kind]
        answers = zip(others, snapshot.ask(others), strict=True)
        open_to = [other.principal_kind for other, answer in answers if answer.allowed]
        stage = asked.question.stage
        if open_to:
            return [f"at `{stage}` this is open to: {', '.join(open_to)}; let it be done that way"]
        return self._alternatives(asked, snapshot) or [
            f"none by asking otherwise: nobody may do `{stage}` towards this {asked.question.target.kind};"
            " the operator would have to add a permit rule to a house pack"
        ]

    def _alternatives(self, asked: Asked, snapshot: Snapshot) -> list[str]:
        names = self.permitted_targets(asked.question, snapshot.facts)[:MAX_ALTERNATIVES]
        kind = asked.question.target.kind
        return [f"use {kind} `{name}`, where the same is permitted" for name in names]

    def permitted_targets(self, question: Question, facts: FactBase | None = None) -> tuple[str, ...]:
        """Return the names of other targets of the same kind for which the same question is permitted."""
        kind = question.target.kind
        if kind not in ROUTABLE_KINDS:
            return ()
        snapshot = self._snapshot(question.at.astimezone(UTC).date())
        rows = (facts or snapshot.facts).targets
        level = question.asset.label.level
        names = [
            row.name
            for row in rows
            if row.kind == kind and row.name != question.target.name and may_have(row.max_level, level)
        ]
        asked = [resolve(replace(question, target=Target(kind, name)), snapshot.facts) for name in names]
        others = [each for each in asked if isinstance(each, Asked) and not guards(each, self.rules.regimes)]
        if not others:
            return ()
        answers = zip(others, snapshot.ask(others), strict=True)
        return tuple(other.question.target.name for other, answer in answers if answer.allowed)

    def _failed(self, errors: Sequence[str]) -> Verdict:
        return Verdict(
            permitted=False, rules=(), reasons=("the question could not be evaluated, and that is a no",),
            remedies=("report this: no rule was broken, the evaluation itself failed",), facts=(),
            policy_version=self.version, errors=tuple(errors) or ("unknown error",),
        )  # fmt: skip

    def _sing(self, today: date) -> None:
        """Ask what any packs must deny: restricted data to an unknown target, by anybody, at every stage."""
        asset = Asset("canary", Label(LEVELS[-1]), self.home_region)
        at = datetime(today.year, today.month, today.day, tzinfo=UTC)
        canaries = [
            Asked(
                Question(stage, f"{who}:canary", "send", asset, Target(kind, "canary"), at), who, "canary", asset.label,
                None,
            )
            for stage in Stage
            for who in PRINCIPAL_TYPES
            for kind in TARGET_KINDS
        ]  # fmt: skip
        for asked, answer in zip(canaries, self._snapshot(today).ask(canaries), strict=True):
            if answer.allowed or answer.errors:
                raise self._dead_canary(asked, answer)

    def _dead_canary(self, asked: Asked, answer: Answer) -> OperatorError:
        outcome = f"failed: {'; '.join(answer.errors)}" if answer.errors else "was permitted"
        return pack_error(
            "015",
            ", ".join(pack.name for pack in self.packs)[:200],
            f"restricted data from a {asked.principal_kind} to an unknown {asked.question.target.kind} at"
            f" `{asked.question.stage}` must be denied and {outcome}",
            "add a forbid for targets that are not known, as in `house-one-region`.",
        )


def policy_version(packs: Sequence[Pack], book: FactBook, home_region: str) -> str:
    """Return the name of exactly these rules over exactly these facts: ``world:`` and 32 hex digits."""
    digest = hashlib.sha256()
    parts = [part for pack in packs for part in (pack.name, pack.version, pack.policy_text, *pack.regimes)]
    for part in (*parts, packs[0].schema_text, book.digest(), home_region):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return f"world:{digest.hexdigest()[:32]}"


def _rows_used(asked: Asked, snapshot: Snapshot, rules: Sequence[Rule]) -> tuple[tuple[str, ...], str]:
    """Return the names of the fact rows behind an answer, and the weakest certainty of those about the target."""
    facts = snapshot.facts
    behind = facts.rows_behind(asked.fact) if asked.fact is not None else ()
    home = facts.place(snapshot.home)
    names = {row.row for row in behind} | set(asked.rows) | ({home.row} if home is not None else set())
    names |= {f"zone/{zone}" for rule in rules for zone in rule.zones}
    names |= {f"law/{law.removeprefix('law/')}" for rule in rules for law in rule.law}
    return tuple(sorted(names)), facts.certainty(asked.fact) if asked.fact is not None else UNKNOWN


def may_have(max_level: str, level: str) -> bool:
    """Whether a target that is open up to ``max_level`` may have data of ``level``, as far as that goes."""
    return max_level in LEVELS and LEVELS.index(max_level) >= LEVELS.index(level)


def _obligations(verdict: Verdict, rules: Sequence[Rule]) -> tuple[str, ...]:
    """Return what the rules that forbade it ask for; nothing where a guard forbade it too, which nothing discharges.

    A rule that names none may still fall silent once they are discharged: a label that was lowered meets fewer rules.
    """
    if {UNKNOWN_TARGET, REGIME_WITHOUT_PACK} & set(verdict.rules):
        return ()
    return tuple(dict.fromkeys(str(each) for rule in rules for each in rule.obligations))


def _denied(verdict: Verdict, rule_id: str, reason: str, remedy: str) -> Verdict:
    before = ((), (), ()) if verdict.permitted else (verdict.rules, verdict.reasons, verdict.remedies)
    return replace(
        verdict,
        permitted=False,
        rules=(*before[0], rule_id),
        reasons=(*before[1], reason),
        remedies=(*before[2], remedy),
    )


def _filled(text: str, texts: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: texts[found[1]], text)
