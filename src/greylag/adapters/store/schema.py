"""The tables of the control plane and of a cell, as they stand now. How they came to be: ``migrations/``.

Times are text, ``YYYY-MM-DDTHH:MM:SS.ffffffZ``: the same on both databases, exact, and sorted as they are spelled.
Values are JSON text. Ids compare byte by byte on both databases.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy import UniqueConstraint as Unique

_ID = String().with_variant(String(collation="C"), "postgresql")

CONTROL = MetaData()
CELL = MetaData()
CONTROL_VERSION_TABLE = "greylag_control_version"
CELL_VERSION_TABLE = "greylag_cell_version"

event = Table(
    "greylag_event", CONTROL,
    Column("task_id", _ID, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("kind", String, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("at", String, nullable=False),
    Column("key", _ID, nullable=False),
    Column("data", Text, nullable=False),
    Unique("task_id", "key", name="greylag_event_once"),
)  # fmt: skip

#: A projection of ``greylag_event``: may be thrown away at any time.
task = Table(
    "greylag_task", CONTROL,
    Column("task_id", _ID, primary_key=True),
    Column("status", String, nullable=False),
    Column("repository", String),
    Column("region", String, nullable=False),
    Column("requester", String, nullable=False),
    Column("received_at", String, nullable=False),
    Column("changed_at", String, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("closed", Integer, nullable=False),
    Column("projection", Text, nullable=False),
    Index("greylag_task_closed", "closed", "region", "task_id"),
    Index("greylag_task_newest", "received_at", "task_id"),
    Index("greylag_task_status", "status", "received_at"),
    Index("greylag_task_repository", "repository", "received_at"),
)  # fmt: skip

thread_message = Table(
    "greylag_thread_message", CONTROL,
    Column("task_id", _ID, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("at", String, nullable=False),
    Column("author", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("key", _ID, nullable=False),
    Column("decision_id", String, nullable=False),
    Column("offers", Text, nullable=False, server_default="[]"),
    Unique("task_id", "key", name="greylag_thread_message_once"),
)  # fmt: skip

person = Table(
    "greylag_person", CONTROL,
    Column("name", _ID, primary_key=True),
    Column("settings", Text, nullable=False),
)  # fmt: skip

person_token = Table(
    "greylag_person_token", CONTROL,
    Column("name", _ID, ForeignKey("greylag_person.name", ondelete="CASCADE"), primary_key=True),
    Column("token_sha256", LargeBinary, nullable=False, unique=True),
)  # fmt: skip

repository = Table(
    "greylag_repository", CONTROL,
    Column("name", _ID, primary_key=True),
    Column("settings", Text, nullable=False),
    Column("changed_at", String, nullable=False),
)  # fmt: skip

sign_off = Table(
    "greylag_sign_off", CONTROL,
    Column("sign_off_id", _ID, primary_key=True),
    Column("until", String, nullable=False),
    Column("value", Text, nullable=False),
)  # fmt: skip

#: Who somebody in a chat is here.
chat_person = Table(
    "greylag_chat_person", CONTROL,
    Column("source", _ID, primary_key=True),
    Column("author", _ID, primary_key=True),
    Column("person", _ID, nullable=False),
    Column("via", String, nullable=False),
    Column("at", String, nullable=False),
)  # fmt: skip

#: Which tasks are talked about in which conversation, and how far their threads were delivered there.
chat_conversation = Table(
    "greylag_chat_conversation", CONTROL,
    Column("source", _ID, primary_key=True),
    Column("room", _ID, primary_key=True),
    Column("thread", _ID, primary_key=True),
    Column("task_id", _ID, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("at", String, nullable=False),
    Index("greylag_chat_conversation_task", "task_id"),
)  # fmt: skip

#: What became of each message of a thread in each conversation: the outbox's memory.
chat_post = Table(
    "greylag_chat_post", CONTROL,
    Column("source", _ID, primary_key=True),
    Column("room", _ID, primary_key=True),
    Column("thread", _ID, primary_key=True),
    Column("task_id", _ID, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("state", String, nullable=False),
    Column("handle", String, nullable=False),
    Column("decision_id", String, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("at", String, nullable=False),
    Index("greylag_chat_post_handle", "source", "room", "handle"),
)  # fmt: skip

#: What came in, each event once, and what became of it.
chat_inbox = Table(
    "greylag_chat_inbox", CONTROL,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("source", _ID, nullable=False),
    Column("event_id", _ID, nullable=False),
    Column("room", _ID, nullable=False),
    Column("thread", _ID, nullable=False),
    Column("heard", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("at", String, nullable=False),
    Unique("source", "event_id", name="greylag_chat_inbox_once"),
    Index("greylag_chat_inbox_state", "state", "number"),
)  # fmt: skip

#: Small things a backend remembers between starts: how far it has read, which message grows, which device is whose.
chat_note = Table(
    "greylag_chat_note", CONTROL,
    Column("source", _ID, primary_key=True),
    Column("name", _ID, primary_key=True),
    Column("value", Text, nullable=False),
)  # fmt: skip

deployment = Table(
    "greylag_deployment", CONTROL,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("key", _ID, nullable=False, unique=True),
    Column("repository", String, nullable=False),
    Column("environment", String, nullable=False),
    Column("digest", String, nullable=False),
    Column("artifact", Text, nullable=False),
    Column("name", String, nullable=False),
    Column("task_id", _ID, nullable=False),
    Column("at", String, nullable=False),
    Index("greylag_deployment_live", "repository", "environment", "number"),
)  # fmt: skip

#: Checkpoints of all cells' ledgers, held outside the cells.
witnessed_checkpoint = Table(
    "greylag_witnessed_checkpoint", CONTROL,
    Column("origin", _ID, primary_key=True),
    Column("size", BigInteger, primary_key=True),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
)  # fmt: skip

ledger_entry = Table(
    "greylag_ledger_entry", CELL,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("key", _ID, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("content_sha256", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Unique("key", "attempt", name="greylag_ledger_entry_once"),
)  # fmt: skip

ledger_node = Table(
    "greylag_ledger_node", CELL,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary, nullable=False),
)  # fmt: skip

ledger_checkpoint = Table(
    "greylag_ledger_checkpoint", CELL,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
)  # fmt: skip
