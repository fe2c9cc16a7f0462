"""A card's build and report as files beside it: only where settings say so and policy permits it, and once."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from greylag.domain import events as ev
from greylag.domain.conversation import Offer
from greylag.domain.errors import BackendError
from greylag.domain.ids import ChangeId, RunId, TaskId
from greylag.governance.question import Question, Verdict
from tests.support.chats import AT, CAN_ALL, SOURCE, ChatStage

CARD = (Offer("approve", "Approve", "sha256:ab"), Offer("see", "Diff", "diff"), Offer("open", "Open"))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ChatStage]:
    opened = ChatStage(tmp_path)
    yield opened
    opened.close()


def built(stage: ChatStage, size: int = 3) -> TaskId:
    task_id, here = stage.begin(), stage.control.events
    prompt = stage.put(task_id, "prompt")
    build, report, diff = stage.put(task_id, "b" * size), stage.put(task_id, "4 passed"), stage.put(task_id, "+")
    run, change = RunId("run_1"), ChangeId("chg_1")
    story: list[ev.Event] = [
        ev.TaskAccepted("murmur", "fix", "internal", "dec_1"),
        ev.TaskPlaced("eu", "bwrap", "claude", "", "here", "dec_2"),
        ev.RunStarted(run, 1, 1, "c0", prompt, "v1"),
        ev.RunFinished(run, "finished", "done", None),
        ev.ChangeCaptured(change, run, "c0", "t1", diff, ("a.py",), 1, 0),
        ev.RunVerified(run, "t1", True, "4 passed", report, ("pytest",)),
        ev.ChangeVerified(change, "t1"),
        ev.BuildStored("bld_1", change, "../murmur 1.0.whl", build),  # type: ignore[arg-type]
    ]
    for number, event in enumerate(story):
        here.append(task_id, event, key=f"{number}", at=AT)
    stage.say(task_id, "card", "Ready for review", f"card/{change}", offers=CARD)
    stage.say(task_id, "text", "after")
    return task_id


async def test_files_are_put_beside_the_card_where_settings_say_so(stage: ChatStage) -> None:
    built(stage)
    await stage.deliver(stage.courier(uploads=(SOURCE,)))
    assert [(name, content) for _, name, content in stage.chat.uploads] == [
        ("_murmur_1.0.whl", b"bbb"), ("report.txt", b"4 passed"),
    ]  # fmt: skip
    assert stage.chat.words() == ["Ready for review", "after"]
    assert set(stage.chat.decisions) <= stage.ledger.permitted("memory")


async def test_files_stay_links_by_default(stage: ChatStage) -> None:
    built(stage)
    await stage.deliver()
    assert stage.chat.uploads == []


async def test_files_are_put_there_once_whatever_happens(tmp_path: Path) -> None:
    for offset in range(1, 30, 4):
        stage = ChatStage(tmp_path / f"{offset}")
        built(stage)
        stage.faults.script = {stage.faults.steps + offset: "kill", stage.faults.steps + offset + 9: "away"}
        for _ in range(3):
            with suppress(BaseException):
                await stage.deliver(stage.courier(uploads=(SOURCE,)), seconds=5)
            stage.faults.script = {}
        kinds = [name for _, name, _ in stage.chat.uploads]
        assert sorted(set(kinds)) == sorted(kinds), "none twice"
        assert stage.chat.words() == ["Ready for review", "after"]
        stage.close()


async def test_a_file_that_can_t_be_put_there_holds_nothing_up(stage: ChatStage) -> None:
    tries: list[str] = []

    def no_uploads(name: str) -> None:
        if name == "upload":
            tries.append(name)
            raise BackendError("GL-TEST-007", "uploads are down.", "wait.", transient=True)

    built(stage)
    stage.faults.always = no_uploads
    await stage.deliver(stage.courier(uploads=(SOURCE,)))
    assert stage.chat.words() == ["Ready for review", "after"]
    assert len(tries) == 10, "five times each"


class NoFiles:
    """Permits cards and no files."""

    def decide(self, question: Question) -> Verdict:
        return Verdict("file_names" not in question.asset.surfaces or question.action == "post", (), (), (), (), "test")


async def test_files_that_policy_refuses_stay_links(tmp_path: Path) -> None:
    stage = ChatStage(tmp_path, policy=NoFiles())
    built(stage)
    await stage.deliver(stage.courier(uploads=(SOURCE,)))
    assert stage.chat.uploads == []
    assert stage.chat.words() == ["Ready for review", "after"]
    stage.close()


async def test_a_chat_without_files_gets_none(stage: ChatStage) -> None:
    stage.chat.capabilities = replace(CAN_ALL, files=False)
    built(stage)
    await stage.deliver(stage.courier(uploads=(SOURCE,)))
    assert stage.chat.uploads == []
