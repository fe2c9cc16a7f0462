"""Every version of every row, and what of them counted on which day."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta

from greylag.governance.facts.base import FactBase
from greylag.governance.facts.dumping import row_bytes
from greylag.governance.facts.values import MAX_ROWS, Mechanism, Row, Zone, fact_error

Version = tuple[str, date, date]


@dataclass(frozen=True, slots=True)
class FactBook:
    """All rows with all their versions; rows with the same ``row`` name are versions of one thing.

    Two clocks: on a day of validity and a day of knowledge that version counts which was known by then and speaks of
    that day; of several the one known last, of those the one valid from the latest day. ``rows`` is in order of name
    and version, and lists within rows are sorted, so equal books are equal values. ``missing`` names rows that were
    taken away: what they said is not known, and that is kept, so that taking a row away never widens anything.

    Raises OperatorError ``GL-FACTS-004`` for two versions of one row with the same days, ``GL-FACTS-008`` for more
    than `MAX_ROWS` rows.
    """

    rows: tuple[Row, ...] = ()
    missing: tuple[str, ...] = ()
    _versions: dict[str, tuple[Row, ...]] = field(init=False, repr=False, compare=False)
    _digest: list[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.rows) > MAX_ROWS:
            raise fact_error("008", f"a fact book has at most {MAX_ROWS} rows, got {len(self.rows)}.")
        rows = sorted((_ordered(row) for row in self.rows), key=version_of)
        versions: dict[str, list[Row]] = {}
        for row in rows:
            those = versions.setdefault(row.row, [])
            if those and version_of(those[-1]) == version_of(row):
                _, known, valid = version_of(row)
                since = "" if valid == date.min else f" and valid from {valid}"
                raise fact_error(
                    "004", f"there are two rows for `{row.row}`, both known from {known}{since}.",
                    "leave one out; a later version of a row has a later `retrieved`, `known_from` or `valid_from`.",
                )  # fmt: skip
            those.append(row)
        object.__setattr__(self, "rows", tuple(rows))
        object.__setattr__(self, "missing", tuple(sorted(set(self.missing) - set(versions))))
        object.__setattr__(self, "_versions", {name: tuple(reversed(those)) for name, those in versions.items()})
        object.__setattr__(self, "_digest", [])

    def as_of(self, valid: date, known: date) -> FactBase:
        """Return what counted on day ``valid`` by what was known on day ``known``.

        Where the version that counts does not decide (annulled, proposed …) its thing is unknown: no older version
        steps in. Never raises; a name that leads nowhere makes what depends on it unknown.
        """
        rows: list[Row] = []
        silent: list[Row] = []
        for versions in self._versions.values():
            counts = next((row for row in versions if row.basis.holds(valid, known)), None)
            if counts is not None and counts.basis.decides:
                rows.append(counts)
            else:
                quiet = next((row for row in versions if _spoken(row, valid, known)), None)
                silent += [quiet] if quiet is not None else []
        return FactBase(valid, known, tuple(rows), tuple(silent), self.missing)

    def versions(self, row_name: str) -> tuple[Row, ...]:
        """Return the versions of one row, the latest known first; empty where there is none."""
        return self._versions.get(row_name, ())

    def names(self) -> tuple[str, ...]:
        """Return the names of all rows, in order."""
        return tuple(sorted(self._versions))

    def boundaries(self) -> tuple[date, ...]:
        """Return the days, in order, on which what counts that day may differ from what counted the day before."""
        days: set[date] = set()
        for row in self.rows:
            basis = row.basis
            days |= {basis.known_from or basis.retrieved}
            days |= {day for day in (basis.valid_from, basis.valid_to) if day is not None}
            if basis.review_by is not None and basis.review_by < date.max:
                days.add(basis.review_by + timedelta(days=1))
            if isinstance(row, Mechanism) and row.assessed_on is not None:
                days.add(row.assessed_on)
        return tuple(sorted(days))

    def digest(self) -> str:
        """Return the SHA-256 (hex) over all rows and versions, the same for the same rows in any order."""
        if not self._digest:
            whole = hashlib.sha256()
            for part in sorted([*map(row_bytes, self.rows), *map(str.encode, self.missing)]):
                whole.update(len(part).to_bytes(8, "big") + part)
            self._digest.append(whole.hexdigest())
        return self._digest[0]

    def joined(self, other: "FactBook") -> "FactBook":
        """Return this book with the rows of ``other`` as well. Raises as the constructor."""
        return FactBook((*self.rows, *other.rows), (*self.missing, *other.missing))

    def overlaid_with(self, other: "FactBook") -> "FactBook":
        """Return this book in which rows of ``other`` replace all versions of what they speak of."""
        rows = (*(row for row in self.rows if row.row not in other._versions), *other.rows)
        return FactBook(rows, (*self.missing, *other.missing))

    def without(self, row_name: str) -> "FactBook":
        """Return this book without any version of a row, which is then among the ``missing``.

        Raises OperatorError ``GL-FACTS-009`` where there is no such row.
        """
        if row_name not in self._versions:
            raise fact_error("009", f"there is no row `{row_name[:200]}`.", "list the rows with `greylag facts show`.")
        return FactBook(tuple(row for row in self.rows if row.row != row_name), (*self.missing, row_name))

    def replaced(self, *rows: Row) -> "FactBook":
        """Return this book with further versions; one with the same days as a version that is there replaces it."""
        new = {version_of(row): row for row in rows}
        return FactBook((*(row for row in self.rows if version_of(row) not in new), *new.values()), self.missing)


def version_of(row: Row) -> Version:
    """Return what tells versions apart and puts them in order: name, known from, valid from."""
    return (row.row, row.basis.known_from or row.basis.retrieved, row.basis.valid_from or date.min)


def _spoken(row: Row, valid: date, known: date) -> bool:
    """Whether a row has been heard of: a zone once it is known, anything else once it is valid too."""
    begun = row.basis.valid_from is None or row.basis.valid_from <= valid
    return (row.basis.known_from or row.basis.retrieved) <= known and (begun or isinstance(row, Zone))


def _ordered(row: Row) -> Row:
    """Return ``row`` with its lists sorted and without doubles: their order means nothing."""
    changed: dict[str, object] = {}
    for each in fields(row):
        value = getattr(row, each.name)
        if isinstance(value, tuple):
            tidy = _tidy(value)
            if tidy != value:
                changed[each.name] = tidy
    return replace(row, **changed) if changed else row  # type: ignore[arg-type]  # the same fields, sorted


def _tidy(values: Iterable[object]) -> tuple[object, ...]:
    return tuple(sorted(set(values), key=_spelling))


def _spelling(value: object) -> tuple[str, ...]:
    return (
        (value,) if isinstance(value, str) else (str(getattr(value, "country", "")), str(getattr(value, "basis", "")))
    )
