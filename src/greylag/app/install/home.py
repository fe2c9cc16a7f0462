"""The home folder: what lies where, and who may read it."""

import os
import secrets
from pathlib import Path

from greylag.domain.errors import OperatorError

_TOKEN = "operator.token"  # noqa: S105 - a file name


def prepare_home(home: Path) -> None:
    """Make ``home`` (mode 0700) and the operator's token (mode 0600) where they aren't there.

    Raises OperatorError ``GL-HOME-001`` where it can't be made, ``-002`` where others can read the token.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = home / _TOKEN
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(f"glo_{secrets.token_hex(32)}\n")
    except FileExistsError:
        if home.is_dir():  # another process has made the token just now
            return
        raise OperatorError(
            "GL-HOME-001", f"{home} is not a folder.", "choose another with `--home` or `GREYLAG_HOME`."
        ) from None
    except OSError as error:
        raise OperatorError(
            "GL-HOME-001", f"{home} can't be used: {error.strerror}.", "choose another with `--home` or `GREYLAG_HOME`."
        ) from error


def address_file(home: Path) -> Path:
    """Return the file that says where this home's platform answers."""
    return home / "run" / "server.json"


def read_operator_token(home: Path) -> str:
    """Return the operator's token. Raises OperatorError ``GL-HOME-002`` where others can read it, or nobody."""
    path = home / _TOKEN
    try:
        if path.stat().st_mode & 0o077:
            raise OperatorError("GL-HOME-002", f"{path} can be read by others.", f"run: chmod 600 {path}")
        return path.read_text().strip()
    except OSError as error:
        raise OperatorError(
            "GL-HOME-002", f"{path} can't be read: {error.strerror}.", "run this as the user who owns the home folder."
        ) from error
