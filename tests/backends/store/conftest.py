"""Fixtures for the stores: each test runs on SQLite and on PostgreSQL."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from greylag.adapters.store.backends.sql_ledger import SqlLedgerStore
from greylag.adapters.store.opening import Control, open_cell, open_control
from tests.support.permits import WallClock
from tests.support.postgres import DatabaseUrls, database_urls, postgres_server

__all__ = ["database_urls", "postgres_server"]

ORIGIN = "ledger.test/eu"


@pytest.fixture
def ledger_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def control(database_urls: DatabaseUrls) -> Iterator[Control]:
    opened = open_control(database_urls.control)
    yield opened
    opened.close()


@pytest.fixture
def ledger(database_urls: DatabaseUrls, control: Control, ledger_key: Ed25519PrivateKey) -> Iterator[SqlLedgerStore]:
    opened = open_cell(
        database_urls.cell, private_key=ledger_key, origin=ORIGIN, clock=WallClock(), witness=control.witness
    )
    yield opened
    opened.close()
