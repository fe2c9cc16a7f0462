"""A statement for a customer or a person: where their data is, who can read it, on which ground, and what was refused.

An in-toto statement about the ledger it was made from: signed by the caller (`greylag.governance.evidence`), opened by
`greylag evidence verify`; what its proofs list can be shown to stand in that ledger (RFC 6962).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from greylag.domain.errors import RequestRefused
from greylag.governance.datamap import DataMap, Located, Step
from greylag.governance.evidence import STATEMENT_TYPE, DecisionProof
from greylag.governance.exports.install import Install
from greylag.governance.exports.sheets import Sheet, sheet_document
from greylag.governance.ledger.checkpoint import parse_checkpoint

STATEMENT_PREDICATE = "https://greylag.dev/customer-statement/v1"
_MOST_COPIES = 2_000
_MOST_DENIALS = 1_000
#: So many decisions are proven; the others can be found in the ledger by their ids.
MOST_PROOFS = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a statement is for, as it is to be called in it: ``repository`` or ``person``, and the name."""

    kind: str
    name: str


def customer_statement(
    subject: Subject, found: DataMap, transfers: Sheet, install: Install, *, issued_at: str, checkpoint: str,
    proofs: Sequence[DecisionProof] = (),
) -> dict[str, object]:  # fmt: skip
    """Return the statement about ``found``, a map narrowed to ``subject``, made at ``issued_at`` (RFC 3339).

    ``checkpoint`` is the ledger's signed tree head when the map was made. Raises RequestRefused ``GL-EXPORT-002`` for
    an empty ledger, of which nothing can be stated.
    """
    head = parse_checkpoint(checkpoint)
    if head.size == 0:
        raise RequestRefused(
            "GL-EXPORT-002", "the ledger is empty, so nothing can be stated.", "let something happen first."
        )
    denials = [step for step in found.steps if not step.permitted]
    predicate: dict[str, object] = {
        "for": {"kind": subject.kind, "name": subject.name},
        "issuedAt": issued_at,
        "by": {
            "controller": install.controller, "contact": install.contact, "product": install.product,
            "version": install.version, "region": install.region, "jurisdiction": install.jurisdiction,
        },
        "factsOf": found.facts_day,
        "coverage": {
            "assets": found.coverage.assets, "observed": found.coverage.observed, "declared": found.coverage.declared,
            "unknown": found.coverage.unknown,
        },
        "where": [_copy(each) for each in found.located[:_MOST_COPIES]],
        "whoCanRead": [
            {"kind": each.kind, "name": each.name, "why": each.why, "times": each.times, "last": each.last}
            for each in found.readers
        ],
        "transfers": sheet_document(transfers)["rows"],
        "refused": [_refusal(step) for step in denials[-_MOST_DENIALS:]],
        "leftOut": {
            "copies": found.gaps.more_located + max(0, len(found.located) - _MOST_COPIES),
            "hops": found.gaps.more_steps + found.gaps.older_steps,
            "refusals": max(0, len(denials) - _MOST_DENIALS),
            "decisionsNotFollowed": found.gaps.untracked,
            "entriesNotReadable": found.gaps.unread,
        },
        "ledger": {
            "checkpoint": checkpoint,
            "proofs": [
                {"decision": each.decision_id, "index": each.index, "leafHash": each.leaf_hash, "path": list(each.path)}
                for each in proofs
            ],
        },
        "notes": ["Observed is what the platform saw, declared what was decided and facts say. Not legal advice."],
    }  # fmt: skip
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": f"{head.origin}@{head.size}", "digest": {"sha256": head.root.hex()}}],
        "predicateType": STATEMENT_PREDICATE,
        "predicate": predicate,
    }


def wanted_proofs(found: DataMap) -> tuple[tuple[str, int], ...]:
    """Return (decision id, ledger index) of the decisions to prove: refusals first, then what let data go."""
    ordered = sorted(found.steps, key=lambda step: (step.permitted, -step.index))
    return tuple((step.decision_id, step.index) for step in ordered[:MOST_PROOFS])


def _copy(each: Located) -> Mapping[str, object]:
    standing = each.standing
    return {
        "asset": each.asset.kind, "digest": each.asset.digest, "task": each.asset.task_id, "level": each.label.level,
        "target": f"{each.target.kind} {each.target.name}", "places": list(standing.places),
        "residency": list(standing.residency), "evidence": each.evidence, "observedPlace": each.observed_place,
        "processor": standing.processor, "legalEntity": standing.legal_entity, "control": list(standing.control),
        "since": each.first_seen, "last": each.last_seen, "erased": each.erased, "retainDays": each.retain_days,
        "decisions": list(each.decisions),
    }  # fmt: skip


def _refusal(step: Step) -> Mapping[str, object]:
    return {
        "at": step.at, "stage": step.stage, "asset": step.asset.kind,
        "target": f"{step.target.kind} {step.target.name}", "rules": list(step.rules), "decision": step.decision_id,
    }  # fmt: skip
