"""The snapshot that decisions look things up in: what held on one day, as far as it was known on one day."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TypeVar

from greylag.domain.labels import LEVELS, Label
from greylag.governance.facts.reach import Reach, control_of, reach_of, rows_of
from greylag.governance.facts.territory import Territory
from greylag.governance.facts.transfers import Regimes, Transfer
from greylag.governance.facts.values import (
    CLOSED,
    GLOB_KINDS,
    UNKNOWN,
    WEAKER,
    Adequacy,
    Basis,
    Law,
    Mechanism,
    Opening,
    Place,
    Processor,
    Regime,
    Row,
    TargetFact,
)

#: How many answers of one kind a snapshot keeps; the questions hold what others wrote, so there is a bound.
MAX_KEPT = 65_536
_RANKS = (CLOSED, *LEVELS)
_NONE = object()

Answer = TypeVar("Answer")
Kind = TypeVar("Kind", bound=Row)


@dataclass(frozen=True, slots=True)
class FactBase:
    """What counts on day ``valid``, by what was known on day ``known``; made by `FactBook.as_of`.

    ``rows`` are the versions that decide, at most one a name. ``silent`` are those that are known and decide nothing
    (annulled, proposed, expired), ``missing`` names rows that were taken from the book: a target among either is
    unknown, and no wider row steps in for it. Answers are worked out when they are first asked for and kept, so a
    snapshot is made once and asked often. Safe to share between threads.
    """

    valid: date
    known: date
    rows: tuple[Row, ...] = ()
    silent: tuple[Row, ...] = field(default=(), repr=False)
    missing: tuple[str, ...] = ()
    targets: tuple[TargetFact, ...] = field(init=False, repr=False, compare=False)
    _territory: Territory = field(init=False, repr=False, compare=False)
    _regimes: Regimes = field(init=False, repr=False, compare=False)
    _named: dict[str, Row] = field(init=False, repr=False, compare=False)
    _targets: dict[tuple[str, str], TargetFact | None] = field(init=False, repr=False, compare=False)
    _globs: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)
    _processors: dict[str, Processor] = field(init=False, repr=False, compare=False)
    _kept: dict[str, dict[Hashable, object]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        openings = {(row.kind, row.name): row for row in self.rows if isinstance(row, Opening)}
        found = sorted(self._all(TargetFact), key=lambda row: (row.kind, row.name))
        targets = tuple(_opened(row, openings.get((row.kind, row.name))) for row in found)
        unknown = {(row.kind, row.name) for row in self.silent if isinstance(row, TargetFact)}
        unknown |= {(kind, name) for kind, _, name in (each.partition("/") for each in self.missing)}
        by_name = {**dict.fromkeys(unknown), **{(row.kind, row.name): row for row in targets}}
        globs = [each for each in by_name if each[1].endswith("*")]
        territory = Territory(self.rows, self.silent, self.missing)
        for name, value in (
            ("targets", targets),
            ("_territory", territory),
            ("_regimes", Regimes(self.rows, territory, self.valid, self.missing)),
            ("_named", {row.row: row for row in self.rows}),
            ("_targets", by_name),
            ("_globs", tuple(sorted(globs, key=lambda each: (-len(each[1]), each)))),
            ("_processors", {row.name: row for row in self._all(Processor)}),
            ("_kept", {}),
        ):
            object.__setattr__(self, name, value)

    def place(self, name: str) -> Place | None:
        """Return the row of a place, None for unknown."""
        return self._territory.place(name)

    def target(self, kind: str, name: str) -> TargetFact | None:
        """Return the row that speaks about a target, None for unknown; its ``max_level`` counts its opening.

        A row with exactly this name wins over one ending in ``*``, a longer prefix over a shorter one. Where that row
        decides nothing the target is unknown: no wider row steps in for it.
        """
        if name.endswith("*"):
            return None
        if (kind, name) in self._targets:
            return self._targets[kind, name]
        if kind not in GLOB_KINDS:
            return None
        wide = next((each for each in self._globs if each[0] == kind and name.startswith(each[1][:-1])), None)
        return self._targets[wide] if wide is not None else None

    def processor(self, name: str) -> Processor | None:
        """Return the row of a company, None for unknown."""
        return self._processors.get(name)

    def certifications(self, processor: str) -> tuple[str, ...]:
        """Return the schemes whose certificate a company holds, in order."""
        return self._regimes.schemes(processor)

    def zone(self, name: str) -> frozenset[str] | None:
        """Return the members of a zone, with the parts of countries that follow them.

        None where there is no such zone, or where a zone or jurisdiction it names has no row: then nobody knows what
        it means. A zone all of whose rows are out of force on this day has no members.
        """
        found = self._territory.zone(name)
        return found.codes if found is not None and found.whole else None

    def zones(self) -> tuple[str, ...]:
        """Return the names of the zones that can be used, in order."""
        return tuple(name for name in self._territory.zone_names() if self.zone(name) is not None)

    def regime(self, name: str) -> Regime | None:
        """Return a body of law, None for unknown: then nothing can be said of what it governs."""
        found = self._named.get(f"regime/{name}")
        return found if isinstance(found, Regime) else None

    def regimes(self) -> tuple[Regime, ...]:
        """Return every body of law, by name."""
        return self._all(Regime)

    def laws(self) -> tuple[Law, ...]:
        """Return every rule of law, by name."""
        return self._all(Law)

    def adequacies(self) -> tuple[Adequacy, ...]:
        """Return every adequacy, by name."""
        return self._all(Adequacy)

    def mechanisms(self) -> tuple[Mechanism, ...]:
        """Return every transfer mechanism, by name."""
        return self._all(Mechanism)

    def row(self, name: str) -> Row | None:
        """Return the row of this name (``endpoint/anthropic``) as it stands in the book, None where none decides."""
        return self._named.get(name)

    def reach(self, target: TargetFact) -> Reach:
        """Return where a target works and from where it can be looked at or steered."""
        return self._once("reach", target, lambda: reach_of(target, self._territory, self._processors))

    def control(self, target: TargetFact) -> frozenset[str]:
        """Return whose law can compel who runs a target: ``operator`` for what the operator runs, else ISO codes.

        The seat, what the processor's row says, and the same of its parents, theirs and so on; ``unknown`` is among
        them where one has no row.
        """
        return self._once("control", target, lambda: control_of(target, self._territory, self._processors))

    def regimes_of(self, classes: tuple[str, ...], origins: tuple[str, ...]) -> tuple[str, ...]:
        """Return which bodies of law follow data of these classes from these origins, by name.

        An origin that isn't known, or none at all, belongs to every regime whose classes match; a regime whose row is
        missing follows everything that has a class.
        """
        return self._keep("regimes", (classes, origins), lambda: self._regimes.following(classes, origins))

    def transfer(self, regime: str, label: Label, target: TargetFact) -> Transfer:
        """Return what a body of law says of sending what carries ``label`` to a target."""
        excepted = self._regimes.excepted(regime, label.classes)
        origins = label.origins
        return self._once(
            "transfer", target,
            lambda: self._regimes.transfer(regime, origins, excepted, target, self.reach(target)),
            (regime, origins, excepted),
        )  # fmt: skip

    def rows_behind(self, target: TargetFact) -> tuple[Row, ...]:
        """Return the rows that what is said of a target rests on, by name.

        The target, its opening, places and zones, its processor with certificates and parents, its sub-processors.
        """
        return self._once("behind", target, lambda: self._behind(target))

    def certainty(self, target: TargetFact) -> str:
        """Return the weakest certainty of the rows behind a target; one that is stale counts as ``K``."""
        return self._once(
            "certainty", target, lambda: weakest((row.basis for row in self.rows_behind(target)), self.known)
        )

    def stale(self, target: TargetFact) -> bool:
        """Whether a row behind a target is past its review date."""
        return self._once(
            "stale", target, lambda: any(is_stale(row.basis, self.known) for row in self.rows_behind(target))
        )

    def _behind(self, target: TargetFact) -> tuple[Row, ...]:
        names = {target.row, f"opening/{target.row}", *self.reach(target).rows}
        names |= {f"certification/{target.processor}/{each}" for each in self.certifications(target.processor)}
        rows: dict[str, Row] = {name: self._named[name] for name in names if name in self._named}
        rows.setdefault(target.row, target)
        rows.update((row.row, row) for row in rows_of(target, self._processors))
        return tuple(rows[name] for name in sorted(rows))

    def _all(self, kind: type[Kind]) -> tuple[Kind, ...]:
        return tuple(row for row in self.rows if isinstance(row, kind))

    def _once(self, what: str, target: TargetFact, work: Callable[[], Answer], key: Hashable = None) -> Answer:
        """Keep answers about this snapshot's own targets; one that was made by hand is worked out anew."""
        if self._targets.get((target.kind, target.name)) is not target:
            return work()
        return self._keep(what, (target.kind, target.name, key), work)

    def _keep(self, what: str, key: Hashable, work: Callable[[], Answer]) -> Answer:
        kept = self._kept.setdefault(what, {})
        found = kept.get(key, _NONE)
        if found is not _NONE:
            return found  # type: ignore[return-value]  # only `work` of the same kind puts answers under `what`
        if len(kept) >= MAX_KEPT:
            kept.clear()
        answer = work()
        kept[key] = answer
        return answer


def is_stale(basis: Basis, day: date) -> bool:
    """Whether ``day`` is past the review date of a row."""
    return basis.review_by is not None and day > basis.review_by


def weakest(bases: Iterable[Basis], day: date) -> str:
    """Return the weakest certainty of some rows on ``day``, ``unknown`` for none; a stale row counts as ``K``."""
    ranks = [WEAKER.index("K" if is_stale(basis, day) else basis.certainty) for basis in bases]
    return WEAKER[max(ranks)] if ranks else UNKNOWN


def _opened(target: TargetFact, opening: Opening | None) -> TargetFact:
    """Return ``target`` with what its opening adds; an opening only ever raises, so that losing one opens nothing."""
    if opening is None or _RANKS.index(opening.max_level) <= _RANKS.index(target.max_level):
        return target
    return replace(target, max_level=opening.max_level)
