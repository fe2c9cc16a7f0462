"""The event log and its projection in SQL.

The projection is kept as JSON beside the columns that are asked for: an append reads and writes one row instead of
replaying the whole log (measured on SQLite: an append takes 1.3 ms at any length, to replay 900 events 43 ms).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, select, text, tuple_, update

from greylag.adapters.store.codec import (
    checked_text,
    decode_event,
    decode_projection,
    encode,
    encode_projection,
    time_of,
    time_text,
)
from greylag.adapters.store.database import Database
from greylag.adapters.store.schema import event as events
from greylag.adapters.store.schema import task as projections
from greylag.domain.errors import IntegrityError, RequestRefused
from greylag.domain.events import SCHEMA_VERSION, Event, Recorded, TaskReceived
from greylag.domain.ids import TaskId
from greylag.domain.replaying import advance, replay
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task

MAX_TASKS = 500
MAX_EVENTS = 10_000
_SHORTEST_PREFIX = 4
_PREFIX = "task_"


class SqlEventStore:
    """`greylag.adapters.store.port.EventStore` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, task_id: TaskId, event: Event, *, key: str, at: datetime) -> Recorded:
        """Append once per ``key``; event and projection become durable together."""
        checked_text("task_id", task_id)
        checked_text("key", key)
        spelled_at = time_text(at)
        data = encode(event)
        with self._database.writing(f"task {task_id}") as connection:
            earlier = connection.execute(_events_of(task_id).where(events.c.key == key)).one_or_none()
            if earlier is not None:
                return _recorded(earlier)
            task = _find_task(connection, task_id)
            record = Recorded(task_id, task.sequence + 1 if task else 1, time_of(spelled_at), event, key)
            changed = _advanced(task, record)
            connection.execute(
                insert(events).values(
                    task_id=task_id, sequence=record.sequence, kind=type(event).__name__,
                    schema_version=SCHEMA_VERSION, at=spelled_at, key=key, data=data,
                )
            )  # fmt: skip
            _project(connection, changed, new=task is None)
        return record

    def read(self, task_id: TaskId, after: int = 0, limit: int = 1000) -> tuple[Recorded, ...]:
        """Return up to ``limit`` (≤ 10,000) events with a sequence above ``after``."""
        if not _askable(task_id):
            return ()
        query = _events_of(task_id).where(events.c.sequence > after).order_by(events.c.sequence)
        with self._database.reading() as connection:
            rows = connection.execute(query.limit(_bounded(limit, MAX_EVENTS))).all()
        return tuple(_recorded(row) for row in rows)

    def task(self, task_id: TaskId) -> Task:
        """Return the task. Raises RequestRefused ``GL-TASK-001`` for an unknown one."""
        if _askable(task_id):
            with self._database.reading() as connection:
                task = _find_task(connection, task_id)
            if task is not None:
                return task
        raise _unknown(task_id)

    def tasks(
        self, *, statuses: Iterable[TaskStatus] | None = None, repository: str | None = None, limit: int = 50,
        before: TaskId | None = None,
    ) -> tuple[Task, ...]:  # fmt: skip
        """Return tasks, newest first. Raises RequestRefused ``GL-TASK-001`` for an unknown ``before``."""
        query = select(projections.c.task_id, projections.c.projection)
        if statuses is not None:
            query = query.where(projections.c.status.in_([str(status) for status in statuses]))
        if repository is not None:
            if not _askable(repository):
                return ()
            query = query.where(projections.c.repository == repository)
        newest_first = tuple_(projections.c.received_at, projections.c.task_id)
        with self._database.reading() as connection:
            if before is not None:
                query = query.where(newest_first < tuple_(*_place(connection, before)))
            query = query.order_by(projections.c.received_at.desc(), projections.c.task_id.desc())
            rows = connection.execute(query.limit(_bounded(limit, MAX_TASKS))).all()
            return tuple(_task_of(connection, row.task_id, row.projection) for row in rows)

    def unclosed(self, region: str, *, limit: int = 500, after: TaskId | None = None) -> tuple[Task, ...]:
        """Return tasks of ``region`` that are not closed, by id, beyond ``after``."""
        if not _askable(region):
            return ()
        query = select(projections.c.task_id, projections.c.projection)
        query = query.where(projections.c.closed == 0, projections.c.region == region)
        if after is not None:
            query = query.where(projections.c.task_id > after)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(projections.c.task_id).limit(_bounded(limit, MAX_TASKS))).all()
            return tuple(_task_of(connection, row.task_id, row.projection) for row in rows)

    def find(self, prefix: str) -> Task:
        """Return the one task whose id begins with ``prefix``. Raises RequestRefused ``GL-TASK-001``, ``-002``."""
        wanted = prefix.strip().lower().removeprefix(_PREFIX)
        if len(wanted) < _SHORTEST_PREFIX or not _askable(wanted):
            raise RequestRefused(
                "GL-TASK-001",
                f"{prefix[:60]!r} names no task: at least {_SHORTEST_PREFIX} characters of its id are needed.",
                "list the tasks with `greylag task list` and use more of the id.",
            )
        begins = projections.c.task_id.startswith(_PREFIX + wanted, autoescape=True)
        with self._database.reading() as connection:
            rows = connection.execute(select(projections.c.task_id).where(begins).limit(3)).scalars().all()
            if not rows:
                raise _unknown(prefix)
            if len(rows) > 1:
                raise RequestRefused(
                    "GL-TASK-002",
                    f"{prefix[:60]!r} is the beginning of several tasks: {', '.join(rows)}.",
                    "use more of the id.",
                )
            task = _find_task(connection, TaskId(rows[0]))
        if task is None:
            raise _unknown(prefix)
        return task

    def rebuild(self) -> int:
        """Make every projection again from the events, all or none, and return how many tasks there are."""
        count = 0
        with self._database.writing("projections") as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"LOCK TABLE {projections.name} IN EXCLUSIVE MODE"))
            connection.execute(delete(projections))
            for task_id in _task_ids(connection):
                _project(connection, replay(_log(connection, task_id)), new=True)
                count += 1
        return count


def _advanced(task: Task | None, record: Recorded) -> Task:
    if task is None:
        if not isinstance(record.event, TaskReceived):
            raise _unknown(record.task_id)
        return replay((record,))
    if isinstance(record.event, TaskReceived):
        raise IntegrityError(
            "GL-STATE-001",
            f"{task.task_id} has begun already and can't be received again.",
            "report this with the task's event log: `greylag task show TASK --json`.",
        )
    return advance(task, record)


def _project(connection: Connection, task: Task, *, new: bool) -> None:
    columns = {
        "status": str(task.status), "repository": task.repository, "region": task.region,
        "requester": task.requester, "received_at": time_text(task.received_at),
        "changed_at": time_text(task.changed_at), "sequence": task.sequence, "closed": int(task.closed),
        "projection": encode_projection(task),
    }  # fmt: skip
    if new:
        connection.execute(insert(projections).values(task_id=task.task_id, **columns))
    else:
        connection.execute(update(projections).where(projections.c.task_id == task.task_id).values(**columns))


def _find_task(connection: Connection, task_id: TaskId) -> Task | None:
    query = select(projections.c.projection).where(projections.c.task_id == task_id)
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else _task_of(connection, task_id, found)


def _task_of(connection: Connection, task_id: str, projection: str) -> Task:
    task = decode_projection(projection)
    return task if task is not None else replay(_log(connection, task_id))


def _log(connection: Connection, task_id: str) -> Iterator[Recorded]:
    after = 0
    query = _events_of(task_id).order_by(events.c.sequence).limit(1_000)
    while rows := connection.execute(query.where(events.c.sequence > after)).all():
        yield from (_recorded(row) for row in rows)
        after = rows[-1].sequence


def _task_ids(connection: Connection) -> Iterator[str]:
    last = ""
    query = select(events.c.task_id).where(events.c.sequence == 1).order_by(events.c.task_id).limit(1_000)
    while rows := connection.execute(query.where(events.c.task_id > last)).scalars().all():
        yield from rows
        last = rows[-1]


def _place(connection: Connection, task_id: TaskId) -> tuple[str, str]:
    query = select(projections.c.received_at).where(projections.c.task_id == task_id)
    found = connection.execute(query).scalar_one_or_none() if _askable(task_id) else None
    if found is None:
        raise _unknown(task_id)
    return found, task_id


def _events_of(task_id: str) -> Select[Any]:
    return select(events).where(events.c.task_id == task_id)


def _recorded(row: Row[Any]) -> Recorded:
    event = decode_event(row.kind, row.schema_version, row.data)
    return Recorded(TaskId(row.task_id), row.sequence, time_of(row.at), event, row.key)


def _bounded(limit: int, most: int) -> int:
    return max(0, min(limit, most))


def _askable(value: str) -> bool:
    """Whether a database can be asked for ``value`` at all; what it can't hold, it does not hold."""
    try:
        checked_text("text", value)
    except RequestRefused:
        return False
    return True


def _unknown(task_id: str) -> RequestRefused:
    return RequestRefused(
        "GL-TASK-001", f"there is no task {task_id[:60]!r}.", "list the tasks with `greylag task list`."
    )
