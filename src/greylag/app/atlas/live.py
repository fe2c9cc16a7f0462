"""The map of a running platform: what was read stays, and only what is new in the ledger is read."""

import threading

from greylag.adapters.store.port import LedgerStore
from greylag.app.atlas.reading import Entries, people_of
from greylag.app.platform import Platform
from greylag.governance.datamap import DataMap, Limits, Query, Trails, map_of
from greylag.governance.facts import FactBase

_LIMITS = Limits(trails=200_000, steps=200_000)


class LiveMap:
    """Follows one ledger. Thread-safe: one reads on, the others wait for it."""

    def __init__(self, ledger: LedgerStore) -> None:
        self._ledger = ledger
        self._trails = Trails(limits=_LIMITS)
        self._next = 0
        self._lock = threading.Lock()

    def answer(self, platform: Platform, query: Query, facts: FactBase) -> DataMap:
        """Return the map of everything in the ledger by now, for ``query`` and by ``facts``."""
        with self._lock:
            entries = Entries(self._ledger, start=self._next)
            self._trails.feed(entries)
            self._next = entries.next
            return map_of(self._trails, facts, query, people_of(platform.directory))
