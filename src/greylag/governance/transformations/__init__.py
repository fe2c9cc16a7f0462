"""Registered transformations: the only things that may lower a label, and only where a second scan finds nothing left.

They draw no randomness: keys come in, and what needs a nonce derives it from key and content. None keeps what it
replaced; what can be undone is handed back sealed, for the region to keep.
"""

from greylag.governance.transformations.discharging import DischargeResult, Occasion, discharge, parse_parameters
from greylag.governance.transformations.pseudonyms import (
    PseudonymRestorer,
    merged_mappings,
    open_mapping,
    restore,
    seal_mapping,
)
from greylag.governance.transformations.registry import TRANSFORMATIONS, Transformation
from greylag.governance.transformations.sealing import derived_key, seal, unseal
from greylag.governance.transformations.values import Transformed

__all__ = [
    "TRANSFORMATIONS", "DischargeResult", "Occasion", "PseudonymRestorer", "Transformation", "Transformed",
    "derived_key", "discharge", "merged_mappings", "open_mapping", "parse_parameters", "restore", "seal",
    "seal_mapping", "unseal",
]  # fmt: skip
