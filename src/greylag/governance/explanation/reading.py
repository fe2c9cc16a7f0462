"""What a rule looks at: which attributes it reads, and which names it holds beside them."""

from collections.abc import Iterator, Mapping, Sequence

from greylag.governance.policy.cedar import CedarPolicy
from greylag.governance.policy.pack import Rule, attributes_read
from greylag.governance.policy.supposing import REGIME_WITHOUT_PACK, UNKNOWN_TARGET

#: What the platform's own guards look at.
_GUARDS: Mapping[str, frozenset[str]] = {
    UNKNOWN_TARGET: frozenset({"resource.known"}),
    REGIME_WITHOUT_PACK: frozenset({"context.regimes", "resource.own"}),
}


class RuleReader:
    """Reads the rules of one policy, each once."""

    def __init__(self, policy: CedarPolicy) -> None:
        self._policies = {rule_id: body for pack in policy.packs for rule_id, body in pack.policies.items()}
        self._rules: Mapping[str, Rule] = {rule.rule_id: rule for pack in policy.packs for rule in pack.rules}
        self._reads: dict[str, frozenset[str]] = dict(_GUARDS)
        self._names: dict[str, Mapping[str, frozenset[str]]] = {}
        self.permits = tuple(rule_id for rule_id, rule in self._rules.items() if rule.effect == "permit")

    def rule(self, rule_id: str) -> Rule | None:
        """Return a pack's rule, None for a guard of the platform."""
        return self._rules.get(rule_id)

    def reads(self, rule_ids: Sequence[str]) -> frozenset[str]:
        """Return what these rules look at: ``context.level``, ``resource.reach``; ``context.*`` for all of it."""
        for rule_id in rule_ids:
            if rule_id not in self._reads:
                body = self._policies.get(rule_id)
                self._reads[rule_id] = frozenset(
                    f"{variable}.{name}"
                    for variable in ("context", "resource")
                    for name in attributes_read(body, variable)
                )
        return frozenset().union(*(self._reads[rule_id] for rule_id in rule_ids))

    def names(self, rule_ids: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """Return the texts that these rules hold beside each attribute they look at."""
        found: dict[str, frozenset[str]] = {}
        for rule_id in rule_ids:
            if rule_id not in self._names:
                pairs: dict[str, set[str]] = {}
                for name, text in _beside(self._policies.get(rule_id)):
                    pairs.setdefault(name, set()).add(text)
                self._names[rule_id] = {name: frozenset(texts) for name, texts in pairs.items()}
            for name, texts in self._names[rule_id].items():
                found[name] = found.get(name, frozenset()) | texts
        return found


def _beside(value: object) -> Iterator[tuple[str, str]]:
    """Yield each (attribute, text) that are the two sides of one operator in Cedar's JSON form of a rule."""
    if isinstance(value, Mapping):
        left, right = value.get("left"), value.get("right")
        for one, other in ((left, right), (right, left)):
            for name in (*attributes_read(one, "context"), *attributes_read(one, "resource")):
                yield from ((name, text) for text in _texts(other))
        for each in value.values():
            yield from _beside(each)
    elif isinstance(value, list):
        for each in value:
            yield from _beside(each)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        text = value.get("Value")
        if isinstance(text, str):
            yield text
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
