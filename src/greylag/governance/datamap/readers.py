"""Who can read what is on the map: people, services, companies, and the states that can compel them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from greylag.governance.datamap.values import Located, Reader, Step
from greylag.governance.facts import ANYWHERE, OPERATOR, UNKNOWN

#: Agent runs are told one by one up to here, then together.
_SINGLE_AGENTS = 20


@dataclass(frozen=True, slots=True)
class PersonRoles:
    """Somebody who may use the platform, and as what."""

    name: str
    roles: tuple[str, ...]


def who_can_read(
    located: Iterable[Located], steps: Iterable[Step], people: Sequence[PersonRoles]
) -> tuple[Reader, ...]:
    """Return everybody who can read ``located``, most immediate first, and everybody whom ``steps`` show reading.

    Erased copies count for nobody. A person of the platform can ask for anything of it; each reading is a decision, so
    what is on record is all there was. A company can read what is on its machines, whatever it promises.
    """
    copies = [each for each in located if not each.erased]
    own = any(each.standing.own for each in copies)
    walked = list(steps)
    found = [*_people(walked, people if own else ())]
    if own:
        found.append(Reader("service", "platform:greylag", "holds the keys of every store in the operator's regions"))
    return (*found, *_agents(walked), *_companies(copies), *_states(copies))


def _people(steps: Sequence[Step], people: Sequence[PersonRoles]) -> list[Reader]:
    seen: dict[str, list[object]] = {}
    for step in steps:
        if step.principal.startswith("person:"):
            name = step.principal.removeprefix("person:")
            counts = seen.setdefault(name, [0, 0, ""])
            counts[0 if step.permitted else 1] += 1  # type: ignore[operator]  # numbers, by the line above
            counts[2] = max(str(counts[2]), step.at)
    roles: Mapping[str, str] = {each.name: ", ".join(each.roles) or "no role" for each in people}
    found = []
    for name in sorted({*roles, *seen}):
        times, refused, last = seen.get(name, [0, 0, ""])
        may = f"may ask for it as {roles[name]}; each reading is decided" if name in roles else ""
        why = may or "asked for it, read it or was refused it"
        found.append(Reader("person", name, why, int(str(times)), int(str(refused)), str(last)))
    return found


def _agents(steps: Sequence[Step]) -> list[Reader]:
    seen: dict[str, tuple[int, str]] = {}
    for step in steps:
        if step.permitted and step.principal.startswith("agent:"):
            times, last = seen.get(step.principal, (0, ""))
            seen[step.principal] = (times + 1, max(last, step.at))
    if len(seen) <= _SINGLE_AGENTS:
        why = "had it in its sandbox or sent it"
        return [Reader("service", name, why, times, 0, last) for name, (times, last) in sorted(seen.items())]
    total, last = sum(times for times, _ in seen.values()), max(last for _, last in seen.values())
    return [Reader("service", f"{len(seen)} agent runs", "had it in their sandboxes or sent it", total, 0, last)]


def _companies(copies: Sequence[Located]) -> list[Reader]:
    processors: dict[str, set[str]] = {}
    others: dict[str, set[str]] = {}
    for each in copies:
        standing = each.standing
        if standing.own:
            continue
        name = f"{standing.processor} ({standing.legal_entity})" if standing.legal_entity else standing.processor
        processors.setdefault(name, set()).add(f"{each.target.kind} {each.target.name}")
        for sub in standing.sub_processors:
            others.setdefault(sub, set()).add(standing.processor)
    return [
        *(Reader("processor", name, f"runs {_some(what)}") for name, what in sorted(processors.items())),
        *(Reader("sub-processor", name, f"works for {_some(what)}") for name, what in sorted(others.items())),
    ]


def _states(copies: Sequence[Located]) -> list[Reader]:
    compels: dict[str, set[str]] = {}
    holds: dict[str, set[str]] = {}
    for each in copies:
        standing = each.standing
        for code in standing.control:
            if code != OPERATOR:
                name = standing.processor if standing.known else f"{each.target.kind} {each.target.name}"
                compels.setdefault(code, set()).add(name)
        for code in standing.residency:
            if code not in (ANYWHERE, UNKNOWN):
                holds.setdefault(code, set()).add(f"{each.target.kind} {each.target.name}")
    return [
        Reader(
            "state", code,
            "; ".join(
                f"{verb} {_some(names[code])}"
                for verb, names in (("can compel", compels), ("its territory holds", holds))
                if code in names
            ),
        )
        for code in sorted({*compels, *holds})
    ]  # fmt: skip


def _some(names: Iterable[str], most: int = 5) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - most} more" if len(ordered) > most else ""
    return ", ".join(ordered[:most]) + more
