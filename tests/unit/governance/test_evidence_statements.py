"""Evidence: the same facts give the same bytes, and no byte can be changed unnoticed."""

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from greylag.domain.errors import IntegrityError, OperatorError
from greylag.governance.canonical import canonical_json
from greylag.governance.evidence import (
    BuildRecord,
    ChangeEvidence,
    DecisionProof,
    SignedApproval,
    VerifierRun,
    envelope_bytes,
    evidence_statement,
    key_id,
    provenance_statement,
    sign_approval,
    sign_statement,
    subject_digest,
    verify_approval,
    verify_envelope,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
TREE, BASE = "a" * 40, "b" * 40


def sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


REVIEW = ChangeEvidence(
    task_id="task_1", repository="music", requester="ada", request_digest=sha("request"), base_commit=BASE, tree=TREE,
    diff_digest=sha("diff"), build_name="music-1.0-py3-none-any.whl", build_digest=sha("build"),
    verifier_runs=(VerifierRun("pytest", ("pytest", "-q"), 0, True, TREE, (("passed", 12), ("failed", 0)), sha("r")),),
    decisions=("dec_1", "dec_2"),
)  # fmt: skip
GOLDEN_EVIDENCE = "8c4331e9552612017cc1464ac486a75bd22711226269db7d7844e91f8acd375b"
GOLDEN_PROVENANCE = "14d6e6d4d2f73aa1615e97b0240b2bdb99759b655974c895f1513c11b28c8093"
STORED = "sha256:" + hashlib.sha256(envelope_bytes(sign_statement(evidence_statement(REVIEW), KEY))).hexdigest()
SUBJECT = subject_digest(REVIEW.diff_digest, REVIEW.build_digest, STORED)
APPROVAL = SignedApproval("approval_1", "grace", SUBJECT, "token", sign_approval(SUBJECT, "grace", "token", KEY), AT)
FINAL = replace(
    REVIEW, reviewed=STORED, approvals=(APPROVAL,), checkpoint="greylag.local\n1\nAAAA\n",
    proofs=(DecisionProof("dec_1", 0, "c" * 64, ("d" * 64,)),),
)  # fmt: skip
BUILD = BuildRecord(
    name=REVIEW.build_name, digest=REVIEW.build_digest, kind="wheel", repository="music", commit=BASE, tree=TREE,
    command=("python", "-m", "build"), builder="https://greylag.dev/builder/local", builder_version="0.1.0",
    run_id="run_1", started_at=AT, finished_at=AT + timedelta(seconds=3), materials=(("toolchain", sha("toolchain")),),
)  # fmt: skip


def test_a_statement_is_about_the_build_and_holds_what_speaks_for_the_change() -> None:
    statement: dict[str, Any] = evidence_statement(FINAL)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://greylag.dev/evidence/v1"
    assert statement["subject"] == [
        {"name": REVIEW.build_name, "digest": {"sha256": REVIEW.build_digest.removeprefix("sha256:")}}
    ]
    predicate = statement["predicate"]
    assert predicate["change"] == {"baseCommit": BASE, "tree": TREE, "diff": REVIEW.diff_digest}
    assert predicate["verifierRuns"][0]["exitCode"] == 0
    assert predicate["verifierRuns"][0]["result"] == {"passed": 12, "failed": 0}
    assert predicate["approvals"][0]["subject"] == SUBJECT
    assert predicate["approvals"][0]["at"] == "2026-03-04T05:06:07Z"
    assert predicate["ledger"]["proofs"][0] == {
        "decision": "dec_1", "index": 0, "leafHash": "c" * 64, "path": ["d" * 64],
    }  # fmt: skip


def test_a_signed_statement_comes_back_as_it_was_and_is_the_same_each_time() -> None:
    for statement in (evidence_statement(FINAL), provenance_statement(BUILD)):
        envelope = sign_statement(statement, KEY)
        assert verify_envelope(envelope, KEY.public_key()) == statement
        assert verify_envelope(envelope_bytes(envelope), KEY.public_key().public_bytes_raw()) == statement
        assert envelope_bytes(sign_statement(statement, KEY.private_bytes_raw())) == envelope_bytes(envelope)


def test_the_evidence_of_a_known_change_has_known_bytes() -> None:
    """A golden digest: a change here is a change of the persisted form and needs a new predicate type."""
    assert hashlib.sha256(canonical_json(evidence_statement(FINAL))).hexdigest() == GOLDEN_EVIDENCE
    assert hashlib.sha256(canonical_json(provenance_statement(BUILD))).hexdigest() == GOLDEN_PROVENANCE


def test_another_implementation_accepts_our_envelope() -> None:
    envelope = sign_statement(evidence_statement(FINAL), KEY)
    key = SSlibKey.from_crypto(KEY.public_key(), keyid=key_id(KEY.public_key()))
    parsed = Envelope.from_dict(json.loads(envelope_bytes(envelope)))
    assert list(parsed.verify([key], 1)) == [key_id(KEY.public_key())]
    assert json.loads(parsed.payload) == evidence_statement(FINAL)


ENVELOPE = envelope_bytes(sign_statement(evidence_statement(FINAL), KEY))


@given(position=st.integers(0, len(ENVELOPE) - 1), flip=st.integers(1, 255))
def test_no_byte_of_an_envelope_can_be_changed(position: int, flip: int) -> None:
    broken = bytearray(ENVELOPE)
    broken[position] ^= flip
    with pytest.raises(IntegrityError) as refused:
        verify_envelope(bytes(broken), KEY.public_key())
    assert refused.value.code == "GL-EVIDENCE-001"


@given(
    st.binary(max_size=200) | st.sampled_from([b"", b"{}", b"[]", b"null", b"[" * 100_000, b"1e999", b'{"a":1,"a":2}'])
)
def test_bytes_that_are_no_envelope_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="GL-EVIDENCE-001"):
        verify_envelope(data, KEY.public_key())


def _repacked(**changes: object) -> dict[str, Any]:
    return json.loads(ENVELOPE) | changes


def _payload(change: dict[str, object], key: Ed25519PrivateKey = KEY) -> dict[str, Any]:
    return sign_statement(evidence_statement(FINAL) | change, key)


def test_the_same_envelope_in_other_bytes_is_refused() -> None:
    parsed = json.loads(ENVELOPE)
    signature = parsed["signatures"][0]["sig"]
    assert signature.endswith("==")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    stray = signature[:-3] + alphabet[alphabet.index(signature[-3]) + 1] + "=="
    assert base64.b64decode(stray) == base64.b64decode(signature), "the last digit holds bits that nobody reads"
    for other in (
        json.dumps(parsed).encode(),
        ENVELOPE + b"\n",
        ENVELOPE.replace(b'{"payload"', b'{"payload":"","payload"', 1),
        ENVELOPE.replace(signature.encode(), stray.encode()),
    ):
        assert other != ENVELOPE
        with pytest.raises(IntegrityError, match="GL-EVIDENCE-001"):
            verify_envelope(other, KEY.public_key())


@pytest.mark.parametrize(
    "envelope",
    [
        _repacked(payloadType="application/json"),
        _repacked(signatures=[]),
        _repacked(signatures=json.loads(ENVELOPE)["signatures"] * 2),
        _repacked(signatures=[{"sig": json.loads(ENVELOPE)["signatures"][0]["sig"]}]),
        _repacked(signatures=[{"keyid": key_id(KEY.public_key()), "sig": ""}]),
        _repacked(signatures="x"),
        _repacked(signatures=[None]),
        _repacked(payload=""),
        _repacked(payload=None),
        _repacked(payload=json.loads(ENVELOPE)["payload"] + "\n"),
        _repacked(payload=sign_statement(provenance_statement(BUILD), KEY)["payload"]),
        _repacked(extra=1),
        {},
        sign_statement(evidence_statement(FINAL), OTHER),
    ],
)
def test_a_changed_envelope_is_refused(envelope: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="GL-EVIDENCE-001") as refused:
        verify_envelope(envelope, KEY.public_key())
    assert refused.value.remedy


def _signed_by_hand(payload: bytes) -> dict[str, Any]:
    kind = b"application/vnd.in-toto+json"
    framed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    return {
        "payload": base64.b64encode(payload).decode(), "payloadType": kind.decode(),
        "signatures": [{"keyid": key_id(KEY.public_key()), "sig": base64.b64encode(KEY.sign(framed)).decode()}],
    }  # fmt: skip


@pytest.mark.parametrize(
    "payload",
    [
        b"{}", b"[]", b'{"_type":"x"}', b'{ "_type":"https://in-toto.io/Statement/v1"}',
        b'{"_type":"https://in-toto.io/Statement/v1","a":1.5}', b'{"_type":"x","_type":"https://in-toto.io/Statement/v1"}',
        b"\xff",
    ],
)  # fmt: skip
def test_a_well_signed_payload_in_another_form_is_refused(payload: bytes) -> None:
    with pytest.raises(IntegrityError, match="GL-EVIDENCE-001"):
        verify_envelope(_signed_by_hand(payload), KEY.public_key())


def test_what_an_approval_is_bound_to_changes_with_each_part() -> None:
    digests = [sha("a"), sha("b"), sha("c")]
    subjects = {subject_digest(*digests)}
    for number in range(3):
        subjects.add(subject_digest(*(sha("x") if number == n else digest for n, digest in enumerate(digests))))
    subjects.add(subject_digest(digests[1], digests[0], digests[2]))
    assert len(subjects) == 5
    assert all(subject.startswith("sha256:") and len(subject) == 71 for subject in subjects)


@pytest.mark.parametrize("bad", ["", "sha256:", sha("a").upper(), sha("a") + "0", "md5:" + "0" * 64, sha("a") + "\n"])
def test_only_whole_digests_make_a_subject(bad: str) -> None:
    for parts in ((bad, sha("b"), sha("c")), (sha("a"), bad, sha("c")), (sha("a"), sha("b"), bad)):
        with pytest.raises(IntegrityError, match="GL-EVIDENCE-002"):
            subject_digest(*parts)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verifier_runs": (replace(REVIEW.verifier_runs[0], tree=BASE),)}, "another tree"),
        ({"verifier_runs": (replace(REVIEW.verifier_runs[0], exit_code=1),)}, "exit 1/0"),
        ({"verifier_runs": (replace(REVIEW.verifier_runs[0], exit_code=None),)}, "exit None/0"),
        ({"verifier_runs": (replace(REVIEW.verifier_runs[0], report_digest="x"),)}, "report"),
        ({"approvals": (replace(APPROVAL, subject=sha("other")),)}, "bound to something else"),
        ({"diff_digest": sha("another diff")}, "bound to something else"),
        ({"build_digest": sha("another build")}, "bound to something else"),
        ({"reviewed": sha("another evidence")}, "bound to something else"),
        ({"reviewed": ""}, "no digest of the evidence"),
        ({"reviewed": "x", "approvals": ()}, "reviewed evidence"),
        ({"decisions": ("dec_2",)}, "not listed"),
        ({"checkpoint": ""}, "no checkpoint"),
        ({"proofs": (DecisionProof("dec_1", 0, "short", ()),)}, "proof of dec_1"),
        ({"tree": "a" * 39}, "tree"),
        ({"base_commit": "HEAD"}, "base commit"),
        ({"request_digest": "request"}, "request digest"),
    ],
)
def test_evidence_that_contradicts_itself_is_never_stated(change: dict[str, Any], words: str) -> None:
    with pytest.raises(IntegrityError, match="GL-EVIDENCE-002") as refused:
        evidence_statement(replace(FINAL, **change))
    assert words in refused.value.message


def test_provenance_says_from_what_how_and_by_whom() -> None:
    statement: dict[str, Any] = provenance_statement(BUILD)
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    definition = statement["predicate"]["buildDefinition"]
    assert definition["resolvedDependencies"][0] == {
        "uri": "greylag+git:music", "digest": {"gitCommit": BASE, "gitTree": TREE},
    }  # fmt: skip
    assert definition["resolvedDependencies"][1]["digest"] == {"sha256": sha("toolchain").removeprefix("sha256:")}
    run = statement["predicate"]["runDetails"]
    assert run["builder"]["id"] == BUILD.builder
    assert run["metadata"]["finishedOn"] == "2026-03-04T05:06:10Z"
    elsewhere = replace(BUILD, started_at=AT.astimezone(timezone(timedelta(hours=5))))
    assert provenance_statement(elsewhere) == statement, "one time has one form"


@pytest.mark.parametrize(
    "change",
    [
        {"commit": "main"}, {"tree": ""}, {"digest": "x"}, {"finished_at": AT - timedelta(seconds=1)},
        {"started_at": AT.replace(tzinfo=None), "finished_at": AT.replace(tzinfo=None)}, {"materials": (("x", "y"),)},
    ],
)  # fmt: skip
def test_a_malformed_build_has_no_provenance(change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="GL-EVIDENCE-002"):
        provenance_statement(replace(BUILD, **change))


def test_an_approval_holds_for_exactly_this_subject_person_and_way() -> None:
    public = KEY.public_key()
    verify_approval(SUBJECT, "grace", "token", APPROVAL.signature, public)
    for subject, by, via, signature, key in (
        (sha("x"), "grace", "token", APPROVAL.signature, public),
        (SUBJECT, "mallory", "token", APPROVAL.signature, public),
        (SUBJECT, "grace", "passkey", APPROVAL.signature, public),
        (SUBJECT, "grace", "token", "", public),
        (SUBJECT, "grace", "token", "not base64", public),
        (SUBJECT, "grace", "token", sign_approval(SUBJECT, "grace", "token", OTHER), public),
        (SUBJECT, "grace", "token", APPROVAL.signature, OTHER.public_key()),
        (SUBJECT, "\ud800", "token", APPROVAL.signature, public),
    ):
        with pytest.raises(IntegrityError, match="GL-EVIDENCE-003"):
            verify_approval(subject, by, via, signature, key)


def test_a_signed_statement_never_passes_for_an_approval() -> None:
    payload = canonical_json({"subject": SUBJECT, "by": "grace", "via": "token"})
    signature = _signed_by_hand(payload)["signatures"][0]["sig"]
    with pytest.raises(IntegrityError, match="GL-EVIDENCE-003"):
        verify_approval(SUBJECT, "grace", "token", signature, KEY.public_key())


def test_a_bad_key_and_an_unsignable_statement_are_refused() -> None:
    statement = evidence_statement(REVIEW)
    with pytest.raises(OperatorError, match="GL-EVIDENCE-004"):
        sign_statement(statement, b"short")
    with pytest.raises(OperatorError, match="GL-EVIDENCE-004"):
        verify_envelope(sign_statement(statement, KEY), b"short")
    for change in ({"_type": "x"}, {"a": 1.5}, {"a": b"x"}, {"a": "\ud800"}, {"a": 2**53}, {"a": "x" * 5_000_000}):
        with pytest.raises(IntegrityError, match="GL-EVIDENCE-002"):
            _payload(change)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"b": 1, "a": [True, None, "é"]}, '{"a":[true,null,"é"],"b":1}'),
        ({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "ö": 7},
         '{"\\r":2,"1":4,"\x80":6,"ö":7,"€":1,"\U0001f600":5,"\ufb33":3}'),
        ("\x00\x1f\x7f\"\\/\b\t\n\f\r", '"\\u0000\\u001f\x7f\\"\\\\/\\b\\t\\n\\f\\r"'),
    ],
)  # fmt: skip
def test_canonical_json_is_that_of_rfc_8785(value: object, expected: str) -> None:
    assert canonical_json(value) == expected.encode()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_canonical_json_is_one_form_and_reads_back(value: object) -> None:
    try:
        first = canonical_json(value)
    except ValueError:
        with pytest.raises(UnicodeEncodeError):
            json.dumps(value, ensure_ascii=False).encode()
        return
    assert json.loads(first) == value
    assert canonical_json(json.loads(first)) == first
