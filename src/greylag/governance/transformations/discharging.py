"""Discharging an obligation: transform, scan again, and only then say what the label is now, with a record of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from greylag.domain.ids import derived_id
from greylag.domain.labels import Label
from greylag.governance.scanning.scanner import Scanner
from greylag.governance.scanning.values import Findings
from greylag.governance.transformations.lowering import RegimeFacts, label_entry, lowered_label
from greylag.governance.transformations.registry import TRANSFORMATIONS, Transformation
from greylag.governance.transformations.values import Transformed, refused

_MAX_PARAMETERS = 16


@dataclass(frozen=True, slots=True)
class Occasion:
    """For whom and what an obligation is discharged, and under what.

    ``floor`` is the label that holds whatever the content says (`greylag.governance.labelling.floor_for`); without
    one the level stays. ``facts`` let regimes follow the classes that are left; without them regimes stay. ``key`` is
    the task's (pseudonymise) or the store's (encrypt). ``parameters`` win over those in the obligation.
    """

    media_type: str
    task_id: str
    repository: str
    region: str
    by: str
    floor: Label | None = None
    facts: RegimeFacts | None = None
    key: bytes | None = field(default=None, repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DischargeResult:
    """What became of an obligation.

    ``ok`` True: ``content`` is the transformed content, to be sent under ``label_after``, and the obligation may stand
    among what was applied. ``ok`` False: it is the content and label that were given, and ``residual_findings`` (-1
    where not all could be read) says why. ``declassification`` is the ledger entry to write before anything is sent;
    None where the label did not change. ``mapping`` undoes it, sealed under the key, for the region to keep.
    """

    ok: bool
    obligation: str
    content: bytes
    media_type: str
    label_after: Label
    residual_findings: int
    declassification: Mapping[str, object] | None = None
    mapping: bytes | None = None
    notes: tuple[str, ...] = ()


def parse_parameters(text: str) -> tuple[str, dict[str, str]]:
    """Return name and parameters of an obligation: ``aggregate:k=20;sum=amount`` → aggregate, {k: 20, sum: amount}.

    Raises RequestRefused ``GL-TRANSFORM-006`` for alternatives (`|`), and for what no transformation discharges.
    """
    name, _, rest = text.partition(":")
    pairs = [part.partition("=") for part in rest.split(";") if part.strip()]
    if name not in TRANSFORMATIONS or len(pairs) > _MAX_PARAMETERS or not all(sign for _, sign, _ in pairs):
        raise refused(
            "006", f"`{text[:120]}` is discharged by no transformation;"
            f" got/expected: {name[:40]!r}/one of {', '.join(TRANSFORMATIONS)}, with `name=value` parted by `;`.",
            "choose one alternative, or have it discharged by whom it names.",
        )  # fmt: skip
    return name, {key.strip(): value.strip() for key, _, value in pairs}


def discharge(obligation: str, content: bytes, label: Label, scanner: Scanner, occasion: Occasion) -> DischargeResult:
    """Apply the transformation an obligation names, scan the result, and return what may be said of it now.

    The label is lowered only where the scan of the result finds nothing of what had to go and both scans read
    everything. Raises RequestRefused ``GL-TRANSFORM-001`` to ``GL-TRANSFORM-006`` for content or parameters that
    can't be worked with, OperatorError ``GL-TRANSFORM-010`` for a key of the wrong length.
    """
    name, written = parse_parameters(obligation)
    occasion = replace(occasion, parameters={**written, **occasion.parameters})
    transformation = TRANSFORMATIONS[name]
    before = scanner.scan_content(content, occasion.media_type)
    done = transformation.apply(content, occasion.media_type, before, key=occasion.key, parameters=occasion.parameters)
    media_type = transformation.gives or occasion.media_type
    after = Findings((), True) if transformation.opaque else scanner.scan_content(done.content, media_type)
    left = after.within(*transformation.scope) if transformation.scope else after.found
    read = after.complete and (before.complete or transformation.replaces or transformation.opaque)
    if left or not read:
        residual = len(left) if read else -1
        return DischargeResult(False, obligation, content, occasion.media_type, label, residual, notes=done.notes)
    lowered = lowered_label(label, transformation, (done, after), occasion.floor, occasion.facts)
    record, lowered = _recorded(label, lowered, transformation, (content, done), scanner, occasion)
    return DischargeResult(True, obligation, done.content, media_type, lowered, 0, record, done.mapping, done.notes)


def _recorded(
    before: Label, after: Label, transformation: Transformation, work: tuple[bytes, Transformed], scanner: Scanner,
    occasion: Occasion,
) -> tuple[dict[str, object] | None, Label]:  # fmt: skip
    """Return the ledger's entry and the label that names it; nothing where nothing was taken from the label."""
    if _plain(before) == _plain(after):
        return None, before
    content, done = work
    given, made = _digest(content), _digest(done.content)
    number = derived_id("dcl", occasion.task_id, transformation.name, given, made)
    after = after.because(f"declassified:{number}")
    return {
        "kind": "declassification", "declassification_id": number, "task_id": occasion.task_id,
        "repository": occasion.repository, "region": occasion.region,
        "transformation": f"{transformation.name}@{transformation.version}",
        "parameters": {**transformation.parameters, **occasion.parameters},
        "before": label_entry(before), "after": label_entry(after), "input_digest": given, "output_digest": made,
        "scanner_version": scanner.version, "residual_findings": 0, "by": occasion.by,
    }, after  # fmt: skip


def _plain(label: Label) -> tuple[object, ...]:
    return (label.level, label.classes, label.origins, label.regimes, label.subjects)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
