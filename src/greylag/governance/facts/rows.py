"""One function for each table of a fact file: from its fields to a row that makes sense by itself."""

from collections.abc import Callable, Mapping
from dataclasses import fields

from greylag.domain.errors import OperatorError
from greylag.domain.labels import LEVELS
from greylag.governance.facts.fields import (
    CLASS,
    COMPANY,
    HOST,
    JURISDICTION,
    NAME,
    NAMES,
    RESERVED,
    WORD,
    Fields,
    kind_of,
)
from greylag.governance.facts.values import (
    ANYWHERE,
    CERTAINTIES,
    CLOSED,
    GLOB_KINDS,
    MECHANISMS,
    OPERATOR,
    STATUSES,
    TARGET_KINDS,
    UNKNOWN,
    Adequacy,
    Basis,
    Certification,
    Control,
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
    fact_error,
)

SECTORS = ("commercial", "public")
LAW_KINDS = (
    "adequacy", "mechanism", "localisation", "prohibition", "control", "retention", "logging", "contract", "scope",
)  # fmt: skip
#: The four ways in which a target can be somewhere.
ROLES = ("processing", "storage", "support", "control_plane")
MAX_DAYS = 36_500
MAX_PERMILLE = 100_000

#: Table: the value its rows become.
TABLES: Mapping[str, type[Row]] = {
    "jurisdiction": Jurisdiction, "zone": Zone, "place": Place, "processor": Processor, "certification": Certification,
    "target": TargetFact, "opening": Opening, "regime": Regime, "adequacy": Adequacy, "mechanism": Mechanism,
    "law": Law,
}  # fmt: skip
#: Value: the name of its table.
TABLE_OF: Mapping[type, str] = {kind: table for table, kind in TABLES.items()}


def read_row(table: str, row: Fields) -> Row:
    """Return the row of ``table`` that these fields describe.

    Raises OperatorError ``GL-FACTS-002`` (a field that isn't known), ``-003`` (missing or wrong), ``-006``
    (fields that contradict each other).
    """
    row.only(_KNOWN[table])
    return _READERS[table](row)


def _contradiction(row: Fields, what: str, remedy: str) -> OperatorError:
    return fact_error("006", f"row {row.label}: {what}.", remedy)


def _basis(row: Fields) -> Basis:
    retrieved = row.day("retrieved")
    if retrieved is None:
        row.needed("retrieved")
        raise row.wrong("retrieved", None, "a day such as 2026-01-31")
    basis = Basis(
        source=row.text("source"),
        retrieved=retrieved,
        status=row.choice("status", STATUSES),
        certainty=row.choice("certainty", CERTAINTIES),
        valid_from=row.day("valid_from"),
        valid_to=row.day("valid_to"),
        known_from=row.day("known_from"),
        review_by=row.day("review_by"),
        note=row.text("note", "", empty=True),
    )
    if basis.valid_from and basis.valid_to and basis.valid_to <= basis.valid_from:
        raise _contradiction(
            row, f"`valid_to = {basis.valid_to}` is not after `valid_from = {basis.valid_from}`;"
            " got/expected: a time without a day/at least one day",
            "`valid_to` is the first day on which it no longer holds; correct one of the two.",
        )  # fmt: skip
    if basis.review_by and basis.review_by < basis.retrieved:
        raise _contradiction(
            row, f"`review_by = {basis.review_by}` is before `retrieved = {basis.retrieved}`;"
            " got/expected: a row that was stale when it was read/one that wasn't",
            "look the source up again and set both days.",
        )  # fmt: skip
    return basis


def _jurisdiction(row: Fields) -> Jurisdiction:
    found = Jurisdiction(
        code=row.formed("code", JURISDICTION),
        name=row.text("name"),
        basis=_basis(row),
        within=row.formed("within", JURISDICTION, ""),
        own_regime=row.flag("own_regime", False),
    )
    if "-" in found.code and not found.within:
        raise _contradiction(
            row, f"`code = {found.code!r}` is a part of something and `within` is empty; got/expected:"
            f" nothing/`{found.code.partition('-')[0]}`",
            "say in `within` what it is a part of, and with `own_regime = true` that its law differs.",
        )  # fmt: skip
    return found


def _zone(row: Fields) -> Zone:
    return Zone(
        row.formed("name", WORD), row.territory("members", "code zone", (OPERATOR,)), _basis(row),
        row.formed("part", WORD, ""),
    )  # fmt: skip


def read_place(row: Fields) -> Place:
    """Return the row of a place. Raises as `read_row`, for values."""
    name = row.formed("name", NAME)
    if kind_of(name) != "place":
        raise row.wrong("name", name, "a place's own name (no reserved word, no ISO code, not `zone:…`)")
    return Place(name, row.territory("jurisdictions", "code", (UNKNOWN,)), _basis(row))


def _controls(row: Fields) -> tuple[Control, ...]:
    value = row.values.get("controlled_by", [])
    if not isinstance(value, list | tuple) or len(value) > 64 or not all(isinstance(each, Mapping) for each in value):
        raise row.wrong("controlled_by", value, 'at most 64 tables such as `{ country = "US", basis = "CLOUD Act" }`')
    controls = set()
    for each in value:
        inner = Fields(f"{row.label}, in `controlled_by`", each)
        inner.only(frozenset({"country", "basis"}))
        controls.add(Control(inner.formed("country", JURISDICTION), inner.text("basis")))
    return tuple(sorted(controls, key=lambda each: (each.country, each.basis)))


def _processor(row: Fields) -> Processor:
    name = row.formed("name", COMPANY)
    if name in RESERVED:
        raise row.wrong("name", name, "a company's own name, no reserved word")
    parents = row.texts("parents", COMPANY)
    if name in parents:
        raise _contradiction(row, f"{name!r} is its own parent", "leave it out of `parents`.")
    seat = row.text("seat")
    return Processor(
        name=name,
        legal_entity=row.text("legal_entity"),
        seat=seat if seat == UNKNOWN else row.formed("seat", JURISDICTION),
        basis=_basis(row),
        parents=parents,
        controlled_by=_controls(row),
        operates_in=_reached(row, "operates_in"),
        sector=row.choice("sector", (*SECTORS, UNKNOWN), "commercial"),
    )


def _certification(row: Fields) -> Certification:
    return Certification(row.formed("processor", COMPANY), row.formed("scheme", WORD), _basis(row))


def _reached(row: Fields, name: str) -> tuple[str, ...]:
    """Return where something works: what is not said is unknown."""
    return row.territory(name, "code zone place", (ANYWHERE, UNKNOWN)) if name in row.values else (UNKNOWN,)


def _roles(row: Fields) -> tuple[tuple[str, ...], ...]:
    """Return the places of processing, storage, support and control plane."""
    if "places" not in row.values:
        return tuple(_reached(row, name) for name in ROLES)
    both = [name for name in ROLES if name in row.values]
    if both:
        raise _contradiction(
            row, f"`places` and `{both[0]}` are both there; got/expected: two ways of saying it/one",
            f"`places` stands for all of {', '.join(ROLES)}; leave one way out.",
        )  # fmt: skip
    return (_reached(row, "places"),) * len(ROLES)


def read_target(row: Fields) -> TargetFact:
    """Return the row of a target. Raises as `read_row`, for values."""
    trains, retention = row.needed("trains_by_default"), row.values.get("retention_days", UNKNOWN)
    if trains != UNKNOWN and not isinstance(trains, bool):
        raise row.wrong("trains_by_default", trains, "true, false or `unknown`")
    processing, storage, support, control_plane = _roles(row)
    target = TargetFact(
        kind=row.choice("kind", TARGET_KINDS),
        name=row.formed("name", NAMES),
        processing=processing,
        storage=storage,
        support=support,
        control_plane=control_plane,
        processor="" if row.text("processor", empty=True) == "" else row.formed("processor", COMPANY),
        pinned=row.flag("pinned"),
        trains_by_default=trains if isinstance(trains, bool) else None,
        max_level=row.choice("max_level", (CLOSED, *LEVELS), CLOSED),
        basis=_basis(row),
        sub_processors=row.texts("sub_processors", COMPANY),
        retention_days=None if retention == UNKNOWN else row.whole("retention_days", MAX_DAYS, 0),
        uncovered_surfaces=row.texts("uncovered_surfaces", WORD),
        contracting_entity=row.text("contracting_entity", "", empty=True),
        weights_from=row.territory("weights_from", "code", (UNKNOWN, OPERATOR), needed=False),
        hosts=row.texts("hosts", HOST),
        observed_field=row.text("observed_field", "", empty=True),
        price_permille=row.whole("price_permille", MAX_PERMILLE, 1000),
    )
    _check_target(row, target)
    return target


def _check_target(row: Fields, target: TargetFact) -> None:
    if target.pinned and not {ANYWHERE, UNKNOWN}.isdisjoint(target.processing):
        raise _contradiction(
            row, f"`pinned = true` contradicts `{'places' if 'places' in row.values else 'processing'}"
            f" = {list(target.processing)}`; got/expected: a place that isn't fixed/the fixed places, by name",
            "name the places that are promised, or set `pinned = false`.",
        )  # fmt: skip
    if target.covers_many and (target.kind not in GLOB_KINDS or target.name[-2:-1] not in (":", "/")):
        raise _contradiction(
            row, f"field `name`: got/expected: {target.name!r}/a whole name; only {sorted(GLOB_KINDS)} may end in `*`,"
            " and only after `:` or `/`",
            "write one row per name.",
        )  # fmt: skip
    if not target.processor and target.sub_processors:
        raise _contradiction(
            row, "`sub_processors` without a `processor`; got/expected: what the operator runs itself/a processor's",
            "name the processor, or leave `sub_processors` out.",
        )  # fmt: skip


def _opening(row: Fields) -> Opening:
    return Opening(
        row.choice("kind", TARGET_KINDS), row.formed("name", NAMES), row.choice("max_level", LEVELS), _basis(row)
    )


def _regime(row: Fields) -> Regime:
    return Regime(
        name=row.formed("name", NAME),
        title=row.text("title"),
        classes=row.texts("classes", CLASS, needed=True),
        origins=row.territory("origins", "code zone", (ANYWHERE,)),
        home=row.territory("home", "code zone"),
        basis=_basis(row),
    )


def _adequacy(row: Fields) -> Adequacy:
    sectors = row.texts("sectors")
    if not set(sectors) <= set(SECTORS):
        raise row.wrong("sectors", list(sectors), f"some of {', '.join(SECTORS)}, or nothing for all")
    return Adequacy(
        name=row.formed("name", NAME),
        regime=row.formed("regime", NAME),
        exporters=row.territory("exporters", "code zone", (ANYWHERE,)),
        importers=row.territory("importers", "code zone"),
        instrument=row.text("instrument"),
        basis=_basis(row),
        sectors=sectors,
        certified=row.texts("certified", WORD),
        except_classes=row.texts("except_classes", CLASS),
    )


def _mechanism(row: Fields) -> Mechanism:
    found = Mechanism(
        name=row.formed("name", NAME),
        kind=row.choice("kind", MECHANISMS),
        regime=row.formed("regime", NAME),
        processor=row.formed("processor", COMPANY),
        importers=row.territory("importers", "code zone"),
        basis=_basis(row),
        module=row.text("module", "", empty=True),
        assessment=row.text("assessment", "", empty=True),
        assessed_on=row.day("assessed_on"),
        assessed_by=row.text("assessed_by", "", empty=True),
    )
    if bool(found.assessment) != bool(found.assessed_on):
        raise _contradiction(
            row, "`assessment` and `assessed_on` belong together; got/expected: one of them/both or neither",
            "name the assessment and the day on which it was made.",
        )  # fmt: skip
    return found


def _law(row: Fields) -> Law:
    return Law(
        name=row.formed("name", NAME),
        regime=row.formed("regime", NAME, ""),
        kind=row.choice("kind", LAW_KINDS),
        title=row.text("title"),
        clause=row.text("clause"),
        basis=_basis(row),
    )


_READERS: Mapping[str, Callable[[Fields], Row]] = {
    "jurisdiction": _jurisdiction, "zone": _zone, "place": read_place, "processor": _processor,
    "certification": _certification, "target": read_target, "opening": _opening, "regime": _regime,
    "adequacy": _adequacy, "mechanism": _mechanism, "law": _law,
}  # fmt: skip
_BASIS = frozenset(each.name for each in fields(Basis))
_KNOWN: Mapping[str, frozenset[str]] = {
    table: (frozenset(each.name for each in fields(kind)) - {"basis"}) | _BASIS
    | (frozenset({"places"}) if table == "target" else frozenset())
    for table, kind in TABLES.items()
}  # fmt: skip
