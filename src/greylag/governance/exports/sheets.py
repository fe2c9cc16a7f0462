"""Tables as plain values, as CSV that a spreadsheet can't be made to run, and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

#: A spreadsheet takes what begins so (also in full width) for a formula (CWE-1236); a quote in front makes it text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the name in the file, and what it says; ``filled`` is False for what the platform can't know."""

    name: str
    meaning: str
    filled: bool = True


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table with its columns, rows of as many texts, and notes that belong to it."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def sheet_csv(sheet: Sheet) -> str:
    """Return ``sheet`` as CSV (RFC 4180: CRLF, quoted throughout) without its notes.

    A cell that a spreadsheet could take for a formula gets a quote in front, harmless ones with a sign among them.
    """
    lines = [[column.name for column in sheet.columns], *sheet.rows]
    return "".join(",".join(_cell(cell) for cell in line) + "\r\n" for line in lines)


def sheet_document(sheet: Sheet) -> dict[str, object]:
    """Return ``sheet`` as plain JSON values: each row an object by column."""
    names = [column.name for column in sheet.columns]
    return {
        "name": sheet.name,
        "title": sheet.title,
        "columns": [
            {"name": column.name, "meaning": column.meaning, "filled": column.filled} for column in sheet.columns
        ],
        "rows": [dict(zip(names, row, strict=True)) for row in sheet.rows],
        "notes": list(sheet.notes),
    }


def listed(values: Sequence[str] | frozenset[str] | set[str], most: int = 40) -> str:
    """Return ``values`` as one cell, sorted; at most ``most`` of them and how many more."""
    ordered = sorted(values)
    more = f" (and {len(ordered) - most} more)" if len(ordered) > most else ""
    return "; ".join(ordered[:most]) + more


def _cell(value: str) -> str:
    # NUL ends a text in some readers; the rest of the control characters can only be mischief in a cell.
    clean = "".join(" " if ord(c) < 32 and c not in "\t\n\r" else c for c in value)
    guarded = f"'{clean}" if clean.lstrip(" ").startswith(_FORMULA) else clean
    return '"' + guarded.replace('"', '""') + '"'
