"""What a scanner is made of and what it answers."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from greylag.domain.errors import OperatorError

#: What stands for an identifier once it is pseudonymised: never an identifier itself.
PSEUDONYM = re.compile(r"psn-[a-z]{2,12}-[0-9a-f]{12}")
#: What begins the mark that stands for something redacted.
REDACTED = "[redacted:"


def rule_error(number: str, message: str, remedy: str = "correct the rule; see `policies/scanners/`.") -> OperatorError:
    """Return the error ``GL-SCAN-number``."""
    return OperatorError(f"GL-SCAN-{number}", message, remedy)


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing a scanner looks for in text: a pattern, and what must be true of a match besides.

    ``key`` is the taxonomy class and ``level`` the least level of what holds a match; ``token`` is the word for it in
    pseudonyms and marks. One of ``context`` must stand near the match or at the head of its column, none of ``unless``
    close before it. One of ``needs`` (lower case) is in every match, ``digits`` says that every match holds four digits
    close together; ``width`` is the most characters a match has. ``check`` names one of
    `greylag.governance.scanning.checks.CHECKS`. ``origin`` is a code, ``match:IBAN`` or ``match:phone``. ``ignore``
    lists matches that are nobody's: whole, ``.suffix``, ``@suffix`` or ``prefix@``. Where the pattern has a group
    ``value``, that group is the find.
    """

    id: str
    key: str
    level: str
    pattern: re.Pattern[str]
    token: str
    width: int
    check: str = ""
    digits: bool = False
    needs: tuple[str, ...] = ()
    context: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    origin: str = ""
    ignore: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    counter_examples: tuple[str, ...] = ()

    @property
    def personal(self) -> bool:
        """Whether a match identifies a person."""
        return self.key == "user" or self.key.startswith("user.")


@dataclass(frozen=True, slots=True)
class TableRule:
    """One thing a scanner looks for in tables and records: columns that together mean something.

    ``groups`` names what a column can be and by which words its heading is known; every group of ``required`` and at
    least ``at_least`` of all must be there.
    """

    id: str
    key: str
    level: str
    token: str
    groups: tuple[tuple[str, frozenset[str]], ...]
    required: frozenset[str]
    at_least: int
    examples: tuple[str, ...] = ()
    counter_examples: tuple[str, ...] = ()

    def columns(self, headings: list[str]) -> dict[str, int]:
        """Return which column each group is, the first that fits; empty where this is not such a table."""
        found: dict[str, int] = {}
        for position, heading in enumerate(headings):
            words = heading_words(heading)
            for name, known in self.groups:
                if name not in found and not words.isdisjoint(known):
                    found[name] = position
        return found if self.required <= set(found) and len(found) >= self.at_least else {}


@dataclass(frozen=True, slots=True)
class Finding:
    """One find: which rule, what it is, and where, never shown with what it says.

    ``start`` and ``end`` are characters of the text, or of the JSON string or number that is the ``item``-th of its
    document (in order of writing, keys counted); ``item`` -1 means the document as a whole. ``value`` is the text
    without invisible characters, for counting and for keyed marks; it is left out of the representation.
    """

    rule: str
    key: str
    level: str
    start: int
    end: int
    token: str
    origin: str = ""
    item: int = 0
    value: str = field(default="", repr=False)

    @property
    def personal(self) -> bool:
        """Whether it identifies a person."""
        return self.key == "user" or self.key.startswith("user.")


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything one scan found, in order of place. ``complete`` False: the text was not read to its end."""

    found: tuple[Finding, ...] = ()
    complete: bool = True
    scanner: str = ""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many finds each rule had."""
        return Counter(each.rule for each in self.found)

    @property
    def keys(self) -> tuple[str, ...]:
        """The classes that were found, sorted."""
        return tuple(sorted({each.key for each in self.found}))

    @property
    def identifiers(self) -> int:
        """How many different identifiers of people were found: at most so many people it speaks of."""
        return len({(each.rule, compact(each.value)) for each in self.found if each.personal})

    def within(self, *prefixes: str) -> tuple[Finding, ...]:
        """Return the finds whose class is one of ``prefixes`` or below it."""
        return tuple(
            each for each in self.found if any(each.key == key or each.key.startswith(f"{key}.") for key in prefixes)
        )


def compact(value: str) -> str:
    """Return an identifier without case and without what people put between its parts."""
    return re.sub(r"[\s().\-/]", "", value).casefold()


@lru_cache(maxsize=4096)
def heading_words(heading: str) -> frozenset[str]:
    """Return the words of a column's heading: ``Transaction-Date``, ``transactionDate`` → transaction, date.

    The whole heading, joined by ``_``, is one of them.
    """
    parted = re.sub(r"([a-z])([A-Z])", r"\1_\2", heading[:128].strip().strip("\"'"))
    words = [word for word in re.split(r"[^a-z0-9]+", parted.lower()) if word]
    return frozenset((*words, "_".join(words)))
