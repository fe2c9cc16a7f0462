"""Finding personal data, secrets and transactions in text: rules are data, answers are spans and counts.

It never keeps what it read, never validates a find by asking anybody, and never honours a mark in the text that asks to
be skipped. What it could not read to its end it says so of, and that counts as personal and confidential.
"""

from greylag.governance.scanning.reading import parse_rules, untrue_examples
from greylag.governance.scanning.scanner import MAX_CHARACTERS, MAX_FINDINGS, Scanner, label_of_findings
from greylag.governance.scanning.values import Finding, Findings, Rule, TableRule

__all__ = [
    "MAX_CHARACTERS", "MAX_FINDINGS", "Finding", "Findings", "Rule", "Scanner", "TableRule", "label_of_findings",
    "parse_rules", "untrue_examples",
]  # fmt: skip
