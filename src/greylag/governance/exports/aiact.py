"""A log of events of an AI system, after Article 12 of Regulation (EU) 2024/1689, as JSON lines.

Each line is one entry of the ledger, by its index, so that the log can be held against it. Whether a system is a
high-risk one, and what else must be logged for it, is not for a program to say.
"""

from collections.abc import Iterable, Iterator

from greylag.governance.datamap import Decided, Declassified, Observed
from greylag.governance.exports.activity import Period
from greylag.governance.exports.events import records, timestamp
from greylag.governance.exports.install import Install

SCHEMA_VERSION = 1
#: Stage and principal → the kind of event a reader looks for.
_KINDS = {
    "intake": "use_started", "placement": "placement", "checkout": "data_access", "context": "input_prepared",
    "prompt": "model_call", "tool": "tool_call", "artifact": "output_kept", "chat": "output_shown",
    "push": "output_adopted", "deploy": "output_released", "trace": "log_read", "retain": "retention",
}  # fmt: skip


def ai_act_log(
    entries: Iterable[dict[str, object]], install: Install, period: Period | None = None
) -> Iterator[dict[str, object]]:
    """Yield an event for each entry of the period, in order."""
    system = {
        "name": install.product,
        "version": install.version,
        "region": install.region,
        "deployer": install.controller,
    }
    for index, record in records(entries, period):
        event: dict[str, object] = {
            "schema_version": SCHEMA_VERSION,
            "ledger_index": index,
            "at": timestamp(record.at),
            "system": system,
        }
        if isinstance(record, Decided):
            yield {**event, **_decided(record)}
        elif isinstance(record, Observed):
            yield {**event, **_observed(record)}
        else:
            yield {**event, **_declassified(record)}


def _decided(record: Decided) -> dict[str, object]:
    kind = _KINDS.get(record.stage, record.stage)
    person = record.principal.removeprefix("person:") if record.principal.startswith("person:") else ""
    return {
        "event": kind if record.permitted else "refused",
        "stage": record.stage,
        "task_id": record.task_id,
        "repository": record.repository,
        "decision_id": record.decision_id,
        "principal": record.principal,
        "person_involved": person,
        "action": record.action,
        "input": {
            "kind": record.kind, "digest": record.digest, "size_bytes": record.size_bytes, "level": record.label.level,
            "classes": list(record.label.classes), "origins": list(record.label.origins),
        },
        "target": {"kind": record.target.kind, "name": record.target.name},
        "permitted": record.permitted,
        "rules": list(record.rules),
        "reasons": list(record.reasons),
        "discharged": list(record.discharged),
        "policy_version": record.policy_version,
    }  # fmt: skip


def _observed(record: Observed) -> dict[str, object]:
    return {
        "event": "outcome", "stage": record.stage, "decision_id": record.decision_id, "outcome": record.outcome,
        "observed_place": record.place, "facts": dict(record.facts),
    }  # fmt: skip


def _declassified(record: Declassified) -> dict[str, object]:
    return {
        "event": "declassified", "task_id": record.task_id, "repository": record.repository,
        "transformation": record.transformation, "by": record.by, "before": record.before.level,
        "after": record.after.level, "input_digest": record.input_digest, "output_digest": record.output_digest,
        "residual_findings": record.residual_findings,
    }  # fmt: skip
