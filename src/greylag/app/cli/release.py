"""``greylag release …``."""

from typing import Annotated

import typer

from greylag.app.cli.context import connect
from greylag.app.client.console import As, Json, emit, table

app = typer.Typer(no_args_is_help=True)
RepositoryArgument = Annotated[str, typer.Argument(metavar="REPOSITORY", help="The repository's name here.")]


@app.command()
def live(repository: RepositoryArgument, as_person: As = "", as_json: Json = False) -> None:
    """Say what is live in each environment."""
    with connect(as_person) as session:
        found = session.get("/releases", repository=repository)
    rows = [
        (e["environment"], e["name"] or "nothing", e["digest"][:19], e["url"] or "not running", e["since"])
        for e in found
    ]
    emit(found, as_json, lambda _: table(rows, ("environment", "build", "digest", "answers at", "since")))


@app.command()
def rollback(
    repository: RepositoryArgument,
    environment: Annotated[str, typer.Argument(help="Which environment goes back.")],
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Bring an environment back to what ran there before."""
    with connect(as_person) as session:
        found = session.post("/releases/rollback", {"repository": repository, "environment": environment})
    emit(found, as_json, lambda each: f"{each['environment']} runs {each['name']} again ({each['digest'][:19]}…)")
