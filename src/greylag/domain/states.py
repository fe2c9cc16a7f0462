"""One transition table for everything that has a status. What is not listed raises.

Statuses are past participles where something has come to an end. ``docs/reference/states.md`` is drawn from this table.
"""

from collections.abc import Mapping
from enum import StrEnum

from greylag.domain.errors import IntegrityError


class TaskStatus(StrEnum):
    """Where one piece of work stands."""

    RECEIVED = "received"
    ASKED = "asked"
    ACCEPTED = "accepted"
    PLACED = "placed"
    WORKING = "working"
    HANDED_OVER = "handed_over"
    VERIFIED = "verified"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    MERGED = "merged"
    RELEASING = "releasing"
    RELEASED = "released"
    ROLLED_BACK = "rolled_back"
    ANSWERED = "answered"
    REJECTED = "rejected"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"


class RunStatus(StrEnum):
    """Where one attempt of a task stands."""

    STARTED = "started"
    FINISHED = "finished"
    PASSED = "passed"
    TURNED_BACK = "turned_back"
    STOPPED = "stopped"
    FAILED = "failed"


class TurnStatus(StrEnum):
    """Where one model round trip stands."""

    RESERVED = "reserved"
    SETTLED = "settled"
    REFUSED = "refused"


class ChangeStatus(StrEnum):
    """Where the commits of a task stand."""

    CAPTURED = "captured"
    PUSHED = "pushed"
    SUPERSEDED = "superseded"
    MERGED = "merged"
    CLOSED = "closed"


class BuildStatus(StrEnum):
    """Where the artifact of a change stands."""

    STORED = "stored"
    SUPERSEDED = "superseded"
    RELEASED = "released"


class ApprovalStatus(StrEnum):
    """Where a person's word over one digest stands."""

    GIVEN = "given"
    VOIDED = "voided"
    USED = "used"


class ReleaseStatus(StrEnum):
    """Where one build digest stands in one environment."""

    STARTED = "started"
    RELEASED = "released"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


Status = TaskStatus | RunStatus | TurnStatus | ChangeStatus | BuildStatus | ApprovalStatus | ReleaseStatus
_T, _R, _N, _C, _B, _A, _L = (
    TaskStatus, RunStatus, TurnStatus, ChangeStatus, BuildStatus, ApprovalStatus, ReleaseStatus,
)  # fmt: skip
_STOPPED = (_T.CANCELLED, _T.FAILED, _T.REFUSED)

#: One table, by the kind of status: two kinds may have a status of the same name.
TRANSITIONS: Mapping[type[Status], Mapping[Status, frozenset[Status]]] = {
    TaskStatus: {
        _T.RECEIVED: frozenset({_T.ASKED, _T.ACCEPTED, *_STOPPED}),
        _T.ASKED: frozenset({_T.RECEIVED, _T.EXPIRED, _T.CANCELLED, _T.FAILED}),
        _T.ACCEPTED: frozenset({_T.PLACED, _T.ANSWERED, *_STOPPED}),
        _T.PLACED: frozenset({_T.WORKING, *_STOPPED}),
        _T.WORKING: frozenset({_T.WORKING, _T.VERIFIED, _T.HANDED_OVER, _T.ANSWERED, *_STOPPED}),
        _T.HANDED_OVER: frozenset({_T.WORKING, _T.EXPIRED, _T.CANCELLED, _T.FAILED}),
        _T.VERIFIED: frozenset({_T.IN_REVIEW, _T.HANDED_OVER, *_STOPPED}),
        _T.IN_REVIEW: frozenset(
            {_T.WORKING, _T.HANDED_OVER, _T.APPROVED, _T.REJECTED, _T.EXPIRED, _T.CANCELLED, _T.FAILED}
        ),
        _T.APPROVED: frozenset({_T.MERGED, _T.WORKING, _T.IN_REVIEW, *_STOPPED}),
        _T.MERGED: frozenset({_T.RELEASING}),
        _T.RELEASING: frozenset({_T.RELEASING, _T.RELEASED, _T.ROLLED_BACK, _T.FAILED}),
        _T.RELEASED: frozenset({_T.RELEASING, _T.ROLLED_BACK}),
        _T.ROLLED_BACK: frozenset(),
        _T.ANSWERED: frozenset(),
        _T.REJECTED: frozenset(),
        _T.REFUSED: frozenset(),
        _T.CANCELLED: frozenset(),
        _T.EXPIRED: frozenset(),
        _T.FAILED: frozenset(),
    },
    RunStatus: {
        _R.STARTED: frozenset({_R.FINISHED, _R.STOPPED, _R.FAILED}),
        _R.FINISHED: frozenset({_R.PASSED, _R.TURNED_BACK, _R.STOPPED, _R.FAILED}),
        _R.PASSED: frozenset(),
        _R.TURNED_BACK: frozenset(),
        _R.STOPPED: frozenset(),
        _R.FAILED: frozenset(),
    },
    TurnStatus: {
        _N.RESERVED: frozenset({_N.SETTLED, _N.REFUSED}),
        _N.SETTLED: frozenset(),
        _N.REFUSED: frozenset(),
    },
    ChangeStatus: {
        _C.CAPTURED: frozenset({_C.PUSHED, _C.MERGED, _C.SUPERSEDED, _C.CLOSED}),
        _C.PUSHED: frozenset({_C.MERGED, _C.SUPERSEDED, _C.CLOSED}),
        _C.SUPERSEDED: frozenset(),
        _C.MERGED: frozenset(),
        _C.CLOSED: frozenset(),
    },
    BuildStatus: {
        _B.STORED: frozenset({_B.SUPERSEDED, _B.RELEASED}),
        _B.SUPERSEDED: frozenset(),
        _B.RELEASED: frozenset(),
    },
    ApprovalStatus: {
        _A.GIVEN: frozenset({_A.VOIDED, _A.USED}),
        _A.VOIDED: frozenset(),
        _A.USED: frozenset(),
    },
    ReleaseStatus: {
        _L.STARTED: frozenset({_L.RELEASED, _L.ROLLED_BACK, _L.FAILED}),
        _L.RELEASED: frozenset({_L.ROLLED_BACK}),
        _L.ROLLED_BACK: frozenset(),
        _L.FAILED: frozenset(),
    },
}

#: Statuses in which a task waits for a person: no sandbox, no model, no cost.
WAITING = frozenset({_T.ASKED, _T.HANDED_OVER, _T.IN_REVIEW})
#: Statuses in which the workflow of a task has ended.
ENDED = frozenset(
    {_T.MERGED, _T.RELEASED, _T.ROLLED_BACK, _T.ANSWERED, _T.REJECTED, _T.REFUSED, _T.CANCELLED, _T.EXPIRED, _T.FAILED}
)


def moved(current: Status, to: Status) -> Status:
    """Return ``to`` if the table lists ``current`` → ``to``.

    Raises IntegrityError ``GL-STATE-001`` for any other pair; staying in place is listed too where it is meant.
    """
    follow = TRANSITIONS[type(current)][current]
    if to not in follow:
        allowed = ", ".join(sorted(follow)) or "nothing: it has ended"
        raise IntegrityError(
            "GL-STATE-001",
            f"a {type(current).__name__} can't go from `{current}` to `{to}` (allowed: {allowed}).",
            "report this with the task's event log: `greylag task show TASK --json`.",
        )
    return to
