"""One cell's ledger in SQL: entries, tree nodes and one signed checkpoint an append, all append-only."""

import hashlib
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Column, Connection, Label, LargeBinary, and_, cast, func, insert, or_, select

from greylag.adapters.store.codec import checked_text, time_text
from greylag.adapters.store.database import Database
from greylag.adapters.store.port import LedgerEntry, SignedCheckpoint, Witness
from greylag.adapters.store.schema import ledger_checkpoint as checkpoints
from greylag.adapters.store.schema import ledger_entry as entries
from greylag.adapters.store.schema import ledger_node as nodes
from greylag.domain.clock import Clock
from greylag.domain.errors import GreylagError, IntegrityError, OperatorError, RequestRefused
from greylag.governance.ledger.canonical import canonical_json
from greylag.governance.ledger.checkpoint import (
    Checkpoint,
    VerifierKey,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
    verifier_key,
)
from greylag.governance.ledger.proofs import consistency_proof, inclusion_proof
from greylag.governance.ledger.tree import Tree, leaf_hash, peak_places

MAX_ENTRY_BYTES = 65_535  # C2SP tlog-tiles: an entry bundle spells a length in two bytes
MAX_PAGE = 10_000
RESERVED = frozenset({"at", "attempt", "key"})
#: So many entries of callers that wait at once go into one transaction.
_BATCH = 64


@dataclass(slots=True, eq=False)
class _Waiting:
    """An entry that somebody wants appended, and what became of it; neither: nothing yet."""

    entry: Mapping[str, object]
    key: str
    content: bytes
    index: int | None = None
    refused: RequestRefused | None = None


@dataclass(frozen=True, slots=True)
class _Committed:
    """What a transaction left: its tree, the new checkpoints in order, and each entry's index or refusal."""

    tree: Tree
    notes: tuple[str, ...]
    outcomes: tuple[int | RequestRefused, ...]


class SqlLedgerStore:
    """`greylag.adapters.store.port.LedgerStore` on SQLite or PostgreSQL. Thread-safe; one sequencer in all processes.

    ``origin`` names the log for ever, ``private_key`` signs every size of it, ``witness`` keeps each checkpoint outside
    this database. An append returns only when entry and checkpoint are durable and witnessed; an append that raised
    may have left its entry, and asking again with the same key finds it. Callers that wait at once share a
    transaction, each entry with a checkpoint of its own.
    """

    def __init__(
        self, database: Database, private_key: Ed25519PrivateKey, origin: str, clock: Clock, witness: Witness
    ) -> None:
        self.verifier_key: VerifierKey = verifier_key(origin, private_key)
        self._database = database
        self._private_key = private_key
        self._origin = origin
        self._clock = clock
        self._witness = witness
        self._tree: Tree | None = None
        self._witnessed: int | None = None
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()

    @property
    def origin(self) -> str:
        """The log's name, as in its checkpoints."""
        return self._origin

    def append(self, entry: Mapping[str, object], *, key: str) -> int:
        """Append ``entry`` with ``at``, ``key`` and ``attempt`` added, and return its index.

        The same key and entry again return the first index; the same key with another entry gets the next attempt.
        Raises RequestRefused ``GL-LEDGER-001`` for what has no canonical form or uses a reserved name, ``-002`` above
        65,535 bytes, IntegrityError ``-005`` where the stored log is not the one that was signed, ``-006`` where the
        witness saw another history, BackendError where it can't be made durable.
        """
        checked_text("key", key)
        mine = _Waiting(entry, key, _content(entry))
        self._waiting.append(mine)
        with self._lock:
            if mine.index is None and mine.refused is None:
                self._append_for_all(mine)
        if mine.index is not None:
            return mine.index
        assert mine.refused is not None  # noqa: S101 - one of the two was set, or it raised
        raise mine.refused

    def size(self) -> int:
        """Return the number of entries."""
        with self._database.reading() as connection:
            return _count(connection)

    def entries(self, start: int = 0, limit: int = 1000) -> Sequence[LedgerEntry]:
        """Return up to ``limit`` (≤ 10,000) entries from index ``start`` on, in order."""
        query = select(entries.c.position, _blob(entries.c.body)).where(entries.c.position >= start)
        query = query.order_by(entries.c.position).limit(max(0, min(limit, MAX_PAGE)))
        with self._database.reading() as connection:
            return [LedgerEntry(row.position, bytes(row.body)) for row in connection.execute(query)]

    def find(self, key: str) -> LedgerEntry | None:
        """Return the newest entry that was appended under ``key``, None for none."""
        query = select(entries.c.position, _blob(entries.c.body)).where(entries.c.key == key)
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(entries.c.attempt.desc()).limit(1)).one_or_none()
        return LedgerEntry(row.position, bytes(row.body)) if row is not None else None

    def checkpoint(self) -> str:
        """Return the newest signed checkpoint; of an empty log one that is signed now."""
        query = select(checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
        with self._database.reading() as connection:
            note = connection.execute(query).scalar_one_or_none()
        return note if note is not None else self._sign(Tree())

    def checkpoints(self, after: int = 0, limit: int = 1000) -> Sequence[SignedCheckpoint]:
        """Return up to ``limit`` (≤ 10,000) signed checkpoints with a size above ``after``, in order."""
        with self._database.reading() as connection:
            return _checkpoints(connection, after, limit)

    def inclusion_proof(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the audit path of entry ``index`` in the log's first ``size`` entries (RFC 6962 §2.1.1).

        Raises IntegrityError ``GL-LEDGER-004`` where there is no such entry or size.
        """
        with self._database.reading() as connection:
            return inclusion_proof(index, size, lambda level, position: _node(connection, level, position))

    def consistency_proof(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """Return the proof that ``new_size`` entries begin with ``old_size`` of them (RFC 6962 §2.1.2). As above."""
        with self._database.reading() as connection:
            return consistency_proof(old_size, new_size, lambda level, position: _node(connection, level, position))

    def close(self) -> None:
        """Close every connection to the cell's database."""
        self._database.close()

    def _append_for_all(self, mine: _Waiting) -> None:
        """Append what waits, ``mine`` among it. Where that fails only ``mine`` is tried: each gets its own error."""
        with suppress(ValueError):  # it was in a batch that failed
            self._waiting.remove(mine)
        batch = [mine]
        while self._waiting and len(batch) < _BATCH:
            batch.append(self._waiting.popleft())
        try:
            self._append(batch)
        except GreylagError:
            if len(batch) == 1:
                raise
            self._append([mine])

    def _append(self, batch: Sequence[_Waiting]) -> None:
        committed = self._commit(batch)
        self._tree = committed.tree
        self._make_witnessed(committed)
        for each, outcome in zip(batch, committed.outcomes, strict=True):
            if isinstance(outcome, RequestRefused):
                each.refused = outcome
            else:
                each.index = outcome

    def _commit(self, batch: Sequence[_Waiting]) -> _Committed:
        notes: list[str] = []
        outcomes: list[int | RequestRefused] = []
        with self._database.writing(f"ledger {self._origin}") as connection:
            tree = self._current_tree(connection)
            for each in batch:
                try:
                    index, tree, note = self._insert(connection, tree, each)
                except RequestRefused as error:  # before anything of it was written: the others have no part in it
                    outcomes.append(error)
                    continue
                outcomes.append(index)
                notes += [note] if note else []
        return _Committed(tree, tuple(notes), tuple(outcomes))

    def _insert(self, connection: Connection, tree: Tree, asked: _Waiting) -> tuple[int, Tree, str]:
        """Insert one entry; return its index, the tree with it, and its checkpoint ("" where it was there before)."""
        key, content = asked.key, asked.content
        earlier = connection.execute(
            select(entries.c.position, _blob(entries.c.content_sha256)).where(entries.c.key == key)
        ).all()
        for row in earlier:
            if bytes(row.content_sha256) == content and row.position < tree.size:
                return row.position, tree, ""
        attempt = len(earlier) + 1
        body = self._body(asked.entry, key, attempt)
        index = tree.size
        tree, completed = tree.grown(leaf_hash(body))
        note = self._sign(tree)
        connection.execute(
            insert(entries).values(position=index, key=key, attempt=attempt, content_sha256=content, body=body)
        )
        connection.execute(
            insert(nodes),
            [{"level": node.level, "position": node.position, "digest": node.digest} for node in completed],
        )
        connection.execute(insert(checkpoints).values(size=tree.size, root=tree.root(), note=note))
        return index, tree, note

    def _body(self, entry: Mapping[str, object], key: str, attempt: int) -> bytes:
        at = time_text(self._clock.now())
        body = canonical_json({**entry, "at": at, "attempt": attempt, "key": key})
        if len(body) > MAX_ENTRY_BYTES:
            raise RequestRefused(
                "GL-LEDGER-002",
                f"a ledger entry has {len(body)} bytes, at most {MAX_ENTRY_BYTES} are allowed; nothing was written.",
                "put content into the vault and only its digest into the entry.",
            )
        return body

    def _sign(self, tree: Tree) -> str:
        return sign_checkpoint(Checkpoint(self._origin, tree.size, tree.root()), self._private_key)

    def _current_tree(self, connection: Connection) -> Tree:
        size = connection.execute(select(func.coalesce(func.max(checkpoints.c.size), 0))).scalar_one()
        if self._tree is None or self._tree.size != size:
            self._tree = self._load_tree(connection, size)
        return self._tree

    def _load_tree(self, connection: Connection, size: int) -> Tree:
        """Read the tree and hold it against what was signed here and what the witness remembers."""
        tree = Tree(size, _peaks(connection, size))
        if _count(connection) != size:
            raise _tampered(f"{_count(connection)} entries are stored, {size} were signed")
        if size:
            stated = self._open(_note_of(connection, size))
            if stated.size != size or stated.root != tree.root():
                raise _tampered(f"the stored tree of {size} entries has another root than the one that was signed")
        newest = self._witness.newest(self._origin)
        if newest is not None:
            self._require_continues(connection, size, self._open(newest))
        return tree

    def _open(self, note: str) -> Checkpoint:
        found = parse_checkpoint(note)
        if found.origin != self._origin:
            raise OperatorError(
                "GL-LEDGER-011",
                f"this database holds the ledger {found.origin!r}, not {self._origin!r}.",
                "give each region a database of its own, and never rename a ledger.",
            )
        return open_checkpoint(note, self.verifier_key)

    def _require_continues(self, connection: Connection, size: int, witnessed: Checkpoint) -> None:
        if witnessed.size > size:
            raise _tampered(f"{witnessed.size} entries were witnessed, only {size} are stored: it was rolled back")
        if witnessed.size:
            own = parse_checkpoint(_note_of(connection, witnessed.size))
            if (own.size, own.root) != (witnessed.size, witnessed.root):
                raise _tampered(f"its first {witnessed.size} entries are not those that were witnessed")

    def _make_witnessed(self, committed: _Committed) -> None:
        if self._witnessed is None:
            newest = self._witness.newest(self._origin)
            self._witnessed = parse_checkpoint(newest).size if newest is not None else 0
        size = committed.tree.size
        if committed.notes and self._witnessed == size - len(committed.notes):
            self._witness.keep(*committed.notes)
            self._witnessed = size
        while self._witnessed < size:  # of other processes, or of one that died before it could
            missing = self.checkpoints(self._witnessed)
            if not missing:
                raise _tampered(f"the checkpoints after {self._witnessed} entries are gone")
            self._witness.keep(*(checkpoint.note for checkpoint in missing))
            self._witnessed = missing[-1].size


def _content(entry: Mapping[str, object]) -> bytes:
    taken = RESERVED.intersection(entry)
    if taken:
        raise RequestRefused(
            "GL-LEDGER-001",
            f"a ledger entry can't bring its own `{min(taken)}`: the ledger adds it.",
            "use another field name.",
        )
    return hashlib.sha256(canonical_json(entry)).digest()


def _blob(column: Column[bytes]) -> Label[bytes]:
    # SQLite lets whoever changes a file put text where bytes were: read it as bytes, so that it is found, not a crash.
    return cast(column, LargeBinary).label(column.name)


def _count(connection: Connection) -> int:
    # Positions are dense from 0 (the sequencer sees to it), so the last one tells; verification looks at all of them.
    last = connection.execute(select(func.max(entries.c.position))).scalar_one_or_none()
    return 0 if last is None else int(last) + 1


def _checkpoints(connection: Connection, after: int, limit: int) -> Sequence[SignedCheckpoint]:
    query = select(checkpoints.c.size, checkpoints.c.note).where(checkpoints.c.size > after)
    query = query.order_by(checkpoints.c.size).limit(max(0, min(limit, MAX_PAGE)))
    return [SignedCheckpoint(row.size, row.note) for row in connection.execute(query)]


def _note_of(connection: Connection, size: int) -> str:
    found = connection.execute(select(checkpoints.c.note).where(checkpoints.c.size == size)).scalar_one_or_none()
    if found is None:
        raise _tampered(f"its checkpoint of {size} entries is gone")
    return str(found)


def _peaks(connection: Connection, size: int) -> tuple[bytes, ...]:
    places = list(peak_places(size))
    if not places:
        return ()
    wanted = or_(*(and_(nodes.c.level == level, nodes.c.position == position) for level, position in places))
    query = select(nodes.c.level, _blob(nodes.c.digest)).where(wanted)
    found = {row.level: bytes(row.digest) for row in connection.execute(query)}
    if len(found) != len(places):
        raise _tampered(f"tree nodes of {size} entries are missing")
    return tuple(found[level] for level, _ in places)


def _node(connection: Connection, level: int, position: int) -> bytes:
    query = select(_blob(nodes.c.digest)).where(nodes.c.level == level, nodes.c.position == position)
    digest = connection.execute(query).scalar_one_or_none()
    if digest is None:
        raise IntegrityError(
            "GL-LEDGER-004",
            f"there is no proof: the subtree of {1 << level} entries from {position << level} is not complete here.",
            "ask for sizes up to that of the newest checkpoint.",
        )
    return bytes(digest)


def _tampered(what: str) -> IntegrityError:
    return IntegrityError(
        "GL-LEDGER-005",
        f"the stored ledger is not the one that was signed: {what}. Nothing was appended.",
        "stop the cell, keep a copy of both databases, run `greylag ledger verify`, restore the newest backup.",
    )
