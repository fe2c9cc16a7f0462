"""The rows a fact base is made of, and the words they may use."""

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
#: ``O`` the operator's own word.
CERTAINTIES = ("A", "B", "C", "K", "M", "O")
#: Only rows ``in_force`` or ``challenged`` take part in decisions; the others are for what-if.
STATUSES = ("in_force", "challenged", "proposed", "withdrawn")

#: Bounds of what one fact base may hold.
MAX_ROWS = 50_000
MAX_TEXT = 512
MAX_ITEMS = 256


def fact_error(
    number: str, message: str, remedy: str = "correct the fact file; see `policies/facts/`."
) -> OperatorError:
    """Return the error ``GL-FACTS-number``."""
    return OperatorError(f"GL-FACTS-{number}", message, remedy)


@dataclass(frozen=True, slots=True)
class Basis:
    """Why a row may be believed: where it was read, on which day, whether it holds, how sure that is."""

    source: str
    retrieved: date
    status: str
    certainty: str

    @property
    def decides(self) -> bool:
        """Whether a row on this basis may take part in decisions."""
        return self.status in ("in_force", "challenged")


@dataclass(frozen=True, slots=True)
class Place:
    """A place where bytes can rest or be worked on: an own region or a country.

    ``jurisdiction`` is an ISO 3166 code (``DE``, ``CA-QC``) or ``unknown``; ``zones`` names bodies of law (``EU``).
    """

    name: str
    jurisdiction: str
    zones: tuple[str, ...]
    basis: Basis

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"place/{self.name}"


@dataclass(frozen=True, slots=True)
class TargetFact:
    """What is known about one target (or, where ``name`` ends in ``*``, about all whose names begin so).

    ``places`` is its whole reach: processing, storage, support and control plane; `ANYWHERE` where the vendor may
    choose. ``controlled_by`` holds the codes of the countries that can compel the processor and its parents, or
    `OPERATOR`. ``trains_by_default`` is None for unknown. ``max_level`` is the highest level the operator lets it
    have. ``uncovered_surfaces`` names metadata which the promise about places does not cover.
    """

    kind: str
    name: str
    places: tuple[str, ...]
    processor: str
    controlled_by: tuple[str, ...]
    pinned: bool
    trains_by_default: bool | None
    max_level: str
    basis: Basis
    uncovered_surfaces: tuple[str, ...] = ()

    @property
    def row(self) -> str:
        """The row's name in verdicts."""
        return f"{self.kind}/{self.name}"

    @property
    def covers_many(self) -> bool:
        """Whether this row speaks about every name with its prefix."""
        return self.name.endswith("*")
