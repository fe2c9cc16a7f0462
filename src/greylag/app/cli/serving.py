"""Running the platform in the foreground."""

import asyncio
import signal
from pathlib import Path

from greylag.app.cli.context import chosen_home
from greylag.app.client.console import report, say
from greylag.app.client.session import Session
from greylag.app.example import NAME, PEOPLE, example_body, example_settings
from greylag.app.install.home import prepare_home
from greylag.app.server import bind, serve
from greylag.app.settings import Settings, home_folder, load_settings
from greylag.domain.errors import GreylagError


def run_platform(port: int | None, with_example: bool) -> None:
    """Serve until SIGINT or SIGTERM; what is under way goes on at the next start."""
    home = home_folder(chosen_home())
    prepare_home(home)
    settings = example_settings(load_settings(home)) if with_example else load_settings(home)
    asyncio.run(_run(settings, port, with_example))


async def _run(settings: Settings, port: int | None, with_example: bool) -> None:
    home = home_folder(chosen_home())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)

    def ready(url: str) -> None:
        say(f"greylag answers at {url} (home {home}, region {settings.region.name})")
        if with_example:
            loop.run_in_executor(None, _bring, home)

    await serve(settings, home, bind(settings, port), ready, stop)
    say("stopped; what was under way goes on at the next start")


def _bring(home: Path) -> None:
    try:
        say(bring_example(home))
    except GreylagError as error:
        report(error, as_json=False)


def bring_example(home: Path) -> str:
    """Add the example's people and repository to the platform that runs on ``home``; return what to try."""
    with Session(home, "grace") as session:
        tokens = {
            name: session.post("/people", {"name": name, "roles": roles})["token"] for name, roles in PEOPLE.items()
        }
        if not any(each["name"] == NAME for each in session.get("/repositories")):
            session.post("/repositories", example_body())
    signed = "\n".join(f"  {name}: {token}" for name, token in tokens.items())
    return f"the example repository `{NAME}` is there; sign in with a token:\n{signed}"
