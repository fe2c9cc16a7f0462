"""What is asked of policy, and what it answers."""

from dataclasses import dataclass
from datetime import datetime

from greylag.domain.stages import Stage


@dataclass(frozen=True, slots=True)
class Asset:
    """What would move. ``kind`` is a noun (``request``, ``repository``, ``prompt``, ``diff``, ``build``, ``card`` …).

    ``level`` is one of `greylag.domain.repository.LEVELS`; ``origin`` the region it comes from; ``digest`` names the
    content (``sha256:…``, empty where there is none yet); ``surfaces`` names the metadata that travels along
    (``title``, ``file_names``, ``branch`` …), never their text.
    """

    kind: str
    level: str
    origin: str
    digest: str = ""
    size_bytes: int = 0
    surfaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Where it would move to: ``kind`` ∈ sandbox, pool, endpoint, store, chat, forge, environment, host, exporter.

    ``name`` is looked up in the fact base; a name that isn't there is unknown, and unknown is denied above `public`.
    """

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Question:
    """One principal asks to do one action with one asset towards one target at one stage and time."""

    stage: Stage
    principal: str
    action: str
    asset: Asset
    target: Target
    at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """Policy's answer with its reasons. Never a bare bool: empty ``rules`` with ``permitted`` False is "no match".

    ``errors`` non-empty always means not permitted. ``facts`` names the fact rows that were used.
    """

    permitted: bool
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]
    facts: tuple[str, ...]
    policy_version: str
    errors: tuple[str, ...] = ()
