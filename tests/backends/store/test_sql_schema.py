import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import exc, insert, text

from greylag.adapters.store import schema
from greylag.adapters.store.backends.sql_ledger import SqlLedgerStore
from greylag.adapters.store.database import Database, open_database
from greylag.adapters.store.migrate import CELL_LINEAGE, CONTROL_LINEAGE, Lineage, alembic_config, migrate
from greylag.adapters.store.opening import Control, open_control
from greylag.domain.errors import BackendError, GreylagError, OperatorError
from tests.support.postgres import DatabaseUrls

LINEAGES = [CONTROL_LINEAGE, CELL_LINEAGE]


def opened(urls: DatabaseUrls, lineage: Lineage) -> Database:
    database = open_database(urls.control)
    migrate(database, lineage)
    return database


def differences(database: Database, lineage: Lineage) -> list[object]:
    with database.reading() as connection:
        options = {"include_name": lineage.sees, "version_table": lineage.version_table, "compare_type": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), lineage.metadata)


@pytest.mark.parametrize("lineage", LINEAGES, ids=lambda lineage: lineage.name)
def test_models_and_migrated_schema_are_the_same(database_urls: DatabaseUrls, lineage: Lineage) -> None:
    database = opened(database_urls, lineage)
    with database.writing("others") as connection:
        connection.execute(text("CREATE TABLE workflow_status (id INTEGER)"))  # as the durable engine's
    assert differences(database, lineage) == []
    with database.writing("others") as connection:
        connection.execute(text(f"ALTER TABLE {next(iter(lineage.metadata.tables))} ADD COLUMN extra INTEGER"))
    assert len(differences(database, lineage)) == 1
    database.close()


@pytest.mark.parametrize("lineage", LINEAGES, ids=lambda lineage: lineage.name)
def test_the_head_is_the_newest_revision(database_urls: DatabaseUrls, lineage: Lineage) -> None:
    database = open_database(database_urls.control)
    with database.reading() as connection:
        script = ScriptDirectory.from_config(alembic_config(connection, lineage))
    assert script.get_current_head() == lineage.head
    database.close()


def test_both_lineages_live_in_one_database(database_urls: DatabaseUrls) -> None:
    for lineage in (*LINEAGES, *LINEAGES):
        opened(database_urls, lineage).close()
    database = opened(database_urls, CONTROL_LINEAGE)
    assert differences(database, CELL_LINEAGE) == []
    database.close()


def test_a_database_of_a_newer_program_is_left_alone(database_urls: DatabaseUrls) -> None:
    database = opened(database_urls, CONTROL_LINEAGE)
    with database.writing("future") as connection:
        connection.execute(text("UPDATE greylag_control_version SET version_num = '9999'"))
    with pytest.raises(OperatorError, match="GL-STORE-007"):
        migrate(database, CONTROL_LINEAGE)
    database.close()


def test_processes_that_open_at_once_migrate_once(database_urls: DatabaseUrls) -> None:
    code = "import sys; from greylag.adapters.store.opening import open_control; open_control(sys.argv[1]).close()"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, database_urls.control], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors


def changes(table: str, column: str) -> list[str]:
    return [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]


@pytest.mark.parametrize("table", ["event", "thread_message", "deployment", "witnessed_checkpoint"])
def test_the_control_plane_s_truth_is_append_only(control: Control, database_urls: DatabaseUrls, table: str) -> None:
    sample = {
        "event": {"task_id": "t", "sequence": 1, "kind": "k", "schema_version": 1, "at": "a", "key": "k", "data": "{}"},
        "thread_message": {
            "task_id": "t", "sequence": 1, "at": "a", "author": "a", "kind": "k", "body": "{}", "key": "k",
            "decision_id": "",
        },
        "deployment": {
            "number": 1, "key": "k", "repository": "r", "environment": "e", "digest": "d", "artifact": "{}",
            "name": "n", "task_id": "t", "at": "a",
        },
        "witnessed_checkpoint": {"origin": "o", "size": 1, "root": b"r", "note": "n"},
    }[table]  # fmt: skip
    refuse_changes(Database(control.engine), database_urls, getattr(schema, table), sample)


@pytest.mark.parametrize("table", ["ledger_entry", "ledger_node", "ledger_checkpoint"])
def test_a_cell_s_truth_is_append_only(ledger: SqlLedgerStore, database_urls: DatabaseUrls, table: str) -> None:
    sample = {
        "ledger_entry": {"position": 0, "key": "k", "attempt": 1, "content_sha256": b"c", "body": b"b"},
        "ledger_node": {"level": 0, "position": 0, "digest": b"d"},
        "ledger_checkpoint": {"size": 1, "root": b"r", "note": "n"},
    }[table]
    refuse_changes(ledger._database, database_urls, getattr(schema, table), sample)


def refuse_changes(database: Database, urls: DatabaseUrls, table, sample: dict[str, object]) -> None:
    with database.writing("test") as connection:
        connection.execute(insert(table).values(**sample))
    column = next(iter(sample))
    statements = changes(table.name, column)
    if urls.kind == "postgresql":
        statements.append(f"TRUNCATE {table.name}")
    for statement in statements:
        with pytest.raises(GreylagError, match="append-only"), database.writing("test") as connection:
            connection.execute(text(statement))
    replacing = insert(table).values(**sample)
    if urls.kind == "sqlite":
        with pytest.raises(GreylagError, match="append-only"), database.writing("test") as connection:
            connection.execute(replacing.prefix_with("OR REPLACE"))
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA recursive_triggers=OFF")
            with pytest.raises(exc.DatabaseError, match="append-only"):
                connection.execute(replacing.prefix_with("OR REPLACE"))
    with database.reading() as connection:
        assert len(connection.execute(table.select()).all()) == 1


@pytest.mark.parametrize(
    "url",
    [
        "", "nonsense", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "sqlite:////no/such/folder/x.db",
        "sqlite:///a\x00b", "sqlite:///file:x?mode=memory&uri=true",
    ],
)  # fmt: skip
def test_bad_addresses_are_explained(url: str) -> None:
    with pytest.raises(OperatorError, match="GL-STORE-006"):
        open_control(url)


def test_a_server_that_is_not_there_is_a_transient_failure(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="GL-STORE-001") as caught:
        open_control(f"postgresql://nobody@/nothing?host={tmp_path}")
    assert caught.value.transient


def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    path.write_bytes(b"this is not a database, it only looks like a file" * 100)
    with pytest.raises(GreylagError, match="GL-STORE-008"):
        open_control(f"sqlite:///{path}")


def test_sqlite_is_opened_durable_and_private(tmp_path: Path) -> None:
    control = open_control(f"sqlite:///{tmp_path}/control.db")
    with control.engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "recursive_triggers": 1, "busy_timeout": 30_000,
    }  # fmt: skip
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    control.close()


def test_importing_the_stores_loads_no_migrations_and_opens_nothing() -> None:
    code = (
        "import sys, greylag.adapters.store.opening\n"
        "print([name for name in ('alembic', 'psycopg', 'sqlite3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
