"""What can happen to a task. The log of these is the truth; everything else is rebuilt from it.

Each event is a frozen value of plain fields (text, numbers, booleans, tuples, `Reference`, `Label`), so that it can be
stored as JSON and read back. Content never stands here: only its `Reference`. ``moves_to`` is the status the event
brings. Changing a field's meaning needs a new event class; adding one needs a default.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from greylag.domain.conversation import RequestAdvised
from greylag.domain.ids import ApprovalId, BuildId, ChangeId, ReleaseId, RunId, TaskId
from greylag.domain.labels import Label
from greylag.domain.references import Reference
from greylag.domain.states import TaskStatus

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class TaskReceived:
    """Somebody asked for something in a thread.

    ``label`` is what is known of it before intake: by the room it was said in, and by what was said there before.
    """

    moves_to: ClassVar[TaskStatus | None] = None
    channel: str
    requester: str
    request: Reference
    title: str
    region: str
    repository: str | None = None
    agent: str = ""
    agent_command: Reference | None = None
    message_id: str = ""
    attachments: tuple[Reference, ...] = ()
    attachment_names: tuple[str, ...] = ()
    room: str = ""
    thread: str = ""
    context: Reference | None = None
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class QuestionAsked:
    """Intake needs one thing to be told before it can go on.

    ``about`` is ``repository`` (the answer is one of ``choices``) or ``wording`` (the answer is free text).
    """

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.ASKED
    question: str
    choices: tuple[str, ...] = ()
    about: str = "repository"


@dataclass(frozen=True, slots=True)
class QuestionAnswered:
    """Somebody answered: ``choice`` is one of the choices that were offered, ``words`` what was said in free text."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.RECEIVED
    choice: str
    by: str
    words: Reference | None = None


@dataclass(frozen=True, slots=True)
class TaskLabelled:
    """What the task works with carries at least this. Labels only join: none of these ever takes anything back."""

    moves_to: ClassVar[TaskStatus | None] = None
    level: str
    classes: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    regimes: tuple[str, ...] = ()
    subjects: int = 0
    derived_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskAccepted:
    """Intake knows repository, intent and labels."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.ACCEPTED
    repository: str
    intent: str
    level: str
    decision_id: str


@dataclass(frozen=True, slots=True)
class TaskPlaced:
    """Placement chose where the work runs and which model endpoint it may call."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.PLACED
    region: str
    sandbox: str
    agent: str
    endpoint: str
    summary: str
    decision_id: str


@dataclass(frozen=True, slots=True)
class RunStarted:
    """One attempt began. ``round`` counts follow-ups, ``attempt`` counts tries within a round, both from 1.

    ``follow_ups`` is how many follow-ups its prompt holds, so that one that came in between is never lost. ``by`` is
    ``person:NAME`` where no agent but a person did the work.
    """

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.WORKING
    run_id: RunId
    round: int
    attempt: int
    base_commit: str
    prompt: Reference
    prompt_version: str
    follow_ups: int = 0
    by: str = ""


@dataclass(frozen=True, slots=True)
class TurnSettled:
    """One model round trip was paid for. Money is in millionths of a US dollar."""

    moves_to: ClassVar[TaskStatus | None] = None
    run_id: RunId
    number: int
    endpoint: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd_micros: int
    decision_id: str


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The agent stopped. ``outcome`` is ``finished``, ``stopped`` or ``failed``; its words are never evidence."""

    moves_to: ClassVar[TaskStatus | None] = None
    run_id: RunId
    outcome: str
    detail: str
    transcript: Reference | None = None


@dataclass(frozen=True, slots=True)
class ChangeCaptured:
    """The platform read the workspace and made a patch of it."""

    moves_to: ClassVar[TaskStatus | None] = None
    change_id: ChangeId
    run_id: RunId
    base_commit: str
    tree: str
    diff: Reference
    files: tuple[str, ...]
    added_lines: int
    removed_lines: int


@dataclass(frozen=True, slots=True)
class RunVerified:
    """The host re-ran the verifiers on a clean checkout of exactly ``tree``."""

    moves_to: ClassVar[TaskStatus | None] = None
    run_id: RunId
    tree: str
    passed: bool
    summary: str
    report: Reference
    verifiers: tuple[str, ...] = ()
    results: Reference | None = None


@dataclass(frozen=True, slots=True)
class ChangeVerified:
    """The latest change of this round passed: it may be built."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.VERIFIED
    change_id: ChangeId
    tree: str


@dataclass(frozen=True, slots=True)
class TaskHandedOver:
    """Attempts are used up: a person has to say how to go on."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.HANDED_OVER
    reason: str
    report: Reference | None = None


@dataclass(frozen=True, slots=True)
class BuildStored:
    """The artifact of a change stands in the vault under its digest."""

    moves_to: ClassVar[TaskStatus | None] = None
    build_id: BuildId
    change_id: ChangeId
    name: str
    artifact: Reference


@dataclass(frozen=True, slots=True)
class ChangePushed:
    """The platform pushed the change as one commit on the task's branch."""

    moves_to: ClassVar[TaskStatus | None] = None
    change_id: ChangeId
    branch: str
    commit: str
    number: int
    decision_id: str


@dataclass(frozen=True, slots=True)
class ReviewRequested:
    """The card went to the thread. ``subject`` is the digest over diff, build and evidence that is up for approval."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.IN_REVIEW
    change_id: ChangeId
    subject: str
    evidence: Reference
    expires_at: str


@dataclass(frozen=True, slots=True)
class FollowUpReceived:
    """Somebody said more in the thread.

    ``mode`` is ``queue`` (it starts a further round as soon as the task can take one), ``add`` (the agent at work is
    told now, if it can be) or ``replace`` (what is under way is dropped, and the round begins anew with this).
    """

    moves_to: ClassVar[TaskStatus | None] = None
    by: str
    message: Reference
    title: str
    message_id: str = ""
    mode: str = "queue"


@dataclass(frozen=True, slots=True)
class RunSteered:
    """The agent at work was told more: its run now holds the first ``follow_ups`` follow-ups."""

    moves_to: ClassVar[TaskStatus | None] = None
    run_id: RunId
    follow_ups: int


@dataclass(frozen=True, slots=True)
class TaskTakenOver:
    """A person goes on with the change on a machine of their own; the platform's agent stops."""

    moves_to: ClassVar[TaskStatus | None] = None
    by: str


@dataclass(frozen=True, slots=True)
class ChangeHandedBack:
    """A person gives back what they made of the change: ``patch`` against ``base_commit``. It counts as steering."""

    moves_to: ClassVar[TaskStatus | None] = None
    by: str
    base_commit: str
    patch: Reference
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class TaskAnswered:
    """What was asked was a question, and this is the answer; nothing was changed."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.ANSWERED
    answer: Reference


@dataclass(frozen=True, slots=True)
class ApprovalGiven:
    """A person who may approved exactly ``subject``. ``signature`` is the platform's, over subject and person."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.APPROVED
    approval_id: ApprovalId
    by: str
    subject: str
    signature: str
    via: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalVoided:
    """What was approved is no longer what would be merged: back to work on the new base."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.WORKING
    reason: str


@dataclass(frozen=True, slots=True)
class ChangeRejected:
    """A reviewer said no."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.REJECTED
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChangeMerged:
    """The default branch now holds the approved tree."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.MERGED
    change_id: ChangeId
    commit: str
    tree: str


@dataclass(frozen=True, slots=True)
class ReleaseStarted:
    """The build with ``digest`` is on its way into ``environment``."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.RELEASING
    release_id: ReleaseId
    environment: str
    digest: str
    previous: str | None
    decision_id: str


@dataclass(frozen=True, slots=True)
class ReleaseFinished:
    """The build answers its health check in ``environment``; ``last`` is True for the last environment."""

    moves_to: ClassVar[TaskStatus | None] = None
    release_id: ReleaseId
    environment: str
    digest: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReleaseRolledBack:
    """``environment`` runs ``restored`` again (None: nothing ran there before)."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.ROLLED_BACK
    release_id: ReleaseId
    environment: str
    digest: str
    restored: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class TaskReleased:
    """Every environment of the repository runs the build."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.RELEASED
    digest: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """A person asked to stop; the task ends at the next place where it can."""

    moves_to: ClassVar[TaskStatus | None] = None
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class EvidenceSealed:
    """The signed evidence as it stands at the end: with approvals and proofs that its decisions are in the ledger."""

    moves_to: ClassVar[TaskStatus | None] = None
    evidence: Reference


@dataclass(frozen=True, slots=True)
class TaskClosed:
    """The workflow has nothing more to do: retention is decided, workspaces are gone."""

    moves_to: ClassVar[TaskStatus | None] = None
    retained_days: int


@dataclass(frozen=True, slots=True)
class TaskRefused:
    """The platform may not, or can't, do this; rule and remedy were told."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.REFUSED
    code: str
    reason: str
    remedy: str
    decision_id: str = ""


@dataclass(frozen=True, slots=True)
class TaskCancelled:
    """A person stopped it and it has stopped."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.CANCELLED
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class TaskExpired:
    """The wait for a person ended without one: that is a no."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.EXPIRED
    reason: str


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """It can't go on; the cause and the next step were told."""

    moves_to: ClassVar[TaskStatus | None] = TaskStatus.FAILED
    code: str
    reason: str
    remedy: str


Event = (
    TaskReceived | TaskLabelled | QuestionAsked | QuestionAnswered | TaskAccepted | TaskPlaced | RunStarted
    | TurnSettled | RunFinished | ChangeCaptured | RunVerified | ChangeVerified | TaskHandedOver | BuildStored
    | ChangePushed | ReviewRequested | FollowUpReceived | ApprovalGiven | ApprovalVoided | ChangeRejected
    | ChangeMerged | ReleaseStarted | ReleaseFinished | ReleaseRolledBack | TaskReleased | StopRequested
    | EvidenceSealed | TaskClosed | TaskRefused | TaskCancelled | TaskExpired | TaskFailed | RunSteered | TaskTakenOver
    | ChangeHandedBack | TaskAnswered | RequestAdvised
)  # fmt: skip

EVENT_TYPES: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__args__}


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the log: ``sequence`` counts from 1 within the task, ``at`` is aware UTC."""

    task_id: TaskId
    sequence: int
    at: datetime
    event: Event
    key: str
