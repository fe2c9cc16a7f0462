"""Threads in SQL."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, select

from greylag.adapters.store.codec import checked_text, decode, encode, time_of, time_text
from greylag.adapters.store.database import Database
from greylag.adapters.store.port import Spoken, ThreadMessage
from greylag.adapters.store.schema import thread_message as messages
from greylag.domain.conversation import Offer
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference

MAX_MESSAGES = 10_000


class SqlThreadStore:
    """`greylag.adapters.store.port.ThreadStore` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def say(self, task_id: TaskId, spoken: Spoken, *, body: Reference, decision_id: str, at: datetime) -> ThreadMessage:
        """Add a message once: the same key again returns the first."""
        author, kind, key, offers = spoken.author, spoken.kind, spoken.key, spoken.offers
        row = {
            "task_id": checked_text("task_id", task_id), "at": time_text(at), "author": checked_text("author", author),
            "kind": checked_text("kind", kind), "body": encode(body), "key": checked_text("key", key),
            "decision_id": checked_text("decision_id", decision_id, empty=True),
            "offers": encode(offers, tuple[Offer, ...]),
        }  # fmt: skip
        with self._database.writing(f"thread {task_id}") as connection:
            same = select(messages).where(messages.c.task_id == task_id, messages.c.key == key)
            earlier = connection.execute(same).one_or_none()
            if earlier is not None:
                return _message(earlier)
            count = select(func.coalesce(func.max(messages.c.sequence), 0)).where(messages.c.task_id == task_id)
            sequence = connection.execute(count).scalar_one() + 1
            connection.execute(insert(messages).values(sequence=sequence, **row))
        return ThreadMessage(task_id, sequence, time_of(row["at"]), author, kind, body, key, decision_id, offers)

    def messages(self, task_id: TaskId, after: int = 0, limit: int = 500) -> tuple[ThreadMessage, ...]:
        """Return up to ``limit`` (≤ 10,000) messages with a sequence above ``after``."""
        checked_text("task_id", task_id)
        query = select(messages).where(messages.c.task_id == task_id, messages.c.sequence > after)
        query = query.order_by(messages.c.sequence).limit(max(0, min(limit, MAX_MESSAGES)))
        with self._database.reading() as connection:
            return tuple(_message(row) for row in connection.execute(query))


def _message(row: Row[Any]) -> ThreadMessage:
    return ThreadMessage(
        TaskId(row.task_id), row.sequence, time_of(row.at), row.author, row.kind, decode(Reference, row.body), row.key,
        row.decision_id, decode(tuple[Offer, ...], row.offers),
    )  # fmt: skip
