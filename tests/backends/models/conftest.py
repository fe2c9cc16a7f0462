"""Fixtures of the model tests; what they are made of stands in `models_stage`."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from models_stage import Hall, Stub, anthropic, hall_of


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    stub = Stub()
    app = web.Application(client_max_size=2**25)
    app.router.add_post("/v1/messages", stub.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield stub
    await runner.cleanup()


@pytest.fixture
def socket_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gl-") as folder:  # short: a socket's path has 107 bytes
        yield Path(folder) / "s"


@pytest.fixture
async def hall(stub: Stub, socket_dir: Path) -> AsyncIterator[Hall]:
    hall = hall_of(anthropic(stub), socket_dir)
    yield hall
    with contextlib.suppress(Exception):  # a test that breaks the ledger has seen its error already
        await hall.gateway.shutdown()
