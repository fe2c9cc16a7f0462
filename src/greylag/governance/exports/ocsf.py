"""OCSF 1.5.0 events: each decision an API Activity (6003), profiles security_control and data_classification.

The class says who called what about which resource towards which endpoint, the profile whether it was allowed: what a
security team's store expects of a gateway. Place, company and facts have no field there and stand in ``unmapped``.
"""

from collections.abc import Iterable, Iterator

from greylag.governance.datamap import Decided, Observed, Standings
from greylag.governance.datamap.trails import ARRIVED, NOT_LEFT
from greylag.governance.exports.activity import Period
from greylag.governance.exports.events import milliseconds, records
from greylag.governance.exports.install import Install
from greylag.governance.facts import FactBase

VERSION = "1.5.0"
PROFILES = ("security_control", "data_classification")
_CLASS, _CATEGORY = 6003, 6
_CREATE, _READ, _OTHER = 1, 2, 99
_ACTIVITIES = {_CREATE: "Create", _READ: "Read", _OTHER: "Other"}
#: Level → OCSF's confidentiality_id and its name.
_CONFIDENTIALITY = {
    "public": (1, "Not Confidential"), "internal": (2, "Confidential"), "confidential": (2, "Confidential"),
    "restricted": (3, "Secret"),
}  # fmt: skip
_READING = frozenset({"checkout", "trace"})
_SENDING = frozenset({"prompt", "tool", "artifact", "chat", "push", "deploy", "context", "intake"})


def ocsf_events(
    entries: Iterable[dict[str, object]], facts: FactBase, install: Install, period: Period | None = None
) -> Iterator[dict[str, object]]:
    """Yield an event for each decision and each outcome of the period, in order."""
    standings = Standings(facts)
    for index, record in records(entries, period):
        if isinstance(record, Decided):
            yield {**_shared(record, install, index), **_decided(record, standings)}
        elif isinstance(record, Observed):
            yield {**_shared(record, install, index), **_observed(record)}


def _shared(record: Decided | Observed, install: Install, index: int) -> dict[str, object]:
    activity = _OTHER
    if isinstance(record, Decided):
        activity = _READ if record.stage in _READING else _CREATE if record.stage in _SENDING else _OTHER
    return {
        "class_uid": _CLASS, "class_name": "API Activity", "category_uid": _CATEGORY,
        "category_name": "Application Activity", "activity_id": activity, "activity_name": _ACTIVITIES[activity],
        "type_uid": _CLASS * 100 + activity, "type_name": f"API Activity: {_ACTIVITIES[activity]}",
        "time": milliseconds(record.at),
        "metadata": {
            "version": VERSION, "profiles": list(PROFILES), "uid": f"{record.region}/{index}",
            "correlation_uid": record.decision_id, "log_name": "greylag.ledger", "sequence": index,
            "product": {"name": install.product, "vendor_name": "Greylag", "version": install.version},
        },
        "src_endpoint": {"uid": record.region or "unknown", "name": record.region or "unknown"},
    }  # fmt: skip


def _decided(record: Decided, standings: Standings) -> dict[str, object]:
    standing = standings.of(record.target)
    person = record.principal.startswith("person:")
    level, name = _CONFIDENTIALITY[record.label.level]
    verdict = "Allowed" if record.permitted else "Denied"
    classification = {"confidentiality_id": level, "confidentiality": name}
    resource = {
        "type": record.kind or "unknown", "name": record.kind or "unknown",
        "uid": record.digest or record.task_id or "none", "labels": [f"class:{key}" for key in record.label.classes],
        "data_classifications": [classification],
    }  # fmt: skip
    return {
        "severity_id": 1 if record.permitted else 3,
        "severity": "Informational" if record.permitted else "Medium",
        "status_id": 1 if record.permitted else 2,
        "status": "Success" if record.permitted else "Failure",
        "status_detail": "; ".join(record.reasons),
        "action_id": 1 if record.permitted else 2,
        "action": verdict,
        "disposition_id": 1 if record.permitted else 2,
        "disposition": "Allowed" if record.permitted else "Blocked",
        "actor": {"user": {"name": record.principal, "uid": record.principal}}
        if person
        else {"app_name": record.principal or "unknown", "app_uid": record.principal or "unknown"},
        "api": {
            "operation": f"{record.stage}:{record.action}",
            "service": {"name": f"{record.target.kind} {record.target.name}"},
            "request": {"uid": record.decision_id},
        },
        "dst_endpoint": {"name": record.target.name or "unknown", "svc_name": record.target.kind or "unknown"},
        "resources": [resource],
        "policy": {
            "uid": record.policy_version or "unknown", "name": ", ".join(record.rules) or "no rule permits it",
            "is_applied": True,
        },
        "authorizations": [{"decision": verdict, "policy": {"name": rule}} for rule in record.rules[:20]],
        "message": f"{record.kind} to {record.target.kind} {record.target.name}: {verdict.lower()}",
        "unmapped": {
            "task_id": record.task_id, "repository": record.repository, "level": record.label.level,
            "origins": list(record.label.origins), "regimes": list(record.label.regimes),
            "processor": standing.processor, "residency": list(standing.residency), "reach": list(standing.reach),
            "control": list(standing.control), "facts": list(record.facts), "certainty": record.certainty,
        },
    }  # fmt: skip


def _observed(record: Observed) -> dict[str, object]:
    status, words = (1, "Success") if record.outcome in ARRIVED else (2, "Failure")
    if record.outcome not in ARRIVED | NOT_LEFT:
        status, words = 0, "Unknown"
    return {
        "severity_id": 1, "severity": "Informational", "status_id": status, "status": words,
        "action_id": 3, "action": "Observed", "disposition_id": 17, "disposition": "Logged",
        "actor": {"app_name": "greylag"},
        "api": {"operation": f"{record.stage}:outcome", "request": {"uid": record.decision_id}},
        "message": f"outcome of {record.decision_id}: {record.outcome}",
        "unmapped": {"outcome": record.outcome, "observed_place": record.place, "facts": dict(record.facts)},
    }  # fmt: skip
