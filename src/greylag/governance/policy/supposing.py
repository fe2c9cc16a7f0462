"""Questions over facts that are not those in force: for explanations and what-if, never to let anything move."""

from collections.abc import Mapping
from dataclasses import dataclass

from greylag.governance.facts import FactBase
from greylag.governance.policy.request import Asked, home_control, resolve, resource_of
from greylag.governance.question import Question

#: The rule ids of the platform's own guards: no pack can widen them.
UNKNOWN_TARGET = "unknown-target"
REGIME_WITHOUT_PACK = "regime-without-pack"


@dataclass(frozen=True, slots=True)
class Supposition:
    """A well-formed question resolved over ``facts``; ``request`` and ``resource`` are what Cedar is asked about."""

    facts: FactBase
    asked: Asked
    request: Mapping[str, object]
    resource: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Supposed:
    """How a question would be answered: ``rules`` holds the guards too. Any of ``errors`` means not permitted."""

    permitted: bool
    rules: tuple[str, ...]
    errors: tuple[str, ...] = ()


def supposition(question: Question, facts: FactBase, home: str) -> Supposition | None:
    """Return ``question`` made ready over ``facts``; None where it is not well formed."""
    asked = resolve(question, facts)
    if not isinstance(asked, Asked):
        return None
    return Supposition(facts, asked, asked.request(home, home_control(facts, home)), resource_of(asked, facts))


def guards(asked: Asked, spoken_for: frozenset[str]) -> tuple[str, ...]:
    """Return the platform's own guards that deny ``asked``, whatever packs say that speak for those regimes."""
    unknown = asked.fact is None
    found = [UNKNOWN_TARGET] if unknown else []
    if (unknown or (asked.fact is not None and asked.fact.processor)) and set(asked.label.regimes) - spoken_for:
        found.append(REGIME_WITHOUT_PACK)
    return tuple(found)
