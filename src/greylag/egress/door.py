"""The door itself: the only maker of permits."""

from collections.abc import Mapping
from typing import Protocol

from greylag.domain.clock import Clock
from greylag.domain.errors import PolicyRefused
from greylag.domain.ids import DecisionId, derived_id
from greylag.egress.hop import Hop
from greylag.egress.permit import Permit, mint
from greylag.governance.question import Question, Verdict


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


class Door:
    """Admits hops: question → verdict → ledger entry → permit or refusal. Fails closed at each arrow."""

    def __init__(self, policy: Policy, ledger: LedgerLog, clock: Clock, region: str) -> None:
        self._policy = policy
        self._ledger = ledger
        self._clock = clock
        self._region = region

    def admit(self, hop: Hop) -> Permit:
        """Return a permit for ``hop`` once its decision stands in the ledger.

        Raises PolicyRefused ``GL-POLICY-001`` (also ledgered) with rules and remedies, or BackendError where the
        ledger can't be written.
        """
        now = self._clock.now()
        verdict = self._policy.decide(Question(hop.stage, hop.principal, hop.action, hop.asset, hop.target, now))
        permitted = verdict.permitted and not verdict.errors
        decision_id = DecisionId(derived_id("dec", self._region, hop.task_id, hop.stage, hop.key, str(permitted)))
        index = self._ledger.append(
            _decision_entry(hop, verdict, permitted, decision_id, self._region), key=decision_id
        )
        if not permitted:
            raise _refusal(hop, verdict, decision_id)
        return mint(decision_id, hop.stage, hop.target.name, hop.asset.digest, index)

    def observe(self, permit: Permit, outcome: str, facts: Mapping[str, str | int] | None = None) -> None:
        """Record what was seen after the hop (``sent``, ``failed`` …) with small plain facts, never content."""
        entry = {
            "kind": "outcome", "decision_id": permit.decision_id, "stage": str(permit.stage), "region": self._region,
            "outcome": outcome, "facts": dict(facts or {}),
        }  # fmt: skip
        self._ledger.append(entry, key=f"{permit.decision_id}/outcome")


def _decision_entry(
    hop: Hop, verdict: Verdict, permitted: bool, decision_id: DecisionId, region: str
) -> dict[str, object]:
    return {
        "kind": "decision", "decision_id": decision_id, "task_id": hop.task_id, "stage": str(hop.stage),
        "region": region, "principal": hop.principal, "action": hop.action,
        "asset": {
            "kind": hop.asset.kind, "level": hop.asset.level, "origin": hop.asset.origin, "digest": hop.asset.digest,
            "size_bytes": hop.asset.size_bytes, "surfaces": list(hop.asset.surfaces),
        },
        "target": {"kind": hop.target.kind, "name": hop.target.name},
        "permitted": permitted, "rules": list(verdict.rules), "reasons": list(verdict.reasons),
        "remedies": list(verdict.remedies), "facts": list(verdict.facts), "errors": list(verdict.errors),
        "policy_version": verdict.policy_version,
    }  # fmt: skip


def _refusal(hop: Hop, verdict: Verdict, decision_id: DecisionId) -> PolicyRefused:
    why = "; ".join((*verdict.errors, *verdict.reasons)) or "no rule permits it"
    remedy = " Or: ".join(verdict.remedies) or "ask the operator to add a rule or a fact for this target."
    return PolicyRefused(
        "GL-POLICY-001",
        f"{hop.asset.kind} ({hop.asset.level}) may not go to {hop.target.kind} {hop.target.name!r} at stage"
        f" `{hop.stage}`: {why}.",
        remedy,
        decision_id=decision_id,
        rules=verdict.rules,
    )
