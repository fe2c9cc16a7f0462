"""Reading a book out of already decoded TOML, with errors that name row, field, got and expected."""

from collections.abc import Iterator, Mapping

from greylag.domain.errors import OperatorError
from greylag.governance.facts.book import FactBook
from greylag.governance.facts.dumping import SCHEMA_VERSION, dump_rows
from greylag.governance.facts.fields import Fields, filled
from greylag.governance.facts.rows import TABLES, read_place, read_row, read_target
from greylag.governance.facts.values import MAX_ROWS, UNKNOWN, Basis, Place, Row, TargetFact, fact_error


def parse_facts(data: Mapping[str, object], variables: Mapping[str, str] | None = None) -> FactBook:
    """Return the book that decoded TOML ``data`` describes; ``{name}`` in its texts become ``variables``.

    Expects ``schema_version = 2`` and the arrays of tables of `TABLES` (and ``missing``, the names of rows that were
    taken away); a field that isn't known is refused. Days may be TOML's or ISO text. Names of other rows are not
    followed here, since these may stand in other files: see `require_sound`.

    Raises OperatorError: ``GL-FACTS-001`` shape, ``GL-FACTS-002`` unknown field, ``GL-FACTS-003`` missing or wrong
    value, ``GL-FACTS-004`` two versions of one row with the same days, ``GL-FACTS-006`` fields that contradict each
    other, ``GL-FACTS-007`` a ``{name}`` without a variable, ``GL-FACTS-008`` too many rows. Each names the row, the
    field and got/expected.
    """
    rows: list[Row] = []
    for each in read_rows(data, variables):
        if isinstance(each, OperatorError):
            raise each
        rows.append(each)
    return FactBook(tuple(rows), Fields("of the file", data).texts("missing"))


def read_rows(data: Mapping[str, object], variables: Mapping[str, str] | None = None) -> Iterator[Row | OperatorError]:
    """Yield each row, or what is wrong with it, so that all mistakes of a file can be told at once.

    Raises OperatorError ``GL-FACTS-001`` and ``GL-FACTS-008`` for the file as a whole.
    """
    _check_shape(data)
    values = variables or {}
    for table in TABLES:
        for label, row in _tables(data.get(table, []), table):
            try:
                spread = {name: filled(value, values, f"row {label}, field `{name}`") for name, value in row.items()}
                yield read_row(table, Fields(label, spread))
            except OperatorError as error:
                yield error


def dump_facts(book: FactBook) -> dict[str, object]:
    """Return plain JSON values from which `parse_facts` makes an equal book."""
    return dump_rows(book.rows, book.missing)


def own_place(name: str, basis: Basis, *, jurisdiction: str = UNKNOWN) -> Place:
    """Return the row of a region the operator runs. Raises OperatorError ``GL-FACTS-003`` for a bad value."""
    values = {"name": name, "jurisdictions": [jurisdiction], **_basis(basis)}
    return read_place(Fields(f"own place {name!r}", values))


def own_target(kind: str, name: str, region: str, basis: Basis, *, max_level: str = "restricted") -> TargetFact:
    """Return the row of something the operator runs itself: everything of it in ``region``, pinned there, no training.

    Raises OperatorError ``GL-FACTS-003`` or ``GL-FACTS-006`` for a bad value.
    """
    values = {
        "kind": kind, "name": name, "places": [region], "processor": "", "pinned": True, "trains_by_default": False,
        "max_level": max_level, **_basis(basis),
    }  # fmt: skip
    return read_target(Fields(f"own target {name!r}", values))


def _basis(basis: Basis) -> Mapping[str, object]:
    named = {name: getattr(basis, name) for name in Basis.__dataclass_fields__}
    return {name: value for name, value in named.items() if value is not None}


def _check_shape(data: Mapping[str, object]) -> None:
    version = data.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        old = "version 1 had `jurisdiction` in places and `controlled_by` in targets; " if version == 1 else ""
        raise fact_error(
            "001", f"field `schema_version`: got/expected: {version!r}/{SCHEMA_VERSION}.",
            f"write the rows in the form of version {SCHEMA_VERSION}: {old}see `policies/README.md`.",
        )  # fmt: skip
    unknown = sorted(str(name) for name in data if name not in TABLES and name not in ("schema_version", "missing"))
    if unknown:
        raise fact_error(
            "001", f"a fact file has no table `{unknown[0][:80]}` (expected: schema_version, {', '.join(TABLES)})."
        )


def _tables(value: object, table: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    if not isinstance(value, list) or not all(isinstance(row, Mapping) for row in value):
        raise fact_error("001", f"`{table}` must be an array of tables (`[[{table}]]`), got {type(value).__name__}.")
    if len(value) > MAX_ROWS:
        raise fact_error("008", f"a fact book has at most {MAX_ROWS} rows, got {len(value)}.")
    for number, row in enumerate(value, start=1):
        name = row.get("name", row.get("code", row.get("processor")))
        yield f"{table} {number}" + (f" ({name[:80]!r})" if isinstance(name, str) else ""), row
