"""The snapshot of rows that decisions look things up in."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date

from greylag.governance.facts.values import ANYWHERE, GLOB_KINDS, MAX_ROWS, UNKNOWN, Place, TargetFact, fact_error


@dataclass(frozen=True, slots=True)
class FactBase:
    """A frozen snapshot of rows: at most one per place name and per (kind, name) of targets.

    Raises OperatorError ``GL-FACTS-004`` for two rows about the same thing, ``GL-FACTS-008`` for more than
    `MAX_ROWS` rows.
    """

    places: tuple[Place, ...] = ()
    targets: tuple[TargetFact, ...] = ()
    _places: dict[str, Place] = field(init=False, repr=False, compare=False)
    _targets: dict[tuple[str, str], TargetFact] = field(init=False, repr=False, compare=False)
    _globs: tuple[TargetFact, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.places) + len(self.targets) > MAX_ROWS:
            raise fact_error(
                "008", f"a fact base has at most {MAX_ROWS} rows, got {len(self.places) + len(self.targets)}."
            )
        places = {place.name: place for place in self.places}
        targets = {(target.kind, target.name): target for target in self.targets}
        for rows, unique in ((self.places, places), (self.targets, targets)):
            if len(rows) != len(unique):
                names = [row.row for row in rows]
                twice = sorted({name for name in names if names.count(name) > 1})
                raise fact_error("004", f"there are two rows for {', '.join(f'`{name}`' for name in twice[:5])}.")
        globs = [row for row in self.targets if row.covers_many and row.kind in GLOB_KINDS]
        object.__setattr__(self, "places", tuple(sorted(self.places, key=lambda row: row.name)))
        object.__setattr__(self, "targets", tuple(sorted(self.targets, key=lambda row: (row.kind, row.name))))
        object.__setattr__(self, "_places", places)
        object.__setattr__(self, "_targets", targets)
        object.__setattr__(self, "_globs", tuple(sorted(globs, key=lambda row: -len(row.name))))

    def place(self, name: str) -> Place | None:
        """Return the row of a place that may decide, None for unknown."""
        found = self._places.get(name)
        return found if found is not None and found.basis.decides else None

    def target(self, kind: str, name: str) -> TargetFact | None:
        """Return the row that speaks about a target, None for unknown.

        A row with exactly this name wins over one ending in ``*``, a longer prefix over a shorter one. Where that row
        is only proposed or withdrawn the target is unknown: no wider row steps in for it.
        """
        found = self._targets.get((kind, name)) if not name.endswith("*") else None
        if found is None and not name.endswith("*"):
            found = next((row for row in self._globs if row.kind == kind and name.startswith(row.name[:-1])), None)
        return found if found is not None and found.basis.decides else None

    def with_rows(self, *, places: Iterable[Place] = (), targets: Iterable[TargetFact] = ()) -> "FactBase":
        """Return this base with further rows. Raises OperatorError ``GL-FACTS-004`` where one is there already."""
        return FactBase((*self.places, *places), (*self.targets, *targets))

    def overlaid_with(self, other: "FactBase") -> "FactBase":
        """Return this base in which rows of ``other`` replace rows about the same thing: the operator's own word."""
        places = {**self._places, **other._places}
        targets = {**self._targets, **other._targets}
        return FactBase(tuple(places.values()), tuple(targets.values()))

    def require_places(self) -> None:
        """Check that every place a target names has a row. Raises OperatorError ``GL-FACTS-005``."""
        for target in self.targets:
            for name in target.places:
                if name not in (ANYWHERE, UNKNOWN) and name not in self._places:
                    raise fact_error(
                        "005",
                        f"row `{target.row}`, field `places`: there is no place {name!r};"
                        f" got/expected: {name!r}/one of {sorted(self._places)}.",
                        f"add a `[[place]]` row named {name!r}, or name a place that is there.",
                    )

    def digest(self) -> str:
        """Return the SHA-256 (hex) over all rows, the same for the same rows in any order."""
        text = json.dumps(
            {"places": [asdict(row) for row in self.places], "targets": [asdict(row) for row in self.targets]},
            sort_keys=True, separators=(",", ":"), default=date.isoformat,
        )  # fmt: skip
        return hashlib.sha256(text.encode()).hexdigest()
