"""Chats: who is who there, conversations, what came in, what was said, and what messages offer."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.add_column("greylag_thread_message", sa.Column("offers", sa.Text, nullable=False, server_default="[]"))
    op.create_table(
        "greylag_chat_person",
        sa.Column("source", _ID, primary_key=True),
        sa.Column("author", _ID, primary_key=True),
        sa.Column("person", _ID, nullable=False),
        sa.Column("via", sa.String, nullable=False),
        sa.Column("at", sa.String, nullable=False),
    )
    op.create_table(
        "greylag_chat_conversation",
        sa.Column("source", _ID, primary_key=True),
        sa.Column("room", _ID, primary_key=True),
        sa.Column("thread", _ID, primary_key=True),
        sa.Column("task_id", _ID, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.Column("at", sa.String, nullable=False),
    )
    op.create_index("greylag_chat_conversation_task", "greylag_chat_conversation", ["task_id"])
    op.create_table(
        "greylag_chat_post",
        sa.Column("source", _ID, primary_key=True),
        sa.Column("room", _ID, primary_key=True),
        sa.Column("thread", _ID, primary_key=True),
        sa.Column("task_id", _ID, primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("handle", sa.String, nullable=False),
        sa.Column("decision_id", sa.String, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("at", sa.String, nullable=False),
    )
    op.create_index("greylag_chat_post_handle", "greylag_chat_post", ["source", "room", "handle"])
    op.create_table(
        "greylag_chat_inbox",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("source", _ID, nullable=False),
        sa.Column("event_id", _ID, nullable=False),
        sa.Column("room", _ID, nullable=False),
        sa.Column("thread", _ID, nullable=False),
        sa.Column("heard", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.UniqueConstraint("source", "event_id", name="greylag_chat_inbox_once"),
    )
    op.create_index("greylag_chat_inbox_state", "greylag_chat_inbox", ["state", "number"])
    op.create_table(
        "greylag_chat_note",
        sa.Column("source", _ID, primary_key=True),
        sa.Column("name", _ID, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
