"""Whatever ends or fails at whichever step: at the end every message stands in the chat once, in order, by a permit."""

import asyncio
import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greylag.domain.conversation import Conversation
from greylag.domain.ids import TaskId
from greylag.domain.stages import Stage
from tests.support.chats import HERE, SOURCE, ChatStage, Faults
from tests.support.permits import permit

KINDS = st.sampled_from(["progress", "progress", "progress", "text", "card", "error", "question"])
ELSEWHERE = Conversation(SOURCE, "room", "another thread")


def expected(kinds: list[str]) -> list[object]:
    """Return what people see: each message once, and the lines of progress in between as one card."""
    seen: list[object] = []
    for progress, group in itertools.groupby(enumerate(kinds), key=lambda each: each[1] == "progress"):
        texts = [f"{kind} {number}" for number, kind in group]
        seen += [tuple(texts)] if progress else texts
    return seen


def states(kinds: list[str]) -> list[str]:
    """Return how the last step of each card ends."""
    found = []
    for progress, group in itertools.groupby([*kinds, ""], key=lambda each: each == "progress"):
        first = next(group)
        if not progress and found and found[-1] == "working":
            found[-1] = {"error": "error", "": "working"}.get(first, "complete")
        if progress:
            found.append("working")
    return found


async def story(folder: Path, kinds: list[str], later: int, script: dict[int, str]) -> ChatStage:
    stage = ChatStage(folder)
    for conversation, name in ((HERE, "1"), (ELSEWHERE, "2")):
        task_id = stage.begin(name, conversation)
        for number, kind in enumerate(kinds[:later]):
            stage.say(task_id, kind, f"{kind} {number}")
    stage.faults.script = {stage.faults.steps + step: what for step, what in script.items()}
    await stage.deliver()
    for name in ("1", "2"):
        for number, kind in enumerate(kinds[later:], start=later):
            stage.say(TaskId(f"task_{name}"), kind, f"{kind} {number}")
    await stage.deliver()
    return stage


def check(stage: ChatStage, kinds: list[str]) -> None:
    for conversation, name in ((HERE, "1"), (ELSEWHERE, "2")):
        assert stage.chat.words(conversation) == expected(kinds)
        cards = [each.post for each in stage.chat.shown if each.post.conversation == conversation]
        ends = [post.steps[-1].state for post in cards if post.kind == "progress"]
        assert ends == states(kinds)
        assert all(step.state == "complete" for post in cards for step in post.steps[:-1])
        for number in range(1, len(kinds) + 1):
            posting = stage.control.chats.posting(conversation, TaskId(f"task_{name}"), number)
            assert posting is None or posting.state == "sent"
    permitted = stage.ledger.permitted("memory")
    assert set(stage.chat.decisions) <= permitted
    assert stage.control.chats.due((SOURCE,)) == ()


@given(
    st.lists(KINDS, min_size=1, max_size=9),
    st.integers(0, 9),
    st.dictionaries(st.integers(0, 150), st.sampled_from(["kill", "kill", "away", "defect"]), max_size=5),
)
@settings(max_examples=15, deadline=None)
def test_nothing_is_lost_doubled_or_out_of_order(kinds: list[str], later: int, script: dict[int, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stage = asyncio.run(story(Path(folder), kinds, later, script))
        try:
            check(stage, kinds)
        finally:
            stage.close()


KINDS_OF_A_TASK = ["text", "progress", "progress", "error", "progress", "card", "text"]


@pytest.mark.parametrize("fault", ["kill", "away"])
def test_each_single_step_can_be_the_last(tmp_path: Path, fault: str) -> None:
    """The platform ends at each seventeenth step of a whole task, beginning with each of the first ones."""
    for offset in range(0, 17, 3):
        folder = tmp_path / f"{offset}"
        stage = asyncio.run(story(folder, KINDS_OF_A_TASK, 4, dict.fromkeys(range(offset, 400, 17), fault)))
        check(stage, KINDS_OF_A_TASK)
        stage.close()


async def test_an_answer_that_was_lost_is_looked_for(tmp_path: Path) -> None:
    stage = ChatStage(tmp_path)
    task_id = stage.begin()
    stage.say(task_id, "text", "one")
    stage.say(task_id, "text", "two")
    lost = iter([True, True, False])

    def lose(name: str) -> None:
        if name == "post done" and next(lost, False):
            raise OSError("the answer was lost")

    stage.faults.always = lose
    await stage.deliver()
    assert stage.chat.words() == ["one", "two"]
    assert len(stage.chat.posts) > 2
    stage.close()


def test_the_stage_shows_a_doubled_message(tmp_path: Path) -> None:
    """A chat that is never told to look would say it twice: the check above can fail."""
    stage = ChatStage(tmp_path, faults=Faults())

    async def twice() -> None:
        task_id = stage.begin()
        stage.say(task_id, "text", "one")
        await stage.deliver()
        post = stage.chat.posts[0]
        await stage.chat.post(permit(Stage.CHAT, "memory", post.digest), post)

    asyncio.run(twice())
    assert stage.chat.words() == ["one", "one"]
    with pytest.raises(AssertionError):
        check(stage, ["text"])
    stage.close()
