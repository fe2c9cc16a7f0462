"""From a question and the facts to what Cedar is asked, with no attribute ever missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from greylag.domain.labels import LEVELS
from greylag.domain.stages import Stage
from greylag.governance.facts import ANYWHERE, OPERATOR, TARGET_KINDS, UNKNOWN, FactBase, TargetFact
from greylag.governance.question import Question

#: The kinds a principal (``kind:name``) may have, and Cedar's words for them.
PRINCIPAL_TYPES: Mapping[str, str] = {
    "person": "Greylag::Person",
    "agent": "Greylag::Agent",
    "platform": "Greylag::Platform",
}
TARGET_TYPE = "Greylag::Target"
ACTION_TYPE = "Greylag::Action"

MAX_TEXT = 256
MAX_NAME = 1024
MAX_SURFACES = 64

_STAGES = frozenset(str(stage) for stage in Stage)
_TEXT = f"a text of 1 to {MAX_TEXT} characters"
_PRINCIPAL = f"one of {', '.join(PRINCIPAL_TYPES)}, then `:` and a name, at most {MAX_TEXT} characters"


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed question, resolved: its principal, its level as a number, its fact row (None for unknown)."""

    question: Question
    principal_kind: str
    principal_name: str
    level: int
    fact: TargetFact | None

    @property
    def entity_id(self) -> str:
        """The id of the Cedar entity that stands for the target."""
        return self.fact.row if self.fact is not None else unknown_id(self.question.target.kind)

    def request(self, home: str, home_control: tuple[str, ...]) -> dict[str, object]:
        """Return the Cedar request."""
        asset = self.question.asset
        return {
            "principal": {"type": PRINCIPAL_TYPES[self.principal_kind], "id": self.principal_name},
            "action": {"type": ACTION_TYPE, "id": str(self.question.stage)},
            "resource": {"type": TARGET_TYPE, "id": self.entity_id},
            "context": {
                "kind": asset.kind, "level": self.level, "origin": asset.origin, "size_bytes": asset.size_bytes,
                "surfaces": list(asset.surfaces), "verb": self.question.action, "home": home,
                "home_control": list(home_control),
            },
        }  # fmt: skip


def resolve(question: Question, facts: FactBase) -> Asked | tuple[str, ...]:
    """Return the question resolved against ``facts``, or what is wrong with it in words (each names the field)."""
    if problems := tuple(_problems(question)):
        return problems
    kind, _, name = question.principal.partition(":")
    fact = facts.target(question.target.kind, question.target.name)
    return Asked(question, kind, name, LEVELS.index(question.asset.level), fact)


def _problems(question: Question) -> list[str]:
    asset, target = question.asset, question.target
    kind, _, name = question.principal.partition(":") if _is_text(question.principal) else ("", "", "")
    checks: tuple[tuple[str, object, bool, str], ...] = (
        ("stage", question.stage, str(question.stage) in _STAGES, "one of the twelve stages"),
        ("principal", question.principal, kind in PRINCIPAL_TYPES and bool(name), _PRINCIPAL),
        ("action", question.action, _is_text(question.action), _TEXT),
        ("asset.kind", asset.kind, _is_text(asset.kind), _TEXT),
        ("asset.level", asset.level, asset.level in LEVELS, f"one of {', '.join(LEVELS)}"),
        ("asset.origin", asset.origin, _is_text(asset.origin), _TEXT),
        ("asset.size_bytes", asset.size_bytes, _is_size(asset.size_bytes), "a whole number from 0 to 2**63 - 1"),
        ("asset.surfaces", asset.surfaces, _are_texts(asset.surfaces), f"at most {MAX_SURFACES} times {_TEXT}"),
        ("target.kind", target.kind, target.kind in TARGET_KINDS, f"one of {', '.join(TARGET_KINDS)}"),
        ("target.name", target.name, _is_text(target.name, MAX_NAME), f"a text of 1 to {MAX_NAME} characters"),
    )
    return [
        f"`{field}`: got/expected: {shown(value)}/{expected}" for field, value, holds, expected in checks if not holds
    ]


def _is_text(value: object, limit: int = MAX_TEXT) -> bool:
    return isinstance(value, str) and 0 < len(value) <= limit


def _are_texts(values: Sequence[object]) -> bool:
    return len(values) <= MAX_SURFACES and all(_is_text(value) for value in values)


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def unknown_id(kind: str) -> str:
    """Return the entity id of every target of ``kind`` without a row. No row's name holds a ``?``."""
    return f"{kind}/?"


def entities(facts: FactBase) -> list[dict[str, object]]:
    """Return one Cedar entity for each row that may decide, and one for each kind of unknown target."""
    rows = [_known(facts, target) for target in facts.targets if target.basis.decides]
    return rows + [_entity(unknown_id(kind), _unknown(kind)) for kind in TARGET_KINDS]


def _known(facts: FactBase, target: TargetFact) -> dict[str, object]:
    places = set(target.places) or {UNKNOWN}
    jurisdictions = {row.jurisdiction if (row := facts.place(name)) else UNKNOWN for name in places}
    if not target.pinned:
        # What the vendor may choose to do is part of the reach.
        places.add(ANYWHERE)
    for name in tuple(places):
        if name != ANYWHERE and facts.place(name) is None:
            places.add(UNKNOWN)
    attributes = {
        "known": True, "kind": target.kind, "places": sorted(places), "jurisdictions": sorted(jurisdictions),
        "processor": target.processor, "controlled_by": list(target.controlled_by) or [UNKNOWN],
        "pinned": target.pinned, "trains_by_default": target.trains_by_default is not False,
        "max_level": LEVELS.index(target.max_level), "certainty": target.basis.certainty,
        "uncovered_surfaces": list(target.uncovered_surfaces),
    }  # fmt: skip
    return _entity(target.row, attributes)


def _unknown(kind: str) -> dict[str, object]:
    return {
        "known": False, "kind": kind, "places": [UNKNOWN], "jurisdictions": [UNKNOWN], "processor": UNKNOWN,
        "controlled_by": [UNKNOWN], "pinned": False, "trains_by_default": True, "max_level": 0, "certainty": UNKNOWN,
        "uncovered_surfaces": [],
    }  # fmt: skip


def _entity(entity_id: str, attributes: Mapping[str, object]) -> dict[str, object]:
    return {"uid": {"type": TARGET_TYPE, "id": entity_id}, "attrs": dict(attributes), "parents": []}


def home_control(facts: FactBase, home: str) -> tuple[str, ...]:
    """Return who controls the home region: the operator, and its jurisdiction where that is known."""
    place = facts.place(home)
    if place is None or place.jurisdiction == UNKNOWN:
        return (OPERATOR,)
    return (OPERATOR, place.jurisdiction)


def words(asked: Asked, home: str) -> dict[str, str]:
    """Return what the placeholders of a rule's texts stand for; hostile text comes quoted, escaped and cut."""
    question, fact = asked.question, asked.fact
    return {
        "stage": str(question.stage), "verb": shown(question.action), "principal": shown(question.principal),
        "principal_kind": asked.principal_kind, "kind": shown(question.asset.kind), "level": question.asset.level,
        "origin": shown(question.asset.origin),
        "surfaces": ", ".join(shown(surface) for surface in question.asset.surfaces[:8]) or "nothing",
        "target": shown(question.target.name), "target_kind": question.target.kind,
        "places": ", ".join(fact.places if fact is not None else (UNKNOWN,)),
        "processor": (fact.processor if fact is not None else "") or "of that target",
        "controlled_by": ", ".join(fact.controlled_by if fact is not None else (UNKNOWN,)),
        "max_level": fact.max_level if fact is not None else LEVELS[0],
        "certainty": fact.basis.certainty if fact is not None else UNKNOWN, "home": home,
    }  # fmt: skip


def shown(value: object) -> str:
    """Return ``value`` quoted in ASCII, without control characters, at most 120 characters."""
    text = ascii(value[:200] if isinstance(value, str) else value)
    return text if len(text) <= 120 else text[:117] + "..."


def printable(text: str, limit: int = 300) -> str:
    """Return the first ``limit`` characters of ``text``, in ASCII, with ``?`` for what can't be shown."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text[:limit])
