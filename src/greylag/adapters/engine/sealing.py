"""What the engine stores: JSON only, encrypted and authenticated under the cell's own key.

Must never unpickle: whoever can write to the engine's database must not be able to run code in a worker.
"""

import base64
import hashlib
import json
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from dbos import Serializer

from greylag.domain.errors import (
    BackendError,
    GreylagError,
    IntegrityError,
    OperatorError,
    PolicyRefused,
    RequestRefused,
)

_KEY_BYTES = 32
_NONCE_BYTES = 12
_ERROR = "\0error"
_TEXT_LIMIT = 4000
_FAMILIES: dict[str, type[GreylagError]] = {
    family.__name__: family for family in (PolicyRefused, RequestRefused, OperatorError, BackendError, IntegrityError)
}


class SealedJson(Serializer):
    """Serializes JSON values and exceptions as AES-256-GCM text bound to ``region`` (NIST SP 800-38D, random nonces).

    A value is bound to its cell, not to its row: who can write to the database can still swap two sealed values.
    """

    def __init__(self, key: bytes, region: str) -> None:
        self._cipher = AESGCM(key)
        self._region = f"greylag-engine/1/{region}".encode()
        #: Names the key without telling it.
        self.fingerprint = hashlib.sha256(b"greylag-engine-key/1/" + key).hexdigest()[:16]

    def name(self) -> str:
        """Return the format's name, which is stored beside each value."""
        return "greylag-sealed-json-1"

    def serialize(self, data: object) -> str:
        """Return ``data`` sealed. Raises TypeError for what JSON can't hold."""
        plain = {_ERROR: _described(data)} if isinstance(data, BaseException) else data
        text = json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, text, self._region)).decode()

    def deserialize(self, serialized_data: str) -> object:
        """Open what `serialize` made. Raises IntegrityError ``GL-ENGINE-007`` for anything else."""
        try:
            sealed = base64.b64decode(serialized_data, validate=True)
            text = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self._region)
            value: object = json.loads(text)
        except (InvalidTag, ValueError) as error:
            raise IntegrityError(
                "GL-ENGINE-007",
                "a stored value of the engine can't be opened: it was changed, or sealed under another key.",
                "put the cell's `engine.key` and database back from one and the same backup.",
            ) from error
        if isinstance(value, dict) and set(value) == {_ERROR}:
            return _revived(value[_ERROR])
        return value


def _described(error: BaseException) -> dict[str, object]:
    family = next((name for name, kind in _FAMILIES.items() if isinstance(error, kind)), "")
    if not isinstance(error, GreylagError) or not family:
        return {"kind": type(error).__name__, "message": _safe_text(error)}
    described: dict[str, object] = {
        "family": family, "code": error.code, "message": error.message[:_TEXT_LIMIT],
        "remedy": error.remedy[:_TEXT_LIMIT],
    }  # fmt: skip
    if isinstance(error, BackendError):
        described["transient"] = error.transient
    if isinstance(error, PolicyRefused):
        described |= {"decision_id": error.decision_id, "rules": list(error.rules)}
    return described


def _safe_text(error: BaseException) -> str:
    try:
        return str(error)[:_TEXT_LIMIT]
    except Exception:  # noqa: BLE001 -- a foreign error's own __str__ may raise anything; the run must still end
        return "(no readable message)"


def _revived(described: dict[str, object]) -> GreylagError:
    family = str(described.get("family", ""))
    if family not in _FAMILIES:
        return BackendError(
            "GL-ENGINE-004",
            f"a step failed before the last restart: {described.get('kind')}: {described.get('message')}",
            "see the cause in the message; start the task again once it is mended.",
        )
    code, message, remedy = (str(described[key]) for key in ("code", "message", "remedy"))
    if family == "PolicyRefused":
        rules = described["rules"]
        return PolicyRefused(
            code, message, remedy, decision_id=str(described["decision_id"]),
            rules=tuple(str(rule) for rule in rules) if isinstance(rules, list) else (),
        )  # fmt: skip
    if family == "BackendError":
        return BackendError(code, message, remedy, transient=bool(described["transient"]))
    return _FAMILIES[family](code, message, remedy)


def open_key(file: Path) -> bytes:
    """Return the cell's key from ``file``, making a new one (mode 0600) where there is none.

    Raises OperatorError ``GL-ENGINE-006`` for a file that others may read, or that holds no key.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for _ in range(2):
        try:
            return _read_key(file)
        except FileNotFoundError:
            _make_key(file)
    raise _bad_key(file, "it comes and goes")


def _read_key(file: Path) -> bytes:
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        key = os.read(descriptor, _KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    if stat.S_IMODE(mode) & 0o077:
        raise _bad_key(file, f"others may read it (mode {stat.S_IMODE(mode):04o})")
    if len(key) != _KEY_BYTES:
        raise _bad_key(file, f"it must hold {_KEY_BYTES} bytes, got {len(key)}")
    return key


def _make_key(file: Path) -> None:
    """Make the key under another name first: nobody ever reads half a key, and of two makers one wins."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(_KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _bad_key(file: Path, what: str) -> OperatorError:
    return OperatorError(
        "GL-ENGINE-006",
        f"the engine's key file `{file}` can't be used: {what}.",
        f"`chmod 600 {file}`, or put it back from your backup.",
    )
