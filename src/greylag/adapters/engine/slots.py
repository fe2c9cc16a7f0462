"""Worker slots: a name that one live process holds, by a lock that its death releases.

A lock answers the question a heartbeat can only guess at: whether the holder still lives. A stopped process is alive.
"""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
from sqlalchemy import make_url

from greylag.domain.errors import BackendError, OperatorError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PATIENCE_SECONDS = 1.0  # another worker may be probing this name for a moment
_PROBE_SECONDS = 0.05


class Slots(Protocol):
    """The slots of one engine database."""

    def hold(self, worker: str) -> None:
        """Take ``worker`` for this process's life. Raises OperatorError ``GL-ENGINE-001`` where it is taken."""
        ...

    def still_held(self) -> bool:
        """Return False only where another process has certainly taken the slot."""
        ...

    @contextmanager
    def probe(self, worker: str) -> Iterator[bool]:
        """Yield True where no process holds ``worker``, and keep everybody from taking it meanwhile."""
        ...

    def release(self) -> None:
        """Let go; not holding is fine."""
        ...


def check_name(worker: str) -> str:
    """Return ``worker``. Raises OperatorError ``GL-ENGINE-005`` for what is no slot name."""
    if not _NAME.fullmatch(worker):
        raise OperatorError(
            "GL-ENGINE-005",
            f"`worker` {worker!r} is no slot name.",
            "use up to 64 letters, digits, dots, dashes and underscores, such as `worker-1`; the same at each start.",
        )
    return worker


def _taken(worker: str, holder: str) -> OperatorError:
    return OperatorError(
        "GL-ENGINE-001",
        f"another live process{holder} works as `{worker}` on this engine database.",
        "stop that process, or give this one a worker name of its own.",
    )


class FileSlots:
    """Slots of an SQLite file: ``flock`` on one file a worker, in a folder beside the database."""

    def __init__(self, database: Path) -> None:
        self._folder = database.with_name(f"{database.name}.workers")
        self._descriptor: int | None = None

    def hold(self, worker: str) -> None:
        """As `Slots.hold`."""
        descriptor = self._open(worker)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _lock(descriptor):
            if time.monotonic() > deadline:
                holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
                os.close(descriptor)
                raise _taken(worker, f" (process {holder})" if holder.isdigit() else "")
            time.sleep(_PROBE_SECONDS)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def still_held(self) -> bool:
        """As `Slots.still_held`: the kernel keeps a file lock as long as this process lives."""
        return True

    @contextmanager
    def probe(self, worker: str) -> Iterator[bool]:
        """As `Slots.probe`."""
        descriptor = self._open(worker)
        try:
            yield _lock(descriptor)
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """As `Slots.release`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self, worker: str) -> int:
        # Names read back from the database need not be ours: the digest keeps any name inside the folder.
        name = worker if _NAME.fullmatch(worker) else hashlib.sha256(worker.encode()).hexdigest()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._folder / f"{name}.lock", flags, 0o600)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class DatabaseSlots:
    """Slots of a PostgreSQL schema: session advisory locks, which the server drops with the session."""

    def __init__(self, url: str, schema: str) -> None:
        parsed = make_url(url).set(drivername="postgresql")
        self._conninfo = parsed.render_as_string(hide_password=False)
        self._schema = schema
        self._worker = ""
        self._session: psycopg.Connection[tuple[object, ...]] | None = None

    def hold(self, worker: str) -> None:
        """As `Slots.hold`. Raises BackendError ``GL-ENGINE-003`` where the server can't be reached."""
        try:
            session = self._connect()
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while not self._try(session, worker):
                if time.monotonic() > deadline:
                    session.close()
                    raise _taken(worker, "")
                time.sleep(_PROBE_SECONDS)
        except psycopg.Error as error:
            raise _unreachable(error) from error
        self._worker, self._session = worker, session

    def still_held(self) -> bool:
        """As `Slots.still_held`: after a lost session the slot is taken again where nobody else has it."""
        if self._session is None:
            return True
        try:
            self._session.execute("SELECT 1")
        except psycopg.Error:
            self._session.close()
            return self._hold_again()
        return True

    def _hold_again(self) -> bool:
        try:
            session = self._connect()
            held = self._try(session, self._worker)
        except psycopg.Error:
            return True  # no server, so nobody can have taken it; the closed session brings us here again
        if held:
            self._session = session
        else:
            session.close()
        return held

    @contextmanager
    def probe(self, worker: str) -> Iterator[bool]:
        """As `Slots.probe`. Raises BackendError ``GL-ENGINE-003`` where the server can't be reached."""
        try:
            session = self._connect()
        except psycopg.Error as error:
            raise _unreachable(error) from error
        try:
            yield self._try(session, worker)
        except psycopg.Error as error:
            raise _unreachable(error) from error
        finally:
            session.close()

    def release(self) -> None:
        """As `Slots.release`."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        # The server must notice a worker whose machine is gone within half a minute, not in two hours.
        alive = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=4"
        return psycopg.connect(self._conninfo, autocommit=True, connect_timeout=10, options=alive)

    def _try(self, session: "psycopg.Connection[tuple[object, ...]]", worker: str) -> bool:
        digest = hashlib.sha256(f"greylag-engine/{self._schema}/{worker}".encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        row = session.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
        return row is not None and row[0] is True


def _unreachable(error: psycopg.Error) -> BackendError:
    return BackendError(
        "GL-ENGINE-003",
        f"the engine's database failed: {type(error).__name__}: {str(error).strip()[:300]}.",
        "see that the database runs and lets this user in; then try again.",
        transient=True,
    )
