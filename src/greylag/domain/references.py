"""Claim checks: what the control plane holds in place of content."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reference:
    """Names one immutable object in the vault of ``region``; never the object itself.

    ``digest`` is ``sha256:<64 hex>`` of the plain content, ``kind`` a short noun (``diff``, ``prompt``, ``build`` …).
    """

    region: str
    digest: str
    size_bytes: int
    kind: str
    media_type: str = "application/octet-stream"
