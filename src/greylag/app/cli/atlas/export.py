"""``greylag export …``: registers, event logs and statements. Needs no running platform. Nothing is legal advice."""

from pathlib import Path
from typing import Annotated, Any

import typer

from greylag.app.cli.atlas.map import progress
from greylag.app.cli.context import chosen_home
from greylag.app.client.console import Json, emit
from greylag.domain.errors import RequestRefused

app = typer.Typer(no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", help="The new file (or folder, for several sheets) to write.")]
Form = Annotated[str, typer.Option("--format", help="csv or json.")]
Since = Annotated[str, typer.Option("--since", metavar="DAY", help="From this day on, such as 2026-01-31.")]
Until = Annotated[str, typer.Option("--until", metavar="DAY", help="Before this day.")]
About = Annotated[
    Path | None,
    typer.Option(
        "--about", help="A TOML file with what only you know: controller, contact, officer, representative, customers."
    ),
]


@app.command()
def ropa(
    out: Out, form: Form = "csv", since: Since = "", until: Until = "", about: About = None,
    processor: Annotated[bool, typer.Option("--processor", help="A processor's record (Art. 30(2)).")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Write the record of processing activities (GDPR Art. 30)."""
    _register("ropa-processor" if processor else "ropa", out, form, _order(since, until, about), as_json)


@app.command()
def transfers(
    out: Out, form: Form = "csv", since: Since = "", until: Until = "",
    repository: Annotated[str, typer.Option("--repository", help="Only this repository.")] = "",
    as_json: Json = False,
) -> None:  # fmt: skip
    """Write the register of transfers: what left the home of a body of law, and on which ground."""
    _register("transfers", out, form, _order(since, until, None, repository), as_json)


@app.command()
def subprocessors(out: Out, form: Form = "csv", since: Since = "", until: Until = "", as_json: Json = False) -> None:
    """Write the list of companies that data went to or may go to, and of those who work for them."""
    _register("subprocessors", out, form, _order(since, until), as_json)


@app.command()
def dora(out: Out, form: Form = "csv", since: Since = "", until: Until = "", as_json: Json = False) -> None:
    """Write rows for a register of information (DORA Art. 28(3)): what the platform knows of them."""
    _register("dora", out, form, _order(since, until), as_json)


@app.command("ai-act")
def ai_act(out: Out, since: Since = "", until: Until = "", about: About = None, as_json: Json = False) -> None:
    """Write the log of events (AI Act Art. 12) as JSON lines."""
    _log("ai-act", out, _order(since, until, about), as_json)


@app.command()
def openlineage(out: Out, since: Since = "", until: Until = "", as_json: Json = False) -> None:
    """Write OpenLineage run events with facets about place, company, transfer and decision, as JSON lines."""
    _log("openlineage", out, _order(since, until), as_json)


@app.command()
def ocsf(out: Out, since: Since = "", until: Until = "", as_json: Json = False) -> None:
    """Write OCSF events (API Activity) as JSON lines."""
    _log("ocsf", out, _order(since, until), as_json)


@app.command()
def statement(
    out: Out,
    repository: Annotated[str, typer.Option("--repository", help="For who answers for this repository.")] = "",
    person: Annotated[str, typer.Option("--person", metavar="WHO", help="For somebody: name, e-mail or mark.")] = "",
    about: About = None,
    as_json: Json = False,
) -> None:
    """Write a signed statement for a customer or a person: where, who, on which ground, what was refused."""
    from greylag.app.atlas.exporting import write_statement  # noqa: PLC0415 - keeps `--help` fast
    from greylag.app.atlas.reading import Wanted  # noqa: PLC0415 - keeps `--help` fast

    if bool(repository) == bool(person):
        raise RequestRefused(
            "GL-EXPORT-004", "a statement is for one repository or one person.", "give `--repository` or `--person`."
        )
    wanted = Wanted(repository, "", person)
    done = write_statement(chosen_home(), wanted, out, _order("", "", about), progress)
    emit(done, as_json, _told_statement)


def _register(name: str, out: Path, form: str, order: Any, as_json: bool) -> None:
    from greylag.app.atlas.exporting import write_register  # noqa: PLC0415 - keeps `--help` fast

    if form not in ("csv", "json"):
        raise RequestRefused("GL-EXPORT-004", f"there is no format {form[:20]!r}.", "give `csv` or `json`.")
    emit(write_register(chosen_home(), name, out, form, order, progress), as_json, _told)


def _log(name: str, out: Path, order: Any, as_json: bool) -> None:
    from greylag.app.atlas.exporting import write_log  # noqa: PLC0415 - keeps `--help` fast

    emit(write_log(chosen_home(), name, out, order, progress), as_json, _told)


def _order(since: str, until: str, about: Path | None = None, repository: str = "") -> Any:
    """Return the `greylag.app.atlas.exporting.Order`, a type that is imported only when a command runs."""
    from greylag.app.atlas.exporting import order_of  # noqa: PLC0415 - keeps `--help` fast

    return order_of(since, until, about, repository)


def _told(done: dict[str, Any]) -> str:
    counts = done["rows"] if "rows" in done else {"events": done["events"]}
    lines = [f"{done['written']}: " + ", ".join(f"{name} {count}" for name, count in counts.items())]
    return "\n".join([*lines, *(f"note: {note}" for note in done.get("notes", []))])


def _told_statement(done: dict[str, Any]) -> str:
    return (
        f"{done['written']}: for {done['for']}, {done['copies']} copies, signed\n"
        f"check it: greylag evidence verify {done['written']} --key {done['public_key']}"
    )
