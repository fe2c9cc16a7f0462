"""Sealing bytes under a key without a source of chance: AES-256-GCM whose nonce is derived from key and content.

The same key, purpose and content give the same envelope, so that a step which is run twice writes the same thing; all
that an envelope tells is its length and that it is the same again. Source: NIST SP 800-38D; the nonce is a
truncated HMAC-SHA-256 of the content under a key of its own, as in the SIV construction (RFC 5297 §1.3).
"""

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from greylag.domain.errors import IntegrityError, OperatorError

KEY_BYTES = 32
_MAGIC = b"GLS1"
_NONCE_BYTES = 12
_TAG_BYTES = 16


def derived_key(key: bytes, *purposes: str) -> bytes:
    """Return the 32 bytes that belong to ``purposes`` under ``key``: one for a task, one for each use of it.

    Each purpose is framed by its length. Raises OperatorError ``GL-TRANSFORM-010`` for a key of another length than 32.
    """
    if len(key) != KEY_BYTES:
        raise OperatorError(
            "GL-TRANSFORM-010", f"a key has {KEY_BYTES} bytes, got {len(key)}.", "give the region's own key."
        )
    for purpose in purposes:
        encoded = purpose.encode()
        key = hmac.new(key, len(encoded).to_bytes(8, "big") + encoded, hashlib.sha256).digest()
    return key


def seal(content: bytes, key: bytes, purpose: str) -> bytes:
    """Return ``content`` in an envelope that only ``key`` opens, for this purpose. Raises as `derived_key` does."""
    nonce = hmac.new(derived_key(key, purpose, "nonce"), content, hashlib.sha256).digest()[:_NONCE_BYTES]
    return _MAGIC + nonce + AESGCM(derived_key(key, purpose, "seal")).encrypt(nonce, content, _MAGIC + purpose.encode())


def unseal(envelope: bytes, key: bytes, purpose: str) -> bytes:
    """Return what is in the envelope. Raises IntegrityError ``GL-TRANSFORM-011`` for a wrong key, purpose or byte."""
    body = envelope[len(_MAGIC) :]
    if not envelope.startswith(_MAGIC) or len(body) < _NONCE_BYTES + _TAG_BYTES:
        raise _broken("it is no envelope")
    nonce, sealed = body[:_NONCE_BYTES], body[_NONCE_BYTES:]
    try:
        return AESGCM(derived_key(key, purpose, "seal")).decrypt(nonce, sealed, _MAGIC + purpose.encode())
    except InvalidTag:
        raise _broken("the key is another one, or somebody changed it") from None


def _broken(why: str) -> IntegrityError:
    return IntegrityError(
        "GL-TRANSFORM-011", f"the envelope can't be opened: {why}.", "use the key it was sealed under."
    )
