"""Recorded decisions and the worlds they were made in, read from a home folder without a running platform."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson

from greylag.adapters.store.opening import Control
from greylag.adapters.store.port import LedgerStore
from greylag.app.install.law.worlds import read_world
from greylag.domain.errors import GreylagError, IntegrityError, RequestRefused
from greylag.domain.states import BuildStatus
from greylag.domain.task import Task
from greylag.governance.decision import Decision, decision_from
from greylag.governance.policy import Pack
from greylag.governance.whatif import Changed, Drill, LiveThings, Pair, apply

#: How many worlds are kept ready at once, each with and without the drill.
MAX_WORLDS = 8
#: How many of the newest tasks are looked at for stored builds.
MAX_TASKS = 10_000
_PAGE = 1000
_TASK_PAGE = 500


@dataclass(frozen=True, slots=True)
class Selection:
    """Which recorded decisions: asked on ``since`` or later, about ``repository``; None and empty mean any."""

    since: date | None = None
    repository: str = ""

    def takes(self, entry: Mapping[str, object]) -> bool:
        """Whether a ledger entry is a decision that is wanted."""
        if entry.get("kind") != "decision":
            return False
        if self.since is not None and str(entry.get("asked_on", entry.get("at", "")))[:10] < self.since.isoformat():
            return False
        return not self.repository or entry.get("repository") == self.repository


def recorded(
    ledger: LedgerStore, selection: Selection, end: int, progress: Callable[[int, int], None] | None = None
) -> Iterator[Decision]:
    """Yield the selected decisions among the first ``end`` entries, in order, one page in memory at a time.

    Raises IntegrityError ``GL-DECISION-001`` for a decision of an older version or another shape.
    """
    start = 0
    while start < end and (page := ledger.entries(start, min(_PAGE, end - start))):
        for entry in page:
            body = _decoded(entry.body)
            if selection.takes(body):
                yield decision_from(body)
        start = page[-1].index + 1
        if progress is not None:
            progress(start, end)


def newest_version(ledger: LedgerStore) -> str:
    """Return the world of the newest decision. Raises RequestRefused ``GL-WHATIF-005`` where there is none yet."""
    end = ledger.size()
    while end > 0:
        start = max(0, end - _PAGE)
        for entry in reversed(ledger.entries(start, end - start)):
            body = _decoded(entry.body)
            if body.get("kind") == "decision":
                return str(body.get("policy_version"))
        end = start
    raise nothing_recorded()


def nothing_recorded() -> RequestRefused:
    """Return the error ``GL-WHATIF-005``."""
    return RequestRefused(
        "GL-WHATIF-005", "the ledger holds no decision that was asked for.",
        "ask for something first, take a wider selection, or try `greylag whatif example FOLDER`.",
    )  # fmt: skip


class Pairs:
    """Recorded worlds before and after a drill, read when first asked for; the last `MAX_WORLDS` are kept.

    ``drill`` None: the world as it is, twice.
    """

    def __init__(self, home: Path, drill: Drill | None, library: Mapping[str, Pack], today: date) -> None:
        self._home = home
        self._drill = drill
        self._library = library
        self._today = today
        self._kept: OrderedDict[str, Pair] = OrderedDict()

    def pair(self, version: str, *, strict: bool = False) -> Pair:
        """Return the world of ``version``, before and after. With ``strict`` everything the drill names must be there.

        Raises IntegrityError ``GL-WORLD-001`` … ``GL-WORLD-003``, RequestRefused ``GL-WHATIF-003`` and
        ``GL-WHATIF-004``.
        """
        found = self._kept.get(version)
        if found is None:
            found = self._kept[version] = self._made(version, strict)
            while len(self._kept) > MAX_WORLDS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(version)
        return found

    def _made(self, version: str, strict: bool) -> Pair:
        world = read_world(self._home, version)
        before = world.policy(today=self._today)
        if self._drill is None:
            return Pair(before, before, Changed(world))
        changed = apply(world, self._drill, self._library, today=self._today, strict=strict)
        try:
            return Pair(before, changed.world.policy(today=self._today, drill=True), changed)
        except GreylagError as error:
            raise RequestRefused(
                "GL-WHATIF-004",
                f"drill {self._drill.name!r} makes a world that can't decide: {error.code}: {error.message}",
                "correct the drill file.",
            ) from error


def live_things(control: Control, region: str) -> LiveThings:
    """Return what is under way and in use: tasks that have not ended, stored builds, what is live where."""
    tasks = {str(task.task_id): str(task.status) for task in _unclosed(control, region) if not task.ended}
    builds = {
        build.artifact.digest: f"{build.name} of {task.task_id}"
        for task in _newest(control)
        for build in task.builds
        if build.status is not BuildStatus.SUPERSEDED
    }
    environments = {}
    for repository in control.directory.repositories():
        for environment in repository.environments:
            live = control.deployments.live(repository.name, environment.name)
            if live is not None:
                name = f"environment:{repository.name}/{environment.name}"
                environments[name, live.digest] = f"live since {live.at.isoformat(timespec='minutes')}"
    return LiveThings(tasks, builds, environments)


def _unclosed(control: Control, region: str) -> Iterator[Task]:
    after = None
    while page := control.events.unclosed(region, limit=_TASK_PAGE, after=after):
        yield from page
        after = page[-1].task_id


def _newest(control: Control) -> Iterator[Task]:
    before = None
    for _ in range(0, MAX_TASKS, _TASK_PAGE):
        page = control.events.tasks(limit=_TASK_PAGE, before=before)
        yield from page
        if len(page) < _TASK_PAGE:
            return
        before = page[-1].task_id


def _decoded(body: bytes) -> Mapping[str, object]:
    try:
        entry = orjson.loads(body)
    except ValueError as error:
        raise _no_entry(str(error)) from error
    if not isinstance(entry, dict):
        raise _no_entry(f"got/expected: {type(entry).__name__}/an object")
    return entry


def _no_entry(why: str) -> IntegrityError:
    return IntegrityError(
        "GL-WHATIF-007", f"a ledger entry can't be read: {why[:200]}.", "run `greylag ledger verify`; it was changed."
    )
