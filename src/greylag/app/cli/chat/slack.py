"""``greylag slack …``."""

from typing import Annotated

import typer

from greylag.app.client.console import note, say

app = typer.Typer(no_args_is_help=True)


@app.callback()
def slack() -> None:
    """Keep `manifest` a command of its own, though it is the only one yet."""


@app.command()
def manifest(
    name: Annotated[str, typer.Option(help="What the app and its bot are called in Slack.")] = "greylag",
    http: Annotated[
        str, typer.Option(metavar="URL", help="Take events at this public https address; without it, Socket Mode.")
    ] = "",
) -> None:
    """Print the app manifest (JSON) that installs the bot with exactly the scopes it uses."""
    from greylag.app.install.slack_app import SCOPES, manifest_text  # noqa: PLC0415 - keeps `--help` fast

    say(manifest_text(name, http))
    for scope, why in SCOPES.items():
        note(f"{scope}: {why}")
