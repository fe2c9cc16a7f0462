"""The central flow over PostgreSQL: the same program, another database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flow_stage import Stage, cli, environment, script, start_stage

from tests.support.postgres import PostgresServer, running_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running_postgres() as running:
        yield running


def test_a_task_from_the_request_to_the_merge_over_a_restart(server: PostgresServer, tmp_path: Path) -> None:
    url = server.new_database()
    home = tmp_path / "home"
    stage = start_stage(home, env={"GREYLAG_DATABASE_URL": url})
    try:
        name = stage.calc(tmp_path)
        task = stage.ask(
            "adding subtracts, fix it", name, script("sed -i 's/a - b/a + b/' calc.py", "echo '# Zwiebel'")
        )
        assert task["status"] == "in_review", stage.thread(task["task_id"])
        task = stage.reply(task["task_id"], "say that it is mended")
        tokens = stage.tokens
    finally:
        stage.stop()

    stage = start_stage(home, env={"GREYLAG_DATABASE_URL": url}, tokens=tokens)
    try:
        _merge(stage, name, task, tmp_path)
        verified = stage.cli("ledger", "verify", "--json")
        assert (verified.code, verified.json["intact"]) == (0, True), verified.err
        assert verified.json["entries"] == len(stage.ledger())
        second = cli(tmp_path / "other", "up", "--port", "0", env=stage.env)
        assert (second.code, second.err.startswith("GL-ENGINE-006")) == (1, True), second.err  # it has other keys
        assert stage.get("/health")["status"] == "ok"
    finally:
        stage.stop()
    assert [path.name for path in home.rglob("*.db")] == []


def _merge(stage: Stage, name: str, task: dict[str, str], folder: Path) -> None:
    done = stage.approve(task)
    assert done["status"] == "merged", stage.thread(task["task_id"])
    assert "a + b" in (stage.clone(name, folder / "copy") / "calc.py").read_text()


def test_a_database_that_is_not_there_is_said(tmp_path: Path, server: PostgresServer) -> None:
    wrong = server.url("nothing_of_this_name")
    answer = cli(tmp_path / "home", "up", "--port", "0", env=environment(tmp_path / "home", GREYLAG_DATABASE_URL=wrong))

    assert answer.code == 1
    assert answer.err.startswith("GL-STORE-0"), answer.err
    assert "next:" in answer.err
