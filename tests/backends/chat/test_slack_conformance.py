"""Slack keeps what every chat keeps, against the stand-in: installed by our own manifest, so with no scope more."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from greylag.adapters.chat.backends.slack.calls import SlackAccess
from greylag.adapters.chat.backends.slack.chat import SlackChat, Timing
from greylag.adapters.chat.backends.slack.manifest import SCOPES, manifest
from greylag.adapters.chat.conformance import check_chat
from greylag.adapters.chat.counterpart import readable
from greylag.adapters.chat.port import Chat, Control, Home, HomeEntry, Step
from greylag.adapters.store.opening import Control as ControlPlane
from greylag.adapters.store.opening import open_control
from greylag.app.fake_slack.faults import Fault
from greylag.app.fake_slack.server import Server
from greylag.app.fake_slack.webapi.methods import METHODS
from greylag.app.fake_slack.workspace import Workspace
from greylag.app.fake_slack.world.rules import Rules, rules_of_manifest
from greylag.domain.errors import BackendError
from tests.support.hostile_strings import sayable
from tests.support.permits import permit
from tests.support.slack_person import SlackPerson
from tests.support.slack_stage import Inbox, allowed, digest, listening, post

QUICK = Timing(pace_seconds=0.0, patience_seconds=10.0, ping_seconds=0.5, lost_seconds=1.0, look_again_seconds=0.5)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    rules = rules_of_manifest(manifest(), Rules(ack_seconds=1.0, retry_delays=(0.0, 0.2, 0.5)))
    async with Server(Workspace(("ada", "grace"), ("general",), rules=rules)) as found:
        yield found


@pytest.fixture
def store(tmp_path: Path) -> ControlPlane:
    return open_control(f"sqlite:///{tmp_path / 'control.db'}")


def slack_chat(server: Server, store: ControlPlane) -> SlackChat:
    place = server.workspace
    access = SlackAccess(place.bot_token, place.app_token, api_url=server.api)
    return SlackChat(access, where="slack", notes=store.chats, residency="US", timing=QUICK)


async def test_slack_keeps_its_promises(server: Server, store: ControlPlane) -> None:
    async def open_chat() -> Chat:
        chat = slack_chat(server, store)
        await chat.open()
        return chat

    found = await check_chat(open_chat, SlackPerson(server.workspace), permit)
    assert {each.promise: each.detail for each in found if not each.kept} == {}
    assert len(found) > 40
    assert {each.error for each in server.workspace.calls} <= {"", "already_reacted", "message_not_in_streaming_state"}


async def test_an_answer_that_was_lost_is_found(server: Server, store: ControlPlane) -> None:
    person = SlackPerson(server.workspace)
    place = person.conversation
    async with listening(slack_chat(server, store), Inbox()):
        await server.workspace.until(lambda: server.workspace.deliveries[-1].state == "acked")
    live = {"kind": "progress", "title": "attempt 1", "steps": (Step("1", "reads"),)}
    for method, more in (("chat.postMessage", {}), ("chat.startStream", live)):
        said = post("only once", key=method, conversation=place, **more)
        server.workspace.faults.next(method, Fault("drop", after=True))
        with pytest.raises(BackendError):
            await slack_chat(server, store).post(allowed("only once"), said)
        handle = await slack_chat(server, store).post(allowed("only once"), said, uncertain=True)
        assert [each.ts for each in server.workspace.thread(place.thread) if each.by_app][-1] == handle
    assert len([each for each in server.workspace.thread(place.thread) if each.by_app]) == 2


async def test_a_thousand_hostile_texts_reach_nobody(server: Server, store: ControlPlane) -> None:
    person, chat = SlackPerson(server.workspace), slack_chat(server, store)
    texts = [each for each in sayable() if len(each) < 2_000]
    assert len(texts) >= 1000
    unread = []
    for start in range(0, len(texts), 12):
        some = texts[start : start + 12]
        words = "\n".join(some)[:9_000]
        hostile = some[0]
        steps = tuple(Step(f"{number} {each}"[:40], each) for number, each in enumerate(some))
        kind = "progress" if start % 5 == 0 else "card"
        controls = (
            Control(hostile, "answer", hostile[:200], "task_1"),
            Control("Page", url="https://greylag.example/"),
        )
        said = post(
            words, key=f"{start}", conversation=person.conversation, kind=kind, title=hostile, author=hostile,
            steps=steps if kind == "progress" else (), controls=controls,
        )  # fmt: skip
        handle = await chat.post(allowed(words), said)
        shown = next(each for each in await person.seen() if each.message_id == handle)
        if kind == "card" and not readable(words[:5_000], shown.text):
            unread.append(some)
    assert unread == []
    assert server.workspace.pings == []
    assert {each.error for each in server.workspace.calls} == {""}


async def test_a_home_and_a_notice_of_ones_own(server: Server, store: ControlPlane) -> None:
    place, inbox = server.workspace, Inbox()
    entry = HomeEntry("the <b>skip</b> button", "awaiting review", "https://greylag.example/tasks/1", "task_1", True)
    inbox.homes[place.user("ada").id] = Home("ada", (entry,), permit=allowed("home"), digest=digest("home"))
    chat = slack_chat(server, store)
    async with listening(chat, inbox):
        await place.until(lambda: place.connections)
        place.open_home("ada", "messages")
        place.open_home("ada")
        shown = await place.until(lambda: place.home_text("ada"))
        person = SlackPerson(place)
        said = post("not for you", kind="notice", conversation=person.conversation, to=place.user("grace").id)
        await chat.post(allowed("not for you"), said)
    assert "the <b>skip</b> button" in shown
    assert [each.text for each in await person.seen()] == []
    assert "not for you" in place.thread_text(person.conversation.thread, "grace")


async def test_a_form_with_a_choice(server: Server, store: ControlPlane) -> None:
    place, inbox = server.workspace, Inbox()
    person, chat = SlackPerson(place), slack_chat(server, store)
    more = Control("Say more", "say", "run_1", "task_1", asks="What should be different?", modes=("add", "replace"))
    async with listening(chat, inbox):
        await inbox.until(1)
        handle = await chat.post(allowed("busy"), post("busy", conversation=person.conversation, controls=(more,)))
        place.click("grace", handle, "Say more")
        await place.until(lambda: place.modal("grace"))
        place.submit("grace", {"words": "make it 300 ms", "mode": "replace"})
        heard = (await inbox.until(2))[1]
    assert (heard.text, heard.mode, heard.verb, heard.value) == ("make it 300 ms", "replace", "say", "run_1")
    assert heard.author == place.user("grace").id
    assert place.modal("grace") is None


async def test_slack_away_in_the_middle(server: Server, store: ControlPlane) -> None:
    place, inbox = server.workspace, Inbox()
    person, chat = SlackPerson(place), slack_chat(server, store)
    async with listening(chat, inbox):
        await inbox.until(1)
        await chat.post(allowed("before"), post("before", key="1", conversation=person.conversation))
        await server.stop()
        with pytest.raises(BackendError):
            await chat.post(allowed("after"), post("after", key="2", conversation=person.conversation))
        ids = [await person.say(f"said meanwhile {number}") for number in range(5)]
        await server.start()
        await inbox.until(6)
        again = post("after", key="2", conversation=person.conversation)
        await chat.post(allowed("after"), again, uncertain=True)
    assert [each.message_id for each in inbox.heard[1:]] == ids
    assert [each.text for each in await person.seen() if each.ours] == ["before", "after"]


def test_the_manifest_asks_for_what_is_used_and_nothing_else() -> None:
    source = "".join(
        file.read_text()
        for file in (Path(__file__).parents[3] / "src/greylag/adapters/chat/backends/slack").glob("*.py")
    )
    used = {scope for name, method in METHODS.items() if f'"{name}"' in source for scope in method.scopes}
    heard = {"app_mentions:read", "reactions:read", "groups:history", "im:history", "assistant:write"}
    assert set(SCOPES) == used | heard
