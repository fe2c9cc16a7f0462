"""The account: where it is, and the folder that holds its token and keys."""

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from greylag.domain.errors import OperatorError

_FILE = "account.json"
_KEYS = "keys.db"
#: Matrix specification, appendix "User identifiers"; historical ones may hold more.
_USER = re.compile(r"@[a-z0-9._=/+-]{1,200}:([A-Za-z0-9.-]{1,200}(?::[0-9]{1,5})?)")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class MatrixAccount:
    """Who we are on which homeserver. ``invites`` ∈ known, nobody: whose invitations to rooms are taken.

    Raises OperatorError ``GL-MATRIX-002`` for a user id or an address that can't be, or that would send the password
    in clear over a network.
    """

    homeserver: str
    user: str
    password: str = field(default="", repr=False)
    invites: str = "known"

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.homeserver)
            host = parts.hostname or ""
        except ValueError:
            parts, host = urlsplit(""), ""
        if parts.scheme not in ("http", "https") or not host or parts.query or parts.username or parts.password:
            raise _wrong(f"`homeserver` is {self.homeserver!r}", "write its base URL, as `https://matrix.example.org`.")
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise _wrong(f"`homeserver` {self.homeserver!r} is not encrypted", "put TLS in front of it, use `https`.")
        if not _USER.fullmatch(self.user):
            raise _wrong(f"`user` is {self.user!r}", "write it as `@greylag:example.org`.")
        if self.invites not in ("known", "nobody"):
            raise _wrong(f"`invites` is {self.invites!r}", "write `known` or `nobody`.")

    @property
    def server_name(self) -> str:
        """The name of the server that keeps the account: what stands behind the colon."""
        return self.user.split(":", 1)[1]

    @property
    def source(self) -> str:
        """The chat's name, as in ``matrix:example.org``."""
        return f"matrix:{self.server_name}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What makes us the same device at each start. Stays in the folder, mode 0600, and in no log."""

    user: str
    device: str
    store_key: str = field(repr=False)
    token: str = field(default="", repr=False)


class Folder:
    """The store folder: readable by its owner only. Raises OperatorError ``GL-MATRIX-003`` where it can't be used."""

    def __init__(self, path: Path, user: str) -> None:
        self.path = path
        self._user = user

    def credentials(self) -> Credentials:
        """Return the device's credentials; a new device's where there is none, kept before they are used."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
            kept = self._read()
        except OSError as error:
            raise self._unusable(f"{error.strerror}") from error
        if kept is None:
            kept = Credentials(self._user, f"GREYLAG{secrets.token_hex(5).upper()}", secrets.token_urlsafe(32))
            self.keep(kept)
        if kept.user != self._user:
            raise self._unusable(f"it belongs to {kept.user!r}, not to {self._user!r}")
        return kept

    def keep(self, credentials: Credentials) -> None:
        """Write the credentials, durable when it returns."""
        scratch = self.path / f"{_FILE}.part"
        try:
            scratch.unlink(missing_ok=True)
            with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(asdict(credentials), file)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self.path / _FILE)
        except OSError as error:
            raise self._unusable(f"{error.strerror}") from error

    def signed_in(self, credentials: Credentials, token: str) -> Credentials:
        """Keep a new token and return the credentials with it."""
        renewed = replace(credentials, token=token)
        self.keep(renewed)
        return renewed

    def private_file(self, name: str = _KEYS) -> Path:
        """Return a file of the folder that exists, readable by its owner only."""
        path = self.path / name
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            path.chmod(0o600)
        except OSError as error:
            raise self._unusable(f"{error.strerror}") from error
        return path

    def _read(self) -> Credentials | None:
        path = self.path / _FILE
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return Credentials(**{name: str(found[name]) for name in ("user", "device", "store_key", "token")})
        except (ValueError, KeyError, TypeError) as error:
            raise self._unusable(f"`{_FILE}` in it can't be read") from error

    def _unusable(self, why: str) -> OperatorError:
        return OperatorError(
            "GL-MATRIX-003", f"the Matrix folder {self.path} can't be used: {why}.",
            "make it writable for Greylag, or move it away: then a new device signs in with the password.",
        )  # fmt: skip


def _wrong(what: str, remedy: str) -> OperatorError:
    return OperatorError("GL-MATRIX-002", f"{what} in `[chat.matrix]`.", remedy)
