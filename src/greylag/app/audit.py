"""Checking without trusting: the ledger from its files, evidence from its bytes. Needs no running platform."""

import json
from pathlib import Path
from typing import Any

from greylag.adapters.store.audit import audit_ledger
from greylag.app.bootstrap import open_stores
from greylag.app.settings import home_folder, load_settings
from greylag.domain.errors import OperatorError, RequestRefused
from greylag.governance.evidence import verify_envelope

_PAGE = 1000
_LARGEST_ENVELOPE_BYTES = 64 * 1024 * 1024


def verify_ledger(home: Path | None) -> dict[str, Any]:
    """Return what a full verification saw: ``intact``, sizes, root, and the first wrong entry with the problem.

    Raises OperatorError ``GL-LEDGER-008`` where the home folder has no ledger yet.
    """
    control, ledger, _ = open_stores(*_settings(home))
    try:
        report = audit_ledger(ledger, control.witness, ledger.verifier_key)
    finally:
        ledger.close()
        control.close()
    return {
        "intact": report.ok, "entries": report.size, "signed": report.signed_size, "checkpoints": report.checkpoints,
        "root": report.root.hex(), "origin": report.origin, "first_bad": report.first_bad_index,
        "problem": "; ".join(f"{finding.kind}: {finding.message}" for finding in report.findings[:5]),
        "findings": [
            {"kind": each.kind, "message": each.message, "first": each.first, "last": each.last}
            for each in report.findings
        ],
    }  # fmt: skip


def export_ledger(home: Path | None, folder: Path) -> dict[str, Any]:
    """Write ``entries.jsonl`` (one leaf a line), ``checkpoints.txt`` and ``key.txt`` into the new ``folder``.

    Raises RequestRefused ``GL-LEDGER-009`` where the folder is there already.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise RequestRefused("GL-LEDGER-009", f"{folder} is there already.", "name a new folder.") from None
    control, ledger, _ = open_stores(*_settings(home))
    try:
        start = 0
        with (folder / "entries.jsonl").open("wb") as file:
            while page := ledger.entries(start, _PAGE):
                file.writelines(entry.body + b"\n" for entry in page)
                start = page[-1].index + 1
        after = 0
        with (folder / "checkpoints.txt").open("w") as notes:
            while signed := ledger.checkpoints(after, _PAGE):
                notes.writelines(f"{checkpoint.note}\n" for checkpoint in signed)
                after = signed[-1].size
        (folder / "key.txt").write_text(f"{ledger.verifier_key}\n")
    finally:
        ledger.close()
        control.close()
    return {"folder": str(folder), "entries": start}


def open_evidence(envelope: bytes, public_key: bytes) -> dict[str, Any]:
    """Return the statement in a signed envelope. Raises IntegrityError ``GL-EVIDENCE-001`` for any change to it."""
    return verify_envelope(envelope, public_key)


def open_evidence_file(path: Path, key: str) -> dict[str, Any]:
    """As `open_evidence`, from a file and a key in hex. Raises RequestRefused ``GL-EVIDENCE-005`` for bad arguments."""
    try:
        with path.open("rb") as file:
            envelope = file.read(_LARGEST_ENVELOPE_BYTES)
        public_key = bytes.fromhex(key)
    except (OSError, ValueError) as error:
        raise RequestRefused(
            "GL-EVIDENCE-005", f"{path} with this key can't be used: {error}.", "check both."
        ) from None
    return open_evidence(envelope, public_key)


def _settings(home: Path | None) -> tuple[Any, Path]:
    folder = home_folder(home)
    if not folder.exists():
        raise OperatorError("GL-LEDGER-008", f"{folder} holds no platform.", "name its folder with `--home`.")
    return load_settings(folder), folder


def decisions_of(home: Path | None, task_id: str) -> list[dict[str, Any]]:
    """Return the ledger's decision entries about one task, in order."""
    control, ledger, _ = open_stores(*_settings(home))
    found: list[dict[str, Any]] = []
    try:
        start = 0
        while page := ledger.entries(start, _PAGE):
            bodies = [{"index": entry.index, **json.loads(entry.body)} for entry in page]
            found += [body for body in bodies if body.get("task_id") == task_id and body.get("kind") == "decision"]
            start = page[-1].index + 1
    finally:
        ledger.close()
        control.close()
    return found
