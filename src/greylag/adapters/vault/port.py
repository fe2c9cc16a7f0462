"""Vault: put once, get by reference."""

from typing import Protocol

from greylag.domain.references import Reference
from greylag.egress.permit import Permit


class Vault(Protocol):
    """One region's object store. Objects are AES-256-GCM under keys that never leave the region."""

    region: str

    def put(self, permit: Permit, content: bytes, *, kind: str, subject: str, media_type: str) -> Reference:
        """Store ``content`` for ``subject`` (a task id, or ``platform``) and return its reference; twice is once.

        The permit must be for stage ``artifact`` towards this vault (``vault:REGION``).
        """
        ...

    def get(self, reference: Reference, *, subject: str) -> bytes:
        """Return the content.

        Raises IntegrityError ``GL-VAULT-001`` where it was changed, RequestRefused ``GL-VAULT-002`` where it is
        unknown, of another region, or erased.
        """
        ...

    def erase(self, subject: str) -> None:
        """Destroy the key of ``subject``: all its objects are unreadable from then on (crypto-shredding)."""
        ...
