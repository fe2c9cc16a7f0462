"""Labels: what is known of a piece of data, and how what is known of several pieces joins.

Classes are Fides taxonomy keys (``user.contact.email``; fideslang 3.1.4) and Greylag's own (``code``, ``secret``,
``finance.transaction``, ``export.controlled``, ``agent.transcript``); a key stands for all keys below it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

LEVELS = ("public", "internal", "confidential", "restricted")


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of one asset; a copy, an extract or a mixture carries at least the same.

    ``level`` ∈ `LEVELS`. ``classes`` are taxonomy keys, ``origins`` the jurisdictions the data comes from (``GB``,
    ``CA-QC``), ``regimes`` the bodies of law that follow it (``eu-gdpr``), ``subjects`` an estimate of how many people
    it speaks of. ``derived_by`` says why: ``repository``, ``path:data/*.csv``, ``scanner:email``, ``declassified:ID``.
    Each tuple is sorted and without doubles once `joined` or `Label.of` has made it.
    """

    level: str
    classes: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    regimes: tuple[str, ...] = ()
    subjects: int = 0
    derived_by: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, level: str, *, classes: Iterable[str] = (), origins: Iterable[str] = (), regimes: Iterable[str] = (),
        subjects: int = 0, derived_by: Iterable[str] = (),
    ) -> "Label":  # fmt: skip
        """Return a label in normal form. Raises ValueError for a level that isn't one."""
        if level not in LEVELS:
            raise ValueError(f"`level`: got/expected: {level!r}/one of {', '.join(LEVELS)}")
        return cls(level, _set(classes), _set(origins), _set(regimes), subjects, _set(derived_by))

    @property
    def rank(self) -> int:
        """The level as a number: 0 public … 3 restricted."""
        return LEVELS.index(self.level)

    def covers(self, key: str) -> bool:
        """Whether one of the classes is ``key`` or stands below it in the taxonomy."""
        return any(each == key or each.startswith(f"{key}.") for each in self.classes)

    def joined(self, *others: "Label") -> "Label":
        """Return the label of what holds this and the others: the highest level, the union of everything else.

        Associative, commutative and idempotent, so the order in which a lineage is walked does not matter.
        """
        every = (self, *others)
        return Label(
            level=max((each.level for each in every), key=LEVELS.index),
            classes=_set(key for each in every for key in each.classes),
            origins=_set(code for each in every for code in each.origins),
            regimes=_set(name for each in every for name in each.regimes),
            subjects=max(each.subjects for each in every),
            derived_by=_set(why for each in every for why in each.derived_by),
        )

    def because(self, why: str) -> "Label":
        """Return this label with ``why`` among its derivations."""
        return replace(self, derived_by=_set((*self.derived_by, why)))


def ancestors(key: str) -> tuple[str, ...]:
    """Return ``key`` and the keys above it: ``user.contact.email`` → ``user``, ``user.contact``, itself."""
    words = key.split(".")
    return tuple(".".join(words[: end + 1]) for end in range(len(words)))


def _set(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))
