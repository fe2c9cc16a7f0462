"""Following assets through the ledger in one pass, with memory bounded by what is followed.

One trail is one asset at one target. A trail remembers when it was there, what was seen of it and its latest hops; what
does not fit is counted, so that a map can say what it leaves out.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from greylag.domain.labels import Label
from greylag.governance.datamap.records import Decided, Declassified, Entry, Observed, read_entry
from greylag.governance.datamap.values import AssetName, Query
from greylag.governance.question import Target
from greylag.governance.subjects import MORE

#: Outcomes by which bytes are known to have arrived, and those by which they are known not to have left.
ARRIVED = frozenset(
    {
        "sent", "stored", "fetched", "posted", "pushed", "merged", "deployed", "restored", "delivered", "received",
        "checked_out", "placed", "written", "exported", "done",
    }
)  # fmt: skip
NOT_LEFT = frozenset({"not_sent", "cancelled", "refused"})
ERASED = frozenset({"erased", "deleted"})
_ERASING = ("erase", "delete")
_KEPT_DECISIONS = 8
_KEPT_STEPS = 32
_KEPT_PEOPLE = 128

Shared = TypeVar("Shared")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is followed: trails, hops over all trails, decisions that still wait for their outcome, other tables."""

    trails: int = 300_000
    steps: int = 300_000
    waiting: int = 200_000
    names: int = 200_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What many hops share, kept once: how, by whom, from where, and with which answer."""

    stage: str
    action: str
    principal: str
    origin: str
    permitted: bool
    rules: tuple[str, ...]
    moves: bool
    reads: bool
    own: bool


class Hopped:
    """One hop on a trail; ``outcome`` and ``place`` are filled when the ledger tells. ``number`` counts from 1."""

    __slots__ = ("at", "decision_id", "number", "outcome", "place", "shape")

    def __init__(self, decided: Decided, shape: Shape, number: int) -> None:
        self.at = decided.at
        self.decision_id = decided.decision_id
        self.shape = shape
        self.number = number
        self.outcome = ""
        self.place = ""


class Trail:
    """One asset at one target, as far as the ledger has been read. ``flows`` counts by (stage, origin)."""

    __slots__ = (
        "arrived", "decisions", "digest", "first", "flows", "kind", "label", "last", "left", "place", "principals",
        "region", "repository", "steps", "subjects", "target", "task_id", "times",
    )  # fmt: skip

    def __init__(self, decided: Decided) -> None:
        self.kind = decided.kind
        self.digest = decided.digest
        self.task_id = decided.task_id
        self.repository = "" if decided.task_id else decided.repository
        self.target: Target = decided.target
        self.label: Label = decided.label
        self.region = decided.region
        self.first = self.last = decided.at
        self.times = self.left = 0  # permitted moves, and those of them which are not known to have stayed
        self.arrived = False
        self.place = ""
        # Tuples, as nearly every trail has one of each: a million of them have to fit.
        self.decisions: tuple[str, ...] = ()
        self.subjects: tuple[str, ...] = ()
        self.principals: tuple[str, ...] = ()
        self.steps: tuple[Hopped, ...] = ()
        self.flows: tuple[tuple[tuple[str, str], int, int, int], ...] = ()  # permitted, refused, arrived

    @property
    def located(self) -> bool:
        """Whether the asset was let go to the target and is not known to have stayed."""
        return self.left > 0

    @property
    def crowded(self) -> bool:
        """Whether the asset names more people than its marks tell."""
        return MORE in self.subjects

    def names_any(self, people: frozenset[str]) -> bool:
        """Whether one of ``people`` is a subject of the asset, or asked for one of its hops other than a reading."""
        return not people.isdisjoint(self.subjects) or not people.isdisjoint(self.principals)

    def count(self, way: tuple[str, str], *, permitted: int = 0, refused: int = 0, arrived: int = 0) -> None:
        """Add hops by ``way``, a stage and an origin."""
        for index, (name, p, r, a) in enumerate(self.flows):
            if name == way:
                changed = (name, p + permitted, r + refused, a + arrived)
                self.flows = (*self.flows[:index], changed, *self.flows[index + 1 :])
                return
        self.flows = (*self.flows, (way, permitted, refused, arrived))


@dataclass(frozen=True, slots=True)
class Erasure:
    """That what ``scope`` names was erased at ``target`` at ``at``; ``seen`` where an outcome confirms it."""

    target: Target
    at: str
    seen: bool


class Trails:
    """What the ledger says, entry by entry. Feed it in order; it can be asked at any time and fed further.

    ``only`` narrows to one task or repository while reading, which bounds memory; people are looked for afterwards.
    """

    def __init__(self, only: Query | None = None, limits: Limits | None = None) -> None:
        self._only = only or Query()
        self._limits = limits or Limits()
        self._trails: dict[tuple[str, str, str, Target], Trail] = {}
        self._waiting: OrderedDict[str, tuple[Trail | None, Hopped]] = OrderedDict()
        self._erasing: dict[str, Decided] = {}
        self._pool: dict[object, object] = {}
        self._steps = 0
        self.entries = self.unread = self.untracked = self.older_steps = self.unmatched = 0
        self.overflow: dict[tuple[str, str, str, Target, bool], list[int]] = {}
        self.repository_of: dict[str, str] = {}
        self.retained: dict[tuple[str, Target], int] = {}
        self.erasures: dict[tuple[str, str], Erasure] = {}
        self.declassified: deque[Declassified] = deque(maxlen=10_000)

    def feed(self, entries: Iterable[Entry]) -> None:
        """Take further entries, in the ledger's order."""
        for entry in entries:
            self.entries += 1
            record = read_entry(entry)
            if isinstance(record, Decided):
                self._decided(record)
            elif isinstance(record, Observed):
                self._observed(record)
            elif isinstance(record, Declassified):
                self.declassified.append(record)
            else:
                self.unread += 1

    def trails(self, query: Query) -> Iterator[Trail]:
        """Yield the trails that ``query`` asks for."""
        for trail in self._trails.values():
            if self._asked_for(query, trail) and (not query.people or trail.names_any(query.people)):
                yield trail

    def asset(self, trail: Trail) -> AssetName:
        """Return what ``trail`` is about, with its repository also where that became known only later."""
        repository = trail.repository or self.repository_of.get(trail.task_id, "")
        return AssetName(trail.kind, trail.digest, trail.task_id, repository)

    def _asked_for(self, query: Query, trail: Trail) -> bool:
        if query.task_id and trail.task_id != query.task_id:
            return False
        known = trail.repository or self.repository_of.get(trail.task_id, "")
        return not query.repository or known == query.repository

    def _skipped(self, decided: Decided) -> bool:
        only = self._only
        if only.task_id and decided.task_id != only.task_id:
            return True
        known = decided.repository or self.repository_of.get(decided.task_id, "")
        return bool(only.repository and known and known != only.repository)

    def _decided(self, decided: Decided) -> None:
        if decided.task_id and decided.repository and len(self.repository_of) < self._limits.names:
            self.repository_of.setdefault(decided.task_id, decided.repository)
        if self._skipped(decided):
            return
        if decided.decision_id in self._waiting:  # asked again under the same id: the hop is there already
            again = self._waiting[decided.decision_id][0]
            if again is not None:
                again.last = max(again.last, decided.at)
            return
        hop = Hopped(decided, self._shape(decided), self.entries)
        trail = self._trail(decided)
        if trail is None:
            self.overflow.setdefault(_flow_key(decided), [0, 0, 0])[not decided.permitted] += 1
        else:
            self._walked(trail, decided, hop)
        if decided.stage == "retain":
            self._retained(decided)
        self._waiting[decided.decision_id] = (trail, hop)
        if len(self._waiting) > self._limits.waiting:
            self._erasing.pop(self._waiting.popitem(last=False)[0], None)

    def _shape(self, decided: Decided) -> Shape:
        return self._shared(
            Shape(
                decided.stage, decided.action, decided.principal, decided.origin, decided.permitted, decided.rules,
                moves(decided), reads(decided), not decided.task_id,
            )
        )  # fmt: skip

    def _shared(self, value: Shared) -> Shared:
        """Return the one object that stands for all equal to ``value``, so that each is kept once."""
        found = self._pool.get(value)
        if found is None:
            if len(self._pool) >= self._limits.names:
                self._pool.clear()
            self._pool[value] = found = value
        return found  # type: ignore[return-value]  # equal to a value of this type, and put in as one

    def _trail(self, decided: Decided) -> Trail | None:
        home = decided.task_id or f"repository:{decided.repository}"
        target = self._shared(decided.target)
        found = self._trails.get((decided.kind, decided.digest, home, target))
        if found is None:
            if len(self._trails) >= self._limits.trails:
                self.untracked += 1
                if len(self.overflow) >= self._limits.names:
                    self.overflow.pop(next(iter(self.overflow)))
                return None
            found = Trail(decided)
            found.target, found.label = target, self._shared(decided.label)
            found.kind, found.region = self._shared(decided.kind), self._shared(decided.region)
            found.task_id = self._shared(decided.task_id)
            home = found.task_id or home
            self._trails[found.kind, found.digest, home, target] = found
        return found

    def _walked(self, trail: Trail, decided: Decided, hop: Hopped) -> None:
        way = self._shared((decided.stage, decided.origin))
        trail.count(way, permitted=decided.permitted, refused=not decided.permitted)
        trail.last = max(trail.last, decided.at)
        if not hop.shape.reads and hop.shape.principal not in trail.principals and len(trail.principals) < _KEPT_PEOPLE:
            trail.principals = self._shared((*trail.principals, hop.shape.principal))
        new = [mark for mark in decided.subjects if mark not in trail.subjects]
        if new:
            trail.subjects = self._shared((*trail.subjects, *new)[:_KEPT_PEOPLE])
        if decided.permitted and hop.shape.moves:
            trail.times += 1
            trail.left += 1
            trail.label = self._shared(decided.label)
            if len(trail.decisions) < _KEPT_DECISIONS:
                trail.decisions = (*trail.decisions, decided.decision_id)
        self._keep_step(trail, hop)

    def _keep_step(self, trail: Trail, hop: Hopped) -> None:
        if len(trail.steps) >= _KEPT_STEPS:
            self.older_steps += 1
            trail.steps = (*trail.steps[1:], hop)
        elif self._steps >= self._limits.steps:
            self.older_steps += 1
        else:
            self._steps += 1
            trail.steps = (*trail.steps, hop)

    def _retained(self, decided: Decided) -> None:
        """Note a decided retention or erasure; a refused retention erases at once (what the platform then does)."""
        if decided.action.startswith("retain-"):
            days = decided.action.removeprefix("retain-").removesuffix("-days")
            if decided.permitted and days.isascii() and days.isdigit() and len(self.retained) < self._limits.names:
                self.retained[decided.task_id, decided.target] = int(days[:6])
            if decided.permitted:
                return
        elif not decided.permitted or not decided.action.startswith(_ERASING):
            return
        else:
            self._erasing[decided.decision_id] = decided
        self._erased(decided, seen=False)

    def _erased(self, decided: Decided, *, seen: bool) -> None:
        if len(self.erasures) < self._limits.names:
            self.erasures[_scope(decided)] = Erasure(decided.target, decided.at, seen)

    def _observed(self, observed: Observed) -> None:
        found = self._waiting.pop(observed.decision_id, None)
        if found is None:
            self.unmatched += not (self._only.task_id or self._only.repository)
            return
        trail, hop = found
        hop.outcome, hop.place = self._shared(observed.outcome), self._shared(observed.place)
        erasing = self._erasing.pop(observed.decision_id, None)
        if erasing is not None and observed.outcome in ERASED:
            self._erased(erasing, seen=True)
        if trail is None or not hop.shape.permitted or not hop.shape.moves:
            return
        if observed.outcome in NOT_LEFT:
            trail.left -= 1
        elif observed.outcome in ARRIVED:
            trail.arrived = True
            trail.count(self._shared((hop.shape.stage, hop.shape.origin)), arrived=1)
        if observed.place:
            trail.place = hop.place


def reads(decided: Decided) -> bool:
    """Whether somebody got to know what stayed where it was: a person's reading from a store."""
    return decided.stage == "trace" and decided.target.kind == "store"


def moves(decided: Decided) -> bool:
    """Whether a permitted decision lets the asset go to the target, rather than being read, chosen for, or kept."""
    if reads(decided) or (decided.stage == "placement" and decided.target.kind != "pool"):
        return False
    return not (decided.stage == "retain" and decided.action.startswith(("retain", *_ERASING)))


def _scope(decided: Decided) -> tuple[str, str]:
    """Return what an erasure covers: a whole task or repository, one person's data, or one content."""
    if decided.kind == "task":
        return "task", decided.task_id
    if decided.kind == "repository":
        return "repository", decided.repository
    if decided.kind == "person" and decided.subjects:
        return "person", decided.subjects[0]
    return "digest", f"{decided.task_id}/{decided.digest}"


def erasure_of(trails: Trails, trail: Trail) -> Erasure | None:
    """Return the erasure that covers ``trail``, None for none: at its target, and not before it was last there."""
    if not trails.erasures:
        return None
    asset = trails.asset(trail)
    scopes = [
        ("task", asset.task_id), ("repository", asset.repository), ("digest", f"{asset.task_id}/{asset.digest}"),
        *(("person", mark) for mark in trail.subjects),
    ]  # fmt: skip
    for scope in scopes:
        found = trails.erasures.get(scope) if scope[1] else None
        if found is not None and found.target == trail.target and found.at >= trail.last:
            return found
    return None


def _flow_key(decided: Decided) -> tuple[str, str, str, Target, bool]:
    return decided.stage, decided.kind, decided.origin, decided.target, not decided.task_id
