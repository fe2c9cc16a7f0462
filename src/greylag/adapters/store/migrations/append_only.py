"""Triggers that make a table append-only, even for a program that has gone wrong.

Whoever may change the schema can drop them; that is what ledger and witnesses are for. Never edit: make a new one.
"""

from alembic import op
from sqlalchemy import text


def forbid_changes(table: str, *unique_keys: tuple[str, ...]) -> None:
    """Make the database refuse UPDATE, DELETE (and TRUNCATE) on ``table``, and INSERT OR REPLACE over ``unique_keys``.

    Names are our own constants, never input.
    """
    if op.get_bind().dialect.name == "postgresql":
        _forbid_on_postgresql(table)
    else:
        _forbid_on_sqlite(table, unique_keys)


def _forbid_on_postgresql(table: str) -> None:
    op.execute(
        text(
            f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
        )
    )
    for verb in ("UPDATE OR DELETE", "TRUNCATE"):
        name = f"{table}_no_{verb.split()[0].lower()}"
        op.execute(
            text(
                f"CREATE TRIGGER {name} BEFORE {verb} ON {table}"
                f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
            )
        )


def _forbid_on_sqlite(table: str, unique_keys: tuple[tuple[str, ...], ...]) -> None:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    for verb in ("UPDATE", "DELETE"):
        op.execute(text(f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} {refuse}"))
    # INSERT OR REPLACE removes the old row without a delete trigger unless recursive_triggers is on: refuse it here,
    # for connections that did not set that.
    same = " OR ".join("(" + " AND ".join(f"{column} = NEW.{column}" for column in key) + ")" for key in unique_keys)
    exists = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608  our own constants
    op.execute(text(f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {exists} {refuse}"))
