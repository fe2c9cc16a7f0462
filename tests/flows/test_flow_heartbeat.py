"""Never a silence on a whole platform: while a task waits for a sandbox, and while its checks run."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flow_stage import CALC, MEND, Stage, script, staged

SETTINGS = "[bounds]\nheartbeat_seconds = 1.0\nparallel_runs = 1\n"
SLOW = {**CALC, "test_slow.py": "import time\n\n\ndef test_slow():\n    time.sleep(3)\n"}
_BEAT = re.compile(r"still at it: (.+) for \d+ s")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A platform with one sandbox at a time, whose heart beats each second."""
    with staged(SETTINGS) as running:
        yield running


def test_who_waits_for_a_sandbox_and_for_checks_hears_of_it(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path, SLOW)
    body = {"text": "adding subtracts, fix it", "repository": name, "agent": "command"}
    first = str(stage.post("/tasks", {**body, "command": script("sleep 4")})["task_id"])
    stage.until(first, lambda task: task["status"] == "working")
    second = str(stage.post("/tasks", {**body, "command": list(MEND)})["task_id"])
    task = stage.rest(second)
    assert task["status"] == "in_review", stage.thread(second)
    told = [found.group(1) for said in stage.messages(second) if (found := _BEAT.fullmatch(said["text"]))]
    assert "waiting for a free sandbox" in told, stage.thread(second)
    assert "checks run" in told, stage.thread(second)
    assert told.index("waiting for a free sandbox") < told.index("checks run")
