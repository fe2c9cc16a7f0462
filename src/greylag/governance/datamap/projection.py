"""From trails and facts to a map."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from greylag.governance.datamap.readers import PersonRoles, who_can_read
from greylag.governance.datamap.records import Declassified, Entry
from greylag.governance.datamap.standing import Standings
from greylag.governance.datamap.trails import Erasure, Hopped, Limits, Trail, Trails, erasure_of
from greylag.governance.datamap.values import (
    DECLARED,
    OBSERVED,
    UNKNOWN_PLACE,
    AssetName,
    Coverage,
    DataMap,
    Flow,
    Gaps,
    Located,
    PlaceUse,
    Query,
    Standing,
    Step,
)
from greylag.governance.facts import ANYWHERE, UNKNOWN, FactBase
from greylag.governance.question import Target

_STRENGTH = {OBSERVED: 2, DECLARED: 1, UNKNOWN_PLACE: 0}


@dataclass(frozen=True, slots=True)
class Shown:
    """How much of a map is told: the newest copies and hops, the largest flows. Counts cover everything."""

    located: int = 2_000
    steps: int = 5_000
    flows: int = 1_000


def project(
    entries: Iterable[Entry], facts: FactBase, *, query: Query | None = None, people: Sequence[PersonRoles] = (),
    limits: Limits | None = None, shown: Shown | None = None,
) -> DataMap:  # fmt: skip
    """Return the map that ``entries`` (the ledger's, in order) and ``facts`` give: the same input, the same map."""
    wanted = query or Query()
    trails = Trails(Query(wanted.repository, wanted.task_id), limits)
    trails.feed(entries)
    return map_of(trails, facts, wanted, people, shown)


def map_of(
    trails: Trails, facts: FactBase, query: Query, people: Sequence[PersonRoles] = (), shown: Shown | None = None
) -> DataMap:
    """Return the map of what has been fed to ``trails`` so far, for ``query``."""
    bounds = shown or Shown()
    standings = Standings(facts)
    found = list(trails.trails(query))
    here = [trail for trail in found if trail.located]
    newest = heapq.nlargest(bounds.located, here, key=lambda trail: trail.last)
    located = sorted((_located(trails, trail, standings) for trail in newest), key=_order)
    steps = [(hop, trail) for trail in found for hop in trail.steps]
    latest = heapq.nlargest(bounds.steps, steps, key=_number)
    walked = tuple(_step(trails, hop, trail) for hop, trail in sorted(latest, key=_number))
    return DataMap(
        query=query,
        entries=trails.entries,
        facts_day=facts.valid.isoformat(),
        coverage=_coverage(trails, here, standings),
        uses=_uses(trails, here, standings),
        located=tuple(located),
        steps=walked,
        flows=_flows(trails, found, query, standings)[: bounds.flows],
        readers=who_can_read(located, walked, people),
        declassified=tuple(each for each in trails.declassified if _concerns(trails, each, query)),
        gaps=Gaps(
            unread=trails.unread, untracked=trails.untracked, older_steps=trails.older_steps,
            unmatched=trails.unmatched, crowded=_crowded(trails, query),
            more_located=len(here) - len(newest), more_steps=len(steps) - len(latest),
        ),
    )  # fmt: skip


def evidence_of(trail: Trail, standing: Standing, standings: Standings) -> tuple[str, bool]:
    """Return how sure the place of ``trail`` is, and whether what was observed contradicts the facts.

    Observed: the other side named a place that can be found, or the operator's own target, at a place with a name,
    confirmed the arrival (which jurisdiction that place is in may still be unknown, and is shown so). That a company's
    target answered says that bytes arrived, and nothing of where.
    """
    seen = standings.jurisdictions(trail.place, standing.processor)
    if seen and ANYWHERE not in seen:
        declared = set(standing.residency)
        open_ended = not declared.isdisjoint({ANYWHERE, UNKNOWN}) or not standing.known
        return OBSERVED, not open_ended and declared.isdisjoint(seen)
    if standing.own:
        named = not set(standing.places) <= {UNKNOWN, ANYWHERE}
        return (OBSERVED if trail.arrived else DECLARED) if named else UNKNOWN_PLACE, False
    return UNKNOWN_PLACE if not standing.known or UNKNOWN in standing.residency else DECLARED, False


def _located(trails: Trails, trail: Trail, standings: Standings) -> Located:
    standing = standings.of(trail.target)
    evidence, contradicted = evidence_of(trail, standing, standings)
    return Located(
        asset=trails.asset(trail),
        label=trail.label,
        target=trail.target,
        standing=standing,
        region=trail.region,
        first_seen=trail.first,
        last_seen=trail.last,
        times=trail.times,
        decisions=trail.decisions,
        evidence=evidence,
        arrived=trail.arrived,
        observed_place=trail.place,
        contradicted=contradicted,
        erased=_erased(erasure_of(trails, trail)),
        retain_days=trails.retained.get((trail.task_id, trail.target)),
        subjects=tuple(sorted(trail.subjects)),
    )


def _erased(erasure: Erasure | None) -> str:
    if erasure is None:
        return ""
    return OBSERVED if erasure.seen else DECLARED


def _step(trails: Trails, hop: Hopped, trail: Trail) -> Step:
    shape = hop.shape
    return Step(
        asset=trails.asset(trail), stage=shape.stage, action=shape.action, principal=shape.principal,
        origin=shape.origin, target=trail.target, at=hop.at, decision_id=hop.decision_id, permitted=shape.permitted,
        rules=shape.rules, outcome=hop.outcome, observed_place=hop.place, reads=shape.reads, own=shape.own,
        index=hop.number - 1,
    )  # fmt: skip


def _coverage(trails: Trails, here: Iterable[Trail], standings: Standings) -> Coverage:
    weakest: dict[tuple[str, str, str], int] = {}
    for trail in here:
        if erasure_of(trails, trail) is not None:
            continue
        strength = _STRENGTH[evidence_of(trail, standings.of(trail.target), standings)[0]]
        name = (trail.kind, trail.digest, trail.task_id or f"repository:{trail.repository}")
        weakest[name] = min(strength, weakest.get(name, strength))
    values = list(weakest.values())
    return Coverage(len(values), values.count(2), values.count(1), values.count(0))


def _uses(trails: Trails, here: Iterable[Trail], standings: Standings) -> tuple[PlaceUse, ...]:
    counts: dict[str, list[int]] = {}
    for trail in here:
        if erasure_of(trails, trail) is not None:
            continue
        standing = standings.of(trail.target)
        evidence = evidence_of(trail, standing, standings)[0]
        seen = standings.jurisdictions(trail.place, standing.processor) if evidence == OBSERVED else ()
        codes = seen or standing.residency
        for code in codes:
            counts.setdefault(code, [0, 0, 0, 0])[_STRENGTH[evidence] if len(codes) == 1 else 3] += 1
    uses = [PlaceUse(code, each[2], each[1], each[0], each[3]) for code, each in counts.items()]
    return tuple(sorted(uses, key=lambda use: (-use.total, -use.spread, use.code)))


def _flows(trails: Trails, found: Iterable[Trail], query: Query, standings: Standings) -> tuple[Flow, ...]:
    counts: dict[tuple[str, str, str, Target, bool], list[int]] = {}
    if query.everything:
        counts = {key: list(each) for key, each in trails.overflow.items()}
    for trail in found:
        for (stage, origin), *each in trail.flows:
            total = counts.setdefault((stage, trail.kind, origin, trail.target, not trail.task_id), [0, 0, 0])
            for index in range(3):
                total[index] += each[index]
    flows = [
        Flow(
            stage, kind, origin, target, own, permitted, refused, arrived,
            standings.jurisdictions(origin) or (UNKNOWN,), standings.of(target).residency,
        )
        for (stage, kind, origin, target, own), (permitted, refused, arrived) in counts.items()
    ]  # fmt: skip
    return tuple(sorted(flows, key=lambda flow: (-flow.permitted - flow.refused, _flow_name(flow))))


def _flow_name(flow: Flow) -> tuple[str, ...]:
    return flow.stage, flow.kind, flow.origin, flow.target.kind, flow.target.name, str(flow.own)


def _concerns(trails: Trails, each: Declassified, query: Query) -> bool:
    """Whether a declassification belongs to what is asked for; one names no person, so for people none is told."""
    if query.people or (query.task_id and each.task_id != query.task_id):
        return False
    repository = each.repository or trails.repository_of.get(each.task_id, "")
    return not query.repository or repository == query.repository


def _crowded(trails: Trails, query: Query) -> int:
    if not query.people:
        return 0
    wider = trails.trails(Query(query.repository, query.task_id))
    return sum(trail.crowded and trail.located and not trail.names_any(query.people) for trail in wider)


def _order(each: Located) -> tuple[str, ...]:
    return (
        each.asset.task_id, each.first_seen, each.asset.kind, each.asset.digest, each.target.kind, each.target.name
    )  # fmt: skip


def _number(walked: tuple[Hopped, Trail]) -> int:
    return walked[0].number


def copies_of(found: DataMap, asset: AssetName) -> Iterator[Located]:
    """Yield the places of one asset of a map."""
    return (each for each in found.located if each.asset == asset)


def path_of(found: DataMap, asset: AssetName) -> Iterator[Step]:
    """Yield the hops of one asset of a map, in order: also of the same content under another name in the same task."""
    for step in found.steps:
        same = step.asset.digest == asset.digest and step.asset.task_id == asset.task_id
        if step.asset == asset or (asset.digest and same):
            yield step
