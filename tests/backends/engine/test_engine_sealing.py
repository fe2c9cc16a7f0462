"""What the engine stores can be read and changed by nobody without the cell's key, and never runs code."""

import base64
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.adapters.engine.cell import cell
from greylag.adapters.engine.sealing import SealedJson, open_key
from greylag.adapters.engine.slots import FileSlots, check_name
from greylag.domain.errors import BackendError, IntegrityError, OperatorError, PolicyRefused, RequestRefused

KEY = bytes(range(32))
SEALING = SealedJson(KEY, "eu-de")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: key != "\0error"), inner),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_json_comes_back_as_it_was(value: object) -> None:
    assert SEALING.deserialize(SEALING.serialize(value)) == value


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place: int, flip: int) -> None:
    sealed = bytearray(base64.b64decode(SEALING.serialize("the customers' names")))
    sealed[place % len(sealed)] ^= flip
    with pytest.raises(IntegrityError, match="can't be opened") as caught:
        SEALING.deserialize(base64.b64encode(sealed).decode())
    assert caught.value.code == "GL-ENGINE-007"


@pytest.mark.parametrize(
    "text",
    ["", "x", "AAAA", "null", '{"a":1}', base64.b64encode(pickle.dumps(print)).decode(), "\u20ac", "A" * 100_000],
)
def test_what_was_not_sealed_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        SEALING.deserialize(text)


@pytest.mark.parametrize("other", [SealedJson(bytes(32), "eu-de"), SealedJson(KEY, "us-va")])
def test_another_key_or_region_opens_nothing(other: SealedJson) -> None:
    with pytest.raises(IntegrityError):
        other.deserialize(SEALING.serialize("x"))


def test_two_seals_of_one_value_differ() -> None:
    assert SEALING.serialize("x") != SEALING.serialize("x")


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", float("nan"), float("inf")])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        SEALING.serialize(value)


class _Nasty(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class _OfAFamily(RequestRefused):
    pass


@pytest.mark.parametrize(
    ("error", "family", "code"),
    [
        (RequestRefused("GL-A-001", "m", "r"), RequestRefused, "GL-A-001"),
        (_OfAFamily("GL-A-001", "m", "r"), RequestRefused, "GL-A-001"),
        (OperatorError("GL-A-002", "m", "r"), OperatorError, "GL-A-002"),
        (IntegrityError("GL-A-003", "m", "r"), IntegrityError, "GL-A-003"),
        (BackendError("GL-A-004", "m", "r", transient=True), BackendError, "GL-A-004"),
        (PolicyRefused("GL-A-005", "m", "r", decision_id="d", rules=("a", "b")), PolicyRefused, "GL-A-005"),
        (ValueError("odd"), BackendError, "GL-ENGINE-004"),
        (_Nasty(), BackendError, "GL-ENGINE-004"),
        (KeyboardInterrupt(), BackendError, "GL-ENGINE-004"),
    ],
)
def test_errors_come_back_as_their_family(error: BaseException, family: type[Exception], code: str) -> None:
    revived = SEALING.deserialize(SEALING.serialize(error))
    assert type(revived) is family
    assert revived.code == code  # type: ignore[attr-defined]
    if isinstance(error, BackendError):
        assert isinstance(revived, BackendError)
        assert revived.transient
    if isinstance(error, PolicyRefused):
        assert isinstance(revived, PolicyRefused)
        assert (revived.decision_id, revived.rules, revived.message, revived.remedy) == ("d", ("a", "b"), "m", "r")


def test_a_huge_error_text_is_cut() -> None:
    assert len(SEALING.serialize(ValueError("x" * 10_000_000))) < 10_000


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "state" / "engine.key"
    with ThreadPoolExecutor(8) as pool:
        keys = {future.result() for future in [pool.submit(open_key, file) for _ in range(32)]}
    assert len(keys) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(file.parent) == ["engine.key"]


def test_a_key_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "engine.key"
    open_key(file)
    file.chmod(0o640)
    with pytest.raises(OperatorError, match="others may read it") as caught:
        open_key(file)
    assert caught.value.code == "GL-ENGINE-006"


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "engine.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(OperatorError, match="32 bytes"):
        open_key(file)


def test_a_link_in_place_of_the_key_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    open_key(elsewhere)
    (tmp_path / "engine.key").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic"):
        open_key(tmp_path / "engine.key")


def test_no_two_regions_share_a_name(tmp_path: Path) -> None:
    regions = [
        "eu-de",
        "eu_de",
        "eu de",
        "EU-DE",
        "eude",
        "eu-de-",
        "-",
        "ü",
        "x" * 30,
        "x" * 31,
        "x" * 32,
        "../..",
        "a'b",
    ]
    cells = [cell(region, "sqlite:////nowhere/engine.db", tmp_path) for region in regions]
    assert len({one.application for one in cells}) == len({one.schema for one in cells}) == len(regions)
    for one in cells:
        assert len(one.schema) <= 63
        assert one.schema.replace("_", "").isalnum()
        assert one.application.replace("-", "").isalnum()


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("", "sqlite:////x/y.db"), (" ", "sqlite:////x/y.db"), ("eu", "mysql://h/d"), ("eu", "sqlite://"), ("eu", ""),
        ("eu", "sqlite:///:memory:"), ("eu", "nonsense"), ("eu", "postgresql://u:secret@h/"),
    ],
)  # fmt: skip
def test_unusable_settings_are_refused_without_telling_the_password(region: str, url: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError) as caught:
        cell(region, url, tmp_path)
    assert caught.value.code == "GL-ENGINE-005"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".x", "a b", "x" * 65, "a\n", "ü"])
def test_worker_names_are_plain(name: str) -> None:
    with pytest.raises(OperatorError, match="slot name"):
        check_name(name)


def test_probing_a_slot(tmp_path: Path) -> None:
    mine, theirs = FileSlots(tmp_path / "db"), FileSlots(tmp_path / "db")
    mine.hold("w1")
    with theirs.probe("w1") as free:
        assert not free
    with theirs.probe("../../etc/passwd") as free:
        assert free
    mine.release()
    with theirs.probe("w1") as free:
        assert free
        with mine.probe("w1") as free_twice:
            assert not free_twice
    assert all(file.suffix == ".lock" for file in (tmp_path / "db.workers").iterdir())
