"""Stages for chat backends."""

from collections.abc import AsyncIterator

import pytest

from tests.support.slack_server import SlackServer
from tests.support.slack_stage import Inbox, Notes


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    server = SlackServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()
