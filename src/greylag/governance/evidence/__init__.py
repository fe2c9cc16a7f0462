"""Evidence: what was asked, changed, checked, approved and built, as a signed statement anybody can check offline.

Statements are in-toto Statement v1 about one build, in canonical JSON, signed as DSSE envelopes with Ed25519. They hold
digests, names and results. Must never hold content, and never read a key or a clock: both come in as arguments.
"""

from greylag.governance.evidence.envelope import (
    STATEMENT_TYPE,
    envelope_bytes,
    key_id,
    sign_approval,
    sign_statement,
    verify_approval,
    verify_envelope,
)
from greylag.governance.evidence.statements import (
    EVIDENCE_TYPE,
    PROVENANCE_TYPE,
    BuildRecord,
    ChangeEvidence,
    DecisionProof,
    SignedApproval,
    VerifierRun,
    evidence_statement,
    provenance_statement,
    subject_digest,
)

__all__ = [
    "EVIDENCE_TYPE", "PROVENANCE_TYPE", "STATEMENT_TYPE", "BuildRecord", "ChangeEvidence", "DecisionProof",
    "SignedApproval", "VerifierRun", "envelope_bytes", "evidence_statement", "key_id",
    "provenance_statement", "sign_approval", "sign_statement", "subject_digest", "verify_approval", "verify_envelope",
]  # fmt: skip
