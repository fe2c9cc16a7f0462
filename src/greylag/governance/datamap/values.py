"""What a data map says."""

from dataclasses import dataclass

from greylag.domain.labels import Label
from greylag.governance.datamap.records import Declassified
from greylag.governance.question import Target

#: How sure a place is. ``observed``: the platform saw the bytes arrive where it knows the place, or the other side
#: named the place in its reply. ``declared``: a decision and facts say so, nobody saw it. ``unknown``: no fact says.
OBSERVED, DECLARED, UNKNOWN_PLACE = "observed", "declared", "unknown"


@dataclass(frozen=True, slots=True)
class Query:
    """Whose data; an empty field does not narrow. ``people``: any of these subject marks or principals."""

    repository: str = ""
    task_id: str = ""
    people: frozenset[str] = frozenset()

    @property
    def everything(self) -> bool:
        """Whether this asks for the whole map."""
        return not (self.repository or self.task_id or self.people)


@dataclass(frozen=True, slots=True)
class AssetName:
    """One asset: its content's digest, or, where nothing has a digest yet, its kind within one task or repository."""

    kind: str
    digest: str
    task_id: str
    repository: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a target is and whose it is, by the facts of one day.

    ``places`` are names of places, ``residency`` codes of jurisdictions (``unknown`` and ``anywhere`` among them) where
    bytes are worked on or rest, ``reach`` those of everybody who can look or steer besides. ``control`` is who can
    compel it (``operator``: run by the operator). ``known`` is False where no row speaks of it, ``own`` True where the
    operator runs it. ``rows`` names the fact rows behind all this.
    """

    known: bool
    own: bool
    processor: str
    legal_entity: str
    sub_processors: tuple[str, ...]
    places: tuple[str, ...]
    residency: tuple[str, ...]
    reach: tuple[str, ...]
    control: tuple[str, ...]
    retention_days: int | None
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Located:
    """One asset at one target. ``evidence`` ∈ observed, declared, unknown, and ``observed_place`` as it was told.

    ``contradicted`` is True where the observed place is none of those the facts declare. ``arrived`` says whether an
    outcome confirms that the bytes got there, whatever is known of the place. ``erased`` is empty, ``declared`` (it was
    decided) or ``observed``. ``retain_days`` is the decided retention, None where none is. ``decisions`` are the first
    few decision ids of ``times`` permitted ones.
    """

    asset: AssetName
    label: Label
    target: Target
    standing: Standing
    region: str
    first_seen: str
    last_seen: str
    times: int
    decisions: tuple[str, ...]
    evidence: str
    arrived: bool
    observed_place: str
    contradicted: bool
    erased: str
    retain_days: int | None
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One hop of an asset: asked at ``at``, decided, and what was seen of it (``outcome``, empty where nothing was).

    ``reads`` is True where somebody looked at what stays where it is: the principal got to know it, it did not move.
    ``own`` marks the platform's own hops, which belong to no task. ``index`` counts the ledger's entries from 0.
    """

    asset: AssetName
    stage: str
    action: str
    principal: str
    origin: str
    target: Target
    at: str
    decision_id: str
    permitted: bool
    rules: tuple[str, ...]
    outcome: str
    observed_place: str
    reads: bool
    own: bool
    index: int


@dataclass(frozen=True, slots=True)
class Reader:
    """Who can read, or did: ``kind`` ∈ person, service, processor, sub-processor, state.

    ``why`` says by what; ``times`` how often it is on record (0: could, and there is no sign that it did), ``refused``
    how often it was refused, ``last`` when it last was.
    """

    kind: str
    name: str
    why: str
    times: int = 0
    refused: int = 0
    last: str = ""


@dataclass(frozen=True, slots=True)
class Flow:
    """All hops of one kind of asset from one origin to one target at one stage, counted.

    ``origin_codes`` and ``codes`` are the jurisdictions of both ends, ``unknown`` and ``anywhere`` among them.
    """

    stage: str
    kind: str
    origin: str
    target: Target
    own: bool
    permitted: int
    refused: int
    arrived: int
    origin_codes: tuple[str, ...]
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlaceUse:
    """How many copies are in one jurisdiction (or ``anywhere``, ``unknown``), by evidence.

    ``spread`` counts those besides whose target works or keeps in several jurisdictions: they may be in any of them,
    and count in each.
    """

    code: str
    observed: int
    declared: int
    unknown: int
    spread: int = 0

    @property
    def total(self) -> int:
        """Those that are here and nowhere else."""
        return self.observed + self.declared + self.unknown


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the map is seen rather than said: counts of assets by the weakest evidence of their places."""

    assets: int
    observed: int
    declared: int
    unknown: int

    @property
    def percent(self) -> int:
        """The share of assets all of whose places are observed, in whole percent, rounded down; 0 of none."""
        return 100 * self.observed // self.assets if self.assets else 0


@dataclass(frozen=True, slots=True)
class Gaps:
    """What this map does not hold, in numbers. All zero: it holds everything the ledger says.

    ``unread`` entries make no sense; of ``untracked`` decisions only flows are counted; ``older_steps`` were dropped
    first; ``unmatched`` outcomes belong to no decision that is remembered; ``crowded`` assets name more people than is
    marked, so that they may name those who are asked for; ``more_located`` and ``more_steps`` are tracked and left out
    of this answer.
    """

    unread: int = 0
    untracked: int = 0
    older_steps: int = 0
    unmatched: int = 0
    crowded: int = 0
    more_located: int = 0
    more_steps: int = 0


@dataclass(frozen=True, slots=True)
class DataMap:
    """Where everything is that a query asks for, who can read it and how it got there.

    Made from ``entries`` ledger entries and the facts of ``facts_day``; nothing else went in.
    """

    query: Query
    entries: int
    facts_day: str
    coverage: Coverage
    located: tuple[Located, ...]
    steps: tuple[Step, ...]
    flows: tuple[Flow, ...]
    uses: tuple[PlaceUse, ...]
    readers: tuple[Reader, ...]
    declassified: tuple[Declassified, ...]
    gaps: Gaps

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of asset that are located, each once."""
        return tuple(sorted({each.asset.kind for each in self.located}))
