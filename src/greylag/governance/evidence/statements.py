"""The two statements about a build: the evidence for its change, and the provenance of the artifact."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from greylag.governance.canonical import canonical_json
from greylag.governance.evidence.envelope import STATEMENT_TYPE, contradiction

EVIDENCE_TYPE = "https://greylag.dev/evidence/v1"
PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://greylag.dev/build/v1"
SUBJECT_TYPE = "https://greylag.dev/subject/v1"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_GIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class VerifierRun:
    """One verifier as the host ran it on a clean checkout of ``tree``.

    ``exit_code`` is None where the platform ended it; ``counts`` is the parsed result (``("failed", 0)`` …);
    ``report_digest`` names the full report in the vault (empty where there is none).
    """

    name: str
    command: tuple[str, ...]
    exit_code: int | None
    passed: bool
    tree: str
    counts: tuple[tuple[str, int], ...] = ()
    report_digest: str = ""


@dataclass(frozen=True, slots=True)
class SignedApproval:
    """A person's word over ``subject`` with the platform's signature of `sign_approval`."""

    approval_id: str
    by: str
    subject: str
    via: str
    signature: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DecisionProof:
    """That a decision stands in the ledger: its index, its leaf hash and the RFC 6962 inclusion path, all in hex."""

    decision_id: str
    index: int
    leaf_hash: str
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangeEvidence:
    """Everything that speaks for one change. Digests are ``sha256:<64 hex>``, commits and trees full git ids.

    For review ``approvals`` is empty and so is ``reviewed``. Afterwards ``reviewed`` is the digest of the evidence that
    was shown to the reviewer, and each approval must be bound to it. ``checkpoint`` is the ledger's signed tree head
    which ``proofs`` lead to. ``notes`` are what a reader must know besides, such as that no real model worked.
    """

    task_id: str
    repository: str
    requester: str
    request_digest: str
    base_commit: str
    tree: str
    diff_digest: str
    build_name: str
    build_digest: str
    verifier_runs: tuple[VerifierRun, ...]
    decisions: tuple[str, ...]
    reviewed: str = ""
    approvals: tuple[SignedApproval, ...] = ()
    checkpoint: str = ""
    proofs: tuple[DecisionProof, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """How an artifact came to be. ``materials`` are further inputs: (URI, ``sha256:…``)."""

    name: str
    digest: str
    kind: str
    repository: str
    commit: str
    tree: str
    command: tuple[str, ...]
    builder: str
    builder_version: str
    run_id: str
    started_at: datetime
    finished_at: datetime
    materials: tuple[tuple[str, str], ...] = ()


def subject_digest(diff_digest: str, build_digest: str, evidence_digest: str) -> str:
    """Return what an approval is bound to: one digest over exactly this diff, this build and this evidence.

    ``evidence_digest`` is the SHA-256 of the stored envelope (`envelope_bytes`) that the reviewer was shown. Raises
    IntegrityError ``GL-EVIDENCE-002`` for anything but ``sha256:<64 hex>``.
    """
    parts = {"diff": diff_digest, "build": build_digest, "evidence": evidence_digest}
    for name, digest in parts.items():
        _require(_DIGEST, f"{name} digest", digest)
    return "sha256:" + hashlib.sha256(canonical_json({"type": SUBJECT_TYPE, **parts})).hexdigest()


def evidence_statement(evidence: ChangeEvidence) -> dict[str, object]:
    """Return the in-toto statement about the build of a change; the same evidence gives the same statement.

    Raises IntegrityError ``GL-EVIDENCE-002`` where the parts contradict each other: a verifier ran on another tree, one
    "passed" with an exit code other than 0, an approval is bound to another subject or has no reviewed evidence, a
    proof is about a decision that isn't listed, or an id is malformed.
    """
    _check(evidence)
    predicate: dict[str, object] = {
        "taskId": evidence.task_id,
        "repository": evidence.repository,
        "requester": evidence.requester,
        "request": evidence.request_digest,
        "change": {
            "baseCommit": evidence.base_commit, "tree": evidence.tree, "diff": evidence.diff_digest,
        },
        "verifierRuns": [_run(run) for run in evidence.verifier_runs],
        "decisions": list(evidence.decisions),
        "notes": list(evidence.notes),
        "reviewed": evidence.reviewed,
        "approvals": [
            {
                "id": approval.approval_id, "by": approval.by, "subject": approval.subject, "via": approval.via,
                "signature": approval.signature, "at": _time(approval.at),
            }
            for approval in evidence.approvals
        ],
        "ledger": {
            "checkpoint": evidence.checkpoint,
            "proofs": [
                {
                    "decision": proof.decision_id, "index": proof.index, "leafHash": proof.leaf_hash,
                    "path": list(proof.path),
                }
                for proof in evidence.proofs
            ],
        },
    }  # fmt: skip
    return _statement(evidence.build_name, evidence.build_digest, EVIDENCE_TYPE, predicate)


def provenance_statement(build: BuildRecord) -> dict[str, object]:
    """Return the SLSA provenance v1 of an artifact (https://slsa.dev/spec/v1.0/provenance).

    Raises IntegrityError ``GL-EVIDENCE-002`` for a malformed id or an end before the beginning.
    """
    _require(_GIT, "commit", build.commit)
    _require(_GIT, "tree", build.tree)
    if build.finished_at < build.started_at:
        raise contradiction(f"the build ended ({build.finished_at}) before it began ({build.started_at})")
    source = {"uri": f"greylag+git:{build.repository}", "digest": {"gitCommit": build.commit, "gitTree": build.tree}}
    materials: list[dict[str, object]] = []
    for uri, digest in build.materials:
        _require(_DIGEST, f"digest of {uri}", digest)
        materials.append({"uri": uri, "digest": {"sha256": digest.removeprefix("sha256:")}})
    predicate: dict[str, object] = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"repository": build.repository, "commit": build.commit, "kind": build.kind},
            "internalParameters": {"command": list(build.command)},
            "resolvedDependencies": [source, *materials],
        },
        "runDetails": {
            "builder": {"id": build.builder, "version": {"greylag": build.builder_version}},
            "metadata": {
                "invocationId": build.run_id, "startedOn": _time(build.started_at),
                "finishedOn": _time(build.finished_at),
            },
        },
    }  # fmt: skip
    return _statement(build.name, build.digest, PROVENANCE_TYPE, predicate)


def _statement(name: str, digest: str, predicate_type: str, predicate: Mapping[str, object]) -> dict[str, object]:
    _require(_DIGEST, "build digest", digest)
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": predicate_type,
        "predicate": dict(predicate),
    }


def _run(run: VerifierRun) -> dict[str, object]:
    return {
        "name": run.name, "command": list(run.command), "exitCode": run.exit_code, "passed": run.passed,
        "tree": run.tree, "result": dict(run.counts), "report": run.report_digest,
    }  # fmt: skip


def _check(evidence: ChangeEvidence) -> None:
    _require(_DIGEST, "request digest", evidence.request_digest)
    _require(_DIGEST, "diff digest", evidence.diff_digest)
    if evidence.reviewed:
        _require(_DIGEST, "digest of the reviewed evidence", evidence.reviewed)
    _require(_GIT, "base commit", evidence.base_commit)
    _require(_GIT, "tree", evidence.tree)
    for run in evidence.verifier_runs:
        if run.tree != evidence.tree:
            raise contradiction(f"verifier `{run.name}` ran on another tree: got/expected: {run.tree}/{evidence.tree}")
        if run.passed and run.exit_code != 0:
            raise contradiction(f"verifier `{run.name}` is said to have passed: got/expected: exit {run.exit_code}/0")
        if run.report_digest:
            _require(_DIGEST, f"report of verifier `{run.name}`", run.report_digest)
    _check_approvals(evidence)
    listed = set(evidence.decisions)
    for proof in evidence.proofs:
        if proof.decision_id not in listed:
            raise contradiction(f"a proof is about decision {proof.decision_id!r}, which is not listed")
        for value in (proof.leaf_hash, *proof.path):
            _require(_HASH, f"proof of {proof.decision_id}", value)
    if evidence.proofs and not evidence.checkpoint:
        raise contradiction("there are inclusion proofs, and no checkpoint they lead to")


def _check_approvals(evidence: ChangeEvidence) -> None:
    if not evidence.approvals:
        return
    if not evidence.reviewed:
        raise contradiction("there are approvals, and no digest of the evidence that was reviewed")
    subject = subject_digest(evidence.diff_digest, evidence.build_digest, evidence.reviewed)
    for approval in evidence.approvals:
        if approval.subject != subject:
            raise contradiction(
                f"approval `{approval.approval_id}` is bound to something else: got/expected:"
                f" {approval.subject}/{subject}"
            )


def _require(form: re.Pattern[str], name: str, value: str) -> None:
    if not form.fullmatch(value):
        raise contradiction(f"{name}: got/expected: {ascii(value)[:120]}/{form.pattern}")


def _time(at: datetime) -> str:
    if at.tzinfo is None:
        raise contradiction(f"a time without a zone: {at.isoformat()}")
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
