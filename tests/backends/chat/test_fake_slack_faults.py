"""Going wrong on purpose, and the state that outlives the stand-in."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from greylag.app.fake_slack import Rules, Server, Workspace
from greylag.app.fake_slack.faults import Fault
from greylag.domain.errors import OperatorError
from tests.support.fake_slack_stage import client_of, refused


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


async def test_too_many_calls_and_the_clients_own_patience(slack: Workspace, web: AsyncWebClient, room: str) -> None:
    slack.faults.next("chat.postMessage", Fault("ratelimited", seconds=1), times=2)
    answer = await refused(web.chat_postMessage(channel=room, text="x"))
    assert (answer.response.status_code, answer.response.headers["retry-after"]) == (429, "1")
    web.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=1))
    began = time.monotonic()
    await web.chat_postMessage(channel=room, text="x")
    assert time.monotonic() - began > 0.9
    assert len(slack.messages()) == 1


@pytest.mark.parametrize("after", [False, True])
async def test_an_answer_that_is_lost(after: bool, slack: Workspace, web: AsyncWebClient, room: str) -> None:
    """Before its effect or after it: the caller sees the same."""
    slack.faults.next("chat.postMessage", Fault("drop", after=after))
    with pytest.raises(aiohttp.ClientError):
        await web.chat_postMessage(channel=room, text="x")
    slack.faults.next("chat.postMessage", Fault("status", after=after, status=502))
    with pytest.raises(SlackApiError):
        await web.chat_postMessage(channel=room, text="x")
    slack.faults.next("chat.postMessage", Fault("error", after=after, error="fatal_error"))
    assert (await refused(web.chat_postMessage(channel=room, text="x"))).response["error"] == "fatal_error"
    assert len(slack.messages()) == (3 if after else 0)


@pytest.mark.parametrize("after", [False, True])
async def test_an_answer_that_does_not_come(after: bool, slack: Workspace, web: AsyncWebClient, room: str) -> None:
    slack.faults.next("*", Fault("hang", after=after, seconds=0.4))
    call = asyncio.create_task(web.chat_postMessage(channel=room, text="x"))
    await asyncio.sleep(0.15)
    assert len(slack.messages()) == (1 if after else 0)
    await call
    assert len(slack.messages()) == 1


async def test_a_client_that_tries_again_by_itself_says_it_twice(server: Server, slack: Workspace, room: str) -> None:
    """The real client does so unless it is told not to: what a program must guard against."""
    slack.faults.next("chat.postMessage", Fault("drop", after=True))
    await AsyncWebClient(slack.bot_token, base_url=server.api).chat_postMessage(channel=room, text="x")
    assert len(slack.messages()) == 2


async def test_an_upload_that_is_lost(slack: Workspace, web: AsyncWebClient, room: str) -> None:
    slack.faults.next("upload", Fault("drop", after=True))
    with pytest.raises(aiohttp.ClientError):
        await web.files_upload_v2(content="x", filename="a", channel=room)
    assert slack.file("a").state == "uploaded"
    slack.faults.next("upload", Fault("status"))
    with pytest.raises(Exception, match="500"):
        await web.files_upload_v2(content="x", filename="b", channel=room)
    assert slack.file("b").state == "asked"


async def test_faults_come_in_order_and_can_be_taken_back(slack: Workspace, web: AsyncWebClient) -> None:
    slack.faults.next("auth.test", Fault("error", error="first"))
    slack.faults.next("auth.test", Fault("error", error="second"), times=5)
    assert (await refused(web.auth_test())).response["error"] == "first"
    assert (await refused(web.auth_test())).response["error"] == "second"
    slack.faults.clear()
    assert (await web.auth_test())["ok"]
    with pytest.raises(ValueError, match="explode"):
        slack.faults.next("auth.test", Fault("explode"))


async def test_slacks_own_limits(room: str) -> None:
    slack = Workspace(rules=Rules(limits=True))
    async with Server(slack) as server:
        web, here = client_of(server), slack.channel("general").id
        other = slack.add_channel("other").id
        for _ in range(5):
            await web.chat_postMessage(channel=here, text="x")
        await web.chat_postMessage(channel=other, text="x")
        answer = (await refused(web.chat_postMessage(channel=here, text="x"))).response
        assert (answer.status_code, answer["error"]) == (429, "ratelimited")
        assert 1 <= int(answer.headers["retry-after"]) <= 5
        for _ in range(20):
            await web.conversations_list()
        assert (await refused(web.conversations_list())).response["error"] == "ratelimited"
        assert [call.error for call in slack.calls].count("ratelimited") == 2


async def test_everything_is_kept_in_a_file(tmp_path: Path) -> None:
    state = tmp_path / "slack.json"
    first = Workspace(rules=Rules(retry_delays=()))
    async with Server(first, state=state) as server:
        ts = first.say("ada", "general", "@greylag keep <this>", files=[("a.bin", b"\x00\xff")])
        await client_of(server).chat_postMessage(channel=first.channel("general").id, thread_ts=ts, text="kept")
        first.react("grace", ts, "eyes")
    again = Workspace(world=Workspace.load(state))
    assert again.world == first.world
    assert again.thread_text(ts) == first.thread_text(ts)
    assert again.file("a.bin").content == b"\x00\xff"
    async with Server(again, state=state) as server:
        assert (await client_of(server).auth_test())["ok"], "the same tokens"
        assert float(again.say("ada", "general", "later")) > float(ts)


@pytest.mark.parametrize("content", [b"", b"{}", b"no json", b'{"team_id": 1}'])
def test_a_file_that_is_something_else(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(OperatorError, match="GL-FAKE-002"):
        Workspace.load(tmp_path / "state")


async def test_a_port_that_is_taken(server: Server) -> None:
    with pytest.raises(OperatorError, match="GL-FAKE-001"):
        await Server(Workspace(), server.port).start()
    with pytest.raises(OperatorError, match="GL-FAKE-001"):
        await asyncio.to_thread(Server(Workspace(), server.port).start_in_thread)
