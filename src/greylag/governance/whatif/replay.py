"""Asking recorded decisions again: first where they were made, bit for bit, then in the changed world."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace

from greylag.domain.errors import IntegrityError
from greylag.governance.decision import Decision
from greylag.governance.policy import CedarPolicy
from greylag.governance.policy.supposing import UNKNOWN_TARGET
from greylag.governance.question import Question, Verdict
from greylag.governance.whatif.applying import Changed

#: The rule of a denial because a drill took the target away.
REGION_LOST = "region-lost"
#: How many differences are looked for before the replay stops, and how much of a value is shown.
MAX_MISMATCHES = 5
_SHOWN = 160

_VERDICT = tuple(each.name for each in fields(Verdict))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One field of one recorded verdict that the world it was made in does not answer again."""

    decision_id: str
    field: str
    recorded: str
    recomputed: str

    def __str__(self) -> str:
        return f"{self.decision_id} `{self.field}`: recorded/recomputed: {self.recorded}/{self.recomputed}"


@dataclass(frozen=True, slots=True)
class Pair:
    """One recorded world, before a drill and after it, ready to be asked."""

    before: CedarPolicy
    after: CedarPolicy
    changed: Changed

    def is_lost(self, question: Question) -> bool:
        """Whether the drill took the target away."""
        if not self.changed.lost:
            return False
        row = self.before.facts_on(question.at.date()).target(question.target.kind, question.target.name)
        return row is not None and row.row in self.changed.lost

    def asked_after(self, question: Question) -> Verdict:
        """Return the verdict in the changed world; a target that the drill took away denies under its own rule."""
        verdict = self.after.decide(question)
        if UNKNOWN_TARGET not in verdict.rules or not self.is_lost(question):
            return verdict
        gone = f"{question.target.kind} {question.target.name!r} can't be used: all it works in is lost"
        return replace(
            verdict, rules=(REGION_LOST,), reasons=(gone,), obligations=(),
            remedies=tuple(each for each in verdict.remedies if each.startswith("use ")),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """One recorded decision and what the changed world says; ``question`` is what was asked there, relabelled."""

    decision: Decision
    question: Question
    after: Verdict
    pair: Pair

    @property
    def before(self) -> Verdict:
        """The recorded verdict."""
        return self.decision.verdict

    @property
    def flipped(self) -> bool:
        """Whether what was permitted no longer is, or the other way round."""
        return self.before.permitted != self.after.permitted

    @property
    def moved(self) -> bool:
        """Whether the outcome is the same for other rules or against other obligations."""
        mine = (self.before.permitted, self.before.rules, self.before.obligations)
        return not self.flipped and mine != (self.after.permitted, self.after.rules, self.after.obligations)


def verify_baseline(
    decisions: Iterable[Decision], policy_of: Callable[[str], CedarPolicy]
) -> tuple[Mismatch, ...]:  # fmt: skip
    """Return how the worlds answer otherwise than recorded, the first `MAX_MISMATCHES` differences; empty: they don't.

    ``policy_of`` returns the policy of a recorded ``policy_version``; every field of each verdict is compared.
    Holds one decision at a time.
    """
    found: list[Mismatch] = []
    for decision in decisions:
        found += differences(decision, policy_of(decision.verdict.policy_version))
        if len(found) >= MAX_MISMATCHES:
            break
    return tuple(found[:MAX_MISMATCHES])


def replay(
    decisions: Iterable[Decision], pair_of: Callable[[str], Pair], relabel: Callable[[Decision], Question]
) -> Iterator[Outcome]:
    """Yield each decision with the changed world's verdict, after its own world has answered it as recorded.

    Holds one decision at a time. Raises IntegrityError ``GL-WHATIF-001`` where the recorded worlds answer otherwise:
    then nothing that was yielded before may be relied on.
    """
    found: list[Mismatch] = []
    for decision in decisions:
        pair = pair_of(decision.verdict.policy_version)
        found += differences(decision, pair.before)
        if len(found) >= MAX_MISMATCHES:
            break
        if not found:
            question = relabel(decision)
            yield Outcome(decision, question, pair.asked_after(question), pair)
    if found:
        raise unreproduced(found)


def differences(decision: Decision, policy: CedarPolicy) -> list[Mismatch]:
    """Return the fields in which ``policy`` answers otherwise than recorded."""
    recorded, again = decision.verdict, policy.decide(decision.question)
    if recorded == again:
        return []
    return [
        Mismatch(decision.decision_id, name, _shown(getattr(recorded, name)), _shown(getattr(again, name)))
        for name in _VERDICT
        if getattr(recorded, name) != getattr(again, name)
    ]


def unreproduced(found: Iterable[Mismatch]) -> IntegrityError:
    """Return the error ``GL-WHATIF-001``."""
    return IntegrityError(
        "GL-WHATIF-001",
        f"the recorded decisions are not what their world answers: {'; '.join(map(str, found))}.",
        "run `greylag ledger verify`: either an entry was changed, or this version of Greylag decides otherwise.",
    )


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
