"""Where a task stands, in words: for each status what it does or waits for, and what it took so far."""

from dataclasses import replace
from datetime import timedelta

import pytest

from greylag.delivery.answering import (
    duration,
    live_words,
    reviewers_of,
    spent_words,
    standing,
    status_words,
    waits_for,
)
from greylag.domain import events as ev
from greylag.domain.ids import RunId
from greylag.domain.repository import Person, Repository
from greylag.domain.states import ENDED, TaskStatus
from tests.support.front_stage import BEGUN, Scene, heard

ADA, GRACE, LIN = (
    Person("ada", ("requester",)),
    Person("grace", ("requester", "reviewer")),
    Person("lin", ("reviewer",)),
)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"), (90_000, "1 d 1 h"),
        (-5, "0 s"),
    ],
)  # fmt: skip
def test_a_length_of_time_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


async def test_every_status_has_words(scene: Scene) -> None:
    await scene.hear(heard())
    task = scene.task()
    for status in TaskStatus:
        words = standing(replace(task, status=status, question="Which repository?", outcome="why\nmore"), [ADA, LIN])
        assert words
        assert "\n" not in words
        assert not words.endswith(".")
        assert ("why" in words) == (status in ENDED or status is TaskStatus.HANDED_OVER)


async def test_it_says_who_it_waits_for(scene: Scene) -> None:
    await scene.hear(heard())
    task_id = scene.task().task_id
    scene.append(task_id, ev.QuestionAsked("Which repository?", ("murmur",)))
    assert standing(scene.task(), [ADA]) == "it waits for an answer: Which repository?"
    assert waits_for(scene.task(), ADA)
    assert not waits_for(scene.task(), GRACE)
    await scene.hear(heard("reply", "murmur"))
    scene.up_for_review(task_id)
    assert standing(scene.task(), [ADA, GRACE, LIN]) == "it waits for a reviewer: grace, lin"
    assert standing(scene.task(), [ADA]) == "it waits for a reviewer, and nobody can approve it yet"
    assert reviewers_of(scene.task(), [ADA, GRACE, LIN]) == ["grace", "lin"]
    assert [waits_for(scene.task(), each) for each in (ADA, GRACE, LIN)] == [False, True, True]


async def test_status_holds_the_last_step_time_and_cost(scene: Scene) -> None:
    await scene.hear(heard())
    task_id = scene.task().task_id
    scene.append(
        task_id, ev.TaskAccepted("murmur", "fix", "internal", "d"),
        ev.TaskPlaced("local", "b", "claude", "e", "here", "d"),
        ev.RunStarted(RunId("run_1"), 1, 1, "b" * 40, scene.task().request, "v1"),
        ev.TurnSettled(RunId("run_1"), 1, "e", "m", 10, 5, 1_234_500, "d"),
    )  # fmt: skip
    scene.shown(task_id, "progress", "read player.py\nran the tests: 1 failed", ())
    scene.clock.at = BEGUN + timedelta(minutes=12)
    words = await status_words(scene.cell, scene.task())
    assert "Now: the agent is at work." in words
    assert "Last step: ran the tests: 1 failed" in words
    assert "So far: 11 min, 1 attempt, 1.2345 USD in 1 model call." in words or "So far: 12 min" in words
    assert spent_words(scene.task(), BEGUN + timedelta(hours=2)).startswith("So far: 1 h 59 min, 1 attempt")


async def test_what_is_live_names_each_environment(scene: Scene) -> None:
    await scene.hear(heard())
    scene.deploy("production", "1", scene.task().task_id)
    words = await live_words(scene.cell, "murmur")
    assert words.splitlines()[:2] == ["Live of murmur:", "  staging: nothing yet"]
    assert "production: murmur-1.whl sha256:" in words
    scene.deployer.live.clear()
    assert "but it does not run" in await live_words(scene.cell, "murmur")
    scene.stores.directory.add_repository(Repository("bare", "local"), BEGUN)
    assert await live_words(scene.cell, "bare") == "bare has no environment, so nothing of it is live."
