"""A decision as it stands in the ledger: enough to make it again, and never the content it was about."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from greylag.domain.errors import IntegrityError
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.governance.question import Asset, Discharged, Question, Target, Verdict

VERSION = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """One question and its verdict, with what they were about. ``supersedes`` names the decision asked before it."""

    decision_id: str
    task_id: str
    repository: str
    region: str
    question: Question
    verdict: Verdict
    round: int = 1
    supersedes: str = ""


def entry_of(decision: Decision) -> dict[str, object]:
    """Return the ledger entry of ``decision`` as plain JSON values: metadata, labels and digests, never content."""
    question, verdict = decision.question, decision.verdict
    asset, label, done = question.asset, question.asset.label, question.discharged
    return {
        "kind": "decision", "version": VERSION, "decision_id": decision.decision_id, "task_id": decision.task_id,
        "repository": decision.repository, "stage": str(question.stage), "region": decision.region,
        "principal": question.principal, "action": question.action, "asked_on": _day(question.at).isoformat(),
        "asset": {
            "kind": asset.kind, "level": label.level, "classes": list(label.classes), "origins": list(label.origins),
            "regimes": list(label.regimes), "subjects_estimate": label.subjects, "derived_by": list(label.derived_by),
            "origin": asset.origin, "digest": asset.digest, "size_bytes": asset.size_bytes,
            "surfaces": list(asset.surfaces), "subjects": list(asset.subjects),
        },
        "target": {"kind": question.target.kind, "name": question.target.name},
        "discharged": {
            "applied": list(done.applied), "approvals": list(done.approvals),
            "residual_findings": done.residual_findings,
        },
        "supersedes": decision.supersedes, "round": decision.round,
        "permitted": verdict.permitted, "rules": list(verdict.rules), "reasons": list(verdict.reasons),
        "remedies": list(verdict.remedies), "obligations": list(verdict.obligations), "facts": list(verdict.facts),
        "errors": list(verdict.errors), "certainty": verdict.certainty, "policy_version": verdict.policy_version,
    }  # fmt: skip


def decision_from(entry: Mapping[str, object]) -> Decision:
    """Return the decision that `entry_of` wrote (further fields, such as the ledger's own, are not looked at).

    Raises IntegrityError ``GL-DECISION-001`` for an entry of another kind, version or shape.
    """
    try:
        return _read(entry)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(
            "GL-DECISION-001", f"a ledger entry is no decision of version {VERSION}: {type(error).__name__}: {error}.",
            "check the ledger with `greylag ledger verify`; entries of an older version can't be replayed.",
        ) from error  # fmt: skip


def _read(entry: Mapping[str, object]) -> Decision:
    if entry["kind"] != "decision" or entry.get("version") != VERSION:
        raise ValueError(f"got/expected: {entry.get('kind')!r} {entry.get('version')!r}/'decision' {VERSION}")
    asset, target, done = _table(entry, "asset"), _table(entry, "target"), _table(entry, "discharged")
    label = Label(
        level=_text(asset, "level"), classes=_texts(asset, "classes"), origins=_texts(asset, "origins"),
        regimes=_texts(asset, "regimes"), subjects=_count(asset, "subjects_estimate"),
        derived_by=_texts(asset, "derived_by"),
    )  # fmt: skip
    day = date.fromisoformat(_text(entry, "asked_on"))
    question = Question(
        stage=Stage(_text(entry, "stage")),
        principal=_text(entry, "principal"),
        action=_text(entry, "action"),
        asset=Asset(
            _text(asset, "kind"), label, _text(asset, "origin"), _text(asset, "digest"), _count(asset, "size_bytes"),
            _texts(asset, "surfaces"), _texts(asset, "subjects"),
        ),
        target=Target(_text(target, "kind"), _text(target, "name")),
        at=datetime(day.year, day.month, day.day, tzinfo=UTC),
        discharged=Discharged(_texts(done, "applied"), _texts(done, "approvals"), _count(done, "residual_findings")),
    )  # fmt: skip
    permitted = entry["permitted"]
    if not isinstance(permitted, bool):
        raise ValueError(f"`permitted`: got/expected: {permitted!r}/true or false")
    verdict = Verdict(
        permitted=permitted, rules=_texts(entry, "rules"), reasons=_texts(entry, "reasons"),
        remedies=_texts(entry, "remedies"), facts=_texts(entry, "facts"),
        policy_version=_text(entry, "policy_version"), errors=_texts(entry, "errors"),
        obligations=_texts(entry, "obligations"), certainty=_text(entry, "certainty"),
    )  # fmt: skip
    return Decision(
        _text(entry, "decision_id"), _text(entry, "task_id"), _text(entry, "repository"), _text(entry, "region"),
        question, verdict, _count(entry, "round"), _text(entry, "supersedes"),
    )  # fmt: skip


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _table(entry: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = entry[name]
    if not isinstance(value, Mapping):
        raise ValueError(f"`{name}`: got/expected: {type(value).__name__}/a table")
    return value


def _text(entry: Mapping[str, object], name: str) -> str:
    value = entry[name]
    if not isinstance(value, str):
        raise ValueError(f"`{name}`: got/expected: {type(value).__name__}/a text")
    return value


def _texts(entry: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = entry[name]
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"`{name}`: got/expected: {type(value).__name__}/a list of texts")
    return tuple(value)


def _count(entry: Mapping[str, object], name: str) -> int:
    value = entry[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"`{name}`: got/expected: {type(value).__name__}/a whole number")
    return value
