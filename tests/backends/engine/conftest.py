"""Real worker processes over both databases."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.backends.engine.engine_process import work
from tests.support.postgres import PostgresServer, running_postgres

_FORKS = multiprocessing.get_context("forkserver")  # a fresh interpreter for each worker would cost a second each
_FORKS.set_forkserver_preload(["__main__", "tests.backends.engine.engine_process"])


class WorkerProcess:
    """A worker in a process of its own; each method is one order and its answer."""

    def __init__(self, settings: dict[str, object]) -> None:
        self.settings = settings
        self.folder = Path(str(settings["folder"]))
        self._orders, theirs = _FORKS.Pipe()
        self.process = _FORKS.Process(target=work, args=(settings, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, *words: str) -> object:
        self.tell(*words)
        return self.answer()

    def tell(self, *words: str) -> None:
        self._orders.send(words)

    def answer(self) -> object:
        assert self._orders.poll(20), "no answer"
        return self._orders.recv()

    def launch(self) -> "WorkerProcess":
        assert self.ask("launch") == "ok"
        return self

    def signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.process.kill()
        self.process.join(10)

    def end(self) -> None:
        self.kill()
        self.process.close()
        self._orders.close()

    def journal(self, task_id: str) -> list[str]:
        file = self.folder / f"{task_id}.journal"
        return file.read_text().splitlines() if file.exists() else []

    def await_line(self, task_id: str, line: str, seconds: float = 15.0) -> list[str]:
        """Wait until ``line`` stands in the task's journal; return the journal."""
        deadline = time.monotonic() + seconds
        while line not in (lines := self.journal(task_id)):
            assert time.monotonic() < deadline, f"{line!r} didn't come: {lines}"
            time.sleep(0.02)
        return lines


Starter = Callable[..., WorkerProcess]


@pytest.fixture(scope="session")
def engine_postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/engine.db"
    server: PostgresServer = request.getfixturevalue("engine_postgres")
    return server.new_database()


@pytest.fixture
def start_worker(database_url: str, tmp_path: Path) -> Iterator[Starter]:
    """Start a worker process of this test's cell."""
    with ExitStack() as stack:

        def start(worker: str = "w1", region: str = "eu-de", **more: object) -> WorkerProcess:
            settings: dict[str, object] = {
                "region": region, "url": database_url, "worker": worker, "folder": str(tmp_path),
                "state": str(tmp_path / f"state-{region}"), **more,
            }  # fmt: skip
            process = WorkerProcess(settings)
            stack.callback(process.end)
            return process

        yield start
