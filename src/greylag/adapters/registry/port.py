"""Package registry: source distributions of published packages."""

from dataclasses import dataclass
from typing import Protocol

from greylag.egress.permit import Permit


@dataclass(frozen=True, slots=True)
class Pinned:
    """One source distribution and no other: project, version, and the SHA-256 of the file in lower-case hex."""

    project: str
    version: str
    sha256: str


class PackageRegistry(Protocol):
    """Gives pinned source distributions. ``target`` names it to policy and ledger."""

    target: str

    async def fetch(self, permit: Permit, wanted: Pinned) -> bytes:
        """Return the bytes of ``wanted``'s ``.tar.gz``; they have the pinned digest. The permit is for stage ``tool``.

        Raises RequestRefused ``GL-REGISTRY-002`` where the registry has no such file, BackendError ``GL-REGISTRY-003``
        for an answer that can't be used, ``GL-REGISTRY-004`` for a file with another digest, ``GL-EGRESS-01x`` where it
        can't be reached, OperatorError ``GL-REGISTRY-005`` where this machine's setting of the registry is unusable.
        """
        ...
