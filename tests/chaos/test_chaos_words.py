"""What a person said is told and acted on though the platform died before it could say so, and nobody asks again."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from greylag.domain.ids import derived_id
from tests.chaos.driver import Api, Moment, Victim, write_settings
from tests.chaos.invariants import check
from tests.flows.flow_stage import CALC, MEND, make_repository


@pytest.fixture
def victim() -> Iterator[Victim]:
    with TemporaryDirectory(prefix="glwords-", ignore_cleanup_errors=True) as folder:
        made = Victim(Path(folder), {})
        write_settings(made.home)
        yield made
        if made.process is not None and made.process.poll() is None:
            made.kill()


def _up(victim: Victim, dies_after: str = "") -> Api:
    victim.start(Moment(site="event", kind=dies_after) if dies_after else None)
    assert victim.wait_ready(), (victim.folder / "output").read_text()
    return Api(victim, patience=60.0)


def _settled(api: Api, *repositories: str) -> None:
    for name, roles in (("ada", ["requester"]), ("grace", ["requester", "reviewer", "operator"])):
        api.post("/people", {"name": name, "roles": roles}, "grace")
    for repository in repositories:
        source = make_repository(api.victim.folder / repository, CALC)
        api.post("/repositories", {"name": repository, "source": str(source)}, "grace")


def _said_once(victim: Victim, path: str, body: dict[str, Any], by: str) -> None:
    """Say something to a platform that dies of it; the answer never comes, and it isn't said again."""
    token = (victim.home / "operator.token").read_text().strip()
    headers = {"authorization": f"Bearer {token}", "x-greylag-as": by}
    with pytest.raises(httpx.TransportError):
        httpx.post(f"{victim.url}/api/v1{path}", json=body, headers=headers, timeout=30.0, trust_env=False)
    victim.buried()


def test_every_word_is_told_though_nobody_says_it_again(victim: Victim) -> None:
    api = _up(victim, dies_after="TaskReceived")
    _settled(api, "calc")
    wish = {
        "text": "fix add", "repository": "calc", "agent": "command", "command": list(MEND), "message_id": "one",
        "channel": "words",
    }  # fmt: skip
    task = derived_id("task", "words", "one")
    _said_once(victim, "/tasks", wish, "ada")

    api = _up(victim, dies_after="FollowUpReceived")
    assert api.until(task, lambda each: each["resting"])["status"] == "in_review"
    _said_once(victim, f"/tasks/{task}/replies", {"text": "and look at double", "message_id": "two"}, "ada")

    api = _up(victim, dies_after="ApprovalGiven")
    seen = api.until(task, lambda each: each["resting"] and len(each["runs"]) == 2)
    _said_once(victim, f"/tasks/{task}/approval", {"subject": seen["subject"]}, "grace")

    api = _up(victim)
    assert api.until(task, lambda each: each["ended"] and each["resting"])["status"] == "merged"
    said = [(each["author"], each["text"]) for each in api.get(f"/tasks/{task}/messages")]
    for author, text in (("ada", "fix add"), ("greylag", f"On it: {task}."), ("ada", "and look at double")):
        assert said.count((author, text)) == 1
    assert sum(author == "grace" and text.startswith("Approved") for author, text in said) == 1
    assert victim.stop() == 0
    assert check(victim.home, {}, {task: "merged"}) == []


def test_an_answer_that_is_said_again_is_no_follow_up(victim: Victim) -> None:
    """Whose answer got lost says it again: by then the task is past its question, and mustn't take it as more work."""
    api = _up(victim)
    _settled(api, "calc", "other")
    wish = {"text": "fix add", "agent": "command", "command": list(MEND), "message_id": "one"}
    task = str(api.post("/tasks", wish, "ada")["task_id"])
    assert api.until(task, lambda each: each["resting"])["status"] == "asked"
    assert victim.stop() == 0

    api = _up(victim, dies_after="QuestionAnswered")
    answer = {"text": "calc", "message_id": "two"}
    _said_once(victim, f"/tasks/{task}/replies", answer, "ada")
    api = _up(victim)
    seen = api.until(task, lambda each: each["resting"] and each["status"] != "asked")
    assert seen["status"] == "in_review"
    api.post(f"/tasks/{task}/replies", answer, "ada")
    more = {"text": "and look at double", "message_id": "three"}
    api.post(f"/tasks/{task}/replies", more, "ada")
    seen = api.until(task, lambda each: each["resting"] and len(each["runs"]) == 2)
    api.post(f"/tasks/{task}/approval", {"subject": seen["subject"]}, "grace")
    assert api.until(task, lambda each: each["ended"] and each["resting"])["status"] == "merged"
    assert api.post(f"/tasks/{task}/replies", more, "ada")["status"] == "merged"
    assert len(api.get(f"/tasks/{task}")["runs"]) == 2
    assert victim.stop() == 0
    assert check(victim.home, {}, {task: "merged"}) == []
