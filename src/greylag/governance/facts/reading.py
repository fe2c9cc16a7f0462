"""Reading rows out of already decoded TOML, with errors that name row, field, got and expected."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime

from greylag.domain.errors import OperatorError
from greylag.domain.labels import LEVELS
from greylag.governance.facts.base import FactBase
from greylag.governance.facts.values import (
    ANYWHERE,
    CERTAINTIES,
    GLOB_KINDS,
    MAX_ITEMS,
    MAX_ROWS,
    MAX_TEXT,
    OPERATOR,
    STATUSES,
    TARGET_KINDS,
    UNKNOWN,
    Basis,
    Place,
    TargetFact,
    fact_error,
)


def own_place(name: str, basis: Basis, *, jurisdiction: str = UNKNOWN, zones: tuple[str, ...] = ()) -> Place:
    """Return the row of a region the operator runs. Raises OperatorError ``GL-FACTS-003`` for a bad value."""
    row = {"name": name, "jurisdiction": jurisdiction, "zones": list(zones), **_basis_fields(basis)}
    return _place(row, f"own place {name!r}")


def own_target(kind: str, name: str, region: str, basis: Basis, *, max_level: str = "restricted") -> TargetFact:
    """Return the row of something the operator runs itself in ``region``: pinned there, nobody else's law, no training.

    Raises OperatorError ``GL-FACTS-003`` or ``GL-FACTS-006`` for a bad value.
    """
    row = {
        "kind": kind, "name": name, "places": [region], "processor": "", "controlled_by": [OPERATOR], "pinned": True,
        "trains_by_default": False, "max_level": max_level, **_basis_fields(basis),
    }  # fmt: skip
    return _target(row, f"own target {name!r}")


def parse_facts(data: Mapping[str, object], variables: Mapping[str, str] | None = None) -> FactBase:
    """Return the fact base that decoded TOML ``data`` describes; ``{name}`` in its texts become ``variables``.

    Expects ``schema_version = 1`` and arrays of tables ``place`` and ``target``; a field that isn't known is refused.
    Raises OperatorError: ``GL-FACTS-001`` shape, ``GL-FACTS-002`` unknown field, ``GL-FACTS-003`` missing or wrong
    value, ``GL-FACTS-004`` two rows for one thing, ``GL-FACTS-006`` fields that contradict each other,
    ``GL-FACTS-007`` a ``{name}`` without a variable. Each names the row, the field and got/expected.
    """
    unknown = sorted(set(data) - {"schema_version", "place", "target"})
    if unknown:
        raise fact_error("001", f"a fact file has no table `{unknown[0]}` (expected: schema_version, place, target).")
    if data.get("schema_version") != 1 or isinstance(data.get("schema_version"), bool):
        raise fact_error("001", f"field `schema_version`: got/expected: {data.get('schema_version')!r}/1.")
    values = variables or {}
    places = [_place(_filled(row, values, label), label) for label, row in _rows(data.get("place", []), "place")]
    targets = [_target(_filled(row, values, label), label) for label, row in _rows(data.get("target", []), "target")]
    return FactBase(tuple(places), tuple(targets))


_PLACE_FIELDS = frozenset({"name", "jurisdiction", "zones"})
_TARGET_FIELDS = frozenset(
    {
        "kind", "name", "places", "processor", "controlled_by", "pinned", "trains_by_default", "max_level",
        "uncovered_surfaces",
    }
)  # fmt: skip
_BASIS_FIELDS = frozenset({"source", "retrieved", "status", "certainty"})
_OPTIONAL = frozenset({"zones", "uncovered_surfaces"})
_JURISDICTION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,4})?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*\*?")
_VARIABLE = re.compile(r"\{([^{}]*)\}")


def _rows(value: object, table: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise fact_error("001", f"`{table}` must be an array of tables (`[[{table}]]`), got {type(value).__name__}.")
    if len(value) > MAX_ROWS:
        raise fact_error("008", f"a fact base has at most {MAX_ROWS} rows, got {len(value)}.")
    for number, row in enumerate(value, start=1):
        name = row.get("name")
        yield f"{table} {number}" + (f" ({name[:80]!r})" if isinstance(name, str) else ""), row


def _filled(row: Mapping[str, object], variables: Mapping[str, str], label: str) -> dict[str, object]:
    return {name: _fill(value, variables, f"row {label}, field `{name}`") for name, value in row.items()}


def _fill(value: object, variables: Mapping[str, str], where: str) -> object:
    if isinstance(value, list):
        return [_fill(item, variables, where) for item in value]
    if not isinstance(value, str):
        return value

    def variable(found: re.Match[str]) -> str:
        if found[1] not in variables:
            known = sorted(variables) or "no variables here"
            raise fact_error("007", f"{where}: `{found[0]}` is no variable; got/expected: {found[1]!r}/{known}.")
        return variables[found[1]]

    return _VARIABLE.sub(variable, value)


def _place(row: Mapping[str, object], label: str) -> Place:
    _check_fields(row, _PLACE_FIELDS | _BASIS_FIELDS, label)
    name = _name(row, label)
    if name in (ANYWHERE, UNKNOWN, OPERATOR) or name.endswith("*"):
        raise _wrong(label, "name", row["name"], "a place's own name (not a reserved word, no `*`)")
    jurisdiction = _text(row, "jurisdiction", label)
    if jurisdiction != UNKNOWN and not _JURISDICTION.fullmatch(jurisdiction):
        raise _wrong(label, "jurisdiction", jurisdiction, "an ISO 3166 code such as `DE` or `CA-QC`, or `unknown`")
    return Place(name, jurisdiction, _texts(row, "zones", label), _basis(row, label))


def _target(row: Mapping[str, object], label: str) -> TargetFact:
    _check_fields(row, _TARGET_FIELDS | _BASIS_FIELDS, label)
    kind = _one_of(row, "kind", TARGET_KINDS, label)
    trains = row["trains_by_default"]
    if trains != UNKNOWN and not isinstance(trains, bool):
        raise _wrong(label, "trains_by_default", trains, "true, false or `unknown`")
    pinned = row["pinned"]
    if not isinstance(pinned, bool):
        raise _wrong(label, "pinned", pinned, "true or false")
    target = TargetFact(
        kind=kind,
        name=_name(row, label),
        places=_texts(row, "places", label) or (UNKNOWN,),
        processor=_text(row, "processor", label, empty=True),
        controlled_by=_texts(row, "controlled_by", label) or (UNKNOWN,),
        pinned=pinned,
        trains_by_default=trains if isinstance(trains, bool) else None,
        max_level=_one_of(row, "max_level", LEVELS, label),
        basis=_basis(row, label),
        uncovered_surfaces=_texts(row, "uncovered_surfaces", label),
    )
    _check_sense(target, label)
    return target


def _check_sense(target: TargetFact, label: str) -> None:
    for code in target.controlled_by:
        if code not in (OPERATOR, UNKNOWN) and not _JURISDICTION.fullmatch(code):
            raise _wrong(label, "controlled_by", code, "ISO 3166 codes, `operator` or `unknown`")
    if target.pinned and not {ANYWHERE, UNKNOWN}.isdisjoint(target.places):
        raise fact_error(
            "006",
            f"row {label}: `pinned = true` contradicts `places = {list(target.places)}`;"
            " got/expected: a place that isn't fixed/the fixed places, by name.",
            "name the places that are promised, or set `pinned = false`.",
        )
    if not target.covers_many:
        return
    if target.kind not in GLOB_KINDS or target.name[-2:-1] not in (":", "/"):
        raise fact_error(
            "006",
            f"row {label}, field `name`: got/expected: {target.name!r}/a whole name; only {sorted(GLOB_KINDS)} may end"
            " in `*`, and only after `:` or `/`.",
            "write one row per name.",
        )


def _basis(row: Mapping[str, object], label: str) -> Basis:
    retrieved = row["retrieved"]
    if not isinstance(retrieved, date) or isinstance(retrieved, datetime):
        raise _wrong(label, "retrieved", retrieved, "a date such as 2026-01-31, without quotes")
    return Basis(
        source=_text(row, "source", label),
        retrieved=retrieved,
        status=_one_of(row, "status", STATUSES, label),
        certainty=_one_of(row, "certainty", CERTAINTIES, label),
    )


def _basis_fields(basis: Basis) -> dict[str, object]:
    return {
        "source": basis.source, "retrieved": basis.retrieved, "status": basis.status, "certainty": basis.certainty,
    }  # fmt: skip


def _check_fields(row: Mapping[str, object], known: frozenset[str], label: str) -> None:
    for name in row:
        if name not in known:
            raise fact_error(
                "002", f"row {label}: field {str(name)[:80]!r} is not known (expected: {', '.join(sorted(known))})."
            )
    for name in sorted(known - _OPTIONAL - set(row)):
        raise fact_error(
            "003", f"row {label}, field `{name}`: got/expected: nothing/a value.", f"add `{name}` to the row."
        )


def _name(row: Mapping[str, object], label: str) -> str:
    name = _text(row, "name", label)
    if not _NAME.fullmatch(name):
        raise _wrong(label, "name", name, "letters, digits and `._:/@+-`, beginning with a letter or digit")
    return name


def _text(row: Mapping[str, object], name: str, label: str, *, empty: bool = False) -> str:
    value = row[name]
    if not isinstance(value, str) or len(value) > MAX_TEXT or not (value or empty):
        raise _wrong(label, name, value, f"a text of {0 if empty else 1} to {MAX_TEXT} characters")
    return value


def _texts(row: Mapping[str, object], name: str, label: str) -> tuple[str, ...]:
    value = row.get(name, [])
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise _wrong(label, name, value, f"a list of at most {MAX_ITEMS} texts")
    for item in value:
        if not isinstance(item, str) or not 0 < len(item) <= MAX_TEXT:
            raise _wrong(label, name, item, f"texts of 1 to {MAX_TEXT} characters")
    return tuple(sorted(set(value)))


def _one_of(row: Mapping[str, object], name: str, allowed: tuple[str, ...], label: str) -> str:
    value = row[name]
    if not isinstance(value, str) or value not in allowed:
        raise _wrong(label, name, value, f"one of {', '.join(allowed)}")
    return value


def _wrong(label: str, name: str, got: object, expected: str) -> OperatorError:
    shown = repr(got)
    return fact_error(
        "003", f"row {label}, field `{name}`: got/expected: {shown[:120]}{'…' * (len(shown) > 120)}/{expected}."
    )
