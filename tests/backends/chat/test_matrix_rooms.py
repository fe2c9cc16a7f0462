"""The chat port on a real Matrix server, in a plain and in an encrypted room."""

import pytest

from greylag.adapters.chat.port import Step
from greylag.domain.conversation import Conversation
from greylag.domain.errors import IntegrityError, RequestRefused
from greylag.domain.stages import Stage
from tests.support.matrix_people import APPROVE, OPEN, WHERE, Bot, Person, a_post, digest
from tests.support.permits import permit

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(params=["plain", "encrypted"])
async def room(request: pytest.FixtureRequest, bot: Bot, ann: Person) -> str:
    """A room of three, so that nothing in it is direct, with the bot listening in it."""
    bot.listen()
    other = bot.server.register(bot.local.replace("greylag", "ben"))
    room_id = await ann.room(bot.user, other, encrypted=request.param == "encrypted")
    await bot.joined(room_id, ann)
    return room_id


def is_encrypted(person: Person, room: str) -> bool:
    return bool(person.client.rooms[room].encrypted)


async def test_a_mention_begins_a_thread_at_itself(bot: Bot, ann: Person, room: str) -> None:
    await ann.say(room, "talk among ourselves")
    event = await ann.say(room, f"{bot.local}: the export button fails", to=bot.user)
    (heard,) = await bot.ears.wait(1)
    assert (heard.kind, heard.text) == ("mention", "the export button fails")
    assert heard.conversation == Conversation("matrix:chat.test", room, event)
    assert (heard.event_id, heard.message_id, heard.author) == (event, event, ann.user)
    assert heard.vouched is is_encrypted(ann, room)
    assert heard.said_at is not None


async def test_a_conversation(bot: Bot, ann: Person, room: str) -> None:
    root = await ann.say(room, f"{bot.user} fix it", to=bot.user)
    await bot.ears.wait(1)
    handle = await bot.post(a_post(room, root, "Working on it.", controls=(APPROVE, OPEN)))
    seen = await ann.read(room, lambda events: any(each.event_id == handle for each in events))
    said = next(each for each in seen if each.event_id == handle)
    content = said.source["content"]
    assert content["body"].splitlines() == [
        "Working on it.",
        "",
        "Approve: write “approve aaaaaaaaaaaa”",
        "Open the page: https://greylag.test/tasks/task_1",
    ]
    assert said.decrypted is is_encrypted(ann, room)
    assert content["m.relates_to"]["rel_type"] == "m.thread"
    assert content["m.relates_to"]["event_id"] == root
    await ann.say(room, "make it red too", thread=root)
    await ann.react(room, handle, "👍")
    await ann.react(room, root, "👍")  # theirs: nothing to us
    replaces = {"rel_type": "m.replace", "event_id": root}
    await ann.say(room, "* edited", **{"m.new_content": {}, "m.relates_to": replaces})
    await ann.say(room, "approve", thread=root)
    _, reply, reaction, typed = await bot.ears.wait(4)
    assert (reply.kind, reply.text, reply.conversation.thread) == ("reply", "make it red too", root)
    assert (reaction.kind, reaction.value, reaction.message_id) == ("reaction", "👍", handle)
    assert reaction.conversation.thread == root
    assert reaction.vouched is False
    assert (typed.text, typed.vouched) == ("approve", is_encrypted(ann, room))
    history = await bot.chat.history(Conversation("matrix:chat.test", room, root), 10)
    assert [(each.text.splitlines()[0], each.ours) for each in history] == [
        (f"{bot.user} fix it", False),
        ("Working on it.", True),
        ("make it red too", False),
        ("approve", False),
    ]
    assert [each.text for each in await bot.chat.history(Conversation("m", room, root), 1)] == ["approve"]


async def test_progress_is_one_message_that_changes(bot: Bot, ann: Person, room: str) -> None:
    root = await ann.say(room, f"{bot.user} go", to=bot.user)
    await bot.ears.wait(1)
    steps = (Step("1", "read the code", "complete"), Step("2", "run the tests"))
    first = a_post(room, root, "read", key="p/1", kind="progress", title="task_1", steps=steps[:1])
    handle = await bot.post(first)
    for number in range(3):
        again = a_post(room, root, "tests", key=f"p/{number + 2}", kind="progress", title="task_1", steps=steps)
        assert await bot.post(again, handle=handle) == handle
    seen = await ann.read(room, lambda events: sum(bot.user == each.sender for each in events) >= 4)
    contents = [each.source["content"] for each in seen if each.sender == bot.user]
    contents = [content for content in contents if "msgtype" in content]
    assert contents[-1]["m.relates_to"] == {"rel_type": "m.replace", "event_id": handle}
    assert contents[-1]["m.new_content"]["body"] == "task_1\n✓ read the code\n… run the tests"
    assert {content["msgtype"] for content in contents} == {"m.notice"}


async def test_what_is_said_twice_stands_there_once(bot: Bot, ann: Person, room: str) -> None:
    root = await ann.say(room, f"{bot.user} go", to=bot.user)
    await bot.ears.wait(1)
    post = a_post(room, root, "Once.", key="once")
    first = await bot.post(post)
    assert await bot.post(post) == first
    await bot.restart()
    assert await bot.post(post) == first
    assert await bot.post(post, uncertain=True) == first
    seen = await ann.read(room, lambda events: any(each.event_id == first for each in events))
    assert sum(each.source["content"].get("body") == "Once." for each in seen) == 1


async def test_an_uncertain_post_is_found_by_its_key(
    bot: Bot, ann: Person, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a long time the server has forgotten the transaction."""
    root = await ann.say(room, f"{bot.user} go", to=bot.user)
    await bot.ears.wait(1)
    post = a_post(room, root, "Once.", key="once")
    first = await bot.post(post)
    await bot.restart()
    with monkeypatch.context() as patched:
        patched.setattr(bot.chat._sealed, "send", None)  # sending again would fail
        assert await bot.post(post, uncertain=True) == first
    assert await bot.post(a_post(room, root, "Other.", key="other"), uncertain=True) != first


async def test_files_arrive_as_they_were(bot: Bot, ann: Person, room: str) -> None:
    root = await ann.say(room, f"{bot.user} go", to=bot.user)
    await bot.ears.wait(1)
    content = bytes(range(256)) * 40
    conversation = Conversation("matrix:chat.test", room, root)
    allowed = permit(Stage.CHAT, WHERE, digest(content))
    what = (allowed, conversation, "../build\u202e.whl", content, "build/1")
    sent = await bot.chat.upload(*what)
    assert await bot.chat.upload(*what, uncertain=True) == sent
    seen = await ann.read(room, lambda events: any(each.event_id == sent for each in events))
    said = next(each.source["content"] for each in seen if each.event_id == sent)
    assert said["body"] == said["filename"] == ".._build«U+202E».whl"
    assert await ann.download(said) == content
    if is_encrypted(ann, room):
        assert "url" not in said
        stored = await ann.client.download(said["file"]["url"])
        assert content[:64] not in stored.body
    big = bytes(3 * 1024 * 1024)
    with pytest.raises(RequestRefused, match="GL-CHAT-001"):
        await bot.chat.upload(permit(Stage.CHAT, WHERE, digest(big)), conversation, "big", big, "build/2")


async def test_a_file_that_comes_in_is_named_not_fetched(bot: Bot, ann: Person, room: str) -> None:
    url = await ann.upload(b"log")
    content = {"msgtype": "m.file", "filename": "app.log", "body": f"{bot.user} see this", "url": url}
    await ann.send(room, content | {"m.mentions": {"user_ids": [bot.user]}})
    (heard,) = await bot.ears.wait(1)
    assert (heard.text, heard.files) == ("see this", ("app.log",))


async def test_a_first_sign_of_life(bot: Bot, ann: Person, room: str) -> None:
    root = await ann.say(room, f"{bot.user} go", to=bot.user)
    await bot.ears.wait(1)
    conversation = Conversation("matrix:chat.test", room, root)
    for mark in ("seen", "seen", "done"):
        await bot.chat.mark(permit(Stage.CHAT, WHERE, digest(mark.encode())), conversation, root, mark)
    seen = await ann.read(room, lambda events: sum(each.source["type"] == "m.reaction" for each in events) >= 2)
    keys = [each.source["content"]["m.relates_to"]["key"] for each in seen if each.source["type"] == "m.reaction"]
    assert keys == ["👀", "✅"]


async def test_an_answer_of_an_older_app_belongs_to_the_thread(bot: Bot, ann: Person, room: str) -> None:
    root = await ann.say(room, f"{bot.user} go", to=bot.user)
    await bot.ears.wait(1)
    handle = await bot.post(a_post(room, root, "Which repository?"))
    await ann.read(room, lambda events: any(each.event_id == handle for each in events))
    relates = {"m.relates_to": {"m.in_reply_to": {"event_id": handle}}}
    await ann.say(room, f"> <{bot.user}> Which repository?\n\nshop", **relates)
    _, heard = await bot.ears.wait(2)
    assert (heard.kind, heard.conversation.thread) == ("reply", root)
    assert heard.text == f"> <{bot.user}> Which repository?\n\nshop"


async def test_nothing_goes_without_its_own_permit(bot: Bot, ann: Person, room: str) -> None:
    root = await ann.say(room, f"{bot.user} go", to=bot.user)
    await bot.ears.wait(1)
    post = a_post(room, root, "words")
    other = digest(b"other words")
    for wrong in (
        permit(Stage.PUSH, WHERE, post.digest),
        permit(Stage.CHAT, "matrix:elsewhere", post.digest),
        permit(Stage.CHAT, WHERE, other),
    ):
        with pytest.raises(IntegrityError, match="GL-EGRESS-001"):
            await bot.chat.post(wrong, post)
    with pytest.raises(IntegrityError, match="GL-EGRESS-001"):
        await bot.post(a_post(room, root, "words").__class__(post.conversation, "k", "text", "words", other))
    with pytest.raises(IntegrityError, match="GL-EGRESS-001"):
        await bot.chat.mark(permit(Stage.CHAT, WHERE, other), post.conversation, root, "seen")
    with pytest.raises(IntegrityError, match="GL-EGRESS-001"):
        await bot.chat.upload(permit(Stage.CHAT, WHERE, other), post.conversation, "f", b"x", "u")
    await ann.say(room, "end", thread=root)
    seen = await ann.read(room, lambda events: events[-1].source["content"].get("body") == "end")
    assert [each for each in seen if each.sender == bot.user and each.source["type"] != "m.room.member"] == []
