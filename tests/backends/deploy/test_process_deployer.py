"""The process deployer with the real sandbox: switch, failure, restart, and nothing left behind."""

import asyncio
import contextlib
import functools
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from greylag.adapters.deploy.backends.process import ProcessDeployer
from greylag.adapters.deploy.service import ServiceLog
from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
from greylag.domain.errors import BackendError, GreylagError
from greylag.domain.repository import Environment
from greylag.domain.stages import Stage
from greylag.egress.http import get_local
from tests.support.permits import permit

_PYTHON = "/usr/bin/python3"
_SERVICE = """
import http.server, json, os, sys
WORD = {word!r}
{first}
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        release = sorted(os.listdir("/release"))
        seen = dict(word=WORD, pid=os.getpid(), env=dict(os.environ), cwd=os.listdir("."), release=release)
        self.send_response({status} if self.path == "/health" else 200)
        self.end_headers()
        self.wfile.write(json.dumps(seen).encode())
open("visited-" + WORD, "w").close()
print("serving", WORD, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
_STAGE = Environment(
    "staging", "eu", (_PYTHON, "-m", "service", "{port}"), health_path="/health", health_timeout_seconds=8.0
)

pytestmark = pytest.mark.skipif(not Path(_PYTHON).exists(), reason=f"no {_PYTHON} for the services")


@functools.cache  # the time of writing is in the archive: the same build is the same bytes
def _build(word: str, first: str = "", status: int = 200) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("service.py", _SERVICE.format(word=word, first=first, status=status))
        archive.writestr("service-1.dist-info/METADATA", "Name: service\n")
    return out.getvalue()


def _digest(build: bytes) -> str:
    return f"sha256:{hashlib.sha256(build).hexdigest()}"


class Place:
    """A deployer and short ways to use it."""

    def __init__(self, root: Path, sandbox: BubblewrapSandbox) -> None:
        self.root = root
        self.sandbox = sandbox
        self.deployer = ProcessDeployer(root, sandbox, (), {"FROM_TOOLS": "yes"}, get_local)

    async def apply(self, build: bytes, environment: Environment = _STAGE):
        digest = _digest(build)
        allowed = permit(Stage.DEPLOY, f"environment:shop/{environment.name}", digest)
        return await self.deployer.apply(allowed, "shop", environment, digest, build)

    async def seen(self) -> dict:
        running = await self.deployer.running("shop", _STAGE)
        assert running is not None
        return json.loads((await get_local(f"{running.url}/", 2.0, 65_536)).body)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    sandbox = BubblewrapSandbox(tmp_path / "sandbox")
    probe = await sandbox.probe()
    if not probe.ready:
        pytest.skip(probe.detail)
    made = Place(tmp_path / "deploy", sandbox)
    yield made
    await made.deployer.close()


async def test_a_release_and_the_next_one_on_the_same_port(place: Place) -> None:
    one = await place.apply(_build("one"))
    assert one.url.startswith("http://127.0.0.1:")
    assert (await place.deployer.health("shop", _STAGE)).healthy is True
    first = await place.seen()
    assert first["word"] == "one"
    assert "service.py" in first["release"]
    assert await place.apply(_build("one")) == one
    assert (await place.seen())["pid"] == first["pid"], "the same build again starts nothing"
    two = await place.apply(_build("two"))
    assert two.url == one.url
    second = await place.seen()
    assert second["word"] == "two"
    assert {"visited-one", "visited-two"} <= set(second["cwd"]), "the working directory stays over releases"
    await _logged(place, "serving two")


async def _logged(place: Place, words: str) -> None:
    """Wait for ``words`` in the service's log: it is written as the output comes, beside the answers."""
    async with asyncio.timeout(10):
        while words not in place.deployer.log_of("shop", _STAGE):
            await asyncio.sleep(0.05)


async def test_a_service_sees_nothing_of_the_platform(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREYLAG_TEST_SECRET", "geheim")
    running = await place.apply(_build("one"))
    env = (await place.seen())["env"]
    assert set(env) == {
        "FROM_TOOLS", "HOME", "LANG", "PATH", "PORT", "PWD", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH",
        "PYTHONUNBUFFERED", "TMPDIR",
    }  # fmt: skip
    assert env["PYTHONPATH"] == "/release"
    assert running.url.endswith(env["PORT"])


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (_build("bad", "raise SystemExit('no database')"), "no database"),
        (_build("mute", "import time; time.sleep(60)"), "no answer on port"),
        (_build("gone", "os.kill(os.getpid(), 11)"), "exit code 139"),
    ],
    ids=["exits", "silent", "crashes"],
)
async def test_a_build_that_does_not_start_leaves_the_old_one_running(broken: bytes, says: str, place: Place) -> None:
    patient = replace(_STAGE, health_timeout_seconds=1.5)
    with pytest.raises(BackendError, match="nothing ran there before"):
        await place.apply(broken, patient)
    assert await place.deployer.running("shop", _STAGE) is None
    one = await place.apply(_build("one"))
    with pytest.raises(BackendError) as failed:
        await place.apply(broken, patient)
    assert failed.value.code == "GL-DEPLOY-002"
    assert says in failed.value.message
    assert "what ran before runs again" in failed.value.message
    assert await place.deployer.running("shop", _STAGE) == one
    assert (await place.deployer.health("shop", _STAGE)).healthy is True
    assert (await place.seen())["word"] == "one"


async def test_health_tells_the_three_cases_apart(place: Place) -> None:
    patient = replace(_STAGE, health_timeout_seconds=1.0)
    assert (await place.deployer.health("shop", patient)).healthy is None
    await place.apply(_build("sick", status=500))
    sick = await place.deployer.health("shop", patient)
    assert (sick.healthy, "answered 500" in sick.detail) == (False, True)
    pid = (await place.seen())["pid"]
    assert pid > 0
    await place.apply(
        _build("hangs", "import threading, time\nthreading.Timer(0.8, lambda: os.kill(os.getpid(), 19)).start()")
    )
    await asyncio.sleep(1)
    hung = await place.deployer.health("shop", patient)
    assert hung.healthy is None, hung
    await place.apply(_build("dies", "import threading\nthreading.Timer(0.5, lambda: os._exit(3)).start()"))
    await _until_gone(place)
    dead = await place.deployer.health("shop", patient)
    assert (dead.healthy, "exit code 3" in dead.detail) == (False, True)


async def _until_gone(place: Place) -> None:
    async with asyncio.timeout(10):
        while await place.deployer.running("shop", _STAGE) is not None:
            await asyncio.sleep(0.05)


async def test_what_died_is_started_by_the_same_digest(place: Place) -> None:
    once = "import threading\nif not os.path.exists('visited-one'): threading.Timer(0.5, lambda: os._exit(3)).start()"
    build = _build("one", once)
    first = await place.apply(build)
    await _until_gone(place)
    assert await place.apply(build) == first
    assert (await place.seen())["word"] == "one"


async def test_a_new_platform_starts_it_again_on_the_same_port(place: Place) -> None:
    first = await place.apply(_build("one"))
    await place.deployer.close()
    place.deployer = ProcessDeployer(place.root, place.sandbox, (), {}, get_local)
    assert await place.deployer.running("shop", _STAGE) is None, "nothing runs until it is started"
    assert (await place.deployer.health("shop", _STAGE)).healthy is None
    assert await place.apply(_build("one")) == first


async def test_stop_and_close(place: Place) -> None:
    running = await place.apply(_build("one"))
    for _ in range(2):
        await place.deployer.stop("shop", _STAGE)
        assert await place.deployer.running("shop", _STAGE) is None
    with pytest.raises(GreylagError):
        await get_local(running.url, 1.0)
    await place.deployer.stop("never", _STAGE)
    await place.deployer.close()


async def test_wrong_bytes_change_nothing(place: Place) -> None:
    one = await place.apply(_build("one"))
    digest = _digest(_build("two"))
    allowed = permit(Stage.DEPLOY, "environment:shop/staging", digest)
    for wrong in ("", "md5:x", digest.upper(), digest):
        given = permit(Stage.DEPLOY, "environment:shop/staging", wrong)
        with pytest.raises(GreylagError, match="GL-DEPLOY-001"):
            await place.deployer.apply(given, "shop", _STAGE, wrong, _build("three"))
    with pytest.raises(GreylagError, match="GL-EGRESS-001"):
        await place.deployer.apply(allowed, "other", _STAGE, digest, _build("two"))
    with pytest.raises(GreylagError, match="GL-EGRESS-001"):
        await place.deployer.apply(allowed, "shop", _STAGE, _digest(_build("x")), _build("x"))
    with pytest.raises(GreylagError, match="GL-DEPLOY-003"):
        await place.apply(b"no archive")
    for name in ("..", "a/b", ""):
        with pytest.raises(GreylagError, match="GL-DEPLOY-006"):
            await place.deployer.running(name, _STAGE)
    assert await place.deployer.running("shop", _STAGE) == one


async def test_a_port_that_others_hold(place: Place) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(GreylagError, match="GL-DEPLOY-004"):
            await place.apply(_build("one"), replace(_STAGE, port=port))
    chosen = await place.apply(_build("one"), replace(_STAGE, port=port))
    assert chosen.url.endswith(f":{port}")


async def test_an_old_port_that_others_took_is_left(place: Place) -> None:
    first = await place.apply(_build("one"))
    await place.deployer.stop("shop", _STAGE)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", int(first.url.rpartition(":")[2])))
        other.listen()
        assert (await place.apply(_build("one"))).url != first.url


async def test_a_broken_state_file_is_said(place: Place) -> None:
    await place.apply(_build("one"))
    await place.deployer.stop("shop", _STAGE)
    for text in (
        "",
        "{}",
        '{"schema_version": 9, "port": 1, "digest": ""}',
        '{"schema_version": 1, "port": -1, "digest": ""}',
    ):
        (place.root / "shop/staging/state.json").write_text(text)
        with pytest.raises(GreylagError, match="GL-DEPLOY-005"):
            await place.apply(_build("one"))


async def test_old_releases_go(place: Place) -> None:
    for number in range(7):
        await place.apply(_build(f"n{number}"))
    kept = list((place.root / "shop/staging/releases").iterdir())
    assert len(kept) == 5
    assert (await place.seen())["word"] == "n6"


async def test_two_at_once_end_with_one(place: Place) -> None:
    builds = [_build("one"), _build("two"), _build("one")]
    await asyncio.gather(*(place.apply(build) for build in builds))
    assert len({path.name for path in (place.root / "shop/staging/releases").iterdir()}) == 2
    assert (await place.seen())["word"] in {"one", "two"}


async def test_nothing_outlives_a_killed_platform(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, str(Path(sys.argv[2])))
        from test_process_deployer import Place, _build
        from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
        async def go(root):
            running = await Place(root / "deploy", BubblewrapSandbox(root / "sandbox")).apply(_build("one"))
            print(running.url, flush=True)
            await asyncio.sleep(60)
        asyncio.run(go(Path(sys.argv[1])))
        """
    )
    here = Path(__file__).parent
    env = {
        "PYTHONPATH": f"{Path('src').absolute()}:{Path().absolute()}",
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
    }
    platform = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(here)], stdout=subprocess.PIPE, env=env
    )
    assert platform.stdout is not None
    url = (await asyncio.to_thread(platform.stdout.readline)).decode().strip()
    assert (await get_local(url, 2.0)).status == 200
    platform.send_signal(signal.SIGKILL)
    platform.wait()
    platform.stdout.close()
    async with asyncio.timeout(10):
        with contextlib.suppress(BackendError):
            while True:
                await get_local(url, 1.0)
                await asyncio.sleep(0.05)


def test_a_log_keeps_its_end_only(tmp_path: Path) -> None:
    log = ServiceLog(tmp_path / "log")
    for number in range(300):
        log.append(b"%03d" % number + b"x" * 20_000)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert 1_000_000 < size < 2_200_000
    assert "299x" in ServiceLog(tmp_path / "log").tail(9000)
    log.append(b"\x1b[31mred\xff")
    assert log.tail(20).endswith("?[31mred\ufffd")
