"""A running platform: one control plane and one region in one process, wired by `greylag.app.bootstrap`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from greylag.adapters.engine.port import Engine
from greylag.adapters.store.port import Directory
from greylag.app.importing import Incoming
from greylag.app.install.chats import Chats
from greylag.app.install.law.statutes import LivePolicy
from greylag.app.settings import Settings
from greylag.delivery.cell import Cell
from greylag.delivery.conversing.identity import Links
from greylag.delivery.desk import Desk
from greylag.domain.repository import Repository


@dataclass(frozen=True, slots=True)
class Platform:
    """The wired parts that the faces use. ``close`` stops everything; what is under way goes on at the next start.

    ``operator_token`` is the local operator's: who can read the home folder may act for anybody, and each such act is
    recorded as done by way of the operator. ``policy`` is what decides now, ``links`` says who is who in chats.
    ``import_repository`` brings a repository in through the door.
    """

    settings: Settings
    home: Path
    cell: Cell
    desk: Desk
    engine: Engine
    directory: Directory
    operator_token: str
    ledger_public_key: bytes
    policy: LivePolicy
    links: Links
    chats: Chats
    import_repository: Callable[[Repository, Incoming], Awaitable[Repository]]
    close: Callable[[], Awaitable[None]]
