"""First tables of the control plane."""

import sqlalchemy as sa
from alembic import op

from greylag.adapters.store.migrations.append_only import forbid_changes

revision = "0001"
down_revision = None

_ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables, their indexes and their triggers."""
    _make_event_log()
    _make_directory()
    _make_deployments()
    op.create_table(
        "greylag_witnessed_checkpoint",
        sa.Column("origin", _ID, primary_key=True),
        sa.Column("size", sa.BigInteger, primary_key=True),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    forbid_changes("greylag_event", ("task_id", "sequence"), ("task_id", "key"))
    forbid_changes("greylag_thread_message", ("task_id", "sequence"), ("task_id", "key"))
    forbid_changes("greylag_deployment", ("number",), ("key",))
    forbid_changes("greylag_witnessed_checkpoint", ("origin", "size"))


def _make_event_log() -> None:
    op.create_table(
        "greylag_event",
        sa.Column("task_id", _ID, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("key", _ID, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.UniqueConstraint("task_id", "key", name="greylag_event_once"),
    )
    op.create_table(
        "greylag_task",
        sa.Column("task_id", _ID, primary_key=True),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("repository", sa.String),
        sa.Column("region", sa.String, nullable=False),
        sa.Column("requester", sa.String, nullable=False),
        sa.Column("received_at", sa.String, nullable=False),
        sa.Column("changed_at", sa.String, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("closed", sa.Integer, nullable=False),
        sa.Column("projection", sa.Text, nullable=False),
    )
    op.create_index("greylag_task_closed", "greylag_task", ["closed", "region", "task_id"])
    op.create_index("greylag_task_newest", "greylag_task", ["received_at", "task_id"])
    op.create_index("greylag_task_status", "greylag_task", ["status", "received_at"])
    op.create_index("greylag_task_repository", "greylag_task", ["repository", "received_at"])
    op.create_table(
        "greylag_thread_message",
        sa.Column("task_id", _ID, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("author", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("key", _ID, nullable=False),
        sa.Column("decision_id", sa.String, nullable=False),
        sa.UniqueConstraint("task_id", "key", name="greylag_thread_message_once"),
    )


def _make_directory() -> None:
    op.create_table(
        "greylag_person",
        sa.Column("name", _ID, primary_key=True),
        sa.Column("settings", sa.Text, nullable=False),
    )
    op.create_table(
        "greylag_person_token",
        sa.Column("name", _ID, sa.ForeignKey("greylag_person.name", ondelete="CASCADE"), primary_key=True),
        sa.Column("token_sha256", sa.LargeBinary, nullable=False, unique=True),
    )
    op.create_table(
        "greylag_repository",
        sa.Column("name", _ID, primary_key=True),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("changed_at", sa.String, nullable=False),
    )


def _make_deployments() -> None:
    op.create_table(
        "greylag_deployment",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("key", _ID, nullable=False, unique=True),
        sa.Column("repository", sa.String, nullable=False),
        sa.Column("environment", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("artifact", sa.Text, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("task_id", _ID, nullable=False),
        sa.Column("at", sa.String, nullable=False),
    )
    op.create_index("greylag_deployment_live", "greylag_deployment", ["repository", "environment", "number"])
