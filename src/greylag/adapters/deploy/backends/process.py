"""Releases as processes of this machine: each environment one service in a sandbox, on a port of its own on loopback.

A switch unpacks first, then stops the old service and starts the new one on the same port: for that moment nobody
answers. Services die with the platform; who calls `apply` again after a restart brings them back.
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from greylag.adapters.deploy.port import Health, Running
from greylag.adapters.deploy.service import Service, ServiceLog
from greylag.adapters.deploy.unpack import UnpackLimits, unpack
from greylag.adapters.sandbox.port import Limits, Mount, Network, Sandbox, SandboxSpec
from greylag.domain.errors import BackendError, GreylagError, IntegrityError, OperatorError, RequestRefused
from greylag.domain.repository import Environment
from greylag.domain.stages import Stage
from greylag.egress.http import LocalAnswer
from greylag.egress.permit import Permit

RELEASE = "/release"
HttpGet = Callable[[str, float], Awaitable[LocalAnswer]]
Tools = tuple[tuple[Mount, ...], Mapping[str, str]]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_MERGED_STREAMS = ("/bin/sh", "-c", 'exec "$@" 2>&1', "service")
_KEPT_RELEASES = 5
_POLL_SECONDS = 0.1
_PROBE_SECONDS = 2.0
_LIMITS = Limits(memory_mb=2048, timeout_seconds=10 * 365 * 86_400.0, output_bytes=64 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class _State:
    """What is kept of an environment over restarts: its port, and the digest that should run (empty: nothing)."""

    port: int = 0
    digest: str = ""
    schema_version: int = 1


class ProcessDeployer:
    """A `greylag.adapters.deploy.port.Deployer` whose services run in ``sandbox`` with the host's network.

    Everything lies below ``root/REPOSITORY/ENVIRONMENT``. ``mounts`` and ``env`` are the tools that services see;
    ``tools_for(repository)`` gives others for single repositories. ``http_get`` asks a loopback URL (see
    `greylag.egress.http.get_local`). Inside, the release is at ``/release`` (read-only, on ``PYTHONPATH``) and the
    working directory is writable and stays over releases.
    """

    name = "process"

    def __init__(
        self,
        root: Path,
        sandbox: Sandbox,
        mounts: tuple[Mount, ...],
        env: Mapping[str, str],
        http_get: HttpGet,
        *,
        limits: Limits = _LIMITS,
        tools_for: Callable[[str], Awaitable[Tools]] | None = None,
    ) -> None:
        self._root = root.absolute()
        self._sandbox = sandbox
        self._tools: Tools = (mounts, env)
        self._http_get = http_get
        self._limits = limits
        self._tools_for = tools_for
        self._services: dict[Path, Service] = {}
        self._turns: dict[Path, asyncio.Lock] = {}

    async def apply(
        self, permit: Permit, repository: str, environment: Environment, digest: str, build: bytes
    ) -> Running:
        """Make ``environment`` run ``build`` and wait until it answers anything at all; see the port.

        Where it won't start, what ran before is started again. Raises also OperatorError ``GL-DEPLOY-004`` for a port
        that somebody else holds, and what the sandbox raises.
        """
        permit.require(Stage.DEPLOY, f"environment:{repository}/{environment.name}", digest)
        site = self._site(repository, environment)
        plain = await asyncio.to_thread(_verified, build, digest)
        async with self._turns.setdefault(site, asyncio.Lock()):
            release = site / "releases" / plain
            await asyncio.to_thread(_release, release, build)
            before = self._living(site)
            port = environment.port or _read_state(site).port
            if before is not None and (before.digest, before.argv) == (digest, _argv(environment, port)):
                return Running(digest, _url(port))
            if before is not None:
                await before.stop()
            port = _usable(port, chosen=environment.port != 0)
            spec = await self._spec(site, repository, environment, release, port)
            service = Service(self._sandbox, spec, ServiceLog(site / "service.log"), digest, port)
            await self._switch(site, service, before, environment)
            _write_state(site, _State(port, digest))
            await asyncio.to_thread(_prune, site / "releases", plain)
        return Running(digest, _url(port))

    async def health(self, repository: str, environment: Environment) -> Health:
        """Ask the health path until it answers 2xx (True) or the environment's time is over.

        False: it ended, or it answered something else to the last. None: nothing runs there, or it never answered.
        """
        site = self._site(repository, environment)
        service = self._services.get(site)
        if service is None:
            return Health(None, f"nothing was started in {environment.name} since the platform started")
        address = _url(service.port) + "/" + environment.health_path.removeprefix("/")
        until = time.monotonic() + environment.health_timeout_seconds
        last: int | None = None
        while True:
            if not service.alive:
                return Health(False, service.last_words())
            status = await self._asked(address, until)
            if status is not None and 200 <= status < 300:
                return Health(True, f"{environment.health_path} answered {status}")
            last = status if status is not None else last
            if time.monotonic() >= until:
                break
            await asyncio.sleep(_POLL_SECONDS)
        seconds = environment.health_timeout_seconds
        if last is None:
            return Health(None, f"{environment.health_path} gave no answer in {seconds:g} s; {service.last_words()}")
        return Health(False, f"{environment.health_path} answered {last} for {seconds:g} s, expected 2xx")

    async def running(self, repository: str, environment: Environment) -> Running | None:
        """Return what lives there, None for nothing: after a restart of the platform that is nothing yet."""
        site = self._site(repository, environment)
        service = self._living(site)
        return Running(service.digest, _url(service.port)) if service is not None else None

    async def stop(self, repository: str, environment: Environment) -> None:
        """Stop what runs there; its port and its data are kept."""
        site = self._site(repository, environment)
        async with self._turns.setdefault(site, asyncio.Lock()):
            service = self._services.pop(site, None)
            if service is not None:
                await service.stop()
            if site.exists():
                _write_state(site, replace(_read_state(site), digest=""))

    async def close(self) -> None:
        """Stop every service; what should run stays written down."""
        services, self._services = list(self._services.values()), {}
        await asyncio.gather(*(service.stop() for service in services))

    def log_of(self, repository: str, environment: Environment) -> str:
        """Return the end of what the service there printed."""
        return ServiceLog(self._site(repository, environment) / "service.log").tail(64 * 1024)

    def _site(self, repository: str, environment: Environment) -> Path:
        for name in (repository, environment.name):
            if not _NAME.fullmatch(name):
                raise RequestRefused(
                    "GL-DEPLOY-006", f"{name[:80]!r} can't be a folder's name.", "use letters, digits, `.`, `_`, `-`."
                )
        return self._root / repository / environment.name

    def _living(self, site: Path) -> Service | None:
        service = self._services.get(site)
        return service if service is not None and service.alive else None

    async def _spec(
        self, site: Path, repository: str, environment: Environment, release: Path, port: int
    ) -> SandboxSpec:
        mounts, env = await self._tools_for(repository) if self._tools_for is not None else self._tools
        data = site / "data"
        data.mkdir(exist_ok=True)
        await asyncio.to_thread(self._sandbox.adopt, data)
        path = ":".join(filter(None, (RELEASE, env.get("PYTHONPATH", ""))))
        own = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "PORT": str(port)}
        return SandboxSpec(
            _argv(environment, port), data, (*mounts, Mount(release, RELEASE)), {**env, **own}, self._limits,
            Network.HOST,
        )  # fmt: skip

    async def _switch(self, site: Path, service: Service, before: Service | None, environment: Environment) -> None:
        """Start ``service``; where that fails, start ``before`` again and raise."""
        try:
            await self._begin(service, environment)
        except BaseException as error:
            await asyncio.shield(service.stop())
            back = "nothing ran there before"
            if before is not None and isinstance(error, GreylagError):
                back = await self._put_back(site, before)
            if isinstance(error, _NoStart):
                raise BackendError(
                    "GL-DEPLOY-002", f"the build doesn't start: {error}. Now: {back}.", "look at its log, fix, release."
                ) from None
            raise
        self._services[site] = service

    async def _put_back(self, site: Path, before: Service) -> str:
        again = before.again()
        try:
            await again.start()
        except GreylagError as error:
            return f"what ran before can't be started either ({error.message})"
        self._services[site] = again
        return "what ran before runs again"

    async def _begin(self, service: Service, environment: Environment) -> None:
        await service.start()
        until = time.monotonic() + environment.health_timeout_seconds
        address = _url(service.port) + "/" + environment.health_path.removeprefix("/")
        while await self._asked(address, until) is None:
            if not service.alive:
                raise _NoStart(service.last_words())
            if time.monotonic() >= until:
                seconds = environment.health_timeout_seconds
                raise _NoStart(f"no answer on port {service.port} in {seconds:g} s; {service.last_words()}")
            await asyncio.sleep(_POLL_SECONDS)
        if not service.alive:
            raise _NoStart(service.last_words())

    async def _asked(self, address: str, until: float) -> int | None:
        """Return the status ``address`` answers with, None for no answer."""
        try:
            left = until - time.monotonic()
            return (await self._http_get(address, max(0.1, min(_PROBE_SECONDS, left)))).status
        except BackendError:
            return None


class _NoStart(GreylagError):
    """A service ended or stayed silent."""

    def __init__(self, why: str) -> None:
        super().__init__("GL-DEPLOY-002", why, "look at its log.")

    def __str__(self) -> str:
        return self.message


def _argv(environment: Environment, port: int) -> tuple[str, ...]:
    words = (word.replace("{port}", str(port)).replace("{release}", RELEASE) for word in environment.command)
    return (*_MERGED_STREAMS, *words)


def _verified(build: bytes, digest: str) -> str:
    """Return ``digest`` as plain hex, or raise IntegrityError ``GL-DEPLOY-001``."""
    form = _DIGEST.fullmatch(digest)
    found = hashlib.sha256(build).hexdigest()
    if form is None or form[1] != found:
        raise IntegrityError(
            "GL-DEPLOY-001",
            f"the build is `sha256:{found}`, approved was {digest[:80]!r}; nothing was changed.",
            "don't release; find out where the bytes were changed.",
        )
    return found


def _release(release: Path, build: bytes) -> None:
    """Make sure ``release`` holds ``build`` unpacked; it appears whole or not at all."""
    release.parent.mkdir(parents=True, exist_ok=True)
    if release.is_dir():
        os.utime(release)
        return
    partial = release.with_name(f".{release.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a crash
    partial.mkdir(mode=0o755)
    try:
        unpack(build, partial, UnpackLimits())
        partial.rename(release)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _prune(releases: Path, current: str) -> None:
    """Remove all but the newest releases and ``current``."""
    found = sorted((path for path in releases.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in found[:-_KEPT_RELEASES]:
        if path.name != current:
            shutil.rmtree(path)


def _usable(port: int, *, chosen: bool) -> int:
    """Return ``port`` where it can be listened on, else (if nobody chose it) a free one."""
    for candidate in (port, 0) if port else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError as error:
                if not chosen:
                    continue
                raise OperatorError(
                    "GL-DEPLOY-004",
                    f"port {port} can't be listened on: {error.strerror}.",
                    "stop what holds it, or give the environment another port (0 for any).",
                ) from None
            return int(probe.getsockname()[1])
    raise BackendError("GL-DEPLOY-004", "no free port on loopback.", "stop something.", transient=True)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _read_state(site: Path) -> _State:
    try:
        text = (site / "state.json").read_text()
    except FileNotFoundError:
        return _State()
    try:
        values = json.loads(text)
        state = _State(int(values["port"]), str(values["digest"]), int(values["schema_version"]))
    except (ValueError, KeyError, TypeError):
        state = _State(schema_version=0)
    if state.schema_version != 1 or not 0 <= state.port < 65_536:
        raise IntegrityError(
            "GL-DEPLOY-005", f"`{site / 'state.json'}` can't be understood.", "remove it; the port is then chosen anew."
        )
    return state


def _write_state(site: Path, state: _State) -> None:
    values = {"schema_version": state.schema_version, "port": state.port, "digest": state.digest}
    fresh = site / ".state.json.new"
    fresh.write_text(json.dumps(values) + "\n")
    fresh.replace(site / "state.json")
