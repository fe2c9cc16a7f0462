"""One day's facts, made ready for Cedar."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cedarpy

from greylag.governance.facts import FactBase
from greylag.governance.policy.pack import pack_error
from greylag.governance.policy.request import TARGET_TYPE, Asked, entities, home_control, printable, zone_entities
from greylag.governance.policy.ruleset import RuleSet
from greylag.governance.policy.supposing import Supposition


@dataclass(frozen=True, slots=True)
class Answer:
    """What Cedar said: allowed only without any error. ``rule_ids`` are in the order of the packs."""

    allowed: bool
    rule_ids: tuple[str, ...]
    errors: tuple[str, ...]


class Snapshot:
    """Rules, schema and the entities of one fact base, parsed once.

    Raises OperatorError ``GL-POLICY-016`` where facts and schema do not fit.
    """

    def __init__(self, rules: RuleSet, facts: FactBase, home: str) -> None:
        self.facts = facts
        self.home = home
        self._zones = rules.zones
        self.home_control = home_control(facts, home)
        self._order: Mapping[str, int] = {rule_id: number for rule_id, (number, _) in rules.rules.items()}
        try:
            self._policies = cedarpy.PolicySet.from_json_str(rules.policies_json)
            self._schema = cedarpy.Schema.from_str(rules.schema_text)
            # With the schema: a handle parsed without it knows no action groups, and a forbid on one never matches.
            self._entities = cedarpy.Entities.from_json_str(json.dumps(entities(facts)), self._schema)
        except ValueError as error:
            raise pack_error(
                "016", rules.packs[0].name, f"the schema and the facts do not fit: {error}",
                "take the shipped `policies/schema.cedarschema`.",
            ) from error  # fmt: skip

    def ask(self, questions: Sequence[Asked]) -> list[Answer]:
        """Return Cedar's answers, in the order of ``questions``."""
        results = cedarpy.is_authorized_batch(
            [asked.request(self.home, self.home_control) for asked in questions],
            self._policies,
            self._entities,
            schema=self._schema,
        )
        if len(results) != len(questions):
            raise RuntimeError(f"{len(questions)} questions got {len(results)} answers")
        return [self._answer(result) for result in results]

    def suppose(self, cases: Sequence[Supposition]) -> list[Answer]:
        """Return Cedar's answers to ``cases`` by these rules, each over its own facts, in order.

        Raises ValueError where changed facts and the schema do not fit.
        """
        groups: dict[str, list[int]] = {}
        for number, case in enumerate(cases):
            groups.setdefault(json.dumps(zone_entities(case.facts, self._zones)), []).append(number)
        answers: dict[int, Answer] = {}
        for zones, numbers in groups.items():
            resources, requests = [], []
            for number in numbers:
                # Each has an entity of its own: two cases may describe one target differently.
                uid = {"type": TARGET_TYPE, "id": f"case/{number}"}
                resources.append({**cases[number].resource, "uid": uid})
                requests.append({**cases[number].request, "resource": uid})
            held = cedarpy.Entities.from_json_str(json.dumps([*json.loads(zones), *resources]), self._schema)
            results = cedarpy.is_authorized_batch(requests, self._policies, held, schema=self._schema)
            answers.update(zip(numbers, map(self._answer, results), strict=True))
        return [answers[number] for number in range(len(cases))]

    def _answer(self, result: cedarpy.AuthzResult) -> Answer:
        errors = tuple(printable(str(error)) for error in result.diagnostics.errors)
        if result.decision is cedarpy.Decision.NoDecision and not errors:
            errors = ("no decision was reached",)
        # The order of Cedar's reasons varies from call to call; a ledger needs one.
        rule_ids = tuple(sorted(result.diagnostics.reasons, key=self._order.__getitem__))
        return Answer(result.decision is cedarpy.Decision.Allow and not errors, rule_ids, errors)
