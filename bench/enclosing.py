"""What the two walls around an agent cost: the sandbox, and the gateway between it and a model."""

import asyncio
import json
import resource
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.measuring import Figure, Machine, rounds
from greylag.adapters.models.backends.anthropic import AnthropicUpstream
from greylag.adapters.models.gateway import LocalGateway
from greylag.adapters.models.port import Price, RunGrant, TurnReceipt
from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
from greylag.adapters.sandbox.port import SandboxSpec
from greylag.adapters.sandbox.toolchain import find_toolchain
from greylag.adapters.store.opening import open_cell, open_control
from greylag.app.install.clock import SystemClock
from greylag.app.install.law.lawbook import read_scanner
from greylag.app.whatif.example import made_up_world
from greylag.delivery.governing.discharging import Pseudonyms
from greylag.delivery.governing.labelling import Labels
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.egress.door import Door
from greylag.egress.http import HttpDoor
from greylag.governance.question import Question, Verdict

_PRICE = Price(3_000_000, 15_000_000, 300_000, 3_750_000, "bench", 6_000_000)
_CALLER = Path(__file__).with_name("caller.py")


def measure_sandbox(machine: Machine, quick: bool) -> list[Figure]:
    """Starting and ending `true` in a sandbox with the toolchain, beside starting it bare."""
    toolchain = find_toolchain()
    with tempfile.TemporaryDirectory(prefix="glbench-") as name, asyncio.Runner() as runner:
        folder = Path(name)
        sandbox = BubblewrapSandbox(folder / "state")
        workspace = folder / "workspace"
        workspace.mkdir()
        sandbox.adopt(workspace)
        spec = SandboxSpec(("/bin/true",), workspace, toolchain.mounts, toolchain.env)

        def inside() -> None:
            ended = runner.run(sandbox.run(spec))
            assert ended.exit_code == 0, ended

        def bare() -> None:
            subprocess.run(["/bin/true"], check=True, stdin=subprocess.DEVNULL, env={})

        taken = rounds(machine, 5 if quick else 21, {"sandbox": inside, "bare": bare})
        sandbox.discard(workspace)
    inside_ms, bare_ms = (tuple(each * 1000 for each in taken[name]) for name in ("sandbox", "bare"))
    return [Figure("start and end a program in the sandbox", "ms", inside_ms, "a bare process", bare_ms)]


class _Yes:
    def decide(self, question: Question) -> Verdict:
        return Verdict(True, ("yes",), (), (), (), "bench")


async def _kept(receipt: TurnReceipt) -> None:
    """Take a receipt and do nothing: the event log is not what is measured here."""


def measure_gateway(machine: Machine, quick: bool) -> list[Figure]:
    """One model call by way of the gateway, beside the same call straight to the same stub of an endpoint."""
    calls, count = (20, 3) if quick else (60, 9)
    stub = subprocess.Popen([sys.executable, str(_CALLER), "stub"], stdout=subprocess.PIPE, text=True)
    try:
        assert stub.stdout is not None
        url = stub.stdout.readline().strip()
        with tempfile.TemporaryDirectory(prefix="glbench-") as name, asyncio.Runner() as runner:
            return runner.run(_gateway_figures(machine, Path(name), url, calls, count))
    finally:
        stub.kill()
        stub.wait()


async def _gateway_figures(machine: Machine, folder: Path, url: str, calls: int, count: int) -> list[Figure]:
    control = open_control(f"sqlite:///{folder / 'control.db'}")
    clock = SystemClock()
    ledger = open_cell(
        f"sqlite:///{folder / 'ledger.db'}", private_key=Ed25519PrivateKey.generate(), origin="bench/local",
        clock=clock, witness=control.witness,
    )  # fmt: skip
    upstream = AnthropicUpstream("bench", HttpDoor(url, Stage.PROMPT, "bench"), "bench-key-0000", lambda model: _PRICE)
    today, home = clock.now().date(), folder / "world"
    home.mkdir()
    facts = made_up_world(home, today).book.as_of(today, today)
    pseudonyms = Pseudonyms(secrets.token_bytes(32))
    labels = Labels(read_scanner(), lambda: facts, "local", secrets.token_bytes(32), pseudonyms)
    door = Door(_Yes(), ledger, clock, "local")
    gateway = LocalGateway({"bench": upstream}, door, clock, folder / "gw", sight=labels)
    grant = RunGrant("task_1", "run_1", "local", "bench", Label("internal"), 10**12, 0, 10**6, _kept)
    session = await gateway.open(grant)
    spent: list[float] = []

    async def by_gateway() -> float:
        before = resource.getrusage(resource.RUSAGE_SELF)
        took = await _called("unix", str(session.socket), session.token, calls)
        after = resource.getrusage(resource.RUSAGE_SELF)
        spent.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000 / calls)
        return took

    taken = await _interleaved(
        machine, count, {"gateway": by_gateway, "direct": lambda: _called("tcp", url, "bench-key-0000", calls)}
    )
    await gateway.shutdown()
    ledger.close()
    control.close()
    note = "scanner, two ledger entries, reservation, settlement and relay; the policy is a function that says yes"
    return [
        Figure(
            "model call by the gateway", "ms", taken["gateway"], "straight to the endpoint", taken["direct"], note=note
        ),
        Figure("processor time of the gateway a call", "ms", tuple(spent[1:]), "none", (0.0,)),
    ]


async def _interleaved(
    machine: Machine, count: int, subjects: dict[str, Callable[[], Awaitable[float]]]
) -> dict[str, tuple[float, ...]]:
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(count + 1):
        machine.look()
        for name in list(subjects)[:: 1 if number % 2 else -1]:
            answer = await subjects[name]()
            if number:
                taken[name].append(answer)
    return {name: tuple(values) for name, values in taken.items()}


async def _called(kind: str, where: str, token: str, calls: int) -> float:
    """Return the median milliseconds of one call, as a client in a process of its own sees it."""
    client = await asyncio.create_subprocess_exec(
        sys.executable, str(_CALLER), "call", kind, where, token, str(calls), stdout=subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(client.communicate(), 120)
    assert client.returncode == 0, "the client failed"
    return float(json.loads(out)["median_ms"])
