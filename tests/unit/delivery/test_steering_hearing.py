"""What is said while an agent works: told once, decided each time, counted only when it was heard, never lost."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from steering_cell import RUN, TASK, Scene

from greylag.adapters.agents.port import STEERS_A_RUN, Steer, nothing_more
from greylag.delivery.stages.attempt import _prompt_again
from greylag.delivery.steering.hearing import Messenger
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import RunId


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """One task at work, with an agent that hears."""
    monkeypatch.setattr("greylag.delivery.steering.hearing._POLL_SECONDS", 0.01)
    made = Scene(tmp_path)
    yield made
    made.close()


@asynccontextmanager
async def messenger(scene: Scene) -> Any:
    more = nothing_more()
    run = scene.task.runs[-1]
    found = Messenger(scene.cell, TASK, run, more)
    watching = asyncio.create_task(found.watch())
    try:
        yield found, more
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def next_of(more: "asyncio.Queue[Steer]") -> Steer:
    return await asyncio.wait_for(more.get(), 5)


def say(scene: Scene, text: str, by: str = "ada", mode: str = "") -> None:
    scene.desk.reply(TASK, by, text, mode=mode)


async def test_it_is_told_tagged_and_counted_once_it_was_heard(scene: Scene) -> None:
    scene.begin()
    async with messenger(scene) as (_, more):
        say(scene, "also log it", by="grace")
        assert scene.thread()[-1] == "Passing it on to the agent."
        steer = await next_of(more)
        assert "also log it" in steer.text
        assert "(from grace, not the requester)" in steer.text
        assert scene.task.unread_follow_ups
        await steer.heard()
        assert scene.thread()[-1] == "Told the agent."
        assert not scene.task.unread_follow_ups
        await asyncio.sleep(0.1)
        assert more.empty()  # once
    contexts = [entry for _, entry in scene.ledger.entries if entry.get("stage") == "context"]
    assert len(contexts) == 1


async def test_what_nobody_heard_stays_unread_and_is_said_to_come_next(scene: Scene) -> None:
    scene.begin()
    async with messenger(scene) as (found, more):
        say(scene, "also log it")
        await next_of(more)
        await found.end()
    assert scene.task.unread_follow_ups
    assert "comes next" in scene.thread()[-1]


async def test_a_more_sensitive_word_raises_the_label_before_it_would_be_told(scene: Scene) -> None:
    scene.begin()
    async with messenger(scene) as (found, more):
        say(scene, "the SECRET is 42")
        while not scene.gateway.labels:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert more.empty()  # policy keeps it out of prompts
        assert [label.level for label in scene.gateway.labels] == ["restricted"]
        assert "it is restricted" in scene.thread()[-1]
        await found.end()
        assert "had ended" not in scene.thread()[-1]
    assert scene.task.level == "restricted"
    assert scene.task.unread_follow_ups


async def test_what_waits_its_turn_is_not_told_and_keeps_what_follows_from_being_counted(scene: Scene) -> None:
    scene.begin()
    async with messenger(scene) as (_, more):
        say(scene, "then write docs")
        say(scene, "also log it")
        steer = await next_of(more)
        assert "also log it" in steer.text
        await steer.heard()
        assert more.empty()
        # Told, but not counted: the round that the first one begins holds both.
        assert (scene.task.read_follow_ups, len(scene.task.follow_ups)) == (0, 2)


async def test_several_are_counted_without_a_gap_whatever_the_order_they_are_heard_in(scene: Scene) -> None:
    scene.begin()
    async with messenger(scene) as (_, more):
        for word in ("one", "two", "three"):
            say(scene, f"also {word}")
        steers = [await next_of(more) for _ in range(3)]
        await steers[1].heard()
        assert scene.task.read_follow_ups == 0
        await steers[0].heard()
        assert scene.task.read_follow_ups == 2
        await steers[2].heard()
        assert scene.task.read_follow_ups == 3


async def test_one_run_is_told_a_bounded_number_of_things(scene: Scene) -> None:
    scene.begin()
    for number in range(STEERS_A_RUN + 3):
        say(scene, f"also {number}")
    async with messenger(scene) as (_, more):
        await asyncio.sleep(0.3)
        assert more.qsize() == STEERS_A_RUN
    assert scene.task.unread_follow_ups


async def test_after_a_crash_the_prompt_holds_what_was_told_and_the_rest_is_told_again(scene: Scene) -> None:
    say(scene, "said before the run")
    scene.begin(follow_ups=1)
    async with messenger(scene) as (_, more):
        say(scene, "told before the crash")
        await (await next_of(more)).heard()
    say(scene, "said during the crash")
    run = scene.task.runs[-1]
    prompt = await _prompt_again(scene.cell, scene.task, run)
    assert prompt.startswith("the prompt")
    assert "told before the crash" in prompt
    assert "said before the run" not in prompt  # the kept prompt holds it already
    assert "said during" not in prompt
    keys = [key for key, entry in scene.ledger.entries if entry.get("stage") == "context"]
    assert len(keys) == 2  # what was told, and the prompt that holds it now
    async with messenger(scene) as (_, more):
        assert "said during the crash" in (await next_of(more)).text


async def test_a_run_nothing_was_added_to_gets_its_kept_prompt(scene: Scene) -> None:
    run = scene.begin()
    assert await _prompt_again(scene.cell, scene.task, run) == "the prompt"


@pytest.mark.parametrize(
    ("text", "mode", "recorded", "noted"),
    [
        ("also log it", "", "add", "Passing it on to the agent."),
        ("then log it", "", "queue", "Noted; it comes next."),
        ("scrap that, log it", "", "replace", "Dropping what is under way; beginning again with this."),
        ("> scrap that, log it\nalso do this", "", "add", "Passing it on to the agent."),
        ("`no, drop it all`: this line is wrong", "", "add", "Passing it on to the agent."),
        ("scrap that", "queue", "queue", "Noted; it comes next."),
        ("then log it", "replace", "replace", "Dropping what is under way; beginning again with this."),
    ],
)
async def test_what_is_said_back_is_what_is_recorded(
    scene: Scene, text: str, mode: str, recorded: str, noted: str
) -> None:
    scene.begin()
    say(scene, text, mode=mode)
    assert (scene.task.follow_up_modes, scene.thread()[-1]) == ((recorded,), noted)


async def test_without_an_agent_at_work_nothing_is_said_to_be_told(scene: Scene, tmp_path: Path) -> None:
    say(scene, "also log it", mode="add")
    assert (scene.task.follow_up_modes, scene.thread()[-1]) == (("queue",), "Noted; it comes next.")
    scene.begin(follow_ups=1)
    scene.change()
    say(scene, "also log that", mode="add")
    assert scene.task.follow_up_modes == ("queue", "queue")


async def test_an_agent_that_does_not_hear_is_not_said_to_be_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path, hears=False)
    scene.begin()
    say(scene, "also log it", mode="add")
    assert (scene.task.follow_up_modes, scene.thread()[-1]) == (("queue",), "Noted; it comes next.")
    scene.close()


async def test_the_same_message_twice_is_said_once(scene: Scene) -> None:
    scene.begin()
    for _ in range(2):
        scene.desk.reply(TASK, "ada", "also log it", "slack:T1/Ev1")
    assert len(scene.task.follow_ups) == 1
    assert scene.thread().count("Passing it on to the agent.") == 1


async def test_an_unknown_mode_is_refused_and_nothing_is_recorded(scene: Scene) -> None:
    scene.begin()
    with pytest.raises(RequestRefused, match="GL-STEER-001"):
        say(scene, "x", mode="later")
    assert scene.task.follow_ups == ()
    assert scene.task.run is not None
    assert scene.task.run.run_id == RunId(RUN)
