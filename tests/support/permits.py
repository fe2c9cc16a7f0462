"""Permits for tests, given by a real door over a policy that says yes and a ledger in memory."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime

from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.egress.door import Door
from greylag.egress.hop import Hop
from greylag.egress.permit import Permit
from greylag.governance.question import Asset, Question, Target, Verdict


class WallClock:
    """The real time and real entropy."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def entropy(self, size_bytes: int) -> bytes:
        return os.urandom(size_bytes)


class PermissivePolicy:
    """Says yes to everything."""

    def decide(self, question: Question) -> Verdict:
        return Verdict(True, ("test-permits-all",), (), (), (), "test")


class MemoryLedger:
    """Keeps entries in a list; the same key and entry again is the same index."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, object]]] = []

    def append(self, entry: Mapping[str, object], *, key: str) -> int:
        found = (key, dict(entry))
        if found not in self.entries:
            self.entries.append(found)
        return self.entries.index(found)


def permit(stage: Stage, target: str, digest: str = "") -> Permit:
    """Return a real permit for one hop."""
    door = Door(PermissivePolicy(), MemoryLedger(), WallClock(), "test")
    asset = Asset("test", Label("internal"), "test", digest)
    return door.admit(Hop(stage, "test", "send", asset, Target("test", target), key=f"{target}/{digest}"))
