"""The control plane's memory of every cell's checkpoints, so that no cell can quietly forget."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from greylag.adapters.store.codec import checked_text
from greylag.adapters.store.database import Database
from greylag.adapters.store.port import SignedCheckpoint
from greylag.adapters.store.schema import witnessed_checkpoint as kept
from greylag.domain.errors import IntegrityError
from greylag.governance.ledger.checkpoint import Checkpoint, parse_checkpoint

MAX_CHECKPOINTS = 10_000


class SqlWitness:
    """`greylag.adapters.store.port.Witness` on SQLite or PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, *notes: str) -> None:
        """Keep signed checkpoints of one ledger for good, all or none; keeping one again is fine.

        Raises IntegrityError ``GL-LEDGER-006`` where another root is kept for the same origin and size.
        """
        stated = [(note, parse_checkpoint(checked_text("note", note, longest=65_536))) for note in notes]
        if not stated:
            return
        with self._database.writing(f"witness {stated[0][1].origin}") as connection:
            for note, checkpoint in stated:
                _keep(connection, note, checkpoint)

    def newest(self, origin: str) -> str | None:
        """Return the checkpoint of the largest size that was kept of ``origin``, None where there is none."""
        query = select(kept.c.note).where(kept.c.origin == checked_text("origin", origin))
        with self._database.reading() as connection:
            return connection.execute(query.order_by(kept.c.size.desc()).limit(1)).scalar_one_or_none()

    def checkpoints(self, origin: str, after: int = 0, limit: int = 1000) -> Sequence[SignedCheckpoint]:
        """Return up to ``limit`` (≤ 10,000) kept checkpoints of ``origin`` with a size above ``after``, in order."""
        query = select(kept.c.size, kept.c.note).where(kept.c.origin == checked_text("origin", origin))
        query = query.where(kept.c.size > after).order_by(kept.c.size).limit(max(0, min(limit, MAX_CHECKPOINTS)))
        with self._database.reading() as connection:
            return [SignedCheckpoint(row.size, row.note) for row in connection.execute(query)]


def _keep(connection: Connection, note: str, checkpoint: Checkpoint) -> None:
    where = (kept.c.origin == checkpoint.origin, kept.c.size == checkpoint.size)
    earlier = connection.execute(select(kept.c.root).where(*where)).scalar_one_or_none()
    if earlier is None:
        connection.execute(
            insert(kept).values(origin=checkpoint.origin, size=checkpoint.size, root=checkpoint.root, note=note)
        )
    elif bytes(earlier) != checkpoint.root:
        raise IntegrityError(
            "GL-LEDGER-006",
            f"ledger {checkpoint.origin!r} signed another root for {checkpoint.size} entries than it"
            " did before: its history was changed.",
            "stop the cell, keep both databases, and run `greylag ledger verify`.",
        )
