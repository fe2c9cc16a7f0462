"""What an explanation is made of. Texts in it are plain and may hold what somebody else wrote: escape them."""

from dataclasses import dataclass
from datetime import date

from greylag.governance.facts import Row
from greylag.governance.question import Question, Verdict


@dataclass(frozen=True, slots=True)
class RowUse:
    """One fact row behind an answer: what it says, and how far it may be believed on that day.

    ``status`` is empty and ``says`` tells so where a rule names a row that isn't there on that day.
    """

    row: str
    table: str
    says: str
    status: str
    certainty: str
    source: str
    retrieved: date | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    review_by: date | None = None
    stale: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class RuleUse:
    """One rule that determined the answer. ``pack`` is ``platform`` for the platform's own guards."""

    rule_id: str
    effect: str
    pack: str
    clause: str
    reason: str
    laws: tuple[RowUse, ...] = ()
    obligations: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    no_remedy: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """One way in which a state can come by the data: ``codes`` are jurisdictions, ``names`` what the row says."""

    name: str
    codes: tuple[str, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetUse:
    """What is known of where the data would go. ``axes`` are empty where nothing is (``known`` False).

    ``control`` says, for each state that can compel, why: ``(country, reason)``.
    """

    kind: str
    name: str
    known: bool
    own: bool = False
    processor: str = ""
    legal_entity: str = ""
    axes: tuple[Axis, ...] = ()
    control: tuple[tuple[str, str], ...] = ()
    certifications: tuple[str, ...] = ()
    pinned: bool = False
    trains: str = "unknown"
    retention_days: int | None = None
    max_level: str = "closed"
    price_permille: int = 1000
    uncovered_surfaces: tuple[str, ...] = ()
    certainty: str = "unknown"


@dataclass(frozen=True, slots=True)
class RegimeUse:
    """One body of law that follows the data, why it does, and what it says of this way.

    ``classes`` and ``origins`` are those of the label's that bring it along; both empty: the label came with it.
    ``leaves``: the reach goes beyond its home; ``uncovered`` are the places beyond for which nothing is adequate.
    ``spoken_for``: some active pack speaks for it.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    origins: tuple[str, ...]
    leaves: bool
    uncovered: tuple[str, ...]
    safeguards: tuple[str, ...]
    spoken_for: bool
    rows: tuple[RowUse, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelUse:
    """What is known of the data and how that came about."""

    level: str
    classes: tuple[str, ...]
    origins: tuple[str, ...]
    subjects: int
    derived_by: tuple[str, ...]
    regimes: tuple[RegimeUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that could be otherwise. ``effort`` is 0 (nothing to do) … 100 (somebody else must act first)."""

    kind: str
    words: str
    effort: int


@dataclass(frozen=True, slots=True)
class Flip:
    """Changes that turn the answer together, and no fewer of them do.

    Asking ``question`` over the facts with ``rows`` as their latest versions is answered the other way.
    """

    changes: tuple[Change, ...]
    question: Question
    rows: tuple[Row, ...] = ()

    @property
    def effort(self) -> int:
        """The effort of all its changes."""
        return sum(change.effort for change in self.changes)

    @property
    def words(self) -> str:
        """What to do, in words."""
        return "; and ".join(change.words for change in self.changes)


@dataclass(frozen=True, slots=True)
class Nearest:
    """Changes that do not turn a denial but leave the fewest ``rules`` in its way; no changes: none helps."""

    changes: tuple[Change, ...]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another target for which the same is permitted.

    ``tier`` ∈ home (works in the home region alone), regime-home (leaves no regime that follows the data), adequate
    (leaves one towards places that are adequate), safeguarded.
    """

    kind: str
    name: str
    tier: str
    own: bool
    price_permille: int
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remedy:
    """What can be done about a denial; ``kind`` ∈ alternative, change, rule, none (then ``text`` is the reason)."""

    kind: str
    text: str
    effort: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why ``question`` got ``verdict``.

    ``flips`` are the smallest changes that turn the answer, the least effort first: what would open a denial, what
    would close a permit. ``tried`` is how many questions were asked to find them; ``whole`` is False where the search
    was cut short, so that none found does not mean there is none; ``nearest`` is what comes nearest where nothing
    does. ``no_alternative`` is the reason why no other target
    will do, empty where one does. ``remedies`` is never empty for a denial.
    """

    question: Question
    verdict: Verdict
    day: date
    home: str
    rules: tuple[RuleUse, ...]
    facts: tuple[RowUse, ...]
    label: LabelUse
    target: TargetUse
    flips: tuple[Flip, ...]
    alternatives: tuple[Alternative, ...]
    no_alternative: str
    remedies: tuple[Remedy, ...]
    tried: int
    whole: bool
    nearest: Nearest | None = None
