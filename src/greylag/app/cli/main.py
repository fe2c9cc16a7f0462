"""``greylag``: the commands by noun and verb. This module and its siblings import only what help needs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from greylag import __version__
from greylag.app.cli import evidence, handing, ledger, people, release, repo, tasks
from greylag.app.cli.atlas import export
from greylag.app.cli.atlas import map as data_map
from greylag.app.cli.chat import slack
from greylag.app.cli.context import HomeOption, set_home
from greylag.app.cli.law import facts, policy, signoff, whatif
from greylag.app.client.console import Json, report, say
from greylag.domain.errors import GreylagError

app = typer.Typer(
    name="greylag", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False,
    help="Asked in chat, done where the data may be; decided, recorded and shown.",
)  # fmt: skip
app.add_typer(repo.app, name="repo", help="Repositories: add, list, change.")
app.add_typer(tasks.app, name="task", help="Tasks: list, show, watch, reply, stop, take over, hand back.")
app.add_typer(release.app, name="release", help="What is live, and the way back.")
app.add_typer(ledger.app, name="ledger", help="The tamper-evident record of every decision.")
app.add_typer(evidence.app, name="evidence", help="The signed evidence of a task.")
app.add_typer(signoff.app, name="signoff", help="A person's yes to flows that a rule lets through only so.")
app.add_typer(
    facts.app, name="facts", help="What is known of law, places, companies and targets, and how sure that is."
)
app.add_typer(data_map.app, name="map", help="Where data is, who can read it, how it got there.")
app.add_typer(export.app, name="export", help="Registers, event logs and statements for others.")
app.add_typer(whatif.app, name="whatif", help="Drills: what recorded decisions would be in another world.")
app.add_typer(policy.app, name="policy", help="Which rules decide, whether they hold, and why a decision is as it is.")
app.add_typer(people.app, name="person", help="Who may use the platform.")
tasks.app.command("checkout")(handing.checkout)
tasks.app.command("handback")(handing.handback)
app.add_typer(slack.app, name="slack", help="The Slack app of this platform.")
app.command("ask")(tasks.ask)
app.command("approve")(tasks.approve)
app.command("reject")(tasks.reject)


def _version(wanted: bool) -> None:
    if wanted:
        say(f"greylag {__version__}")
        raise typer.Exit


@app.callback()
def root(
    home: HomeOption = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Take the options that every command shares."""
    set_home(home)


@app.command()
def up(
    home: HomeOption = None,
    port: Annotated[int | None, typer.Option(help="Listen here instead of the port in the settings.")] = None,
    with_example: Annotated[bool, typer.Option(help="Bring the example repository and its scripted model.")] = False,
) -> None:
    """Run the platform here until you stop it."""
    from greylag.app.cli.serving import run_platform  # noqa: PLC0415 - keeps `--help` fast

    set_home(home)
    run_platform(port, with_example)


@app.command()
def doctor(
    chat: Annotated[str, typer.Option(help="Try this chat of the settings instead: `slack` or `matrix`.")] = "",
    room: Annotated[str, typer.Option(help="The id of the room where some messages are said for that.")] = "",
    as_json: Json = False,
) -> None:
    """Try every part on this machine by its conformance suite, and say the remedy for what fails.

    Chats are tried only where `--chat` and `--room` ask for it, as people may read what is said there.
    """
    from greylag.app.cli.checkup import run_chat_doctor, run_doctor  # noqa: PLC0415 - keeps `--help` fast

    raise typer.Exit(run_chat_doctor(chat, room, as_json) if chat or room else run_doctor(as_json))


@app.command()
def demo(
    feature: Annotated[str, typer.Option(help="about-this-song, prompted-playlists or page-match.")] = "",
    real: Annotated[
        bool, typer.Option("--real", help="A real package from the registry, with an old bug of it.")
    ] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Keep everything in this folder instead of a temporary one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the main job end to end on this machine: no account, no key, a scripted model (with `--real`: none)."""
    from greylag.app.demo.run import run_demo  # noqa: PLC0415 - keeps `--help` fast

    raise typer.Exit(run_demo(feature, real, keep, as_json))


@app.command("fake-slack")
def fake_slack(
    port: Annotated[int, typer.Option(help="Listen here; 0 takes a free port.")] = 7420,
    people: Annotated[str, typer.Option(help="Who is there, by commas.")] = "ada,grace",
    channels: Annotated[str, typer.Option(help="The channels, by commas.")] = "general",
    state: Annotated[
        Path | None, typer.Option(help="Keep everything in this file, and begin with what it has.")
    ] = None,
    request_url: Annotated[
        str, typer.Option(help="Tell the app by signed HTTP requests to this URL, not by Socket Mode.")
    ] = "",
    manifest: Annotated[
        Path | None, typer.Option(help="Give the app the scopes and events of this manifest (JSON) only.")
    ] = None,
    limits: Annotated[bool, typer.Option(help="Keep Slack's rate limits.")] = False,
) -> None:
    """Run a stand-in for Slack on this machine: no account; type and click in the browser."""
    from greylag.app.cli.chat.fake_slack import run_fake_slack  # noqa: PLC0415 - keeps `--help` fast

    run_fake_slack(port, (people, channels), state, request_url, manifest, limits)


def run() -> None:
    """Run the command line; every expected error is one message with a code and the next step."""
    try:
        app()
    except GreylagError as error:
        sys.exit(report(error, "--json" in sys.argv))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
