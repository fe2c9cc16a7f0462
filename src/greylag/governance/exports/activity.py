"""What the ledger says was done with data, added up in one pass: the ground for every register."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from greylag.domain.labels import Label
from greylag.governance.datamap import Decided, Declassified, read_entry
from greylag.governance.datamap.trails import moves
from greylag.governance.question import Target

_KEPT = 5
_MOST_USES = 50_000
_MOST_WAITING = 50_000


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since`` to before ``until``, as days (``2026-01-31``) or times in UTC; empty is open."""

    since: str = ""
    until: str = ""

    def holds(self, at: str) -> bool:
        """Whether a ledger's time lies in it; texts of this form order as they stand."""
        return self.since <= at and (not self.until or at < self.until)


@dataclass(frozen=True, slots=True)
class Use:
    """All decisions at one stage for one repository, one label and one target, added up.

    ``label`` has no derivations; ``subjects`` in it is the largest estimate seen. ``moved`` tells what went there (or
    was refused to) from readings, choices and retention. ``decisions`` and ``denials`` are the first few ids.
    """

    repository: str
    stage: str
    target: Target
    label: Label
    moved: bool
    kinds: tuple[str, ...]
    permitted: int
    refused: int
    first: str
    last: str
    decisions: tuple[str, ...]
    denials: tuple[str, ...]
    facts: tuple[str, ...]
    retain_days: int | None


@dataclass(frozen=True, slots=True)
class Activity:
    """The uses of a period, and how many decisions did not fit in (0: all did)."""

    period: Period
    uses: tuple[Use, ...]
    declassified: tuple[Declassified, ...]
    left_out: int
    unread: int


class _Sum:
    __slots__ = ("days", "decisions", "denials", "facts", "first", "kinds", "last", "permitted", "refused", "subjects")

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.permitted = self.refused = self.subjects = 0
        self.first = self.last = ""
        self.decisions: list[str] = []
        self.denials: list[str] = []
        self.facts: set[str] = set()
        self.days: int | None = None

    def add(self, decided: Decided) -> None:
        if len(self.kinds) < 64:
            self.kinds.add(decided.kind)
        ids = self.decisions if decided.permitted else self.denials
        if len(ids) < _KEPT:
            ids.append(decided.decision_id)
        self.permitted += decided.permitted
        self.refused += not decided.permitted
        self.subjects = max(self.subjects, decided.label.subjects)
        self.first = min(self.first or decided.at, decided.at)
        self.last = max(self.last, decided.at)
        if len(self.facts) < 64:
            self.facts.update(decided.facts)
        days = decided.action.removeprefix("retain-").removesuffix("-days")
        if decided.stage == "retain" and decided.permitted and days.isascii() and days.isdigit():
            self.days = int(days[:6])


_Key = tuple[str, str, Target, Label, bool]


class _Gathering:
    """Adds up; a decision whose task has no repository yet waits until the task gets one."""

    def __init__(self, period: Period, repository: str) -> None:
        self.period = period
        self.repository = repository
        self.sums: dict[_Key, _Sum] = {}
        self.home: OrderedDict[str, str] = OrderedDict()
        self.waiting: OrderedDict[str, list[Decided]] = OrderedDict()
        self.declassified: list[Declassified] = []
        self.left_out = self.unread = 0

    def take(self, decided: Decided) -> None:
        if not self.period.holds(decided.at):
            return
        task, repository = decided.task_id, decided.repository
        if task and repository:
            self.home[task] = repository
            if len(self.home) > _MOST_WAITING:
                self.home.popitem(last=False)
            for earlier in self.waiting.pop(task, ()):
                self._count(earlier, repository)
        if task and not repository and task not in self.home:
            self.waiting.setdefault(task, []).append(decided)
            if len(self.waiting) > _MOST_WAITING:
                self._give_up(self.waiting.popitem(last=False)[1])
            return
        self._count(decided, repository or self.home.get(task, ""))

    def finish(self) -> None:
        for left in self.waiting.values():
            self._give_up(left)
        self.waiting.clear()

    def _give_up(self, decisions: Iterable[Decided]) -> None:
        for decided in decisions:
            self._count(decided, "")

    def _count(self, decided: Decided, repository: str) -> None:
        if self.repository and repository != self.repository:
            return
        label = decided.label
        bare = Label(label.level, label.classes, label.origins, label.regimes)
        key = (repository, decided.stage, decided.target, bare, moves(decided))
        found = self.sums.get(key)
        if found is None:
            if len(self.sums) >= _MOST_USES:
                self.left_out += 1
                return
            found = self.sums[key] = _Sum()
        found.add(decided)


def gather(entries: Iterable[dict[str, object]], period: Period | None = None, repository: str = "") -> Activity:
    """Return what ``entries`` (the ledger's, in order) say of a period and, where given, of one repository."""
    state = _Gathering(period or Period(), repository)
    for entry in entries:
        record = read_entry(entry)
        if isinstance(record, Decided):
            state.take(record)
        elif isinstance(record, Declassified):
            if state.period.holds(record.at) and len(state.declassified) < _MOST_USES:
                state.declassified.append(record)
        elif record is None:
            state.unread += 1
    state.finish()
    uses = [_use(key, each) for key, each in state.sums.items()]
    uses.sort(key=lambda use: (use.repository, use.stage, use.target.kind, use.target.name, use.first))
    return Activity(state.period, tuple(uses), tuple(state.declassified), state.left_out, state.unread)


def _use(key: _Key, each: _Sum) -> Use:
    repository, stage, target, label, moved = key
    return Use(
        repository=repository, stage=stage, target=target,
        label=Label(label.level, label.classes, label.origins, label.regimes, each.subjects), moved=moved,
        kinds=tuple(sorted(each.kinds)), permitted=each.permitted, refused=each.refused, first=each.first,
        last=each.last, decisions=tuple(each.decisions), denials=tuple(each.denials),
        facts=tuple(sorted(each.facts)), retain_days=each.days,
    )  # fmt: skip
