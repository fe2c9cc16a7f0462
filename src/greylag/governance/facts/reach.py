"""Where a target works and who can look at or steer it, and which states can compel it."""

from collections.abc import Mapping
from dataclasses import dataclass

from greylag.governance.facts.territory import Territory
from greylag.governance.facts.values import ANYWHERE, OPERATOR, UNKNOWN, Processor, Row, TargetFact


@dataclass(frozen=True, slots=True)
class Reach:
    """Every jurisdiction from which a target's data is worked on, kept, looked at or steered.

    Sets hold ISO 3166 codes, ``anywhere`` where the vendor may choose, ``unknown`` where nobody knows; all but
    ``sub_processors`` hold something. ``names`` are the items as the rows name them (a place's name, a code,
    ``zone:EU27``, ``anywhere``), with ``unknown`` beside one that has no row. ``by_sub_processor`` splits
    ``sub_processors``. ``rows`` names the rows of places and zones that were used.
    """

    processing: frozenset[str]
    storage: frozenset[str]
    support: frozenset[str]
    control_plane: frozenset[str]
    sub_processors: frozenset[str]
    names: frozenset[str]
    by_sub_processor: tuple[tuple[str, frozenset[str]], ...] = ()
    rows: frozenset[str] = frozenset()

    @property
    def residency(self) -> frozenset[str]:
        """Where bytes are worked on or rest."""
        return self.processing | self.storage

    @property
    def everywhere(self) -> frozenset[str]:
        """Residency, and whoever can look or steer: support, control plane, sub-processors."""
        return self.residency | self.support | self.control_plane | self.sub_processors


def reach_of(target: TargetFact, territory: Territory, processors: Mapping[str, Processor]) -> Reach:
    """Return the reach of ``target``; what is not pinned reaches anywhere, a name without a row is unknown."""
    processing, storage, support, control_plane = (
        territory.reached(items) for items in (target.processing, target.storage, target.support, target.control_plane)
    )
    subs = {
        name: territory.reached(processors[name].operates_in if name in processors else (UNKNOWN,))
        for name in target.sub_processors
    }
    free = frozenset() if target.pinned else frozenset({ANYWHERE})
    items = {*target.processing, *target.storage, *target.support, *target.control_plane} | free
    for name in target.sub_processors:
        items.update(processors[name].operates_in if name in processors else (UNKNOWN,))
    lost = any(UNKNOWN in each.codes for each in (processing, storage, support, control_plane, *subs.values()))
    return Reach(
        processing=processing.codes | free,
        storage=storage.codes,
        support=support.codes,
        control_plane=control_plane.codes,
        sub_processors=frozenset().union(*(each.codes for each in subs.values())),
        names=frozenset(items | {UNKNOWN} if lost else items),
        by_sub_processor=tuple((name, each.codes) for name, each in sorted(subs.items())),
        rows=frozenset().union(*(each.rows for each in (processing, storage, support, control_plane, *subs.values()))),
    )


def owners(name: str, processors: Mapping[str, Processor]) -> tuple[tuple[Processor, ...], bool]:
    """Return a processor with its parents, their parents and so on, and whether each of them has a row."""
    found: dict[str, Processor] = {}
    left, whole = [name], True
    while left:
        each = left.pop()
        row = processors.get(each)
        if row is None:
            whole = False
        elif each not in found:
            found[each] = row
            left.extend(row.parents)
    return tuple(found.values()), whole


def control_of(target: TargetFact, territory: Territory, processors: Mapping[str, Processor]) -> frozenset[str]:
    """Return whose law can compel who runs ``target``: its seat, what its row says, and the same for its parents."""
    if not target.processor:
        return frozenset({OPERATOR})
    rows, whole = owners(target.processor, processors)
    codes = {row.seat or UNKNOWN for row in rows} | {each.country for row in rows for each in row.controlled_by}
    return territory.or_unknown(codes if whole else codes | {UNKNOWN})


def rows_of(target: TargetFact, processors: Mapping[str, Processor]) -> tuple[Row, ...]:
    """Return the rows of who runs ``target``, their parents, and its sub-processors."""
    rows: dict[str, Row] = {}
    for each in owners(target.processor, processors)[0] if target.processor else ():
        rows[each.row] = each
    for name in target.sub_processors:
        if name in processors:
            rows[processors[name].row] = processors[name]
    return tuple(rows.values())
