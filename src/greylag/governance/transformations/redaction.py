"""Redaction: what was found is gone, and a mark says what stood there."""

from greylag.governance.scanning.values import REDACTED, Findings
from greylag.governance.transformations.splicing import spliced
from greylag.governance.transformations.values import Parameters, Transformed


def redact(
    content: bytes, media_type: str, findings: Findings, parameters: Parameters, key: bytes | None
) -> Transformed:
    """Replace every find by ``[redacted:WORD]``, for good. Raises RequestRefused for content that can't be read."""
    changed = spliced(content, media_type, findings.found, lambda _, finding: f"{REDACTED}{finding.token}]")
    return Transformed(changed, None, findings.keys, (f"{len(findings.found)} finds redacted",))
