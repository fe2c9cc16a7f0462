"""What a decision costs to keep: writing it where it can't be changed unseen. Asking is in `replaying`."""

import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.measuring import Figure, Machine, rounds
from greylag.adapters.store.opening import open_cell, open_control
from greylag.app.install.clock import SystemClock

_APPENDS = 50
_ENTRY: dict[str, object] = {
    "kind": "decision", "decision_id": "", "task_id": "task_0123456789abcdefghjkmnpqrs", "stage": "prompt",
    "region": "local", "principal": "agent:run_0123456789abcdefghjkmnpqrs", "action": "send", "permitted": True,
    "rules": ["prompt-to-endpoint-in-region"], "digest": "sha256:" + "0" * 64,
}  # fmt: skip


def measure_ledger(machine: Machine, quick: bool) -> list[Figure]:
    """One durable entry in the ledger, beside one bare durable row of the same size in SQLite."""
    with tempfile.TemporaryDirectory(prefix="glbench-") as name:
        folder = Path(name)
        control = open_control(f"sqlite:///{folder / 'control.db'}")
        ledger = open_cell(
            f"sqlite:///{folder / 'ledger.db'}", private_key=Ed25519PrivateKey.generate(), origin="bench/local",
            clock=SystemClock(), witness=control.witness,
        )  # fmt: skip
        bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
        bare.execute("PRAGMA journal_mode=WAL")
        bare.execute("PRAGMA synchronous=FULL")
        bare.execute("CREATE TABLE entry (position INTEGER PRIMARY KEY, body BLOB)")
        count = [0]

        def append() -> None:
            count[0] += 1
            ledger.append({**_ENTRY, "decision_id": f"dec_{count[0]}"}, key=f"dec_{count[0]}")

        def insert() -> None:
            bare.execute("INSERT INTO entry (body) VALUES (?)", (b"x" * 400,))

        taken = rounds(machine, 5 if quick else 15, {"ledger": _each(append, _APPENDS), "row": _each(insert, _APPENDS)})
        bare.close()
        ledger.close()
        control.close()
    note = "an entry is hashed into the tree, signed, and its checkpoint kept in a second database by the witness"
    return [Figure("ledger append", "ms", taken["ledger"], "one fsynced SQLite row", taken["row"], note=note)]


def _each(work: Callable[[], None], count: int) -> Callable[[], float]:
    """Return a subject that does ``work`` ``count`` times and answers the milliseconds of one."""

    def run() -> float:
        begun = time.perf_counter()
        for _ in range(count):
            work()
        return (time.perf_counter() - begun) * 1000 / count

    return run
