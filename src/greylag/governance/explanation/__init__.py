"""Explanations: why a question is answered as it is, on which rows that rests, and what would turn the answer.

Everything here asks the same policy that decides, over facts that are changed one at a time; nothing is guessed from
the text of a rule, and nothing is decided here.
"""

from greylag.governance.explanation.explaining import explain
from greylag.governance.explanation.matrix import StageRules, matrix
from greylag.governance.explanation.telling import as_json, as_text, one_line
from greylag.governance.explanation.values import (
    Alternative,
    Axis,
    Change,
    Explanation,
    Flip,
    LabelUse,
    Nearest,
    RegimeUse,
    Remedy,
    RowUse,
    RuleUse,
    TargetUse,
)

__all__ = [
    "Alternative", "Axis", "Change", "Explanation", "Flip", "LabelUse", "Nearest", "RegimeUse", "Remedy", "RowUse",
    "RuleUse", "StageRules", "TargetUse", "as_json", "as_text", "explain", "matrix", "one_line",
]  # fmt: skip
