"""OpenLineage run events (specification 2-0-2) with facets of our own about place, company, transfer and decision.

A decision is one run: ``START`` when it was permitted, ``FAIL`` when it was refused, ``COMPLETE`` or ``ABORT`` when an
outcome is on record. One that stays at ``START`` was permitted and never seen: declared, not observed. Its task is the
parent run. The facets' schemas are in ``docs/reference/openlineage-facets.json``.
"""

from collections.abc import Iterable, Iterator, Mapping

from greylag.governance.datamap import Decided, Observed, Standing, Standings
from greylag.governance.datamap.trails import ARRIVED
from greylag.governance.exports.activity import Period
from greylag.governance.exports.events import records, timestamp, uuid_of
from greylag.governance.exports.install import Install
from greylag.governance.exports.ropa import regimes_of
from greylag.governance.facts import FactBase

RUN_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
PARENT_FACET = "https://openlineage.io/spec/facets/1-1-0/ParentRunFacet.json#/$defs/ParentRunFacet"
FACETS = "https://greylag.dev/schemas/openlineage-facets-1-0-0.json"
PRODUCER = "https://greylag.dev/greylag"


def openlineage_events(
    entries: Iterable[dict[str, object]], facts: FactBase, install: Install, period: Period | None = None
) -> Iterator[dict[str, object]]:
    """Yield a run event for each decision and each outcome of the period, in order."""
    standings = Standings(facts)
    producer = f"{PRODUCER}/{install.version}"
    for _, record in records(entries, period):
        if isinstance(record, Decided):
            yield _decided(record, standings, producer)
        elif isinstance(record, Observed):
            yield _observed(record, producer)


def _event(kind: str, record: Decided | Observed, producer: str) -> dict[str, object]:
    return {
        "eventType": kind, "eventTime": timestamp(record.at), "producer": producer, "schemaURL": RUN_EVENT,
        "job": {"namespace": f"greylag://{record.region}", "name": record.stage or "unknown", "facets": {}},
    }  # fmt: skip


def _decided(record: Decided, standings: Standings, producer: str) -> dict[str, object]:
    standing = standings.of(record.target)
    name = f"{record.kind}/{record.digest or record.task_id or record.repository or 'unnamed'}"
    facets: dict[str, object] = {
        "greylag_policyDecision": _facet(producer, "PolicyDecisionRunFacet", _decision(record)),
    }
    if record.task_id:
        parent = {
            "run": {"runId": uuid_of("task", record.task_id)},
            "job": {"namespace": f"greylag://{record.region}", "name": record.repository or "task"},
        }
        facets["parent"] = {"_producer": producer, "_schemaURL": PARENT_FACET, **parent}
    origin = list(standings.jurisdictions(record.origin)) or ["unknown"]
    return {
        **_event("START" if record.permitted else "FAIL", record, producer),
        "run": {"runId": uuid_of("decision", record.decision_id), "facets": facets},
        "inputs": [
            {
                "namespace": f"greylag://{record.origin or record.region}",
                "name": name,
                "facets": {
                    "greylag_jurisdiction": _facet(
                        producer, "JurisdictionDatasetFacet",
                        {"residency": origin, "reach": origin, "places": [record.origin or "unknown"]},
                    )
                },
            }
        ],
        "outputs": [_output(record, name, standing, standings, producer)] if record.permitted else [],
    }  # fmt: skip


def _output(record: Decided, name: str, standing: Standing, standings: Standings, producer: str) -> dict[str, object]:
    facets = {
        "greylag_jurisdiction": _facet(
            producer, "JurisdictionDatasetFacet",
            {"residency": list(standing.residency), "reach": list(standing.reach), "places": list(standing.places)},
        ),
        "greylag_processor": _facet(
            producer, "ProcessorDatasetFacet",
            {
                "name": standing.processor, "legalEntity": standing.legal_entity, "runByOperator": standing.own,
                "subProcessors": list(standing.sub_processors), "control": list(standing.control),
            },
        ),
        "greylag_transfer": _facet(producer, "TransferDatasetFacet", {"regimes": _transfers(record, standings.facts)}),
    }  # fmt: skip
    return {
        "namespace": f"greylag://{record.target.kind}/{record.target.name or 'unnamed'}", "name": name, "facets": facets
    }  # fmt: skip


def _transfers(record: Decided, facts: FactBase) -> list[dict[str, object]]:
    row = facts.target(record.target.kind, record.target.name)
    found: list[dict[str, object]] = []
    for regime in regimes_of(record.label, facts):
        if row is None:
            found.append({"regime": regime, "leaves": True, "uncovered": ["unknown"], "safeguards": [], "facts": []})
            continue
        transfer = facts.transfer(regime, record.label, row)
        found.append(
            {
                "regime": regime, "leaves": transfer.leaves, "uncovered": sorted(transfer.uncovered),
                "safeguards": list(transfer.safeguards), "facts": list(transfer.rows),
            }
        )  # fmt: skip
    return found


def _decision(record: Decided) -> dict[str, object]:
    return {
        "decisionId": record.decision_id, "permitted": record.permitted, "principal": record.principal,
        "action": record.action, "level": record.label.level, "classes": list(record.label.classes),
        "regimes": list(record.label.regimes), "rules": list(record.rules), "reasons": list(record.reasons),
        "facts": list(record.facts), "certainty": record.certainty, "policyVersion": record.policy_version,
    }  # fmt: skip


def _observed(record: Observed, producer: str) -> dict[str, object]:
    place = {"outcome": record.outcome, "observedPlace": record.place}
    facets = {"greylag_outcome": _facet(producer, "OutcomeRunFacet", place)}
    kind = "COMPLETE" if record.outcome in ARRIVED else "ABORT"
    return {
        **_event(kind, record, producer),
        "run": {"runId": uuid_of("decision", record.decision_id), "facets": facets},
        "inputs": [],
        "outputs": [],
    }


def _facet(producer: str, name: str, values: Mapping[str, object]) -> dict[str, object]:
    return {"_producer": producer, "_schemaURL": f"{FACETS}#/$defs/{name}", **values}
