"""The home folder: what lies where, and who may read it."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from greylag.domain.errors import OperatorError

_TOKEN = "operator.token"  # noqa: S105 - a file name
_TOKEN_CHARACTERS = 32


def prepare_home(home: Path) -> None:
    """Make ``home`` (mode 0700) and the operator's token (mode 0600) where they aren't there.

    Raises OperatorError ``GL-HOME-001`` where it can't be made, ``-002`` where others can read the token.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = home / _TOKEN
        if not path.exists():
            _make_token(path)
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


def _make_token(path: Path) -> None:
    """Make the token whole or not at all: one that a crash left empty would be anybody's."""
    part = path.with_suffix(f".{secrets.token_hex(8)}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"glo_{secrets.token_hex(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)
    finally:
        part.unlink()


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Serve ``home`` alone. Raises OperatorError ``GL-HOME-003`` where another live process serves it.

    Its forge, sandboxes and released services belong to one process; the kernel lets go of the lock when that dies.
    """
    path = home / "run" / "lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 20).decode("ascii", "replace").strip() or "unknown"
            raise OperatorError(
                "GL-HOME-003",
                f"another live process ({holder}) serves {home}.",
                "use that one, or end it first; a second worker needs a region and a home of its own.",
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def address_file(home: Path) -> Path:
    """Return the file that says where this home's platform answers."""
    return home / "run" / "server.json"


def read_operator_token(home: Path) -> str:
    """Return the operator's token. Raises OperatorError ``GL-HOME-002`` where others can read it, or nobody."""
    path = home / _TOKEN
    try:
        if path.stat().st_mode & 0o077:
            raise OperatorError("GL-HOME-002", f"{path} can be read by others.", f"run: chmod 600 {path}")
        token = path.read_text().strip()
    except OSError as error:
        raise OperatorError(
            "GL-HOME-002", f"{path} can't be read: {error.strerror}.", "run this as the user who owns the home folder."
        ) from error
    if len(token) < _TOKEN_CHARACTERS:
        raise OperatorError("GL-HOME-002", f"{path} holds no token.", f"remove it, a new one is then made: rm {path}")
    return token
