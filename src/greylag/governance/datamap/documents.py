"""A data map as plain JSON values."""

from greylag.domain.labels import Label
from greylag.governance.datamap.values import AssetName, Coverage, DataMap, Flow, Located, Reader, Standing, Step
from greylag.governance.question import Target

SCHEMA_VERSION = 1


def map_document(found: DataMap) -> dict[str, object]:
    """Return ``found`` as plain JSON values, for `greylag map show --json` and ``/api/v1/map``."""
    gaps = found.gaps
    return {
        "schema_version": SCHEMA_VERSION,
        "query": {
            "repository": found.query.repository, "task_id": found.query.task_id, "people": sorted(found.query.people)
        },
        "entries": found.entries,
        "facts_day": found.facts_day,
        "coverage": _coverage(found.coverage),
        "kinds": list(found.kinds),
        "places": [
            {
                "code": use.code, "observed": use.observed, "declared": use.declared, "unknown": use.unknown,
                "one_of_several": use.spread,
            }
            for use in found.uses
        ],
        "located": [_located(each) for each in found.located],
        "readers": [_reader(each) for each in found.readers],
        "path": [_step(each) for each in found.steps],
        "flows": [_flow(each) for each in found.flows],
        "declassified": [
            {
                "declassification_id": each.declassification_id, "at": each.at, "task_id": each.task_id,
                "repository": each.repository, "transformation": each.transformation, "by": each.by,
                "before": label_document(each.before), "after": label_document(each.after),
                "input_digest": each.input_digest, "output_digest": each.output_digest,
                "residual_findings": each.residual_findings,
            }
            for each in found.declassified
        ],
        "left_out": {
            "unread_entries": gaps.unread, "untracked_decisions": gaps.untracked, "older_hops": gaps.older_steps,
            "outcomes_without_decision": gaps.unmatched, "may_name_them": gaps.crowded,
            "more_located": gaps.more_located, "more_hops": gaps.more_steps,
        },
    }  # fmt: skip


def label_document(label: Label) -> dict[str, object]:
    """Return a label as plain JSON values."""
    return {
        "level": label.level, "classes": list(label.classes), "origins": list(label.origins),
        "regimes": list(label.regimes), "subjects_estimate": label.subjects, "derived_by": list(label.derived_by),
    }  # fmt: skip


def standing_document(standing: Standing) -> dict[str, object]:
    """Return where a target is and whose it is as plain JSON values."""
    return {
        "known": standing.known, "run_by_operator": standing.own, "processor": standing.processor,
        "legal_entity": standing.legal_entity, "sub_processors": list(standing.sub_processors),
        "places": list(standing.places), "residency": list(standing.residency), "reach": list(standing.reach),
        "control": list(standing.control), "retention_days": standing.retention_days, "facts": list(standing.rows),
    }  # fmt: skip


def _coverage(coverage: Coverage) -> dict[str, object]:
    return {
        "assets": coverage.assets, "observed": coverage.observed, "declared": coverage.declared,
        "unknown": coverage.unknown, "observed_percent": coverage.percent,
    }  # fmt: skip


def _asset(asset: AssetName) -> dict[str, object]:
    return {
        "kind": asset.kind, "digest": asset.digest, "task_id": asset.task_id, "repository": asset.repository
    }  # fmt: skip


def _target(target: Target) -> dict[str, object]:
    return {"kind": target.kind, "name": target.name}


def _located(each: Located) -> dict[str, object]:
    return {
        "asset": _asset(each.asset), "label": label_document(each.label), "target": _target(each.target),
        "where": standing_document(each.standing), "region": each.region, "evidence": each.evidence,
        "arrived": each.arrived, "observed_place": each.observed_place, "contradicted": each.contradicted,
        "first_seen": each.first_seen, "last_seen": each.last_seen, "times": each.times,
        "decisions": list(each.decisions), "erased": each.erased, "retain_days": each.retain_days,
        "subjects": list(each.subjects),
    }  # fmt: skip


def _step(step: Step) -> dict[str, object]:
    return {
        "index": step.index, "at": step.at, "stage": step.stage, "action": step.action, "principal": step.principal,
        "asset": _asset(step.asset), "from": step.origin, "to": _target(step.target), "decision_id": step.decision_id,
        "permitted": step.permitted, "rules": list(step.rules), "outcome": step.outcome,
        "observed_place": step.observed_place, "reading": step.reads, "platform_hop": step.own,
    }  # fmt: skip


def _flow(flow: Flow) -> dict[str, object]:
    return {
        "stage": flow.stage, "asset_kind": flow.kind, "from": flow.origin, "to": _target(flow.target),
        "platform_hop": flow.own, "permitted": flow.permitted, "refused": flow.refused, "arrived": flow.arrived,
        "from_jurisdictions": list(flow.origin_codes), "to_jurisdictions": list(flow.codes),
    }  # fmt: skip


def _reader(reader: Reader) -> dict[str, object]:
    return {
        "kind": reader.kind, "name": reader.name, "why": reader.why, "times": reader.times, "refused": reader.refused,
        "last": reader.last,
    }  # fmt: skip
