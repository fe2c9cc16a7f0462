"""Review: branch, evidence and card. What is asked for is a person's word over one digest."""

from datetime import timedelta

from greylag.adapters.forge.port import Author, CommitText
from greylag.delivery import hints
from greylag.delivery.cell import PLATFORM, Cell, label_of
from greylag.delivery.proving import keep_evidence
from greylag.delivery.verifying import influential
from greylag.domain import events as ev
from greylag.domain.conversation import Offer
from greylag.domain.errors import IntegrityError
from greylag.domain.ids import TaskId
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.domain.task import Build, Change, Task
from greylag.egress.hop import Hop
from greylag.governance.evidence import subject_digest
from greylag.governance.question import Target

_LISTED_FILES = 12


async def request_review(cell: Cell, task_id: TaskId) -> str:
    """Push the branch, keep the evidence, post the card; answer ``in_review``."""
    task = await cell.task(task_id)
    change, made = task.change, task.build
    if change is None or made is None or made.change_id != change.change_id:
        raise IntegrityError("GL-STATE-004", f"{task_id} has nothing to review.", "report this with its event log.")
    repository = await cell.repository(task)
    if task.intent != "release":
        await _push(cell, task, repository, change)
        task = await cell.task(task_id)
        change = task.changes[-1]
    evidence = await keep_evidence(cell, task, final=False)
    if evidence is None:
        raise IntegrityError("GL-STATE-008", f"{task_id} has no evidence.", "report this with its event log.")
    subject = subject_digest(change.diff.digest, made.artifact.digest, evidence.digest)
    expires = cell.clock.now() + timedelta(seconds=cell.bounds.review_seconds)
    requested = ev.ReviewRequested(change.change_id, subject, evidence, expires.isoformat(timespec="seconds"))
    # Said before it is recorded: who waits for the task to rest must find the card in the thread.
    card = await _card(cell, task, change, made, subject)
    await cell.say(task, "card", card, f"card/{change.change_id}", _offers(task, subject))
    await cell.record(task_id, requested, f"review/{change.change_id}")
    return "in_review"


async def _push(cell: Cell, task: Task, repository: Repository, change: Change) -> None:
    if change.commit:
        return
    patch = await cell.fetch(task, change.diff)
    branch = f"greylag/{task.task_id.removeprefix('task_')}"
    asset = cell.asset("diff", label_of(task), patch, surfaces=("branch", "file_names", "title"))
    target = Target("forge", cell.forge.name)
    hop = Hop(Stage.PUSH, PLATFORM, "push", asset, target, change.change_id, task.task_id, repository.name)
    permit = await cell.admit(hop)
    commit = await cell.forge.push(
        permit,
        repository.name,
        branch,
        change.base_commit,
        patch,
        await commit_text(cell, task, f"Task: {task.task_id}"),
    )
    await cell.seen(permit, "pushed")
    revision = sum(1 for each in task.changes if each.commit) + 1
    pushed = ev.ChangePushed(change.change_id, branch, commit, revision, permit.decision_id)
    await cell.record(task.task_id, pushed, f"pushed/{change.change_id}")


async def commit_text(cell: Cell, task: Task, trailer: str) -> CommitText:
    """Return author (the requester), message and time of the task's commit: the same each time it is made."""
    person = cell.directory.person(task.requester)
    author = Author(person.name, person.email or f"{person.name}@greylag.invalid")
    return CommitText(author, f"{task.title}\n\n{trailer}\n", task.received_at.replace(microsecond=0))


async def _card(cell: Cell, task: Task, change: Change, made: Build, subject: str) -> str:
    run = task.run
    report = (await cell.fetch(task, run.report)).decode().strip() if run and run.report else "no report"
    more = len(change.files) - _LISTED_FILES
    files = [f"  {name}" for name in change.files[:_LISTED_FILES]] + ([f"  … and {more} more"] if more > 0 else [])
    label = cell.labels.get(task.endpoint, "")
    first = influential(change.files)
    look_first = [f"look at these first, they decide how checks run: {', '.join(first[:5])}"] if first else []
    lines = [
        f"Ready for review: {task.title}",
        f"{_files(change)}, +{change.added_lines} -{change.removed_lines}, branch {change.branch or 'none'}",
        *files,
        *look_first,
        f"checks: {report.splitlines()[0] if report else 'no report'}",
        f"build: {made.name} {made.artifact.digest[:19]}… ({made.artifact.size_bytes} bytes)",
        f"cost: {task.cost_usd_micros / 1_000_000:.4f} USD in {task.model_calls} model calls"
        + (f" ({label})" if label else ""),
        f"decisions: {len(task.decisions)} on record; {task.placement}",
        f"digest: {subject}",
        *hints.to_review(task.task_id),
    ]
    return "\n".join(lines)


def _offers(task: Task, subject: str) -> tuple[Offer, ...]:
    """Return what the card offers: a yes or no to exactly ``subject``, and where to look first."""
    report = (Offer("see", "Test report", "report"),) if task.run and task.run.report else ()
    more = (Offer("say", "Ask for more"),) if task.intent != "release" else ()
    return (
        Offer("approve", "Approve", subject), Offer("reject", "Reject", subject), *more,
        Offer("see", "See the diff", "diff"), *report, Offer("see", "Get the build", "build"),
        Offer("open", "Open the task"),
    )  # fmt: skip


def _files(change: Change) -> str:
    return "1 file" if len(change.files) == 1 else f"{len(change.files)} files"
