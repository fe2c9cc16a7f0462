"""Fact rows in words: what one says, and how far it may be believed."""

from collections.abc import Callable, Mapping

from greylag.governance.explanation.values import RowUse
from greylag.governance.facts import (
    Adequacy,
    Certification,
    FactBase,
    FactBook,
    Jurisdiction,
    Law,
    Mechanism,
    Opening,
    Place,
    Processor,
    Regime,
    Row,
    TargetFact,
    Zone,
    is_stale,
)

MAX_LISTED = 12


def row_use(name: str, facts: FactBase, book: FactBook) -> RowUse:
    """Return what the row of this name says on the day of ``facts``; where it decides nothing then, that it doesn't."""
    row = facts.row(name)
    if row is not None:
        return _use(row, stale=is_stale(row.basis, facts.known))
    versions = [each for each in book.rows if each.row == name and each.basis.holds(facts.valid, facts.known)]
    if versions:
        last = max(versions, key=lambda each: each.basis.known_from or each.basis.retrieved)
        return _use(last, stale=is_stale(last.basis, facts.known))
    return RowUse(name, name.partition("/")[0], "no such row holds on that day", "", "unknown", "")


def describe(row: Row) -> str:
    """Return in one line what ``row`` says."""
    return _WORDS[type(row)](row)


def _use(row: Row, *, stale: bool) -> RowUse:
    basis = row.basis
    return RowUse(
        row=row.row, table=row.row.partition("/")[0], says=describe(row), status=basis.status,
        certainty=basis.certainty, source=basis.source, retrieved=basis.retrieved, valid_from=basis.valid_from,
        valid_to=basis.valid_to, review_by=basis.review_by, stale=stale, note=basis.note,
    )  # fmt: skip


def listed(values: tuple[str, ...] | frozenset[str]) -> str:
    """Return ``values`` in one line, in order, cut where they are many."""
    ordered = sorted(values)
    more = f" and {len(ordered) - MAX_LISTED} more" if len(ordered) > MAX_LISTED else ""
    return ", ".join(ordered[:MAX_LISTED]) + more or "nothing"


def _processor(row: Row) -> str:
    assert isinstance(row, Processor)  # noqa: S101 - keyed by type below
    parents = f", owned by {listed(row.parents)}" if row.parents else ""
    compelled = "".join(f"; {each.country} can compel it ({each.basis})" for each in row.controlled_by[:MAX_LISTED])
    return f"{row.legal_entity}, seat {row.seat}{parents}{compelled}"


def _target(row: Row) -> str:
    assert isinstance(row, TargetFact)  # noqa: S101 - keyed by type below
    who = f"run by {row.processor}" if row.processor else "run by the operator itself"
    trains = {True: "trains on what it is given", False: "does not train on it", None: "training unknown"}
    pinned = "place fixed" if row.pinned else "place not fixed"
    return f"{who}; works at {listed(row.processing)} ({pinned}); {trains[row.trains_by_default]}"


def _adequacy(row: Row) -> str:
    assert isinstance(row, Adequacy)  # noqa: S101 - keyed by type below
    only = f", recipients certified for {listed(row.certified)}" if row.certified else ""
    sectors = f", {listed(row.sectors)} sector" if row.sectors else ""
    but = f", not for {listed(row.except_classes)}" if row.except_classes else ""
    return f"{row.regime}: {listed(row.exporters)} → {listed(row.importers)}{sectors}{only}{but} ({row.instrument})"


def _mechanism(row: Row) -> str:
    assert isinstance(row, Mechanism)  # noqa: S101 - keyed by type below
    when = f" on {row.assessed_on}" if row.assessed_on else ""
    assessed = f"assessed{when}: {row.assessment}" if row.assessment else "no assessment on record"
    return f"{row.regime}: {row.kind} agreed with {row.processor} for {listed(row.importers)}; {assessed}"


def _law(row: Row) -> str:
    assert isinstance(row, Law)  # noqa: S101 - keyed by type below
    return f"{row.title} ({row.clause})"


def _regime(row: Row) -> str:
    assert isinstance(row, Regime)  # noqa: S101 - keyed by type below
    return f"{row.title}: governs {listed(row.classes)} from {listed(row.origins)}; at home in {listed(row.home)}"


def _place(row: Row) -> str:
    assert isinstance(row, Place)  # noqa: S101 - keyed by type below
    return f"lies in {listed(row.jurisdictions)}"


def _zone(row: Row) -> str:
    assert isinstance(row, Zone)  # noqa: S101 - keyed by type below
    return f"has the members {listed(row.members)}"


def _certification(row: Row) -> str:
    assert isinstance(row, Certification)  # noqa: S101 - keyed by type below
    return f"{row.processor} holds a certificate of {row.scheme}"


def _opening(row: Row) -> str:
    assert isinstance(row, Opening)  # noqa: S101 - keyed by type below
    return f"the operator opened it for data up to {row.max_level}"


def _jurisdiction(row: Row) -> str:
    assert isinstance(row, Jurisdiction)  # noqa: S101 - keyed by type below
    inside = f", part of {row.within}" if row.within else ""
    return f"{row.name}{inside}{', with law of its own' if row.own_regime else ''}"


_WORDS: Mapping[type, Callable[[Row], str]] = {
    Processor: _processor, TargetFact: _target, Adequacy: _adequacy, Mechanism: _mechanism, Law: _law, Regime: _regime,
    Place: _place, Zone: _zone, Certification: _certification, Opening: _opening, Jurisdiction: _jurisdiction,
}  # fmt: skip
