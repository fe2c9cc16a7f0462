"""One worker process under test: obeys orders from a pipe and answers each.

What its workflow does is in the task's id: ``steps`` runs a → b → c, where b waits for the file ``go``; ``wait<N>``
waits N seconds between two steps; ``kill`` dies in its step; ``raise`` fails; ``own`` checks what workflows see.
"""

import asyncio
import os
import signal
import threading
import warnings
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

from greylag.adapters.engine.backends.dbos import DbosEngine
from greylag.adapters.engine.port import Flow
from greylag.domain.errors import BackendError, GreylagError, PolicyRefused
from greylag.domain.ids import TaskId


class Worker:
    def __init__(self, settings: dict[str, object]) -> None:
        self.folder = Path(str(settings["folder"]))
        self.worker = str(settings["worker"])
        self.engine = DbosEngine(
            str(settings["region"]),
            str(settings["url"]),
            self.worker,
            Path(str(settings["state"])),
            poll_seconds=0.05,
            reap_seconds=float(str(settings.get("reap", 0.2))),
        )
        self.bound = asyncio.Lock()
        self.seen: list[object] = []

    def note(self, task_id: str, what: str) -> None:
        with (self.folder / f"{task_id}.journal").open("a") as journal:
            journal.write(f"{self.worker} {what}\n")

    async def step(self, flow: Flow, name: str, until: str = "", answer: str = "") -> str:
        async def work() -> str:
            async with self.bound:  # bound to the loop: used from another one this raises
                self.note(flow.task_id, f"begin {name}")
            while until and not (self.folder / until).exists():
                await asyncio.sleep(0.01)
            self.note(flow.task_id, f"end {name}")
            return answer or name

        return await flow.step(name, work)

    async def workflow(self, flow: Flow) -> None:
        kind = flow.task_id.split("_")[1]
        if kind == "steps":
            for name in ("a", "b", "c"):
                await self.step(flow, name, until="go" if name == "b" else "")
        elif kind.startswith("wait"):
            await self.step(flow, "before")
            woken = await flow.wait(float(kind[4:]))
            await self.step(flow, f"after-{woken}")
        elif kind == "kill":
            self.note(flow.task_id, "begin kill")
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "raise":
            raise PolicyRefused("GL-X-001", "not there", "go elsewhere", decision_id="dec_1", rules=("r1",))
        elif kind == "errors":
            await self.errors(flow)
        await self.step(flow, "done")

    async def errors(self, flow: Flow) -> None:
        """Fail in three ways; after a restart the same errors must come again, without their steps being run."""

        def failing(error: Exception) -> Callable[[], Awaitable[str]]:
            async def work() -> str:
                self.note(flow.task_id, f"raise {type(error).__name__}")
                raise error

            return work

        refused = PolicyRefused("GL-X-001", "no", "else", decision_id="dec_1", rules=("r1", "r2"))
        for error in (refused, BackendError("GL-X-002", "down", "wait", transient=True), ValueError("odd")):
            try:
                await flow.step("failing", failing(error))
            except PolicyRefused as caught:
                self.note(flow.task_id, f"caught {caught.code} {caught.decision_id} {caught.rules} {error is caught}")
            except BackendError as caught:
                self.note(flow.task_id, f"caught {caught.code} {caught.transient} {error is caught}")
            except ValueError as caught:
                self.note(flow.task_id, f"caught ValueError {error is caught}")
        await flow.wait(3600)

    async def obey(self, command: str, *words: str) -> object:
        if command == "launch":
            await self.engine.launch(self.workflow)
        elif command == "start":
            self.engine.start(TaskId(words[0]))
        elif command == "wake":
            self.engine.wake(TaskId(words[0]), words[1])
        elif command == "running":
            return sorted(self.engine.running())
        elif command == "failed":
            return dict(self.engine.failed())
        elif command == "close":
            before = asyncio.get_running_loop().time()
            await self.engine.close()
            return asyncio.get_running_loop().time() - before
        return "ok"


async def obey_all(settings: dict[str, object], orders: Connection) -> None:
    loop = asyncio.get_running_loop()
    received: asyncio.Queue[list[str]] = asyncio.Queue()

    def read() -> None:
        while True:
            try:
                loop.call_soon_threadsafe(received.put_nowait, orders.recv())
            except EOFError:
                os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    worker = Worker(settings)
    while True:
        words = await received.get()
        try:
            answer = await worker.obey(*words)
        except GreylagError as error:
            answer = {"error": error.code, "text": str(error)}
        orders.send(answer)


def work(settings: dict[str, object], orders: Connection) -> None:
    """Be the worker until killed."""
    warnings.simplefilter("error")
    asyncio.run(obey_all(settings, orders))
