"""A task is what its log says: the story, every forbidden step, and random walks through the table."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain import events as ev
from greylag.domain.errors import IntegrityError
from greylag.domain.ids import ApprovalId, BuildId, ChangeId, ReleaseId, RunId, TaskId
from greylag.domain.references import Reference
from greylag.domain.replaying import advance, replay
from greylag.domain.states import ApprovalStatus, BuildStatus, ChangeStatus, ReleaseStatus, RunStatus, TaskStatus
from greylag.domain.task import Task

TASK = TaskId("task_1")
AT = datetime(2026, 1, 1, tzinfo=UTC)
REF = Reference("local", "sha256:" + "0" * 64, 1, "x")
DIGEST = "sha256:" + "1" * 64
RUN, CHANGE = RunId("run_1"), ChangeId("chg_1")
RECEIVED = ev.TaskReceived("console", "ada", REF, "fix it", "local")
STORY: list[ev.Event] = [
    RECEIVED,
    ev.TaskAccepted("murmur", "fix", "internal", "dec_1"),
    ev.TaskPlaced("local", "bubblewrap", "claude", "scripted", "runs in local", "dec_2"),
    ev.RunStarted(RUN, 1, 1, "b" * 40, REF, "v1"),
    ev.TurnSettled(RUN, 1, "scripted", "scripted-1", 10, 5, 700, "dec_3"),
    ev.ChangeCaptured(CHANGE, RUN, "b" * 40, "c" * 40, REF, ("a.py",), 3, 1),
    ev.RunFinished(RUN, "finished", "done"),
    ev.RunVerified(RUN, "c" * 40, True, "passed", REF),
    ev.ChangeVerified(CHANGE, "c" * 40),
    ev.BuildStored(BuildId("bld_1"), CHANGE, "murmur.whl", dataclasses.replace(REF, digest=DIGEST)),
    ev.ChangePushed(CHANGE, "greylag/1", "d" * 40, 1, "dec_4"),
    ev.ReviewRequested(CHANGE, "sha256:subject", REF, "2026-01-08T00:00:00+00:00"),
    ev.ApprovalGiven(ApprovalId("apr_1"), "grace", "sha256:subject", "sig", "web"),
    ev.ChangeMerged(CHANGE, "e" * 40, "c" * 40),
    ev.ReleaseStarted(ReleaseId("rel_1"), "production", DIGEST, None, "dec_5"),
    ev.ReleaseFinished(ReleaseId("rel_1"), "production", DIGEST, "200"),
    ev.TaskReleased(DIGEST),
    ev.TaskClosed(90),
]


def log(events: list[ev.Event]) -> list[ev.Recorded]:
    return [
        ev.Recorded(TASK, number, AT + timedelta(seconds=number), event, f"key{number}")
        for number, event in enumerate(events, 1)
    ]


def test_the_story_from_the_message_to_the_release() -> None:
    task = replay(log(STORY))
    assert (task.status, task.closed, task.ended, task.resting) == (TaskStatus.RELEASED, True, True, True)
    assert task.run is not None
    assert (task.run.status, task.run.turns, task.cost_usd_micros) == (RunStatus.PASSED, 1, 700)
    assert task.change is not None
    assert (task.change.status, task.change.commit) == (ChangeStatus.MERGED, "d" * 40)
    assert task.build is not None
    assert task.build.status is BuildStatus.RELEASED
    assert [(each.by, each.status) for each in task.approvals] == [("grace", ApprovalStatus.USED)]
    assert [each.status for each in task.releases] == [ReleaseStatus.RELEASED]
    assert task.decisions == ("dec_1", "dec_2", "dec_3", "dec_4", "dec_5")


@pytest.mark.parametrize("cut", range(1, len(STORY)))
def test_every_beginning_of_the_story_is_a_task(cut: int) -> None:
    part = replay(log(STORY[:cut]))
    assert part.sequence == cut
    assert advance(part, log(STORY)[cut]) == replay(log(STORY[: cut + 1]))


@pytest.mark.parametrize(
    "events",
    [
        [],
        STORY[1:],
        [*STORY[:3], *STORY[4:]],
        [STORY[0], STORY[2]],
        [*STORY[:5], ev.RunFinished(RunId("run_9"), "finished", "")],
    ],
    ids=["empty", "no beginning", "a missing run", "a skipped status", "an unknown run"],
)
def test_what_does_not_fit_together_is_refused(events: list[ev.Event]) -> None:
    with pytest.raises(IntegrityError, match="GL-STATE-00"):
        replay(log(events))


def test_a_gap_and_a_second_beginning_are_refused() -> None:
    first, second, third = log(STORY[:3])
    with pytest.raises(IntegrityError, match="GL-STATE-002"):
        replay([first, third])
    with pytest.raises(IntegrityError, match="GL-STATE-002"):
        replay([first, dataclasses.replace(second, event=RECEIVED)])


def test_a_follow_up_is_unread_until_a_run_was_told() -> None:
    in_review = STORY[:12]
    said = ev.FollowUpReceived("ada", REF, "more")
    task = replay(log([*in_review, said]))
    assert (task.unread_follow_ups, task.resting, task.follow_up_authors) == (True, False, ("ada",))
    again = ev.RunStarted(RunId("run_2"), 2, 1, "b" * 40, REF, "v1", 1)
    assert not replay(log([*in_review, said, again])).unread_follow_ups


def test_a_new_change_voids_what_was_up_for_review() -> None:
    again = ev.RunStarted(RunId("run_2"), 2, 1, "b" * 40, REF, "v1", 0)
    change = ev.ChangeCaptured(ChangeId("chg_2"), RunId("run_2"), "b" * 40, "f" * 40, REF, (), 0, 0)
    task = replay(log([*STORY[:12], again, change]))
    assert (task.subject, task.evidence) == ("", None)
    assert [each.status for each in task.changes] == [ChangeStatus.SUPERSEDED, ChangeStatus.CAPTURED]


def test_a_voided_approval_counts_no_more() -> None:
    task = replay(log([*STORY[:13], ev.ApprovalVoided("drift")]))
    assert (task.status, task.approvals[0].status, task.subject) == (TaskStatus.WORKING, ApprovalStatus.VOIDED, "")


@given(st.lists(st.sampled_from(STORY[1:]), max_size=12))
def test_random_logs_are_a_task_or_an_error_and_never_half(events: list[Any]) -> None:
    task: Task = replay(log([RECEIVED]))
    for number, event in enumerate(events, 2):
        record = ev.Recorded(TASK, number, AT, event, f"key{number}")
        try:
            after = advance(task, record)
        except IntegrityError:
            assert task.sequence == number - 1
            return
        assert after.sequence == number
        task = after
