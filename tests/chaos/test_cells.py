"""Cells: one region's work stays in that region, one process serves a home, and waits outlive every process."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from tests.chaos.driver import Api, Victim, write_settings
from tests.chaos.invariants import check, orphans_are_gone
from tests.flows.flow_stage import CALC, MEND, make_repository, script
from tests.support.postgres import PostgresServer, running_postgres

_SED = "sed -i 's/a - b/a + b/' calc.py"
_SLOWLY = script("sleep 3", _SED)
_REAPED_SECONDS = 7.0  # a worker looks for runs of dead ones every five seconds

Place = Callable[..., Victim]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running_postgres() as running:
        yield running


@pytest.fixture
def place() -> Iterator[Place]:
    """Make a victim in a folder of its own, or in a given one; at the end nothing runs any more."""
    with ExitStack() as stack:

        def make(
            region: str = "local", worker: str = "worker-1", url: str = "", folder: Any = None, more: str = ""
        ) -> Victim:
            if folder is None:
                folder = stack.enter_context(TemporaryDirectory(prefix="glcell-", ignore_cleanup_errors=True))
            victim = Victim(Path(folder), {"GREYLAG_DATABASE_URL": url} if url else {})
            write_settings(victim.home, region, worker, more)
            stack.callback(_ended, victim)
            return victim

        yield make


def _ended(victim: Victim) -> None:
    if victim.process is not None and victim.process.poll() is None:
        victim.kill()


def _up(victim: Victim) -> Api:
    victim.start()
    assert victim.wait_ready(), (victim.folder / "output").read_text()
    return Api(victim, patience=60.0)


def _settled(api: Api, repository: str) -> None:
    """People and a repository of this region."""
    for name, roles in (("ada", ["requester"]), ("grace", ["requester", "reviewer", "operator"])):
        api.post("/people", {"name": name, "roles": roles}, "grace")
    source = make_repository(api.victim.folder / repository, CALC)
    api.post("/repositories", {"name": repository, "source": str(source)}, "grace")


def _ask(api: Api, repository: str, message_id: str, command: list[str] = _SLOWLY) -> str:
    body = {
        "text": "fix add", "repository": repository, "agent": "command", "command": command, "message_id": message_id,
    }  # fmt: skip
    return str(api.post("/tasks", body, "ada")["task_id"])


def _working(task: Any) -> bool:
    return bool(task["status"] == "working")


def _resting(task: Any) -> bool:
    return bool(task["resting"])


def _closed(task: Any) -> bool:
    return bool(task["ended"] and task["resting"])


def _approved(api: Api, task_id: str) -> Any:
    task = api.until(task_id, _resting)
    assert task["status"] == "in_review", api.get(f"/tasks/{task_id}/messages")
    api.post(f"/tasks/{task_id}/approval", {"subject": task["subject"]}, "grace")
    return api.until(task_id, _closed)


def test_a_task_never_leaves_its_region(place: Place, server: PostgresServer) -> None:
    """Two regions on one PostgreSQL database: the living one leaves the dead one's runs alone, also after minutes."""
    url = server.new_database()
    eu, us = place("eu", url=url), place("us", url=url)
    in_eu, in_us = _up(eu), _up(us)
    _settled(in_eu, "calc-eu")
    _settled(in_us, "calc-us")
    task = _ask(in_eu, "calc-eu", "one")
    in_eu.until(task, _working)
    eu.kill()
    before = in_us.get(f"/tasks/{task}")["sequence"]
    other = _ask(in_us, "calc-us", "two")
    time.sleep(_REAPED_SECONDS)
    assert in_us.get(f"/tasks/{task}")["sequence"] == before, "the other region went on with it"
    for path, body in (
        ("approval", {"subject": ""}), ("replies", {"text": "and that"}), ("stop", {"reason": "no"}),
        ("rejection", {"reason": "no"}),
    ):  # fmt: skip
        assert in_us.post(f"/tasks/{task}/{path}", body, "grace", ("GL-REGION-001",))["code"] == "GL-REGION-001"
    body = {"name": "calc-eu", "source": str(us.folder / "calc-us")}
    assert in_us.post("/repositories", body, "grace", ("GL-REGION-002",))["code"] == "GL-REGION-002"
    assert _approved(in_us, other)["status"] == "merged"
    in_eu = _up(eu)
    assert _approved(in_eu, task)["status"] == "merged"
    assert (eu.stop(), us.stop()) == (0, 0)
    assert check(eu.home, eu.env, {task: "merged"}) == []
    assert check(us.home, us.env, {other: "merged"}) == []
    assert orphans_are_gone(eu.orphans, eu.home) == []
    assert {"greylag_engine_eu", "greylag_engine_us", "greylag_cell_eu", "greylag_cell_us"} <= _schemas(url)
    keys = {
        (victim.home / "cells" / region / "keys" / "signing.key").read_bytes()
        for victim, region in ((eu, "eu"), (us, "us"))
    }
    assert len(keys) == 2


def _schemas(url: str) -> set[str]:
    parsed = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(parsed) as connection:
        return {row[0] for row in connection.execute("SELECT nspname FROM pg_namespace").fetchall()}


def test_a_home_that_changes_its_region_leaves_the_old_ones_tasks_alone(place: Place) -> None:
    """On SQLite two regions meet where an operator renames the region of a home: one control plane, two cells."""
    eu = place("eu")
    api = _up(eu)
    _settled(api, "calc-eu")
    task = _ask(api, "calc-eu", "one")
    api.until(task, _working)
    eu.kill()
    write_settings(eu.home, "us")
    api = _up(eu)
    before = api.get(f"/tasks/{task}")["sequence"]
    time.sleep(_REAPED_SECONDS)
    assert api.get(f"/tasks/{task}")["sequence"] == before
    assert eu.stop() == 0
    write_settings(eu.home, "eu")
    api = _up(eu)
    assert _approved(api, task)["status"] == "merged"
    assert eu.stop() == 0
    assert check(eu.home, eu.env, {task: "merged"}) == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_another_worker_takes_over_what_a_dead_one_had(place: Place, request: pytest.FixtureRequest, kind: str) -> None:
    """The first worker dies for good; one of another name on its home finishes its tasks, nothing twice."""
    url = request.getfixturevalue("server").new_database() if kind == "postgresql" else ""
    first = place("eu", "worker-1", url)
    api = _up(first)
    _settled(api, "calc")
    working, waiting = _ask(api, "calc", "working", script("sleep 6", _SED)), _ask(api, "calc", "waiting")
    api.until(waiting, _resting)
    api.until(working, lambda task: task["sequence"] >= 4)
    first.kill()
    second = place("eu", "worker-2", url, first.folder)
    api = _up(second)
    assert api.until(working, _resting)["status"] == "in_review"
    assert _approved(api, waiting)["status"] == "merged"
    api.post(f"/tasks/{working}/stop", {"reason": "the other one is in"}, "ada")
    assert api.until(working, _closed)["status"] == "cancelled"
    assert second.stop() == 0
    assert orphans_are_gone(first.orphans, first.home) == []
    assert check(second.home, second.env, {working: "cancelled", waiting: "merged"}) == []


def test_a_second_process_in_a_cell_is_refused(place: Place, server: PostgresServer) -> None:
    """Forge, sandboxes and services of a home belong to one process; another home has other keys."""
    url = server.new_database()
    first, stranger = place("eu", "worker-1", url), place("eu", "worker-2", url)
    api = _up(first)
    _settled(api, "calc")
    task = _ask(api, "calc", "one")
    assert _refusal(place("eu", "worker-2", url, first.folder)).startswith("GL-HOME-003")
    assert _refusal(stranger).startswith("GL-ENGINE-006")
    assert _approved(api, task)["status"] == "merged"
    assert first.stop() == 0
    assert check(first.home, first.env, {task: "merged"}) == []


def _refusal(victim: Victim) -> str:
    """Start a platform that must not start; return its last error."""
    offset = (victim.folder / "output").stat().st_size if (victim.folder / "output").exists() else 0
    victim.start()
    assert victim.process is not None
    try:
        code = victim.process.wait(60)
    except subprocess.TimeoutExpired:
        victim.kill()
        pytest.fail("it started")
    said = (victim.folder / "output").read_bytes()[offset:].decode()
    assert code != 0
    assert "Traceback" not in said, said
    return said


def test_a_wait_outlives_processes_and_its_end_is_a_no(place: Place) -> None:
    """The deadline of a review stands whatever is killed meanwhile, and passes also while nothing runs at all."""
    seconds = 6.0
    victim = place(more=f"\n[bounds]\nreview_days = {seconds / 86400}\n")
    api = _up(victim)
    _settled(api, "calc")
    task = _ask(api, "calc", "up", list(MEND))
    api.until(task, _resting)
    asked = time.monotonic()
    victim.kill()
    api = _up(victim)
    assert api.get(f"/tasks/{task}")["status"] == "in_review"
    ended = api.until(task, _closed)
    assert ended["status"] == "expired"
    assert seconds - 2 < time.monotonic() - asked < seconds + 10
    late = api.post(f"/tasks/{task}/approval", {"subject": ended["subject"]}, "grace", ("GL-APPROVE-002",))
    assert late["code"] == "GL-APPROVE-002"

    slept = _ask(api, "calc", "down", list(MEND))
    api.until(slept, _resting)
    victim.kill()
    time.sleep(seconds + 1)
    api = _up(victim)
    assert api.until(slept, _closed)["status"] == "expired"
    assert victim.stop() == 0
    assert check(victim.home, {}, {task: "expired", slept: "expired"}) == []
