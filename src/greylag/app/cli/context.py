"""Which home folder the command line works on, and opening a session on it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from greylag.app.client.session import Session

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The platform's folder (default: GREYLAG_HOME, else ~/.local/share/greylag)."),
]
_home: list[Path | None] = [None]


def set_home(home: Path | None) -> None:
    """Remember the home folder for this process, if one is given."""
    if home is not None:
        _home[0] = home


def chosen_home() -> Path | None:
    """Return the home folder given on the command line, if any."""
    return _home[0]


def connect(person: str = "") -> "Session":
    """Return a session as ``person``; heavy libraries are imported only now."""
    from greylag.app.client.session import Session  # noqa: PLC0415 - keeps `--help` fast

    return Session(chosen_home(), person)
