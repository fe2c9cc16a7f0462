"""From a question and the facts to what Cedar is asked, with no attribute ever missing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from greylag.domain.labels import LEVELS, Label, ancestors
from greylag.domain.stages import Stage
from greylag.governance.facts import CLOSED, OPERATOR, TARGET_KINDS, UNKNOWN, FactBase, TargetFact
from greylag.governance.question import Question

#: The kinds a principal (``kind:name``) may have, and Cedar's words for them.
PRINCIPAL_TYPES: Mapping[str, str] = {
    "person": "Greylag::Person",
    "agent": "Greylag::Agent",
    "platform": "Greylag::Platform",
}
TARGET_TYPE = "Greylag::Target"
ACTION_TYPE = "Greylag::Action"
ZONE_TYPE = "Greylag::Zone"

MAX_TEXT = 256
MAX_NAME = 1024
MAX_SURFACES = 64
MAX_CLASSES = 256

_PLAIN = re.compile(r"[A-Za-z0-9._:/-]{1,80}")
_STAGES = frozenset(str(stage) for stage in Stage)
_TEXT = f"a text of 1 to {MAX_TEXT} characters"
_PRINCIPAL = f"one of {', '.join(PRINCIPAL_TYPES)}, then `:` and a name, at most {MAX_TEXT} characters"


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed question, resolved against one snapshot: principal, label with all its regimes, fact row, transfer.

    ``fact`` is None for an unknown target. ``rows`` names the fact rows about transfers that were used.
    """

    question: Question
    principal_kind: str
    principal_name: str
    label: Label
    fact: TargetFact | None
    transfers: tuple[str, ...] = ()
    restricted: tuple[str, ...] = ()
    safeguards: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()

    @property
    def entity_id(self) -> str:
        """The id of the Cedar entity that stands for the target."""
        return self.fact.row if self.fact is not None else unknown_id(self.question.target.kind)

    def request(self, home: str, home_control: tuple[str, ...]) -> dict[str, object]:
        """Return the Cedar request."""
        asset, done = self.question.asset, self.question.discharged
        return {
            "principal": {"type": PRINCIPAL_TYPES[self.principal_kind], "id": self.principal_name},
            "action": {"type": ACTION_TYPE, "id": str(self.question.stage)},
            "resource": {"type": TARGET_TYPE, "id": self.entity_id},
            "context": {
                "kind": asset.kind, "level": self.label.rank,
                "classes": sorted({key for each in self.label.classes for key in ancestors(each)}),
                "origins": list(self.label.origins), "regimes": list(self.label.regimes),
                "subjects": self.label.subjects, "origin": asset.origin, "size_bytes": asset.size_bytes,
                "surfaces": list(asset.surfaces), "verb": self.question.action, "home": home,
                "home_control": list(home_control), "applied": list(done.applied), "approvals": list(done.approvals),
                "residual_findings": done.residual_findings, "transfers": list(self.transfers),
                "restricted": list(self.restricted), "safeguards": list(self.safeguards),
            },
        }  # fmt: skip


def resolve(question: Question, facts: FactBase) -> Asked | tuple[str, ...]:
    """Return the question resolved against ``facts``, or what is wrong with it in words (each names the field).

    The regimes that follow from classes and origins are joined to those on the label: a label that leaves one out
    opens nothing.
    """
    if problems := tuple(_problems(question)):
        return problems
    kind, _, name = question.principal.partition(":")
    label = question.asset.label
    label = label.joined(Label(LEVELS[0], regimes=facts.regimes_of(label.classes, label.origins)))
    fact = facts.target(question.target.kind, question.target.name)
    if fact is None:
        return Asked(question, kind, name, label, None, label.regimes, label.regimes)
    found = [(regime, facts.transfer(regime, label, fact)) for regime in label.regimes]
    return Asked(
        question,
        kind,
        name,
        label,
        fact,
        transfers=tuple(regime for regime, transfer in found if transfer.leaves),
        restricted=tuple(regime for regime, transfer in found if transfer.uncovered),
        safeguards=tuple(sorted({each for _, transfer in found for each in transfer.safeguards})),
        rows=tuple(sorted({row for _, transfer in found for row in transfer.rows})),
    )


def _problems(question: Question) -> list[str]:
    asset, target, label, done = question.asset, question.target, question.asset.label, question.discharged
    checks: tuple[tuple[str, object, bool, str], ...] = (
        ("stage", question.stage, str(question.stage) in _STAGES, "one of the twelve stages"),
        ("principal", question.principal, bool(principal_kind(question.principal)), _PRINCIPAL),
        ("action", question.action, _is_text(question.action), _TEXT),
        ("at", question.at, question.at.tzinfo is not None, "an aware time"),
        ("asset.kind", asset.kind, _is_text(asset.kind), _TEXT),
        ("asset.label.level", label.level, label.level in LEVELS, f"one of {', '.join(LEVELS)}"),
        ("asset.label.classes", label.classes, _are_texts(label.classes, MAX_CLASSES), _many(MAX_CLASSES)),
        ("asset.label.origins", label.origins, _are_texts(label.origins, MAX_CLASSES), _many(MAX_CLASSES)),
        ("asset.label.regimes", label.regimes, _are_texts(label.regimes, MAX_CLASSES), _many(MAX_CLASSES)),
        ("asset.label.subjects", label.subjects, is_size(label.subjects), "a whole number from 0 to 2**63 - 1"),
        ("asset.origin", asset.origin, _is_text(asset.origin), _TEXT),
        ("asset.size_bytes", asset.size_bytes, is_size(asset.size_bytes), "a whole number from 0 to 2**63 - 1"),
        ("asset.surfaces", asset.surfaces, _are_texts(asset.surfaces), _many(MAX_SURFACES)),
        ("target.kind", target.kind, target.kind in TARGET_KINDS, f"one of {', '.join(TARGET_KINDS)}"),
        ("target.name", target.name, _is_text(target.name, MAX_NAME), f"a text of 1 to {MAX_NAME} characters"),
        ("discharged.applied", done.applied, _are_texts(done.applied), _many(MAX_SURFACES)),
        ("discharged.approvals", done.approvals, _are_texts(done.approvals), _many(MAX_SURFACES)),
        ("discharged.residual_findings", done.residual_findings, is_size(done.residual_findings), "a count"),
    )
    return [
        f"`{field}`: got/expected: {shown(value)}/{expected}" for field, value, holds, expected in checks if not holds
    ]


def _many(most: int) -> str:
    return f"at most {most} times {_TEXT}"


def _is_text(value: object, limit: int = MAX_TEXT) -> bool:
    return isinstance(value, str) and 0 < len(value) <= limit


def _are_texts(values: Sequence[object], most: int = MAX_SURFACES) -> bool:
    return len(values) <= most and all(_is_text(value) for value in values)


def principal_kind(principal: object) -> str:
    """Return the kind of a well-formed principal (``kind:name``), empty for anything else."""
    if not isinstance(principal, str) or not 0 < len(principal) <= MAX_TEXT:
        return ""
    kind, _, name = principal.partition(":")
    return kind if kind in PRINCIPAL_TYPES and name else ""


def is_size(value: object) -> bool:
    """Whether ``value`` is a whole number that Cedar can hold, not below nought."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def unknown_id(kind: str) -> str:
    """Return the entity id of every target of ``kind`` without a row. No row's name holds a ``?``."""
    return f"{kind}/?"


def entities(facts: FactBase) -> list[dict[str, object]]:
    """Return one Cedar entity for each target and zone of a snapshot, and one for each kind of unknown target.

    A zone that isn't there on that day has no entity: a rule that reads it errs, and an error denies.
    """
    rows = [_known(facts, target) for target in facts.targets]
    return (
        rows
        + zone_entities(facts, facts.zones())
        + [_entity(unknown_id(kind), _unknown(kind)) for kind in TARGET_KINDS]
    )


def resource_of(asked: Asked, facts: FactBase) -> dict[str, object]:
    """Return the Cedar entity of what ``asked`` is about, as ``facts`` describe it."""
    if asked.fact is None:
        return _entity(asked.entity_id, _unknown(asked.question.target.kind))
    return _known(facts, asked.fact)


def zone_entities(facts: FactBase, names: Sequence[str]) -> list[dict[str, object]]:
    """Return one Cedar entity for each zone of ``names`` that is there."""
    return [
        {"uid": {"type": ZONE_TYPE, "id": name}, "attrs": {"members": sorted(members)}, "parents": []}
        for name in names
        if (members := facts.zone(name)) is not None
    ]


def _known(facts: FactBase, target: TargetFact) -> dict[str, object]:
    reach = facts.reach(target)
    attributes = {
        "known": True, "kind": target.kind, "own": not target.processor, "places": _places(facts, target, reach.names),
        "residency": sorted(reach.residency) or [UNKNOWN], "reach": sorted(reach.everywhere) or [UNKNOWN],
        "control": sorted(facts.control(target)) or [UNKNOWN], "provenance": list(target.weights_from) or [UNKNOWN],
        "processor": target.processor,
        "certifications": list(facts.certifications(target.processor)) if target.processor else [],
        "pinned": target.pinned, "trains_by_default": target.trains_by_default is not False,
        "retention_known": target.retention_days is not None, "retention_days": target.retention_days or 0,
        "max_level": -1 if target.max_level == CLOSED else LEVELS.index(target.max_level),
        "certainty": facts.certainty(target), "stale": facts.stale(target),
        "uncovered_surfaces": list(target.uncovered_surfaces),
    }  # fmt: skip
    return _entity(target.row, attributes)


def _places(facts: FactBase, target: TargetFact, names: frozenset[str]) -> list[str]:
    """Return the names of the places a target works at.

    A place of which nobody knows whose law holds there is still that place: an install that has not said where it is
    works at home all the same. Only a name without a row is unknown.
    """
    listed = {*target.processing, *target.storage, *target.support, *target.control_plane}
    if not target.processor and UNKNOWN not in listed and all(facts.place(name) for name in listed):
        return sorted(names - {UNKNOWN})
    return sorted(names) or [UNKNOWN]


def _unknown(kind: str) -> dict[str, object]:
    return {
        "known": False, "kind": kind, "own": False, "places": [UNKNOWN], "residency": [UNKNOWN], "reach": [UNKNOWN],
        "control": [UNKNOWN], "provenance": [UNKNOWN], "processor": UNKNOWN, "certifications": [], "pinned": False,
        "trains_by_default": True, "retention_known": False, "retention_days": 0, "max_level": -1, "certainty": UNKNOWN,
        "stale": True, "uncovered_surfaces": [],
    }  # fmt: skip


def _entity(entity_id: str, attributes: Mapping[str, object]) -> dict[str, object]:
    return {"uid": {"type": TARGET_TYPE, "id": entity_id}, "attrs": dict(attributes), "parents": []}


def home_control(facts: FactBase, home: str) -> tuple[str, ...]:
    """Return who controls the home region: the operator, and its jurisdictions where they are known."""
    place = facts.place(home)
    codes = () if place is None else tuple(code for code in place.jurisdictions if code != UNKNOWN)
    return (OPERATOR, *codes)


def words(asked: Asked, facts: FactBase, home: str) -> dict[str, str]:
    """Return what the placeholders of a rule's texts stand for; hostile text comes quoted, escaped and cut."""
    question, fact, label = asked.question, asked.fact, asked.label
    reach = facts.reach(fact) if fact is not None else None
    control = facts.control(fact) if fact is not None else (UNKNOWN,)
    return {
        "stage": str(question.stage), "verb": shown(question.action), "principal": shown(question.principal),
        "principal_kind": asked.principal_kind, "kind": shown(question.asset.kind), "level": label.level,
        "classes": _listed(label.classes), "origins": _listed(label.origins), "regimes": _listed(label.regimes),
        "origin": shown(question.asset.origin), "surfaces": _listed(question.asset.surfaces),
        "target": shown(question.target.name), "target_kind": question.target.kind,
        "places": ", ".join(sorted(reach.names)) if reach is not None else UNKNOWN,
        "residency": ", ".join(sorted(reach.residency)) if reach is not None else UNKNOWN,
        "reach": ", ".join(sorted(reach.everywhere)) if reach is not None else UNKNOWN,
        "control": ", ".join(sorted(control)),
        "provenance": ", ".join(fact.weights_from if fact is not None else ()) or UNKNOWN,
        "processor": (fact.processor or "the operator itself") if fact is not None else "a company nobody knows",
        "max_level": fact.max_level if fact is not None else CLOSED,
        "certainty": facts.certainty(fact) if fact is not None else UNKNOWN, "home": home,
        "restricted": _listed(asked.restricted),
    }  # fmt: skip


def _listed(values: Sequence[str]) -> str:
    more = f" and {len(values) - 8} more" if len(values) > 8 else ""
    return (", ".join(value if _PLAIN.fullmatch(value) else shown(value) for value in values[:8]) or "nothing") + more


def shown(value: object) -> str:
    """Return ``value`` quoted in ASCII, without control characters, at most 120 characters."""
    text = ascii(value[:200] if isinstance(value, str) else value)
    return text if len(text) <= 120 else text[:117] + "..."


def printable(text: str, limit: int = 300) -> str:
    """Return the first ``limit`` characters of ``text``, in ASCII, with ``?`` for what can't be shown."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text[:limit])
