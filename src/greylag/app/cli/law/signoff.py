"""``greylag signoff …``."""

from typing import Annotated

import typer

from greylag.app.cli.context import connect
from greylag.app.client.console import As, Json, emit, table

app = typer.Typer(no_args_is_help=True)


@app.command()
def give(  # noqa: PLR0913 - each is an option of the command
    target_kind: Annotated[str, typer.Argument(help="endpoint, chat, forge, host …")],
    target: Annotated[str, typer.Argument(help="Its name in the facts.")],
    role: Annotated[str, typer.Option(help="data-owner, dpo or security: one that you have.")],
    because: Annotated[str, typer.Option(help="Why; kept with it.")],
    repository: Annotated[str, typer.Option(help="Only for this repository.")] = "*",
    stage: Annotated[str, typer.Option(help="Only at this stage.")] = "*",
    days: Annotated[int, typer.Option(help="For how many days, at most 90.")] = 30,
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Say yes, in your role, to flows that a rule lets through only with such a yes."""
    body = {
        "role": role, "target_kind": target_kind, "target": target, "reason": because, "days": days,
        "repository": repository, "stage": stage,
    }  # fmt: skip
    with connect(as_person) as session:
        made = session.post("/sign-offs", body)
    emit(made, as_json, lambda each: f"{each['id']}: {each['role']} {each['by']} says yes until {each['until'][:10]}")


@app.command("list")
def list_sign_offs(as_person: As = "", as_json: Json = False) -> None:
    """List the sign-offs that were not taken back."""
    with connect(as_person) as session:
        found = session.get("/sign-offs")
    rows = [
        (each["id"], each["role"], each["by"], f"{each['target_kind']} {each['target']}", each["repository"],
         each["stage"], each["until"][:10])
        for each in found
    ]  # fmt: skip
    names = ("sign-off", "role", "by", "target", "repository", "stage", "until")
    emit(found, as_json, lambda _: table(rows, names))


@app.command()
def withdraw(
    sign_off: Annotated[str, typer.Argument(help="Its id.")], as_person: As = "", as_json: Json = False
) -> None:
    """Take a sign-off back."""
    with connect(as_person) as session:
        taken = session.post(f"/sign-offs/{sign_off}/withdraw", {})
    emit(taken, as_json, lambda each: f"{each['id']}: no longer counts")
