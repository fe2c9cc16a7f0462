"""Where the files are that come with the program: policies and examples."""

from pathlib import Path

import greylag
from greylag.domain.errors import OperatorError


def shipped(*parts: str) -> Path:
    """Return a shipped folder or file: from the installed package, or from the checkout it runs in.

    Raises OperatorError ``GL-SHIP-001`` where it is in neither.
    """
    package = Path(greylag.__file__).parent
    for root in (package / "_shipped", package.parents[1]):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise OperatorError("GL-SHIP-001", f"{'/'.join(parts)} did not come with this program.", "install Greylag again.")


def checkout() -> Path | None:
    """Return the checkout this program runs in, None for an installed package."""
    root = Path(greylag.__file__).parents[2]
    return root if (root / "scripts" / "setup.py").exists() else None
