"""A task as its event log tells it: the projection that everybody reads."""

from dataclasses import dataclass
from datetime import datetime

from greylag.domain import events as ev
from greylag.domain.conversation import RequestAdvised
from greylag.domain.ids import ApprovalId, BuildId, ChangeId, ReleaseId, RunId, TaskId
from greylag.domain.labels import Label
from greylag.domain.references import Reference
from greylag.domain.states import (
    ENDED,
    WAITING,
    ApprovalStatus,
    BuildStatus,
    ChangeStatus,
    ReleaseStatus,
    RunStatus,
    TaskStatus,
)


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt: ``round`` counts follow-ups, ``attempt`` tries within one, both from 1.

    Its prompt held the first ``prompted`` follow-ups; it was told the first ``follow_ups`` of them. ``by`` is
    ``person:NAME`` where a person did the work by hand.
    """

    run_id: RunId
    round: int
    attempt: int
    status: RunStatus
    base_commit: str
    prompt: Reference
    follow_ups: int = 0
    prompted: int = 0
    by: str = ""
    turns: int = 0
    cost_usd_micros: int = 0
    detail: str = ""
    report: Reference | None = None
    results: Reference | None = None
    transcript: Reference | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What the task would change: a patch against ``base_commit`` whose result is ``tree``."""

    change_id: ChangeId
    run_id: RunId
    status: ChangeStatus
    base_commit: str
    tree: str
    diff: Reference
    files: tuple[str, ...]
    added_lines: int
    removed_lines: int
    branch: str = ""
    commit: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Build:
    """The artifact made of a change, named by its digest."""

    build_id: BuildId
    change_id: ChangeId
    status: BuildStatus
    name: str
    artifact: Reference


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's word over exactly one subject digest."""

    approval_id: ApprovalId
    by: str
    subject: str
    status: ApprovalStatus
    signature: str
    via: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """One build digest in one environment."""

    release_id: ReleaseId
    environment: str
    digest: str
    previous: str | None
    status: ReleaseStatus
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """Everything the event log says about one piece of work. Built only by `greylag.domain.replaying`.

    ``inputs`` are the sequence numbers of events by people (answers, follow-ups, approvals, rejections, stops),
    so that a worker which wakes up late still sees all of them. Money is in millionths of a US dollar.
    ``questions`` counts what was asked; ``answers`` are those in free text. ``taken_over_by`` works on it by hand now;
    ``took_over`` are all who ever did. ``advice`` is what a model said of the request as it stands, until somebody is
    asked; ``advised`` is what each such call has cost.
    ``label`` is what everything made from the task's inputs carries at least, None before intake knew; it only grows.
    """

    task_id: TaskId
    status: TaskStatus
    region: str
    channel: str
    requester: str
    title: str
    request: Reference
    received_at: datetime
    changed_at: datetime
    sequence: int
    repository: str | None = None
    intent: str = ""
    level: str = ""
    label: Label | None = None
    agent: str = ""
    agent_command: Reference | None = None
    attachments: tuple[Reference, ...] = ()
    attachment_names: tuple[str, ...] = ()
    endpoint: str = ""
    sandbox: str = ""
    placement: str = ""
    question: str = ""
    question_about: str = ""
    choices: tuple[str, ...] = ()
    questions: int = 0
    answers: tuple[Reference, ...] = ()
    answer_authors: tuple[str, ...] = ()
    advice: RequestAdvised | None = None
    advised: tuple[int, ...] = ()
    room: str = ""
    thread: str = ""
    context: Reference | None = None
    follow_ups: tuple[Reference, ...] = ()
    follow_up_authors: tuple[str, ...] = ()
    follow_up_modes: tuple[str, ...] = ()
    taken_over_by: str = ""
    took_over: tuple[str, ...] = ()
    handed_back: tuple[ev.ChangeHandedBack, ...] = ()
    answer: Reference | None = None
    runs: tuple[Run, ...] = ()
    changes: tuple[Change, ...] = ()
    builds: tuple[Build, ...] = ()
    approvals: tuple[Approval, ...] = ()
    releases: tuple[Release, ...] = ()
    subject: str = ""
    evidence: Reference | None = None
    sealed: Reference | None = None
    stop_requested_by: str = ""
    inputs: tuple[int, ...] = ()
    outcome: str = ""
    remedy: str = ""
    code: str = ""
    decisions: tuple[str, ...] = ()
    closed: bool = False

    @property
    def ended(self) -> bool:
        """Whether the task takes no more: it came to an end, or its change is merged."""
        return self.status in ENDED

    @property
    def resting(self) -> bool:
        """Whether nothing happens until a person says something, or ever."""
        moving = self.due_follow_ups or self.waits_to_be_taken_back or bool(self.stop_requested_by)
        return self.closed or (self.waiting and not moving)

    @property
    def waiting(self) -> bool:
        """Whether the task waits for a person."""
        return self.status in WAITING

    @property
    def involved(self) -> frozenset[str]:
        """Who asked, steered, explained or changed it by hand: none of them can approve it."""
        by_hand = (self.taken_over_by, *self.took_over, *(each.by for each in self.handed_back))
        return frozenset({self.requester, *self.follow_up_authors, *self.answer_authors, *by_hand} - {""})

    @property
    def change(self) -> Change | None:
        """The newest change, if any."""
        return self.changes[-1] if self.changes else None

    @property
    def build(self) -> Build | None:
        """The newest build, if any."""
        return self.builds[-1] if self.builds else None

    @property
    def run(self) -> Run | None:
        """The newest run, if any."""
        return self.runs[-1] if self.runs else None

    @property
    def unread_follow_ups(self) -> bool:
        """Whether somebody said more than the newest run was told."""
        return len(self.follow_ups) > self.read_follow_ups

    @property
    def read_follow_ups(self) -> int:
        """How many follow-ups, from the first, some run was told."""
        return max((run.follow_ups for run in self.runs), default=0)

    @property
    def replaced(self) -> bool:
        """Whether somebody said, and no run was told yet, that what is under way is to be dropped."""
        return "replace" in self.follow_up_modes[self.read_follow_ups :]

    @property
    def due_follow_ups(self) -> bool:
        """Whether a further round has to begin. Who works by hand is waited for, but for a word that drops it all."""
        return self.unread_follow_ups and (not self.taken_over_by or self.replaced)

    @property
    def waits_to_be_taken_back(self) -> bool:
        """Whether a person handed back work that no run has taken in yet."""
        return len(self.handed_back) > sum(1 for run in self.runs if run.by)

    @property
    def change_so_far(self) -> Change | None:
        """The newest change that work can go on from: none that a follow-up told to drop since."""
        drops = [number for number, mode in enumerate(self.follow_up_modes, 1) if mode == "replace"]
        told = {run.run_id: run.follow_ups for run in self.runs}
        if self.change is None or told.get(self.change.run_id, 0) < max(drops, default=0):
            return None
        return self.change

    @property
    def model_calls(self) -> int:
        """How many model calls are settled: its runs', and intake's."""
        return sum(run.turns for run in self.runs) + len(self.advised)

    @property
    def cost_usd_micros(self) -> int:
        """What the task's settled model calls have cost so far: its runs', and intake's."""
        return sum(run.cost_usd_micros for run in self.runs) + sum(self.advised)
