"""Confirming: somebody here has checked a fact against a source, so that it counts as checked from today on."""

from dataclasses import replace
from datetime import date
from pathlib import Path

from greylag.app.install.law.stated import OwnFile, keep_rows
from greylag.domain.errors import RequestRefused
from greylag.governance.facts import FactBook, Opening, Row

CONFIRMED = "confirmed.toml"
_FILE = OwnFile(
    CONFIRMED,
    """\
# Facts that somebody here has checked against a source, written by `greylag facts confirm`. Each stands with all its
# earlier versions, and in place of the shipped row of the same name: look at it again when a new release ships another.
""",
    Row.__args__,
)


def confirm_row(home: Path, book: FactBook, name: str, *, source: str, today: date, review_by: date) -> Row:
    """Write a version of row ``name`` that counts as checked from ``today`` on; return the one that counted until now.

    Raises RequestRefused ``GL-CONFIRM-001`` for a row that isn't there or decides nothing, ``-002`` for a source or
    a day that can't be; OperatorError as `greylag.app.install.law.stated.keep_rows`.
    """
    row = book.as_of(today, today).row(name)
    if row is None or isinstance(row, Opening):
        raise RequestRefused(
            "GL-CONFIRM-001", f"there is no row `{name[:200]}` that decides today and could be confirmed.",
            "list what there is: `greylag facts show`.",
        )  # fmt: skip
    if not 8 <= len(source.strip()) <= 500 or not source.isprintable() or review_by <= today:
        raise RequestRefused(
            "GL-CONFIRM-002", "a confirmation names its source in one line of 8 to 500 characters, and a later day on"
            f" which somebody looks again; got {source[:60]!r}, {review_by}.",
            "say which document of which day it was checked against.",
        )  # fmt: skip
    basis = replace(
        row.basis, source=source.strip(), retrieved=today, known_from=today, certainty="O", review_by=review_by
    )
    keep_rows(home, _FILE, *book.versions(name), replace(row, basis=basis))
    return row
