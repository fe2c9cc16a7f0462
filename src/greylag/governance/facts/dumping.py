"""Rows as plain JSON values, in the form that fact files have: one spelling for one row."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from datetime import date

from greylag.governance.canonical import canonical_json
from greylag.governance.facts.fields import escaped
from greylag.governance.facts.rows import TABLE_OF
from greylag.governance.facts.values import UNKNOWN, Basis, Control, Row

SCHEMA_VERSION = 2


def dump_rows(rows: Iterable[Row], missing: tuple[str, ...] = ()) -> dict[str, object]:
    """Return ``rows`` as the document that `parse_facts` reads: tables of plain JSON values, days as ISO text."""
    tables: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        tables.setdefault(TABLE_OF[type(row)], []).append(row_document(row))
    head = {"schema_version": SCHEMA_VERSION, **({"missing": list(missing)} if missing else {})}
    return {**head, **{table: tables[table] for table in TABLE_OF.values() if table in tables}}


def row_document(row: Row) -> dict[str, object]:
    """Return one row as plain JSON values; what is the same as the default is left out."""
    document: dict[str, object] = {}
    for each in fields(row):
        value = getattr(row, each.name)
        if isinstance(value, Basis):
            document |= _named(value)
        elif each.name == "trains_by_default" and value is None:
            document[each.name] = UNKNOWN
        elif value != each.default or each.default is MISSING:
            document[each.name] = _plain(value)
    return document


def row_bytes(row: Row) -> bytes:
    """Return the one spelling of a row, for digests. Raises ValueError for a lone surrogate."""
    return canonical_json({TABLE_OF[type(row)]: row_document(row)}, row.row[:80])


def _named(basis: Basis) -> Mapping[str, object]:
    return {
        each.name: _plain(value)
        for each in fields(basis)
        if (value := getattr(basis, each.name)) != each.default or each.default is MISSING
    }


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Control):
        return {"country": value.country, "basis": escaped(value.basis)}
    return escaped(value) if isinstance(value, str) else value
