"""SQLite, as thin as it can be."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import resources
from json import loads
from typing import Any


class Database:
    """One connection. The service has one event loop, so there is never more than one caller."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row

    def script(self, sql: str) -> None:
        """Run several statements, such as a schema."""
        self._connection.executescript(sql)

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        """Return all rows, each as a dictionary."""
        return [dict(row) for row in self._connection.execute(sql, values)]

    def row(self, sql: str, *values: object) -> dict[str, Any] | None:
        """Return the first row, None where there is none."""
        row = self._connection.execute(sql, values).fetchone()
        return None if row is None else dict(row)

    def write(self, sql: str, *values: object) -> int:
        """Run one statement and return the number of the row it has added, if any."""
        return self._connection.execute(sql, values).lastrowid or 0

    def write_all(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        """Run one statement for each of ``rows``."""
        self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside happen altogether or not at all."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def seed_data(name: str) -> Any:
    """Return what ``seed/NAME.json`` in this package holds."""
    return loads((resources.files("murmur") / "seed" / f"{name}.json").read_bytes())
