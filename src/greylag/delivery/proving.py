"""The signed evidence of a change: what a reviewer is shown, and what remains at the end."""

import asyncio
import json
from datetime import datetime

from greylag.delivery.cell import Cell
from greylag.domain.errors import IntegrityError
from greylag.domain.events import ApprovalGiven
from greylag.domain.ids import ApprovalId, TaskId
from greylag.domain.references import Reference
from greylag.domain.states import ApprovalStatus
from greylag.domain.task import Build, Change, Run, Task
from greylag.governance.evidence import ChangeEvidence, DecisionProof, SignedApproval, VerifierRun, evidence_statement
from greylag.governance.ledger.tree import leaf_hash

_SEALED = "application/vnd.dsse+json"


async def keep_evidence(cell: Cell, task: Task, *, final: bool) -> Reference | None:
    """Sign and keep the evidence of the newest change; None where there is nothing to speak of.

    With ``final`` it names the reviewed evidence and adds approvals, the ledger's checkpoint and, for each decision,
    the proof that it stands in the tree of that checkpoint.
    """
    change, made = task.change, task.build
    if change is None or made is None or made.change_id != change.change_id:
        return None
    run = next(run for run in task.runs if run.run_id == change.run_id)
    evidence = await _evidence(cell, task, change, made, run, final=final)
    sealed = cell.seal(evidence_statement(evidence))
    key = f"evidence/{change.change_id}/{'final' if final else 'review'}"
    return await cell.keep(task, sealed, "evidence", key=key, media_type=_SEALED)


async def _evidence(cell: Cell, task: Task, change: Change, made: Build, run: Run, *, final: bool) -> ChangeEvidence:
    checkpoint: str = ""
    proofs: tuple[DecisionProof, ...] = ()
    if final:
        checkpoint, proofs = await asyncio.to_thread(_proofs, cell, task.decisions)
    reviewed = task.evidence.digest if final and task.evidence else ""
    label = cell.labels.get(task.endpoint, "")
    return ChangeEvidence(
        task_id=task.task_id, repository=task.repository or "", requester=task.requester,
        request_digest=task.request.digest, base_commit=change.base_commit, tree=change.tree,
        diff_digest=change.diff.digest, build_name=made.name, build_digest=made.artifact.digest,
        verifier_runs=await _verifier_runs(cell, task, run), decisions=task.decisions, reviewed=reviewed,
        approvals=await _approvals(cell, task) if final and reviewed else (), checkpoint=checkpoint, proofs=proofs,
        notes=(label,) if label else (),
    )  # fmt: skip


async def _verifier_runs(cell: Cell, task: Task, run: Run) -> tuple[VerifierRun, ...]:
    if run.results is None or run.report is None:
        return ()
    change = next(change for change in task.changes if change.run_id == run.run_id)
    results = json.loads(await cell.fetch(task, run.results))
    return tuple(
        VerifierRun(
            name=result["name"],
            command=tuple(result["command"]),
            exit_code=result["exit_code"],
            passed=result["passed"],
            tree=change.tree,
            counts=(("passed", result["passed_tests"]), ("failed", result["failed_tests"])),
            report_digest=run.report.digest,
        )
        for result in results
    )


async def _approvals(cell: Cell, task: Task) -> tuple[SignedApproval, ...]:
    times = await asyncio.to_thread(_approval_times, cell, task.task_id)
    return tuple(
        SignedApproval(each.approval_id, each.by, each.subject, each.via, each.signature, times[each.approval_id])
        for each in task.approvals
        if each.status is not ApprovalStatus.VOIDED
    )


def _approval_times(cell: Cell, task_id: TaskId) -> dict[ApprovalId, datetime]:
    found: dict[ApprovalId, datetime] = {}
    after = 0
    while page := cell.events.read(task_id, after):
        found |= {record.event.approval_id: record.at for record in page if isinstance(record.event, ApprovalGiven)}
        after = page[-1].sequence
    return found


def _proofs(cell: Cell, decisions: tuple[str, ...]) -> tuple[str, tuple[DecisionProof, ...]]:
    checkpoint = cell.ledger.checkpoint()
    size = int(checkpoint.split("\n")[1])  # the second line of a C2SP checkpoint
    proofs = []
    for decision in decisions:
        entry = cell.ledger.find(decision)
        if entry is None or entry.index >= size:
            raise IntegrityError(
                "GL-LEDGER-007", f"decision {decision} is not in the ledger.", "run `greylag ledger verify`."
            )
        path = tuple(node.hex() for node in cell.ledger.inclusion_proof(entry.index, size))
        proofs.append(DecisionProof(decision, entry.index, leaf_hash(entry.body).hex(), path))
    return checkpoint, tuple(proofs)
