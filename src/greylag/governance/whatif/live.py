"""What is under way or in use on the day of a drill, and which of it the drill would stop."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from greylag.domain.stages import Stage
from greylag.governance.decision import Decision
from greylag.governance.question import Question
from greylag.governance.whatif.fallback import Fallback, fallback_of
from greylag.governance.whatif.replay import Outcome, Pair

#: How many different live movements are kept to be asked again; the rest is counted.
MAX_LIVE = 5_000


@dataclass(frozen=True, slots=True)
class LiveThings:
    """What is under way or in use.

    ``tasks`` maps ids of tasks that have not ended to where they stand, ``builds`` digests of stored builds to their
    names, ``environments`` (target name, digest of what is live there) to since when.
    """

    tasks: Mapping[str, str] = field(default_factory=dict)
    builds: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Affected:
    """Something live whose permitted movement would be refused today. ``kind`` ∈ run, build, environment."""

    kind: str
    name: str
    state: str
    decision: Decision
    why: str
    fallback: Fallback

    def document(self) -> dict[str, object]:
        """Return this as plain JSON values."""
        question = self.decision.question
        return {
            "kind": self.kind, "name": self.name, "state": self.state, "task_id": self.decision.task_id,
            "repository": self.decision.repository, "stage": str(question.stage),
            "target_kind": question.target.kind, "target": question.target.name,
            "decision_id": self.decision.decision_id, "why": self.why, "fallback": self.fallback.document(),
        }  # fmt: skip


class Holding:
    """Keeps, of the outcomes that go by, the permitted movements of what is live; one of each kind."""

    def __init__(self, live: LiveThings) -> None:
        self.live = live
        self.left_out = 0
        self._held: dict[tuple[object, ...], tuple[Decision, Question]] = {}

    def look(self, outcome: Outcome) -> None:
        """Keep the movement of ``outcome`` if it was permitted and concerns something live."""
        decision = outcome.decision
        if not decision.verdict.permitted:
            return
        asset, target = decision.question.asset, decision.question.target
        for kind, name in self._concerned(decision):
            key = (kind, name, decision.question.stage, target, asset.kind, asset.label, decision.question.discharged)
            if key in self._held or len(self._held) < MAX_LIVE:
                self._held[key] = (decision, outcome.question)
            else:
                self.left_out += 1

    def affected(self, now: Pair, today: date) -> tuple[Affected, ...]:
        """Return what would be refused: asked in the newest world before and after the drill, as of ``today``.

        What is refused today anyway is left out: the drill does not change it.
        """
        at = datetime(today.year, today.month, today.day, tzinfo=UTC)
        found = []
        for (kind, name, *_), (decision, question) in self._held.items():
            if not now.before.decide(replace(decision.question, at=at)).permitted:
                continue
            asked = replace(question, at=at)
            verdict = now.asked_after(asked)
            if not verdict.permitted:
                why = (verdict.reasons or verdict.errors or ("no rule permits it",))[0]
                way = fallback_of(now.after, asked, verdict)
                found.append(Affected(str(kind), str(name), self._state(decision, str(kind)), decision, why, way))
        return tuple(found)

    def _concerned(self, decision: Decision) -> list[tuple[str, str]]:
        question, digest = decision.question, decision.question.asset.digest
        found = [("run", decision.task_id)] if decision.task_id in self.live.tasks else []
        if question.stage is Stage.ARTIFACT and digest in self.live.builds:
            found.append(("build", self.live.builds[digest]))
        if question.stage is Stage.DEPLOY and (question.target.name, digest) in self.live.environments:
            found.append(("environment", question.target.name))
        return found

    def _state(self, decision: Decision, kind: str) -> str:
        question = decision.question
        if kind == "run":
            return self.live.tasks[decision.task_id]
        if kind == "environment":
            return self.live.environments[question.target.name, question.asset.digest]
        return question.asset.digest
