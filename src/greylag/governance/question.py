"""What is asked of policy, and what it answers."""

from dataclasses import dataclass
from datetime import datetime

from greylag.domain.labels import Label
from greylag.domain.stages import Stage


@dataclass(frozen=True, slots=True)
class Asset:
    """What would move. ``kind`` is a noun (``request``, ``repository``, ``prompt``, ``diff``, ``build``, ``card`` …).

    ``origin`` is the region it comes from; ``digest`` names the content (``sha256:…``, empty where there is none yet);
    ``surfaces`` names the metadata that travels along (``title``, ``file_names``, ``branch`` …), never their text.
    ``subjects`` holds keyed marks of people its content names (`greylag.governance.subjects`), never the names.
    """

    kind: str
    label: Label
    origin: str
    digest: str = ""
    size_bytes: int = 0
    surfaces: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Where it would move to: ``kind`` ∈ sandbox, pool, endpoint, store, chat, forge, environment, host, exporter.

    ``name`` is looked up in the fact base; a name that isn't there is unknown, and unknown is denied above `public`.
    """

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Discharged:
    """What was done before asking again. Empty where nothing was.

    ``applied`` names obligations whose result passed a re-scan (``pseudonymise``, ``aggregate`` …), ``approvals`` roles
    of people who said yes (``data-owner``, ``dpo``), ``residual_findings`` what the re-scan still found.
    """

    applied: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    residual_findings: int = 0


NOTHING_DISCHARGED = Discharged()


@dataclass(frozen=True, slots=True)
class Question:
    """One principal asks to do one action with one asset towards one target at one stage and time.

    ``at`` is both clocks: facts count that were valid *and* known then.
    """

    stage: Stage
    principal: str
    action: str
    asset: Asset
    target: Target
    at: datetime
    discharged: Discharged = NOTHING_DISCHARGED


@dataclass(frozen=True, slots=True)
class Verdict:
    """Policy's answer with its reasons. Never a bare bool: empty ``rules`` with ``permitted`` False is "no match".

    ``errors`` non-empty always means not permitted. ``facts`` names the fact rows that were used, ``certainty`` the
    weakest of theirs. ``obligations`` non-empty means: not permitted as it is, and not before each of these is
    discharged and its result re-scanned; only asking again tells whether that was enough. Each is ``NAME`` or
    ``NAME:PARAMETERS``, alternatives joined by ``|``.
    """

    permitted: bool
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]
    facts: tuple[str, ...]
    policy_version: str
    errors: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()
    certainty: str = ""
