import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.errors import IntegrityError, OperatorError
from greylag.governance.ledger.checkpoint import (
    Checkpoint,
    VerifierKey,
    open_checkpoint,
    open_note,
    parse_checkpoint,
    parse_verifier_key,
    sign_checkpoint,
    verifier_key,
)
from greylag.governance.ledger.tree import EMPTY_ROOT, tree_of

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
CHECKPOINT = Checkpoint("ledger.test/eu", 3, tree_of([b"a", b"b", b"c"]).root())
NOTE = sign_checkpoint(CHECKPOINT, KEY)
PUBLIC = verifier_key("ledger.test/eu", KEY)

# The example of the Go project's note format, which C2SP signed-note describes.
PETERS_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_the_known_signed_note_opens() -> None:
    key = parse_verifier_key(PETERS_KEY)
    assert str(key) == PETERS_KEY
    assert open_note(PETERS_NOTE, key).endswith("what your problem is.\n")
    with pytest.raises(IntegrityError, match="GL-LEDGER-003"):
        open_note(PETERS_NOTE.replace("answer", "anchor"), key)


def test_a_checkpoint_is_three_lines_and_a_signature() -> None:
    text, _, signature = NOTE.partition("\n\n")
    assert text.split("\n") == ["ledger.test/eu", "3", base64.b64encode(CHECKPOINT.root).decode()]
    assert signature.startswith("— ledger.test/eu ")
    assert signature.endswith("\n")
    assert open_checkpoint(NOTE, PUBLIC) == CHECKPOINT
    assert parse_checkpoint(NOTE) == CHECKPOINT
    assert parse_verifier_key(f" {PUBLIC}\n") == PUBLIC
    assert sign_checkpoint(CHECKPOINT, KEY) == NOTE


def test_signatures_by_others_are_let_pass_but_never_believed() -> None:
    witness = sign_checkpoint(Checkpoint("witness.test", 3, CHECKPOINT.root), OTHER_KEY).rpartition("\n\n")[2]
    assert open_checkpoint(NOTE + witness, PUBLIC) == CHECKPOINT
    text = NOTE.rpartition("\n\n")[0]
    with pytest.raises(IntegrityError, match="no signature by"):
        open_checkpoint(f"{text}\n\n{witness}", PUBLIC)


def replaced(old: str, new: str) -> str:
    assert old in NOTE
    return NOTE.replace(old, new, 1)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n\n",
        NOTE[:-1],
        NOTE.partition("\n\n")[0] + "\n",
        replaced("\n3\n", "\n4\n"),
        replaced("\n3\n", "\n03\n"),
        replaced("\n3\n", "\n-3\n"),
        replaced("\n3\n", "\n٣\n"),
        replaced("ledger.test/eu", "ledger.test/us"),
        replaced("— ledger.test/eu", "- ledger.test/eu"),
        replaced("— ledger.test/eu", "— ledger.test/us"),
        NOTE.replace("\n", "\r\n"),
        NOTE + "\n",
        NOTE + "junk\n",
        NOTE + "— someone notbase64!\n",
        NOTE + "— ledger.test/eu " + base64.b64encode(PUBLIC.key_id + bytes(64)).decode() + "\n",
        NOTE + "— ledger.test/eu " + base64.b64encode(PUBLIC.key_id + bytes(3)).decode() + "\n",
        NOTE + "— a AAAA\n" * 200,
        "x" * 70_000,
        "\x00" + NOTE,
        "\ud800" + NOTE,
        sign_checkpoint(CHECKPOINT, OTHER_KEY),
        sign_checkpoint(Checkpoint("ledger.test/us", 3, CHECKPOINT.root), KEY),
    ],
)
def test_anything_else_is_refused(note: str) -> None:
    with pytest.raises(IntegrityError, match="GL-LEDGER-003"):
        open_checkpoint(note, PUBLIC)


def test_a_checkpoint_has_no_extension_lines() -> None:
    with pytest.raises(IntegrityError, match="three lines"):
        parse_checkpoint("a\n1\n" + base64.b64encode(EMPTY_ROOT).decode() + "\nextension\n")
    with pytest.raises(IntegrityError, match="31 bytes"):
        parse_checkpoint("a\n1\n" + base64.b64encode(EMPTY_ROOT[:31]).decode() + "\n")
    unspelled = base64.b64encode(EMPTY_ROOT).decode()[:-2] + "V="  # the same bytes, with a bit set that is ignored
    assert base64.b64decode(unspelled) == EMPTY_ROOT
    with pytest.raises(IntegrityError, match="canonical base64"):
        parse_checkpoint(f"a\n1\n{unspelled}\n")


@given(st.text(max_size=80))
def test_no_text_crashes_the_reader(text: str) -> None:
    for read in (lambda: open_checkpoint(text, PUBLIC), lambda: parse_verifier_key(text)):
        with pytest.raises(IntegrityError, match="GL-LEDGER-003"):
            read()


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2028b", "x" * 300])
def test_a_ledger_needs_a_plain_name(name: str) -> None:
    with pytest.raises(OperatorError, match="GL-LEDGER-010"):
        verifier_key(name, KEY)


def test_a_key_whose_id_is_another_key_s_is_refused() -> None:
    forged = str(VerifierKey(PUBLIC.name, bytes(32))).replace(VerifierKey(PUBLIC.name, bytes(32)).key_id.hex(), "0" * 8)
    for text in (forged, str(PUBLIC).replace("+", "-", 1), str(PUBLIC)[:-4], str(PUBLIC) + "é"):
        with pytest.raises(IntegrityError, match="GL-LEDGER-003"):
            parse_verifier_key(text)
