"""What is remembered of chats, in SQL: inbox, outbox, and who is who.

Ids come from chats and are hostile: what a database can't hold is refused where something would be kept, and is
"nothing known" where something is looked up.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, delete, exists, func, insert, select, update

from greylag.adapters.store.codec import checked_text, decode, encode, time_of, time_text
from greylag.adapters.store.database import Database
from greylag.adapters.store.port import Arrival, ChatPerson, Due, Posting
from greylag.adapters.store.schema import chat_conversation as conversations
from greylag.adapters.store.schema import chat_inbox as inbox
from greylag.adapters.store.schema import chat_note as notes
from greylag.adapters.store.schema import chat_person as persons
from greylag.adapters.store.schema import chat_post as posts
from greylag.adapters.store.schema import task as tasks
from greylag.adapters.store.schema import thread_message as messages
from greylag.domain.conversation import Conversation
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference

MAX_ROWS = 10_000
MAX_NOTE_BYTES = 64 * 1024
_SOURCE_CHARACTERS = 200
_ID_CHARACTERS = 500
_HEARD_CHARACTERS = 32_000
_REASON_CHARACTERS = 500
_YOUNGEST = timedelta(hours=1)
_ARRIVED = ("taken", "handled", "refused", "ignored")
_POSTED = ("sent", "withheld", "lost")
_VIA = ("operator", "link")


class SqlChatStore:
    """`greylag.adapters.store.port.ChatStore` on SQLite or PostgreSQL.

    Raises RequestRefused ``GL-STORE-002`` for text that can't be kept, ``GL-STORE-010`` for a state that isn't one.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def arrive(
        self, conversation: Conversation, event_id: str, heard: str, body: Reference | None, at: datetime
    ) -> Arrival | None:
        """Keep what came in, in one line for all chats; None where the event is known already."""
        row = _spelled(conversation) | {
            "event_id": _id("event_id", event_id), "body": encode(body) if body is not None else "",
            "heard": checked_text("heard", heard, longest=_HEARD_CHARACTERS, empty=True),
            "state": "taken", "reason": "", "tries": 0, "at": time_text(at),
        }  # fmt: skip
        same = and_(inbox.c.source == conversation.source, inbox.c.event_id == event_id)
        with self._database.writing("chat inbox") as connection:
            if connection.execute(select(inbox.c.number).where(same)).one_or_none() is not None:
                return None
            number = _next(connection, inbox)
            connection.execute(insert(inbox).values(number=number, **row))
        return Arrival(number, conversation, event_id, heard, body, "taken", "", 0, time_of(str(row["at"])))

    def known(self, source: str, event_id: str) -> Arrival | None:
        """Return what came in under ``event_id``, None for nothing."""
        found = self._first(inbox, {"source": source, "event_id": event_id})
        return _arrival(found) if found is not None else None

    def waiting(self, limit: int = 200) -> tuple[Arrival, ...]:
        """Return what is still to be handled, in the order in which it came; at most ``limit`` (≤ 10,000)."""
        query = select(inbox).where(inbox.c.state == "taken").order_by(inbox.c.number).limit(_bounded(limit))
        with self._database.reading() as connection:
            return tuple(_arrival(row) for row in connection.execute(query))

    def settle(self, number: int, state: str, reason: str = "") -> None:
        """Record what became of an arrival, or one more try; what was settled before stays as it was."""
        _require_state(state, _ARRIVED)
        values: dict[str, Any] = {"state": state, "reason": _shortened(reason)}
        if state == "taken":
            values["tries"] = inbox.c.tries + 1
        with self._database.writing("chat inbox") as connection:
            connection.execute(update(inbox).where(inbox.c.number == number, inbox.c.state == "taken").values(**values))

    def forget(self, before: datetime) -> int:
        """Drop settled arrivals older than ``before``, but none within an hour of the newest; return how many.

        The last of all stays: its number must never be given again.
        """
        asked = time_text(before)
        with self._database.writing("chat inbox") as connection:
            newest, last = connection.execute(select(func.max(inbox.c.at), func.max(inbox.c.number))).one()
            if newest is None:
                return 0
            oldest_kept = min(asked, time_text(time_of(newest) - _YOUNGEST))
            settled = and_(inbox.c.state != "taken", inbox.c.at < oldest_kept, inbox.c.number != last)
            return int(connection.execute(delete(inbox).where(settled)).rowcount)

    def bind(self, conversation: Conversation, task_id: TaskId, at: datetime, *, after: int = 0) -> None:
        """Say that ``task_id`` is talked about there, delivered up to ``after``; again changes nothing."""
        row = _spelled(conversation) | {"task_id": checked_text("task_id", task_id)}
        values = {"delivered": max(0, after), "at": time_text(at)}
        with self._database.writing("chat conversations") as connection:
            if connection.execute(select(conversations.c.number).where(_is(conversations, row))).first() is None:
                number = _next(connection, conversations)
                connection.execute(insert(conversations).values(number=number, **row, **values))

    def task_in(self, conversation: Conversation) -> TaskId | None:
        """Return the newest task of a conversation, None where there is none."""
        found = self._first(conversations, _plain(conversation), conversations.c.number.desc())
        return TaskId(found.task_id) if found is not None else None

    def conversations(self, task_id: TaskId) -> tuple[Conversation, ...]:
        """Return where a task is talked about, in the order of binding; at most 10,000."""
        if not _can_be(task_id):
            return ()
        query = select(conversations).where(conversations.c.task_id == task_id).order_by(conversations.c.number)
        with self._database.reading() as connection:
            return tuple(_conversation(row) for row in connection.execute(query.limit(MAX_ROWS)))

    def due(self, sources: Collection[str], limit: int = 200, *, region: str = "") -> tuple[Due, ...]:
        """Return conversations whose tasks' threads go on, oldest first, at most ``limit`` (≤ 10,000).

        With ``region`` only tasks of that one. One look into an index per conversation: 10,000 take some 20 ms.
        """
        asked = [source for source in sources if _can_be(source)]
        beyond = exists().where(
            messages.c.task_id == conversations.c.task_id, messages.c.sequence > conversations.c.delivered
        )
        query = select(conversations).where(conversations.c.source.in_(asked), beyond)
        if region:
            here = exists().where(tasks.c.task_id == conversations.c.task_id, tasks.c.region == region)
            query = query.where(here)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(conversations.c.number).limit(_bounded(limit)))
            return tuple(Due(_conversation(row), TaskId(row.task_id), row.delivered) for row in rows)

    def sending(
        self, conversation: Conversation, task_id: TaskId, sequence: int, decision_id: str, at: datetime
    ) -> Posting | None:
        """Note durably that a message is about to be sent; return what was noted before. An end that is noted stays."""
        row = _spelled(conversation) | {"task_id": checked_text("task_id", task_id), "sequence": sequence}
        decision = checked_text("decision_id", decision_id, empty=True)
        noted = {"state": "sending", "handle": "", "decision_id": decision, "at": time_text(at)}
        with self._database.writing(_lock_of(conversation)) as connection:
            earlier = connection.execute(select(posts).where(_is(posts, row))).one_or_none()
            if earlier is None:
                connection.execute(insert(posts).values(tries=1, **row, **noted))
                return None
            if earlier.state == "sending":
                connection.execute(
                    update(posts)
                    .where(_is(posts, row))
                    .values(tries=posts.c.tries + 1, decision_id=decision, at=noted["at"])
                )
            return _posting(earlier)

    def sent(
        self, conversation: Conversation, task_id: TaskId, sequence: int, state: str, handle: str, at: datetime
    ) -> None:
        """Note what became of it and that everything up to ``sequence`` is delivered, in one transaction.

        What was begun up to there has the same end: several lines of progress are one message. An end that is noted
        stays, and what is delivered never becomes less.
        """
        _require_state(state, _POSTED)
        thread = _spelled(conversation) | {"task_id": checked_text("task_id", task_id)}
        row = thread | {"sequence": sequence}
        noted = {"state": state, "handle": _id("handle", handle, empty=True), "at": time_text(at)}
        with self._database.writing(_lock_of(conversation)) as connection:
            if connection.execute(select(posts.c.state).where(_is(posts, row))).one_or_none() is None:
                connection.execute(insert(posts).values(decision_id="", tries=0, **row, **noted))
            begun = and_(_is(posts, thread), posts.c.sequence <= sequence, posts.c.state == "sending")
            connection.execute(update(posts).where(begun).values(**noted))
            behind = and_(_is(conversations, thread), conversations.c.delivered < sequence)
            connection.execute(update(conversations).where(behind).values(delivered=sequence))

    def posting(self, conversation: Conversation, task_id: TaskId, sequence: int) -> Posting | None:
        """Return what became of one message there."""
        found = self._first(posts, _plain(conversation) | {"task_id": task_id, "sequence": sequence})
        return _posting(found) if found is not None else None

    def posted_as(self, source: str, room: str, handle: str) -> Posting | None:
        """Return which message of ours the chat knows as ``handle`` (of several lines the first), None for none."""
        if not handle:
            return None
        wanted = {"source": source, "room": room, "handle": handle}
        found = self._first(posts, wanted, posts.c.task_id, posts.c.sequence)
        return _posting(found) if found is not None else None

    def add_person(self, person: ChatPerson) -> None:
        """Say who somebody is; again replaces."""
        _require_state(person.via, _VIA)
        who = {"source": _source(person.source), "author": _id("author", person.author)}
        known_as = checked_text("person", person.person, longest=200)
        values = {"person": known_as, "via": person.via, "at": time_text(person.at)}
        with self._database.writing("chat persons") as connection:
            if connection.execute(update(persons).where(_is(persons, who)).values(**values)).rowcount == 0:
                connection.execute(insert(persons).values(**who, **values))

    def person(self, source: str, author: str) -> ChatPerson | None:
        """Return who the chat's ``author`` is here, None for nobody known."""
        found = self._first(persons, {"source": source, "author": author})
        return _person(found) if found is not None else None

    def persons(self) -> tuple[ChatPerson, ...]:
        """Return everybody who is known from a chat, by name; at most 10,000."""
        query = select(persons).order_by(persons.c.person, persons.c.source, persons.c.author).limit(MAX_ROWS)
        with self._database.reading() as connection:
            return tuple(_person(row) for row in connection.execute(query))

    def remove_person(self, source: str, author: str) -> None:
        """Forget who somebody is; an unknown one is fine."""
        if _can_be(source) and _can_be(author):
            with self._database.writing("chat persons") as connection:
                connection.execute(delete(persons).where(_is(persons, {"source": source, "author": author})))

    def note(self, source: str, name: str) -> str:
        """Return a backend's note, "" for none."""
        found = self._first(notes, {"source": source, "name": name})
        return str(found.value) if found is not None else ""

    def put_note(self, source: str, name: str, value: str) -> None:
        """Keep a backend's note (≤ 64 kB), durable when it returns."""
        where = {"source": _source(source), "name": checked_text("name", name, longest=200)}
        checked_text("value", value, longest=MAX_NOTE_BYTES, empty=True)
        if len(value.encode()) > MAX_NOTE_BYTES:
            raise RequestRefused(
                "GL-STORE-011",
                f"the note `{name}` has {len(value.encode())} bytes, at most {MAX_NOTE_BYTES} are kept.",
                "keep less in it: a note is a place in a stream, not the stream.",
            )
        with self._database.writing(f"chat notes {source}") as connection:
            if connection.execute(update(notes).where(_is(notes, where)).values(value=value)).rowcount == 0:
                connection.execute(insert(notes).values(**where, value=value))

    def _first(self, table: Table, wanted: dict[str, Any], *order: ColumnElement[Any]) -> Row[Any] | None:
        """Return the first row of ``wanted``; text that could never be kept finds nothing."""
        if not all(_can_be(value) for value in wanted.values() if not isinstance(value, int)):
            return None
        with self._database.reading() as connection:
            return connection.execute(select(table).where(_is(table, wanted)).order_by(*order).limit(1)).one_or_none()


def _is(table: Table, wanted: dict[str, Any]) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in wanted.items()))


def _next(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.coalesce(func.max(table.c.number), 0))).scalar_one()) + 1


def _plain(conversation: Conversation) -> dict[str, Any]:
    return {"source": conversation.source, "room": conversation.room, "thread": conversation.thread}


def _spelled(conversation: Conversation) -> dict[str, Any]:
    """Return the columns of a conversation. Raises RequestRefused ``GL-STORE-002`` for ids that can't be kept."""
    return {
        "source": _source(conversation.source),
        "room": _id("room", conversation.room),
        "thread": _id("thread", conversation.thread, empty=True),
    }


def _lock_of(conversation: Conversation) -> str:
    return f"chat posts {conversation.source} {conversation.room} {conversation.thread}"


def _source(value: str) -> str:
    return checked_text("source", value, longest=_SOURCE_CHARACTERS)


def _id(name: str, value: str, *, empty: bool = False) -> str:
    return checked_text(name, value, longest=_ID_CHARACTERS, empty=empty)


def _can_be(value: object) -> bool:
    try:
        checked_text("id", value, empty=True)  # type: ignore[arg-type]  # anything else than text is refused, as meant
    except RequestRefused:
        return False
    return True


def _shortened(reason: str) -> str:
    """Return ``reason`` as it can be kept, whatever an error message or a chat put into it."""
    return reason.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")[:_REASON_CHARACTERS]


def _bounded(limit: int) -> int:
    return max(0, min(limit, MAX_ROWS))


def _require_state(state: str, known: tuple[str, ...]) -> None:
    if state not in known:
        raise RequestRefused(
            "GL-STORE-010", f"got/expected: {str(state)[:40]!r}/one of {', '.join(known)}.", "name one of these."
        )


def _conversation(row: Row[Any]) -> Conversation:
    return Conversation(row.source, row.room, row.thread)


def _arrival(row: Row[Any]) -> Arrival:
    body = decode(Reference, row.body) if row.body else None
    return Arrival(
        row.number, _conversation(row), row.event_id, row.heard, body, row.state, row.reason, row.tries,
        time_of(row.at),
    )  # fmt: skip


def _posting(row: Row[Any]) -> Posting:
    return Posting(
        _conversation(row), TaskId(row.task_id), row.sequence, row.state, row.handle, row.decision_id, row.tries,
        time_of(row.at),
    )  # fmt: skip


def _person(row: Row[Any]) -> ChatPerson:
    return ChatPerson(row.source, row.author, row.person, row.via, time_of(row.at))
