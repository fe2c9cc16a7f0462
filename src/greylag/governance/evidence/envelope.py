"""Canonical JSON, and DSSE envelopes over it.

Sources: RFC 8785 (JSON Canonicalization Scheme), DSSE v1 (github.com/secure-systems-lab/dsse), RFC 8032 (Ed25519).
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from greylag.domain.errors import IntegrityError, OperatorError
from greylag.governance.canonical import canonical_json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
APPROVAL_TYPE = "application/vnd.greylag.approval+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

MAX_PAYLOAD_BYTES = 4 * 1024 * 1024


def key_id(public_key: Ed25519PublicKey | bytes) -> str:
    """Return the name of a key: the SHA-256 (hex) of its 32 bytes."""
    return hashlib.sha256(_public(public_key).public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()


def sign_statement(statement: Mapping[str, object], private_key: Ed25519PrivateKey | bytes) -> dict[str, object]:
    """Return the DSSE envelope of ``statement``; the same statement and key give the same envelope.

    ``private_key`` is a key or its 32 bytes. Raises IntegrityError ``GL-EVIDENCE-002`` for what is no in-toto
    statement, has no canonical form or is larger than `MAX_PAYLOAD_BYTES`; OperatorError ``GL-EVIDENCE-004`` for a bad
    key.
    """
    try:
        payload = canonical_json(statement)
    except (ValueError, UnicodeEncodeError) as error:
        raise contradiction(f"the statement has no canonical form: {error}") from error
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise contradiction(f"the statement is too large: got/expected: {len(payload)}/{MAX_PAYLOAD_BYTES} bytes")
    if statement.get("_type") != STATEMENT_TYPE:
        raise contradiction(f"`_type`: got/expected: {statement.get('_type')!r}/{STATEMENT_TYPE}")
    key = _private(private_key)
    signature = key.sign(_pre_authentication(PAYLOAD_TYPE, payload))
    return {
        "payload": _to_base64(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": key_id(key.public_key()), "sig": _to_base64(signature)}],
    }


def envelope_bytes(envelope: Mapping[str, object]) -> bytes:
    """Return the bytes of ``envelope`` that are stored, and whose SHA-256 is the digest of the evidence."""
    return canonical_json(envelope)


def verify_envelope(envelope: Mapping[str, object] | bytes, public_key: Ed25519PublicKey | bytes) -> dict[str, object]:
    """Return the statement in ``envelope`` (as a mapping, or the bytes of `envelope_bytes`) signed by this very key.

    Raises IntegrityError ``GL-EVIDENCE-001`` where any byte differs from what was signed, another key signed, there is
    not exactly one signature, or the payload is no in-toto statement in canonical form. OperatorError
    ``GL-EVIDENCE-004`` for a bad key.
    """
    key = _public(public_key)
    try:
        return _opened(_parsed(envelope), key)
    except InvalidSignature as error:
        raise _tampered("its signature does not fit its payload") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _tampered(f"it is malformed ({type(error).__name__}: {ascii(str(error))[:200]})") from error


def _parsed(envelope: Mapping[str, object] | bytes) -> Mapping[str, object]:
    if not isinstance(envelope, bytes):
        return envelope
    if len(envelope) > 2 * MAX_PAYLOAD_BYTES:
        raise ValueError(f"{len(envelope)} bytes")
    parsed = json.loads(envelope)
    if not isinstance(parsed, dict) or envelope_bytes(parsed) != envelope:
        raise ValueError("not in canonical form")
    return parsed


def _opened(envelope: Mapping[str, object], key: Ed25519PublicKey) -> dict[str, object]:
    if set(envelope) != {"payload", "payloadType", "signatures"}:
        raise ValueError("got/expected: other fields/payload, payloadType, signatures")
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise ValueError(f"got/expected: another payload type/{PAYLOAD_TYPE}")
    signatures = envelope["signatures"]
    if not isinstance(signatures, Sequence) or len(signatures) != 1 or set(signatures[0]) != {"keyid", "sig"}:
        raise ValueError("got/expected: other signatures/exactly one with keyid and sig")
    if signatures[0]["keyid"] != key_id(key):
        raise ValueError("it names another key")
    payload = _from_base64(envelope["payload"])
    key.verify(_from_base64(signatures[0]["sig"]), _pre_authentication(PAYLOAD_TYPE, payload))
    statement = json.loads(payload)
    if not isinstance(statement, dict) or canonical_json(statement) != payload:
        raise ValueError("its payload is not in canonical form")
    if statement.get("_type") != STATEMENT_TYPE:
        raise ValueError("its payload is no in-toto statement")
    return statement


def sign_approval(subject: str, by: str, via: str, private_key: Ed25519PrivateKey | bytes) -> str:
    """Return the platform's signature (base64) that ``by`` approved exactly ``subject``, by way of ``via``.

    ``via`` says how the person was recognised (``token``, ``passkey`` …). Raises OperatorError ``GL-EVIDENCE-004``.
    """
    return _to_base64(_private(private_key).sign(_approval_bytes(subject, by, via)))


def verify_approval(subject: str, by: str, via: str, signature: str, public_key: Ed25519PublicKey | bytes) -> None:
    """Check a signature of `sign_approval`. Raises IntegrityError ``GL-EVIDENCE-003`` where it does not hold."""
    key = _public(public_key)
    try:
        key.verify(_from_base64(signature), _approval_bytes(subject, by, via))
    except (InvalidSignature, ValueError, TypeError) as error:
        raise IntegrityError(
            "GL-EVIDENCE-003",
            f"the signature does not say that {ascii(by)[:120]} approved {ascii(subject)[:120]}.",
            "do not merge; look at the task's event log and ask for a new approval.",
        ) from error


def contradiction(what: str) -> IntegrityError:
    """Return the error ``GL-EVIDENCE-002``: the parts of a statement do not belong together."""
    return IntegrityError(
        "GL-EVIDENCE-002", f"evidence can't be stated: {what}.", "do not merge; have the change verified again."
    )


def _tampered(what: str) -> IntegrityError:
    return IntegrityError(
        "GL-EVIDENCE-001",
        f"a signed statement can't be relied on: {what}.",
        "get it again from the vault, check the public key, and keep the broken copy for inspection.",
    )


def _approval_bytes(subject: str, by: str, via: str) -> bytes:
    return _pre_authentication(APPROVAL_TYPE, canonical_json({"subject": subject, "by": by, "via": via}))


def _pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """Return DSSE's PAE: lengths frame type and payload, so neither can pass for part of the other."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _from_base64(text: object) -> bytes:
    if not isinstance(text, str) or len(text) > 2 * MAX_PAYLOAD_BYTES:
        raise ValueError("not a base64 text, or too long")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error
    if _to_base64(data) != text:
        raise ValueError("base64 with stray bits")
    return data


def _private(key: Ed25519PrivateKey | bytes) -> Ed25519PrivateKey:
    if isinstance(key, Ed25519PrivateKey):
        return key
    if len(key) != 32:
        raise _bad_key(len(key))
    return Ed25519PrivateKey.from_private_bytes(key)


def _public(key: Ed25519PublicKey | bytes) -> Ed25519PublicKey:
    if isinstance(key, Ed25519PublicKey):
        return key
    if len(key) != 32:
        raise _bad_key(len(key))
    return Ed25519PublicKey.from_public_bytes(key)


def _bad_key(size: int) -> OperatorError:
    return OperatorError(
        "GL-EVIDENCE-004", f"a signing key is an Ed25519 key: got/expected: {size}/32 bytes.", "give the raw key."
    )
