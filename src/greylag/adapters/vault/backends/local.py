"""A region's vault in a local folder.

::

    ROOT/region.key           32 random bytes, mode 0600: the key-encryption key of the region
    ROOT/subjects/NAME        a subject's key, encrypted under the region's; or a tombstone after erasure
    ROOT/objects/SUBJECT/NAME one immutable object: its own key wrapped under the subject's, nonce, ciphertext
    ROOT/drafts/NAME          objects on their way; a crash may leave some, they are never read

Names are HMACs under the region's key: a plain digest of a short text could be guessed.
"""

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import obstore
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from greylag.adapters.vault.keyfile import create_once, disk_failed, replace_file, secret_file, sync_folder
from greylag.domain.errors import GreylagError, IntegrityError, OperatorError, RequestRefused
from greylag.domain.references import Reference
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

DEFAULT_MAX_OBJECT_BYTES = 512 << 20
_MAGIC = b"GLV1"
_KEY_BYTES, _WRAPPED_BYTES, _NONCE_BYTES, _TAG_BYTES = 32, 40, 12, 16
OVERHEAD_BYTES = len(_MAGIC) + _WRAPPED_BYTES + _NONCE_BYTES + _TAG_BYTES
_SUBJECT_FILE_BYTES = len(_MAGIC) + _NONCE_BYTES + _KEY_BYTES + _TAG_BYTES
_TOMBSTONE = b"erased\n"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_WORD_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an object stands and what it is bound to."""

    subject: str
    key: str
    associated: bytes


class LocalVault:
    """`greylag.adapters.vault.port.Vault` under ``root``, which is made (mode 0700) where it is missing.

    Objects are AES-256-GCM under a key of their own, bound to region, subject, kind and content digest. Content is in
    memory twice for a moment: ``max_object_bytes`` bounds that. Raises OperatorError ``GL-VAULT-004`` for an unsafe key
    file, ``GL-VAULT-005`` where the key is missing but objects are there.
    """

    def __init__(self, root: Path, region: str, *, max_object_bytes: int = DEFAULT_MAX_OBJECT_BYTES) -> None:
        self.region = _word("region", region)
        self._root = root.absolute()
        self._max_object_bytes = max_object_bytes
        self._prepare_folders()
        region_key = secret_file(self._root / "region.key", _KEY_BYTES)
        self._region_key = AESGCM(_derived(region_key, "subject keys"))
        self._name_key = _derived(region_key, "names")
        self._store = LocalStore(self._root)

    def put(self, permit: Permit, content: bytes, *, kind: str, subject: str, media_type: str) -> Reference:
        """Store ``content`` durably and return its reference; twice is once.

        Raises IntegrityError ``GL-EGRESS-001`` for a wrong permit, RequestRefused ``GL-VAULT-003`` above the size
        bound, ``GL-VAULT-002`` for an erased subject, ``GL-VAULT-007`` for words that can't name anything,
        BackendError ``GL-VAULT-006`` where the disk fails.
        """
        if len(content) > self._max_object_bytes:
            raise RequestRefused(
                "GL-VAULT-003",
                f"an object has {len(content)} bytes, {self._max_object_bytes} are allowed; nothing was written.",
                "make it smaller, or let the operator raise the vault's bound.",
            )
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        permit.require(Stage.ARTIFACT, f"vault:{self.region}", digest)
        reference = Reference(self.region, digest, len(content), kind, _word("media_type", media_type))
        place = self._place(subject, kind, digest)
        subject_key = self._subject_key(subject, make=True)
        try:
            self._store_once(place, _sealed(content, subject_key, place.associated))
        except AlreadyExistsError:
            self._opened(place, subject_key, reference)  # what stands there must be this very content
        except (BaseError, OSError) as error:
            raise disk_failed(self._root / place.key, error) from error
        return reference

    def get(self, reference: Reference, *, subject: str) -> bytes:
        """Return the content.

        Raises IntegrityError ``GL-VAULT-001`` where it was changed, RequestRefused ``GL-VAULT-002`` where it is
        unknown, of another region or subject, or erased.
        """
        if reference.region != self.region:
            raise _unknown(f"it is of region {reference.region[:60]!r}, this is the vault of {self.region!r}")
        if not _DIGEST.fullmatch(reference.digest):
            raise _unknown(f"{reference.digest[:80]!r} is not `sha256:` and 64 hexadecimal digits")
        place = self._place(subject, reference.kind, reference.digest)
        return self._opened(place, self._subject_key(subject, make=False), reference)

    def erase(self, subject: str) -> None:
        """Destroy the key of ``subject`` for good, then delete its objects. Again is fine; new puts are refused.

        The key is overwritten in place first; on storage that keeps old blocks (snapshots, flash) that is a best
        effort, and backups of ``subjects/`` must be kept short or erasure is a fiction.
        """
        path = self._root / "subjects" / self._name("subject", subject)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "wb") as file:  # a descriptor is not truncated: the bytes are overwritten
                file.write(bytes(_SUBJECT_FILE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except FileNotFoundError:
            pass  # nothing was ever stored for it; the tombstone keeps it so
        except OSError as error:
            raise disk_failed(path, error) from error
        replace_file(path, _TOMBSTONE)
        self._delete_objects(self._name("subject", subject))

    def _prepare_folders(self) -> None:
        objects = self._root / "objects"
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (self._root / "region.key").exists() and objects.is_dir() and any(objects.iterdir()):
                raise OperatorError(
                    "GL-VAULT-005",
                    f"the vault {str(self._root)!r} has objects but no `region.key`: none of them can be read.",
                    "restore the key from your key backup; a new one would not open anything.",
                )
            for folder in (objects, self._root / "subjects", self._root / "drafts"):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise disk_failed(self._root, error) from error

    def _place(self, subject: str, kind: str, digest: str) -> _Place:
        associated = _framed(self.region, _word("subject", subject), _word("kind", kind), digest)
        folder = self._name("subject", subject)
        name = hmac.new(self._name_key, b"object" + associated, hashlib.sha256).hexdigest()
        return _Place(subject, f"objects/{folder}/{name}", associated)

    def _name(self, sort: str, text: str) -> str:
        return hmac.new(self._name_key, _framed(sort, self.region, _word(sort, text)), hashlib.sha256).hexdigest()

    def _subject_key(self, subject: str, *, make: bool) -> bytes:
        path = self._root / "subjects" / self._name("subject", subject)
        associated = _framed("subject key", self.region, subject)
        try:
            stored = _beginning(path)
        except FileNotFoundError:
            if not make:
                raise _unknown("nothing was stored for this subject") from None
            nonce = secrets.token_bytes(_NONCE_BYTES)
            create_once(
                path, _MAGIC + nonce + self._region_key.encrypt(nonce, secrets.token_bytes(_KEY_BYTES), associated)
            )
            stored = _beginning(path)
        except OSError as error:
            raise disk_failed(path, error) from error
        if stored in (_TOMBSTONE, bytes(_SUBJECT_FILE_BYTES)):
            raise _unknown("its subject was erased")
        nonce, wrapped = stored[len(_MAGIC) : len(_MAGIC) + _NONCE_BYTES], stored[len(_MAGIC) + _NONCE_BYTES :]
        try:
            return self._region_key.decrypt(nonce, wrapped, associated)
        except (InvalidTag, ValueError):
            raise _changed(f"the key of subject {subject[:60]!r} does not open under the region's key") from None

    def _store_once(self, place: _Place, sealed: bytes) -> None:
        """Write to a draft, make it durable, then give it its name unless that is taken: a crash leaves all or none."""
        draft = f"drafts/{secrets.token_hex(16)}"
        target = self._root / place.key
        new_folder = not target.parent.exists()
        try:
            obstore.put(self._store, draft, sealed)
            descriptor = os.open(self._root / draft, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            obstore.rename(self._store, draft, place.key, overwrite=False)
        finally:
            (self._root / draft).unlink(missing_ok=True)
        sync_folder(target.parent)
        if new_folder:
            sync_folder(target.parent.parent)

    def _opened(self, place: _Place, subject_key: bytes, reference: Reference) -> bytes:
        expected = reference.size_bytes + OVERHEAD_BYTES
        try:
            found = obstore.head(self._store, place.key)["size"]
            if found != expected:
                raise _changed(f"it has {found} bytes, expected {expected}")
            sealed = obstore.get(self._store, place.key).bytes().to_bytes()
        except FileNotFoundError:
            raise _unknown("there is no such object for this subject") from None
        except GreylagError:
            raise
        except (BaseError, OSError) as error:
            raise disk_failed(self._root / place.key, error) from error
        content = _unsealed(sealed, subject_key, place.associated)
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != reference.digest:
            raise _changed("its content has another digest")
        return content

    def _delete_objects(self, folder: str) -> None:
        try:
            for page in obstore.list(self._store, f"objects/{folder}"):
                obstore.delete(self._store, [found["path"] for found in page])
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise disk_failed(self._root / "objects" / folder, error) from error


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_SUBJECT_FILE_BYTES + 1)


def _sealed(content: bytes, subject_key: bytes, associated: bytes) -> bytes:
    object_key = secrets.token_bytes(_KEY_BYTES)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    wrapped = aes_key_wrap(subject_key, object_key)
    return b"".join((_MAGIC, wrapped, nonce, AESGCM(object_key).encrypt(nonce, content, associated)))


def _unsealed(sealed: bytes, subject_key: bytes, associated: bytes) -> bytes:
    view = memoryview(sealed)
    start = len(_MAGIC) + _WRAPPED_BYTES
    if len(sealed) < OVERHEAD_BYTES or view[: len(_MAGIC)] != _MAGIC:
        raise _changed("it is not an object of this vault")
    try:
        object_key = aes_key_unwrap(subject_key, bytes(view[len(_MAGIC) : start]))
        return AESGCM(object_key).decrypt(view[start : start + _NONCE_BYTES], view[start + _NONCE_BYTES :], associated)
    except (InvalidUnwrap, InvalidTag):
        raise _changed("it does not decrypt under its key") from None


def _derived(key: bytes, purpose: str) -> bytes:
    return hmac.new(key, f"greylag vault {purpose}".encode(), hashlib.sha256).digest()


def _framed(*parts: str) -> bytes:
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _word(name: str, value: str) -> str:
    """Return ``value`` if it is 1 to 200 printable characters."""
    if not 0 < len(value) <= _MAX_WORD_CHARACTERS or not value.isprintable():
        raise RequestRefused(
            "GL-VAULT-007",
            f"`{name}` is {value[:60]!a}, expected 1 to {_MAX_WORD_CHARACTERS} printable characters.",
            "use a task id, `platform`, or a short noun.",
        )
    return value


def _changed(what: str) -> IntegrityError:
    return IntegrityError(
        "GL-VAULT-001",
        f"an object of the vault was changed: {what}.",
        "keep the file, find out who could write to the vault's folder, and restore it from a backup.",
    )


def _unknown(what: str) -> RequestRefused:
    return RequestRefused(
        "GL-VAULT-002", f"the vault does not have this object: {what}.", "check region, subject and reference."
    )
