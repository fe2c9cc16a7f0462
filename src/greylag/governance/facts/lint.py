"""What somebody who looks after the facts should know: what is wrong, what is stale, what rests on nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from greylag.governance.facts.base import FactBase, is_stale
from greylag.governance.facts.book import FactBook
from greylag.governance.facts.references import problems
from greylag.governance.facts.values import CLOSED, Adequacy, Certification, Opening, Row, TargetFact

#: What need not be looked at again by itself: measured by the platform, or the operator's own word.
LASTING = ("M", "O")


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark about one row. ``severity`` is ``error`` (must be mended) or ``warning`` (should be looked at)."""

    code: str
    row: str
    field: str
    message: str
    remedy: str
    severity: str


def lint(book: FactBook, today: date) -> tuple[Finding, ...]:
    """Return everything worth a remark in ``book`` as of ``today``, errors first."""
    found = [
        Finding(each.error.code, each.row, each.field, each.error.message, each.error.remedy, "error")
        for each in problems(book)
    ]
    base = book.as_of(today, today)
    counting = set(base.rows)
    found += [finding for row in book.rows for finding in _of_row(row, today, counts=row in counting)]
    found += [finding for row in base.rows for finding in _of_rule(row, book, base)]
    return tuple(sorted(found, key=lambda each: (each.severity, each.row, each.code, each.field)))


def stale(book: FactBook, today: date) -> tuple[Row, ...]:
    """Return the rows that count today and are past their review date, the longest overdue first."""
    rows = [row for row in book.as_of(today, today).rows if is_stale(row.basis, today)]
    return tuple(sorted(rows, key=lambda row: (row.basis.review_by or today, row.row)))


def _of_row(row: Row, today: date, *, counts: bool) -> Iterator[Finding]:
    basis = row.basis
    if basis.certainty not in LASTING and basis.review_by is None:
        yield Finding(
            "GL-FACTS-011", row.row, "review_by",
            f"row `{row.row}`, field `review_by`: got/expected: nothing/a day, for certainty `{basis.certainty}`.",
            "say by which day somebody has to look at the source again.", "error",
        )  # fmt: skip
    if is_stale(basis, today) and counts:
        yield Finding(
            "GL-FACTS-012", row.row, "review_by",
            f"row `{row.row}` was to be reviewed by {basis.review_by}; since then it counts as unchecked (`K`).",
            "look at its source again, and add a version with the new `retrieved` and `review_by`.", "error",
        )  # fmt: skip
    for name, day in (("retrieved", basis.retrieved), ("known_from", basis.known_from)):
        if day is not None and day > today:
            yield Finding(
                "GL-FACTS-013", row.row, name,
                f"row `{row.row}`, field `{name}`: {day} is after today ({today}), so nobody knows it yet.",
                "correct the day, or this machine's clock.", "warning",
            )  # fmt: skip


def _of_rule(row: Row, book: FactBook, base: FactBase) -> Iterator[Finding]:
    """Yield remarks about a row that counts today, beside the others."""
    if isinstance(row, Adequacy):
        held = {each.scheme for each in book.rows if isinstance(each, Certification)}
        for scheme in sorted(set(row.certified) - held):
            yield Finding(
                "GL-FACTS-014", row.row, "certified",
                f"row `{row.row}`, field `certified`: no `[[certification]]` row speaks of scheme {scheme!r}.",
                "correct the scheme's name, or add who holds it; until then this adequacy covers nobody by it.",
                "warning",
            )  # fmt: skip
    if isinstance(row, Opening):
        target = next((each for each in base.targets if (each.kind, each.name) == (row.kind, row.name)), None)
        if target is None:
            yield Finding(
                "GL-FACTS-015", row.row, "name",
                f"row `{row.row}` opens `{row.kind}/{row.name}`, which is unknown today.",
                "bring the target's row into force, or take the opening back: `greylag facts close`.", "warning",
            )  # fmt: skip
    if isinstance(row, TargetFact) and row.processor:
        opened = base.target(row.kind, row.name)
        if opened is not None and opened.max_level != CLOSED and base.certainty(opened) == "K":
            yield Finding(
                "GL-FACTS-016", row.row, "certainty",
                f"`{row.row}` is open up to `{opened.max_level}`, and what is known of it is unchecked or stale.",
                "read the sources of the rows behind it (`greylag facts show`), or close it.", "warning",
            )  # fmt: skip
