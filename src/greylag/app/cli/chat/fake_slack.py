"""Running the stand-in for Slack in the foreground."""

import asyncio
import json
import signal
from dataclasses import replace
from pathlib import Path

from greylag.app.client.console import say
from greylag.app.fake_slack import Rules, Server, Workspace
from greylag.app.fake_slack.world.rules import rules_of_manifest
from greylag.domain.errors import OperatorError


def run_fake_slack(
    port: int, names: tuple[str, str], state: Path | None, request_url: str, manifest: Path | None, limits: bool
) -> None:
    """Serve until SIGINT or SIGTERM. ``names`` are people and channels, each by commas."""
    people, channels = ([each.strip() for each in listed.split(",") if each.strip()] for listed in names)
    rules = replace(rules_of_manifest(_manifest(manifest)) if manifest else Rules(), limits=limits)
    world = Workspace.load(state) if state is not None and state.exists() else None
    if not people and world is None:
        raise OperatorError("GL-FAKE-008", "nobody is there.", "name at least one of the `--people`.")
    workspace = Workspace(people, channels, rules=rules, world=world)
    asyncio.run(_run(Server(workspace, port, request_url=request_url, state=state)))


def _manifest(file: Path) -> dict[str, object]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OperatorError(
            "GL-FAKE-009", f"{str(file)!r} is no manifest in JSON: {error}.", "give the app's manifest as JSON."
        ) from error
    if not isinstance(found, dict):
        raise OperatorError("GL-FAKE-009", f"{str(file)!r} is no JSON object.", "give the app's manifest as JSON.")
    return found


async def _run(server: Server) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    await server.start()
    workspace = server.workspace
    say(f"the stand-in for Slack is at {server.url}: open it in a browser; nothing leaves this machine")
    say(f"  base URL of the Web API  {server.api}")
    say(f"  bot token                {workspace.bot_token}")
    say(f"  app-level token          {workspace.app_token}")
    say(f"  signing secret           {workspace.signing_secret}")
    await stop.wait()
    await server.stop()
    say("stopped" if server.state is None else f"stopped; everything is kept in {server.state}")
