"""``greylag doctor``: tries every port on this machine by its conformance suite, in a throw-away folder."""

import asyncio
import hashlib
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from greylag.adapters.agents.backends.claude import ClaudeAgent
from greylag.adapters.agents.backends.command import CommandAgent
from greylag.adapters.agents.conformance import Act, check_agent
from greylag.adapters.agents.port import Assignment
from greylag.adapters.chat.backends.thread import BuiltinThread
from greylag.adapters.chat.conformance import check_thread
from greylag.adapters.deploy.backends.process import ProcessDeployer
from greylag.adapters.deploy.conformance import check_deployer
from greylag.adapters.engine.backends.dbos import DbosEngine
from greylag.adapters.engine.conformance import check_engine
from greylag.adapters.forge.backends.builtin import BuiltinForge
from greylag.adapters.forge.conformance import check_forge
from greylag.adapters.models.backends.scripted import ScriptedUpstream
from greylag.adapters.models.conformance import GatewaySubject, UpstreamSubject, examine_gateway, examine_upstream
from greylag.adapters.models.gateway import LocalGateway
from greylag.adapters.models.port import RunGrant, TurnReceipt
from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
from greylag.adapters.sandbox.conformance import run_checks
from greylag.adapters.sandbox.port import Limits
from greylag.adapters.sandbox.toolchain import find_toolchain
from greylag.adapters.store.conformance import Stores
from greylag.adapters.store.conformance import checks as store_checks
from greylag.adapters.vault.backends.local import LocalVault
from greylag.adapters.vault.conformance import checks as vault_checks
from greylag.app.bootstrap import open_stores
from greylag.app.example import example_settings
from greylag.app.install.clock import SystemClock
from greylag.app.install.law.lawbook import read_pack, read_scanner, read_world, shipped_library
from greylag.app.install.shipped import shipped
from greylag.app.install.tools import find_claude, find_venv
from greylag.app.server import bind
from greylag.app.settings import Settings, load_settings
from greylag.delivery.governing.discharging import Pseudonyms
from greylag.delivery.governing.labelling import Labels
from greylag.domain.errors import GreylagError
from greylag.domain.events import TaskReceived
from greylag.domain.ids import TaskId, derived_id
from greylag.domain.labels import Label
from greylag.domain.references import Reference
from greylag.domain.stages import Stage
from greylag.egress.door import Door
from greylag.egress.hop import Hop
from greylag.egress.http import get_local
from greylag.egress.permit import Permit
from greylag.governance.policy import check_examples
from greylag.governance.question import Asset, Target
from greylag.governance.world import World

_KINDS = {Stage.CHECKOUT: "sandbox", Stage.PUSH: "forge", Stage.ARTIFACT: "store", Stage.PROMPT: "endpoint",
          Stage.CHAT: "chat", Stage.DEPLOY: "environment"}  # fmt: skip
_PROMPT = "say that all is well"
_CASSETTE = {
    "v": 1, "name": "doctor", "when": _PROMPT, "side": {"say": "well"},
    "scenes": [{"prompt": _PROMPT, "turns": [{"say": "All is well."}]}],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was tried. ``needed`` False means that the platform works without it."""

    area: str
    name: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    needed: bool = True


Tell = Callable[[str], None]


async def check_everything(home: Path, tell: Tell) -> list[Row]:
    """Try everything and return a row for each promise; ``tell`` is told what is being tried."""
    rows: list[Row] = []
    tell("settings and programs")
    rows += _surroundings(home)
    with _scratch() as folder:
        for area, group in _GROUPS.items():
            tell(area)
            rows += await _guarded(area, lambda chosen=group: chosen(folder))  # type: ignore[misc]  # binds now
    return rows


@contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="greylag-doctor-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _guarded(area: str, group: Callable[[], Awaitable[list[Row]]]) -> list[Row]:
    try:
        return await group()
    except GreylagError as error:
        return [Row(area, "can be tried", False, error.message, error.remedy)]
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding, and the others still run
        return [Row(area, "can be tried", False, f"{type(error).__name__}: {error}"[:300], "report this.")]


def _surroundings(home: Path) -> list[Row]:
    rows = []
    try:
        settings = load_settings(home)
        rows.append(Row("settings", "can be read", True, str(home)))
    except GreylagError as error:
        return [Row("settings", "can be read", False, error.message, error.remedy)]
    git = shutil.which("git")
    rows.append(Row("programs", "git", git is not None, git or "not found", "install it: apt-get install git"))
    try:
        bind(settings).close()
        rows.append(Row("server", f"port {settings.server.port} is free", True))
    except GreylagError as error:
        rows.append(Row("server", f"port {settings.server.port} is free", False, error.message, error.remedy, False))
    return rows


async def _sandbox(folder: Path) -> list[Row]:
    sandbox = BubblewrapSandbox(folder / "sandbox-state")
    place = folder / "sandbox"
    place.mkdir()
    seen = await run_checks(sandbox, place)
    return [Row("sandbox", check.name, check.passed, check.detail, "see docs/explanation/sandbox.md") for check in seen]


async def _tools(folder: Path) -> list[Row]:
    chain = await asyncio.to_thread(find_toolchain, find_venv(Settings()))
    return [
        Row("toolchain", name, bool(found), found or "not found", needed=False)
        for name, found in chain.versions.items()
    ]


async def _stores(folder: Path) -> list[Row]:
    control, ledger, _ = open_stores(Settings(), folder / "stores")
    try:
        stores = Stores(control.events, control.threads, control.directory, control.deployments, ledger, control.chats)
        return [_tried("store", name, check) for name, check in store_checks(stores)]
    finally:
        ledger.close()
        control.close()


async def _vault(folder: Path) -> list[Row]:
    with _door(folder / "vault-home") as door:
        vault = LocalVault(folder / "vault", "local")
        permits = _permits(door, "vault")
        return [_tried("vault", name, check) for name, check in vault_checks(vault, permits, "task_doctor")]


async def _policy(folder: Path) -> list[Row]:
    rows, library = [], await asyncio.to_thread(shipped_library)
    packs = {path.name: read_pack(path) for path in sorted(shipped("policies", "packs").iterdir())}
    for name, pack in packs.items():
        others = [packs[other] for other in pack.requires]
        wrong = await asyncio.to_thread(check_examples, pack, others, library)
        rows.append(Row("policy", f"pack {name} decides its examples", not wrong, "; ".join(wrong)[:300]))
    return rows


async def _forge(folder: Path) -> list[Row]:
    place = folder / "forge-checks"
    place.mkdir()
    with _door(folder / "forge-home") as door:
        forge = BuiltinForge(folder / "forge")
        seen = await check_forge(forge, _permits(door, "forge"), place)
    return [Row("forge", outcome.name, outcome.held, outcome.detail) for outcome in seen]


async def _models(folder: Path) -> list[Row]:
    with _door(folder / "models-home") as door:
        cassettes = folder / "cassettes"
        cassettes.mkdir()
        (cassettes / "doctor.json").write_text(json.dumps(_CASSETTE))
        upstream = ScriptedUpstream("scripted", cassettes)
        clock, pseudonyms = SystemClock(), Pseudonyms(secrets.token_bytes(32))
        facts = _world(folder / "models-home").policy(today=clock.now().date()).facts_on(clock.now().date())
        labels = Labels(read_scanner(), lambda: facts, "local", secrets.token_bytes(32), pseudonyms)
        gateway = LocalGateway({"scripted": upstream}, door, clock, folder / "gw", sight=labels)

        def admit(body: bytes) -> Permit:
            asset = Asset("prompt", Label("internal"), "local", f"sha256:{hashlib.sha256(body).hexdigest()}", len(body))
            key = SystemClock().entropy(8).hex()
            return door.admit(Hop(Stage.PROMPT, "agent:doctor", "send", asset, Target("endpoint", "scripted"), key))

        async def on_turn(receipt: TurnReceipt) -> None:
            """Take the receipt; the checks bring their own."""

        grant = RunGrant("task_doctor", "run_doctor", "local", "scripted", Label("internal"), 1_000_000, 0, 50, on_turn)
        seen = await examine_upstream(UpstreamSubject(upstream, admit, "scripted-1", _PROMPT))
        seen += await examine_gateway(GatewaySubject(gateway, grant, "scripted-1", _PROMPT))
    return [Row("model gateway", finding.name, finding.passed, finding.detail) for finding in seen]


async def _agents(folder: Path) -> list[Row]:
    sandbox = BubblewrapSandbox(folder / "agent-state")

    @asynccontextmanager
    async def stage(act: Act) -> AsyncIterator[Assignment]:
        workspace = folder / f"agent-{act.name}"
        workspace.mkdir()
        sandbox.adopt(workspace)
        try:
            yield Assignment(
                task_id="task_doctor", run_id="run_doctor", prompt="act", workspace=workspace, sandbox=sandbox,
                limits=Limits(timeout_seconds=60), progress=_nothing, stop=asyncio.Event(),
                command=("sh", "-c", act.script),
            )  # fmt: skip
        finally:
            sandbox.discard(workspace)

    seen = await check_agent(CommandAgent(), stage)
    rows = [Row("agent command", finding.promise, finding.kept, finding.detail) for finding in seen]
    probe = await ClaudeAgent(find_claude(Settings())).probe()
    return [*rows, Row("agent claude", "can be started", probe.ready, probe.detail, probe.remedy, needed=False)]


async def _deploy(folder: Path) -> list[Row]:
    sandbox = BubblewrapSandbox(folder / "deploy-state")
    chain = await asyncio.to_thread(find_toolchain, find_venv(Settings()))
    deployer = ProcessDeployer(folder / "deploy", sandbox, chain.mounts, chain.env, get_local)
    try:
        with _door(folder / "deploy-home") as door:
            seen = await check_deployer(deployer, _permits(door, "deploy"), chain.python)
    finally:
        await deployer.close()
    return [Row("deployer", finding.promise, finding.kept, finding.detail) for finding in seen]


async def _chat(folder: Path) -> list[Row]:
    home = folder / "chat-home"
    control, ledger, _ = open_stores(Settings(), home)
    ledger.close()
    task_id = TaskId(derived_id("task", "doctor"))
    received = TaskReceived("console", "ada", Reference("local", f"sha256:{'a' * 64}", 1, "request"), "doctor", "local")
    try:
        control.events.append(task_id, received, key="received", at=SystemClock().now())
        chat = BuiltinThread(control.threads, "local")
        with _door(home) as door:
            seen = check_thread(chat, _permits(door, "chat"), lambda task: len(control.threads.messages(task)), task_id)
    finally:
        control.close()
    return [Row("chat", finding.promise, finding.kept, finding.detail) for finding in seen]


async def _engine(folder: Path) -> list[Row]:
    state = folder / "engine"
    state.mkdir()
    engine = DbosEngine("doctor", f"sqlite:///{state / 'engine.db'}", "worker-1", state)
    seen = await check_engine(engine, SystemClock().entropy(8).hex())
    return [Row("engine", finding.promise, finding.kept, finding.detail) for finding in seen]


async def _nothing(line: str) -> None:
    """Take a progress line and say nothing."""


_GROUPS: dict[str, Callable[[Path], Awaitable[list[Row]]]] = {
    "sandbox": _sandbox, "toolchain": _tools, "stores and ledger": _stores, "vault": _vault, "policy": _policy,
    "forge": _forge, "model gateway": _models, "agents": _agents, "deployer": _deploy,
    "chat": _chat, "durable engine": _engine,
}  # fmt: skip


def _tried(area: str, name: str, check: Callable[[], object]) -> Row:
    try:
        check()
    except GreylagError as error:
        return Row(area, name, False, error.message, error.remedy)
    return Row(area, name, True)


@contextmanager
def _door(home: Path) -> Iterator[Door]:
    """Give a real door over a scratch ledger, with the house rules and this program's own targets."""
    clock = SystemClock()
    control, ledger, _ = open_stores(example_settings(Settings()), home)
    try:
        yield Door(_world(home).policy(today=clock.now().date()), ledger, clock, "local")
    finally:
        ledger.close()
        control.close()


def _world(home: Path) -> World:
    own = [("store", "control-plane"), ("sandbox", "sandbox"), ("sandbox", "builtin"), ("forge", "builtin"),
           ("chat", "vault:local"), ("store", "vault:elsewhere"), ("forge", "elsewhere"), ("chat", "thread:local"),
           ("chat", "thread:local-elsewhere"), ("forge", "thread:local")]  # fmt: skip
    return read_world(example_settings(Settings()), home, own=own, today=SystemClock().now().date())


def _permits(door: Door, area: str) -> Callable[..., Permit]:
    def permit(stage: Stage, target: str, digest: str = "") -> Permit:
        asset = Asset("conformance", Label("internal"), "local", digest)
        key = f"{area}/{SystemClock().entropy(8).hex()}"
        return door.admit(Hop(stage, "platform:greylag", "check", asset, Target(_KINDS[stage], target), key))

    return permit
