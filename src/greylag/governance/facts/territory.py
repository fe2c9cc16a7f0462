"""Which jurisdictions a list of codes, zones and places means, on one day."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from greylag.governance.facts.fields import ZONE_PREFIX, kind_of
from greylag.governance.facts.values import OPERATOR, UNKNOWN, Jurisdiction, Place, Row, Zone

#: How deep zones and parts of countries may be nested.
MAX_DEPTH = 16
_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Extent:
    """Some jurisdictions. ``whole`` is False where a name in the list has no row, so that more may be meant.

    ``codes`` hold words such as ``anywhere`` where the list did; ``rows`` names the rows this was read from.
    """

    codes: frozenset[str]
    whole: bool = True
    rows: frozenset[str] = _NOTHING


_HIDDEN = Extent(_NOTHING, whole=False)


class Territory:
    """Jurisdictions, zones and places of one snapshot; zones and parts are followed once and kept.

    Where a zone or a jurisdiction has no row, what a list means is known in part only, and that is said: a list that
    permits then permits less, and one that restricts must be taken to restrict everything (`Extent.whole`).
    """

    def __init__(self, rows: Iterable[Row], silent: Iterable[Row] = (), missing: Iterable[str] = ()) -> None:
        self._jurisdictions: dict[str, Jurisdiction] = {}
        self._places: dict[str, Place] = {}
        self._zones: dict[str, list[Zone]] = {}
        for row in rows:
            if isinstance(row, Jurisdiction):
                self._jurisdictions[row.code] = row
            elif isinstance(row, Place):
                self._places[row.name] = row
            elif isinstance(row, Zone):
                self._zones.setdefault(row.name, []).append(row)
        for row in silent:
            if isinstance(row, Zone):
                self._zones.setdefault(row.name, [])
        # A zone that lost one of its rows has more members than are known.
        self._torn = {name.split("/")[1] for name in missing if name.startswith("zone/")}
        self._parts = self._below(stop_at_own=False)
        self._inheriting = self._below(stop_at_own=True)
        # All of them now: what is shared between threads is only read.
        self._extents: dict[str, Extent] = {}
        self._named: dict[str, frozenset[str]] = {}
        for name in sorted(self._zones):
            self._follow(name, MAX_DEPTH)

    def place(self, name: str) -> Place | None:
        """Return the row of a place, None for unknown."""
        return self._places.get(name)

    def zone_names(self) -> tuple[str, ...]:
        """Return the names of all zones, whether or not they have members on this day."""
        return tuple(sorted(self._zones))

    def knows(self, code: str) -> bool:
        """Whether a jurisdiction has a row."""
        return code in self._jurisdictions

    def parts(self, code: str) -> frozenset[str]:
        """Return every jurisdiction that lies within ``code``, also where its law differs."""
        return self._parts.get(code, _NOTHING)

    def zone(self, name: str) -> Extent | None:
        """Return the members of a zone with the parts that follow them; None where no row speaks of it."""
        return self._extents.get(name)

    def covered(self, items: Iterable[str]) -> Extent:
        """Return what a list of law covers: its codes, its zones' members, and the parts whose law does not differ."""
        codes: set[str] = set()
        rows: set[str] = set()
        whole = True
        for item in items:
            found = self._item(item)
            codes |= found.codes
            rows |= found.rows
            whole = whole and found.whole
        return Extent(frozenset(codes), whole, frozenset(rows))

    def reached(self, items: tuple[str, ...]) -> Extent:
        """Return where a list of places is: codes and words, and ``unknown`` where that is not known in full.

        A zone stands for the jurisdictions its rows name: somewhere in ``CA`` is ``CA``, and not each province as well.
        """
        codes: set[str] = set()
        rows: set[str] = set()
        for item in items or (UNKNOWN,):
            kind = kind_of(item)
            place = self._places.get(item) if kind == "place" else None
            if kind == "zone":
                found = self.zone(item.removeprefix(ZONE_PREFIX))
                named = self._named.get(item.removeprefix(ZONE_PREFIX), _NOTHING)
                hidden = found is None or not found.whole or not named or OPERATOR in named
                codes |= (named - {OPERATOR}) | ({UNKNOWN} if hidden else set())
                rows |= found.rows if found else _NOTHING
            elif place is not None:
                codes |= set(place.jurisdictions) or {UNKNOWN}
                rows.add(place.row)
            else:
                codes.add(item if kind in ("word", "code") and item != OPERATOR else UNKNOWN)
        return Extent(self.or_unknown(codes), rows=frozenset(rows))

    def or_unknown(self, codes: Iterable[str]) -> frozenset[str]:
        """Return ``codes``, and ``unknown`` beside them where one is no jurisdiction with a row."""
        found = frozenset(codes)
        lost = any(kind_of(code) != "word" and code not in self._jurisdictions for code in found)
        return found | {UNKNOWN} if lost or not found else found

    def _follow(self, name: str, depth: int) -> None:
        """Work out one zone, after those it holds. Zones in a circle, or nested too deep, are known in part only."""
        if name in self._extents or name not in self._zones:
            return
        rows = self._zones[name]
        self._extents[name] = _HIDDEN
        for row in rows if depth else ():
            for member in row.members:
                if kind_of(member) == "zone":
                    self._follow(member.removeprefix(ZONE_PREFIX), depth - 1)
        members = [member for row in rows for member in row.members]
        found = [self._item(member) for member in members]
        self._named[name] = frozenset(member for member in members if kind_of(member) != "zone").union(
            *(self._named.get(member.removeprefix(ZONE_PREFIX), _NOTHING) for member in members)
        )
        self._extents[name] = Extent(
            codes=frozenset().union(*(each.codes for each in found)),
            whole=name not in self._torn and all(each.whole for each in found),
            rows=frozenset(row.row for row in rows).union(*(each.rows for each in found)),
        )

    def _item(self, item: str) -> Extent:
        kind = kind_of(item)
        if kind == "word":
            return Extent(frozenset({item}))
        if kind == "zone":
            return self._extents.get(item.removeprefix(ZONE_PREFIX), _HIDDEN)
        return Extent(self._inheriting.get(item, _NOTHING) | {item}, whole=item in self._jurisdictions)

    def _below(self, *, stop_at_own: bool) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for code, row in self._jurisdictions.items():
            seen, each = {code}, row
            while each.within and len(seen) <= MAX_DEPTH and not (stop_at_own and each.own_regime):
                if each.within in seen:
                    break
                found.setdefault(each.within, set()).add(code)
                seen.add(each.within)
                above = self._jurisdictions.get(each.within)
                if above is None:
                    break
                each = above
        return {code: frozenset(below) for code, below in found.items()}
