"""The law in force in a running platform: read at start, and read again when the operator's own facts change."""

import logging
import threading
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from greylag.app.install.law.lawbook import fact_files, read_world
from greylag.app.install.law.worlds import keep_world
from greylag.app.settings import Settings
from greylag.domain.clock import Clock
from greylag.domain.errors import GreylagError
from greylag.governance.facts import FactBase, stale
from greylag.governance.policy import CedarPolicy
from greylag.governance.question import Question, Verdict
from greylag.governance.world import World

_LOOK_SECONDS = 1.0
#: How many overdue rows the log names.
_NAMED = 5

_log = logging.getLogger(__name__)


class LivePolicy:
    """Answers by the newest world that could be read; each world is kept before the first decision under it.

    A fact file that can't be used changes nothing: the world before it goes on deciding, and `problem` says why, as
    the log does. Raises OperatorError from the constructor where the first world can't be read.
    """

    def __init__(self, settings: Settings, home: Path, own: Sequence[tuple[str, str]], clock: Clock) -> None:
        self._settings = settings
        self._home = home
        self._own = tuple(own)
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = time.monotonic()
        self._seen = self._signature()
        self.problem = ""
        self._world, self._policy = self._read()

    @property
    def world(self) -> World:
        """The world that decides now."""
        return self._world

    @property
    def policy(self) -> CedarPolicy:
        """The policy of that world."""
        self._look()
        return self._policy

    def facts_today(self) -> FactBase:
        """Return the facts valid and known today."""
        return self.policy.facts_on(self._today())

    def decide(self, question: Question) -> Verdict:
        """Return the verdict on ``question``; never raises for what a question may contain."""
        return self.policy.decide(question)

    def _look(self) -> None:
        if time.monotonic() - self._looked_at < _LOOK_SECONDS or not self._lock.acquire(blocking=False):
            return
        try:
            self._looked_at = time.monotonic()
            signature = self._signature()
            if signature != self._seen:
                self._seen = signature
                self._world, self._policy = self._read()
                self.problem = ""
                _log.info("the facts changed: decisions are made under %s now", self._world.version)
        except (GreylagError, OSError) as error:
            self.problem = str(error)
            if isinstance(error, OSError) or error.code == "GL-WORLD-004":
                self._seen = ()  # no room to keep it: the file is fine, and is looked at again
            _log.error("the facts changed and can't be used, so nothing changes: %s", error)
        finally:
            self._lock.release()

    def _read(self) -> tuple[World, CedarPolicy]:
        today = self._today()
        world = read_world(self._settings, self._home, own=self._own, today=today)
        policy = world.policy(today=today)
        overdue = [row.row for row in stale(world.book, today)]
        if overdue:
            _log.warning(
                "GL-FACTS-012: %d fact rows are past review and count as unchecked: %s; next: greylag facts stale",
                len(overdue), ", ".join(overdue[:_NAMED]),
            )  # fmt: skip
        keep_world(self._home, world)
        return world, policy

    def _today(self) -> date:
        return self._clock.now().date()

    def _signature(self) -> tuple[tuple[str, int, int], ...]:
        return tuple(_stat(path) for path in fact_files(self._home))


def _stat(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size
