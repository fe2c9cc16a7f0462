"""The shapes of the JSON API. Changes only add; a change of meaning is a new path."""

from datetime import datetime
from typing import Annotated

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, field_validator

from greylag.domain.events import Recorded
from greylag.domain.repository import Environment, PathRule, Repository
from greylag.domain.task import Task

#: What is handed back may be larger than anything else that is posted: 8 MiB of patch.
MOST_PATCH_CHARACTERS = 11_500_000


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AttachmentIn(_In):
    """A text file that goes with a request."""

    name: str = Field(min_length=1, max_length=200)
    text: str = Field(max_length=262_144)


class AskIn(_In):
    """A request in plain language."""

    text: str = Field(max_length=64_000)
    repository: str | None = Field(default=None, max_length=64)
    agent: str = Field(default="", max_length=32)
    command: list[str] = Field(default_factory=list, max_length=64)
    message_id: str = Field(default="", max_length=200)
    channel: str = Field(default="console", pattern=r"^[a-z]{1,16}$")
    attachments: list[AttachmentIn] = Field(default_factory=list, max_length=4)


class ReplyIn(_In):
    """A follow-up, or the answer to a question. ``mode`` says what a follow-up is for; empty: its words decide."""

    text: str = Field(max_length=64_000)
    message_id: str = Field(default="", max_length=200)
    mode: str = Field(
        default="", max_length=40,
        description="What a follow-up is for: `add`, `queue` or `replace`; empty: the words decide.",
    )  # fmt: skip


class HandBackIn(_In):
    """What a person made by hand: a git patch, in base64, against the commit their work began from."""

    patch: Base64Bytes = Field(max_length=MOST_PATCH_CHARACTERS)
    base_commit: str = Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")
    message_id: str = Field(default="", max_length=200)


class ApprovalIn(_In):
    """An approval of exactly ``subject``; empty means what is up for review now."""

    subject: str = Field(default="", max_length=80)


class ReasonIn(_In):
    """Why somebody says no or stop."""

    reason: str = Field(default="", max_length=2000)


class PersonIn(_In):
    """Somebody who may use the platform."""

    name: str = Field(pattern=r"^[a-z][a-z0-9._-]{0,40}$")
    roles: list[str] = Field(min_length=1, max_length=7)
    email: str = Field(default="", max_length=200)

    @field_validator("name")
    @classmethod
    def _is_nobody_else(cls, name: str) -> str:
        if name == "greylag":
            raise ValueError("in threads `greylag` is the platform itself; choose another name")
        return name


class EnvironmentIn(_In):
    """One environment, in order of promotion."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    command: list[str] = Field(min_length=1, max_length=64)
    health_path: str = Field(default="/", pattern=r"^/", max_length=200)
    port: int = Field(default=0, ge=0, le=65535)
    health_timeout_seconds: float = Field(default=15.0, gt=0, le=600)


_KEY = r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$"
_CODE = r"^([A-Z]{2}(-[A-Z0-9]{1,4})?|unknown)$"
Key = Annotated[str, Field(pattern=_KEY, max_length=120)]
Code = Annotated[str, Field(pattern=_CODE)]


class PathRuleIn(_In):
    """What files whose path matches ``pattern`` hold, beyond the repository's own label."""

    pattern: str = Field(min_length=1, max_length=200)
    level: str = Field(default="internal", pattern=r"^(public|internal|confidential|restricted)$")
    classes: list[Key] = Field(default_factory=list, max_length=64)
    origins: list[Code] = Field(default_factory=list, max_length=64)


class SignOffIn(_In):
    """A yes to flows towards one target, in one role, for some days, with a reason."""

    role: str = Field(max_length=40)
    target_kind: str = Field(max_length=40)
    target: str = Field(max_length=256)
    reason: str = Field(max_length=500)
    days: int = Field(default=30, ge=1, le=3650)
    repository: str = Field(default="*", max_length=64)
    stage: str = Field(default="*", max_length=40)


class RepositoryIn(_In):
    """A repository's settings; ``source`` is a path or URL to import it from, or ``sdist:NAME==VERSION#sha256=HEX``.

    ``patch`` is a unified diff that is applied to a source distribution before anything else sees it.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    source: str = Field(default="", max_length=2000)
    patch: str = Field(default="", max_length=200_000)
    level: str = Field(default="internal", pattern=r"^(public|internal|confidential|restricted)$")
    default_branch: str = Field(default="", max_length=200)
    verify: list[list[str]] = Field(default_factory=list, max_length=16)
    build: str = Field(default="auto", pattern=r"^(auto|wheel|npm|archive)$")
    keywords: list[str] = Field(default_factory=list, max_length=64)
    requirements: list[str] = Field(default_factory=list, max_length=200)
    environments: list[EnvironmentIn] = Field(default_factory=list, max_length=8)
    classes: list[Key] = Field(default_factory=list, max_length=64)
    origins: list[Code] = Field(default_factory=list, max_length=64)
    path_rules: list[PathRuleIn] = Field(default_factory=list, max_length=200)
    owner: str = Field(default="", max_length=200)

    def value(self, region: str) -> Repository:
        """Return the domain's value of these settings, in ``region``."""
        return Repository(
            name=self.name, region=region, level=self.level, default_branch=self.default_branch or "main",
            verify=tuple(tuple(command) for command in self.verify), build=self.build, keywords=tuple(self.keywords),
            requirements=tuple(self.requirements),
            environments=tuple(
                Environment(
                    each.name, region, tuple(each.command), each.health_path, each.port, each.health_timeout_seconds
                )
                for each in self.environments
            ),
            classes=tuple(self.classes), origins=tuple(self.origins), owner=self.owner,
            path_rules=tuple(
                PathRule(each.pattern, each.level, tuple(each.classes), tuple(each.origins))
                for each in self.path_rules
            ),
        )  # fmt: skip


def repository_settings(repository: Repository) -> dict[str, object]:
    """Return the settings of ``repository`` in the shape of `RepositoryIn`, so that they can be sent back changed."""
    return {
        "name": repository.name, "level": repository.level, "default_branch": repository.default_branch,
        "verify": [list(command) for command in repository.verify], "build": repository.build,
        "keywords": list(repository.keywords), "requirements": list(repository.requirements),
        "environments": [
            {
                "name": each.name, "command": list(each.command), "health_path": each.health_path, "port": each.port,
                "health_timeout_seconds": each.health_timeout_seconds,
            }
            for each in repository.environments
        ],
        "classes": list(repository.classes), "origins": list(repository.origins), "owner": repository.owner,
        "path_rules": [
            {
                "pattern": each.pattern, "level": each.level, "classes": list(each.classes),
                "origins": list(each.origins),
            }
            for each in repository.path_rules
        ],
    }  # fmt: skip


class RollbackIn(_In):
    """Which environment goes back to what ran there before."""

    repository: str = Field(max_length=64)
    environment: str = Field(max_length=32)


class RunOut(BaseModel):
    """One attempt."""

    run_id: str
    round: int
    attempt: int
    status: str
    detail: str
    turns: int
    cost_usd: float


class ReleaseOut(BaseModel):
    """One build digest in one environment."""

    environment: str
    digest: str
    status: str
    detail: str


class TaskOut(BaseModel):
    """A task as its event log tells it."""

    task_id: str
    status: str
    ended: bool
    waiting: bool
    resting: bool
    title: str
    requester: str
    repository: str | None
    intent: str
    level: str
    region: str
    agent: str
    placement: str
    model_label: str
    received_at: datetime
    changed_at: datetime
    question: str
    question_about: str
    choices: list[str]
    taken_over_by: str
    follow_ups: int
    files: list[str]
    added_lines: int
    removed_lines: int
    branch: str
    commit: str
    build_name: str
    build_digest: str
    build_size_bytes: int
    subject: str
    approved_by: list[str]
    runs: list[RunOut]
    releases: list[ReleaseOut]
    cost_usd: float
    outcome: str
    code: str
    remedy: str
    sequence: int
    change_id: str
    base_commit: str


class OfferOut(BaseModel):
    """Something that a message offers to do; what is done is checked again when it is done."""

    verb: str
    label: str
    value: str


class MessageOut(BaseModel):
    """One thing said in a thread."""

    sequence: int
    at: datetime
    author: str
    kind: str
    text: str
    decision_id: str
    offers: list[OfferOut] = Field(default_factory=list)


class EventOut(BaseModel):
    """One event of a task's log."""

    sequence: int
    at: datetime
    kind: str
    key: str


class ErrorOut(BaseModel):
    """What every refusal looks like."""

    code: str
    message: str
    remedy: str
    decision_id: str = ""


def task_out(task: Task, label: str = "") -> TaskOut:
    """Return the API's view of ``task``; ``label`` says where no real model worked."""
    change, build, so_far = task.change, task.build, task.change_so_far
    return TaskOut(
        task_id=task.task_id,
        status=str(task.status),
        ended=task.ended,
        waiting=task.waiting,
        resting=task.resting,
        title=task.title,
        requester=task.requester,
        repository=task.repository,
        intent=task.intent,
        level=task.level,
        region=task.region,
        agent=task.agent,
        placement=task.placement,
        model_label=label,
        received_at=task.received_at,
        changed_at=task.changed_at,
        question=task.question,
        question_about=task.question_about,
        choices=list(task.choices),
        taken_over_by=task.taken_over_by,
        follow_ups=len(task.follow_ups),
        files=list(change.files) if change else [],
        added_lines=change.added_lines if change else 0,
        removed_lines=change.removed_lines if change else 0,
        branch=change.branch if change else "",
        commit=change.commit if change else "",
        build_name=build.name if build else "",
        build_digest=build.artifact.digest if build else "",
        build_size_bytes=build.artifact.size_bytes if build else 0,
        subject=task.subject,
        approved_by=[each.by for each in task.approvals if each.status != "voided"],
        runs=[
            RunOut(
                run_id=run.run_id,
                round=run.round,
                attempt=run.attempt,
                status=str(run.status),
                detail=run.detail,
                turns=run.turns,
                cost_usd=run.cost_usd_micros / 1_000_000,
            )
            for run in task.runs
        ],
        releases=[
            ReleaseOut(environment=r.environment, digest=r.digest, status=str(r.status), detail=r.detail)
            for r in task.releases
        ],
        cost_usd=task.cost_usd_micros / 1_000_000,
        outcome=task.outcome,
        code=task.code,
        remedy=task.remedy,
        sequence=task.sequence,
        change_id=so_far.change_id if so_far else "",
        base_commit=so_far.base_commit if so_far else task.run.base_commit if task.run else "",
    )


def event_out(record: Recorded) -> EventOut:
    """Return the API's view of one event; content stays in the vault."""
    return EventOut(sequence=record.sequence, at=record.at, kind=type(record.event).__name__, key=record.key)
