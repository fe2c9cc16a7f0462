"""Checking fact files one by one and together, with every mistake told at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from greylag.app.install.law.lawbook import fact_files, fact_variables, read_toml, shipped_facts
from greylag.app.settings import Settings
from greylag.domain.errors import OperatorError
from greylag.governance.facts import FactBook, Finding, Row, lint, read_rows


@dataclass(frozen=True, slots=True)
class FileFinding:
    """One remark and the file it is about; ``file`` is empty for rows that come from elsewhere."""

    file: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found, errors first, in how many files with how many rows."""

    findings: tuple[FileFinding, ...]
    files: int
    rows: int

    @property
    def errors(self) -> int:
        """How many must be mended."""
        return sum(each.finding.severity == "error" for each in self.findings)


def check_files(settings: Settings, home: Path, files: Sequence[Path], today: date) -> Checked:
    """Check fact files beside everything else this install knows; without ``files``, all that it uses.

    Remarks about rows of other files than the named ones are left out. Raises nothing for what a file may hold.
    """
    around = [*shipped_facts(settings), *fact_files(home)]
    asked = {path.absolute() for path in files}
    findings: list[FileFinding] = []
    book = FactBook()
    homes: dict[str, str] = {}
    rows = 0
    for path in [*(path for path in around if path.absolute() not in asked), *files]:
        named = not files or path.absolute() in asked
        found, wrong = _read(path, settings)
        findings += wrong if named else []
        rows += len(found.rows) if named else 0
        book = book.overlaid_with(found)
        homes.update((row.row, str(path) if named else "") for row in found.rows)
    findings += [
        FileFinding(homes[finding.row], finding)
        for finding in lint(book, today)
        if homes.get(finding.row) or (not files and finding.row)
    ]
    ordered = sorted(findings, key=lambda each: (each.finding.severity, each.file, each.finding.row))
    return Checked(tuple(ordered), len(files) or len(around), rows)


def _read(path: Path, settings: Settings) -> tuple[FactBook, list[FileFinding]]:
    """Return the rows of one file that can be read, and what is wrong with the others."""
    rows: list[Row] = []
    wrong: list[OperatorError] = []
    book = FactBook()
    try:
        for each in read_rows(read_toml(path), fact_variables(settings)):
            if isinstance(each, OperatorError):
                wrong.append(each)
            else:
                rows.append(each)
        book = FactBook(tuple(rows))
    except OperatorError as error:
        wrong.append(error)
    return book, [
        FileFinding(str(path), Finding(error.code, "", "", error.message, error.remedy, "error")) for error in wrong
    ]
