"""Deployer: makes an environment run exactly one build digest."""

from dataclasses import dataclass
from typing import Protocol

from greylag.domain.repository import Environment
from greylag.egress.permit import Permit


@dataclass(frozen=True, slots=True)
class Health:
    """``healthy`` True, False, or None for "can't say" (which never promotes); ``detail`` in words."""

    healthy: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Running:
    """What an environment runs now and where it answers (``url``, empty where it doesn't)."""

    digest: str
    url: str


class Deployer(Protocol):
    """Applies builds. The permit is for stage ``deploy`` towards ``environment:REPOSITORY/NAME`` with the digest."""

    name: str

    async def apply(
        self, permit: Permit, repository: str, environment: Environment, digest: str, build: bytes
    ) -> Running:
        """Make ``environment`` run ``build``, whose SHA-256 must be ``digest``; already running it is fine.

        Raises IntegrityError ``GL-DEPLOY-001`` where bytes and digest differ, BackendError ``GL-DEPLOY-002`` where it
        won't start, RequestRefused ``GL-DEPLOY-003`` for a build that can't be unpacked safely.
        """
        ...

    async def health(self, repository: str, environment: Environment) -> Health:
        """Ask the environment's health path until it answers 2xx or its time is over."""
        ...

    async def running(self, repository: str, environment: Environment) -> Running | None:
        """Return what runs there, None for nothing."""
        ...

    async def stop(self, repository: str, environment: Environment) -> None:
        """Stop what runs there; nothing running is fine."""
        ...

    async def close(self) -> None:
        """Stop everything this deployer started."""
        ...
