"""The story with its wrong turns: red, follow-ups, stops, refusals, questions, and words said twice."""

import time
from pathlib import Path

import pytest
from flow_stage import CALC, MEND, Stage, git, make_repository, script

WAITS = script("touch begun", "sleep 60")


def test_red_to_the_end_is_handed_over_and_a_reply_makes_it_green(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    # Does nothing right until the requester says the word.
    agent = script(
        "grep -q PLEASE $GREYLAG_PROMPT_FILE && sed -i 's/a - b/a + b/' calc.py || echo '# no' >> calc.py",
    )

    task = stage.ask("adding subtracts, fix it", name, agent)

    assert task["status"] == "handed_over"
    assert [run["status"] for run in task["runs"]] == ["turned_back"] * 3
    assert "test_add" in stage.thread(task["task_id"])
    assert "I need a person" in stage.thread(task["task_id"])

    task = stage.reply(task["task_id"], "turn the sign round, PLEASE")

    assert task["status"] == "in_review"
    assert [(run["round"], run["status"]) for run in task["runs"]][-1] == (2, "passed")
    assert stage.approve(task)["status"] == "merged"


def test_what_is_said_while_the_agent_runs_comes_as_the_next_round(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    agent = script(
        "sed -i 's/a - b/a + b/' calc.py",
        'if grep -q "a note" "$GREYLAG_PROMPT_FILE"; then echo "# noted" >> calc.py; else sleep 3; fi',
    )
    task_id = stage.start("adding subtracts, fix it", name, agent)
    stage.until(task_id, lambda task: task["status"] == "working")

    stage.post(f"/tasks/{task_id}/replies", {"text": "leave a note"})
    task = stage.rest(task_id)

    assert [run["round"] for run in task["runs"]] == [1, 2]
    assert b"+# noted" in stage.content(task_id, "diff")
    assert "Noted; it comes next." in stage.thread(task_id)


def test_a_stop_while_the_agent_runs_ends_it_at_once_and_pushes_nothing(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    task_id = stage.start("adding subtracts, fix it", name, WAITS)
    workspaces = stage.home / "cells" / "local" / "workspaces" / task_id
    stage.until(task_id, lambda _: any(workspaces.glob("*/begun")))

    began = time.monotonic()
    stage.post(f"/tasks/{task_id}/stop", {"reason": "never mind"})
    task = stage.rest(task_id)

    assert time.monotonic() - began < 5
    assert task["status"] == "cancelled"
    assert not workspaces.exists()
    assert "ChangePushed" not in stage.kinds(task_id)
    copy = stage.clone(name, tmp_path / "copy")
    assert git(copy, "ls-remote", "--heads", "origin").split()[1:] == ["refs/heads/main"]
    again = stage.refused(f"/tasks/{task_id}/stop", {})
    assert (again["code"], again["status"]) == ("GL-TASK-004", 409)
    assert "roll back" not in again["remedy"]


def test_a_stop_while_the_checks_run_ends_them_at_once(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path, verify=[["sleep", "60"]])
    task_id = stage.start("adding subtracts, fix it", name)
    stage.until(task_id, lambda task: task["runs"] and task["runs"][-1]["status"] == "finished")

    began = time.monotonic()
    stage.post(f"/tasks/{task_id}/stop", {})
    task = stage.rest(task_id)

    assert time.monotonic() - began < 5
    assert task["status"] == "cancelled"


def test_a_rejected_change_is_merged_by_nobody(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    task = stage.ask("adding subtracts, fix it", name)

    stage.post(f"/tasks/{task['task_id']}/rejection", {"reason": "not like this"}, by="grace")
    after = stage.rest(task["task_id"])

    assert (after["status"], after["outcome"]) == ("rejected", "not like this")
    assert "not like this" in stage.thread(task["task_id"])
    assert stage.refused(f"/tasks/{task['task_id']}/approval", {}, by="grace")["code"] == "GL-APPROVE-002"
    assert "a - b" in (stage.clone(name, tmp_path / "copy") / "calc.py").read_text()


def test_two_repositories_that_fit_are_one_question_with_a_picker(stage: Stage, tmp_path: Path) -> None:
    first = stage.calc(tmp_path, keywords=["sums"])
    second = stage.calc(tmp_path, keywords=["sums"])

    task = stage.ask("the sums are wrong, fix them")

    assert task["status"] == "asked", stage.thread(task["task_id"])
    assert {first, second} <= set(task["choices"])
    assert stage.refused(f"/tasks/{task['task_id']}/replies", {"text": "the blue one"})["code"] == "GL-INTAKE-003"
    task = stage.reply(task["task_id"], second.upper())
    assert (task["status"], task["repository"]) == ("in_review", second)


def test_a_question_can_be_stopped_instead_of_answered(stage: Stage, tmp_path: Path) -> None:
    stage.calc(tmp_path)
    stage.calc(tmp_path)
    task = stage.ask("something is wrong somewhere, fix it")
    assert task["status"] == "asked", stage.thread(task["task_id"])

    stage.post(f"/tasks/{task['task_id']}/stop", {})

    assert stage.rest(task["task_id"])["status"] == "cancelled"


def test_the_same_message_twice_is_one_task(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)

    first = stage.start("adding subtracts, fix it", name, message_id="m-1")
    second = stage.start("adding subtracts, fix it", name, message_id="m-1")
    other = stage.start("adding subtracts, fix it", name, message_id="m-1", channel="web")

    assert first == second != other
    assert stage.rest(first)["status"] == stage.rest(other)["status"] == "in_review"
    assert stage.kinds(first).count("TaskReceived") == 1
    assert [said["author"] for said in stage.messages(first)].count("ada") == 1


@pytest.mark.parametrize(
    ("agent", "seen"),
    [
        (script("true"), "The agent changed nothing"),
        (script("echo looking; echo 'no idea' >&2; exit 7"), "no idea"),
        (["no-such-program"], "no-such-program"),
        (script("mkdir sub", "git init -q sub", "echo x > sub/x"), "GL-FORGE-007"),
    ],
)
def test_an_agent_that_leaves_nothing_to_review_hands_over_in_words(
    stage: Stage, tmp_path: Path, agent: list[str], seen: str
) -> None:
    name = stage.calc(tmp_path)

    task = stage.ask("adding subtracts, fix it", name, agent)

    assert task["status"] == "handed_over"
    assert seen in stage.thread(task["task_id"])
    assert "task reply" in stage.thread(task["task_id"])


def test_a_repository_without_tests_is_never_called_verified(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path, {"calc.py": CALC["calc.py"]})

    task = stage.ask("adding subtracts, fix it", name)

    assert task["status"] == "handed_over"
    thread = stage.thread(task["task_id"])
    assert "GL-VERIFY-001" in thread
    assert "--verify" in thread


def test_a_change_that_takes_the_tests_away_does_not_pass(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)

    task = stage.ask("adding subtracts, fix it", name, script("rm test_calc.py"))

    assert task["status"] == "handed_over"
    assert "passed" not in {run["status"] for run in task["runs"]}


def test_a_release_task_takes_main_as_it_stands(stage: Stage, tmp_path: Path) -> None:
    sound = {**CALC, "calc.py": CALC["calc.py"].replace("a - b", "a + b")}
    name = stage.calc(tmp_path, sound)

    task = stage.ask(f"release {name} as it is", name)

    assert (task["intent"], task["status"], task["files"]) == ("release", "in_review", [])
    assert "main as it stands" in task["runs"][0]["detail"] or "pytest" in task["runs"][0]["detail"]
    assert stage.refused(f"/tasks/{task['task_id']}/replies", {"text": "and more"})["code"] == "GL-TASK-003"
    done = stage.approve(task)
    assert done["status"] == "merged"
    assert "Nothing to merge into main" in stage.thread(task["task_id"])


def test_approvals_by_the_wrong_people_or_of_something_else_are_refused(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    task = stage.ask("adding subtracts, fix it", name)
    path = f"/tasks/{task['task_id']}/approval"

    assert stage.refused(path, {}, by="ada")["code"] == "GL-PERSON-002"
    assert stage.refused(path, {}, by="otto")["code"] == "GL-PERSON-002"
    assert stage.refused(path, {}, by="nobody")["code"] == "GL-PERSON-001"
    assert stage.refused(path, {"subject": "sha256:" + "0" * 64}, by="lin")["code"] == "GL-APPROVE-003"
    seen = task["subject"]
    task = stage.reply(task["task_id"], "say that it is mended", by="grace")
    assert task["status"] == "in_review"
    assert task["subject"] != seen
    assert stage.refused(path, {"subject": seen}, by="lin")["code"] == "GL-APPROVE-003"
    assert stage.refused(path, {}, by="grace")["code"] == "GL-APPROVE-001"  # she steered it
    assert stage.approve(task, by="lin")["status"] == "merged"
    assert stage.refused(path, {"subject": task["subject"]}, by="lin")["code"] == "GL-APPROVE-002"


def test_a_main_that_moved_on_voids_the_approval_and_the_change_is_made_again(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path, {**CALC, "notes.md": "notes\n"})
    other = stage.ask("write down that sums were wrong", name, script("echo 'sums' >> notes.md", *_shell(MEND)))
    task = stage.ask("adding subtracts, fix it", name, script(*_shell(MEND), "echo '# right' >> test_calc.py"))
    assert stage.approve(other)["status"] == "merged"

    again = stage.approve(task)

    assert again["status"] == "in_review"
    assert again["subject"] != task["subject"]
    assert again["approved_by"] == []
    assert "The approval is void" in stage.thread(task["task_id"])
    assert (
        stage.refused(f"/tasks/{task['task_id']}/approval", {"subject": task["subject"]}, by="lin")["code"]
        == "GL-APPROVE-003"
    )
    assert stage.approve(again, by="lin")["status"] == "merged"
    copy = stage.clone(name, tmp_path / "copy")
    assert (copy / "notes.md").read_text() == "notes\nsums\n"
    assert (copy / "test_calc.py").read_text().endswith("# right\n")


def test_a_conflict_with_what_was_merged_before_goes_back_to_the_agent(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    mends = script("grep -q 'a - b' calc.py && sed -i 's/a - b/a + b/' calc.py || sed -i 's/a + b/b + a/' calc.py")
    first = stage.ask("adding subtracts, fix it", name, mends)
    second = stage.ask(
        "adding subtracts, fix it again", name, script("sed -i 's/a - b/b + a/' calc.py || true", *mends[2:])
    )
    assert stage.approve(first)["status"] == "merged"

    again = stage.approve(second)

    assert again["status"] == "in_review"
    assert [run["round"] for run in again["runs"]] == [1, 2]
    assert stage.approve(again)["status"] == "merged"
    assert "b + a" in (stage.clone(name, tmp_path / "copy") / "calc.py").read_text()


def _shell(command: tuple[str, ...]) -> tuple[str, ...]:
    import shlex  # noqa: PLC0415 - one place

    return (shlex.join(command),)


def test_a_name_that_is_taken_and_a_task_that_is_not_there_are_said(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    source = make_repository(tmp_path / "other", CALC)

    taken = stage.refused("/repositories", {"name": name, "source": str(source)}, by="grace")
    missing = stage.call("GET", "/tasks/task_00000000000000000000000000")

    assert taken["code"] == "GL-FORGE-001"
    assert (missing.status_code, missing.json()["code"]) == (404, "GL-TASK-001")
