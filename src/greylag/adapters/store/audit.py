"""Verification of a cell's stored ledger against all checkpoints that it and its witness hold."""

from collections.abc import Callable, Iterator, Sequence

from greylag.adapters.store.port import LedgerStore, SignedCheckpoint, Witness
from greylag.governance.ledger.checkpoint import VerifierKey
from greylag.governance.ledger.verification import LedgerReport, verify_log

_PAGE = 1_000


def audit_ledger(ledger: LedgerStore, witness: Witness, key: VerifierKey) -> LedgerReport:
    """Read the whole ledger and compare it with every signed checkpoint that is known. Changes nothing.

    ``key`` should come from outside the cell (it was published when the ledger was made), not from its database.
    """
    newest = ledger.checkpoint()
    return verify_log(_bodies(ledger), newest, key, _checkpoints(ledger, witness, key.name))


def _bodies(ledger: LedgerStore) -> Iterator[bytes]:
    start = 0
    while page := ledger.entries(start, _PAGE):
        yield from (entry.body for entry in page)
        start = page[-1].index + 1


def _checkpoints(ledger: LedgerStore, witness: Witness, origin: str) -> Iterator[str]:
    yield from _paged(ledger.checkpoints)
    yield from _paged(lambda after, limit: witness.checkpoints(origin, after, limit))


def _paged(read: Callable[[int, int], Sequence[SignedCheckpoint]]) -> Iterator[str]:
    after = 0
    while page := read(after, _PAGE):
        yield from (checkpoint.note for checkpoint in page)
        after = page[-1].size
