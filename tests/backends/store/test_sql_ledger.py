import json
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from greylag.adapters.store.audit import audit_ledger
from greylag.adapters.store.backends.sql_ledger import SqlLedgerStore
from greylag.adapters.store.opening import Control, open_cell
from greylag.adapters.store.port import Witness
from greylag.domain.errors import BackendError, GreylagError, IntegrityError, OperatorError, RequestRefused
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.egress.door import Door
from greylag.egress.hop import Hop
from greylag.governance.ledger.checkpoint import open_checkpoint
from greylag.governance.ledger.proofs import verify_consistency, verify_inclusion
from greylag.governance.ledger.tree import leaf_hash
from greylag.governance.question import Asset, Target
from tests.support.permits import PermissivePolicy, WallClock
from tests.support.postgres import DatabaseUrls

ORIGIN = "ledger.test/eu"


def fill(ledger: SqlLedgerStore, count: int) -> None:
    for number in range(count):
        assert ledger.append({"kind": "decision", "number": number}, key=f"key-{number}") == number


def open_again(urls: DatabaseUrls, witness: Witness, key: Ed25519PrivateKey, origin: str = ORIGIN) -> SqlLedgerStore:
    return open_cell(urls.cell, private_key=key, origin=origin, clock=WallClock(), witness=witness)


def test_every_append_is_signed_witnessed_and_provable(ledger: SqlLedgerStore, control: Control) -> None:
    assert open_checkpoint(ledger.checkpoint(), ledger.verifier_key).size == 0
    fill(ledger, 13)
    checkpoint = open_checkpoint(ledger.checkpoint(), ledger.verifier_key)
    assert (checkpoint.origin, checkpoint.size, ledger.size()) == (ORIGIN, 13, 13)
    assert control.witness.newest(ORIGIN) == ledger.checkpoint()
    assert list(control.witness.checkpoints(ORIGIN)) == list(ledger.checkpoints())
    assert len(ledger.checkpoints(after=10)) == 3
    for entry in ledger.entries():
        proof = ledger.inclusion_proof(entry.index, 13)
        verify_inclusion(leaf_hash(entry.body), entry.index, 13, proof, checkpoint.root)
    for stored in ledger.checkpoints():
        old = open_checkpoint(stored.note, ledger.verifier_key)
        verify_consistency(old.size, old.root, 13, checkpoint.root, ledger.consistency_proof(old.size, 13))
    with pytest.raises(IntegrityError, match="GL-LEDGER-004"):
        ledger.inclusion_proof(0, 14)
    assert audit_ledger(ledger, control.witness, ledger.verifier_key).ok


def test_the_body_is_canonical_and_says_when_and_which_attempt(ledger: SqlLedgerStore) -> None:
    ledger.append({"b": "ü", "a": 1}, key="k")
    ledger.append({"b": "ü", "a": 2}, key="k")
    first, second = [entry.body for entry in ledger.entries()]
    assert list(json.loads(first)) == ["a", "at", "attempt", "b", "key"]
    assert first.startswith(b'{"a":1,"at":"20')
    assert json.loads(second)["attempt"] == 2
    assert ledger.append({"a": 1, "b": "ü"}, key="k") == 0
    assert ledger.append({"a": 2, "b": "ü"}, key="k") == 1
    assert ledger.size() == 2
    assert [entry.index for entry in ledger.entries(start=1)] == [1]


def test_a_door_writes_its_decisions_here(ledger: SqlLedgerStore) -> None:
    door = Door(PermissivePolicy(), ledger, WallClock(), "eu")
    hop = Hop(
        Stage.CHAT, "ada", "say", Asset("card", Label("internal"), "eu"), Target("chat", "console"), "card-1", "task_1"
    )
    permit = door.admit(hop)
    assert door.admit(hop) == permit
    door.observe(permit, "sent", {"bytes": 12})
    assert [json.loads(entry.body)["kind"] for entry in ledger.entries()] == ["decision", "outcome"]


@pytest.mark.parametrize(
    ("entry", "key", "code"),
    [
        ({"pad": "x" * 65_535}, "k", "GL-LEDGER-002"),
        ({"pad": "x" * 5_000_000}, "k", "GL-LEDGER-002"),
        ({"share": 0.5}, "k", "GL-LEDGER-001"),
        ({"text": "\ud800"}, "k", "GL-LEDGER-001"),
        ({"at": "yesterday"}, "k", "GL-LEDGER-001"),
        ({"attempt": 7}, "k", "GL-LEDGER-001"),
        ({"key": "other"}, "k", "GL-LEDGER-001"),
        ({}, "", "GL-STORE-002"),
        ({}, "a\x00b", "GL-STORE-002"),
        ({}, "\udcff", "GL-STORE-002"),
        ({}, "k" * 5_000, "GL-STORE-002"),
    ],
)
def test_hostile_entries_are_refused_and_leave_nothing(
    ledger: SqlLedgerStore, entry: dict[str, object], key: str, code: str
) -> None:
    with pytest.raises(RequestRefused, match=code):
        ledger.append(entry, key=key)
    assert ledger.size() == 0
    assert ledger.append({"text": "a\x00b 🪿"}, key="fine") == 0


def test_the_largest_entry_fits(ledger: SqlLedgerStore) -> None:
    ledger.append({"pad": ""}, key="size")
    room = 65_535 - len(ledger.entries()[0].body)
    ledger.append({"pad": "x" * room}, key="full")
    assert len(ledger.entries(1)[0].body) == 65_535
    with pytest.raises(RequestRefused, match="GL-LEDGER-002"):
        ledger.append({"pad": "x" * (room + 1)}, key="over")


def test_many_threads_and_two_stores_lose_nothing(
    ledger: SqlLedgerStore, control: Control, database_urls: DatabaseUrls, ledger_key: Ed25519PrivateKey
) -> None:
    second = open_again(database_urls, control.witness, ledger_key)
    with ThreadPoolExecutor(6) as pool:
        indexes = list(
            pool.map(lambda n: (ledger, second)[n % 2].append({"number": n // 3}, key=f"key-{n // 3}"), range(90))
        )
    second.close()
    assert sorted(set(indexes)) == list(range(30))
    assert ledger.size() == 30
    assert audit_ledger(ledger, control.witness, ledger.verifier_key).ok
    assert len(control.witness.checkpoints(ORIGIN)) == 30


def test_callers_that_wait_at_once_share_a_transaction_and_nothing_else(
    ledger: SqlLedgerStore, control: Control
) -> None:
    """Each gets its own index or its own refusal, and each entry a checkpoint of its own."""
    made: list[dict[str, object]] = [{"number": number} for number in range(12)]
    made[3], made[7] = {"pad": "x" * 70_000}, {"number": 6}

    def append(number: int) -> int | str:
        try:
            return ledger.append(made[number], key=f"key-{6 if number == 7 else number}")
        except RequestRefused as error:
            return error.code

    with ThreadPoolExecutor(12) as pool:
        ledger._lock.acquire()
        waiting = [pool.submit(append, number) for number in range(12)]
        while len(ledger._waiting) < 12:
            time.sleep(0.001)
        ledger._lock.release()
        outcomes = [each.result(20) for each in waiting]
    assert outcomes[3] == "GL-LEDGER-002"
    assert outcomes[6] == outcomes[7]
    assert sorted({each for each in outcomes if isinstance(each, int)}) == list(range(10))
    assert len(ledger.checkpoints()) == len(control.witness.checkpoints(ORIGIN)) == 10
    assert audit_ledger(ledger, control.witness, ledger.verifier_key).ok


def test_where_all_that_wait_fail_each_gets_its_own_error_and_is_made_good(
    database_urls: DatabaseUrls, control: Control, ledger_key: Ed25519PrivateKey
) -> None:
    witness = BrokenWitness(control.witness)
    ledger = open_again(database_urls, witness, ledger_key)  # type: ignore[arg-type]

    def append(number: int) -> BaseException | None:
        try:
            ledger.append({"number": number}, key=f"k{number}")
        except BackendError as error:
            return error
        return None

    with ThreadPoolExecutor(8) as pool:
        errors = list(pool.map(append, range(8)))
        assert all(isinstance(each, BackendError) for each in errors)
        assert len({id(each) for each in errors}) == 8, "none shares another's"
        witness.broken = False
        assert list(pool.map(append, range(8))) == [None] * 8
    assert ledger.size() == 8
    assert audit_ledger(ledger, control.witness, ledger.verifier_key).ok
    ledger.close()


class BrokenWitness:
    """Fails while ``broken``; then it is the witness it wraps."""

    def __init__(self, witness: Witness) -> None:
        self.witness = witness
        self.broken = True

    def __getattr__(self, name: str) -> object:
        return getattr(self.witness, name)

    def keep(self, *notes: str) -> None:
        if self.broken:
            raise BackendError("GL-STORE-001", "gone", "wait", transient=True)
        self.witness.keep(*notes)


def test_without_its_witness_an_append_fails_and_is_made_good_later(
    database_urls: DatabaseUrls, control: Control, ledger_key: Ed25519PrivateKey
) -> None:
    witness = BrokenWitness(control.witness)
    ledger = open_again(database_urls, witness, ledger_key)  # type: ignore[arg-type]
    for number in (1, 2):
        with pytest.raises(BackendError):
            ledger.append({"number": number}, key=f"k{number}")
    assert control.witness.newest(ORIGIN) is None
    witness.broken = False
    assert ledger.append({"number": 1}, key="k1") == 0
    assert control.witness.newest(ORIGIN) == ledger.checkpoint()
    assert audit_ledger(ledger, control.witness, ledger.verifier_key).ok
    ledger.close()


def test_another_key_or_name_does_not_open_a_ledger(
    ledger: SqlLedgerStore, control: Control, database_urls: DatabaseUrls, ledger_key: Ed25519PrivateKey
) -> None:
    fill(ledger, 2)
    with_other_key = open_again(database_urls, control.witness, Ed25519PrivateKey.generate())
    with pytest.raises(IntegrityError, match="GL-LEDGER-003"):
        with_other_key.append({}, key="x")
    with_other_name = open_again(database_urls, control.witness, ledger_key, "ledger.test/us")
    with pytest.raises(OperatorError, match="GL-LEDGER-011"):
        with_other_name.append({}, key="x")
    with_other_key.close()
    with_other_name.close()
    assert ledger.size() == 2


def drop_triggers(connection: sqlite3.Connection) -> None:
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")


def change(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE greylag_ledger_entry SET body = replace(body, '4', '5') WHERE position = 4")


def remove(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM greylag_ledger_entry WHERE position = 4")


def remove_and_close_the_gap(connection: sqlite3.Connection) -> None:
    remove(connection)
    for position in range(5, 10):
        connection.execute(f"UPDATE greylag_ledger_entry SET position = {position - 1} WHERE position = {position}")


def reorder(connection: sqlite3.Connection) -> None:
    for old, new in ((4, 100), (6, 4), (100, 6)):
        connection.execute(f"UPDATE greylag_ledger_entry SET position = {new} WHERE position = {old}")


def add(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO greylag_ledger_entry VALUES (10, 'new', 1, x'00', x'7b7d')")


def cut_off(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM greylag_ledger_entry WHERE position >= 7")


def roll_back(connection: sqlite3.Connection) -> None:
    """To an honest older state: entries, nodes and checkpoints all fit together."""
    cut_off(connection)
    connection.execute("DELETE FROM greylag_ledger_checkpoint WHERE size > 7")
    connection.execute("DELETE FROM greylag_ledger_node WHERE (position + 1) << level > 7")


def wipe(connection: sqlite3.Connection) -> None:
    for table in ("entry", "node", "checkpoint"):
        connection.execute(f"DELETE FROM greylag_ledger_{table}")


@pytest.mark.parametrize(
    ("attack", "kind", "index"),
    [
        (change, "changed", 4),
        (remove, "removed", 4),
        (remove_and_close_the_gap, "removed", 4),
        (reorder, "reordered", 4),
        (add, "added", 10),
        (cut_off, "truncated", 7),
        (roll_back, "truncated", 7),
        (wipe, "truncated", 0),
    ],
)
@pytest.mark.parametrize("database_urls", ["sqlite"], indirect=True)
def test_tampering_with_the_real_file_is_found(
    ledger: SqlLedgerStore, control: Control, database_urls: DatabaseUrls, ledger_key: Ed25519PrivateKey,
    attack: Callable[[sqlite3.Connection], None], kind: str, index: int,
) -> None:  # fmt: skip
    fill(ledger, 10)
    ledger.close()
    with sqlite3.connect(database_urls.cell.removeprefix("sqlite:///")) as connection:
        drop_triggers(connection)
        attack(connection)
    connection.close()
    reopened = open_again(database_urls, control.witness, ledger_key)
    report = audit_ledger(reopened, control.witness, reopened.verifier_key)
    assert {finding.kind for finding in report.findings} == {kind}
    assert report.first_bad_index == index
    if attack in (add, cut_off, roll_back, wipe):
        with pytest.raises(IntegrityError, match="GL-LEDGER-005"):
            reopened.append({"after": "the attack"}, key="next")
    reopened.close()


def test_changed_tree_nodes_stop_the_sequencer(
    ledger: SqlLedgerStore, control: Control, database_urls: DatabaseUrls, ledger_key: Ed25519PrivateKey
) -> None:
    fill(ledger, 8)
    with ledger._database.writing("attack") as connection:
        if database_urls.kind == "sqlite":
            connection.execute(text("DROP TRIGGER greylag_ledger_node_no_update"))
        else:
            connection.execute(text("DROP TRIGGER greylag_ledger_node_no_update ON greylag_ledger_node"))
        connection.execute(text("UPDATE greylag_ledger_node SET digest = :other WHERE level = 3"), {"other": bytes(32)})
    reopened = open_again(database_urls, control.witness, ledger_key)
    with pytest.raises(IntegrityError, match="GL-LEDGER-005"):
        reopened.append({}, key="next")
    reopened.close()


def test_a_rewrite_with_the_stolen_key_meets_the_witness(
    control: Control, database_urls: DatabaseUrls, ledger: SqlLedgerStore, ledger_key: Ed25519PrivateKey
) -> None:
    fill(ledger, 5)

    class Blind:
        """Stands in for an attacker's program that asks no witness."""

        def keep(self, *notes: str) -> None: ...

        def newest(self, origin: str) -> None:
            return None

        def checkpoints(self, origin: str, after: int = 0, limit: int = 1000) -> list[object]:
            return []

    with ledger._database.writing("attack") as connection:
        for table in ("entry", "node", "checkpoint"):
            name = f"greylag_ledger_{table}"
            on = "" if database_urls.kind == "sqlite" else f" ON {name}"
            connection.execute(text(f"DROP TRIGGER {name}_no_{'delete' if not on else 'update'}{on}"))
            connection.execute(text(f"DELETE FROM {name}"))
    forged = open_again(database_urls, Blind(), ledger_key)  # type: ignore[arg-type]
    for number in range(6):
        forged.append({"forged": number}, key=f"f{number}")
    assert audit_ledger(forged, Blind(), forged.verifier_key).ok  # type: ignore[arg-type]
    report = audit_ledger(forged, control.witness, forged.verifier_key)
    assert "forked" in {finding.kind for finding in report.findings}
    with pytest.raises(IntegrityError, match="GL-LEDGER-006"):
        control.witness.keep(forged.checkpoints()[0].note)
    honest = open_again(database_urls, control.witness, ledger_key)
    with pytest.raises(IntegrityError, match="GL-LEDGER-005"):
        honest.append({}, key="next")
    honest.close()
    forged.close()


def test_a_failing_append_never_blocks_the_next(ledger: SqlLedgerStore) -> None:
    done = threading.Event()

    def work() -> None:
        for number in range(5):
            with pytest.raises(GreylagError):
                ledger.append({"bad": 0.1}, key="x")
            ledger.append({"number": number}, key=f"k{number}")
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert done.is_set()
    assert ledger.size() == 5
