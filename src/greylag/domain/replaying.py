"""How an event log becomes a task: every event's effect stands here, and nowhere else."""

from collections.abc import Iterable
from dataclasses import replace

from greylag.domain import events as ev
from greylag.domain.conversation import RequestAdvised
from greylag.domain.errors import IntegrityError
from greylag.domain.ids import ChangeId, ReleaseId
from greylag.domain.labels import Label
from greylag.domain.states import (
    ApprovalStatus,
    BuildStatus,
    ChangeStatus,
    ReleaseStatus,
    RunStatus,
    TaskStatus,
    moved,
)
from greylag.domain.task import Approval, Build, Change, Release, Run, Task


def replay(records: Iterable[ev.Recorded]) -> Task:
    """Return the task that ``records`` (one task's, in order, from sequence 1) add up to.

    Raises IntegrityError ``GL-STATE-002`` for an empty log, a gap, or a log that doesn't begin with `TaskReceived`;
    ``GL-STATE-001`` for a transition that is not in the table.
    """
    task: Task | None = None
    for record in records:
        task = _first(record) if task is None else advance(task, record)
    if task is None:
        raise _broken("the log is empty")
    return task


def advance(task: Task, record: ev.Recorded) -> Task:
    """Return ``task`` after ``record``, which must be the next one of its log. Raises as `replay`."""
    if record.sequence != task.sequence + 1:
        raise _broken(f"event {record.sequence} follows event {task.sequence} in {task.task_id}")
    event = record.event
    if isinstance(event, ev.TaskReceived):
        raise _broken(f"{task.task_id} begins a second time at {record.sequence}")
    status = task.status
    if event.moves_to is not None:
        status = TaskStatus(moved(task.status, event.moves_to))
    changed = _apply(task, event)
    decision = getattr(event, "decision_id", "")
    return replace(
        changed,
        status=status,
        sequence=record.sequence,
        changed_at=record.at,
        inputs=(*changed.inputs, record.sequence) if isinstance(event, _INPUTS) else changed.inputs,
        decisions=(*changed.decisions, decision) if decision else changed.decisions,
    )


_INPUTS = (
    ev.QuestionAnswered, ev.FollowUpReceived, ev.ApprovalGiven, ev.ChangeRejected, ev.StopRequested, ev.TaskTakenOver,
    ev.ChangeHandedBack,
)  # fmt: skip


def _broken(what: str) -> IntegrityError:
    return IntegrityError(
        "GL-STATE-002", f"an event log does not fit together: {what}.", "run `greylag doctor` and restore the database."
    )


def _first(record: ev.Recorded) -> Task:
    event = record.event
    if record.sequence != 1 or not isinstance(event, ev.TaskReceived):
        raise _broken(f"{record.task_id} begins with {type(event).__name__} at {record.sequence}")
    return Task(
        task_id=record.task_id, status=TaskStatus.RECEIVED, region=event.region, channel=event.channel,
        requester=event.requester, title=event.title, request=event.request, received_at=record.at,
        changed_at=record.at, sequence=1, repository=event.repository, agent=event.agent,
        agent_command=event.agent_command, attachments=event.attachments,
        attachment_names=event.attachment_names, room=event.room, thread=event.thread, context=event.context,
        label=event.label, level=event.label.level if event.label is not None else "",
    )  # fmt: skip


def _apply(task: Task, event: ev.Event) -> Task:
    match event:
        case ev.RunStarted() | ev.TurnSettled() | ev.RunFinished() | ev.RunVerified() | ev.RunSteered():
            return _apply_run(task, event)
        case ev.ChangeCaptured() | ev.ChangePushed() | ev.ChangeMerged() | ev.BuildStored() | ev.ReviewRequested():
            return _apply_change(task, event)
        case ev.ApprovalGiven() | ev.ApprovalVoided():
            return _apply_approval(task, event)
        case ev.ReleaseStarted() | ev.ReleaseFinished() | ev.ReleaseRolledBack() | ev.TaskReleased():
            return _apply_release(task, event)
        case ev.TaskRefused() | ev.TaskCancelled() | ev.TaskExpired() | ev.TaskFailed() | ev.ChangeRejected():
            return _apply_end(task, event)
        case ev.TaskLabelled() | ev.TaskAccepted():
            return _apply_label(task, event)
        case ev.FollowUpReceived() | ev.TaskTakenOver() | ev.ChangeHandedBack():
            return _apply_steering(task, event)
        case _:
            return _apply_talk(task, event)


def _apply_label(task: Task, event: ev.TaskLabelled | ev.TaskAccepted) -> Task:
    if isinstance(event, ev.TaskAccepted):
        said = Label(event.level)
        task = replace(task, repository=event.repository, intent=event.intent)
    else:
        said = Label(event.level, event.classes, event.origins, event.regimes, event.subjects, event.derived_by)
    label = said.joined(task.label) if task.label is not None else said
    return replace(task, label=label, level=label.level)


def _apply_talk(task: Task, event: ev.Event) -> Task:
    match event:
        case ev.QuestionAsked() | ev.QuestionAnswered():
            return _apply_question(task, event)
        case RequestAdvised(model=model, cost_usd_micros=cost):
            return replace(task, advice=event, advised=(*task.advised, cost) if model else task.advised)
        case ev.TaskPlaced():
            return replace(
                task, region=event.region, sandbox=event.sandbox, agent=event.agent, endpoint=event.endpoint,
                placement=event.summary,
            )  # fmt: skip
        case ev.TaskHandedOver(reason=reason):
            return replace(task, outcome=reason)
        case ev.TaskAnswered(answer=answer):
            return replace(task, answer=answer)
        case ev.TaskClosed():
            return replace(task, closed=True)
        case ev.EvidenceSealed(evidence=evidence):
            return replace(task, sealed=evidence)
        case ev.StopRequested(by=by):
            return replace(task, stop_requested_by=by)
        case _:
            return task


def _apply_steering(task: Task, event: ev.FollowUpReceived | ev.TaskTakenOver | ev.ChangeHandedBack) -> Task:
    match event:
        case ev.FollowUpReceived():
            return replace(
                task, follow_ups=(*task.follow_ups, event.message),
                follow_up_authors=(*task.follow_up_authors, event.by),
                follow_up_modes=(*task.follow_up_modes, event.mode),
            )  # fmt: skip
        case ev.TaskTakenOver(by=by):
            taken = task.taken_over_by or by  # of two at the same moment the first
            return replace(task, taken_over_by=taken, took_over=(*task.took_over, taken))
        case ev.ChangeHandedBack():
            return replace(task, taken_over_by="", handed_back=(*task.handed_back, event))


def _apply_question(task: Task, event: ev.QuestionAsked | ev.QuestionAnswered) -> Task:
    if isinstance(event, ev.QuestionAsked):
        return replace(
            task, question=event.question, question_about=event.about, choices=event.choices,
            questions=task.questions + 1, advice=None,
        )  # fmt: skip
    answered = replace(task, question="", question_about="", choices=())
    if event.words is not None:
        return replace(answered, answers=(*task.answers, event.words), answer_authors=(*task.answer_authors, event.by))
    return replace(answered, repository=event.choice)


def _apply_run(
    task: Task, event: ev.RunStarted | ev.TurnSettled | ev.RunFinished | ev.RunVerified | ev.RunSteered
) -> Task:
    if isinstance(event, ev.RunStarted):
        run = Run(
            run_id=event.run_id, round=event.round, attempt=event.attempt, status=RunStatus.STARTED,
            base_commit=event.base_commit, prompt=event.prompt, follow_ups=event.follow_ups,
            prompted=event.follow_ups, by=event.by,
        )  # fmt: skip
        # Where the agent begins all the same, somebody said to drop what was being done by hand.
        return replace(task, runs=(*task.runs, run), taken_over_by="")
    current = next((run for run in task.runs if run.run_id == event.run_id), None)
    if current is None:
        raise _broken(f"{type(event).__name__} names the unknown run {event.run_id}")
    match event:
        case ev.TurnSettled():
            changed = replace(
                current, turns=current.turns + 1, cost_usd_micros=current.cost_usd_micros + event.cost_usd_micros
            )
        case ev.RunSteered(follow_ups=follow_ups):
            changed = replace(current, follow_ups=max(current.follow_ups, follow_ups))
        case ev.RunFinished():
            to = RunStatus(moved(current.status, RunStatus(event.outcome)))
            changed = replace(current, status=to, detail=event.detail, transcript=event.transcript)
        case ev.RunVerified():
            to = RunStatus(moved(current.status, RunStatus.PASSED if event.passed else RunStatus.TURNED_BACK))
            changed = replace(current, status=to, detail=event.summary, report=event.report, results=event.results)
    return replace(task, runs=tuple(changed if run is current else run for run in task.runs))


def _apply_change(
    task: Task, event: ev.ChangeCaptured | ev.ChangePushed | ev.ChangeMerged | ev.BuildStored | ev.ReviewRequested
) -> Task:
    match event:
        case ev.ChangeCaptured():
            change = Change(
                change_id=event.change_id, run_id=event.run_id, status=ChangeStatus.CAPTURED,
                base_commit=event.base_commit, tree=event.tree, diff=event.diff, files=event.files,
                added_lines=event.added_lines, removed_lines=event.removed_lines,
            )  # fmt: skip
            superseded = tuple(_supersede_change(old) for old in task.changes)
            return replace(task, changes=(*superseded, change), subject="", evidence=None)
        case ev.ChangePushed():
            pushed = ChangeStatus.PUSHED
            return _replace_change(
                task, event.change_id, pushed, branch=event.branch, commit=event.commit, number=event.number
            )
        case ev.ChangeMerged():
            approvals = tuple(_use(approval) for approval in task.approvals)
            return _replace_change(replace(task, approvals=approvals), event.change_id, ChangeStatus.MERGED)
        case ev.BuildStored():
            build = Build(event.build_id, event.change_id, BuildStatus.STORED, event.name, event.artifact)
            return replace(task, builds=(*(_supersede_build(old) for old in task.builds), build))
        case ev.ReviewRequested():
            return replace(task, subject=event.subject, evidence=event.evidence)


def _supersede_change(change: Change) -> Change:
    if change.status in (ChangeStatus.SUPERSEDED, ChangeStatus.MERGED, ChangeStatus.CLOSED):
        return change
    return replace(change, status=ChangeStatus(moved(change.status, ChangeStatus.SUPERSEDED)))


def _supersede_build(build: Build) -> Build:
    if build.status is not BuildStatus.STORED:
        return build
    return replace(build, status=BuildStatus(moved(build.status, BuildStatus.SUPERSEDED)))


def _use(approval: Approval) -> Approval:
    if approval.status is not ApprovalStatus.GIVEN:
        return approval
    return replace(approval, status=ApprovalStatus(moved(approval.status, ApprovalStatus.USED)))


def _replace_change(
    task: Task, change_id: ChangeId, to: ChangeStatus, *, branch: str = "", commit: str = "", number: int = 0
) -> Task:
    changes = tuple(
        replace(
            change, status=ChangeStatus(moved(change.status, to)), branch=branch or change.branch,
            commit=commit or change.commit, number=number or change.number,
        )
        if change.change_id == change_id
        else change
        for change in task.changes
    )  # fmt: skip
    if all(change.change_id != change_id for change in task.changes):
        raise _broken(f"an event names the unknown change {change_id}")
    return replace(task, changes=changes)


def _apply_approval(task: Task, event: ev.ApprovalGiven | ev.ApprovalVoided) -> Task:
    if isinstance(event, ev.ApprovalGiven):
        approval = Approval(
            event.approval_id, event.by, event.subject, ApprovalStatus.GIVEN, event.signature, event.via
        )
        return replace(task, approvals=(*task.approvals, approval))
    voided = tuple(
        replace(approval, status=ApprovalStatus(moved(approval.status, ApprovalStatus.VOIDED)))
        if approval.status is ApprovalStatus.GIVEN
        else approval
        for approval in task.approvals
    )
    return replace(task, approvals=voided, subject="", outcome=event.reason)


def _apply_release(
    task: Task, event: ev.ReleaseStarted | ev.ReleaseFinished | ev.ReleaseRolledBack | ev.TaskReleased
) -> Task:
    match event:
        case ev.ReleaseStarted():
            release = Release(event.release_id, event.environment, event.digest, event.previous, ReleaseStatus.STARTED)
            return replace(task, releases=(*task.releases, release))
        case ev.ReleaseFinished():
            return _replace_release(task, event.release_id, ReleaseStatus.RELEASED, event.detail)
        case ev.ReleaseRolledBack():
            rolled = _replace_release(task, event.release_id, ReleaseStatus.ROLLED_BACK, event.reason)
            return replace(rolled, outcome=event.reason)
        case ev.TaskReleased(digest=digest):
            builds = tuple(
                replace(build, status=BuildStatus.RELEASED) if build.artifact.digest == digest else build
                for build in task.builds
            )
            return replace(task, builds=builds)


def _replace_release(task: Task, release_id: ReleaseId, to: ReleaseStatus, detail: str) -> Task:
    releases = tuple(
        replace(release, status=ReleaseStatus(moved(release.status, to)), detail=detail)
        if release.release_id == release_id
        else release
        for release in task.releases
    )
    return replace(task, releases=releases)


def _apply_end(
    task: Task, event: ev.TaskRefused | ev.TaskCancelled | ev.TaskExpired | ev.TaskFailed | ev.ChangeRejected
) -> Task:
    changes = tuple(_close(change) for change in task.changes)
    code = event.code if isinstance(event, ev.TaskRefused | ev.TaskFailed) else ""
    remedy = event.remedy if isinstance(event, ev.TaskRefused | ev.TaskFailed) else ""
    return replace(task, changes=changes, outcome=event.reason, code=code, remedy=remedy)


def _close(change: Change) -> Change:
    if change.status not in (ChangeStatus.CAPTURED, ChangeStatus.PUSHED):
        return change
    return replace(change, status=ChangeStatus(moved(change.status, ChangeStatus.CLOSED)))
