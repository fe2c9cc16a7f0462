"""Opens the control plane's stores and a cell's ledger: the only place that puts them together."""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine

from greylag.adapters.store.backends.sql_chats import SqlChatStore
from greylag.adapters.store.backends.sql_deployments import SqlDeploymentStore
from greylag.adapters.store.backends.sql_directory import SqlDirectory
from greylag.adapters.store.backends.sql_events import SqlEventStore
from greylag.adapters.store.backends.sql_ledger import SqlLedgerStore
from greylag.adapters.store.backends.sql_threads import SqlThreadStore
from greylag.adapters.store.backends.sql_witness import SqlWitness
from greylag.adapters.store.database import Database, open_database
from greylag.adapters.store.migrate import CELL_LINEAGE, CONTROL_LINEAGE, Lineage, migrate
from greylag.adapters.store.port import Witness
from greylag.domain.clock import Clock


@dataclass(frozen=True, slots=True)
class Control:
    """The control plane's stores over one database. ``witness`` keeps the checkpoints of all cells' ledgers."""

    events: SqlEventStore
    threads: SqlThreadStore
    directory: SqlDirectory
    deployments: SqlDeploymentStore
    chats: SqlChatStore
    witness: SqlWitness
    engine: Engine

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def open_control(url: str) -> Control:
    """Open (and bring up to date) the control plane's database at ``url``.

    Raises OperatorError ``GL-STORE-006`` for a bad address, ``GL-STORE-007`` for a database from a newer program,
    BackendError ``GL-STORE-001`` where it can't be reached, IntegrityError ``GL-STORE-008`` where it is damaged.
    """
    database = _opened(url, CONTROL_LINEAGE)
    return Control(
        SqlEventStore(database), SqlThreadStore(database), SqlDirectory(database), SqlDeploymentStore(database),
        SqlChatStore(database), SqlWitness(database), database.engine,
    )  # fmt: skip


def open_cell(
    url: str, *, private_key: Ed25519PrivateKey, origin: str, clock: Clock, witness: Witness, schema: str = ""
) -> SqlLedgerStore:
    """Open (and bring up to date) a cell's database at ``url``; its ledger is called ``origin``. Raises as above.

    ``schema`` is a PostgreSQL schema of the cell's own, made where it is missing: several cells may share a database.
    """
    database = _opened(url, CELL_LINEAGE, schema)
    return SqlLedgerStore(database, private_key, origin, clock, witness)


def _opened(url: str, lineage: Lineage, schema: str = "") -> Database:
    database = open_database(url, schema)
    try:
        migrate(database, lineage)
    except BaseException:
        database.close()
        raise
    return database
