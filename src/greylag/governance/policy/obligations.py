"""Obligations: what has to be done, and shown to be done, before a denied question may be asked again."""

import re
from dataclasses import dataclass

#: What a rule may ask for. Those that change content are discharged by a registered transformation and a re-scan.
TRANSFORMING = ("pseudonymise", "redact", "aggregate", "encrypt", "link-instead-of-content")
#: Those that need people, or a promise in the request itself.
PROMISED = ("approve", "pin-geo", "retain")

_CHOICE = re.compile(r"([a-z-]+)(?::([A-Za-z0-9,_.;=-]{1,200}))?")
_NEEDS_PARAMETERS = frozenset({"approve", "retain"})


@dataclass(frozen=True, slots=True)
class Step:
    """One way to discharge an obligation: a name of `TRANSFORMING` or `PROMISED`, with its parameters."""

    name: str
    parameters: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}:{','.join(self.parameters)}" if self.parameters else self.name


@dataclass(frozen=True, slots=True)
class Obligation:
    """Alternatives, the first preferred: one of them must be discharged."""

    choices: tuple[Step, ...]

    def __str__(self) -> str:
        return "|".join(str(choice) for choice in self.choices)


def parse_obligation(text: str) -> Obligation:
    """Return what ``pseudonymise``, ``aggregate|redact``, ``approve:dpo,data-owner`` or ``retain:30`` asks for.

    Raises ValueError for a name that isn't known, missing or surplus parameters, days that are no number.
    """
    return Obligation(tuple(_step(choice.strip()) for choice in text.split("|")))


def _step(text: str) -> Step:
    found = _CHOICE.fullmatch(text)
    if found is None or found[1] not in (*TRANSFORMING, *PROMISED):
        raise ValueError(f"obligation: got/expected: {text[:80]!r}/one of {', '.join((*TRANSFORMING, *PROMISED))}")
    name, parameters = found[1], tuple(filter(None, (found[2] or "").split(",")))
    if name not in TRANSFORMING and bool(parameters) != (name in _NEEDS_PARAMETERS):
        wanted = "parameters after a colon" if name in _NEEDS_PARAMETERS else "no parameters"
        raise ValueError(f"obligation `{name}`: got/expected: {text[:80]!r}/{wanted}")
    if name == "retain" and not (len(parameters) == 1 and parameters[0].isascii() and parameters[0].isdigit()):
        raise ValueError(f"obligation `retain`: got/expected: {text[:80]!r}/a number of days")
    return Step(name, parameters)
