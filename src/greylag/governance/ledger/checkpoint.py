"""Signed checkpoints: what a log says it was, in a form others can hold against it.

Source: C2SP signed-note (envelope, key ids, verifier keys) and C2SP tlog-checkpoint (the text inside).
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from greylag.domain.errors import IntegrityError, OperatorError
from greylag.governance.ledger.tree import HASH_BYTES

_ED25519 = b"\x01"
_KEY_ID_BYTES = 4
_SIGNATURE_BYTES = 64
_MAX_NOTE_CHARACTERS = 65_536
_MAX_SIGNATURES = 100
_MAX_NAME_CHARACTERS = 200
_SIGNATURE_LINE = re.compile(r"— (\S+) (\S+)")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's name, its number of entries, and the root over them."""

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """Whose signature is believed: a name (equal to the log's origin) and a raw Ed25519 public key of 32 bytes."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ key) (C2SP signed-note)."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"


def verifier_key(name: str, private_key: Ed25519PrivateKey) -> VerifierKey:
    """Return the public half of a log's key under ``name``. Raises OperatorError ``GL-LEDGER-010`` for a bad name."""
    if not _is_name(name):
        raise OperatorError(
            "GL-LEDGER-010",
            f"a ledger can't be named {name!r}: a name has 1 to {_MAX_NAME_CHARACTERS} characters, no space, no `+`.",
            "name it like a host and path, e.g. `ledger.example.org/eu-de`.",
        )
    return VerifierKey(name, private_key.public_key().public_bytes_raw())


def parse_verifier_key(text: str) -> VerifierKey:
    """Return the key that ``str(key)`` spelled, e.g. ``name+0a1b2c3d+AT…``.

    Raises IntegrityError ``GL-LEDGER-003`` where it is malformed or its key id belongs to another key.
    """
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = _decoded(encoded, "verifier key")
    if not _is_name(name) or len(raw) != 33 or raw[:1] != _ED25519:
        raise _malformed("the verifier key is not `name+id+base64` of an Ed25519 key")
    key = VerifierKey(name, raw[1:])
    if key.key_id.hex() != key_id:
        raise _malformed(f"the verifier key says id {key_id[:16]!r}, but its key has {key.key_id.hex()!r}")
    return key


def sign_checkpoint(checkpoint: Checkpoint, private_key: Ed25519PrivateKey) -> str:
    """Return ``checkpoint`` as a signed note of its own origin. Same input, same text: Ed25519 is deterministic."""
    key = verifier_key(checkpoint.origin, private_key)
    text = f"{checkpoint.origin}\n{checkpoint.size}\n{base64.b64encode(checkpoint.root).decode()}\n"
    signature = base64.b64encode(key.key_id + private_key.sign(text.encode())).decode()
    return f"{text}\n— {key.name} {signature}\n"


def open_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """Return what ``key`` signed, ignoring signatures by others (C2SP: unknown keys are not an error).

    Raises IntegrityError ``GL-LEDGER-003`` where the text is malformed, names another origin than the key, or carries
    no valid signature by ``key``.
    """
    checkpoint = parse_checkpoint(open_note(note, key))
    if checkpoint.origin != key.name:
        raise _malformed(f"the checkpoint is of {checkpoint.origin!r}, the key of {key.name!r}")
    return checkpoint


def open_note(note: str, key: VerifierKey) -> str:
    """Return the text of a signed note with a valid signature by ``key``, its last newline included.

    Raises IntegrityError ``GL-LEDGER-003`` otherwise.
    """
    text, signatures = _split_note(note)
    ours = [raw for name, raw in signatures if name == key.name and raw[:_KEY_ID_BYTES] == key.key_id]
    if not ours:
        raise _malformed(f"there is no signature by {key.name!r} ({key.key_id.hex()})")
    for raw in ours:
        if len(raw) != _KEY_ID_BYTES + _SIGNATURE_BYTES:
            raise _malformed(f"the signature by {key.name!r} has {len(raw)} bytes")
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(raw[_KEY_ID_BYTES:], text.encode())
        except InvalidSignature:
            raise _malformed(f"the signature by {key.name!r} is wrong") from None
    return text


def parse_checkpoint(text: str) -> Checkpoint:
    """Return what a checkpoint text (or a whole signed note, unverified) says.

    Raises IntegrityError ``GL-LEDGER-003`` for anything but origin, size and base64 root on three lines.
    """
    body = text.partition("\n\n")[0] + "\n" if "\n\n" in text else text
    lines = body.split("\n")
    if len(lines) != 4 or lines[3] or not _is_name(lines[0]) or not _SIZE.fullmatch(lines[1]):
        raise _malformed("a checkpoint has three lines: origin, size, root")
    root = _decoded(lines[2], "root")
    if len(root) != HASH_BYTES:
        raise _malformed(f"the root has {len(root)} bytes, expected {HASH_BYTES}")
    return Checkpoint(lines[0], int(lines[1]), root)


def _split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    if len(note) > _MAX_NOTE_CHARACTERS or any(character < " " and character != "\n" for character in note):
        raise _malformed(f"a note is at most {_MAX_NOTE_CHARACTERS} characters without control characters")
    try:
        note.encode()
    except UnicodeEncodeError:
        raise _malformed("the note is not valid Unicode") from None
    body, separator, tail = note.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise _malformed("the note has no signature block")
    lines = tail[:-1].split("\n")
    if len(lines) > _MAX_SIGNATURES:
        raise _malformed(f"the note has more than {_MAX_SIGNATURES} signatures")
    signatures: list[tuple[str, bytes]] = []
    for line in lines:
        match = _SIGNATURE_LINE.fullmatch(line)
        if match is None:
            raise _malformed("a signature line is not `— name base64`")
        signatures.append((match[1], _decoded(match[2], "signature")))
    return body + "\n", signatures


def _decoded(text: str, what: str) -> bytes:
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise _malformed(f"the {what} is not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise _malformed(f"the {what} is not spelled in canonical base64")
    return raw


def _is_name(name: str) -> bool:
    printable = name.isprintable() and not any(character.isspace() for character in name)
    return 0 < len(name) <= _MAX_NAME_CHARACTERS and printable and "+" not in name


def _malformed(what: str) -> IntegrityError:
    return IntegrityError(
        "GL-LEDGER-003",
        f"a signed checkpoint can't be believed: {what}.",
        "compare the text and the verifier key with the operator's published ones; keep the bad text as evidence.",
    )
