"""One database, opened as these stores need it: durable, one writer at a time where order matters, foreign keys on."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url, text

from greylag.domain.errors import BackendError, GreylagError, IntegrityError, OperatorError

_BUSY_MILLISECONDS = 30_000
_SQLITE_SETTINGS = (
    f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA recursive_triggers=ON",  # else INSERT OR REPLACE deletes rows without asking the delete trigger
)
_WRITES = "greylag_writes"
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Database:
    """An open SQLite file or PostgreSQL database."""

    engine: Engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that sees one state. Foreign errors become ours."""
        with _translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, sequencer: str) -> Iterator[Connection]:
        """Yield a connection in a transaction that is alone with ``sequencer`` in all processes, committed at the end.

        SQLite has one writer per file anyway (the transaction is IMMEDIATE); PostgreSQL takes an advisory lock.
        """
        with _translated(), self.engine.connect() as raw:
            connection = raw.execution_options(**{_WRITES: True})
            with connection.begin():
                if self.engine.dialect.name == "postgresql":
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock_key(sequencer)})
                yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def open_database(url: str, schema: str = "") -> Database:
    """Return the database at ``url``: ``sqlite:///PATH`` or ``postgresql://…`` (by psycopg).

    With ``schema`` (PostgreSQL only) everything is in that schema, which is made where it is missing. A SQLite file is
    made if it is missing, readable by its owner only. Raises OperatorError ``GL-STORE-006`` for an address that is not
    one of these, or a folder that does not exist.
    """
    try:
        address = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise _bad_address("it is not a database URL") from None
    if address.get_backend_name() == "sqlite":
        return Database(_sqlite(address.database or ""))
    if address.get_backend_name() == "postgresql":
        engine = create_engine(
            address.set(drivername="postgresql+psycopg"), pool_pre_ping=True, hide_parameters=True,
            connect_args={"connect_timeout": 10},
        )  # fmt: skip
        event.listen(engine, "connect", _prepare_postgresql)
        if schema:
            if not _SCHEMA.fullmatch(schema):
                raise _bad_address(f"{schema[:60]!r} is no plain name of a schema")
            event.listen(engine, "connect", lambda connection, _record: _enter(connection, schema))
        return Database(engine)
    raise _bad_address(f"`{address.get_backend_name()}` is not supported")


def _sqlite(path: str) -> Engine:
    if not path or path == ":memory:" or path.startswith("file:"):
        raise _bad_address("SQLite needs the path of a file here: memory is not durable")
    try:
        # Made here and not by SQLite, so that nobody else can read it; the journal files take over its mode.
        os.close(os.open(Path(path), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise _bad_address(f"{path!r} can't be opened ({error.strerror})") from None
    except ValueError:
        raise _bad_address("the path holds a NUL character") from None
    engine = create_engine(f"sqlite:///{path}", hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # sqlite3 itself would begin deferred ones
    cursor = connection.cursor()  # type: ignore[attr-defined]  # SQLAlchemy passes an untyped DBAPI connection
    for setting in _SQLITE_SETTINGS:
        cursor.execute(setting)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(connection: object, _record: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # SQLAlchemy passes an untyped DBAPI connection
    cursor.execute(f"SET lock_timeout = {_BUSY_MILLISECONDS}")
    cursor.execute("SET synchronous_commit = on")
    cursor.close()
    connection.commit()  # type: ignore[attr-defined]  # as above


def _enter(connection: object, schema: str) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]  # SQLAlchemy passes an untyped DBAPI connection
    # Making it needs a right that looking it up does not. Its name is plain (see `open_database`): it can't be a value.
    if cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    cursor.execute(f"SET search_path TO {schema}")
    cursor.close()
    connection.commit()  # type: ignore[attr-defined]  # as above


def _lock_key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"greylag {name}".encode()).digest()[:8], "big", signed=True)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except GreylagError:
        raise
    except exc.IntegrityError as error:
        raise _damaged(f"a rule of the database was broken ({_first_line(error)})") from error
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as error:
        raise _failing(error, transient=True) from error
    except exc.DatabaseError as error:
        if "malformed" in str(error.orig) or "not a database" in str(error.orig):
            raise _damaged(_first_line(error)) from error
        raise _failing(error, transient=False) from error
    except exc.SQLAlchemyError as error:
        raise _failing(error, transient=False) from error


def _first_line(error: exc.SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    return str(cause).partition("\n")[0][:200]


def _failing(error: exc.SQLAlchemyError, *, transient: bool) -> BackendError:
    return BackendError(
        "GL-STORE-001",
        f"the database did not do what was asked ({_first_line(error)}); nothing of it was written.",
        "check that it runs, has room and may be written to, then try again.",
        transient=transient,
    )


def _damaged(what: str) -> IntegrityError:
    return IntegrityError(
        "GL-STORE-008", f"the database is damaged: {what}.", "stop, keep a copy of it, and restore the newest backup."
    )


def _bad_address(what: str) -> OperatorError:
    return OperatorError(
        "GL-STORE-006",
        f"the database can't be opened: {what}.",
        "give `sqlite:///PATH` in an existing folder, or `postgresql://USER@HOST/DATABASE`.",
    )
