"""Facts: what is known about jurisdictions, law, companies, places and everything data could be sent to.

Rows are data with a source, a date and a certainty, in versions with two clocks: what held, and what was known. A
`FactBook` keeps all versions, a `FactBase` is what counted on one day. Policies only read facts, so a change of law,
of vendor terms or of ownership is a change of rows. What no row says is unknown, and unknown never widens a right.
"""

from greylag.governance.facts.base import FactBase, is_stale, weakest
from greylag.governance.facts.book import FactBook, version_of
from greylag.governance.facts.dumping import row_document
from greylag.governance.facts.lint import Finding, lint, stale
from greylag.governance.facts.reach import Reach
from greylag.governance.facts.reading import dump_facts, own_place, own_target, parse_facts, read_rows
from greylag.governance.facts.references import require_sound
from greylag.governance.facts.transfers import Transfer
from greylag.governance.facts.values import (
    ANYWHERE,
    CERTAINTIES,
    CLOSED,
    OPERATOR,
    TARGET_KINDS,
    UNKNOWN,
    Adequacy,
    Basis,
    Certification,
    Control,
    Jurisdiction,
    Law,
    Mechanism,
    Opening,
    Place,
    Processor,
    Regime,
    Row,
    TargetFact,
    Zone,
)

__all__ = [
    "ANYWHERE", "CERTAINTIES", "CLOSED", "OPERATOR", "TARGET_KINDS", "UNKNOWN", "Adequacy", "Basis", "Certification",
    "Control", "FactBase", "FactBook", "Finding", "Jurisdiction", "Law", "Mechanism", "Opening", "Place", "Processor",
    "Reach", "Regime", "Row", "TargetFact", "Transfer", "Zone", "dump_facts", "is_stale", "lint", "own_place",
    "own_target", "parse_facts", "read_rows", "require_sound", "row_document", "stale", "version_of", "weakest",
]  # fmt: skip
