"""Where a flow that is no longer permitted could go, what would open it, or why nothing does."""

from dataclasses import dataclass

from greylag.governance.facts import UNKNOWN, FactBase
from greylag.governance.facts.values import WEAKER
from greylag.governance.policy import CedarPolicy
from greylag.governance.question import Question, Target, Verdict

#: A price where no row says one.
USUAL_PERMILLE = 1000
MAX_OFFERS = 8


@dataclass(frozen=True, slots=True)
class Offer:
    """Another target for which the same is permitted, its price against its vendor's cheapest, and its certainty."""

    name: str
    price_permille: int
    certainty: str


@dataclass(frozen=True, slots=True)
class Fallback:
    """The ways on: other ``targets``, best first, and ``obligations`` that would open it; else ``none_because``."""

    targets: tuple[Offer, ...] = ()
    obligations: tuple[str, ...] = ()
    none_because: str = ""

    @property
    def none(self) -> bool:
        """Whether there is no way on at all."""
        return not self.targets and not self.obligations

    def document(self) -> dict[str, object]:
        """Return this as plain JSON values."""
        return {
            "targets": [
                {"name": each.name, "price_permille": each.price_permille, "certainty": each.certainty}
                for each in self.targets
            ],
            "obligations": list(self.obligations),
            "none_because": self.none_because,
        }


def fallback_of(policy: CedarPolicy, question: Question, verdict: Verdict) -> Fallback:
    """Return the ways on from the denial ``verdict`` of ``question`` in the world of ``policy``.

    Other targets are those the operator has opened and for which ``policy`` permits this very question; they are
    ranked by price, then by how sure their rows are, then by name.
    """
    facts = policy.facts_on(question.at.date())
    offers = [_offer(facts, question.target.kind, name) for name in policy.permitted_targets(question)]
    ranked = sorted(offers, key=lambda each: (each.price_permille, _doubt(each.certainty), each.name))
    if ranked or verdict.obligations:
        return Fallback(tuple(ranked[:MAX_OFFERS]), verdict.obligations)
    told = [each for each in verdict.remedies if each.startswith("none")]
    return Fallback(none_because="; ".join(told or verdict.reasons or verdict.errors) or "no rule speaks about it")


def price_of(facts: FactBase, target: Target) -> int:
    """Return a target's price against its vendor's cheapest, in permille; the usual one where no row says."""
    row = facts.target(target.kind, target.name)
    return row.price_permille if row is not None else USUAL_PERMILLE


def _offer(facts: FactBase, kind: str, name: str) -> Offer:
    row = facts.target(kind, name)
    certainty = facts.certainty(row) if row is not None else UNKNOWN
    return Offer(name, price_of(facts, Target(kind, name)), certainty)


def _doubt(certainty: str) -> int:
    return WEAKER.index(certainty) if certainty in WEAKER else len(WEAKER)
