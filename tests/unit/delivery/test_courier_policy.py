"""What policy leaves of a message on its way to a chat: less words, only news, or nothing; never a surface too many."""

import logging
from pathlib import Path

import pytest

from greylag.domain.conversation import Offer
from greylag.domain.ids import TaskId
from greylag.domain.labels import Label
from greylag.egress.door import Discharge
from greylag.egress.hop import Hop
from greylag.governance.question import Discharged, Question, Verdict
from tests.support.chats import HERE, ChatStage

PAGE = "https://greylag.example/tasks/task_1"
CARD = (Offer("approve", "Approve", "sha256:ab"), Offer("see", "Diff", "diff"), Offer("open", "Open"))


def state_of(stage: ChatStage, sequence: int) -> str:
    posting = stage.control.chats.posting(HERE, TaskId("task_1"), sequence)
    return posting.state if posting is not None else "nothing"


class Careful:
    """Lets only public words go to ``memory``, with ``surfaces`` or without, and others after an obligation."""

    def __init__(self, obligation: str = "", *, public: bool = True) -> None:
        self.obligation, self.public = obligation, public
        self.asked: list[Question] = []

    def decide(self, question: Question) -> Verdict:
        self.asked.append(question)
        asset = question.asset
        permitted = self.public if asset.label.level == "public" and not asset.surfaces else False
        permitted = permitted or bool(question.discharged.applied)
        obligations = (self.obligation,) if self.obligation else ()
        return Verdict(permitted, ("careful",), (), (), (), "test", obligations=() if permitted else obligations)


class Replacing:
    """Puts ``words`` in the place of everything."""

    def __init__(self, words: bytes) -> None:
        self.words = words

    def discharge(self, hop: Hop, content: bytes, obligations: tuple[str, ...]) -> Discharge | None:
        return Discharge(self.words, Label("public"), Discharged(applied=obligations))


async def test_a_redacted_card_has_no_choices_and_no_title(tmp_path: Path) -> None:
    stage = ChatStage(tmp_path, policy=Careful("redact"), discharger=Replacing(b"Ready: [redacted]"))
    task_id = stage.begin()
    stage.say(task_id, "card", "Ready: Fix the skip button", offers=CARD)
    await stage.deliver()
    (post,) = stage.chat.posts
    assert (post.kind, post.text, post.title, post.author) == ("card", "Ready: [redacted]", "", "greylag")
    assert [(control.verb, control.url) for control in post.controls] == [("", PAGE)]
    assert "skip" not in str(post)
    stage.close()


@pytest.mark.parametrize("words", [b"\xff\xfe", b"x" * 10_000])
async def test_what_an_obligation_makes_unfit_is_only_news(tmp_path: Path, words: bytes) -> None:
    stage = ChatStage(tmp_path, policy=Careful("redact"), discharger=Replacing(words))
    stage.say(stage.begin(), "text", "secret")
    await stage.deliver()
    assert [(post.kind, post.text) for post in stage.chat.posts] == [("notice", f"There is news in task_1: {PAGE}")]
    stage.close()


async def test_what_is_refused_is_news_without_any_surface(tmp_path: Path) -> None:
    policy = Careful()
    stage = ChatStage(tmp_path, policy=policy)
    task_id = stage.begin()
    stage.say(task_id, "card", "secret", offers=CARD)
    await stage.deliver()
    (post,) = stage.chat.posts
    assert (post.kind, post.text, post.title) == ("notice", f"There is news in task_1: {PAGE}", "")
    assert [control.url for control in post.controls] == [PAGE]
    assert [(each.asset.label.level, each.asset.surfaces == ()) for each in policy.asked] == [
        ("internal", False), ("public", True),
    ]  # fmt: skip
    assert state_of(stage, 1) == "sent"
    stage.close()


async def test_where_not_even_news_may_go_it_is_withheld_and_on_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = ChatStage(tmp_path, policy=Careful(public=False))
    task_id = stage.begin()
    stage.say(task_id, "text", "secret")
    stage.say(task_id, "progress", "secret too")
    with caplog.at_level(logging.WARNING):
        await stage.deliver()
    assert stage.chat.posts == []
    assert [state_of(stage, number) for number in (1, 2)] == ["withheld", "withheld"]
    assert "GL-CHAT-004: message 1 of task_1 is withheld from memory" in caplog.text
    assert "secret" not in caplog.text
    stage.close()


async def test_lines_of_progress_that_are_refused_are_news_once(tmp_path: Path) -> None:
    stage = ChatStage(tmp_path, policy=Careful())
    task_id = stage.begin()
    for number in range(6):
        stage.say(task_id, "progress", f"secret {number}")
    stage.say(task_id, "text", "secret end")
    await stage.deliver()
    news = f"There is news in task_1: {PAGE}"
    assert stage.chat.words() == [(news,), news]
    assert "secret" not in str(stage.chat.posts)
    stage.close()


async def test_lines_of_progress_that_are_redacted_show_what_is_left(tmp_path: Path) -> None:
    stage = ChatStage(tmp_path, policy=Careful("redact"), discharger=Replacing(b"a step"))
    task_id = stage.begin()
    for number in range(3):
        stage.say(task_id, "progress", f"secret {number}")
        await stage.deliver()
    assert stage.chat.words() == [("a step",)]
    assert {post.title for post in stage.chat.posts} == {""}
    stage.close()
