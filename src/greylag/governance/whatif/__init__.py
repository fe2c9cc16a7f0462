"""What if: recorded decisions asked again in another world, and what would come out otherwise.

Nothing here decides anything for real: a world that a drill has changed never reaches the door. Before a word is said
about another world, the recorded one must answer every question exactly as it is recorded.
"""

from greylag.governance.whatif.applying import Changed, apply, relabelled
from greylag.governance.whatif.drill import Drill, parse_drill
from greylag.governance.whatif.live import LiveThings
from greylag.governance.whatif.matrix import Matrix, matrix_of
from greylag.governance.whatif.replay import Mismatch, Outcome, Pair, replay, verify_baseline
from greylag.governance.whatif.report import Report

__all__ = [
    "Changed", "Drill", "LiveThings", "Matrix", "Mismatch", "Outcome", "Pair", "Report", "apply", "matrix_of",
    "parse_drill", "relabelled", "replay", "verify_baseline",
]  # fmt: skip
