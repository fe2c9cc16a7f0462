"""The policy itself: parsed once, asked often, closed whenever anything is not as it should be."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import cedarpy

from greylag.domain.errors import OperatorError
from greylag.domain.labels import LEVELS
from greylag.domain.stages import Stage
from greylag.governance.facts import TARGET_KINDS, FactBase
from greylag.governance.policy.pack import Pack, Rule, pack_error
from greylag.governance.policy.request import PRINCIPAL_TYPES, Asked, entities, home_control, printable, resolve, words
from greylag.governance.question import Asset, Question, Target, Verdict

#: The rule id of the platform's own guard: no pack can widen it.
UNKNOWN_TARGET = "unknown-target"
#: Kinds of targets for which another one may do as well, so that a denial can name it.
ROUTABLE_KINDS = frozenset({"endpoint", "pool"})
MAX_ALTERNATIVES = 4

_PLACEHOLDER = re.compile(r"\{([a-z_]*)\}")


class CedarPolicy:
    """Answers questions by the rules of one pack over one snapshot of facts, for one region.

    Permits only where Cedar says Allow with no error at all, and never lets anything above ``public`` go to a target
    without a fact row, whatever the pack says. The same question always gets the same verdict; safe to share between
    threads. ``version`` names pack, rules, schema, facts and region by digest.

    Raises OperatorError ``GL-POLICY-015`` where a request that must be denied isn't, ``GL-POLICY-016`` where facts and
    schema don't fit or the home region has no row, ``GL-POLICY-018`` for a pack that is not in force, ``GL-FACTS-005``
    for a target in a place without a row.
    """

    def __init__(self, pack: Pack, facts: FactBase, home_region: str) -> None:
        if pack.status != "in_force":
            raise pack_error(
                "018", pack.name, f"its status is `{pack.status}`, so it may not decide", "choose another."
            )
        if facts.place(home_region) is None:
            raise pack_error(
                "016", pack.name, f"the home region {home_region!r} has no `[[place]]` row in force",
                "add that row to the install's facts.",
            )  # fmt: skip
        facts.require_places()
        self.pack = pack
        self.facts = facts
        self.home_region = home_region
        self.version = _version(pack, facts, home_region)
        self._home_control = home_control(facts, home_region)
        self._rules: Mapping[str, tuple[int, Rule]] = {
            rule.rule_id: (number, rule) for number, rule in enumerate(pack.rules)
        }
        try:
            self._policies = cedarpy.PolicySet.from_json_str(pack.policies_json)
            self._schema = cedarpy.Schema.from_str(pack.schema_text)
            # With the schema: a handle parsed without it knows no action groups, and a forbid on one never matches.
            self._entities = cedarpy.Entities.from_json_str(json.dumps(entities(facts)), self._schema)
        except ValueError as error:
            raise pack_error(
                "016", pack.name, f"its schema and the facts do not fit: {error}",
                "take the attributes of `Target` from the shipped schema.",
            ) from error  # fmt: skip
        self._sing()

    def with_facts(self, facts: FactBase) -> "CedarPolicy":
        """Return this policy over other facts. Raises as the constructor."""
        return CedarPolicy(self.pack, facts, self.home_region)

    def decide(self, question: Question) -> Verdict:
        """Return the verdict on ``question``; never raises for what a question may contain."""
        try:
            asked = resolve(question, self.facts)
            if isinstance(asked, tuple):
                return self._failed(asked)
            return self._verdict(asked)
        except Exception as error:  # noqa: BLE001  whatever breaks in an evaluation, the answer is no
            return self._failed((f"the evaluation broke: {type(error).__name__}: {printable(str(error))}",))

    def _verdict(self, asked: Asked) -> Verdict:
        allowed, rule_ids, errors = self._ask([asked])[0]
        if errors:
            return replace(self._failed(errors), rules=tuple(rule_ids), facts=self._facts_of(asked))
        texts = words(asked, self.home_region)
        rules = [self._rules[rule_id][1] for rule_id in rule_ids]
        reasons = [_filled(rule.reason, texts) + (f" [{rule.clause}]" if rule.clause else "") for rule in rules]
        remedies: list[str] = []
        if allowed and asked.fact is None and asked.level > 0:
            allowed, rule_ids = False, [UNKNOWN_TARGET]
            reasons = [_filled("nothing is known about {target_kind} {target}, so it gets public text at most", texts)]
            remedies = [_filled("add a fact row for {target_kind} {target}", texts)]
        elif not allowed:
            remedies = self._remedies(asked, rules, texts)
            if not rules:
                reasons = [_filled("no rule lets {principal_kind} do `{stage}` towards {target_kind} {target}", texts)]
        return Verdict(
            permitted=allowed,
            rules=tuple(rule_ids),
            reasons=tuple(reasons),
            remedies=tuple(dict.fromkeys(remedies)),
            facts=self._facts_of(asked),
            policy_version=self.version,
        )

    def _ask(self, questions: Sequence[Asked]) -> list[tuple[bool, list[str], tuple[str, ...]]]:
        """Return (allowed, rule ids in the pack's order, errors) per question; allowed only without any error."""
        results = cedarpy.is_authorized_batch(
            [asked.request(self.home_region, self._home_control) for asked in questions],
            self._policies,
            self._entities,
            schema=self._schema,
        )
        if len(results) != len(questions):
            raise RuntimeError(f"{len(questions)} questions got {len(results)} answers")
        answers: list[tuple[bool, list[str], tuple[str, ...]]] = []
        for result in results:
            errors = tuple(printable(str(error)) for error in result.diagnostics.errors)
            if result.decision is cedarpy.Decision.NoDecision and not errors:
                errors = ("no decision was reached",)
            rule_ids = sorted(result.diagnostics.reasons, key=lambda rule_id: self._rules[rule_id][0])
            answers.append((result.decision is cedarpy.Decision.Allow and not errors, rule_ids, errors))
        return answers

    def _remedies(self, asked: Asked, rules: Sequence[Rule], texts: Mapping[str, str]) -> list[str]:
        found = [_filled(remedy, texts) for rule in rules for remedy in rule.remedies]
        found += [_filled(f"none: {rule.no_remedy}", texts) for rule in rules if rule.no_remedy]
        return self._alternatives(asked) + found if rules else self._openings(asked)

    def _openings(self, asked: Asked) -> list[str]:
        """Say what would have to be otherwise for a question that no rule speaks about."""
        others = [replace(asked, principal_kind=kind) for kind in PRINCIPAL_TYPES if kind != asked.principal_kind]
        open_to = [other.principal_kind for other, answer in zip(others, self._ask(others), strict=True) if answer[0]]
        stage = asked.question.stage
        if open_to:
            return [f"at `{stage}` this is open to: {', '.join(open_to)}; let it be done that way"]
        return self._alternatives(asked) or [
            f"none by asking otherwise: nobody may do `{stage}` towards this {asked.question.target.kind};"
            f" the operator would have to add a permit rule to pack `{self.pack.name}`"
        ]

    def _alternatives(self, asked: Asked) -> list[str]:
        kind = asked.question.target.kind
        if kind not in ROUTABLE_KINDS:
            return []
        rows = [row for row in self.facts.targets if row.kind == kind and row != asked.fact and row.basis.decides]
        others = [
            replace(asked, fact=row, question=replace(asked.question, target=Target(kind, row.name)))
            for row in rows[:MAX_ALTERNATIVES]
        ]
        if not others:
            return []
        permitted = [other for other, answer in zip(others, self._ask(others), strict=True) if answer[0]]
        return [f"use {kind} `{other.question.target.name}`, where the same is permitted" for other in permitted]

    def _facts_of(self, asked: Asked) -> tuple[str, ...]:
        names = {self.home_region, *(asked.fact.places if asked.fact is not None else ())}
        rows = {place.row for name in names if (place := self.facts.place(name)) is not None}
        return tuple(sorted(rows | ({asked.fact.row} if asked.fact is not None else set())))

    def _failed(self, errors: Sequence[str]) -> Verdict:
        return Verdict(
            permitted=False, rules=(), reasons=("the question could not be evaluated, and that is a no",),
            remedies=("report this: no rule was broken, the evaluation itself failed",), facts=(),
            policy_version=self.version, errors=tuple(errors) or ("unknown error",),
        )  # fmt: skip

    def _sing(self) -> None:
        """Ask what every pack must deny: restricted data to an unknown target, by anybody, at every stage."""
        asset = Asset("canary", LEVELS[-1], self.home_region)
        at = datetime(2000, 1, 1, tzinfo=UTC)
        canaries = [
            Asked(Question(stage, f"{who}:canary", "send", asset, Target(kind, "canary"), at), who, "canary", 3, None)
            for stage in Stage
            for who in PRINCIPAL_TYPES
            for kind in TARGET_KINDS
        ]
        for asked, (allowed, _, errors) in zip(canaries, self._ask(canaries), strict=True):
            if allowed or errors:
                raise self._dead_canary(asked, errors)

    def _dead_canary(self, asked: Asked, errors: Sequence[str]) -> OperatorError:
        outcome = f"failed: {'; '.join(errors)}" if errors else "was permitted"
        return pack_error(
            "015",
            self.pack.name,
            f"restricted data from a {asked.principal_kind} to an unknown {asked.question.target.kind} at"
            f" `{asked.question.stage}` must be denied and {outcome}",
            "add a forbid for targets that are not known; take the request's shape from the shipped schema.",
        )


def _version(pack: Pack, facts: FactBase, home_region: str) -> str:
    digest = hashlib.sha256()
    for part in (pack.name, pack.version, pack.policy_text, pack.schema_text, facts.digest(), home_region):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return f"{pack.name}@{digest.hexdigest()[:16]}"


def _filled(text: str, texts: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: texts[found[1]], text)
