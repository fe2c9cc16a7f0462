"""The process may end between any two steps of handling: what was said is done once, answered once, and never lost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from greylag.adapters.chat.port import Heard
from greylag.domain import events as ev
from greylag.domain.states import TaskStatus
from tests.support.front_stage import SUBJECT, Fuse, KilledError, Scene, click, heard, opened_scene

Prepare = Callable[[Scene], Awaitable[Heard]]
Check = Callable[[Scene, Heard], None]


@dataclass(frozen=True)
class Story:
    """Something that is said after ``prepare``, and what is true of it however often the process ended."""

    prepare: Prepare
    check: Check


async def nothing(scene: Scene) -> Heard:
    return heard()


def one_task(scene: Scene, said: Heard) -> None:
    task = scene.task()
    assert [words for _, _, words in scene.said(task.task_id)] == [said.text, f"On it: {task.task_id}."]
    assert scene.engine.started == [task.task_id]
    assert len(scene.stores.chats.conversations(task.task_id)) == 1
    assert scene.room.posts == []
    assert scene.outcome(said.event_id) == ("handled", "")


async def of_nobody(scene: Scene) -> Heard:
    return heard(author="UMALLORY")


def one_notice(scene: Scene, said: Heard) -> None:
    assert scene.tasks() == ()
    assert len(scene.room.posts) == 1
    assert "don't know who you are" in scene.room.posts[0].text
    assert scene.outcome(said.event_id)[0] == "refused"


async def in_a_thread(scene: Scene) -> Heard:
    await scene.hear(heard())
    return heard("reply", "make the debounce 300 ms")


def one_follow_up(scene: Scene, said: Heard) -> None:
    assert len(scene.task().follow_ups) == 1
    words = [words for _, _, words in scene.said(scene.task().task_id)]
    assert words.count(said.text) <= 1, "its echo may be left to the workflow, and is never said twice"
    assert scene.room.posts == []
    assert scene.outcome(said.event_id) == ("handled", "")


async def a_card_of_one_s_own(scene: Scene) -> Heard:
    await scene.hear(heard(author="UGRACE"))
    return click(scene.up_for_review(scene.task().task_id), "approve", SUBJECT)


def one_refusal(scene: Scene, said: Heard) -> None:
    assert scene.task().status is TaskStatus.IN_REVIEW
    assert ["GL-APPROVE-001" in post.text for post in scene.room.posts] == [True]
    assert scene.outcome(said.event_id)[1].startswith("GL-APPROVE-001")


async def a_card_to_reject(scene: Scene) -> Heard:
    await scene.hear(heard())
    return click(scene.up_for_review(scene.task().task_id), "reject", SUBJECT, text="no")


def one_rejection(scene: Scene, said: Heard) -> None:
    assert len(scene.events_of(scene.task().task_id, ev.ChangeRejected)) == 1
    assert scene.room.posts == []
    assert scene.outcome(said.event_id) == ("handled", "")


async def two_releases(scene: Scene) -> Heard:
    await scene.hear(heard())
    task_id = scene.task().task_id
    scene.up_for_review(task_id)
    scene.append(
        task_id, ev.ApprovalGiven("apr_1", "grace", SUBJECT, "s"), ev.ChangeMerged("chg_1", "e" * 40, "c" * 40)  # type: ignore[arg-type]
    )  # fmt: skip
    for digit in ("1", "2", "3"):
        newest = scene.deploy("production", digit, task_id)
    return heard("reply", f"roll back production {newest[7:19]}", "UGRACE")


def one_way_back(scene: Scene, said: Heard) -> None:
    history = [each.name for each in scene.stores.deployments.deployments("murmur", "production")]
    assert history == [f"murmur-{digit}.whl" for digit in "2321"], "once, and not one further"
    assert scene.words(scene.task().task_id).count("was brought back to murmur-2.whl") == 1
    assert scene.outcome(said.event_id) == ("handled", "")


async def after_the_end(scene: Scene) -> Heard:
    await scene.hear(heard())
    scene.append(scene.task().task_id, ev.TaskCancelled("ada", "stopped"))
    return heard("mention", "now something else")


def a_second_task(scene: Scene, said: Heard) -> None:
    assert [each.title for each in scene.tasks()].count("now something else") == 1
    assert len(scene.tasks()) == 2
    assert scene.outcome(said.event_id) == ("handled", "")
    assert all(not each.follow_ups for each in scene.tasks()), "a request is no follow-up to itself"


STORIES = {
    "a request": Story(nothing, one_task),
    "a request of nobody known": Story(of_nobody, one_notice),
    "a follow-up": Story(in_a_thread, one_follow_up),
    "a click by the requester": Story(a_card_of_one_s_own, one_refusal),
    "a rejection": Story(a_card_to_reject, one_rejection),
    "a way back": Story(two_releases, one_way_back),
    "a new task after the end": Story(after_the_end, a_second_task),
}


async def live(scene: Scene, said: Heard) -> None:
    """One life of the process: the chat delivers what was not acknowledged, the front works until all is settled."""
    running = asyncio.create_task(scene.front.run())
    try:
        await scene.front.take(said)
        await scene.settled(running)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, KilledError):
            await running


@pytest.mark.parametrize("name", STORIES)
async def test_it_may_end_anywhere(name: str, tmp_path: Path, scene_template: Path) -> None:
    story = STORIES[name]
    step, lives = 0, 0
    folder = tmp_path / "before"
    folder.mkdir()
    before = opened_scene(folder, scene_template)
    said = await story.prepare(before)
    before.close()
    while True:
        step += 1
        scene = before.copied(tmp_path / str(step))
        try:
            fuse = Fuse(step)
            scene.open(fuse)
            with suppress(KilledError):
                await live(scene, said)
            burnt = fuse.burnt
            lives += burnt
            for _ in range(2):  # the chat may deliver it again however often
                scene.open()
                await live(scene, said)
            story.check(scene, said)
        except AssertionError as error:
            raise AssertionError(f"the process ended at step {step}: {error}") from error
        finally:
            scene.close()
        if not burnt:
            break
    assert lives >= 10, "there were steps to end at"


async def test_a_process_that_always_dies_of_the_same_words_gives_up_on_them(scene: Scene) -> None:
    said = heard()
    for _ in range(8):
        fuse = Fuse()
        scene.open(fuse)

        async def dies(turn: object) -> None:
            raise KilledError

        scene.front._messages.said = lambda turn, person: dies(turn)  # type: ignore[method-assign, assignment]
        with suppress(KilledError):
            await live(scene, said)
    assert scene.outcome(said.event_id)[1].startswith("GL-CHAT-029")
    assert len(scene.room.posts) == 1
    scene.open()
    after = heard(text="something harmless")
    await scene.hear(after)
    assert scene.outcome(after.event_id) == ("handled", "")
