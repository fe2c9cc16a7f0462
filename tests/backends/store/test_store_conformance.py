import pytest

from greylag.adapters.store import conformance
from greylag.adapters.store.backends.sql_ledger import SqlLedgerStore
from greylag.adapters.store.opening import Control

_NAMES = [
    "an event is recorded once and read back",
    "an event that the task's status forbids leaves no trace",
    "text no database can hold is refused whole",
    "a task is found by its beginning, and rebuilt the same",
    "a thread keeps each thing once, in order",
    "people are known by their token alone",
    "repositories come back as they were set",
    "sign-offs come back as they were given",
    "the newest deployment is what is live",
    "the ledger appends once per key and body",
    "what a chat says is taken once, in line",
    "a message's way to a chat is on record before and after",
]


def test_every_conformance_check_holds(control: Control, ledger: SqlLedgerStore) -> None:
    stores = conformance.Stores(
        control.events, control.threads, control.directory, control.deployments, ledger, control.chats
    )
    checks = conformance.checks(stores)
    assert [name for name, _ in checks] == _NAMES
    for _, check in checks:
        check()


def test_a_store_that_forgets_is_found(control: Control, ledger: SqlLedgerStore) -> None:
    class Forgetful:
        def __getattr__(self, name: str) -> object:
            return getattr(control.events, name)

        def read(self, *_: object, **__: object) -> tuple[()]:
            return ()

    stores = conformance.Stores(
        Forgetful(), control.threads, control.directory, control.deployments, ledger, control.chats
    )  # type: ignore[arg-type]
    with pytest.raises(Exception, match="GL-STORE-009"):
        conformance.checks(stores)[0][1]()
