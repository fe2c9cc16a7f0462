"""The region's keys: a file for each, readable by nobody else."""

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from greylag.domain.errors import OperatorError

_SIZE_BYTES = 32


def signing_key(folder: Path) -> Ed25519PrivateKey:
    """Return the key in ``folder/signing.key`` (mode 0600), made on first use together with ``signing.pub``.

    Raises OperatorError ``GL-KEY-001`` where others can read it or it is not a key.
    """
    made = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    key = Ed25519PrivateKey.from_private_bytes(_kept(folder / "signing.key", made))
    (folder / "signing.pub").write_text(public_bytes(key.public_key()).hex() + "\n")
    return key


def region_key(folder: Path, name: str) -> bytes:
    """Return the 32 random bytes in ``folder/NAME.key`` (mode 0600), made on first use. Raises as `signing_key`."""
    return _kept(folder / f"{name}.key", secrets.token_bytes(_SIZE_BYTES))


def public_bytes(key: Ed25519PublicKey) -> bytes:
    """Return the 32 raw bytes of a public key."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _kept(path: Path, fresh: bytes) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _make(path, fresh)
    status, raw = path.stat(), path.read_bytes()
    if status.st_mode & 0o077 or status.st_uid != os.geteuid() or len(raw) != _SIZE_BYTES:
        raise OperatorError(
            "GL-KEY-001",
            f"{path} must be {_SIZE_BYTES} bytes that only this user can read.",
            f"check who changed it, then: chmod 600 {path}",
        )
    return raw


def _make(path: Path, raw: bytes) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(part, path)  # whoever comes first wins; the other's key is thrown away
    except FileExistsError:
        pass
    finally:
        part.unlink()
