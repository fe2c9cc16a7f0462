"""Reading ledger entries back as values, of every version; what can't be read is None, never an error.

An entry is data: texts are cut to `MAX_TEXT`, lists to `MAX_ITEMS`, so that no entry makes a map large or a page odd.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from greylag.domain.labels import LEVELS, Label
from greylag.governance.question import Target

MAX_TEXT = 512
MAX_ITEMS = 128
#: A level that no entry states; it counts as the highest wherever levels are compared.
UNKNOWN_LABEL = Label("restricted", derived_by=("unknown",))

Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision as it stands in the ledger. ``at`` is RFC 3339 in UTC, as text: it orders as it stands.

    ``repository`` and ``task_id`` may be empty: for a request no repository was known yet, and for the platform's own
    hops there is no task. ``discharged`` holds obligations and ``approved:ROLE`` that were in place when it was asked.
    """

    decision_id: str
    at: str
    task_id: str
    repository: str
    stage: str
    region: str
    principal: str
    action: str
    kind: str
    label: Label
    origin: str
    digest: str
    size_bytes: int
    surfaces: tuple[str, ...]
    subjects: tuple[str, ...]
    target: Target
    permitted: bool
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    facts: tuple[str, ...]
    obligations: tuple[str, ...]
    discharged: tuple[str, ...]
    certainty: str
    policy_version: str
    supersedes: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen after a hop. ``place`` is where it was, as the other side says or the platform saw, or empty."""

    decision_id: str
    at: str
    stage: str
    region: str
    outcome: str
    place: str
    facts: tuple[tuple[str, str | int], ...] = ()


@dataclass(frozen=True, slots=True)
class Declassified:
    """That a registered transformation lowered a label, with what the re-scan still found."""

    declassification_id: str
    at: str
    task_id: str
    repository: str
    region: str
    transformation: str
    before: Label
    after: Label
    input_digest: str
    output_digest: str
    residual_findings: int
    by: str


Record = Decided | Observed | Declassified


def read_entry(entry: Entry) -> Record | None:
    """Return what ``entry`` (decoded JSON) says; None for another kind of entry, or one that makes no sense."""
    kind = entry.get("kind")
    if kind == "decision":
        return _decided(entry)
    if kind == "outcome":
        return _observed(entry)
    return _declassified(entry) if kind == "declassification" else None


def _decided(entry: Entry) -> Decided | None:
    asset, target = entry.get("asset"), entry.get("target")
    decision_id, stage = _text(entry, "decision_id"), _text(entry, "stage")
    if not isinstance(asset, Mapping) or not isinstance(target, Mapping) or not decision_id or not stage:
        return None
    discharged = entry.get("discharged")
    done = discharged if isinstance(discharged, Mapping) else {}
    return Decided(
        decision_id=decision_id, at=_at(entry), task_id=_text(entry, "task_id"), repository=_text(entry, "repository"),
        stage=stage, region=_text(entry, "region"), principal=_text(entry, "principal"), action=_text(entry, "action"),
        kind=_text(asset, "kind"), label=read_label(asset), origin=_text(asset, "origin"),
        digest=_text(asset, "digest"),
        size_bytes=_number(asset, "size_bytes"), surfaces=_texts(asset, "surfaces"), subjects=_texts(asset, "subjects"),
        target=Target(_text(target, "kind"), _text(target, "name")), permitted=entry.get("permitted") is True,
        rules=_texts(entry, "rules"), reasons=_texts(entry, "reasons"), facts=_texts(entry, "facts"),
        obligations=_texts(entry, "obligations"),
        discharged=(*_texts(done, "applied"), *(f"approved:{role}" for role in _texts(done, "approvals"))),
        certainty=_text(entry, "certainty"), policy_version=_text(entry, "policy_version"),
        supersedes=_text(entry, "supersedes"),
    )  # fmt: skip


def _observed(entry: Entry) -> Observed | None:
    decision_id, outcome = _text(entry, "decision_id"), _text(entry, "outcome")
    if not decision_id or not outcome:
        return None
    facts = entry.get("facts")
    seen = facts if isinstance(facts, Mapping) else {}
    plain = tuple(
        (str(name)[:MAX_TEXT], value[:MAX_TEXT] if isinstance(value, str) else value)
        for name, value in list(seen.items())[:MAX_ITEMS]
        if isinstance(value, str | int) and not isinstance(value, bool)
    )
    return Observed(
        decision_id, _at(entry), _text(entry, "stage"), _text(entry, "region"), outcome,
        _text(seen, "observed_place"), plain,
    )  # fmt: skip


def _declassified(entry: Entry) -> Declassified | None:
    before, after = entry.get("before"), entry.get("after")
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return None
    return Declassified(
        declassification_id=_text(entry, "declassification_id"), at=_at(entry), task_id=_text(entry, "task_id"),
        repository=_text(entry, "repository"), region=_text(entry, "region"),
        transformation=_text(entry, "transformation"), before=read_label(before), after=read_label(after),
        input_digest=_text(entry, "input_digest"), output_digest=_text(entry, "output_digest"),
        residual_findings=_number(entry, "residual_findings"), by=_text(entry, "by"),
    )  # fmt: skip


def read_label(data: Entry) -> Label:
    """Return the label in an entry's asset; one without a level that exists is `UNKNOWN_LABEL`: nothing is milder."""
    level = data.get("level")
    if not isinstance(level, str) or level not in LEVELS:
        return UNKNOWN_LABEL
    subjects = _number(data, "subjects_estimate") or _number(data, "subjects")
    return Label(
        level, _texts(data, "classes"), _texts(data, "origins"), _texts(data, "regimes"), subjects,
        _texts(data, "derived_by"),
    )  # fmt: skip


def _at(entry: Entry) -> str:
    return _text(entry, "at") or _text(entry, "asked_at") or _text(entry, "asked_on")


def _text(data: Entry, name: str) -> str:
    value = data.get(name)
    return value[:MAX_TEXT] if isinstance(value, str) else ""


def _number(data: Entry, name: str) -> int:
    value = data.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _texts(data: Entry, name: str) -> tuple[str, ...]:
    value = data.get(name)
    if not value or not isinstance(value, list | tuple):
        return ()
    return tuple([item[:MAX_TEXT] for item in value[:MAX_ITEMS] if isinstance(item, str)])
