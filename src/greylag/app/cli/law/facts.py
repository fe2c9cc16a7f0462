"""``greylag facts …``."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greylag.app.cli.context import chosen_home
from greylag.app.client.console import Json, emit, note, table
from greylag.domain.errors import RequestRefused

if TYPE_CHECKING:
    from greylag.app.settings import Settings
    from greylag.governance.facts import FactBase, FactBook, Row

app = typer.Typer(no_args_is_help=True)
KindArgument = Annotated[str, typer.Argument(metavar="KIND", help="endpoint, host, chat, forge, store, exporter …")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The target's name, as `facts show` lists it.")]
BecauseOption = Annotated[str, typer.Option("--because", metavar="TEXT", help="Why, in one line; kept with the row.")]

#: What a certainty means, in words.
CERTAIN = {
    "A": "official text or the vendor's own documents", "B": "several secondary sources", "C": "one secondary source",
    "K": "unchecked", "M": "measured", "O": "the operator's own word",
}  # fmt: skip


@app.command()
def lint(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Fact files; without them, all that this install uses.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check fact files, alone and beside everything else that is known here; exit 1 where something must be mended."""
    from greylag.app.install.law.factcheck import check_files  # noqa: PLC0415 - keeps `--help` fast

    settings, home = _settings()
    checked = check_files(settings, home, files or [], _today())
    found = [
        {
            "severity": each.finding.severity, "code": each.finding.code, "file": each.file, "row": each.finding.row,
            "field": each.finding.field, "message": each.finding.message, "remedy": each.finding.remedy,
        }
        for each in checked.findings
    ]  # fmt: skip
    emit(found, as_json, lambda _: _told(found, f"{checked.rows} rows in {checked.files} files"))
    if checked.errors:
        raise typer.Exit(1)


@app.command()
def stale(as_json: Json = False) -> None:
    """List the rows that count today and are past their review date, the longest overdue first."""
    from greylag.governance.facts import stale as overdue  # noqa: PLC0415 - keeps `--help` fast

    today = _today()
    found = [
        {
            "row": row.row, "review_by": str(row.basis.review_by), "certainty": row.basis.certainty,
            "source": row.basis.source,
            "days_overdue": (today - (row.basis.review_by or today)).days,
        }
        for row in overdue(_book(), today)
    ]  # fmt: skip
    lines = [(str(each["row"]), str(each["review_by"]), f"{each['days_overdue']} days") for each in found]
    emit(found, as_json, lambda _: table(lines, ("row", "review by", "overdue")))


@app.command()
def show(
    row: Annotated[
        str, typer.Argument(metavar="ROW", help="A row's name (`endpoint/anthropic`), or the beginning of some.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show one row with all its versions, or list rows: what is said, on what basis, how sure, and since when."""
    book, today = _book(), _today()
    base = book.as_of(today, today)
    if book.versions(row):
        document = _whole(book, base, row)
        emit(document, as_json, _page)
        return
    names = [name for name in book.names() if name.startswith(row)]
    if not names:
        raise RequestRefused(
            "GL-CLI-020", f"no row's name begins with {row[:200]!r}.", "list them all: `greylag facts show`."
        )
    found = [_brief(book, base, name) for name in names]
    lines = [(e["row"], e["status"], e["certainty_in_words"], e["review_by"] or "-") for e in found]
    emit(found, as_json, lambda _: table(lines, ("row", "today", "certainty", "review by")))


@app.command("open")
def open_command(
    kind: KindArgument,
    name: NameArgument,
    level: Annotated[
        str, typer.Option("--level", help="The highest level: public, internal, confidential, restricted.")
    ],
    because: BecauseOption,
    as_json: Json = False,
) -> None:
    """Let one target have data up to a level; packs may still forbid it. Only who owns the home may do this."""
    from greylag.app.install.law.openings import open_target  # noqa: PLC0415 - keeps `--help` fast
    from greylag.governance.facts import Basis, Opening  # noqa: PLC0415 - keeps `--help` fast

    _, home = _settings()
    book, today = _book(), _today()
    basis = Basis("`greylag facts open`", today, "in_force", "O", note=because)
    asked = Opening(kind, name, level, basis)
    target = open_target(home, book, asked)
    base = book.replaced(asked).as_of(today, today)
    document = {"row": target.row, "max_level": level, "before": target.max_level, **_judged(base, target.row)}
    emit(
        document, as_json,
        lambda _: f"`{target.row}` may have data up to `{level}`; a running platform takes it within"
        f" seconds\n{_lines(_judged(base, target.row))}",
    )  # fmt: skip
    if document["certainty"] == "K":
        note(f"what is known of `{target.row}` is unchecked or stale: read `greylag facts show {target.row}` first.")


@app.command()
def close(
    kind: KindArgument, name: NameArgument, because: BecauseOption = "no longer wanted", as_json: Json = False
) -> None:
    """Take back what was opened with `greylag facts open`; the record of it stays."""
    from greylag.app.install.law.openings import close_target  # noqa: PLC0415 - keeps `--help` fast
    from greylag.governance.facts import Basis  # noqa: PLC0415 - keeps `--help` fast

    _, home = _settings()
    basis = Basis("`greylag facts close`", _today(), "withdrawn", "O", note=because)
    found = close_target(home, _book(), kind, name, basis)
    document = {"row": f"{kind}/{name}", "max_level": "closed", "before": found.max_level}
    emit(document, as_json, lambda _: f"`{kind}/{name}` is closed; a running platform takes it within seconds")


@app.command()
def confirm(
    row: Annotated[str, typer.Argument(help="Its name, as `greylag facts show` lists it: place/aws:operations.")],
    source: Annotated[str, typer.Option(help="What it was checked against: a document and its day.")],
    months: Annotated[int, typer.Option(min=1, max=24, help="When somebody looks again.")] = 6,
    as_json: Json = False,
) -> None:
    """Say that a fact was checked here: it counts as the operator's word, from today on."""
    from datetime import timedelta  # noqa: PLC0415 - keeps `--help` fast

    from greylag.app.install.law.confirming import confirm_row  # noqa: PLC0415 - keeps `--help` fast

    _, home = _settings()
    today = _today()
    review_by = today + timedelta(days=30 * months)
    before = confirm_row(home, _book(), row, source=source, today=today, review_by=review_by)
    document = {"row": row, "before": before.basis.certainty, "certainty": "O", "review_by": str(review_by)}
    emit(
        document, as_json,
        lambda _: f"`{row}`: {CERTAIN[before.basis.certainty]} until now, the operator's own word from today on;"
        f" to be looked at again by {review_by}",
    )  # fmt: skip


def _settings() -> "tuple[Settings, Path]":
    from greylag.app.settings import home_folder, load_settings  # noqa: PLC0415 - keeps `--help` fast

    home = home_folder(chosen_home())
    return load_settings(home), home


def _today() -> date:
    from greylag.app.install.clock import SystemClock  # noqa: PLC0415 - keeps `--help` fast

    return SystemClock().now().date()


def _book() -> "FactBook":
    from greylag.app.install.law.lawbook import read_book  # noqa: PLC0415 - keeps `--help` fast

    settings, home = _settings()
    return read_book(settings, home, (), _today())


def _told(found: list[dict[str, str]], counted: str) -> str:
    lines = []
    for each in found:
        lines.append(f"{each['severity']} {each['code']} {each['file']}{': ' if each['file'] else ''}{each['message']}")
        lines.append(f"  next: {each['remedy']}")
    errors = sum(each["severity"] == "error" for each in found)
    return "\n".join([*lines, f"{counted}: {errors} to mend, {len(found) - errors} to look at"])


def _brief(book: "FactBook", base: "FactBase", name: str) -> dict[str, str]:
    counts = base.row(name)
    row = counts or book.versions(name)[0]
    return {
        "row": name,
        "status": row.basis.status if counts else f"decides nothing ({row.basis.status})",
        "certainty": row.basis.certainty,
        "certainty_in_words": CERTAIN[row.basis.certainty],
        "review_by": str(row.basis.review_by or ""),
    }


def _whole(book: "FactBook", base: "FactBase", name: str) -> dict[str, Any]:
    """Return everything there is about one row."""
    from greylag.governance.facts import row_document  # noqa: PLC0415 - keeps `--help` fast

    counts = base.row(name)
    versions = [
        {
            "counts_today": version == counts,
            "certainty_in_words": CERTAIN[version.basis.certainty],
            **row_document(version),
        }
        for version in book.versions(name)
    ]
    return {"row": name, "today": _judged(base, name), "versions": versions}


def _judged(base: "FactBase", name: str) -> dict[str, Any]:
    """Return what is worked out of a row today: of a target its reach and control, of a zone its members."""
    from greylag.governance.facts import TargetFact, Zone  # noqa: PLC0415 - keeps `--help` fast

    row: Row | None = base.row(name)
    if isinstance(row, Zone):
        return {"members": sorted(base.zone(row.name) or ())}
    target = base.target(row.kind, row.name) if isinstance(row, TargetFact) and not row.covers_many else None
    if target is None:
        return {}
    reach = base.reach(target)
    return {
        "open_up_to": target.max_level,
        "residency": sorted(reach.residency),
        "reach": sorted(reach.everywhere),
        "control": sorted(base.control(target)),
        "pinned": target.pinned,
        "trains_by_default": "unknown" if target.trains_by_default is None else target.trains_by_default,
        "certainty": base.certainty(target),
        "stale": base.stale(target),
        "rests_on": [each.row for each in base.rows_behind(target)],
    }


def _page(document: dict[str, Any]) -> str:
    parts = [document["row"]]
    if document["today"]:
        parts += ["", "  worked out for today:", _lines(document["today"])]
    for number, version in enumerate(document["versions"], start=1):
        mark = "counts today" if version["counts_today"] else "does not count today"
        certain = f"{version['certainty']} ({version['certainty_in_words']})"
        shown = {key: value for key, value in version.items() if key not in ("counts_today", "certainty_in_words")}
        parts += ["", f"  version {number}, {mark}:", _lines({**shown, "certainty": certain})]
    return "\n".join(parts)


def _lines(values: dict[str, Any]) -> str:
    return "\n".join(f"    {name}: {_value(value)}" for name, value in values.items())


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_value(each) for each in value) or "none"
    if isinstance(value, dict):
        return " ".join(f"{_value(each)}" for each in value.values())
    return str(value).lower() if isinstance(value, bool) else str(value)
