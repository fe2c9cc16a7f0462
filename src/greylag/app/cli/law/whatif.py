"""``greylag whatif …``: recorded decisions under another world. Needs no running platform, and changes nothing."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from greylag.app.cli.context import chosen_home
from greylag.app.client.console import Json, emit, note

app = typer.Typer(no_args_is_help=True)

Since = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only decisions asked on this day or later.")
]
OneRepository = Annotated[str, typer.Option("--repository", help="Only decisions about this repository.")]


@app.command()
def run(
    drill: Annotated[str, typer.Argument(metavar="DRILL", help="A drill file, or the name of a shipped drill.")],
    since: Since = None,
    repository: OneRepository = "",
    as_json: Json = False,
) -> None:
    """Ask every recorded decision, and what is live, again under a drill; first each as it was recorded."""
    from greylag.app.whatif.archive import Selection  # noqa: PLC0415 - keeps `--help` fast
    from greylag.app.whatif.running import run_drill  # noqa: PLC0415 - the same
    from greylag.app.whatif.telling import told_report  # noqa: PLC0415 - the same

    selection = Selection(since.date() if since else None, repository)
    emit(run_drill(chosen_home(), drill, selection, _progress()), as_json, told_report)


@app.command("list")
def list_drills(as_json: Json = False) -> None:
    """List the drills that come with the program."""
    from greylag.app.whatif.files import read_drill, shipped_drills  # noqa: PLC0415 - keeps `--help` fast
    from greylag.app.whatif.telling import told_drills  # noqa: PLC0415 - the same

    drills = [read_drill(str(file)) for file in shipped_drills()]
    found = [{"name": each.name, "status": each.status, "title": each.title, "note": each.note} for each in drills]
    emit(found, as_json, told_drills)


@app.command()
def matrix(
    drill: Annotated[str, typer.Option("--drill", help="Also show what changes under this drill.")] = "",
    since: Since = None,
    repository: OneRepository = "",
    as_json: Json = False,
) -> None:
    """Show what may go where as of today: every label in use towards every open target, stage by stage."""
    from greylag.app.whatif.archive import Selection  # noqa: PLC0415 - keeps `--help` fast
    from greylag.app.whatif.running import show_matrix  # noqa: PLC0415 - the same
    from greylag.app.whatif.telling import told_matrix  # noqa: PLC0415 - the same

    selection = Selection(since.date() if since else None, repository)
    emit(show_matrix(chosen_home(), drill, selection, _progress()), as_json, told_matrix)


@app.command()
def example(
    folder: Annotated[Path, typer.Argument(help="A new folder: the home of an install that is made up.")],
    as_json: Json = False,
) -> None:
    """Make an install with a history, to try drills on: made-up tasks, decided by the real law and a real ledger."""
    from greylag.app.whatif.example import make_example  # noqa: PLC0415 - keeps `--help` fast

    def told(document: dict[str, object]) -> str:
        return (
            f"{document['tasks']} tasks, {document['decisions']} decisions ({document['denied']} of them refusals) in"
            f" {document['folder']}\nnext: greylag --home {document['folder']} whatif run dpf-annulled"
        )

    emit(make_example(folder), as_json, told)


def _progress() -> Callable[[int, int], None]:
    """Return what says on standard error how far it has come, at most once a second and not before the first."""
    spoken = [time.monotonic()]

    def progress(read: int, of: int) -> None:
        now = time.monotonic()
        if now - spoken[0] >= 1.0:
            spoken[0] = now
            note(f"{read} of {of} ledger entries …")

    return progress
