"""Slack heard through the real Bolt client over a real web socket: durable before acknowledged, once, in order."""

import asyncio
import json

import pytest
from starlette.responses import JSONResponse

from greylag.adapters.store.port import Posting
from greylag.domain.conversation import Conversation
from greylag.domain.errors import OperatorError
from tests.support.slack_server import BOT, TEAM, SlackServer, event
from tests.support.slack_stage import SOURCE, Inbox, Notes, chat_for, listening

MENTION = f"<@{BOT}> fix the skip button"


async def test_an_event_is_acknowledged_after_it_is_kept(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    inbox.gate = asyncio.Event()
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        said = slack.person_says("C1", MENTION)
        assert await slack.deliver(event({**said, "type": "app_mention"}), wait=0.3) is False
        inbox.gate.set()
        [heard] = await inbox.until(1)
        assert await slack.deliver(event({**said, "type": "app_mention"})) is None
    assert (heard.kind, heard.text, heard.author) == ("mention", "fix the skip button", "U0ADA")
    assert heard.conversation == Conversation(SOURCE, "C1", said["ts"])
    assert len(inbox.heard) == 1


async def test_what_is_not_kept_is_not_acknowledged_and_comes_again(
    slack: SlackServer, notes: Notes, inbox: Inbox
) -> None:
    inbox.down = True
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        told = event({**slack.person_says("C1", MENTION), "type": "app_mention"})
        assert await slack.deliver(told, wait=0.3) is False
        assert inbox.heard == []
        inbox.down = False
        assert await slack.deliver(told) is None
    assert len(inbox.heard) == 1


async def test_what_slack_gave_up_on_is_looked_up(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        await slack.deliver(event({**slack.person_says("C1", MENTION), "type": "app_mention"}))
        inbox.down = True
        lost = slack.person_says("C1", f"<@{BOT}> and the other one")
        assert await slack.deliver(event({**lost, "type": "app_mention"}), wait=0.2) is False
        inbox.down = False
        heard = await inbox.until(2)
    assert heard[1].text == "and the other one"


async def test_a_mention_comes_as_two_events_and_counts_once(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        said = slack.person_says("C1", MENTION)
        await slack.deliver(event(said, "Ev1"))
        await slack.deliver(event({**said, "type": "app_mention"}, "Ev2"))
        await slack.deliver(event(said, "Ev1"))
    assert [(each.kind, each.event_id) for each in inbox.heard] == [("mention", f"C1/{said['ts']}")]
    assert inbox.deliveries == 1


async def test_replies_are_heard_in_threads_we_know_only(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        root = slack.person_says("C1", MENTION)
        await slack.deliver(event({**root, "type": "app_mention"}))
        await slack.deliver(event(slack.person_says("C1", "make it 300 ms", thread=root["ts"])))
        await slack.deliver(event(slack.person_says("C1", "lunch?")))
        await slack.deliver(event(slack.person_says("C1", "pizza", thread="1600000000.000001")))
        notes.bound[Conversation(SOURCE, "C1", "1600000000.000002")] = "task_1"  # type: ignore[assignment]
        await slack.deliver(event(slack.person_says("C1", "yes", thread="1600000000.000002")))
    assert [(each.kind, each.text) for each in inbox.heard] == [
        ("mention", "fix the skip button"), ("reply", "make it 300 ms"), ("reply", "yes"),
    ]  # fmt: skip


async def test_direct_messages_begin_threads(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        first = slack.person_says("D1", "what is live", channel_type="im")
        await slack.deliver(event(first))
        await slack.deliver(event(slack.person_says("D1", "and now?", thread=first["ts"])))
        await slack.deliver(event(slack.person_says("D1", "hello", thread="1600000000.000001")))
    assert [(each.kind, each.conversation.thread) for each in inbox.heard] == [
        ("direct", first["ts"]), ("reply", first["ts"]), ("direct", "1600000000.000001"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        {"bot_id": "B9"}, {"user": BOT}, {"subtype": "message_changed"}, {"subtype": "message_deleted"},
        {"subtype": "bot_message"}, {"subtype": "channel_join"}, {"hidden": True}, {"user": "USLACKBOT"},
        {"user": None}, {"ts": "soon"}, {"channel": {"id": "C1"}}, {"text": None, "user": ""},
    ],
    ids=str,
)  # fmt: skip
async def test_what_no_person_wrote_is_acknowledged_and_ignored(
    slack: SlackServer, notes: Notes, inbox: Inbox, more: dict[str, object]
) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        said = {**slack.person_says("C1", MENTION), "type": "app_mention", **more}
        assert await slack.deliver(event(said)) is None
    assert inbox.heard == []


async def test_what_is_no_event_at_all_harms_nothing(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        good = event({**slack.person_says("C1", MENTION), "type": "app_mention"})
        for bad in ({**good, "event": 7}, {**good, "event": {**good["event"], "user": 7}}, {**good, "event": []}):
            await slack.deliver(bad, wait=0.1)
        for noise in ("", "{", "[]", "7", '{"type": "hello"}', '{"type": "surprise", "envelope_id": 3}'):
            await slack.sockets[-1].send_text(noise)
        assert await slack.deliver(good) is None
    assert len(inbox.heard) == 1


async def test_an_event_of_another_workspace_is_ignored(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        told = event({**slack.person_says("C1", MENTION), "type": "app_mention"})
        assert await slack.deliver({**told, "team_id": "T0OTHER"}) is None
        shared = {**told, "team_id": "T0OTHER", "authorizations": [{"team_id": TEAM}]}
        assert await slack.deliver(shared) is None
    assert len(inbox.heard) == 1


async def test_somebody_from_another_company_vouches_for_nothing(
    slack: SlackServer, notes: Notes, inbox: Inbox
) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        await slack.deliver(event({**slack.person_says("C1", MENTION, user_team="T0OTHER"), "type": "app_mention"}))
        await slack.deliver(event({**slack.person_says("C1", MENTION), "type": "app_mention"}))
    assert [each.vouched for each in inbox.heard] == [False, True]


async def test_a_reaction_counts_on_our_messages_and_vouches_for_nothing(
    slack: SlackServer, notes: Notes, inbox: Inbox
) -> None:
    place = Conversation(SOURCE, "C1", "1700000000.000001")
    notes.posted[(SOURCE, "C1", "1700000000.000002")] = Posting(
        place, "task_1", 1, "sent", "1700000000.000002", "dec_1", 1, None  # type: ignore[arg-type]
    )  # fmt: skip
    item = {"type": "message", "channel": "C1", "ts": "1700000000.000002"}
    told = {"type": "reaction_added", "user": "U0ADA", "reaction": "+1::skin-tone-3", "item": item}
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        assert await slack.deliver(event(told, "Ev5")) is None
        assert await slack.deliver(event({**told, "item": {**item, "ts": "1700000000.000009"}}, "Ev6")) is None
        assert await slack.deliver(event({**told, "user": BOT}, "Ev7")) is None
    [heard] = inbox.heard
    assert (heard.kind, heard.text, heard.vouched, heard.conversation) == ("reaction", "👍", False, place)
    assert heard.event_id == "Ev5"


async def test_messages_of_a_conversation_keep_their_order(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    inbox.gate = asyncio.Event()
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        root = slack.person_says("C1", MENTION)
        told = [{**root, "type": "app_mention"}]
        told += [slack.person_says("C1", f"line {number}", thread=root["ts"]) for number in range(30)]
        sent = [asyncio.create_task(slack.deliver(event(each))) for each in told]
        await asyncio.sleep(0.1)
        inbox.gate.set()
        assert set(await asyncio.gather(*sent)) == {None}
    assert [each.text for each in inbox.heard[1:]] == [f"line {number}" for number in range(30)]


@pytest.mark.parametrize("how", ["closed", "told"])
async def test_a_lost_connection_comes_back(slack: SlackServer, notes: Notes, inbox: Inbox, how: str) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        first = slack.sockets[0]
        if how == "told":
            await first.send_text(json.dumps({"type": "disconnect", "reason": "refresh_requested"}))
        else:
            await first.close(1001)
        async with asyncio.timeout(8):
            while first in slack.sockets or not slack.sockets:
                await asyncio.sleep(0.02)
        assert await slack.deliver(event({**slack.person_says("C1", MENTION), "type": "app_mention"})) is None
    assert len(inbox.heard) == 1


async def test_slack_away_and_back_nothing_is_lost_and_nothing_doubled(
    slack: SlackServer, notes: Notes, inbox: Inbox
) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        root = slack.person_says("C1", MENTION)
        await slack.deliver(event({**root, "type": "app_mention"}))
        await slack.stop()
        for number in range(3):
            slack.person_says("C1", f"said meanwhile {number}", thread=root["ts"])
        slack.person_says("C1", f"<@{BOT}> another thing")
        slack.person_says("C1", "not for us")
        await asyncio.sleep(1.6)
        await slack.start()
        await slack.connected()
        await inbox.until(5)
        await asyncio.sleep(0.3)
    assert [each.text for each in inbox.heard] == [
        "fix the skip button", "said meanwhile 0", "said meanwhile 1", "said meanwhile 2", "another thing",
    ]  # fmt: skip


async def test_what_was_said_while_the_process_was_gone_is_heard(
    slack: SlackServer, notes: Notes, inbox: Inbox
) -> None:
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        await slack.deliver(event({**slack.person_says("C1", MENTION), "type": "app_mention"}))
    slack.person_says("C1", f"<@{BOT}> said at night")
    slack.person_says("D1", "nobody knows this channel yet")
    async with listening(chat_for(slack, notes), inbox):
        await inbox.until(2)
    assert [each.text for each in inbox.heard] == ["fix the skip button", "said at night"]


async def test_the_platform_starts_while_slack_is_away(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    first = chat_for(slack, notes)
    await first.open()
    assert first.source == SOURCE
    slack.lives = False
    again = chat_for(slack, notes)
    await again.open()
    assert again.source == SOURCE
    unknown = chat_for(slack, Notes())
    await unknown.open()
    assert unknown.source == ""
    async with listening(unknown, inbox):
        await asyncio.sleep(0.2)
        slack.lives = True
        await slack.connected()
        assert unknown.source == SOURCE


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open"])
async def test_revoked_access_ends_listening(
    slack: SlackServer, notes: Notes, inbox: Inbox, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    slack.answers[method].append(JSONResponse({"ok": False, "error": "invalid_auth"}))
    with pytest.raises(OperatorError) as refused:
        await chat_for(slack, notes).listen(inbox)
    assert refused.value.code == "GL-SLACK-002"
    assert "secret" not in str(refused.value) + caplog.text


async def test_access_revoked_while_connected_is_noticed(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    async with listening(chat_for(slack, notes), inbox) as task:
        await slack.connected()
        slack.answers["apps.connections.open"].extend(
            JSONResponse({"ok": False, "error": "token_revoked"}) for _ in range(20)
        )
        await slack.sockets[0].close(1001)
        with pytest.raises(OperatorError):
            await asyncio.wait_for(task, 8)


async def test_nothing_secret_and_no_content_is_logged(
    slack: SlackServer, notes: Notes, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    inbox.down = True
    chat = chat_for(slack, notes)
    async with listening(chat, inbox):
        await slack.connected()
        said = slack.person_says("C1", f"<@{BOT}> the launch codes are 0000")
        await slack.deliver(event({**said, "type": "app_mention"}), wait=0.2)
    ours = "\n".join(each.getMessage() for each in caplog.records if not each.name.startswith("asyncio"))
    assert "launch codes" not in ours
    assert "secret" not in ours
    assert "was not taken (RuntimeError)" in ours
