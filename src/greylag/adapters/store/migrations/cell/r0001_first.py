"""First tables of a cell: its ledger."""

import sqlalchemy as sa
from alembic import op

from greylag.adapters.store.migrations.append_only import forbid_changes

revision = "0001"
down_revision = None

_ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the ledger's tables and their triggers."""
    op.create_table(
        "greylag_ledger_entry",
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key", _ID, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("content_sha256", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("key", "attempt", name="greylag_ledger_entry_once"),
    )
    op.create_table(
        "greylag_ledger_node",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "greylag_ledger_checkpoint",
        sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    forbid_changes("greylag_ledger_entry", ("position",), ("key", "attempt"))
    forbid_changes("greylag_ledger_node", ("level", "position"))
    forbid_changes("greylag_ledger_checkpoint", ("size",))
