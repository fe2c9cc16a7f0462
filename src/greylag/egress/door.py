"""The door itself: the only maker of permits."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from greylag.domain.clock import Clock
from greylag.domain.errors import PolicyRefused
from greylag.domain.ids import DecisionId, derived_id
from greylag.domain.labels import Label
from greylag.egress.hop import Hop
from greylag.egress.permit import Permit, mint
from greylag.governance.decision import Decision, entry_of
from greylag.governance.question import Asset, Discharged, Question, Verdict

#: How often a denied question may be asked again after its obligations were discharged.
MAX_DISCHARGES = 2


class Policy(Protocol):
    """Answers questions; an implementation that can't evaluate answers "not permitted"."""

    def decide(self, question: Question) -> Verdict:
        """Return the verdict on ``question``; never raises for what a question may contain."""
        ...


class LedgerLog(Protocol):
    """An append-only log that is durable when `append` returns."""

    def append(self, entry: Mapping[str, object], *, key: str) -> int:
        """Append ``entry`` (plain JSON values) and return its index; the same key and entry again return the same.

        The same key with a different entry is an honest further attempt and gets an entry of its own.
        Raises BackendError where the entry can't be made durable: then nothing may move.
        """
        ...


@dataclass(frozen=True, slots=True)
class Discharge:
    """What became of content: the new bytes, their label, what was applied and what a re-scan still found.

    ``records`` are ledger entries about it (`greylag.governance.transformations`): how and why a label was lowered.
    """

    content: bytes
    label: Label
    done: Discharged
    records: tuple[Mapping[str, object], ...] = ()


class Discharger(Protocol):
    """Does what a verdict asks for before it may be asked again."""

    def discharge(self, hop: Hop, content: bytes, obligations: tuple[str, ...]) -> Discharge | None:
        """Return what became of ``content``, None where one of ``obligations`` can't be met."""
        ...


@dataclass(frozen=True, slots=True)
class Passed:
    """A permit, and the content it is for: what was asked about, or what a discharge made of it."""

    permit: Permit
    content: bytes
    label: Label
    applied: tuple[str, ...] = ()


class Door:
    """Admits hops: question → verdict → ledger entry → permit or refusal. Fails closed at each arrow."""

    def __init__(
        self, policy: Policy, ledger: LedgerLog, clock: Clock, region: str, discharger: Discharger | None = None
    ) -> None:
        self._policy = policy
        self._ledger = ledger
        self._clock = clock
        self._region = region
        self._discharger = discharger

    def admit(self, hop: Hop) -> Permit:
        """Return a permit for ``hop`` once its decision stands in the ledger.

        Raises PolicyRefused ``GL-POLICY-001`` (also ledgered) with rules and remedies, or BackendError where the
        ledger can't be written.
        """
        decision, index = self._decide(hop)
        if not decision.verdict.permitted:
            raise _refusal(decision)
        return _permit(decision, index)

    def send(self, hop: Hop, content: bytes) -> Passed:
        """Return a permit for ``content``, or for what its obligations made of it; each answer stands in the ledger.

        ``hop.asset`` is about ``content``: its digest and size are computed here. A denial that names obligations is
        discharged, re-scanned and asked again, at most twice. Raises as `admit`, the refusal being the last answer.
        """
        hop = replace(hop, asset=_described(hop, content, hop.asset.label))
        decision, index = self._decide(hop)
        label = hop.asset.label
        while not decision.verdict.permitted:
            made = self._discharged(hop, content, decision)
            if made is None:
                raise _refusal(decision)
            content, label = made.content, made.label
            for number, record in enumerate(made.records):
                # Before the question that relies on it: a lowered label without its record is not to be had.
                key = f"{decision.decision_id}/declassification/{number}"
                self._ledger.append({**record, "decision_id": decision.decision_id}, key=key)
            hop = replace(hop, asset=_described(hop, content, label), discharged=_joined(hop.discharged, made.done))
            decision, index = self._decide(hop, decision)
        return Passed(_permit(decision, index), content, label, hop.discharged.applied)

    def observe(self, permit: Permit, outcome: str, facts: Mapping[str, str | int] | None = None) -> None:
        """Record what was seen after the hop (``sent``, ``failed`` …) with small plain facts, never content."""
        entry = {
            "kind": "outcome", "decision_id": permit.decision_id, "stage": str(permit.stage), "region": self._region,
            "outcome": outcome, "facts": dict(facts or {}),
        }  # fmt: skip
        self._ledger.append(entry, key=f"{permit.decision_id}/outcome")

    def _decide(self, hop: Hop, before: Decision | None = None) -> tuple[Decision, int]:
        question = Question(
            hop.stage, hop.principal, hop.action, hop.asset, hop.target, self._clock.now(), hop.discharged
        )
        verdict = self._policy.decide(question)
        verdict = replace(verdict, permitted=verdict.permitted and not verdict.errors)
        turn = before.round + 1 if before is not None else 1
        parts = (self._region, hop.task_id, str(hop.stage), hop.key, str(verdict.permitted))
        decision = Decision(
            decision_id=derived_id("dec", *parts, *((str(turn),) if turn > 1 else ())),
            task_id=hop.task_id,
            repository=hop.repository,
            region=self._region,
            question=question,
            verdict=verdict,
            round=turn,
            supersedes=before.decision_id if before is not None else "",
        )
        return decision, self._ledger.append(entry_of(decision), key=decision.decision_id)

    def _discharged(self, hop: Hop, content: bytes, decision: Decision) -> Discharge | None:
        obligations = decision.verdict.obligations
        if self._discharger is None or not obligations or decision.round > MAX_DISCHARGES:
            return None
        return self._discharger.discharge(hop, content, obligations)


def _described(hop: Hop, content: bytes, label: Label) -> Asset:
    return replace(hop.asset, label=label, digest=f"sha256:{sha256(content).hexdigest()}", size_bytes=len(content))


def _joined(before: Discharged, after: Discharged) -> Discharged:
    return Discharged(
        tuple(sorted({*before.applied, *after.applied})),
        tuple(sorted({*before.approvals, *after.approvals})),
        after.residual_findings,
    )


def _permit(decision: Decision, index: int) -> Permit:
    question = decision.question
    return mint(DecisionId(decision.decision_id), question.stage, question.target.name, question.asset.digest, index)


def _refusal(decision: Decision) -> PolicyRefused:
    question, verdict = decision.question, decision.verdict
    why = "; ".join((*verdict.errors, *verdict.reasons)) or "no rule permits it"
    remedy = " Or: ".join(verdict.remedies) or "ask the operator to add a rule or a fact for this target."
    return PolicyRefused(
        "GL-POLICY-001",
        f"{question.asset.kind} ({question.asset.label.level}) may not go to {question.target.kind}"
        f" {question.target.name!r} at stage `{question.stage}`: {why}.",
        remedy,
        decision_id=decision.decision_id,
        rules=verdict.rules,
    )
