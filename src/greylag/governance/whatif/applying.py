"""Making another world: a drill's changes applied to packs and facts, and to the labels of recorded assets."""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase

from greylag.domain.errors import GreylagError, RequestRefused
from greylag.domain.labels import LEVELS, Label
from greylag.governance.decision import Decision
from greylag.governance.facts import (
    CLOSED,
    FactBase,
    FactBook,
    Opening,
    Place,
    Processor,
    Row,
    TargetFact,
    dump_facts,
    parse_facts,
)
from greylag.governance.policy import Pack, parse_pack
from greylag.governance.question import Question
from greylag.governance.whatif.drill import (
    Addition,
    Drill,
    FactChange,
    LabelChange,
    NewParent,
    PackChange,
    RegionLost,
    Removal,
    Reopening,
)
from greylag.governance.world import World, manifest_of

#: What a drill says was always known and always so, unless it names a day.
ALWAYS = date(1900, 1, 1)
_FOUR = ("processing", "storage", "support", "control_plane")


@dataclass(frozen=True, slots=True)
class Changed:
    """A world after a drill: ``touched`` names the rows and packs it changed, ``lost`` the targets that are gone.

    ``weakened`` are targets that lose some of their places of processing and can go on in others.
    """

    world: World
    touched: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    weakened: frozenset[str] = frozenset()


class _Making:
    """One world under change. ``strict``: a name that leads nowhere is an error, else it changes nothing."""

    def __init__(self, world: World, drill: Drill, library: Mapping[str, Pack], today: date, *, strict: bool) -> None:
        self.book = world.book
        self.packs = list(world.packs)
        self.library = library
        self.drill = drill
        self.today = today
        self.strict = strict
        self.touched: set[str] = set()
        self.lost: set[str] = set()
        self.weakened: set[str] = set()

    def absent(self, what: str, name: str, known: Iterable[str]) -> None:
        """Refuse, or in another world than today's go on: the row had not been written yet."""
        if self.strict:
            near = difflib.get_close_matches(name, list(known), 3, 0.5)
            hint = (
                f"name one of: {', '.join(near)}"
                if near
                else "list what there is with `greylag facts show` and `greylag policy list`"
            )
            raise RequestRefused(
                "GL-WHATIF-003", f"drill {self.drill.name!r}: there is no {what} {name!r} in this world.", f"{hint}."
            )

    def exchange(self, old: Iterable[Row], new: Iterable[Row]) -> None:
        """Put ``new`` rows in the place of ``old`` ones."""
        gone, made = set(map(id, old)), tuple(new)
        self.book = FactBook((*(row for row in self.book.rows if id(row) not in gone), *made))
        self.touched |= {row.row for row in made}

    def edited(self, row: Row, fields: Mapping[str, object]) -> Row:
        """Return ``row`` with ``fields`` as a fact file would have them."""
        (table,) = (tables for name, tables in dump_facts(FactBook((row,))).items() if name != "schema_version")
        assert isinstance(table, list)  # noqa: S101  the form of a fact file
        document = dict(table[0])
        for name in _FOUR if "places" in fields else ():
            document.pop(name, None)
        made = self.parsed({_table_of(row): [document | dict(fields)]})
        if made[0].row != row.row:
            raise self.unusable(f"a change of `{row.row}` would make it `{made[0].row}`; a row keeps its name")
        return made[0]

    def parsed(self, tables: Mapping[str, object]) -> tuple[Row, ...]:
        """Return rows made of tables as in a fact file."""
        try:
            return parse_facts({"schema_version": 2, **tables}).rows
        except GreylagError as error:
            raise self.unusable(f"{error.code}: {error.message}") from error

    def unusable(self, what: str) -> RequestRefused:
        """Return the error ``GL-WHATIF-004``."""
        return RequestRefused(
            "GL-WHATIF-004", f"drill {self.drill.name!r} can't be applied: {what}", "correct the drill file."
        )


def apply(
    world: World, drill: Drill, library: Mapping[str, Pack], *, today: date, strict: bool = True
) -> Changed:  # fmt: skip
    """Return ``world`` as it would be under ``drill``; ``library`` holds the packs it may add, by name.

    ``today`` is the day by which places and zones are read for lost regions. Raises RequestRefused ``GL-WHATIF-003``
    for a row, pack, processor or place that the world does not have (not where ``strict`` is False: then that part
    changes nothing), ``GL-WHATIF-004`` where the changed world would make no sense.
    """
    making = _Making(world, drill, library, today, strict=strict)
    for change in drill.changes:
        match change:
            case FactChange():
                _change_rows(making, change)
            case Removal():
                _remove(making, change)
            case Addition():
                _add(making, change)
            case NewParent():
                _adopt(making, change)
            case RegionLost():
                _lose(making, change)
            case PackChange():
                _exchange_pack(making, change)
            case Reopening():
                _reopen(making, change)
            case LabelChange():
                pass
    changed = World(tuple(making.packs), making.book, world.home_region)
    return Changed(changed, frozenset(making.touched), frozenset(making.lost), frozenset(making.weakened))


def relabelled(drill: Drill) -> Callable[[Decision], Question]:
    """Return the function from a recorded decision to the question as it would be asked under the drill's label rules.

    It only ever adds to a label: what a rule kept out of a recorded label can't be known.
    """
    changes = tuple(change for change in drill.changes if isinstance(change, LabelChange))

    def asked(decision: Decision) -> Question:
        question = decision.question
        label = question.asset.label
        for change in changes:
            if _matches(change, decision):
                more = Label.of(change.level or LEVELS[0], classes=change.classes, origins=change.origins)
                label = label.joined(more).because(f"drill:{drill.name}")
        return (
            question if label is question.asset.label else replace(question, asset=replace(question.asset, label=label))
        )

    return asked


def _matches(change: LabelChange, decision: Decision) -> bool:
    asset = decision.question.asset
    return (
        (not change.repository or fnmatchcase(decision.repository, change.repository))
        and (not change.path or f"path:{change.path}" in asset.label.derived_by)
        and (not change.covering or asset.label.covers(change.covering))
        and (not change.asset or asset.kind == change.asset)
    )


def _named(making: _Making, patterns: Sequence[str]) -> list[Row]:
    found: list[Row] = []
    for pattern in patterns:
        matching = [
            row
            for row in making.book.rows
            if row.row == pattern or (pattern.endswith("*") and row.row.startswith(pattern[:-1]))
        ]
        if not matching:
            making.absent("row", pattern, {row.row for row in making.book.rows})
        found += matching
    return found


def _change_rows(making: _Making, change: FactChange) -> None:
    _revise(making, _named(making, change.rows), lambda row: making.edited(row, change.fields), change.since)


def _revise(making: _Making, rows: Sequence[Row], revised: Callable[[Row], Row], since: date | None) -> None:
    """Put the revised form of each version in its place; with ``since`` only for the days from then on."""
    new: list[Row] = []
    for row in rows:
        ends = row.basis.valid_to
        begins = row.basis.valid_from
        if since is None or (begins is not None and begins >= since):
            new.append(revised(row))
        elif ends is not None and ends <= since:
            new.append(row)
        else:
            # Known from the same day and valid from a later one: it counts from then on, the old one until then.
            made = revised(row)
            new += [row, replace(made, basis=replace(made.basis, valid_from=since))]
    making.exchange(rows, new)


def _remove(making: _Making, change: Removal) -> None:
    rows = _named(making, change.rows)
    making.exchange(rows, ())
    making.touched |= {row.row for row in rows}


def _add(making: _Making, change: Addition) -> None:
    tables = {
        table: [_always(row, making.drill.name) for row in rows] if isinstance(rows, list) else rows
        for table, rows in change.facts.items()
        if table != "schema_version"
    }
    rows = making.parsed(tables)
    if there := sorted({row.row for row in rows} & {row.row for row in making.book.rows}):
        raise making.unusable(f'it adds `{there[0]}`, which is there already; change it with `kind = "fact"`.')
    making.exchange((), rows)


def _always(row: object, name: str) -> object:
    if not isinstance(row, Mapping):
        return row
    basis = {
        "source": f"drill {name}", "retrieved": ALWAYS, "known_from": ALWAYS, "status": "in_force", "certainty": "O",
    }  # fmt: skip
    return {**basis, **row}


def _adopt(making: _Making, change: NewParent) -> None:
    daughters = [row for row in making.book.rows if isinstance(row, Processor) and row.name == change.processor]
    companies = {row.name for row in making.book.rows if isinstance(row, Processor)}
    if not daughters:
        making.absent("processor", change.processor, companies)
        return
    if change.parent not in companies:
        if not change.seat:
            making.absent("processor", change.parent, companies)
            return
        row = {
            "name": change.parent, "legal_entity": change.legal_entity or change.parent, "seat": change.seat,
            "controlled_by": [dict(each) for each in change.controlled_by],
        }  # fmt: skip
        making.exchange((), making.parsed({"processor": [_always(row, making.drill.name)]}))
    elif change.seat:
        raise making.unusable(f"it gives a seat to {change.parent!r}, which has a row already; leave the seat out.")

    def adopted(row: Row) -> Row:
        assert isinstance(row, Processor)  # noqa: S101  only processors were taken
        return replace(row, parents=tuple(sorted({*row.parents, change.parent})))

    _revise(making, daughters, adopted, change.since)


def _lose(making: _Making, change: RegionLost) -> None:
    facts = making.book.as_of(making.today, making.today)
    if change.kind == "place" and facts.place(change.name) is None:
        making.absent("place", change.name, {row.name for row in making.book.rows if isinstance(row, Place)})
        return
    if change.kind == "zone" and facts.zone(change.name) is None:
        making.absent("zone", change.name, facts.zones())
        return
    targets = [row for row in making.book.rows if isinstance(row, TargetFact)]
    for row in targets:
        inside = [_inside(place, change, facts) for place in row.processing]
        (making.lost if all(inside) else making.weakened if any(inside) else set()).add(row.row)
    making.weakened -= making.lost
    gone = [row for row in targets if row.row in making.lost]
    _revise(making, gone, lambda row: replace(row, basis=replace(row.basis, status="suspended")), None)


def _inside(place: str, lost: RegionLost, facts: FactBase) -> bool:
    """Whether ``place`` (a place, a code or a zone) lies wholly within what is lost."""
    if lost.kind == "place":
        return place == lost.name
    area = frozenset({lost.name}) if lost.kind == "jurisdiction" else facts.zone(lost.name) or frozenset()
    row = facts.place(place)
    if row is not None:
        codes: Iterable[str] = row.jurisdictions
    elif place.startswith("zone:"):
        codes = facts.zone(place.removeprefix("zone:")) or ()
    else:
        codes = (place,)
    held = [code in area or code.partition("-")[0] in area for code in codes]
    return bool(held) and all(held)


def _exchange_pack(making: _Making, change: PackChange) -> None:
    names = [pack.name for pack in making.packs]
    making.touched.add(f"pack/{change.pack}")
    if change.action == "add":
        if change.pack in names:
            raise making.unusable(f"it adds pack {change.pack!r}, which decides already.")
        if change.pack not in making.library:
            making.absent("pack", change.pack, making.library)
            return
        # The schema of a world is the one its packs were checked against.
        making.packs.append(_checked(making, making.library[change.pack], None))
        return
    if change.pack not in names:
        making.absent("pack", change.pack, names)
        return
    position = names.index(change.pack)
    if change.action == "remove":
        del making.packs[position]
    else:
        making.packs[position] = _checked(making, making.packs[position], change.policy)


def _checked(making: _Making, pack: Pack, policy: str | None) -> Pack:
    schema = making.packs[0].schema_text if making.packs else pack.schema_text
    if policy is None and pack.schema_text == schema:
        return pack
    try:
        return parse_pack(manifest_of(pack), pack.policy_text if policy is None else policy, schema)
    except GreylagError as error:
        raise making.unusable(f"{error.code}: {error.message}") from error


def _reopen(making: _Making, change: Reopening) -> None:
    kind, _, name = change.target.partition("/")
    if not any(row.row == change.target for row in making.book.rows if isinstance(row, TargetFact)):
        making.absent("target", change.target, {r.row for r in making.book.rows if isinstance(r, TargetFact)})
        return
    there = [row for row in making.book.rows if isinstance(row, Opening) and row.row == f"opening/{change.target}"]
    # An opening only ever raises, so the row itself is closed first: the drill may also ask for less.
    own = [row for row in making.book.rows if isinstance(row, TargetFact) and row.row == change.target]
    making.exchange(own, [replace(row, max_level=CLOSED) for row in own])
    row = {"kind": kind, "name": name, "max_level": change.max_level}
    opened = change.max_level != CLOSED
    making.exchange(there, making.parsed({"opening": [_always(row, making.drill.name)]}) if opened else ())
    making.touched.add(f"opening/{change.target}")


def _table_of(row: Row) -> str:
    return "target" if isinstance(row, TargetFact) else row.row.partition("/")[0]
