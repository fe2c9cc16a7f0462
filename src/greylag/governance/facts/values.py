"""The rows a fact book is made of, and the words they may use."""

from dataclasses import dataclass
from datetime import date

from greylag.domain.errors import OperatorError

#: Kinds of things data can be sent to; the same words as `greylag.governance.question.Target.kind`.
TARGET_KINDS = (
    "pool", "endpoint", "store", "chat", "forge", "environment", "host", "sandbox", "exporter",
)  # fmt: skip
#: Kinds whose rows may cover many names by ending in ``*``. Never hosts: ``pypi*`` would cover a stranger's domain.
GLOB_KINDS = frozenset({"chat", "environment", "sandbox"})
#: The pseudo place of a target whose vendor chooses where it works.
ANYWHERE = "anywhere"
#: What stands wherever a row says nothing.
UNKNOWN = "unknown"
#: Who controls what the operator runs itself.
OPERATOR = "operator"
#: ``A`` vendor's or official text, ``B`` several and ``C`` one secondary source, ``K`` unchecked, ``M`` measured,
#: ``O`` the operator's own word. From firm to weak: A, M, O, B, C, K.
CERTAINTIES = ("A", "B", "C", "K", "M", "O")
WEAKER = ("A", "M", "O", "B", "C", "K")
#: Only rows ``in_force`` or ``challenged`` take part in decisions; the others are for what-if and for the record.
STATUSES = (
    "in_force", "challenged", "proposed", "adopted_not_applicable", "suspended", "annulled", "withdrawn",
)  # fmt: skip
#: The level of a target that the operator has not opened: nothing goes there, not even public text.
CLOSED = "closed"
#: What a mechanism for a restricted transfer may be.
MECHANISMS = ("scc", "idta", "uk-addendum", "bcr", "cac-assessment", "cac-contract", "cac-certification", "contract")

#: Bounds of what one fact book may hold.
MAX_ROWS = 50_000
MAX_TEXT = 1024
MAX_ITEMS = 256


def fact_error(
    number: str, message: str, remedy: str = "correct the fact file; see `policies/facts/`."
) -> OperatorError:
    """Return the error ``GL-FACTS-number``."""
    return OperatorError(f"GL-FACTS-{number}", message, remedy)


@dataclass(frozen=True, slots=True)
class Basis:
    """Why, and for when, a row may be believed.

    ``source`` was read on ``retrieved``. The row speaks of the days from ``valid_from`` up to, not including,
    ``valid_to`` (None: open), and was part of what this install knew from ``known_from`` on. After ``review_by`` it is
    stale: still used, shown as such, and its certainty counts as ``K``.
    """

    source: str
    retrieved: date
    status: str
    certainty: str
    valid_from: date | None = None
    valid_to: date | None = None
    known_from: date | None = None
    review_by: date | None = None
    note: str = ""

    @property
    def decides(self) -> bool:
        """Whether a row on this basis may take part in decisions."""
        return self.status in ("in_force", "challenged")

    def holds(self, valid: date, known: date) -> bool:
        """Whether the row speaks of day ``valid`` and was known on day ``known``."""
        return (
            (self.known_from or self.retrieved) <= known
            and (self.valid_from is None or self.valid_from <= valid)
            and (self.valid_to is None or valid < self.valid_to)
        )


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """A body whose law applies: an ISO 3166 code, with a part of its own where law differs (``CA-QC``, ``AE-DIFC``).

    ``within`` is the code it is part of; ``own_regime`` True means that what holds for the whole (a zone's membership,
    an adequacy decision) does not hold for it.
    """

    code: str
    name: str
    basis: Basis
    within: str = ""
    own_regime: bool = False

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"jurisdiction/{self.code}"


@dataclass(frozen=True, slots=True)
class Zone:
    """Members of one named set of jurisdictions. Several rows may speak of one zone: its members are their union.

    ``part`` tells the rows of one zone apart.
    """

    name: str
    members: tuple[str, ...]
    basis: Basis
    part: str = ""

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"zone/{self.name}" + (f"/{self.part}" if self.part else "")


@dataclass(frozen=True, slots=True)
class Place:
    """A place where bytes can rest or be worked on: an own region, or a vendor's (``aws:eu-central-1``).

    ``jurisdictions`` are ISO 3166 codes, or ``unknown``; more than one where a region spans borders.
    """

    name: str
    jurisdictions: tuple[str, ...]
    basis: Basis

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"place/{self.name}"


@dataclass(frozen=True, slots=True)
class Control:
    """One state that can compel a processor, and why (``seat``, ``parent``, ``CLOUD Act`` …)."""

    country: str
    basis: str


@dataclass(frozen=True, slots=True)
class Processor:
    """A company that handles data: its legal entity, parents, and which states can compel it.

    ``operates_in`` names places, jurisdictions or zones from which it works where it is a sub-processor; ``sector`` is
    ``commercial``, ``public`` or ``unknown``.
    """

    name: str
    legal_entity: str
    seat: str
    basis: Basis
    parents: tuple[str, ...] = ()
    controlled_by: tuple[Control, ...] = ()
    operates_in: tuple[str, ...] = (UNKNOWN,)
    sector: str = "commercial"

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"processor/{self.name}"


@dataclass(frozen=True, slots=True)
class Certification:
    """That a processor holds a scheme's certificate: ``dpf``, ``dpf-hr``, ``dpf-uk``, ``dpf-ch``, ``hds``, ``baa``."""

    processor: str
    scheme: str
    basis: Basis

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"certification/{self.processor}/{self.scheme}"


@dataclass(frozen=True, slots=True)
class TargetFact:
    """What is known about one target (or, where ``name`` ends in ``*``, about all whose names begin so).

    ``processing``, ``storage``, ``support`` and ``control_plane`` each name places, jurisdictions, ``zone:NAME``,
    `ANYWHERE` or `UNKNOWN`. ``sub_processors`` are processors' names. ``pinned`` is False where the vendor may choose.
    ``trains_by_default`` is None for unknown, ``retention_days`` too. ``max_level`` is the highest level the operator
    lets it have, `CLOSED` until there is an `Opening`. ``uncovered_surfaces`` names metadata which the promise about
    places does not cover.
    ``weights_from`` is where a model's weights come from, ``hosts`` the host names it answers at, ``observed_field``
    the field of a reply that tells where it was worked on, ``price_permille`` the price against the vendor's cheapest.
    """

    kind: str
    name: str
    processing: tuple[str, ...]
    storage: tuple[str, ...]
    support: tuple[str, ...]
    control_plane: tuple[str, ...]
    processor: str
    pinned: bool
    trains_by_default: bool | None
    max_level: str
    basis: Basis
    sub_processors: tuple[str, ...] = ()
    retention_days: int | None = None
    uncovered_surfaces: tuple[str, ...] = ()
    contracting_entity: str = ""
    weights_from: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    observed_field: str = ""
    price_permille: int = 1000

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"{self.kind}/{self.name}"

    @property
    def covers_many(self) -> bool:
        """Whether this row speaks about every name with its prefix."""
        return self.name.endswith("*")


@dataclass(frozen=True, slots=True)
class Opening:
    """That the operator lets one target have data up to ``max_level``: the one row which only an operator can write."""

    kind: str
    name: str
    max_level: str
    basis: Basis

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"opening/{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Regime:
    """A body of law that follows data: which classes from which origins it governs, and where it is at home.

    ``home`` and ``origins`` name jurisdictions or ``zone:NAME``; ``classes`` are taxonomy keys.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    origins: tuple[str, ...]
    home: tuple[str, ...]
    basis: Basis

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"regime/{self.name}"


@dataclass(frozen=True, slots=True)
class Adequacy:
    """That ``regime`` lets data from ``exporters`` go to ``importers`` without a further safeguard.

    Never a property of a country: it holds for recipients of ``sectors`` (empty: all) which hold one of
    ``certified`` (empty: none needed), and for data covering none of ``except_classes``. ``exporters`` and
    ``importers`` name jurisdictions or ``zone:NAME``.
    """

    name: str
    regime: str
    exporters: tuple[str, ...]
    importers: tuple[str, ...]
    instrument: str
    basis: Basis
    sectors: tuple[str, ...] = ()
    certified: tuple[str, ...] = ()
    except_classes: tuple[str, ...] = ()

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"adequacy/{self.name}"


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A transfer mechanism the operator has agreed with one processor: SCC, IDTA, BCR … and its assessment.

    ``kind`` ∈ `MECHANISMS`. ``importers`` are the jurisdictions it covers (``zone:NAME`` too). ``assessment`` names the
    TIA or TRA, ``assessed_on`` and ``assessed_by`` its day and reviewer; empty where there is none yet.
    """

    name: str
    kind: str
    regime: str
    processor: str
    importers: tuple[str, ...]
    basis: Basis
    module: str = ""
    assessment: str = ""
    assessed_on: date | None = None
    assessed_by: str = ""

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"mechanism/{self.name}"


@dataclass(frozen=True, slots=True)
class Law:
    """One rule of law as data, for packs to cite: what it is, where it stands, since when.

    ``kind`` ∈ adequacy, mechanism, localisation, prohibition, control, retention, logging, contract, scope.
    """

    name: str
    regime: str
    kind: str
    title: str
    clause: str
    basis: Basis

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"law/{self.name}"


Row = (
    Jurisdiction | Zone | Place | Processor | Certification | TargetFact | Opening | Regime | Adequacy | Mechanism | Law
)
