"""``greylag person …``."""

from typing import Annotated

import typer

from greylag.app.cli.context import connect
from greylag.app.client.console import As, Json, emit, table

app = typer.Typer(no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A short name: lower case letters, digits, dot, dash.")],
    role: Annotated[
        list[str] | None,
        typer.Option(help="requester, reviewer, operator, auditor, data-owner, dpo, security; again for more."),
    ] = None,
    email: Annotated[str, typer.Option(help="For the commits made at their request.")] = "",
    as_json: Json = False,
) -> None:
    """Add somebody, or change roles and token; the token is shown once."""
    with connect() as session:
        made = session.post("/people", {"name": name, "roles": role or ["requester"], "email": email})
    emit(made, as_json, lambda each: f"{each['name']}: token {each['token']} (shown once; for the web thread and git)")


@app.command("list")
def list_people(as_person: As = "", as_json: Json = False) -> None:
    """List everybody and their roles."""
    with connect(as_person) as session:
        found = session.get("/people")
    rows = [(each["name"], ", ".join(each["roles"])) for each in found]
    emit(found, as_json, lambda _: table(rows, ("person", "roles")))
