"""Secret files: made once, durable before they are used, readable by their owner alone."""

import os
import secrets
import stat
from pathlib import Path

from greylag.domain.errors import BackendError, OperatorError

_UNSAFE_MODE = 0o077


def secret_file(path: Path, size_bytes: int = 32) -> bytes:
    """Return the secret in ``path``, made of ``size_bytes`` random bytes at first use.

    Two processes that make it at once agree on one. Raises OperatorError ``GL-VAULT-004`` where the file is open to
    others, belongs to somebody else, is a link or has another size; BackendError ``GL-VAULT-006`` where the disk fails.
    """
    try:
        return _read(path, size_bytes)
    except FileNotFoundError:
        create_once(path, secrets.token_bytes(size_bytes))
    try:
        return _read(path, size_bytes)
    except FileNotFoundError:
        raise _unsafe(path, "it vanished while it was made") from None


def create_once(path: Path, content: bytes) -> bool:
    """Make ``path`` with ``content`` (mode 0600) unless it exists, durably; return whether it was made here.

    Nobody ever sees it half written. Raises BackendError ``GL-VAULT-006`` where the disk fails.
    """
    draft = _draft(path, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise disk_failed(path, error) from error
    finally:
        draft.unlink(missing_ok=True)
        sync_folder(path.parent)
    return True


def replace_file(path: Path, content: bytes) -> None:
    """Put ``content`` (mode 0600) in the place of ``path``, durably and in one step. Raises as `create_once`."""
    draft = _draft(path, content)
    try:
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise disk_failed(path, error) from error
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable. Raises BackendError ``GL-VAULT-006`` where the disk fails."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise disk_failed(folder, error) from error


def disk_failed(path: Path, error: Exception) -> BackendError:
    """Return the error for a failing disk."""
    what = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
    return BackendError(
        "GL-VAULT-006",
        f"the vault could not use {str(path)!r} ({what}).",
        "check that the disk has room, is mounted and may be written by this user, then try again.",
        transient=True,
    )


def _draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise disk_failed(path, error) from error
    return draft


def _read(path: Path, size_bytes: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unsafe(path, error.strerror or "it can't be opened") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _unsafe(path, "it is not a regular file")
        if stat.S_IMODE(found.st_mode) & _UNSAFE_MODE:
            raise _unsafe(path, f"its mode is {stat.S_IMODE(found.st_mode):04o}, expected 0600")
        if found.st_uid != os.geteuid():
            raise _unsafe(path, f"it belongs to user {found.st_uid}, expected {os.geteuid()}")
        if found.st_size != size_bytes:
            raise _unsafe(path, f"it has {found.st_size} bytes, expected {size_bytes}")
        return os.read(descriptor, size_bytes)
    finally:
        os.close(descriptor)


def _unsafe(path: Path, why: str) -> OperatorError:
    return OperatorError(
        "GL-VAULT-004",
        f"the secret file {str(path)!r} can't be trusted: {why}.",
        "find out who changed it; then `chmod 600` it and give it to the user that runs Greylag.",
    )
