"""Why a recorded decision is as it is, under its world; and how a flow would be decided that has not happened.

Asking here moves nothing and is no decision: it leaves no entry in the ledger.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from greylag.adapters.store.port import LedgerStore
from greylag.app.install.law.worlds import read_world
from greylag.domain.errors import GreylagError, RequestRefused
from greylag.domain.labels import LEVELS, Label
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.governance.decision import Decision, decision_from
from greylag.governance.explanation import Explanation, as_json, as_text, explain, one_line
from greylag.governance.facts import TARGET_KINDS, UNKNOWN
from greylag.governance.policy import CedarPolicy
from greylag.governance.policy.request import PRINCIPAL_TYPES
from greylag.governance.question import Asset, Discharged, Question, Target

_PAGE = 1000
#: How much of a ledger is read for one task's decisions.
MAX_SCANNED = 50_000
MAX_DECISIONS = 2000
MAX_ITEMS = 64
MAX_WORLDS = 4
#: Clocks are set back now and then; entries are in order, their times nearly so.
_SLACK = timedelta(minutes=10)
_USUAL_PRINCIPALS = {
    Stage.INTAKE: "person:somebody", Stage.PROMPT: "agent:claude", Stage.TOOL: "agent:claude",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded decision explained. ``world`` is ``recorded``, or ``current`` where the recorded one is not to be had.

    ``reproduced``: asking again under the recorded world gives the recorded verdict, word for word. ``notes`` say in
    words what to keep in mind.
    """

    decision: Decision
    explanation: Explanation
    world: str
    reproduced: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow that has not happened, as somebody describes it; empty means the usual."""

    stage: str
    target_kind: str
    target: str
    asset: str = ""
    level: str = ""
    classes: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    principal: str = ""
    at: str = ""
    applied: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()


def find_decision(ledger: LedgerStore, decision_id: str) -> Decision:
    """Return a recorded decision. Raises RequestRefused ``GL-EXPLAIN-001`` where the ledger has none of that id."""
    entry = ledger.find(decision_id) if decision_id.isascii() and len(decision_id) <= 80 else None
    document = json.loads(entry.body) if entry is not None else {}
    if document.get("kind") != "decision":
        raise RequestRefused(
            "GL-EXPLAIN-001", f"the ledger of this region has no decision {decision_id[:80]!r}.",
            "`greylag ledger show` lists them; each region keeps its own.",
        )  # fmt: skip
    return decision_from(document)


def decisions_about(ledger: LedgerStore, task: Task) -> list[Mapping[str, Any]]:
    """Return the ledger's decision entries about one task, in order, at most `MAX_DECISIONS`."""
    found: list[Mapping[str, Any]] = []
    for document in _since(ledger, task.received_at - _SLACK):
        if document.get("task_id") == task.task_id and document.get("kind") == "decision":
            found.append(document)
            if len(found) == MAX_DECISIONS:
                break
    return found


def _since(ledger: LedgerStore, moment: datetime) -> Iterator[dict[str, Any]]:
    """Yield entries from about ``moment`` on, found by halving: a ledger is long, and a task is in one part of it."""
    low, high = 0, ledger.size()
    while low < high:
        middle = (low + high) // 2
        (entry,) = ledger.entries(middle, 1)
        if _time_of(json.loads(entry.body)) < moment:
            low = middle + 1
        else:
            high = middle
    end = low + MAX_SCANNED
    while low < end and (page := ledger.entries(low, min(_PAGE, end - low))):
        yield from (json.loads(entry.body) for entry in page)
        low = page[-1].index + 1


def _time_of(document: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(document["at"]).replace("Z", "+00:00"))


class Explainer:
    """Explains recorded decisions of one install, each under the world it was made in; keeps the worlds it has read."""

    def __init__(self, current: CedarPolicy, home: Path) -> None:
        self._current = current
        self._home = home
        self._kept: dict[str, CedarPolicy | GreylagError] = {}

    def explain(self, decision: Decision) -> Recorded:
        """Return ``decision`` explained under its world, or under today's where that can't be had, which it says."""
        found = self._policy_of(decision)
        policy = found if isinstance(found, CedarPolicy) else self._current
        explanation = explain(policy, decision.question)
        recorded = decision.verdict.permitted
        if isinstance(found, GreylagError):
            notes = [f"the world it was decided in can't be had, so this is asked under today's: {found.message}"]
            if explanation.verdict.permitted is not recorded:
                notes.append("today the answer is another one than was recorded")
            return Recorded(decision, explanation, "current", False, tuple(notes))
        notes = []
        reproduced = explanation.verdict == decision.verdict
        if not reproduced:
            notes.append(
                "asking again in the recorded world does NOT give the recorded answer word for word: report this"
            )
        today = self._current.decide(decision.question)
        if today.permitted is not recorded:
            notes.append(f"under today's rules and facts the answer would be {'yes' if today.permitted else 'no'}")
        return Recorded(decision, explanation, "recorded", reproduced, tuple(notes))

    def _policy_of(self, decision: Decision) -> CedarPolicy | GreylagError:
        version = decision.verdict.policy_version
        if version == self._current.version:
            return self._current
        if version not in self._kept:
            if len(self._kept) >= MAX_WORLDS:
                self._kept.clear()
            try:
                world = read_world(self._home, version)
                self._kept[version] = world.policy(today=decision.question.at.date())
            except GreylagError as error:
                self._kept[version] = error
        return self._kept[version]


def line_about(explainer: Explainer, ledger: LedgerStore, decision_id: str) -> str:
    """Return one line for a chat about a recorded decision, "" where it can't be explained."""
    try:
        return one_line(explainer.explain(find_decision(ledger, decision_id)).explanation)
    except GreylagError:  # the refusal itself is told all the same
        return ""


def recorded_document(found: Recorded) -> dict[str, Any]:
    """Return it as plain JSON values, with the explanation as text too."""
    decision = found.decision
    return {
        "decision": {
            "decision_id": decision.decision_id, "task_id": decision.task_id, "repository": decision.repository,
            "region": decision.region, "round": decision.round, "supersedes": decision.supersedes,
            "permitted": decision.verdict.permitted, "rules": list(decision.verdict.rules),
            "policy_version": decision.verdict.policy_version,
        },
        "world": found.world, "reproduced": found.reproduced, "notes": list(found.notes),
        "explanation": as_json(found.explanation), "text": as_text(found.explanation),
    }  # fmt: skip


def flow_question(flow: Flow, region: str, today: date, floor: Label | None = None) -> Question:
    """Return the question that ``flow`` describes; ``floor`` is the label of its repository, which it has at least.

    Raises RequestRefused ``GL-EXPLAIN-002`` for what can't be asked.
    """
    _one_of("stage", flow.stage, tuple(Stage))
    _one_of("target-kind", flow.target_kind, TARGET_KINDS)
    stage = Stage(flow.stage)
    principal = flow.principal or _USUAL_PRINCIPALS.get(stage, "platform:greylag")
    _one_of("principal", principal.partition(":")[0], tuple(PRINCIPAL_TYPES))
    level = flow.level or (floor.level if floor is not None else "internal")
    _one_of("level", level, LEVELS)
    for name in ("classes", "origins", "surfaces", "applied", "approvals"):
        if len(getattr(flow, name)) > MAX_ITEMS:
            raise _wrong(name, f"{len(getattr(flow, name))} values", f"at most {MAX_ITEMS}")
    if not flow.target:
        raise _wrong("target", "nothing", "the name of a target in the facts")
    label = Label.of(level, classes=flow.classes, origins=flow.origins, derived_by=("described",))
    label = label.joined(floor) if floor is not None else label
    if label.classes and not label.origins:
        label = label.joined(Label.of(LEVELS[0], origins=(UNKNOWN,)))
    day = _day(flow.at) if flow.at else today
    return Question(
        stage, principal if ":" in principal else f"{principal}:somebody", "send",
        Asset(flow.asset or str(stage), label, region, surfaces=flow.surfaces), Target(flow.target_kind, flow.target),
        datetime(day.year, day.month, day.day, tzinfo=UTC), Discharged(flow.applied, flow.approvals),
    )  # fmt: skip


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _wrong("at", repr(text[:40]), "a day such as 2026-11-23") from None


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise _wrong(name, repr(value[:60]), f"one of {', '.join(allowed)}")


def _wrong(name: str, got: str, expected: str) -> RequestRefused:
    return RequestRefused("GL-EXPLAIN-002", f"`{name}`: got/expected: {got}/{expected}.", "correct it and ask again.")
