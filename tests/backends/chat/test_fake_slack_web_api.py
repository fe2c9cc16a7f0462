"""The stand-in's Web API through the real client: it takes what Slack takes, and refuses the rest by Slack's names."""

import inspect
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from greylag.app.fake_slack import Rules, Server, Workspace
from greylag.app.fake_slack.webapi.methods import METHODS
from greylag.app.fake_slack.world.records import Ping
from greylag.app.fake_slack.world.rules import rules_of_manifest
from tests.support.fake_slack_stage import button, client_of, field, modal, plain, refused, section


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server(Workspace()) as running:
        yield running


@pytest.fixture
def slack(server: Server) -> Workspace:
    return server.workspace


@pytest.fixture
def web(server: Server) -> AsyncWebClient:
    return client_of(server)


@pytest.fixture
def room(slack: Workspace) -> str:
    return slack.channel("general").id


@pytest.mark.parametrize("name", sorted(METHODS))
def test_whatever_the_client_can_send_is_known(name: str) -> None:
    """An argument of the real client's method that the stand-in refuses would fail here only."""
    given = inspect.signature(getattr(AsyncWebClient, name.replace(".", "_"))).parameters
    known = {*METHODS[name].needed, *METHODS[name].optional, "self", "kwargs"}
    assert set(given) - known == set()


async def test_who_the_token_is(slack: Workspace, web: AsyncWebClient, server: Server) -> None:
    said = await web.auth_test()
    assert (said["user_id"], said["team_id"], said["user"]) == (slack.bot.id, slack.world.team_id, "greylag")
    assert (await refused(AsyncWebClient("xoxb-other", base_url=server.api).auth_test())).response[
        "error"
    ] == "invalid_auth"
    assert (await refused(AsyncWebClient("", base_url=server.api).auth_test())).response["error"] == "not_authed"
    wrong = await refused(web.apps_connections_open(app_token=slack.bot_token))
    assert wrong.response["error"] == "not_allowed_token_type"
    assert (await web.apps_connections_open(app_token=slack.app_token))["url"].startswith("ws://127.0.0.1:")
    assert (await refused(web.api_call("chat.shout"))).response["error"] == "unknown_method"


async def test_a_message_in_a_thread(slack: Workspace, web: AsyncWebClient, room: str) -> None:
    root = slack.say("ada", "general", "look <here> & there")
    assert slack.message(root).text == "look &lt;here&gt; &amp; there"
    said = await web.chat_postMessage(
        channel=room, thread_ts=root, text="fallback", blocks=[section("*bold* &lt;b&gt;"), {"type": "divider"}],
        metadata={"event_type": "key", "event_payload": {"key": "k1"}}, unfurl_links=False, unfurl_media=False,
    )  # fmt: skip
    assert slack.thread_text(root) == f"ada: look <here> & there\ngreylag: bold <b>\n    {'-' * 20}"
    found = await web.conversations_replies(channel=room, ts=root, include_all_metadata=True)
    assert [each["ts"] for each in found["messages"]] == [root, said["ts"]]
    assert found["messages"][1]["metadata"]["event_payload"] == {"key": "k1"}
    assert found["messages"][1]["bot_id"] == slack.world.bot_id
    assert "metadata" not in (await web.conversations_replies(channel=room, ts=root))["messages"][1]
    assert found["messages"][0]["reply_count"] == 1
    history = await web.conversations_history(channel=room)
    assert [each["ts"] for each in history["messages"]] == [root]
    reply = await web.chat_postMessage(channel=room, thread_ts=said["ts"], text="a reply to a reply")
    assert reply["message"]["thread_ts"] == root


async def test_a_thread_comes_in_pages(slack: Workspace, web: AsyncWebClient, room: str) -> None:
    root = slack.say("ada", "general", "root")
    wanted = [root, *(slack.say("grace", "general", str(number), thread=root) for number in range(25))]
    seen, cursor = [], ""
    while True:
        page = await web.conversations_replies(channel=room, ts=root, limit=10, cursor=cursor)
        seen += [each["ts"] for each in page["messages"]]
        cursor = page["response_metadata"]["next_cursor"]
        assert page["has_more"] is bool(cursor)
        if not cursor:
            break
    assert seen == wanted
    after = await web.conversations_replies(channel=room, ts=root, oldest=wanted[20])
    assert [each["ts"] for each in after["messages"]] == [root, *wanted[21:]]
    assert (await refused(web.conversations_replies(channel=room, ts="1.1"))).response["error"] == "thread_not_found"


async def test_a_reply_to_what_is_gone_comes_out_in_the_channel(
    slack: Workspace, web: AsyncWebClient, room: str
) -> None:
    """As Slack does: no error, only no ``thread_ts`` in the answer."""
    root = slack.say("ada", "general", "soon gone")
    slack.delete(root)
    said = await web.chat_postMessage(channel=room, thread_ts=root, text="an answer to nothing")
    assert "thread_ts" not in said["message"]
    kept = slack.say("ada", "general", "with a reply")
    slack.say("grace", "general", "the reply", thread=kept)
    slack.delete(kept)
    found = await web.conversations_replies(channel=room, ts=kept)
    assert [each.get("subtype") for each in found["messages"]] == ["tombstone", None]


def blocks(*given: dict[str, Any]) -> dict[str, Any]:
    return {"text": "x", "blocks": list(given)}


ONE = section("x")
REFUSED = {
    "nothing": ({}, "no_text"),
    "long": ({"text": "x" * 40_001}, "msg_too_long"),
    "both texts": ({"text": "x", "markdown_text": "y"}, "markdown_text_conflict"),
    "no list": ({"text": "x", "blocks": "{}"}, "invalid_blocks_format"),
    "51 blocks": (blocks(*[{"type": "divider"}] * 51), "invalid_blocks"),
    "a long section": (blocks(section("x" * 3001)), "invalid_blocks"),
    "an empty section": (blocks(section("")), "invalid_blocks"),
    "a section of nothing": (blocks({"type": "section"}), "invalid_blocks"),
    "a long field": (blocks({"type": "section", "fields": [plain("x" * 2001)]}), "invalid_blocks"),
    "a long header": (blocks({"type": "header", "text": plain("x" * 151)}), "invalid_blocks"),
    "a header in mrkdwn": (blocks({"type": "header", "text": plain("x", "mrkdwn")}), "invalid_blocks"),
    "26 buttons": (
        blocks({"type": "actions", "elements": [button("x", str(each)) for each in range(26)]}), "invalid_blocks",
    ),
    "no buttons": (blocks({"type": "actions", "elements": []}), "invalid_blocks"),
    "a long label": (blocks({"type": "actions", "elements": [button("x" * 76, "a")]}), "invalid_blocks"),
    "a long value": (blocks({"type": "actions", "elements": [button("x", "a", value="v" * 2001)]}), "invalid_blocks"),
    "a label in mrkdwn": (
        blocks({"type": "actions", "elements": [{**button("x", "a"), "text": plain("x", "mrkdwn")}]}), "invalid_blocks",
    ),
    "an unknown style": (blocks({"type": "actions", "elements": [button("x", "a", style="loud")]}), "invalid_blocks"),
    "a script as url": (
        blocks({"type": "actions", "elements": [button("x", "a", url="javascript:alert(1)")]}), "invalid_blocks",
    ),
    "one action twice": (
        blocks({"type": "actions", "elements": [button("x", "a"), button("y", "a")]}), "invalid_blocks",
    ),
    "one block twice": (blocks({**ONE, "block_id": "b"}, {**ONE, "block_id": "b"}), "invalid_blocks"),
    "a long id": (blocks({**ONE, "block_id": "b" * 256}), "invalid_blocks"),
    "an unknown block": (blocks({"type": "marquee"}), "invalid_blocks"),
    "an unknown property": (blocks({**ONE, "colour": "red"}), "invalid_blocks"),
    "a block of no type": (blocks({"text": plain("x")}), "invalid_blocks"),
    "no block": ({"text": "x", "blocks": ["x"]}, "invalid_blocks"),
    "a menu of nothing": (
        blocks({"type": "actions", "elements": [{"type": "static_select", "action_id": "a"}]}), "invalid_blocks",
    ),
    "a choice of 76": (
        blocks({"type": "actions", "elements": [
            {"type": "static_select", "action_id": "a", "options": [{"text": plain("x" * 76), "value": "v"}]}
        ]}), "invalid_blocks",
    ),
    "two long": (blocks(*[section("x" * 2700)] * 5), "msg_blocks_too_long"),
    "long markdown": (blocks({"type": "markdown", "text": "x" * 12_001}), "invalid_blocks"),
    "an attachment": ({"text": "x", "attachments": [{"text": "y"}]}, "invalid_attachments"),
    "metadata of nothing": ({"text": "x", "metadata": {"event_type": "t"}}, "invalid_metadata_format"),
    "an odd parse": ({"text": "x", "parse": "odd"}, "invalid_arguments"),
    "an unknown argument": ({"text": "x", "colour": "red"}, "invalid_arguments"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
async def test_what_slack_refuses(case: str, web: AsyncWebClient, slack: Workspace, room: str) -> None:
    given, error = REFUSED[case]
    answer = (await refused(web.api_call("chat.postMessage", json={"channel": room, **given}))).response
    assert answer["error"] == error
    if error == "invalid_blocks":
        assert "[json-pointer:/blocks" in answer["response_metadata"]["messages"][0]
    assert slack.messages() == []


async def test_what_is_just_within_bounds(web: AsyncWebClient, slack: Workspace, room: str) -> None:
    rows = [section("x" * 3000), {"type": "header", "text": plain("x" * 150)}]
    await web.chat_postMessage(channel=room, text="x", blocks=[*rows, *[{"type": "divider"}] * 48])
    many = [button("x" * 75, str(each), value="v" * 2000) for each in range(25)]
    await web.chat_postMessage(channel=room, text="x" * 40_000, blocks=[{"type": "actions", "elements": many}])
    await web.chat_postMessage(channel=room, markdown_text="x" * 12_000)
    assert len(slack.messages()) == 3


async def test_rooms_that_are_not_there(web: AsyncWebClient, slack: Workspace) -> None:
    far = slack.add_channel("far", with_bot=False).id
    secret = slack.add_channel("secret", private=True, with_bot=False).id
    old = slack.add_channel("old")
    old.archived = True
    for channel, error in (("C0", "channel_not_found"), (far, "not_in_channel"), (secret, "channel_not_found")):
        assert (await refused(web.chat_postMessage(channel=channel, text="x"))).response["error"] == error
    assert (await refused(web.chat_postMessage(channel=old.id, text="x"))).response["error"] == "is_archived"
    assert (await refused(web.conversations_history(channel=far))).response["error"] == "not_in_channel"
    await web.conversations_join(channel=far)
    await web.chat_postMessage(channel=far, text="x")
    listed = await web.conversations_list(types="public_channel,private_channel", exclude_archived=True)
    assert [each["name"] for each in listed["channels"]] == ["general", "far"]
    assert len((await web.conversations_members(channel=far))["members"]) == 3
    info = await web.conversations_info(channel=far, include_num_members=True)
    assert (info["channel"]["num_members"], info["channel"]["is_ext_shared"]) == (3, False)


async def test_changing_and_taking_away(web: AsyncWebClient, slack: Workspace, room: str) -> None:
    said = await web.chat_postMessage(channel=room, text="one")
    await web.chat_update(channel=room, ts=said["ts"], text="two", blocks=[section("two")])
    assert slack.thread_text(said["ts"]) == "greylag (edited): two"
    other = slack.say("ada", "general", "mine")
    assert (await refused(web.chat_update(channel=room, ts=other, text="x"))).response["error"] == "cant_update_message"
    assert (await refused(web.chat_delete(channel=room, ts=other))).response["error"] == "cant_delete_message"
    await web.chat_delete(channel=room, ts=said["ts"])
    assert (await refused(web.chat_delete(channel=room, ts=said["ts"]))).response["error"] == "message_not_found"


async def test_only_one_person_sees_it(web: AsyncWebClient, slack: Workspace, room: str) -> None:
    root = slack.say("ada", "general", "root")
    await web.chat_postEphemeral(channel=room, user=slack.user("ada").id, thread_ts=root, text="psst")
    assert slack.thread_text(root, "ada") == "ada: root\ngreylag (only you see this): psst"
    assert slack.thread_text(root, "grace") == slack.thread_text(root) == "ada: root"
    assert len((await web.conversations_replies(channel=room, ts=root))["messages"]) == 1
    wrong = await refused(web.chat_postEphemeral(channel=room, user="U0", text="x"))
    assert wrong.response["error"] == "user_not_found"


async def test_reactions(web: AsyncWebClient, slack: Workspace, room: str) -> None:
    ts = slack.say("ada", "general", "root")
    place = {"channel": room, "timestamp": ts}
    await web.reactions_add(name="eyes", **place)
    assert (await refused(web.reactions_add(name="eyes", **place))).response["error"] == "already_reacted"
    assert (await refused(web.reactions_add(name="nonesuch", **place))).response["error"] == "invalid_name"
    slack.react("grace", ts, "eyes")
    assert (await web.reactions_get(**place))["message"]["reactions"][0]["count"] == 2
    assert slack.thread_text(ts).endswith(":eyes: 2")
    await web.reactions_remove(name="eyes", **place)
    assert (await refused(web.reactions_remove(name="eyes", **place))).response["error"] == "no_reaction"
    missing = await refused(web.reactions_add(name="eyes", channel=room, timestamp="1.1"))
    assert missing.response["error"] == "message_not_found"


async def test_people_and_direct_messages(web: AsyncWebClient, slack: Workspace) -> None:
    ada = slack.user("ada").id
    assert (await web.users_info(user=ada))["user"]["name"] == "ada"
    assert [each["name"] for each in (await web.users_list())["members"]] == ["greylag", "ada", "grace"]
    opened = (await web.conversations_open(users=[ada]))["channel"]["id"]
    assert opened.startswith("D")
    assert (await web.chat_postMessage(channel=ada, text="hello"))["channel"] == opened
    assert [each.text for each in slack.messages("@ada")] == ["hello"]
    assert slack.messages("@grace") == []


async def test_a_file_there_and_back(web: AsyncWebClient, slack: Workspace, room: str) -> None:
    root = slack.say("ada", "general", "root")
    done = await web.files_upload_v2(content="a,b\n", filename="r<b>.csv", channel=room, thread_ts=root, title="Result")
    assert slack.thread_text(root).endswith("greylag: [file: r<b>.csv]")
    file = (await web.files_info(file=done["file"]["id"]))["file"]
    assert (file["title"], file["size"]) == ("Result", 4)
    assert file["shares"]["public"][room][0]["ts"] == slack.thread(root)[-1].ts
    async with httpx.AsyncClient(trust_env=False) as plain_client:
        fetched = await plain_client.get(file["url_private"], headers={"authorization": f"Bearer {slack.bot_token}"})
        stranger = await plain_client.get(file["url_private"])
        asked = await web.files_getUploadURLExternal(filename="x", length=3)
        short = await plain_client.post(asked["upload_url"], content=b"xx")
        form = await plain_client.post(asked["upload_url"], files={"file": ("x", b"xyz")})
    assert (fetched.content, stranger.status_code, short.status_code) == (b"a,b\n", 302, 400)
    assert form.text == "OK - 3"
    early = await refused(web.files_completeUploadExternal(files=[{"id": "F0"}], channel_id=room))
    assert early.response["error"] == "file_not_found"
    ts = slack.say("grace", "general", "with a file", files=[("log.txt", b"lines")])
    assert (await web.conversations_history(channel=room))["messages"][0]["files"][0]["name"] == "log.txt"
    assert slack.message(ts).files


async def test_a_stream_as_plan_and_as_timeline(web: AsyncWebClient, slack: Workspace, room: str) -> None:
    root = slack.say("ada", "general", "root")
    who = {"recipient_team_id": slack.world.team_id, "recipient_user_id": slack.user("ada").id}
    plan = await web.chat_stream(channel=room, thread_ts=root, task_display_mode="plan", buffer_size=1, **who)
    await plan.append(chunks=[{"type": "plan_update", "title": "The plan"}])
    await plan.append(chunks=[{"type": "task_update", "id": "1", "title": "Read", "status": "in_progress"}])
    await plan.append(markdown_text="Found **it**")
    assert "still" not in slack.thread_text(root)
    done = {"type": "task_update", "id": "1", "title": "Read", "status": "complete", "output": "two files"}
    await plan.append(chunks=[done])
    await plan.stop(blocks=[{"type": "actions", "elements": [button("Stop", "stop")]}])
    assert slack.thread_text(root).split("\n")[1:] == [
        "greylag: The plan", "      ✓ Read", "        two files", "    Found it", "    [Stop]",
    ]  # fmt: skip
    assert (await refused(web.chat_appendStream(channel=room, ts=plan.ts, markdown_text="x"))).response[
        "error"
    ] == "message_not_in_streaming_state"
    line = await web.chat_startStream(channel=room, thread_ts=root, markdown_text="a ", **who)
    await web.chat_appendStream(channel=room, ts=line["ts"], chunks=[{**done, "output": None}])
    await web.chat_appendStream(channel=room, ts=line["ts"], markdown_text="b")
    assert slack.thread_text(line["ts"]).split("\n") == ["greylag: a ", "    ✓ Read", "    b"]


async def test_what_a_stream_refuses(web: AsyncWebClient, slack: Workspace, room: str) -> None:
    root = slack.say("ada", "general", "root")
    who = {"recipient_team_id": slack.world.team_id, "recipient_user_id": slack.user("ada").id}
    lone = await refused(web.chat_startStream(channel=room, thread_ts=root))
    assert lone.response["error"] == "missing_recipient_user_id"
    for chunk in (
        {"type": "confetti"}, {"type": "task_update", "id": "1", "title": "x", "status": "odd"},
        {"type": "plan_update"}, {"type": "markdown_text", "text": "x" * 12_001},
        {"type": "blocks", "blocks": [{"type": "marquee"}]},
    ):  # fmt: skip
        wrong = await refused(web.chat_startStream(channel=room, thread_ts=root, chunks=[chunk], **who))
        assert wrong.response["error"] == "invalid_chunks"
    long = await refused(web.chat_startStream(channel=room, thread_ts=root, markdown_text="x" * 12_001, **who))
    assert long.response["error"] == "msg_too_long"
    gone = await refused(web.chat_startStream(channel=room, thread_ts="1.1", **who))
    assert gone.response["error"] == "thread_not_found"
    slack.say("grace", "@grace", "hello")
    direct = slack.messages("@grace")[0]
    await web.chat_startStream(channel=direct.channel, thread_ts=direct.ts)


async def test_a_stream_that_nobody_feeds_ends(web: AsyncWebClient, slack: Workspace, room: str) -> None:
    now = [slack.clock()]
    slack.clock = lambda: now[0]
    slack.say("ada", "@ada", "hello")
    direct = slack.messages("@ada")[0]
    made = await web.chat_startStream(channel=direct.channel, thread_ts=direct.ts, markdown_text="a")
    conflict = await refused(web.chat_update(channel=direct.channel, ts=made["ts"], text="b"))
    assert conflict.response["error"] == "streaming_state_conflict"
    now[0] += slack.rules.stream_seconds + 1
    late = await refused(web.chat_appendStream(channel=direct.channel, ts=made["ts"], markdown_text="b"))
    assert late.response["error"] == "message_not_in_streaming_state"
    await web.chat_update(channel=direct.channel, ts=made["ts"], text="all of it")
    assert slack.thread_text(made["ts"]) == "greylag (edited): all of it"


async def test_homes_and_their_hash(web: AsyncWebClient, slack: Workspace) -> None:
    ada = slack.user("ada").id
    home = {"type": "home", "blocks": [section("your tasks", "plain_text")]}
    first = await web.views_publish(user_id=ada, view=home)
    assert slack.home_text("ada") == "your tasks"
    await web.views_publish(user_id=ada, view=home, hash=first["view"]["hash"])
    stale = await refused(web.views_publish(user_id=ada, view=home, hash=first["view"]["hash"]))
    assert stale.response["error"] == "hash_conflict"
    for wrong in (
        {"type": "home", "blocks": [{"type": "divider"}] * 101}, {**home, "title": plain("x")}, {"type": "room"},
        modal(section("x")), {**home, "private_metadata": "x" * 3001},
    ):  # fmt: skip
        assert (await refused(web.views_publish(user_id=ada, view=wrong))).response["error"] == "invalid_arguments"


async def test_a_modal_needs_a_fresh_click(web: AsyncWebClient, slack: Workspace, room: str) -> None:
    now = [slack.clock()]
    slack.clock = lambda: now[0]
    asked = [{"type": "actions", "elements": [button("Reject", "reject")]}]
    card = (await web.chat_postMessage(channel=room, text="card", blocks=asked))["ts"]
    view = modal(field("Reason", "reason"))

    def trigger() -> str:
        return str(slack.click("ada", card, "Reject").payload["trigger_id"])

    late, used = trigger(), trigger()
    await web.views_open(trigger_id=used, view=view)
    assert slack.modal("ada") is not None
    assert slack.modal("grace") is None
    assert (await refused(web.views_open(trigger_id=used, view=view))).response["error"] == "exchanged_trigger_id"
    assert (await refused(web.views_open(trigger_id="1.2", view=view))).response["error"] == "invalid_trigger_id"
    now[0] += 3.1
    assert (await refused(web.views_open(trigger_id=late, view=view))).response["error"] == "expired_trigger_id"
    for wrong in (modal(field("x", "b"), title="x" * 25), {**modal(field("x", "b")), "submit": None}):
        assert (await refused(web.views_open(trigger_id=trigger(), view=wrong))).response[
            "error"
        ] == "invalid_arguments"


async def test_a_status_until_something_is_said(web: AsyncWebClient, slack: Workspace, room: str) -> None:
    root = slack.say("ada", "general", "root")
    await web.assistant_threads_setStatus(channel_id=room, thread_ts=root, status="is reading…")
    assert slack.world.statuses == {root: "is reading…"}
    await web.chat_postMessage(channel=room, thread_ts=root, text="done")
    assert slack.world.statuses == {}


PINGED = {
    "mass": ({"text": "<!channel> and <!here|here>"}, {("mass", "channel"), ("mass", "here")}),
    "person": ({"text": "`<@UPERSON>`"}, {("user", "UPERSON")}),
    "in a section": ({"text": "x", "blocks": [section("<!everyone>")]}, {("mass", "everyone")}),
    "in markdown": ({"markdown_text": "see <!subteam^S1>"}, {("group", "S1")}),
    "in rich text": (
        {"text": "x", "blocks": [{"type": "rich_text", "elements": [
            {"type": "rich_text_section", "elements": [{"type": "broadcast", "range": "channel"}]}
        ]}]}, {("mass", "channel")},
    ),
    "a link": ({"text": "https://evil.example/x <https://b.example|b>"}, {
        ("unfurl", "https://evil.example/x"), ("unfurl", "https://b.example"),
    }),
    "a picture": (
        {"text": "x", "blocks": [{"type": "image", "image_url": "https://c.example/p", "alt_text": "p"}]},
        {("image", "https://c.example/p")},
    ),
    "names linked": ({"text": "@channel @ada", "link_names": True}, {("mass", "channel"), ("user", "ADA")}),
    "parsed in full": ({"text": "@here", "parse": "full"}, {("mass", "here")}),
    "links off": ({"text": "https://evil.example", "unfurl_links": False, "unfurl_media": False}, set()),
    "one of two off": ({"text": "https://e.example", "unfurl_links": False}, {("unfurl", "https://e.example")}),
    "escaped": ({"text": "&lt;!channel&gt; @channel @ada &lt;@UPERSON&gt;"}, set()),
    "plain text": ({"text": "x", "blocks": [section("<!channel> <@UPERSON> https://d.example", "plain_text")]}, set()),
}  # fmt: skip


@pytest.mark.parametrize("case", PINGED)
async def test_what_reaches_out_is_noted(case: str, web: AsyncWebClient, slack: Workspace, room: str) -> None:
    given, expected = PINGED[case]
    wanted = {(kind, slack.user("ada").id if target == "ADA" else target) for kind, target in expected}
    said = await web.chat_postMessage(channel=room, **given)
    assert {(each.kind, each.target) for each in slack.pings} == wanted
    assert all(isinstance(each, Ping) and each.ts == said["ts"] for each in slack.pings)


async def test_edits_streams_files_and_answers_are_noted_too(web: AsyncWebClient, slack: Workspace, room: str) -> None:
    said = await web.chat_postMessage(channel=room, text="quiet")
    await web.chat_update(channel=room, ts=said["ts"], text="<!channel>")
    slack.say("ada", "@ada", "hi")
    direct = slack.messages("@ada")[0]
    task = {"type": "task_update", "id": "1", "title": "<!here>", "status": "pending", "details": "<!everyone>"}
    await web.chat_startStream(channel=direct.channel, thread_ts=direct.ts, chunks=[task])
    await web.files_upload_v2(content="x", filename="<!here>", channel=room, initial_comment="<!here>")
    assert [(each.method, each.target) for each in slack.pings] == [
        ("chat.update", "channel"), ("chat.startStream", "everyone"), ("files.completeUploadExternal", "here"),
    ]  # fmt: skip


async def test_a_manifest_says_what_the_app_may() -> None:
    manifest = {
        "oauth_config": {"scopes": {"bot": ["chat:write", "im:history"]}},
        "settings": {"event_subscriptions": {"bot_events": ["message.im"]}},
    }
    rules = rules_of_manifest(manifest, Rules(ack_seconds=0.2))
    assert rules == replace(
        Rules(ack_seconds=0.2), scopes=frozenset({"chat:write", "im:history"}), events=frozenset({"message.im"})
    )
    slack = Workspace(rules=rules)
    async with Server(slack) as server:
        web = client_of(server)
        slack.say("ada", "general", "@greylag hello")
        slack.say("ada", "@ada", "hello")
        assert [each.payload["event"]["type"] for each in slack.deliveries] == ["message"]
        await web.conversations_history(channel=slack.direct("ada").id)
        answer = (await refused(web.conversations_history(channel=slack.channel("general").id))).response
        assert (answer["error"], answer["needed"]) == ("missing_scope", "channels:history")
        assert re.fullmatch(r"chat:write,im:history", answer["provided"])


async def test_bodies_that_are_none(server: Server, slack: Workspace, room: str) -> None:
    headers = {"authorization": f"Bearer {slack.bot_token}"}
    async with httpx.AsyncClient(base_url=server.api, headers=headers, trust_env=False) as raw:
        kind = {"content-type": "application/json"}
        for body, error in ((b"{", "invalid_json"), (b"[]", "json_not_object"), (b"\xff", "invalid_json")):
            answer = await raw.post("chat.postMessage", content=body, headers=kind)
            assert answer.json() == {"ok": False, "error": error}
        big = await raw.post("chat.postMessage", content=b"x" * 4_100_000, headers=kind)
        assert big.json()["error"] == "request_too_large"
        half = await raw.post(
            "chat.postMessage", content=b'{"channel": "%s", "text": "a\\ud800b"}' % room.encode(), headers=kind
        )
        assert half.json()["message"]["text"] == "a\ufffdb"
        form = await raw.post(
            "chat.postMessage", data={"channel": room, "text": "by form", "blocks": '[{"type":"divider"}]'}
        )
        assert form.json()["ok"] is True
