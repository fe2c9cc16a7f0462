"""Verifiers: deterministic checks of a change, run by the platform in a sandbox without network.

Must never take a verdict from an agent's words, nor from an exit code alone where a verifier can say more.
"""

from greylag.delivery.outputs import Listing, read_listing
from greylag.delivery.verifying.detection import Verifier, VerifierKind, detect, influential, union
from greylag.delivery.verifying.results import TestFailure, VerifierResult, VerifyReport
from greylag.delivery.verifying.running import verify

__all__ = [
    "Listing",
    "TestFailure",
    "Verifier",
    "VerifierKind",
    "VerifierResult",
    "VerifyReport",
    "detect",
    "influential",
    "read_listing",
    "union",
    "verify",
]
