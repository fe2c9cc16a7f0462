"""What is left of a label after a transformation: everything but exactly what was taken away."""

from collections.abc import Iterable
from typing import Protocol

from greylag.domain.labels import LEVELS, Label
from greylag.governance.scanning.scanner import label_of_findings
from greylag.governance.scanning.values import Findings
from greylag.governance.transformations.registry import TRANSFORMATIONS, Transformation
from greylag.governance.transformations.values import Transformed

UNKNOWN = "unknown"


class RegimeFacts(Protocol):
    """What facts say about which bodies of law follow data (`greylag.governance.facts.FactBase`)."""

    def regimes_of(self, classes: tuple[str, ...], origins: tuple[str, ...], /) -> tuple[str, ...]:
        """Return the regimes that follow data of these classes from these origins."""
        ...


def lowered_label(
    label: Label, transformation: Transformation, work: tuple[Transformed, Findings], floor: Label | None,
    facts: RegimeFacts | None,
) -> Label:  # fmt: skip
    """Return the label of what ``transformation`` made: ``work`` is its result and what a scan of that found.

    A class goes only if its finds were replaced, or the transformation removes it by the way it works, and the scan
    finds none. The level goes down only as far as the transformation may take it, never below ``floor`` or what the
    scan says, and only if nothing that is left could be the reason for it. Without a floor it stays.
    """
    done, after = work
    said = label_of_findings(after)
    gone = frozenset(
        key for key in label.classes if key not in said.classes and (transformation.ends(key) or key in done.replaced)
    )
    added = _added(transformation, gone)
    kept = (set(label.classes) | (set(floor.classes) if floor else set())) - gone
    classes = kept | added | set(said.classes)
    personal = any(key == "user" or key.startswith("user.") for key in classes)
    origins = tuple(code for code in label.origins if code != UNKNOWN or personal or not gone)
    regimes = label.regimes
    if facts is not None and gone:
        regimes = (*facts.regimes_of(tuple(sorted(classes)), origins), *(floor.regimes if floor else ()))
    return Label.of(
        _level(label, transformation, kept, said, floor) if gone or transformation.replaces else label.level,
        classes=classes, origins=origins, regimes=regimes, subjects=label.subjects if personal else 0,
        derived_by=(why for why in label.derived_by if _still(why, said, regimes, floor)),
    )  # fmt: skip


def label_entry(label: Label) -> dict[str, object]:
    """Return a label as plain JSON values, as it stands in ledger entries."""
    return {
        "level": label.level, "classes": list(label.classes), "origins": list(label.origins),
        "regimes": list(label.regimes), "subjects": label.subjects, "derived_by": list(label.derived_by),
    }  # fmt: skip


def _added(transformation: Transformation, gone: frozenset[str]) -> set[str]:
    """Return the classes of what was put in the place of what is gone."""
    families = {key.partition(".")[0] for key in gone}
    return {key for key in transformation.adds if key.partition(".")[0] in families}


def _level(label: Label, transformation: Transformation, kept: set[str], said: Label, floor: Label | None) -> str:
    harmless = {key for each in TRANSFORMATIONS.values() for key in each.adds}
    if floor is None or not kept <= set(floor.classes) | harmless:
        return label.level
    lowest = dict(transformation.lowers).get(label.level, label.level)
    return min((max((lowest, floor.level, said.level), key=LEVELS.index), label.level), key=LEVELS.index)


def _still(why: str, said: Label, regimes: Iterable[str], floor: Label | None) -> bool:
    """Whether a derivation still explains something."""
    kind, _, rest = why.partition(":")
    if kind == "scanner":
        return why in said.derived_by
    if kind == "path" and floor is not None:
        return why in floor.derived_by
    return kind != "regime" or rest in regimes
