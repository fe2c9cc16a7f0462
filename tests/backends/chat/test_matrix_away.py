"""Nothing is lost, doubled or reordered: restarts, a server that is away, a store that is full, a device signed out."""

import asyncio
import json
from pathlib import Path

import pytest

from greylag.adapters.chat.port import Post
from greylag.domain.conversation import Conversation
from greylag.domain.errors import BackendError, OperatorError
from tests.support.matrix_people import Bot, Person, a_post
from tests.support.synapse import SynapseServer

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def room(bot: Bot, ann: Person) -> str:
    """An encrypted room of two, with the bot listening in it."""
    bot.listen()
    room_id = await ann.room(bot.user, encrypted=True)
    await bot.joined(room_id, ann)
    return room_id


async def test_what_is_said_in_between_is_heard_at_the_next_start(bot: Bot, ann: Person, room: str) -> None:
    """More than the server gives at once, so that the gap is filled."""
    await ann.say(room, "before")
    await bot.ears.wait(1)
    await bot.stop()
    for number in range(130):
        await ann.client.room_send(
            room, "m.room.message", {"msgtype": "m.text", "body": f"{number}"}, ignore_unverified_devices=True
        )
    bot.chat = bot.new()
    bot.listen()
    await bot.ears.wait(131, 30)
    await ann.say(room, "after")
    await bot.ears.wait(132)
    await bot.restart()
    await ann.say(room, "and after that")
    await bot.ears.wait(133)
    assert bot.ears.texts() == ["before", *map(str, range(130)), "after", "and after that"]
    assert all(heard.vouched for heard in bot.ears.heard)


async def test_the_position_waits_for_the_store(bot: Bot, ann: Person, room: str) -> None:
    bot.ears.broken = 2
    await ann.say(room, "one")
    await bot.ears.wait(1)
    assert bot.ears.texts() == ["one"]
    bot.ears.broken = 10**6
    await ann.say(room, "two")
    await ann.say(room, "three")
    async with asyncio.timeout(10):
        while bot.ears.broken == 10**6:
            await asyncio.sleep(0.02)
    await bot.stop()  # dies before it could be kept
    bot.ears.broken = 0
    bot.chat = bot.new()
    bot.listen()
    await bot.ears.wait(3)
    assert bot.ears.texts() == ["one", "two", "three"]


async def test_a_server_that_goes_and_comes_back(bot: Bot, ann: Person, room: str) -> None:
    """Posts and messages pile up meanwhile, as courier and people do: in order, each until it is taken."""
    root = await ann.say(room, "begin")
    await bot.ears.wait(1)
    bot.server.stop()
    posts = [a_post(room, root, f"post {number}", key=f"k/{number}") for number in range(8)]
    with pytest.raises(BackendError, match="GL-MATRIX-004") as caught:
        await bot.post(posts[0])
    assert caught.value.transient
    delivering = asyncio.create_task(deliver(bot, posts))
    speaking = asyncio.create_task(speak(ann, room, root))
    await asyncio.to_thread(bot.server.start)
    handles = await delivering
    await speaking
    await bot.ears.wait(9)
    assert bot.ears.texts() == ["begin", *(f"message {number}" for number in range(8))]
    assert len(set(handles)) == 8
    seen = await ann.read(room, lambda events: {*handles} <= {each.event_id for each in events})
    ours = [each.source["content"].get("body") for each in seen if each.sender == bot.user]
    assert [body for body in ours if body] == [post.text for post in posts]


async def deliver(bot: Bot, posts: list[Post]) -> list[str]:
    """Post in order, each until it is taken; every other answer is lost on the way."""
    handles = []
    for number, post in enumerate(posts):
        uncertain = False
        while True:
            try:
                handle = await bot.post(post, uncertain=uncertain)
            except BackendError:
                uncertain = True
                await asyncio.sleep(0.05)
                continue
            if number % 2 and not uncertain:
                uncertain = True
                continue
            handles.append(handle)
            break
    return handles


async def speak(ann: Person, room: str, root: str) -> None:
    for number in range(8):
        relates = {"rel_type": "m.thread", "event_id": root}
        content = {"msgtype": "m.text", "body": f"message {number}", "m.relates_to": relates}
        while True:
            try:
                await ann.client.room_send(
                    room, "m.room.message", content, tx_id=f"m{number}", ignore_unverified_devices=True
                )
                break
            except OSError:
                await asyncio.sleep(0.05)


async def test_a_signed_out_device_signs_in_again(bot: Bot, ann: Person, room: str) -> None:
    await ann.say(room, "one")
    (first,) = await bot.ears.wait(1)
    kept = json.loads((bot.folder / "account.json").read_text())
    bot.server.call("POST", "/_matrix/client/v3/logout", {}, kept["token"])
    async with asyncio.timeout(15):
        while json.loads((bot.folder / "account.json").read_text())["token"] == kept["token"]:
            await asyncio.sleep(0.05)
    renewed = json.loads((bot.folder / "account.json").read_text())
    assert renewed["device"] == kept["device"]
    await asyncio.sleep(1.0)
    await ann.say(room, "two")
    await bot.ears.wait(2)
    assert bot.ears.texts() == ["one", "two"]
    handle = await bot.post(a_post(room, first.message_id, "Still here."))
    seen = await ann.read(room, lambda events: any(each.event_id == handle for each in events))
    assert next(each.source["content"].get("body") for each in seen if each.event_id == handle) == "Still here."


async def test_the_limit_of_the_server_is_kept(bot: Bot, ann: Person, room: str) -> None:
    root = await ann.say(room, "begin")
    await bot.ears.wait(1)
    admin = bot.server.register(f"root{bot.local}", admin=True)
    signed_in = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": admin}, "password": "secret"}
    token = bot.server.call("POST", "/_matrix/client/v3/login", signed_in)["access_token"]
    limit = {"messages_per_second": 2, "burst_count": 1}
    bot.server.call("POST", f"/_synapse/admin/v1/users/{bot.user}/override_ratelimit", limit, token)
    handles = [await bot.post(a_post(room, root, f"{number}", key=f"k/{number}")) for number in range(4)]
    assert len(set(handles)) == 4


async def test_two_things_at_once_both_arrive(bot: Bot, ann: Person, room: str) -> None:
    root = await ann.say(room, "begin")
    await bot.ears.wait(1)
    bot.chat._session.client.invalidate_outbound_session(room)
    posts = [bot.post(a_post(room, root, f"{number}", key=f"k/{number}")) for number in range(6)]
    handles = await asyncio.gather(*posts)
    seen = await ann.read(room, lambda events: {*handles} <= {each.event_id for each in events})
    said = {each.event_id: each.source["content"].get("body") for each in seen}
    assert [said[handle] for handle in handles] == [str(number) for number in range(6)]


async def refused(bot: Bot, password: str = "secret") -> OperatorError:
    await bot.stop()
    bot.chat = bot.new(password)
    with pytest.raises(OperatorError) as caught:
        await asyncio.wait_for(bot.chat.listen(bot.ears), 20)
    conversation = Conversation("matrix:chat.test", "!r:chat.test", "")
    with pytest.raises(BackendError) as said:
        await bot.post(Post(conversation, "k", "text", "x", a_post("", "", "x").digest))
    assert said.value.transient
    await bot.chat.close()
    return caught.value


async def test_bad_access_is_for_the_operator(bot: Bot) -> None:
    error = await refused(bot, "wrong")
    assert error.code == "GL-MATRIX-001"
    assert "wrong" not in str(error)
    assert (await refused(bot, "")).code == "GL-MATRIX-001"


async def test_a_folder_of_somebody_else(bot: Bot) -> None:
    bot.folder.mkdir()
    kept = {"user": "@other:chat.test", "device": "D", "store_key": "k", "token": "t"}
    (bot.folder / "account.json").write_text(json.dumps(kept))
    assert (await refused(bot)).code == "GL-MATRIX-003"
    (bot.folder / "account.json").write_text("{")
    assert (await refused(bot)).code == "GL-MATRIX-003"


async def test_keys_that_can_not_be_read(bot: Bot, room: str) -> None:
    await bot.stop()
    (bot.folder / "keys.db").write_bytes(b"not a database, whatever it was" * 100)
    assert (await refused(bot)).code == "GL-MATRIX-006"


async def test_what_is_kept_is_private(bot: Bot, room: str) -> None:
    files = list(bot.folder.iterdir())
    assert {file.name for file in files} >= {"account.json", "keys.db", "seen.db"}
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    assert oct(bot.folder.stat().st_mode & 0o777) == "0o700"
    assert "secret" not in "".join(map(repr, (bot.chat._session.account, bot.chat._session._folder.credentials())))


async def test_no_matrix_server_there(synapse: SynapseServer, tmp_path: Path, bot: Bot) -> None:
    """Nobody listens: it is tried again, not given up."""
    bot.server = SynapseServer(tmp_path, synapse.python, 9)
    bot.chat = bot.new()
    with pytest.raises(BackendError) as caught:
        await bot.post(a_post("!r:chat.test", "", "x"))
    assert (caught.value.code, caught.value.transient) == ("GL-MATRIX-004", True)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bot.chat.listen(bot.ears), 1.5)
