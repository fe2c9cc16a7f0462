"""What every deployer keeps, tried with a tiny service of our own in a scratch environment."""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from greylag.adapters.deploy.port import Deployer
from greylag.domain.errors import GreylagError
from greylag.domain.repository import Environment
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

_SECONDS = 60.0
_REPOSITORY = "conformance"
_SERVICE = """
import http.server, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int({status}))
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""

Permits = Callable[[Stage, str, str], Permit]


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise and whether it was kept; ``detail`` says what was seen instead."""

    promise: str
    kept: bool
    detail: str = ""


class _Unmet(Exception):
    """A promise that was not kept."""


async def check_deployer(deployer: Deployer, permits: Permits, python: str) -> tuple[Finding, ...]:
    """Return the findings for ``deployer``; ``python`` is an interpreter its services can start. Takes some seconds."""
    suite = _Suite(deployer, permits, python)
    checks: dict[str, Callable[[], Awaitable[None]]] = {
        "runs what it was given, healthy": suite.runs, "keeps what runs when asked again": suite.keeps,
        "refuses bytes with another digest": suite.wants_digest,
        "refuses a permit for another place": suite.wants_permit,
        "tells an unhealthy build": suite.tells_unhealthy, "goes back to an earlier build": suite.goes_back,
        "tells what won't start, and what ran goes on": suite.will_not_start, "stops": suite.stops,
    }  # fmt: skip
    return tuple([await _tried(promise, check) for promise, check in checks.items()])


async def _tried(promise: str, check: Callable[[], Awaitable[None]]) -> Finding:
    try:
        async with asyncio.timeout(_SECONDS):
            await check()
    except (_Unmet, GreylagError, OSError, TimeoutError) as error:
        return Finding(promise, False, f"{type(error).__name__}: {error}"[:500])
    return Finding(promise, True)


class _Suite:
    def __init__(self, deployer: Deployer, permits: Permits, python: str) -> None:
        self._deployer = deployer
        self._permits = permits
        self._place = Environment(
            "check", "local", (python, "-m", "service", "{port}"), "/", health_timeout_seconds=5.0
        )
        self._good, self._sick = _build(200), _build(503)

    async def runs(self) -> None:
        running = await self._apply(self._good)
        health = await self._deployer.health(_REPOSITORY, self._place)
        _require(health.healthy is True, f"its health is {health}")
        _require(running == _digest(self._good), f"it runs {running}")

    async def keeps(self) -> None:
        before = await self._deployer.running(_REPOSITORY, self._place)
        await self._apply(self._good)
        _require(await self._deployer.running(_REPOSITORY, self._place) == before, "it runs elsewhere now")

    async def wants_digest(self) -> None:
        permit = self._permit(_digest(self._good))
        await _refuses(
            "GL-DEPLOY-001", self._deployer.apply(permit, _REPOSITORY, self._place, _digest(self._good), b"x")
        )

    async def wants_permit(self) -> None:
        digest = _digest(self._good)
        permit = self._permits(Stage.DEPLOY, f"environment:{_REPOSITORY}/elsewhere", digest)
        await _refuses("GL-EGRESS-001", self._deployer.apply(permit, _REPOSITORY, self._place, digest, self._good))

    async def tells_unhealthy(self) -> None:
        await self._apply(self._sick)
        health = await self._deployer.health(_REPOSITORY, self._place)
        _require(health.healthy is False, f"its health is {health}")

    async def goes_back(self) -> None:
        await self._apply(self._good)
        health = await self._deployer.health(_REPOSITORY, self._place)
        _require(health.healthy is True, f"its health is {health}")

    async def will_not_start(self) -> None:
        broken = replace(self._place, command=("/nonexistent/program", "{port}"))
        digest = _digest(self._sick)
        work = self._deployer.apply(self._permit(digest), _REPOSITORY, broken, digest, self._sick)
        await _refuses("GL-DEPLOY-002", work)
        running = await self._deployer.running(_REPOSITORY, self._place)
        _require(running is not None and running.digest == _digest(self._good), f"then runs {running}")

    async def stops(self) -> None:
        await self._deployer.stop(_REPOSITORY, self._place)
        await self._deployer.stop(_REPOSITORY, self._place)
        running = await self._deployer.running(_REPOSITORY, self._place)
        _require(running is None, f"still runs {running}")

    async def _apply(self, build: bytes) -> str:
        digest = _digest(build)
        running = await self._deployer.apply(self._permit(digest), _REPOSITORY, self._place, digest, build)
        return running.digest

    def _permit(self, digest: str) -> Permit:
        return self._permits(Stage.DEPLOY, f"environment:{_REPOSITORY}/{self._place.name}", digest)


def _build(status: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("service.py", _SERVICE.format(status=status))
        archive.writestr("service-1.dist-info/METADATA", "Name: service\n")
    return out.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def _refuses(code: str, work: Awaitable[object]) -> None:
    try:
        await work
    except GreylagError as error:
        _require(error.code == code, f"expected {code}, got {error}")
        return
    raise _Unmet(f"expected {code}, but it was done")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _Unmet(otherwise)
