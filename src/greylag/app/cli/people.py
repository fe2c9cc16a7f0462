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


Chat = Annotated[str, typer.Option("--chat", help="The chat, as slack:T024BE7LD or matrix:example.org.")]
ChatId = Annotated[str, typer.Option("--id", help="The chat's own id of the account, as U061F7AUR.")]


@app.command()
def link(
    name: Annotated[str, typer.Argument(help="Who the chat account is here.")],
    chat: Chat,
    account: ChatId,
    as_json: Json = False,
) -> None:
    """Say who a chat account is, without a link: whoever it was before."""
    with connect() as session:
        made = session.post("/people/links", {"name": name, "chat": chat, "id": account})
    emit(made, as_json, lambda each: f"{each['id']} of {each['chat']} is {each['person']}")


@app.command()
def links(as_json: Json = False) -> None:
    """List who is known from which chat, and since when."""
    with connect() as session:
        found = session.get("/people/links")
    rows = [(each["person"], each["chat"], each["id"], each["via"], each["at"]) for each in found]
    emit(found, as_json, lambda _: table(rows, ("person", "chat", "id", "via", "since")))


@app.command()
def unlink(chat: Chat, account: ChatId, as_json: Json = False) -> None:
    """Forget who a chat account is; it can say again who it is, with a new link."""
    with connect() as session:
        gone = session.post("/people/links/remove", {"chat": chat, "id": account})
    emit(gone, as_json, lambda each: f"{each['id']} of {each['chat']} is no longer {each['person']}")
