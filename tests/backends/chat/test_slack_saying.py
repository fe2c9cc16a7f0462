"""What is said in Slack: once, in order, in its bounds, and by permit; what Slack answers instead, in our words."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from greylag.adapters.chat.backends.slack.calls import Pace, SlackAccess
from greylag.adapters.chat.backends.slack.chat import Timing
from greylag.adapters.chat.port import Control, Step
from greylag.domain.conversation import Conversation
from greylag.domain.errors import BackendError, GreylagError, IntegrityError, OperatorError, RequestRefused
from greylag.domain.stages import Stage
from tests.support.permits import permit
from tests.support.slack_server import BOT, TEAM, SlackServer, event
from tests.support.slack_stage import QUICK, SOURCE, Inbox, Notes, allowed, chat_for, listening, post

PLACE = Conversation(SOURCE, "C1", "1700000000.000001")


def no(error: str, status: int = 200, **more: Any) -> JSONResponse:
    return JSONResponse({"ok": False, "error": error, **more}, status)


async def test_a_message_is_plain_text_in_the_thread(slack: SlackServer, notes: Notes) -> None:
    chat = chat_for(slack, notes)
    controls = (
        Control("Approve", "approve", "sha256:1", "task_1", style="primary"),
        Control("Open", url="https://greylag.example/tasks/task_1"),
    )
    text = "see <!channel> & <@U0ADA>"
    ts = await chat.post(allowed(text), post(text, kind="card", title="A card", controls=controls))
    [given] = slack.made("chat.postMessage")
    assert ts == slack.rooms["C1"][0]["ts"]
    assert (given["channel"], given["thread_ts"]) == (PLACE.room, PLACE.thread)
    assert (given["parse"], given["link_names"], given["unfurl_links"], given["mrkdwn"]) == (
        "none",
        False,
        False,
        False,
    )
    assert given["text"] == "A card: see &lt;!channel&gt; &amp; &lt;@U0ADA&gt;"
    header, section, actions = given["blocks"]
    assert (header["text"]["text"], section["text"]) == ("A card", {"type": "plain_text", "text": text, "emoji": False})
    assert json.loads(actions["elements"][0]["value"]) == {
        "verb": "approve", "value": "sha256:1", "task_id": "task_1",
    }  # fmt: skip
    assert actions["elements"][1]["url"] == "https://greylag.example/tasks/task_1"
    assert "mrkdwn" not in json.dumps(given["blocks"])


async def test_nothing_is_said_without_its_permit(slack: SlackServer, notes: Notes) -> None:
    chat, said = chat_for(slack, notes), post("words")
    for wrong in (
        permit(Stage.PUSH, "slack", said.digest), permit(Stage.CHAT, "slack-de", said.digest), allowed("other words"),
    ):  # fmt: skip
        with pytest.raises(IntegrityError):
            await chat.post(wrong, said)
        with pytest.raises(IntegrityError):
            await chat.upload(wrong, PLACE, "a", b"words ", "k")
        with pytest.raises(IntegrityError):
            await chat.mark(wrong, PLACE, "1.1", "seen")
    with pytest.raises(IntegrityError):
        await chat.post(allowed("words"), replace(said, text="other words"))
    assert [name for name, _ in slack.calls if name != "auth.test"] == []


async def test_an_uncertain_message_is_looked_for_first(slack: SlackServer, notes: Notes) -> None:
    said = post("only once")
    slack.after["chat.postMessage"].append(PlainTextResponse("gone", 502))
    with pytest.raises(BackendError) as lost:
        await chat_for(slack, notes).post(allowed("only once"), said)
    assert (lost.value.code, lost.value.transient) == ("GL-SLACK-004", True)
    for number in range(450):
        slack.person_says("C1", f"noise {number}", thread=PLACE.thread)
    found = await chat_for(slack, notes).post(allowed("only once"), said, uncertain=True)
    assert found == slack.rooms["C1"][0]["ts"]
    assert len(slack.made("chat.postMessage")) == 1
    other = replace(said, key="k2")
    assert await chat_for(slack, notes).post(allowed("only once"), other, uncertain=True) != found


async def test_somebody_elses_metadata_is_not_ours(slack: SlackServer, notes: Notes) -> None:
    said = post("only once")
    ts = await chat_for(slack, notes).post(allowed("only once"), said)
    mine = slack.rooms["C1"].pop()
    slack.person_says("C1", "imitation", thread=PLACE.thread, metadata=mine["metadata"], blocks=mine["blocks"])
    assert await chat_for(slack, notes).post(allowed("only once"), said, uncertain=True) != ts
    assert len(slack.made("chat.postMessage")) == 2


async def test_429_is_waited_for_and_said_once(slack: SlackServer, notes: Notes) -> None:
    slack.answers["chat.postMessage"].append(no("ratelimited", 429))
    slack.answers["chat.postMessage"][0].headers["Retry-After"] = "1"
    before = time.monotonic()
    await chat_for(slack, notes).post(allowed("words"), post("words"))
    assert time.monotonic() - before >= 1.0
    assert len(slack.rooms["C1"]) == 1


async def test_too_long_a_wait_is_left_to_the_next_try(slack: SlackServer, notes: Notes) -> None:
    chat = chat_for(slack, notes)
    slack.answers["chat.postMessage"].append(no("ratelimited", 429))
    slack.answers["chat.postMessage"][0].headers["Retry-After"] = "120"
    for _ in range(2):
        before = time.monotonic()
        with pytest.raises(BackendError) as busy:
            await chat.post(allowed("words"), post("words"))
        assert busy.value.transient
        assert time.monotonic() - before < 2
    assert len(slack.made("chat.postMessage")) == 1


async def test_messages_of_a_channel_are_paced(slack: SlackServer, notes: Notes) -> None:
    chat = chat_for(slack, notes, timing=replace(QUICK, pace_seconds=0.2))
    before = time.monotonic()
    for number in range(6):
        await chat.post(allowed(f"words {number}"), post(f"words {number}", key=f"k{number}"))
    assert time.monotonic() - before >= 0.55
    assert [each["text"] for each in slack.rooms["C1"]] == [f"words {number}" for number in range(6)]


async def test_turns_are_bounded_and_fair() -> None:
    pace = Pace(10.0, burst=2, names=3)
    assert [round(pace.wait_seconds("a", 20)) for _ in range(6)] == [
        0,
        0,
        10,
        20,
        30,
        30,
    ]  # what is not taken adds nothing
    assert [round(pace.wait_seconds(name, 20)) for name in "bcd"] == [0, 0, 0]
    assert round(pace.wait_seconds("a", 20)) == 0  # forgotten, as the oldest


@pytest.mark.parametrize(
    ("error", "family", "code", "transient"),
    [
        ("channel_not_found", RequestRefused, "GL-CHAT-001", None),
        ("is_archived", RequestRefused, "GL-CHAT-001", None),
        ("not_in_channel", RequestRefused, "GL-CHAT-001", None), ("invalid_auth", BackendError, "GL-SLACK-009", True),
        ("token_revoked", BackendError, "GL-SLACK-009", True), ("missing_scope", BackendError, "GL-SLACK-009", True),
        ("internal_error", BackendError, "GL-SLACK-004", True), ("surprise", BackendError, "GL-SLACK-005", False),
    ],
)  # fmt: skip
async def test_what_slack_answers_in_our_words(
    slack: SlackServer, notes: Notes, error: str, family: type[GreylagError], code: str, transient: bool | None
) -> None:
    slack.answers["chat.postMessage"].append(no(error, needed="chat:write"))
    with pytest.raises(family) as raised:
        await chat_for(slack, notes).post(allowed("the words"), post("the words"))
    assert raised.value.code == code
    assert getattr(raised.value, "transient", None) is transient
    assert "xoxb" not in str(raised.value)
    assert "the words" not in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [PlainTextResponse("<html>", 200), PlainTextResponse("no", 503), JSONResponse([1]), JSONResponse({}, 500),
     PlainTextResponse("{", media_type="application/json")],
)  # fmt: skip
async def test_an_answer_that_is_none_is_transient(slack: SlackServer, notes: Notes, answer: JSONResponse) -> None:
    slack.answers["chat.postMessage"].append(answer)
    with pytest.raises(BackendError) as raised:
        await chat_for(slack, notes).post(allowed("words"), post("words"))
    assert raised.value.transient


async def test_nobody_there_is_transient(slack: SlackServer, notes: Notes) -> None:
    chat = chat_for(slack, notes)
    await chat.open()
    await slack.stop()
    with pytest.raises(BackendError) as raised:
        await chat.post(allowed("words"), post("words"))
    assert (raised.value.code, raised.value.transient) == ("GL-SLACK-004", True)


async def test_blocks_that_slack_does_not_take_are_said_plainly(slack: SlackServer, notes: Notes) -> None:
    slack.answers["chat.postMessage"].append(no("msg_blocks_too_long"))
    ts = await chat_for(slack, notes).post(allowed("words"), post("words", controls=(Control("A", "approve"),)))
    assert ts == slack.rooms["C1"][0]["ts"]
    assert [each["type"] for each in slack.rooms["C1"][0]["blocks"]] == ["section"]


async def test_a_notice_for_one_person(slack: SlackServer, notes: Notes) -> None:
    chat = chat_for(slack, notes)
    await chat.post(allowed("not yours"), post("not yours", kind="notice", to="U0ADA"))
    [given] = slack.made("chat.postEphemeral")
    assert (given["user"], given["thread_ts"]) == ("U0ADA", PLACE.thread)
    slack.answers["chat.postEphemeral"].append(no("user_not_in_channel"))
    await chat.post(allowed("not yours"), post("not yours", key="k2", kind="notice", to="U0BEA"))
    assert len(slack.rooms["C1"]) == 1


async def test_marks(slack: SlackServer, notes: Notes) -> None:
    chat = chat_for(slack, notes)
    await chat.mark(allowed("seen"), PLACE, "1700000000.000002", "seen")
    assert slack.made("reactions.add") == [{"channel": "C1", "timestamp": "1700000000.000002", "name": "eyes"}]
    for error in ("already_reacted", "message_not_found"):
        slack.answers["reactions.add"].append(no(error))
        await chat.mark(allowed("seen"), PLACE, "1700000000.000002", "seen")


async def test_a_file_goes_into_the_thread_once(slack: SlackServer, notes: Notes) -> None:
    content = bytes(range(256))
    first = await chat_for(slack, notes).upload(allowed(content), PLACE, "../b\u202euild.whl", content, "k1")
    assert list(slack.files.values()) == [content]
    assert slack.rooms["C1"][0]["files"] == [{"id": first, "title": ".._b«U+202E»uild.whl"}]
    assert await chat_for(slack, notes).upload(allowed(content), PLACE, "b", content, "k1", uncertain=True) == first
    slack.after["files.completeUploadExternal"].append(PlainTextResponse("gone", 502))
    with pytest.raises(BackendError):
        await chat_for(slack, notes).upload(allowed(content), PLACE, "b", content, "k2")
    again = await chat_for(slack, notes).upload(allowed(content), PLACE, "b", content, "k2", uncertain=True)
    assert [each["files"][0]["id"] for each in slack.rooms["C1"]] == [first, again]


async def test_content_goes_to_slacks_own_addresses_only(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    slack.answers["files.getUploadURLExternal"].append(
        JSONResponse({"ok": True, "upload_url": "http://192.0.2.1/upload", "file_id": "F1"})
    )
    with pytest.raises(BackendError) as raised:
        await chat_for(slack, notes).upload(allowed(b"x"), PLACE, "b", b"x", "k1")
    assert raised.value.code == "GL-SLACK-006"
    access = SlackAccess("xoxb-1", "xapp-1")
    good = ["wss://wss-primary.slack.com/link/?ticket=1", "wss://slack.com/"]
    bad = [
        "ws://wss.slack.com/",
        "wss://slack.com.evil.example/",
        "wss://notslack.com/",
        "wss://[",
        "https://slack.com/",
    ]
    assert [access.belongs(url, ("wss", "ws")) for url in good + bad] == [True] * 2 + [False] * 5


@pytest.mark.parametrize(
    "given",
    [
        {"bot_token": ""}, {"app_token": ""}, {"bot_token": "xoxb\n1"}, {"api_url": "http://slack.com/api/"},
        {"api_url": "ftp://127.0.0.1/"}, {"api_url": "https://u:p@slack.com/api/"}, {"api_url": "slack"},
        {"api_url": "http://127.0.0.1.evil.example/"}, {"api_url": "https://["},
    ],
    ids=str,
)  # fmt: skip
def test_access_that_cannot_work_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(OperatorError) as raised:
        SlackAccess(**{"bot_token": "xoxb-hush", "app_token": "xapp-hush", **given})
    assert raised.value.code == "GL-SLACK-001"
    assert "hush" not in str(raised.value)


def test_access_never_shows_its_secrets() -> None:
    assert "secret" not in repr(SlackAccess("xoxb-secret", "xapp-secret", "secret"))


async def test_history_is_the_newest_of_the_thread(slack: SlackServer, notes: Notes) -> None:
    chat = chat_for(slack, notes)
    root = slack.person_says("C1", f"<@{BOT}> it &lt;breaks&gt;")
    for number in range(420):
        slack.person_says("C1", f"line {number}", thread=root["ts"])
    slack.rooms["C1"].append(
        {"user": BOT, "bot_id": "B0BOT", "text": "ours", "ts": slack.ts(), "thread_ts": root["ts"]}
    )
    found = await chat.history(Conversation(SOURCE, "C1", root["ts"]), 3)
    assert [(each.text, each.ours) for each in found] == [("line 418", False), ("line 419", False), ("ours", True)]
    assert len(await chat.history(Conversation(SOURCE, "C1", root["ts"]), 1000)) == 422
    assert await chat.history(Conversation(SOURCE, "C1", root["ts"]), 0) == ()


# The live card.

STEPS = (Step("1", "reads the code"), Step("2", "writes <!channel> the change"))


def progress(text: str, steps: tuple[Step, ...], key: str = "p1", **more: Any) -> Any:
    return post(text, key=key, kind="progress", steps=steps, title="attempt 1", **more)


async def asked(slack: SlackServer, notes: Notes, inbox: Inbox) -> Conversation:
    """Let somebody ask, so that it is known who did."""
    async with listening(chat_for(slack, notes), inbox):
        await slack.connected()
        root = slack.person_says("C1", f"<@{BOT}> fix it")
        await slack.deliver(event({**root, "type": "app_mention"}))
    return Conversation(SOURCE, "C1", root["ts"])


async def test_a_live_card_streams_a_plan(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    place = await asked(slack, notes, inbox)
    chat = chat_for(slack, notes)
    handle = await chat.post(allowed("a"), progress("a", STEPS[:1], conversation=place))
    done = (replace(STEPS[0], state="complete"), STEPS[1])
    assert await chat.post(allowed("b"), progress("b", done, "p2", conversation=place), handle=handle) == handle
    over = tuple(replace(each, state="complete") for each in done)
    assert await chat.post(allowed("c"), progress("c", over, "p3", conversation=place), handle=handle) == handle
    [start] = slack.made("chat.startStream")
    assert (start["recipient_user_id"], start["recipient_team_id"]) == ("U0ADA", TEAM)
    assert start["task_display_mode"] == "plan"
    first, second = slack.made("chat.appendStream")
    assert [(each["id"], each["status"]) for each in first["chunks"]] == [("1", "complete"), ("2", "in_progress")]
    assert "<!" not in json.dumps(first["chunks"], ensure_ascii=False)
    assert [(each["id"], each["status"]) for each in second["chunks"]] == [("2", "complete")]
    assert len(slack.made("chat.stopStream")) == 1
    assert await chat.post(allowed("d"), progress("d", STEPS, "p4", conversation=place), handle=handle) == handle
    assert slack.made("chat.update")[-1]["blocks"][0]["type"] == "plan"


async def test_a_stream_of_a_process_that_died_is_found_and_goes_on(
    slack: SlackServer, notes: Notes, inbox: Inbox
) -> None:
    place = await asked(slack, notes, inbox)
    slack.after["chat.startStream"].append(PlainTextResponse("gone", 502))
    said = progress("a", STEPS[:1], conversation=place)
    with pytest.raises(BackendError):
        await chat_for(slack, notes).post(allowed("a"), said)
    chat = chat_for(slack, notes)
    handle = await chat.post(allowed("a"), said, uncertain=True)
    assert len(slack.made("chat.startStream")) == 1
    assert await chat.post(allowed("b"), progress("b", STEPS, "p2", conversation=place), handle=handle) == handle
    assert len(slack.made("chat.appendStream")) == 1


@pytest.mark.parametrize("error", ["unknown_method", "missing_scope", "not_allowed", "invalid_arguments"])
async def test_a_workspace_without_streams_gets_edits(
    slack: SlackServer, notes: Notes, inbox: Inbox, error: str
) -> None:
    place = await asked(slack, notes, inbox)
    chat = chat_for(slack, notes)
    slack.answers["chat.startStream"].append(no(error))
    handle = await chat.post(allowed("a"), progress("a", STEPS[:1], conversation=place))
    assert await chat.post(allowed("b"), progress("b", STEPS, "p2", conversation=place), handle=handle) == handle
    [said] = [each for each in slack.rooms["C1"] if each["user"] == BOT]
    assert [each["title"] for each in said["blocks"][0]["tasks"]] == [
        "reads the code",
        "writes <\u2060!channel> the change",
    ]
    assert slack.made("chat.appendStream") == []
    await chat.post(allowed("c"), progress("c", STEPS, "p3", conversation=place))
    assert len(slack.made("chat.startStream")) == (2 if error == "invalid_arguments" else 1)


async def test_without_plans_there_are_lines(slack: SlackServer, notes: Notes) -> None:
    slack.answers["chat.postMessage"].append(no("invalid_blocks"))
    await chat_for(slack, notes).post(allowed("a"), progress("a", (replace(STEPS[0], state="complete"), STEPS[1])))
    assert slack.made("chat.startStream") == []  # nobody knows who asked
    text = slack.rooms["C1"][0]["blocks"][0]["text"]
    assert (text["type"], text["text"].splitlines()) == (
        "plain_text", ["✓ reads the code", "▸ writes <!channel> the change"],
    )  # fmt: skip


async def test_a_stream_that_slack_ended_is_edited(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    place = await asked(slack, notes, inbox)
    chat = chat_for(slack, notes)
    handle = await chat.post(allowed("a"), progress("a", STEPS[:1], conversation=place))
    next(each for each in slack.rooms["C1"] if each["ts"] == handle)["streams"] = False
    assert await chat.post(allowed("b"), progress("b", STEPS, "p2", conversation=place), handle=handle) == handle
    assert len(slack.made("chat.update")) == 1


async def test_a_card_that_cannot_be_changed_is_said_anew(slack: SlackServer, notes: Notes) -> None:
    chat = chat_for(slack, notes)
    handle = await chat.post(allowed("a"), progress("a", STEPS[:1]))
    slack.rooms["C1"].clear()
    anew = await chat.post(allowed("b"), progress("b", STEPS, "p2"), handle=handle)
    assert anew == slack.rooms["C1"][0]["ts"] != handle


async def test_closing_ends_everything(slack: SlackServer, notes: Notes, inbox: Inbox) -> None:
    chat = chat_for(slack, notes, timing=Timing(ping_seconds=0.3))
    task = asyncio.create_task(chat.listen(inbox))
    await slack.connected()
    await chat.close()
    assert task.done()
    async with asyncio.timeout(3):
        while slack.sockets:
            await asyncio.sleep(0.01)
