"""Taking over and handing back at the desk, and how work under way ends by a person's word, also after a crash."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from steering_cell import BASE, RUN, TASK, Scene

from greylag.delivery.stages.attempt import Try, attempt, run_id_of
from greylag.delivery.stages.waiting import look
from greylag.delivery.stages.without_agent import settle_take_over
from greylag.delivery.steering.stopping import interruption
from greylag.domain import events as ev
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import RunId
from greylag.domain.states import RunStatus, TaskStatus

FIRST = run_id_of(TASK, Try(1, 1))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """One task that was placed."""
    made = Scene(tmp_path)
    yield made
    made.close()


def refused(code: str) -> "pytest.RaisesExc[RequestRefused]":
    return pytest.raises(RequestRefused, match=code)


def reviewed(scene: Scene, run_id: RunId = RUN, follow_ups: int = 0) -> None:
    """Bring the task to review."""
    scene.begin(follow_ups=follow_ups, run_id=run_id)
    task = scene.change(run_id)
    report = scene.kept("passed")
    assert task.change is not None
    scene.record(
        ev.RunVerified(run_id, "c" * 40, True, "passed", report), ev.ChangeVerified(task.change.change_id, "c" * 40),
        ev.ReviewRequested(task.change.change_id, "sha256:subject", report, "2026-01-08T00:00:00+00:00"),
    )  # fmt: skip


async def test_taking_over_is_said_once_waits_and_costs_nothing(scene: Scene) -> None:
    reviewed(scene)
    for _ in range(3):
        scene.desk.take_over(TASK, "grace")
    assert scene.thread().count("grace takes this over.") == 1
    assert scene.engine.count == 1
    assert await look(scene.cell, TASK) == "taken_over"
    assert await settle_take_over(scene.cell, TASK) == "handed_over"
    assert await settle_take_over(scene.cell, TASK) == "handed_over"
    assert (scene.task.status, scene.task.resting) == (TaskStatus.HANDED_OVER, True)
    assert "greylag task handback" in scene.thread()[-1]
    assert sum("Handed over to grace" in said for said in scene.thread()) == 1
    assert (await look(scene.cell, TASK)).startswith("waiting")
    assert "grace" in scene.task.involved


def test_there_must_be_something_to_take_over(scene: Scene) -> None:
    with refused("GL-STEER-002"):
        scene.desk.take_over(TASK, "ada")
    scene.begin()
    scene.record(ev.RunFinished(RUN, "failed", "broken"), ev.TaskFailed("GL-X-001", "broken", "mend it"))
    with refused("GL-STEER-002"):
        scene.desk.take_over(TASK, "ada")


def test_one_person_at_a_time_and_only_who_may(scene: Scene) -> None:
    scene.begin()
    with refused("GL-PERSON-002"):
        scene.desk.take_over(TASK, "lin")
    scene.desk.take_over(TASK, "ada")
    with refused("GL-STEER-003"):
        scene.desk.take_over(TASK, "grace")
    # Two at the very same moment: the first has it.
    assert scene.record(ev.TaskTakenOver("grace")).taken_over_by == "ada"


def test_handing_back_needs_the_right_hands_base_and_size(scene: Scene) -> None:
    scene.begin()
    with refused("GL-STEER-004"):
        scene.desk.hand_back(TASK, "ada", b"", BASE)
    scene.desk.take_over(TASK, "ada")
    with refused("GL-STEER-004"):
        scene.desk.hand_back(TASK, "grace", b"", BASE)
    with refused("GL-STEER-006"):
        scene.desk.hand_back(TASK, "ada", b"", "0" * 40)
    limit = scene.cell.bounds.capture.patch_bytes
    with refused("GL-STEER-005"):
        scene.desk.hand_back(TASK, "ada", b"x" * (limit + 1), BASE)
    assert scene.task.handed_back == ()
    for _ in range(2):
        scene.desk.hand_back(TASK, "ada", b"the SECRET", BASE, "m1")
    assert len(scene.task.handed_back) == 1
    assert scene.task.level == "restricted"  # what is in it is part of the task from now on
    intake = [entry for _, entry in scene.ledger.entries if entry.get("stage") == "intake"]
    assert [entry["action"] for entry in intake if "action" in entry] == ["hand-back"]
    with refused("GL-STEER-004"):  # it is on its way in
        scene.desk.hand_back(TASK, "ada", b"", BASE)


def test_what_did_not_pass_can_be_handed_back_again_by_the_same_hands(scene: Scene) -> None:
    scene.begin()
    scene.desk.take_over(TASK, "ada")
    scene.desk.hand_back(TASK, "ada", b"one", BASE)
    by_hand = RunId("run_by_hand")
    started = ev.RunStarted(by_hand, 2, 1, BASE, scene.kept("p"), "v3", 0, "person:ada")
    scene.record(started, ev.RunFinished(by_hand, "failed", "can't be taken"), ev.TaskHandedOver("can't be taken"))
    with refused("GL-STEER-004"):
        scene.desk.hand_back(TASK, "grace", b"two", BASE)
    scene.desk.hand_back(TASK, "ada", b"two", BASE)
    assert scene.task.waits_to_be_taken_back


def test_nobody_approves_what_somebody_works_on(scene: Scene) -> None:
    reviewed(scene)
    scene.desk.take_over(TASK, "ada")
    with refused("GL-STEER-007"):
        scene.desk.approve(TASK, "lin", "sha256:subject")
    scene.desk.hand_back(TASK, "ada", b"", BASE)
    with refused("GL-STEER-007"):
        scene.desk.approve(TASK, "lin", "sha256:subject")


@pytest.mark.parametrize(
    ("words", "rests", "seen"),
    [("and a note", True, "waiting"), ("scrap that, do it yourself", False, "follow_up")],
)
async def test_while_a_person_works_only_a_word_that_drops_it_starts_the_agent(
    scene: Scene, words: str, rests: bool, seen: str
) -> None:
    scene.begin()
    scene.desk.take_over(TASK, "ada")
    scene.record(ev.RunFinished(RUN, "stopped", "taken over"))
    await settle_take_over(scene.cell, TASK)
    scene.desk.reply(TASK, "grace", words)
    assert scene.task.resting is rests
    assert (await look(scene.cell, TASK)).startswith(seen)
    again = scene.begin(follow_ups=1, run_id=RunId("run_2"))
    assert again.status is RunStatus.STARTED
    assert scene.task.taken_over_by == ""
    assert scene.task.took_over == ("ada",)
    assert "ada" in scene.task.involved


@pytest.mark.parametrize("word", ["stopped", "taken_over", "replaced"])
@pytest.mark.parametrize("crashed", ["before the run ended", "after the run ended"])
async def test_a_word_that_came_while_the_platform_was_away_ends_the_run(scene: Scene, word: str, crashed: str) -> None:
    scene.begin(run_id=FIRST)
    match word:
        case "stopped":
            scene.desk.stop(TASK, "ada")
        case "taken_over":
            scene.desk.take_over(TASK, "grace")
        case "replaced":
            scene.desk.reply(TASK, "ada", "no, do it another way")
    if crashed == "after the run ended":
        scene.record(ev.RunFinished(FIRST, "stopped", "by a word"))
    assert interruption(scene.task) == word
    assert await attempt(scene.cell, TASK, Try(1, 1)) == word
    assert [run.status for run in scene.task.runs] == [RunStatus.STOPPED]
    assert await attempt(scene.cell, TASK, Try(1, 1)) == word  # and again


async def test_a_word_between_two_attempts_ends_the_round(scene: Scene) -> None:
    scene.begin(run_id=FIRST)
    scene.change(FIRST)
    scene.desk.reply(TASK, "ada", "scrap that, do it another way")
    assert await attempt(scene.cell, TASK, Try(1, 2)) == "replaced"
    assert len(scene.task.runs) == 1


def test_what_was_dropped_is_never_gone_on_from(scene: Scene) -> None:
    scene.begin(run_id=FIRST)
    assert scene.change(FIRST).change_so_far is not None
    scene.desk.reply(TASK, "ada", "scrap that, do it another way")
    assert scene.task.change_so_far is None
    scene.begin(follow_ups=1, run_id=RunId("run_2"))
    assert scene.task.change_so_far is None  # it made no change of its own yet
    assert scene.change(RunId("run_2")).change_so_far is not None
    scene.desk.reply(TASK, "ada", "also log it")
    assert scene.task.change_so_far is not None
