"""The engine's promises against real processes that are really killed, over SQLite and PostgreSQL alike."""

import signal
import time

from tests.backends.engine.conftest import Starter, WorkerProcess


def lines(journal: list[str], worker: str = "w1") -> list[str]:
    return [line.removeprefix(f"{worker} ") for line in journal]


def until(process: WorkerProcess, command: str, wanted: object, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while (got := process.ask(command)) != wanted:
        assert time.monotonic() < deadline, f"{command}: {got!r}, wanted {wanted!r}"
        time.sleep(0.05)


def test_killed_in_the_middle_of_a_step_and_restarted(start_worker: Starter) -> None:
    first = start_worker().launch()
    first.ask("start", "task_steps_1")
    first.await_line("task_steps_1", "w1 begin b")
    first.kill()
    second = start_worker().launch()
    second.await_line("task_steps_1", "w1 begin b", 5)
    while lines(second.journal("task_steps_1")).count("begin b") < 2:
        time.sleep(0.02)
    (second.folder / "go").touch()
    journal = lines(second.await_line("task_steps_1", "w1 end done"))
    assert journal == [
        "begin a", "end a", "begin b", "begin b", "end b", "begin c", "end c", "begin done", "end done",
    ]  # fmt: skip
    until(second, "running", [])
    assert second.ask("failed") == {}


def test_killed_between_steps_while_it_waits(start_worker: Starter) -> None:
    first = start_worker().launch()
    first.ask("start", "task_wait600_1")
    first.await_line("task_wait600_1", "w1 end before")
    time.sleep(0.3)
    first.kill()
    outside = start_worker("outside")
    assert outside.ask("wake", "task_wait600_1", "while nobody works") == "ok"
    second = start_worker().launch()
    journal = lines(second.await_line("task_wait600_1", "w1 end done"))
    assert journal == ["begin before", "end before", "begin after-True", "end after-True", "begin done", "end done"]


def test_a_wake_that_comes_before_the_wait_is_kept_and_the_same_key_wakes_once(start_worker: Starter) -> None:
    worker = start_worker()
    worker.ask("start", "task_wait600_2")  # before launch: kept
    worker.ask("wake", "task_wait600_2", "k")
    worker.ask("wake", "task_wait600_2", "k")
    worker.launch()
    worker.await_line("task_wait600_2", "w1 begin after-True")
    worker.ask("start", "task_wait1_3")
    worker.await_line("task_wait1_3", "w1 begin after-False")


def test_started_twice_is_started_once_also_after_its_end(start_worker: Starter) -> None:
    worker = start_worker().launch()
    (worker.folder / "go").touch()
    for _ in range(3):
        worker.ask("start", "task_steps_2")
    journal = worker.await_line("task_steps_2", "w1 end done")
    until(worker, "running", [])
    outside = start_worker("outside")
    outside.ask("start", "task_steps_2")
    time.sleep(0.5)
    assert worker.journal("task_steps_2") == journal
    assert lines(journal).count("begin a") == 1


def test_the_deadline_of_a_wait_is_absolute(start_worker: Starter) -> None:
    first = start_worker().launch()
    first.ask("start", "task_wait2_1")
    first.await_line("task_wait2_1", "w1 end before")
    begun = time.monotonic()
    time.sleep(0.6)
    first.kill()
    time.sleep(0.6)
    second = start_worker().launch()
    second.await_line("task_wait2_1", "w1 begin after-False")
    assert 1.9 <= time.monotonic() - begun < 3.1


def test_two_processes_of_one_name_are_refused_until_the_first_is_gone(start_worker: Starter) -> None:
    first = start_worker().launch()
    second = start_worker()
    refused = second.ask("launch")
    assert isinstance(refused, dict)
    assert refused["error"] == "GL-ENGINE-001"
    assert "`w1`" in refused["text"]
    first.kill()
    assert second.ask("launch") == "ok"


def test_a_dead_workers_run_is_taken_over_and_goes_on_where_it_was(start_worker: Starter) -> None:
    first = start_worker("w1").launch()
    first.ask("start", "task_steps_3")
    first.ask("start", "task_wait600_3")
    first.await_line("task_steps_3", "w1 begin b")
    first.await_line("task_wait600_3", "w1 end before")
    time.sleep(0.2)
    first.kill()
    second = start_worker("w2").launch()
    (second.folder / "go").touch()
    journal = second.await_line("task_steps_3", "w2 end done")
    assert journal[:3] == ["w1 begin a", "w1 end a", "w1 begin b"]
    assert journal[3] == "w2 begin b"
    second.ask("wake", "task_wait600_3", "k")
    assert "w2 begin before" not in second.await_line("task_wait600_3", "w2 end done")


def test_a_worker_that_only_stands_still_keeps_its_runs(start_worker: Starter) -> None:
    first = start_worker("w1").launch()
    first.ask("start", "task_steps_4")
    first.await_line("task_steps_4", "w1 begin b")
    first.signal(signal.SIGSTOP)
    second = start_worker("w2").launch()
    time.sleep(1.0)
    first.signal(signal.SIGCONT)
    (second.folder / "go").touch()
    journal = first.await_line("task_steps_4", "w1 end done")
    assert not [line for line in journal if line.startswith("w2")]


def test_a_run_that_kills_its_workers_is_ended(start_worker: Starter) -> None:
    starter = start_worker("starter")
    starter.ask("start", "task_kill_1")
    for number in range(6):  # the first run and five takeovers
        victim = start_worker(f"victim{number}")
        victim.tell("launch")
        victim.process.join(15)
    last = start_worker("last").launch()
    until(last, "running", [])
    failed = last.ask("failed")
    assert isinstance(failed, dict)
    assert "outlived too many workers" in failed["task_kill_1"]
    assert len(last.journal("task_kill_1")) == 6


def test_errors_of_steps_come_again_after_a_restart(start_worker: Starter) -> None:
    first = start_worker().launch()
    first.ask("start", "task_errors_1")
    live = lines(first.await_line("task_errors_1", "w1 caught ValueError True"))
    same = ["caught GL-X-001 dec_1 ('r1', 'r2')", "caught GL-X-002 True"]
    assert [line for line in live if line.startswith("caught")] == [
        *(f"{s} True" for s in same),
        "caught ValueError True",
    ]
    time.sleep(0.2)
    first.kill()
    second = start_worker().launch()
    second.await_line("task_errors_1", "w1 caught GL-ENGINE-004 False False")
    assert lines(second.journal("task_errors_1"))[len(live) :] == [
        *(f"{s} False" for s in same), "caught GL-ENGINE-004 False False",
    ]  # fmt: skip


def test_an_uncaught_error_is_told(start_worker: Starter) -> None:
    worker = start_worker().launch()
    worker.ask("start", "task_raise_1")
    until(worker, "failed", {"task_raise_1": "GL-X-001: not there Next: go elsewhere"})
    assert worker.ask("running") == []


def test_closing_is_quick_with_work_under_way_and_the_next_launch_goes_on(start_worker: Starter) -> None:
    worker = start_worker().launch()
    for number in range(20):
        worker.ask("start", f"task_wait600_{number}")
    worker.ask("start", "task_steps_5")
    worker.await_line("task_steps_5", "w1 begin b")
    worker.await_line("task_wait600_19", "w1 end before")
    seconds = worker.ask("close")
    assert isinstance(seconds, float)
    assert seconds < 2
    (worker.folder / "go").touch()
    worker.launch()  # again in the same process
    worker.await_line("task_steps_5", "w1 end done")
    until(worker, "running", sorted(f"task_wait600_{number}" for number in range(20)))
    for number in range(20):
        worker.ask("wake", f"task_wait600_{number}", "k")
    until(worker, "running", [])


def test_cells_never_run_each_others_tasks(start_worker: Starter) -> None:
    """Two regions, here even on one and the same database server and worker name."""
    eu = start_worker("w1", "eu-de")
    us = start_worker("w1", "us-va", url=_other(eu))
    us.ask("start", "task_steps_us")
    us.ask("wake", "task_steps_us", "k")
    eu.launch()
    (eu.folder / "go").touch()
    eu.ask("start", "task_steps_eu")
    eu.await_line("task_steps_eu", "w1 end done")
    time.sleep(0.5)
    assert eu.journal("task_steps_us") == []
    assert us.ask("running") == ["task_steps_us"]
    us.launch()
    us.await_line("task_steps_us", "w1 end done")


def _other(worker: WorkerProcess) -> str:
    settings = worker.settings["url"]
    assert isinstance(settings, str)
    return settings.replace("engine.db", "engine-us.db")


def test_a_foreign_key_is_refused_before_it_can_do_harm(start_worker: Starter) -> None:
    first = start_worker()
    first.ask("start", "task_wait600_1")
    stranger = start_worker("w2", state=str(first.folder / "elsewhere"))
    for command in (("launch",), ("start", "task_wait600_2")):
        refused = stranger.ask(*command)
        assert isinstance(refused, dict)
        assert refused["error"] == "GL-ENGINE-006"
    first.launch()
    first.await_line("task_wait600_1", "w1 end before")


def test_many_processes_may_begin_the_same_database_at_once(start_worker: Starter) -> None:
    workers = [start_worker(f"w{number}") for number in range(3)]
    for worker in workers:
        worker.tell("launch")
    assert [worker.answer() for worker in workers] == ["ok"] * 3
