"""Whether data may leave a regime's territory towards a target: adequacy as a relation, never a list of countries.

Adequacy holds between an exporter's law, an importer, a sector, a recipient, a kind of data and a day. What is not
known never helps: an origin that isn't known needs an adequacy for every exporter of the regime, a reach that isn't
known is covered by none.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from greylag.governance.facts.reach import Reach
from greylag.governance.facts.territory import Extent, Territory
from greylag.governance.facts.values import (
    ANYWHERE,
    UNKNOWN,
    Adequacy,
    Certification,
    Mechanism,
    Processor,
    Regime,
    Row,
    TargetFact,
)

_NOWHERE = frozenset({ANYWHERE, UNKNOWN})


@dataclass(frozen=True, slots=True)
class Transfer:
    """What one regime says of one target. ``leaves``: the reach goes beyond the regime's home.

    ``uncovered`` are the places beyond it for which nothing is adequate, ``safeguards`` what is agreed for all of them:
    ``REGIME/KIND`` of a mechanism, ``REGIME/assessed`` where such a one has its assessment. ``rows`` names what was
    used.
    """

    leaves: bool
    uncovered: frozenset[str]
    safeguards: tuple[str, ...]
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Adequate:
    """An adequacy with its lists followed."""

    row: Adequacy
    importers: Extent
    exporters: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Agreed:
    """A mechanism with its list followed."""

    row: Mechanism
    importers: Extent


@dataclass(frozen=True, slots=True)
class _Law:
    """A regime with its lists followed and what belongs to it."""

    regime: Regime
    home: Extent
    origins: Extent
    adequacies: tuple[_Adequate, ...]
    mechanisms: tuple[_Agreed, ...]
    except_classes: frozenset[str]


class Regimes:
    """The regimes of one snapshot, with their adequacies, mechanisms and who holds which certificate."""

    def __init__(self, rows: Iterable[Row], territory: Territory, valid: date, missing: Iterable[str] = ()) -> None:
        rows = tuple(rows)
        self._territory = territory
        self._valid = valid
        self._processors = {row.name: row for row in rows if isinstance(row, Processor)}
        self._schemes: dict[str, set[str]] = {}
        for row in rows:
            if isinstance(row, Certification):
                self._schemes.setdefault(row.processor, set()).add(row.scheme)
        self._missing = {name.removeprefix("regime/") for name in missing if name.startswith("regime/")}
        self._laws: Mapping[str, _Law] = {row.name: self._law(row, rows) for row in rows if isinstance(row, Regime)}

    def schemes(self, processor: str) -> tuple[str, ...]:
        """Return the certificates a processor holds."""
        return tuple(sorted(self._schemes.get(processor, ())))

    def following(self, classes: tuple[str, ...], origins: tuple[str, ...]) -> tuple[str, ...]:
        """Return the names of the regimes that follow data of these classes and origins.

        No origin at all is an origin that isn't known, and that belongs to every regime whose classes match. A class
        matches one above it, and, since a key stands for all keys below, one below it. What a regime governs whose row
        is missing nobody knows, so it follows everything that has a class.
        """
        found = {
            name
            for name, law in self._laws.items()
            if (not law.regime.classes or any(touches(classes, key) for key in law.regime.classes))
            and any(self._exporter(law, origin) for origin in origins or (UNKNOWN,))
        }
        return tuple(sorted(found | self._missing if classes else found))

    def excepted(self, regime: str, classes: tuple[str, ...]) -> frozenset[str]:
        """Return what of ``classes`` some adequacy of the regime leaves out; all that `transfer` needs of them."""
        law = self._laws.get(regime)
        return frozenset(key for key in law.except_classes if touches(classes, key)) if law else frozenset()

    def transfer(
        self, regime: str, origins: tuple[str, ...], excepted: frozenset[str], target: TargetFact, reach: Reach
    ) -> Transfer:
        """Return what ``regime`` says of ``target`` for data from ``origins``; without a row for it, the strictest."""
        law = self._laws.get(regime)
        if law is None:
            return Transfer(True, reach.everywhere, (), ())
        outside = (reach.everywhere - law.home.codes) | (reach.everywhere & _NOWHERE)
        rows = {law.regime.row, *law.home.rows}
        exporters = self._exporters(law, origins)
        covered: set[str] = set()
        for rule in law.adequacies if outside else ():
            if exporters is None or not (exporters <= rule.exporters or ANYWHERE in rule.exporters):
                continue
            helped = self._helped(rule, outside, excepted, target, reach)
            covered |= helped
            rows |= self._cited(rule, helped, target, reach)
        uncovered = outside - covered
        safeguards, agreed = self._safeguards(law, uncovered, target)
        return Transfer(bool(outside), uncovered, safeguards, tuple(sorted(rows | agreed)))

    def _law(self, regime: Regime, rows: Iterable[Row]) -> _Law:
        adequacies = [row for row in rows if isinstance(row, Adequacy) and row.regime == regime.name]
        mechanisms = [row for row in rows if isinstance(row, Mechanism) and row.regime == regime.name]
        covered = self._territory.covered
        return _Law(
            regime=regime,
            home=covered(regime.home),
            origins=covered(regime.origins),
            adequacies=tuple(
                _Adequate(row, covered(row.importers), covered(row.exporters).codes) for row in adequacies
            ),
            mechanisms=tuple(_Agreed(row, covered(row.importers)) for row in mechanisms),
            except_classes=frozenset(key for row in adequacies for key in row.except_classes),
        )

    def _exporter(self, law: _Law, origin: str) -> frozenset[str]:
        """Return the jurisdictions for which ``origin`` stands under this regime; empty where it isn't governed."""
        known = self._territory.knows(origin)
        if not known or not law.origins.whole:
            return law.home.codes | law.origins.codes | {UNKNOWN}
        if origin in law.origins.codes or ANYWHERE in law.origins.codes:
            return frozenset({origin})
        inside = self._territory.parts(origin)
        return frozenset(code for code in law.origins.codes if code in inside or code.startswith(f"{origin}-"))

    def _exporters(self, law: _Law, origins: tuple[str, ...]) -> frozenset[str] | None:
        """Return for which exporters an adequacy must hold; None where that can't be known, so that none helps."""
        if not (law.home.whole and law.origins.whole and law.home.codes):
            return None
        found = frozenset[str]().union(*(self._exporter(law, origin) for origin in origins))
        if not found or UNKNOWN in found:
            return (found | law.home.codes | law.origins.codes) - {UNKNOWN}
        return found

    def _helped(
        self, rule: _Adequate, outside: frozenset[str], excepted: frozenset[str], target: TargetFact, reach: Reach
    ) -> frozenset[str]:
        """Return which of the places ``outside`` an adequacy covers for this data and these recipients."""
        row = rule.row
        if not excepted.isdisjoint(row.except_classes):
            return frozenset()
        return frozenset(
            code
            for code in outside & rule.importers.codes - _NOWHERE
            if all(self._fits(row, each) for each in recipients(code, target, reach))
        )

    def _fits(self, row: Adequacy, processor: str) -> bool:
        """Whether a recipient is of the adequacy's sector and holds one of its certificates."""
        known = self._processors.get(processor)
        sector = known.sector if known else UNKNOWN
        return (not row.sectors or sector in row.sectors) and (
            not row.certified or not self._schemes.get(processor, set()).isdisjoint(row.certified)
        )

    def _cited(self, rule: _Adequate, helped: frozenset[str], target: TargetFact, reach: Reach) -> set[str]:
        if not helped:
            return set()
        who = {each for code in helped for each in recipients(code, target, reach)}
        held = {
            f"certification/{each}/{scheme}"
            for each in who
            for scheme in self._schemes.get(each, set()).intersection(rule.row.certified)
        }
        limited = rule.row.sectors or rule.row.certified
        companies = {self._processors[each].row for each in who if limited and each in self._processors}
        return {rule.row.row, *rule.importers.rows, *held, *companies}

    def _safeguards(self, law: _Law, uncovered: frozenset[str], target: TargetFact) -> tuple[tuple[str, ...], set[str]]:
        if not uncovered or not target.processor or not uncovered.isdisjoint(_NOWHERE):
            return (), set()
        found: set[str] = set()
        rows: set[str] = set()
        for rule in law.mechanisms:
            row = rule.row
            if row.processor == target.processor and uncovered <= rule.importers.codes:
                found.add(f"{law.regime.name}/{row.kind}")
                rows |= {row.row, *rule.importers.rows}
                if row.assessment and row.assessed_on is not None and row.assessed_on <= self._valid:
                    found.add(f"{law.regime.name}/assessed")
        return tuple(sorted(found)), rows


def recipients(code: str, target: TargetFact, reach: Reach) -> tuple[str, ...]:
    """Return who gets the data in one jurisdiction: who runs the target, and the sub-processors that may be there."""
    return (
        target.processor,
        *(name for name, codes in reach.by_sub_processor if code in codes or not codes.isdisjoint(_NOWHERE)),
    )


def touches(classes: Iterable[str], key: str) -> bool:
    """Whether one of ``classes`` is ``key``, stands below it, or above it, so that it may hold it."""
    return any(each == key or each.startswith(f"{key}.") or key.startswith(f"{each}.") for each in classes)
