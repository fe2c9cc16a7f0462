"""Steering a task on a whole platform: added to, dropped, queued, taken over, handed back; and never a silence."""

import base64
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_stage import CALC, Stage, git, staged, start_stage

AGENT = (Path(__file__).parents[1] / "assets" / "obedient_agent.py").read_text()
FILES = {**CALC, "agent.py": AGENT}
MENDED = "do: sed -i 's/a - b/a + b/' calc.py"
SETTINGS = "[bounds]\nheartbeat_seconds = 1.0\n"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A platform whose heart beats each second."""
    with staged(SETTINGS) as running:
        yield running


def begin(stage: Stage, tmp_path: Path, *lines: str) -> str:
    """Ask for ``lines`` to be done by the obedient agent, and wait until it is at work."""
    name = stage.calc(tmp_path, FILES)
    body = {"text": "\n".join(lines), "repository": name, "agent": "acp", "command": ["python3", "agent.py"]}
    task_id = str(stage.post("/tasks", body)["task_id"])
    stage.until(task_id, lambda task: any("does " in said["text"] for said in stage.messages(task_id)))
    return task_id


def say(stage: Stage, task_id: str, text: str, **more: str) -> Any:
    return stage.post(f"/tasks/{task_id}/replies", {"text": text, **more})


def until_said(stage: Stage, task_id: str, words: str, seconds: float = 30.0) -> None:
    stage.until(task_id, lambda task: words in stage.thread(task_id), seconds)


def starts(stage: Stage, task_id: str) -> int:
    return stage.kinds(task_id).count("RunStarted")


def test_what_is_added_is_worked_in_by_the_same_run(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "adding subtracts, fix it", "do: sleep 2", MENDED)
    say(stage, task_id, "Also leave a note, please\ndo: echo noted > note.txt")
    assert "Passing it on to the agent." in stage.thread(task_id)
    assert "Told the agent." not in stage.thread(task_id)  # not before it was
    task = stage.rest(task_id)
    assert task["status"] == "in_review", stage.thread(task_id)
    assert task["files"] == ["calc.py", "note.txt"]
    assert starts(stage, task_id) == 1
    assert stage.kinds(task_id).count("RunSteered") == 1
    assert stage.thread(task_id).index("Passing it on") < stage.thread(task_id).index("Told the agent.")
    told = stage.content(task_id, "transcript").decode()
    assert "## Follow-up, said while you work\\n```\\nAlso leave a note" in told
    decisions = [e for e in stage.ledger() if e.get("task_id") == task_id and e.get("stage") == "context"]
    assert len(decisions) >= 2  # the prompt, and what was told later


def test_somebody_elses_words_are_marked_and_they_cannot_approve(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "adding subtracts, fix it", "do: sleep 2", MENDED)
    stage.post(f"/tasks/{task_id}/replies", {"text": "please use a sum"}, by="grace")
    task = stage.rest(task_id)
    assert "(from grace, not the requester)" in stage.content(task_id, "transcript").decode()
    refused = stage.refused(f"/tasks/{task_id}/approval", {"subject": task["subject"]}, by="grace")
    assert refused["code"] == "GL-APPROVE-001"


def test_what_is_queued_waits_for_the_next_round(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "adding subtracts, fix it", "do: sleep 1", MENDED)
    say(stage, task_id, "Then leave a note\ndo: echo noted > note.txt")
    assert "Noted; it comes next." in stage.thread(task_id)
    stage.until(task_id, lambda task: starts(stage, task_id) == 2)
    task = stage.rest(task_id)
    assert (task["status"], task["files"]) == ("in_review", ["calc.py", "note.txt"])
    assert "RunSteered" not in stage.kinds(task_id)
    assert "Told the agent." not in stage.thread(task_id)


def test_the_mode_that_is_named_wins_over_the_words(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "adding subtracts, fix it", "do: sleep 2", MENDED)
    say(stage, task_id, "Then leave a note\ndo: echo noted > note.txt", mode="add")
    task = stage.rest(task_id)
    assert (starts(stage, task_id), task["files"]) == (1, ["calc.py", "note.txt"])
    answer = stage.call("POST", f"/tasks/{task_id}/replies", json={"text": "x", "mode": "whatever"})
    assert answer.status_code == 422 or answer.json()["code"] == "GL-STEER-001"


def test_replacing_drops_what_is_under_way_and_begins_at_the_head(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "do it wrong", "do: echo wrong > wrong.txt; sleep 60")
    since = time.monotonic()
    say(stage, task_id, f"Scrap that, adding subtracts: fix it\n{MENDED}")
    assert "Dropping what is under way; beginning again with this." in stage.thread(task_id)
    task = stage.rest(task_id)
    assert time.monotonic() - since < 45
    assert (task["status"], task["files"]) == ("in_review", ["calc.py"])
    assert [run["status"] for run in task["runs"]] == ["stopped", "passed"]
    prompt = stage.content(task_id, "prompt").decode()
    assert "do it wrong" in prompt  # the request stays pinned
    assert "already holds your previous change" not in prompt


def test_replacing_drops_what_is_up_for_review_too(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "adding subtracts, fix it", "do: echo a > a.txt", MENDED)
    first = stage.rest(task_id)
    assert first["files"] == ["a.txt", "calc.py"]
    task = stage.reply(task_id, f"No, without the file\n{MENDED}")
    assert (task["status"], task["files"]) == ("in_review", ["calc.py"])
    stale = stage.refused(f"/tasks/{task_id}/approval", {"subject": first["subject"]}, by="grace")
    assert stale["code"] == "GL-APPROVE-003"


def test_an_agent_that_cannot_be_told_is_not_said_to_be(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    task_id = stage.start("fix it", name, ["sh", "-c", "echo begun; sleep 2; sed -i 's/a - b/a + b/' calc.py"])
    until_said(stage, task_id, "begun")
    say(stage, task_id, "also something", mode="add")
    assert "Noted; it comes next." in stage.thread(task_id)
    stage.until(task_id, lambda task: starts(stage, task_id) == 2)
    stage.rest(task_id)
    assert "Told the agent." not in stage.thread(task_id)


def test_stop_ends_a_steered_run_within_seconds(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "wait", "do: sleep 60")
    say(stage, task_id, "also wait a little")
    since = time.monotonic()
    stage.post(f"/tasks/{task_id}/stop", {})
    task = stage.rest(task_id)
    assert (task["status"], time.monotonic() - since < 20) == ("cancelled", True)
    assert "Told the agent." not in stage.thread(task_id)


def test_silence_is_broken_by_a_heartbeat(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "adding subtracts, fix it", "do: sleep 4", MENDED)
    stage.rest(task_id)
    beats = [said for said in stage.messages(task_id) if "still at it: the agent works for" in said["text"]]
    assert 2 <= len(beats) <= 8, stage.thread(task_id)
    assert {said["kind"] for said in beats} == {"progress"}
    now = len(stage.messages(task_id))
    time.sleep(2.5)
    assert len(stage.messages(task_id)) == now  # who waits for a person is silent


def test_taken_over_while_it_works_handed_back_and_approved_by_a_third(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "adding subtracts, fix it", "do: echo half > half.txt; sleep 60")
    folder = tmp_path / "mine"
    done = stage.cli("task", "checkout", task_id, "--into", str(folder), "--as", "grace")
    assert done.code == 0, done.out + done.err
    assert "grace takes this over." in done.out
    assert stage.get(f"/tasks/{task_id}")["status"] == "handed_over"
    assert (folder / "half.txt").read_text() == "half\n"
    assert git(folder, "branch", "--show-current").strip() == f"greylag/{task_id.removeprefix('task_')}"
    assert git(folder, "status", "--porcelain") == ""
    assert "Follow" not in git(folder, "log", "--format=%s")
    notes = folder / ".git" / "greylag"
    assert "adding subtracts" in (notes / "prompt.txt").read_text()
    assert "session/prompt" in (notes / "transcript.jsonl").read_text()
    for name in ("config", "greylag/task.json"):  # no credential is left behind
        assert stage.operator not in (folder / ".git" / name).read_text()
    again = stage.cli("task", "checkout", task_id, "--into", str(folder), "--as", "grace")
    assert (again.code, "GL-STEER-008" in again.err) == (2, True)
    assert stage.refused(f"/tasks/{task_id}/takeover", {}, by="ada")["code"] == "GL-STEER-003"

    (folder / "calc.py").write_text((folder / "calc.py").read_text().replace("a - b", "a + b"))
    (folder / "half.txt").unlink()
    (folder / "by_hand.txt").write_bytes(b"made by hand\r\n\xff\x00")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "calc.pyc").write_bytes(b"no")
    back = stage.cli("task", "handback", task_id, str(folder), "--as", "grace")
    assert back.code == 0, back.out + back.err + stage.thread(task_id)
    task = stage.get(f"/tasks/{task_id}")
    assert (task["status"], task["files"]) == ("in_review", ["by_hand.txt", "calc.py"])
    approval = {"subject": task["subject"]}
    for person in ("grace", "ada"):
        problem = stage.refused(f"/tasks/{task_id}/approval", approval, by=person)
        assert problem["code"] in ("GL-APPROVE-001", "GL-PERSON-002")
    assert stage.approve(task, by="lin")["status"] in ("merged", "released")
    clone = stage.clone(task["repository"], tmp_path / "clone")
    assert (clone / "by_hand.txt").read_bytes() == b"made by hand\r\n\xff\x00"


def test_taken_over_from_review_and_handed_back_until_it_passes(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "adding subtracts, fix it", MENDED)
    reviewed = stage.rest(task_id)
    folder = tmp_path / "mine"
    assert stage.cli("task", "checkout", task_id, "--into", str(folder), "--as", "ada").code == 0
    stage.until(task_id, lambda task: task["status"] == "handed_over")
    refused = stage.refused(f"/tasks/{task_id}/approval", {"subject": reviewed["subject"]}, by="lin")
    assert refused["code"] in ("GL-STEER-007", "GL-APPROVE-002")
    # While it is in somebody's hands, what others say waits.
    stage.post(f"/tasks/{task_id}/replies", {"text": "and a note\ndo: echo noted > note.txt"}, by="grace")
    assert "ada works on it by hand" in stage.thread(task_id)
    assert stage.get(f"/tasks/{task_id}")["resting"]
    git(folder, "checkout", "--quiet", "HEAD~1", "--", "calc.py")  # undone, and committed even
    git(folder, "commit", "--quiet", "-m", "Undo")
    (folder / "README.md").write_text("adds\n")
    red = stage.cli("task", "handback", task_id, str(folder), "--as", "ada", "--detach")
    assert red.code == 0, red.out + red.err
    stage.until(task_id, lambda task: "what ada handed back did not pass" in stage.thread(task_id))
    # The note of grace was due next: the agent goes on from what ada made.
    task = stage.rest(task_id)
    assert task["files"] == ["README.md", "calc.py", "note.txt"], stage.thread(task_id)
    assert task["status"] == "in_review"


def test_only_who_took_over_hands_back_and_only_what_fits(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "adding subtracts, fix it", "do: true")
    task = stage.rest(task_id)  # red, for nothing was mended
    assert task["status"] == "handed_over"
    body = {"patch": "", "base_commit": task["base_commit"]}
    assert stage.refused(f"/tasks/{task_id}/handback", body, by="ada")["code"] == "GL-STEER-004"
    stage.post(f"/tasks/{task_id}/takeover", {}, by="ada")
    stage.post(f"/tasks/{task_id}/takeover", {}, by="ada")
    assert stage.kinds(task_id).count("TaskTakenOver") == 1
    assert stage.refused(f"/tasks/{task_id}/handback", body, by="grace")["code"] == "GL-STEER-004"
    assert stage.refused(f"/tasks/{task_id}/takeover", {}, by="lin")["code"] == "GL-PERSON-002"
    elsewhere = {**body, "base_commit": "0" * 40}
    assert stage.refused(f"/tasks/{task_id}/handback", elsewhere, by="ada")["code"] == "GL-STEER-006"
    evil = (
        "diff --git a/.git/hooks/x b/.git/hooks/x\nnew file mode 100755\n--- /dev/null\n+++ b/.git/hooks/x\n"
        "@@ -0,0 +1 @@\n+x\n"
    )
    bad = {**body, "patch": base64.b64encode(evil.encode()).decode()}
    stage.post(f"/tasks/{task_id}/handback", bad, by="ada")
    until_said(stage, task_id, "what ada handed back can't be taken")
    assert stage.rest(task_id)["status"] == "handed_over"
    no_folder = stage.cli("task", "handback", task_id, str(tmp_path), "--as", "ada")
    assert (no_folder.code, "GL-STEER-009" in no_folder.err) == (2, True)


def test_a_word_that_drops_it_all_ends_a_take_over(stage: Stage, tmp_path: Path) -> None:
    task_id = begin(stage, tmp_path, "adding subtracts, fix it", "do: true")
    stage.rest(task_id)
    stage.post(f"/tasks/{task_id}/takeover", {}, by="grace")
    task = stage.reply(task_id, f"Forget that, do it yourself\n{MENDED}")
    assert (task["status"], task["taken_over_by"]) == ("in_review", "")
    body = {"patch": "", "base_commit": task["base_commit"]}
    assert stage.refused(f"/tasks/{task_id}/handback", body, by="grace")["code"] == "GL-STEER-004"


def test_a_crash_in_a_steered_run_loses_nothing_that_was_said() -> None:
    with tempfile.TemporaryDirectory(prefix="glflow-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        stage = start_stage(home, SETTINGS)
        task_id = begin(stage, Path(folder), "adding subtracts, fix it", "do: sleep 1", MENDED)
        say(stage, task_id, "Also leave a note\ndo: sleep 2; echo noted > note.txt")
        until_said(stage, task_id, "Told the agent.")
        say(stage, task_id, "Also leave another\ndo: echo more > more.txt")  # not told yet when the end comes
        stage.process.send_signal(signal.SIGKILL)
        stage.process.wait(10)
        again = start_stage(home, tokens=stage.tokens)
        try:
            task = again.rest(task_id)
            assert task["status"] == "in_review", again.thread(task_id)
            assert task["files"] == ["calc.py", "more.txt", "note.txt"]
            assert starts(again, task_id) == 1
        finally:
            again.stop()
            stage.stop()
