"""Stages for chats: a real Matrix server with a person and our backend, and a few answers of Slack's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.matrix_people import Bot, Person
from tests.support.slack_server import SlackServer
from tests.support.slack_stage import Inbox, Notes
from tests.support.synapse import SynapseServer, synapse

__all__ = ["synapse"]


@pytest.fixture
def names(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Names that no other test of the file has."""
    number = abs(hash(request.node.nodeid)) % 10**9
    return f"ann{number}", f"greylag{number}"


@pytest.fixture
async def ann(synapse: SynapseServer, names: tuple[str, str]) -> AsyncIterator[Person]:
    """A person with one device."""
    person = await Person(synapse, synapse.register(names[0])).enter()
    yield person
    await person.leave()


@pytest.fixture
async def bot(synapse: SynapseServer, names: tuple[str, str], tmp_path: Path, ann: Person) -> AsyncIterator[Bot]:
    """Our backend, which knows Ann; not listening yet."""
    made = Bot(synapse, synapse.register(names[1]), tmp_path / "matrix", {ann.user})
    yield made
    await made.stop()


@pytest.fixture
async def slack() -> AsyncIterator[SlackServer]:
    """A few answers of Slack's, over real connections."""
    server = SlackServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def notes() -> Notes:
    """What our Slack backend remembers by."""
    return Notes()


@pytest.fixture
def inbox() -> Inbox:
    """Whom our Slack backend tells what it heard."""
    return Inbox()
