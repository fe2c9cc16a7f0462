"""Merge: what was approved, and only that, becomes the default branch."""

from greylag.adapters.forge.port import Author, CommitText
from greylag.delivery.cell import PLATFORM, Cell, label_of
from greylag.delivery.checking import Candidate, clean_checkout
from greylag.delivery.prompts import VERSION
from greylag.domain import events as ev
from greylag.domain.errors import IntegrityError, RequestRefused
from greylag.domain.ids import ChangeId, RunId, TaskId, derived_id
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.domain.states import ApprovalStatus, TaskStatus
from greylag.domain.task import Change, Task
from greylag.egress.hop import Hop
from greylag.governance.evidence import subject_digest
from greylag.governance.question import Target

_DRIFT = "GL-FORGE-009"


async def merge(cell: Cell, task_id: TaskId) -> str:
    """Merge the approved change; answer ``merged``, or ``drifted`` where the branch has moved on (approval voided)."""
    task = await cell.task(task_id)
    if task.status is not TaskStatus.APPROVED:
        return "merged" if task.status is TaskStatus.MERGED else "drifted"
    change = approved_change(task)
    repository = await cell.repository(task)
    try:
        commit = await _merge(cell, task, repository, change)
    except RequestRefused as error:
        if error.code != _DRIFT:
            raise
        reason = f"{repository.default_branch} moved on after the approval"
        # Said first, here and below: what is recorded is not done again after a crash, and would never be told.
        await cell.say(
            task, "text", f"The approval is void: {reason}. I make the change again on top.", f"void/{change.change_id}"
        )
        await cell.record(task_id, ev.ApprovalVoided(reason), f"voided/{change.change_id}")
        return "drifted"
    tree = await cell.forge.tree_of(repository.name, commit)
    done = "Merged into" if change.commit else "Nothing to merge into"
    text = f"{done} {repository.default_branch}: {commit[:12]}."
    await cell.say(task, "text", text, f"merged/{change.change_id}")
    await cell.record(task_id, ev.ChangeMerged(change.change_id, commit, tree), f"merged/{change.change_id}")
    return "merged"


def approved_change(task: Task) -> Change:
    """Return the change a standing approval covers. Raises IntegrityError ``GL-STATE-005`` where digests differ."""
    change, made, evidence = task.change, task.build, task.evidence
    if change is not None and made is not None and evidence is not None:
        subject = subject_digest(change.diff.digest, made.artifact.digest, evidence.digest)
        standing = [approval for approval in task.approvals if approval.status is ApprovalStatus.GIVEN]
        if made.change_id == change.change_id and any(approval.subject == subject for approval in standing):
            return change
    raise IntegrityError(
        "GL-STATE-005", f"{task.task_id} has no approval over exactly what would be merged.", "ask for a new review."
    )


async def _merge(cell: Cell, task: Task, repository: Repository, change: Change) -> str:
    head = await cell.forge.head(repository.name, repository.default_branch)
    if task.intent == "release":
        if head != change.base_commit:
            raise RequestRefused(_DRIFT, f"`{repository.default_branch}` has moved on.", "review it again.")
        return head
    patch = await cell.fetch(task, change.diff)
    asset = cell.asset("diff", label_of(task), patch, surfaces=("branch", "file_names", "title"))
    target, key = Target("forge", cell.forge.name), f"merge/{change.change_id}"
    hop = Hop(Stage.PUSH, PLATFORM, "merge", asset, target, key, task.task_id, repository.name)
    permit = await cell.admit(hop)
    approvers = ", ".join(approval.by for approval in task.approvals if approval.status is ApprovalStatus.GIVEN)
    trailers = f"Task: {task.task_id}\nApproved-by: {approvers}\nSubject: {task.subject}\n"
    text = CommitText(
        Author("greylag", "greylag@greylag.invalid"),
        f"Merge {change.branch}: {task.title}\n\n{trailers}",
        task.changed_at.replace(microsecond=0),
    )
    merged = await cell.forge.merge(
        permit, repository.name, repository.default_branch, change.commit, change.base_commit, text
    )
    await cell.seen(permit, "merged")
    return merged


async def remake(cell: Cell, task_id: TaskId, round_number: int) -> str:
    """Make the change again on the branch's new head; answer ``finished``, or ``conflict`` where an agent must."""
    task = await cell.task(task_id)
    change = task.change
    repository = await cell.repository(task)
    run_id = RunId(derived_id("run", task_id, str(round_number), "remake"))
    if change is None or change.run_id == run_id:
        return "finished"
    known = next((run for run in task.runs if run.run_id == run_id), None)
    head = known.base_commit if known else await cell.forge.head(repository.name, repository.default_branch)
    patch = await cell.forge.rebase(repository.name, await cell.fetch(task, change.diff), head)
    if patch is None:
        return "conflict"
    # What was said since is not worked in by this; it is for the round that follows.
    started = ev.RunStarted(run_id, round_number, 1, head, task.request, VERSION, task.read_follow_ups)
    await cell.record(task_id, started, f"started/{run_id}")
    folder = cell.workspaces / task_id / run_id
    try:
        await clean_checkout(cell, task, Candidate(head, patch), folder, f"remake/{run_id}")
        capture = await cell.forge.capture(repository.name, head, folder, cell.bounds.capture)
    finally:
        cell.sandbox.discard(folder)
    diff = await cell.keep(task, capture.patch, "diff", key=f"diff/{run_id}", media_type="text/x-diff")
    captured = ev.ChangeCaptured(
        ChangeId(derived_id("chg", run_id, capture.tree)), run_id, head, capture.tree, diff, capture.files,
        capture.added_lines, capture.removed_lines,
    )  # fmt: skip
    await cell.record(task_id, captured, f"captured/{run_id}")
    finished = ev.RunFinished(run_id, "finished", f"made again on {head[:12]} by the platform")
    await cell.record(task_id, finished, f"finished/{run_id}")
    return "finished"
