"""Several packs as one set of rules: no id twice, nothing missing, in conflict, or cited that isn't there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from greylag.domain.errors import OperatorError
from greylag.governance.facts import FactBook
from greylag.governance.policy.pack import Pack, Rule, attributes_read, pack_error


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of ``packs`` in their order. ``policies_json`` is Cedar's form of all, keyed by rule id.

    ``context_read`` names the attributes of the context that any rule reads (``*``: all of them); ``names_principal``
    says whether any rule, or the text of one, depends on who asks beyond the kind of principal.
    """

    packs: tuple[Pack, ...]
    schema_text: str
    policies_json: str
    rules: Mapping[str, tuple[int, Rule]]
    regimes: frozenset[str]
    zones: tuple[str, ...]
    context_read: frozenset[str]
    names_principal: bool


def combine(packs: Sequence[Pack], *, drill: bool = False) -> RuleSet:
    """Return the rules of ``packs`` together; ``drill`` admits packs that are only proposed.

    Raises OperatorError ``GL-POLICY-018`` for a pack that is not in force, ``GL-POLICY-023`` for none at all, a pack
    twice, a missing requirement, packs in conflict, rules of one id, or packs written for different schemas.
    """
    names = [pack.name for pack in packs]
    if not packs:
        raise OperatorError("GL-POLICY-023", "no policy pack is given.", "name at least `house-one-region`.")
    for pack in packs:
        allowed = ("in_force", "proposed") if drill else ("in_force",)
        if pack.status not in allowed:
            raise pack_error(
                "018", pack.name, f"its status is `{pack.status}`, so it may not decide",
                "take it out of `policy_packs`; `greylag whatif` shows what it would change.",
            )  # fmt: skip
        if names.count(pack.name) > 1:
            raise _unfit(pack.name, "it is named twice", "name each pack once.")
        for other in pack.requires:
            if other not in names:
                raise _unfit(pack.name, f"it requires pack {other!r}, which is not there", f"add {other!r}.")
        for other in pack.conflicts_with:
            if other in names:
                raise _unfit(pack.name, f"it is in conflict with pack {other!r}", "use one of the two.")
        if pack.schema_text != packs[0].schema_text:
            raise _unfit(pack.name, f"it was checked against another schema than {names[0]!r}", "read both anew.")
    return _combined(packs)


def _combined(packs: Sequence[Pack]) -> RuleSet:
    rules: dict[str, tuple[int, Rule]] = {}
    policies: dict[str, object] = {}
    for pack in packs:
        for rule in pack.rules:
            if rule.rule_id in rules:
                other = rules[rule.rule_id][1].pack
                raise _unfit(
                    pack.name,
                    f"its rule `{rule.rule_id}` has the id of a rule of pack {other!r}",
                    "rename one of them.",
                )
            rules[rule.rule_id] = (len(rules), rule)
        policies.update(pack.policies)
    return RuleSet(
        packs=tuple(packs),
        schema_text=packs[0].schema_text,
        policies_json=json.dumps({"templates": {}, "staticPolicies": policies, "templateLinks": []}),
        rules=rules,
        regimes=frozenset(regime for pack in packs for regime in pack.regimes),
        zones=tuple(sorted({zone for _, rule in rules.values() for zone in rule.zones})),
        context_read=frozenset(attributes_read(list(policies.values()), "context")),
        names_principal=any(map(_names_principal, policies.values()))
        or any(map(_tells_principal, (rule for _, rule in rules.values()))),
    )


def _names_principal(policy: object) -> bool:
    """Whether a rule in Cedar's JSON form sees more of the principal than its type. What isn't understood does."""
    if not isinstance(policy, Mapping):
        return True
    scope = policy.get("principal")
    plain = isinstance(scope, Mapping) and (scope.get("op"), "in" in scope) in (("All", False), ("is", False))
    return not plain or _sees_principal(policy.get("conditions"))


def _sees_principal(value: object) -> bool:
    if isinstance(value, Mapping):
        test = value.get("is")
        if isinstance(test, Mapping) and test.get("left") == {"Var": "principal"} and "in" not in test:
            return False
        return value == {"Var": "principal"} or any(map(_sees_principal, value.values()))
    return isinstance(value, list) and any(map(_sees_principal, value))


def _tells_principal(rule: Rule) -> bool:
    return any("{principal}" in text for text in (rule.reason, rule.no_remedy, *rule.remedies))


def check_citations(rules: RuleSet, book: FactBook) -> None:
    """Check that each zone, law and regime the rules name has a row in ``book``, whatever its dates and status.

    Raises OperatorError ``GL-POLICY-020`` for a zone, ``GL-POLICY-021`` for a regime, ``GL-POLICY-022`` for a law.
    """
    rows = {row.row for row in book.rows}
    zones = {row.removeprefix("zone/").partition("/")[0] for row in rows if row.startswith("zone/")}
    for _, rule in rules.rules.values():
        for zone in rule.zones:
            if zone not in zones:
                raise pack_error(
                    "020", rule.pack, f"rule `{rule.rule_id}` reads the zone {zone!r}, and the facts have none",
                    f"add `[[zone]]` rows named {zone!r}, or name one of: {', '.join(sorted(zones)) or 'none yet'}.",
                )  # fmt: skip
        for law in rule.law:
            if law not in rows and f"law/{law}" not in rows:
                raise pack_error(
                    "022", rule.pack, f"rule `{rule.rule_id}` cites {law!r}, and the facts have no such row",
                    "cite the name of a row that is there, or add a `[[law]]` row.",
                )  # fmt: skip
    for pack in rules.packs:
        for regime in pack.regimes:
            if f"regime/{regime}" not in rows:
                raise pack_error(
                    "021", pack.name, f"it speaks for the regime {regime!r}, and the facts have no such row",
                    f"add a `[[regime]]` row named {regime!r}.",
                )  # fmt: skip


def _unfit(pack: str, what: str, remedy: str) -> OperatorError:
    return pack_error("023", pack, what, remedy)
