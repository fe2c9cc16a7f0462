"""Signing off: only who has the role, only for a while, on record before it counts; taking back is on record too."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from greylag.adapters.store.backends.sql_ledger import SqlLedgerStore
from greylag.adapters.store.opening import Control, open_cell, open_control
from greylag.adapters.store.port import Directory
from greylag.delivery.cell import Cell
from greylag.delivery.governing.signing_off import Wanted, sign_off, withdraw
from greylag.domain.errors import BackendError, RequestRefused
from greylag.domain.repository import Person, Repository
from greylag.domain.stages import Stage

BEGUN = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVE = Person("eve", ("dpo", "reviewer"))
IVAN = Person("ivan", ("data-owner", "security"))
WANTED = Wanted("dpo", "endpoint", "far", "checked with the processor")


@dataclass
class Clock:
    at: datetime = BEGUN
    drawn: int = 0

    def now(self) -> datetime:
        return self.at

    def entropy(self, size_bytes: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(size_bytes, "big")


@dataclass
class Parts:
    """The parts of a cell that signing off touches: a real directory, a real ledger, a clock that can be set."""

    region: str
    directory: Directory
    ledger: Any
    clock: Clock
    control: Control

    @property
    def cell(self) -> Cell:
        return cast(Cell, self)

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(entry.body) for entry in self.ledger.entries()]


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    clock = Clock()
    control = open_control(f"sqlite:///{tmp_path / 'control.db'}")
    ledger: SqlLedgerStore = open_cell(
        f"sqlite:///{tmp_path / 'ledger.db'}", private_key=Ed25519PrivateKey.generate(), origin="ledger.test/local",
        clock=clock, witness=control.witness,
    )  # fmt: skip
    control.directory.add_repository(Repository("murmur", "local"), BEGUN)
    yield Parts("local", control.directory, ledger, clock, control)
    ledger.close()
    control.close()


def test_a_sign_off_is_kept_and_on_record(parts: Parts) -> None:
    made = sign_off(parts.cell, EVE, replace(WANTED, repository="murmur", stage="prompt", days=7), "web")
    assert parts.directory.sign_offs() == (made,)
    assert (made.by, made.role, made.at, made.until, made.via) == (
        "eve",
        "dpo",
        BEGUN,
        BEGUN + timedelta(days=7),
        "web",
    )
    (entry,) = parts.entries()
    assert (entry["kind"], entry["sign_off_id"], entry["role"], entry["by"]) == (
        "sign_off",
        made.sign_off_id,
        "dpo",
        "eve",
    )
    assert entry["target"] == {"kind": "endpoint", "name": "far"}
    assert (entry["repository"], entry["stage"], entry["until"]) == ("murmur", "prompt", "2026-11-30T12:00:00+00:00")
    assert "reason" not in entry, "a ledger entry holds no free text"
    assert made.covers(Stage.PROMPT, "endpoint", "far", "murmur", BEGUN)
    assert not made.covers(Stage.PROMPT, "endpoint", "far", "murmur", BEGUN + timedelta(days=7))


@pytest.mark.parametrize(
    ("person", "role"),
    [(EVE, "data-owner"), (EVE, "reviewer"), (IVAN, "dpo"), (EVE, ""), (EVE, "dpo "), (Person("x", ()), "dpo")],
)
def test_only_a_role_that_one_has_and_that_signs_off(parts: Parts, person: Person, role: str) -> None:
    with pytest.raises(RequestRefused, match="GL-SIGNOFF-001") as refused:
        sign_off(parts.cell, person, replace(WANTED, role=role), "web")
    assert "greylag person add" in refused.value.remedy
    assert (parts.directory.sign_offs(), parts.entries()) == ((), [])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("target_kind", "planet"), ("target_kind", ""), ("stage", "lunch"), ("stage", ""), ("target", ""),
        ("target", "x" * 257), ("days", 0), ("days", -1), ("days", 91), ("reason", ""), ("reason", " \n\t"),
        ("reason", "x" * 501),
    ],
)  # fmt: skip
def test_a_wrong_field_is_refused_by_name(parts: Parts, field: str, value: Any) -> None:
    with pytest.raises(RequestRefused, match="GL-SIGNOFF-002") as refused:
        sign_off(parts.cell, EVE, replace(WANTED, **{field: value}), "web")
    assert f"`{field}`: got/expected" in refused.value.message
    assert (parts.directory.sign_offs(), parts.entries()) == ((), [])


def test_a_repository_that_is_not_there_is_refused(parts: Parts) -> None:
    with pytest.raises(RequestRefused, match="GL-REPO-001"):
        sign_off(parts.cell, EVE, replace(WANTED, repository="mumrur"), "web")
    assert (parts.directory.sign_offs(), parts.entries()) == ((), [])


def test_what_cannot_be_on_record_does_not_count(parts: Parts) -> None:
    class Full:
        def append(self, entry: object, *, key: str) -> int:
            raise BackendError("GL-LEDGER-005", "the disk is full.", "make room.")

    broken = replace(parts, ledger=Full())
    with pytest.raises(BackendError):
        sign_off(broken.cell, EVE, WANTED, "web")
    assert parts.directory.sign_offs() == ()


@pytest.mark.parametrize("person", [EVE, Person("mara", ("dpo",))])
def test_who_gave_it_or_has_its_role_takes_it_back(parts: Parts, person: Person) -> None:
    made = sign_off(parts.cell, EVE, WANTED, "web")
    parts.clock.at += timedelta(days=1)
    assert withdraw(parts.cell, person, made.sign_off_id) == made
    assert parts.directory.sign_offs() == ()
    given, taken = parts.entries()
    assert (taken["kind"], taken["sign_off_id"], taken["by"]) == ("sign_off_withdrawn", made.sign_off_id, person.name)
    assert given["sign_off_id"] == made.sign_off_id, "that it was given stays on record"
    with pytest.raises(RequestRefused, match="GL-SIGNOFF-003"):
        withdraw(parts.cell, person, made.sign_off_id)


def test_nobody_else_takes_it_back(parts: Parts) -> None:
    made = sign_off(parts.cell, EVE, WANTED, "web")
    with pytest.raises(RequestRefused, match="GL-SIGNOFF-001"):
        withdraw(parts.cell, IVAN, made.sign_off_id)
    with pytest.raises(RequestRefused, match="GL-SIGNOFF-003"):
        withdraw(parts.cell, EVE, "sgn_nothing")
    assert parts.directory.sign_offs() == (made,)
