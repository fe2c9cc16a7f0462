import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from greylag.governance.ledger.checkpoint import Checkpoint, sign_checkpoint, verifier_key
from greylag.governance.ledger.tree import Tree, leaf_hash
from greylag.governance.ledger.verification import LedgerReport, verify_log

ORIGIN = "ledger.test/eu"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = verifier_key(ORIGIN, KEY)
SIZE = 23
ENTRIES = [f"entry {number}".encode() for number in range(SIZE)]


def signed(size: int, bodies: list[bytes] = ENTRIES, key: Ed25519PrivateKey = KEY) -> str:
    tree = Tree()
    for body in bodies[:size]:
        tree, _ = tree.grown(leaf_hash(body))
    return sign_checkpoint(Checkpoint(ORIGIN, size, tree.root()), key)


CHECKPOINTS = [signed(size) for size in range(1, SIZE + 1)]


def verify(entries: list[bytes], newest: str = CHECKPOINTS[-1], older: list[str] = CHECKPOINTS) -> LedgerReport:
    return verify_log(entries, newest, PUBLIC, older)


def kinds(report: LedgerReport) -> list[str]:
    return [finding.kind for finding in report.findings]


def test_an_untouched_log_is_fine() -> None:
    for older in (CHECKPOINTS, [], CHECKPOINTS[::5]):
        report = verify(ENTRIES, older=older)
        assert report.ok
        assert report.first_bad_index is None
        assert (report.size, report.signed_size) == (SIZE, SIZE)
    empty = verify_log([], signed(0), PUBLIC)
    assert empty.ok
    assert empty.size == 0


@given(st.integers(0, SIZE - 1), st.binary(max_size=20))
def test_a_changed_entry_is_named(index: int, body: bytes) -> None:
    report = verify([*ENTRIES[:index], body, *ENTRIES[index + 1 :]])
    assert (kinds(report), report.first_bad_index) == (["changed"], index)


@given(st.integers(0, SIZE - 1))
def test_a_removed_entry_is_named(index: int) -> None:
    report = verify([*ENTRIES[:index], *ENTRIES[index + 1 :]])
    assert report.first_bad_index == index
    assert kinds(report) == (["truncated"] if index == SIZE - 1 else ["removed"])


@given(st.integers(0, SIZE), st.binary(max_size=20))
def test_an_added_entry_is_named(index: int, body: bytes) -> None:
    report = verify([*ENTRIES[:index], body, *ENTRIES[index:]])
    assert (kinds(report), report.first_bad_index) == (["added"], index)


@given(st.integers(0, SIZE - 1), st.integers(0, SIZE - 1))
def test_moved_entries_are_named(one: int, two: int) -> None:
    entries = list(ENTRIES)
    entries[one], entries[two] = entries[two], entries[one]
    report = verify(entries)
    if one == two:
        assert report.ok
    else:
        assert (kinds(report), report.first_bad_index) == (["reordered"], min(one, two))


@given(st.integers(0, SIZE - 1))
def test_a_log_cut_off_is_found(size: int) -> None:
    report = verify(ENTRIES[:size])
    assert (kinds(report), report.first_bad_index) == (["truncated"], size)


@given(st.integers(1, SIZE - 1))
def test_a_log_rolled_back_to_an_honest_older_state_is_found_by_what_others_kept(size: int) -> None:
    alone = verify(ENTRIES[:size], newest=CHECKPOINTS[size - 1], older=CHECKPOINTS[:size])
    assert alone.ok
    witnessed = verify(ENTRIES[:size], newest=CHECKPOINTS[size - 1], older=CHECKPOINTS)
    assert set(kinds(witnessed)) == {"truncated"}
    assert witnessed.first_bad_index == size


def test_an_emptied_log_is_found() -> None:
    report = verify([], newest=signed(0))
    assert set(kinds(report)) == {"truncated"}


def test_with_few_checkpoints_the_place_is_a_range() -> None:
    entries = [*ENTRIES[:12], b"changed", *ENTRIES[13:]]
    report = verify(entries, older=[signed(10), signed(15)])
    assert report.first_bad_index is None
    assert [(finding.first, finding.last) for finding in report.findings] == [(10, 14)]


def test_a_rewrite_signed_with_the_stolen_key_is_a_second_history() -> None:
    rewritten = [*ENTRIES[:5], b"rewritten", *ENTRIES[6:]]
    report = verify(rewritten, newest=signed(SIZE, rewritten))
    assert "forked" in kinds(report)


@pytest.mark.parametrize("place", [0, 7])
def test_a_checkpoint_by_another_key_counts_for_nothing(place: int) -> None:
    forged = signed(SIZE, [b"x"] * SIZE, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    texts = [CHECKPOINTS[-1], *CHECKPOINTS[:-1]]
    texts.insert(place, forged)
    report = verify_log(ENTRIES, texts[0], PUBLIC, texts[1:])
    assert kinds(report) == ["signature"]


@given(st.lists(st.binary(max_size=5), max_size=8), st.text(max_size=30), st.lists(st.text(max_size=30), max_size=3))
def test_nothing_in_the_arguments_raises(entries: list[bytes], newest: str, older: list[str]) -> None:
    report = verify_log(entries, newest, PUBLIC, older)
    assert not report.ok


def test_findings_are_bounded() -> None:
    assert len(verify_log([], "junk", PUBLIC, ["junk"] * 10_000).findings) <= 100
