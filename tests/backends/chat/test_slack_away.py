"""Slack is away while people and the platform go on talking: nothing is lost, doubled or disordered when it is back.

Ten minutes are scaled to the second or so that many rounds of every backoff take here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from greylag.adapters.chat.backends.slack.calls import SlackAccess
from greylag.adapters.chat.backends.slack.chat import SlackChat, Timing
from greylag.adapters.store.port import ChatPerson
from greylag.app.fake_slack import Rules, Server, Workspace
from greylag.app.fake_slack.faults import Fault
from greylag.delivery.cell import About
from greylag.delivery.conversing.courier import Courier, Pace
from greylag.delivery.conversing.rendering import Pages
from greylag.domain import events as ev
from greylag.domain.ids import TaskId
from tests.support.front_stage import BEGUN, Scene, make_template, opened_scene
from tests.support.permits import WallClock

TIMING = Timing(pace_seconds=0.0, patience_seconds=1.0, ping_seconds=0.3, lost_seconds=0.5, look_again_seconds=0.2)
PACE = Pace(poll=0.01, progress=0.0, first_backoff=0.01, longest_backoff=0.05, post=2.0)
AWAY_SECONDS = 1.5
COUNT = 12


@asynccontextmanager
async def platform(scene: Scene, server: Server) -> AsyncIterator[SlackChat]:
    """A front and a courier at work, with the real client between them and the stand-in."""
    place = server.workspace
    access = SlackAccess(place.bot_token, place.app_token, api_url=server.api)
    chat = SlackChat(access, where="slack", notes=scene.stores.chats, timing=TIMING)
    await chat.open()
    for name in ("ada", "grace"):
        scene.stores.chats.add_person(ChatPerson(chat.source, place.user(name).id, name, "operator", BEGUN))
    scene.room, scene.clock = cast(Any, chat), cast(Any, WallClock())
    scene.open()
    pages = Pages(lambda task_id: f"https://greylag.example/tasks/{task_id}")
    courier = Courier(scene.cell, scene.stores.chats, {chat.source: cast(Any, chat)}, pages, pace=PACE)
    work = [asyncio.create_task(each) for each in (scene.front.run(), courier.run(), chat.listen(scene.front))]
    try:
        yield chat
    finally:
        await chat.close()
        for each in work:
            each.cancel()
        await asyncio.gather(*work, return_exceptions=True)


@pytest.mark.parametrize("delays", [(0.0, 0.2, 0.5), ()], ids=["told again", "looked up"])
async def test_what_piles_up_on_both_sides_arrives_once_and_in_order(tmp_path: Path, delays: tuple[float, ...]) -> None:
    """With ``delays`` Slack tells some of it again by itself; without, all of it has to be looked up."""
    template = tmp_path / "template"
    template.mkdir()
    scene = opened_scene(tmp_path, make_template(template))
    place = Workspace(("ada", "grace"), ("general", "random"), rules=Rules(ack_seconds=1.0, retry_delays=delays))
    async with Server(place) as server, platform(scene, server) as chat:
        await place.until(lambda: place.connections == 1)
        roots = {
            room: place.say("ada", room, f"@greylag the skip button of {room} fires twice, fix it")
            for room in ("general", "random")
        }
        await place.until(lambda: all("On it" in place.thread_text(root) for root in roots.values()))
        tasks = {room: _task_of(scene, root) for room, root in roots.items()}
        await server.stop()
        for number in range(COUNT):
            for room, root in roots.items():
                place.say("ada", room, f"and take care of case {number}", thread=root)
                scene.cell.say_now(
                    About.of(scene.stores.events.task(tasks[room])), "text", f"word {number}", f"w/{number}"
                )
            await asyncio.sleep(AWAY_SECONDS / COUNT)
        later = place.say("grace", "general", "@greylag what else is there, fix it")
        place.faults.next("chat.postMessage", Fault("drop", after=True), 3)
        await server.start()
        await place.until(lambda: "On it" in place.thread_text(later), 30.0)
        await place.until(lambda: _is_settled(scene, chat) and len(_follow_ups(scene, tasks)) == 2 * COUNT, 30.0)
    for room, root in roots.items():
        said = [each.ts for each in place.thread(root) if each.user != place.bot.id]
        keys = [f"reply/{chat.source}/{place.channel(room).id}/{ts}" for ts in said[1:]]
        assert [each.key for each in _follow_ups(scene, {room: tasks[room]})] == keys
        shown = [place.lines(each)[0].partition(": ")[2] for each in place.thread(root) if each.user == place.bot.id]
        own = [words for _, author, words in scene.said(tasks[room]) if author == "greylag"]
        assert shown == [words.split("\n")[0] for words in own]
        assert [words for words in shown if words.startswith("word")] == [f"word {number}" for number in range(COUNT)]
    assert len(scene.tasks()) == 3
    assert {
        scene.outcome(f"{each.channel}/{each.ts}", chat.source)[0] for each in place.messages() if not each.by_app
    } == {"handled"}
    scene.close()


def _task_of(scene: Scene, root: str) -> TaskId:
    return next(each.task_id for each in scene.tasks() if each.thread == root)


def _follow_ups(scene: Scene, tasks: dict[str, TaskId]) -> list[Any]:
    return [
        record
        for task_id in tasks.values()
        for record in scene.stores.events.read(task_id, 0, 1000)
        if isinstance(record.event, ev.FollowUpReceived)
    ]


def _is_settled(scene: Scene, chat: SlackChat) -> bool:
    return not (scene.stores.chats.waiting() or scene.stores.chats.due((chat.source,)))
