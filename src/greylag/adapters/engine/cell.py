"""A cell of the engine: the names and places that keep one region's runs away from every other region's."""

import hashlib
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbos import DBOS, DBOSClient
from dbos import error as dbos_errors
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from greylag.adapters.engine.sealing import SealedJson, open_key
from greylag.domain.errors import BackendError, OperatorError

#: The one workflow function. Its name is stored with every run: it never changes.
WORKFLOW = "greylag.task"
#: The topic wakes are sent on.
WAKE = "wake"
#: Runs begun by another version are left alone. Raise it only for a change that ``DBOS.patch`` can't bridge.
VERSION = "1"

_PLAIN = re.compile(r"[a-z0-9]{1,30}")


@dataclass(frozen=True, slots=True)
class Cell:
    """One region's engine: its application name, database, schema (PostgreSQL) and sealing key.

    ``url`` is ``sqlite:////path/file`` or ``postgresql://…``; ``state_dir`` holds ``engine.key``.
    """

    region: str
    url: str
    state_dir: Path
    application: str
    schema: str

    @property
    def file(self) -> Path | None:
        """The database's file, None for PostgreSQL."""
        url = make_url(self.url)
        return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None

    def queue(self, fingerprint: str) -> str:
        """Return the name of the queue of runs sealed under the key with ``fingerprint``."""
        return f"{self.application}.{fingerprint}"


def cell(region: str, database_url: str, state_dir: Path) -> Cell:
    """Return the cell of ``region``. Two regions never get the same names.

    Raises OperatorError ``GL-ENGINE-005`` for an empty region or a database that is neither an SQLite file nor
    PostgreSQL.
    """
    if not region.strip():
        raise _unusable("`region` is empty", "name the region this engine works in, such as `eu-de`.")
    try:
        url = make_url(database_url)
    except ArgumentError as error:
        raise _unusable(f"`database_url` can't be read ({error})", _URLS) from error
    if url.get_backend_name() not in ("sqlite", "postgresql") or not url.database or url.database == ":memory:":
        shown = url.render_as_string(hide_password=True)
        raise _unusable(f"`database_url` {shown!r} is no SQLite file and no PostgreSQL database", _URLS)
    name = region
    if not _PLAIN.fullmatch(region):  # a name that has to be bent gets a digest, so that no two can meet
        bent = re.sub(r"[^a-z0-9]+", "-", region.lower()).strip("-")[:30] or "region"
        name = f"{bent}-{hashlib.sha256(region.encode()).hexdigest()[:8]}"
    return Cell(
        region=region,
        url=url.render_as_string(hide_password=False),
        state_dir=state_dir,
        application=f"greylag-{name}",
        schema=f"greylag_engine_{name.replace('-', '_')}",
    )


_URLS = "give `sqlite:////folder/engine.db` or `postgresql://user@host/database`."


def _unusable(what: str, remedy: str) -> OperatorError:
    return OperatorError("GL-ENGINE-005", f"the engine can't work: {what}.", remedy)


@contextmanager
def reachable() -> Iterator[None]:
    """Turn failures of the engine's database into BackendError ``GL-ENGINE-003``."""
    try:
        yield
    except (SQLAlchemyError, dbos_errors.DBOSException, sqlite3.Error, OSError) as error:
        first = str(error).strip().splitlines()[0][:300] if str(error).strip() else ""
        raise BackendError(
            "GL-ENGINE-003",
            f"the engine's database failed: {type(error).__name__}: {first}.",
            "see that the database runs, has room and may be written by this user; then try again.",
            transient=True,
        ) from error


def connect(cell: Cell) -> tuple[DBOSClient, SealedJson, str]:
    """Make the cell's database if it isn't there; return a client of it, the sealing, and the name of its queue.

    Raises OperatorError ``GL-ENGINE-006`` where the key is not the one this database was begun with, BackendError
    ``GL-ENGINE-003`` where the database can't be reached.
    """
    _refuse_cloud()
    _quieten()
    with reachable():
        if cell.file is not None:
            _make_file(cell.file)
        DBOS.migrate(cell.url, schema=cell.schema)
    sealing = SealedJson(open_key(cell.state_dir / "engine.key"), cell.region)
    with reachable():
        client = DBOSClient(
            system_database_url=cell.url,
            dbos_system_schema=cell.schema,
            serializer=sealing,
            application_name=cell.application,
            retry_connection_errors=False,
        )
    try:
        _check_key(client, cell, sealing)
    except BaseException:
        client.destroy()
        raise
    return client, sealing, cell.queue(sealing.fingerprint)


def _check_key(client: DBOSClient, cell: Cell, sealing: SealedJson) -> None:
    """Refuse a foreign key: the engine would take what it can't open for broken, and end those runs."""
    with reachable():
        names = {queue.name for queue in client.list_queues(application_name=cell.application)}
    if names and cell.queue(sealing.fingerprint) not in names:
        raise OperatorError(
            "GL-ENGINE-006",
            f"`{cell.state_dir / 'engine.key'}` is not the key that this engine database was begun with.",
            "put the right `engine.key` back from your backup, or give the engine a new, empty database.",
        )


def register_queue(client: DBOSClient, name: str, poll_seconds: float) -> None:
    """Have the cell's queue, polled every ``poll_seconds``. No limit: a run that waits for a person holds its slot."""
    with reachable():
        client.register_queue(name, polling_interval_sec=poll_seconds, on_conflict="always_update")


def enqueue(client: DBOSClient, queue: str, task_id: str) -> None:
    """Put the task's run on ``queue``; a run that is already known stays as it is."""
    with reachable():
        client.enqueue({"workflow_name": WORKFLOW, "queue_name": queue, "workflow_id": task_id}, task_id)


def send_wake(client: DBOSClient, task_id: str, key: str) -> None:
    """Send one wake per ``key`` to the task's run; a run that was never started has nothing to wake."""
    with reachable():
        try:
            client.send(task_id, WAKE, topic=WAKE, idempotency_key=key)
        except dbos_errors.DBOSNonExistentWorkflowError:
            return


def _make_file(file: Path) -> None:
    """Make the SQLite file for its owner's eyes only, in WAL mode (which the file remembers)."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(file, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _refuse_cloud() -> None:
    # The engine's library takes its database and an outward connection from this variable, over our settings.
    if os.environ.get("DBOS__CLOUD"):
        raise _unusable("the environment sets `DBOS__CLOUD`, which would connect this cell to an outside service",
                        "unset `DBOS__CLOUD`.")  # fmt: skip


class _Quiet(logging.Filter):
    """Keeps content out of the logs: errors of steps and their stack traces may quote what a task is about."""

    _NOISE = ("Asyncio task cancelled", "Synchronous '", "Exception encountered in asynchronous workflow")

    def filter(self, record: logging.LogRecord) -> bool:
        """Strip what was raised from ``record``; drop what a normal close says and what is logged better elsewhere."""
        record.exc_info = None
        record.exc_text = None
        return not str(record.msg).startswith(self._NOISE)


_QUIET = _Quiet()


def _quieten() -> None:
    """Leave the engine's log to the platform's logging; with a handler in place it makes none of its own."""
    log = logging.getLogger("dbos")
    log.setLevel(logging.WARNING)
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    log.addFilter(_QUIET)
