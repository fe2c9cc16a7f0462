"""Facts: what the operator says is true about places and about everything data could be sent to.

A fact base is a snapshot. Rows are data with a source, a date and a certainty; policies only read them, so a change of
vendor terms or of ownership is a change of rows. What a row does not say is unknown, and unknown never widens a right.
"""

from greylag.governance.facts.base import FactBase
from greylag.governance.facts.reading import own_place, own_target, parse_facts
from greylag.governance.facts.values import ANYWHERE, OPERATOR, TARGET_KINDS, UNKNOWN, Basis, Place, TargetFact

__all__ = [
    "ANYWHERE", "OPERATOR", "TARGET_KINDS", "UNKNOWN", "Basis", "FactBase", "Place", "TargetFact", "own_place",
    "own_target", "parse_facts",
]  # fmt: skip
