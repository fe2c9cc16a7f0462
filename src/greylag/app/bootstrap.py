"""The composition root: settings → a wired platform. The only place that chooses backends."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.types import ASGIApp

from greylag.adapters.agents.backends.acp import AcpAgent
from greylag.adapters.agents.backends.claude import ClaudeAgent
from greylag.adapters.agents.backends.command import CommandAgent
from greylag.adapters.chat.backends.thread import BuiltinThread
from greylag.adapters.deploy.backends.process import ProcessDeployer
from greylag.adapters.engine.backends.dbos import DbosEngine
from greylag.adapters.forge.backends.builtin import BuiltinForge
from greylag.adapters.forge.http import smart_http
from greylag.adapters.models.gateway import LocalGateway
from greylag.adapters.registry.backends.simple_index import SimpleIndex
from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
from greylag.adapters.sandbox.port import Limits, Mount
from greylag.adapters.sandbox.requirements import REGISTRY_TARGET
from greylag.adapters.store.backends.sql_ledger import SqlLedgerStore
from greylag.adapters.store.opening import Control, open_cell, open_control
from greylag.adapters.vault.backends.local import LocalVault
from greylag.app.explaining import Explainer, line_about
from greylag.app.forge_access import git_access
from greylag.app.importing import Incoming, import_repository
from greylag.app.install.chats import Chats, Service, open_chats, own_chats, room_labels
from greylag.app.install.clock import SystemClock
from greylag.app.install.home import prepare_home, read_operator_token
from greylag.app.install.keys import public_bytes, region_key, signing_key
from greylag.app.install.law.lawbook import read_scanner
from greylag.app.install.law.statutes import LivePolicy
from greylag.app.install.models import Models, choose_models
from greylag.app.install.tools import Tools, find_claude
from greylag.app.platform import Platform
from greylag.app.settings import Settings, package_index_environment
from greylag.delivery.cell import Bounds, Cell
from greylag.delivery.conversing.front import Front, House
from greylag.delivery.conversing.identity import Links
from greylag.delivery.conversing.rendering import Pages
from greylag.delivery.desk import Desk
from greylag.delivery.governing.discharging import Discharger, Pseudonyms
from greylag.delivery.governing.labelling import Labels
from greylag.delivery.releases import revive
from greylag.delivery.workflow import deliver
from greylag.domain.clock import Clock
from greylag.domain.repository import Repository
from greylag.egress.door import Door
from greylag.egress.http import get_local
from greylag.governance.evidence import envelope_bytes, sign_approval, sign_statement

_log = logging.getLogger(__name__)
#: Threads that wait for databases and disks. Python's own number goes by processors, which these leave alone.
_THREADS = 24


@dataclass(frozen=True, slots=True)
class Opened:
    """A platform that works, and git over HTTP for its forge."""

    platform: Platform
    git: ASGIApp


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything lies in a home folder. Content lies only below ``cell``."""

    home: Path
    cell: Path
    control_url: str
    ledger_url: str
    ledger_schema: str
    engine_url: str


def places_of(settings: Settings, home: Path) -> Places:
    """Return the layout for ``settings``: SQLite files, or one PostgreSQL database where each cell has its schemas."""
    cell = home / "cells" / settings.region.name
    cell.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = settings.database_url.get_secret_value()
    if url:
        return Places(home, cell, url, url, f"greylag_cell_{settings.region.name.replace('-', '_')}", url)
    return Places(
        home,
        cell,
        f"sqlite:///{home / 'control.db'}",
        f"sqlite:///{cell / 'ledger.db'}",
        "",
        f"sqlite:///{cell / 'engine.db'}",
    )


def open_stores(settings: Settings, home: Path) -> tuple[Control, SqlLedgerStore, Ed25519PrivateKey]:
    """Open the control plane's database and the cell's ledger."""
    prepare_home(home)
    places = places_of(settings, home)
    key = signing_key(places.cell / "keys")
    control = open_control(places.control_url)
    origin = f"greylag.ledger/{settings.region.name}"
    ledger = open_cell(
        places.ledger_url, private_key=key, origin=origin, clock=SystemClock(), witness=control.witness,
        schema=places.ledger_schema,
    )  # fmt: skip
    return control, ledger, key


async def open_platform(settings: Settings, home: Path) -> Opened:
    """Wire everything, recover what was under way, and start to work.

    Raises OperatorError for what must be mended first: settings, keys, another live process, a database that is away.
    """
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "greylag"))
    clock = SystemClock()
    places = places_of(settings, home)
    control, ledger, key = await asyncio.to_thread(open_stores, settings, home)
    region = settings.region.name
    sandbox = BubblewrapSandbox(places.cell / "sandbox")
    await asyncio.to_thread(sandbox.end_leftovers)
    forge = BuiltinForge(places.cell / "forge", network_env=package_index_environment())
    chat = BuiltinThread(control.threads, region)
    own = [
        ("store", "control-plane"), ("pool", f"{sandbox.name}@{region}"), ("sandbox", sandbox.name),
        ("forge", forge.name), ("chat", chat.where), *own_chats(settings.chat),
    ]  # fmt: skip
    policy, labels, discharger = await asyncio.to_thread(_law, settings, places, own, control, clock)
    door = Door(policy, ledger, clock, region, discharger)
    models = choose_models(settings, clock)
    gateway = LocalGateway(models.upstreams, door, clock, places.cell / "gateway", sight=labels)
    tools = Tools(settings, places.cell / "tools", sandbox, door)
    toolchain = tools.toolchain
    agents = (ClaudeAgent(find_claude(settings)), AcpAgent(needs_model=bool(models.endpoint)), CommandAgent())

    async def tools_for(name: str) -> tuple[tuple[Mount, ...], Mapping[str, str]]:
        box = await tools.toolbox(await asyncio.to_thread(control.directory.repository, name))
        return box.mounts, box.env

    deployer = ProcessDeployer(
        places.cell / "deploy", sandbox, toolchain.mounts, toolchain.env, get_local, tools_for=tools_for
    )
    cell = Cell(
        region=region, clock=clock, door=door, events=control.events, threads=control.threads,
        directory=control.directory, deployments=control.deployments, ledger=ledger,
        vault=LocalVault(places.cell / "vault", region), forge=forge, sandbox=sandbox,
        agents={agent.name: agent for agent in agents}, gateway=gateway,
        deployer=deployer,
        chat=chat, toolbox=tools.toolbox, labeller=labels,
        sign_approval=lambda subject, by, via: sign_approval(subject, by, via, key),
        seal=lambda statement: envelope_bytes(sign_statement(statement, key)),
        workspaces=places.cell / "workspaces", slots=asyncio.Semaphore(settings.bounds.parallel_runs),
        default_agent=settings.agent.default, endpoint=models.endpoint, model=models.model, labels=models.labels,
        bounds=bounds_of(settings), advises=settings.agent.intake_model == "advise",
        why=lambda decision_id: line_about(Explainer(policy.policy, home), ledger, decision_id), chats=control.chats,
    )  # fmt: skip
    engine = DbosEngine(region, places.engine_url, settings.region.worker, places.cell / "engine")
    platform = _platform(settings, home, cell, _Parts(control, engine, key, models, policy, places.cell))
    # Before the workflows go on: what was live comes back first, and not over what a release brings meanwhile.
    for problem in await revive(cell):
        _log.warning("not revived: %s", problem)
    await engine.launch(deliver(cell))
    await asyncio.to_thread(platform.desk.sweep)
    platform.chats.start()
    return Opened(platform, smart_http(forge.root, git_access(platform)))


def _law(
    settings: Settings, places: Places, own: Sequence[tuple[str, str]], control: Control, clock: Clock
) -> tuple[LivePolicy, Labels, Discharger]:
    policy, scanner, keys = LivePolicy(settings, places.home, own, clock), read_scanner(), places.cell / "keys"
    pseudonyms = Pseudonyms(region_key(keys, "pseudonyms"))
    labels = Labels(scanner, policy.facts_today, settings.region.name, region_key(keys, "subjects"), pseudonyms)
    discharger = Discharger(
        scanner, policy.facts_today, pseudonyms, sign_offs=control.directory.sign_offs,
        repository=control.directory.repository, link=settings.server.task_page, now=clock.now,
    )  # fmt: skip
    return policy, labels, discharger


def bounds_of(settings: Settings) -> Bounds:
    """Return what one task may use, from the settings."""
    given = settings.bounds
    limits = Limits(memory_mb=given.memory_mb, disk_mb=given.disk_mb)
    return Bounds(
        attempts=given.attempts, turns=given.turns, run_seconds=given.run_seconds,
        verify_seconds=given.verify_seconds, cap_usd_micros=round(given.cap_usd * 1_000_000),
        review_seconds=given.review_days * 86400, parallel_runs=given.parallel_runs, retain_days=given.retain_days,
        sandbox=limits, heartbeat_seconds=given.heartbeat_seconds,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a platform is made of besides its cell."""

    control: Control
    engine: DbosEngine
    key: Ed25519PrivateKey
    models: Models
    policy: LivePolicy
    folder: Path


def _platform(settings: Settings, home: Path, cell: Cell, parts: _Parts) -> Platform:
    registry = SimpleIndex(REGISTRY_TARGET, package_index_environment())

    async def bring(repository: Repository, incoming: Incoming) -> Repository:
        return await import_repository(cell, registry, repository, incoming)

    desk = Desk(cell, parts.engine)
    links = Links(cell, parts.control.chats, region_key(parts.folder / "keys", "links"), settings.server.link_page)
    chats = _chats(settings, cell, desk, links, parts)

    async def close() -> None:
        await chats.close()
        await parts.engine.close()
        await cell.deployer.close()
        for upstream in parts.models.upstreams.values():
            await upstream.close()
        parts.control.close()

    return Platform(
        settings=settings, home=home, cell=cell, desk=desk, engine=parts.engine,
        directory=parts.control.directory,
        operator_token=read_operator_token(home), ledger_public_key=public_bytes(parts.key.public_key()),
        import_repository=bring, close=close, policy=parts.policy, links=links, chats=chats,
    )  # fmt: skip


def _chats(settings: Settings, cell: Cell, desk: Desk, links: Links, parts: _Parts) -> Chats:
    store, pages = parts.control.chats, Pages(settings.server.task_page)
    opened = open_chats(settings, parts.folder / "chats", store, parts.policy.facts_today)
    rooms, given = room_labels(settings.chat), settings.chat
    front = Front(House(cell, desk, store, opened, links, pages, rooms, given.context_messages))
    return Chats(opened, Service(cell, store, pages, front, ("slack",) if given.slack.upload else ()))
