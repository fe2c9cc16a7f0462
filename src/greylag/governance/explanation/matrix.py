"""Which rules apply at which of the twelve stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from greylag.domain.stages import Stage
from greylag.governance.policy.pack import Pack


@dataclass(frozen=True, slots=True)
class StageRules:
    """The rules whose scope holds a stage: ids of permits, and of forbids by pack, in the order of the packs."""

    stage: Stage
    permits: tuple[str, ...]
    forbids: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def count(self) -> int:
        """How many forbids apply."""
        return sum(len(ids) for _, ids in self.forbids)


def matrix(packs: Sequence[Pack]) -> tuple[StageRules, ...]:
    """Return for each of the twelve stages which rules apply there.

    By the scope of a rule alone: a rule for all actions is listed everywhere, also where its conditions exempt a stage.
    """
    return tuple(_at(stage, packs) for stage in Stage)


def _at(stage: Stage, packs: Sequence[Pack]) -> StageRules:
    permits: list[str] = []
    forbids: list[tuple[str, tuple[str, ...]]] = []
    for pack in packs:
        here = [rule for rule in pack.rules if stage in stages_of(pack.policies[rule.rule_id])]
        permits += [rule.rule_id for rule in here if rule.effect == "permit"]
        ids = tuple(rule.rule_id for rule in here if rule.effect == "forbid")
        if ids:
            forbids.append((pack.name, ids))
    return StageRules(stage, tuple(permits), tuple(forbids))


def stages_of(policy: object) -> frozenset[Stage]:
    """Return the stages in the scope of a rule in Cedar's JSON form; all where its scope names none."""
    scope = policy.get("action") if isinstance(policy, Mapping) else None
    if not isinstance(scope, Mapping) or scope.get("op") == "All":
        return frozenset(Stage)
    entities = scope.get("entities", [scope.get("entity")])
    names = {each.get("id") for each in entities if isinstance(each, Mapping)} if isinstance(entities, list) else set()
    return frozenset(stage for stage in Stage if str(stage) in names) or frozenset(Stage)
