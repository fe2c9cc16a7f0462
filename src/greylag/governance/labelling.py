"""What an asset's label is, from everything that is known of it: repository, paths, thread, finds, and the law.

Labels only add up here. What lowers one is in `greylag.governance.transformations`.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache

from greylag.domain.labels import LEVELS, Label
from greylag.domain.repository import PathRule, Repository
from greylag.governance.scanning.scanner import label_of_findings
from greylag.governance.scanning.values import Findings
from greylag.governance.transformations.lowering import UNKNOWN, RegimeFacts
from greylag.governance.transformations.registry import TRANSFORMATIONS

_MAX_PATH = 4_096
_MAX_PARTS = 128
#: Derivations that tell of finds, or of what follows from the rest of a label.
_ADDS_NOTHING_SAID = frozenset({"scanner", "regime", "origin", "declassified"})
_WHY = {
    "repository": "the repository's settings say so",
    "thread": "the thread it was asked in says so",
    "scanner:incomplete": "it could not be read to its end, so it counts as personal",
    "origin:unknown": "it holds personal data, and nobody said where the people are",
}


def label_from(
    repository: Repository, facts: RegimeFacts, paths: Iterable[str] = (), findings: Findings | None = None,
    thread_label: Label | None = None,
) -> Label:  # fmt: skip
    """Return the label of an asset made from ``repository``: the join of all that is said of it, with its regimes.

    ``paths`` are the files it holds or shows; ``findings`` what a scan found in it; ``thread_label`` what the thread
    carries. Personal data of which nobody knows the origin has the origin ``unknown``, which every regime claims.
    """
    label = repository.label.joined(*(_of_rule(rule) for rule in matching(repository.path_rules, paths)))
    if thread_label is not None:
        label = label.joined(thread_label)
    if findings is not None:
        label = label.joined(label_of_findings(findings))
    return with_regimes(label, facts)


def with_regimes(label: Label, facts: RegimeFacts) -> Label:
    """Return the label with the regimes that facts say follow it, and the origin ``unknown`` where one is missing."""
    if label.covers("user") and not label.origins:
        label = replace(label, origins=(UNKNOWN,)).because("origin:unknown")
    regimes = facts.regimes_of(label.classes, label.origins)
    return label.joined(Label.of("public", regimes=regimes, derived_by=(f"regime:{name}" for name in regimes)))


def floor_for(transformation: str, label: Label, repository: Repository) -> Label:
    """Return the label below which no ``transformation`` takes what carries ``label``: what was said, not found.

    Its derivations tell what that was: the repository's settings and rules about paths. A rule that speaks only of
    classes which the transformation ends says nothing of its result; a link says nothing of any content. Where a
    derivation is of another kind nobody knows what it added, so the label itself is the floor.
    """
    registered = TRANSFORMATIONS.get(transformation.partition(":")[0])
    if registered is None:
        return label
    if registered.ends("code"):
        return Label.of(
            min("internal", label.level, key=LEVELS.index), origins=label.origins, derived_by=("repository",)
        )
    rules = {f"path:{rule.pattern}": rule for rule in repository.path_rules}
    floor = Label.of("public")
    for why in label.derived_by:
        if why == "repository":
            floor = floor.joined(repository.label)
        elif why in rules:
            classes = rules[why].classes
            if not classes or not all(registered.ends(key) for key in classes):
                floor = floor.joined(_of_rule(rules[why]))
        elif why.partition(":")[0] not in _ADDS_NOTHING_SAID:
            return label
    return floor


def _of_rule(rule: PathRule) -> Label:
    return Label.of(rule.level, classes=rule.classes, origins=rule.origins, derived_by=(f"path:{rule.pattern}",))


def matching(rules: Iterable[PathRule], paths: Iterable[str]) -> tuple[PathRule, ...]:
    """Return the rules that speak of at least one of ``paths``, in their order."""
    plain = [_plain(path) for path in paths]
    return tuple(rule for rule in rules if any(_matches(_pattern(rule.pattern), path) for path in plain))


def path_matches(pattern: str, path: str) -> bool:
    """Whether a rule's pattern speaks of a path: ``*`` and ``?`` stay in a folder, ``**`` crosses folders.

    A pattern without ``/`` is about names in any folder, one that ends in ``/`` about all below it; case does not
    count. A path of more than 4,096 characters or 128 parts can't be looked at closely: every pattern matches it.
    """
    return _matches(_pattern(pattern), _plain(path))


def explained(label: Label) -> tuple[str, ...]:
    """Return a sentence for each derivation of a label, for people."""
    return tuple(_sentence(why) for why in label.derived_by)


def _sentence(why: str) -> str:
    kind, _, rest = why.partition(":")
    known = {
        "path": f"a rule about the path `{rest}` says so",
        "scanner": f"the scanner's rule `{rest}` found something",
        "regime": f"facts say that `{rest}` follows data of these classes and origins",
        "declassified": f"a registered transformation took something away; record `{rest}`",
    }
    return f"`{why}`: {_WHY.get(why) or known.get(kind, 'it was said')}."


def _plain(path: str) -> tuple[str, ...] | None:
    if len(path) > _MAX_PATH:
        return None
    parts = tuple(part for part in path.replace("\\", "/").casefold().split("/") if part not in ("", "."))
    return parts if len(parts) <= _MAX_PARTS else None


@lru_cache(maxsize=1024)
def _pattern(pattern: str) -> tuple[str, ...]:
    plain = pattern.replace("\\", "/").casefold()
    if "/" not in plain.rstrip("/"):
        plain = f"**/{plain}"
    if plain.endswith("/"):
        plain = f"{plain}**"
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    kept = [part for place, part in enumerate(parts) if part != "**" or parts[place - 1 : place] != ["**"]]
    return tuple(re.sub(r"\*{2,}", "*", part) if part != "**" else part for part in kept)


def _matches(pattern: tuple[str, ...], path: tuple[str, ...] | None) -> bool:
    """Whether the parts fit; ``reached`` holds how many parts of the pattern can have been used up so far."""
    if path is None:
        return True
    reached = _closed({0}, pattern)
    for part in path:
        following = set()
        for place in reached:
            if place == len(pattern):
                continue
            if pattern[place] == "**":
                following.add(place)
            elif fnmatchcase(part, pattern[place]):
                following.add(place + 1)
        reached = _closed(following, pattern)
        if not reached:
            return False
    return len(pattern) in reached


def _closed(reached: set[int], pattern: tuple[str, ...]) -> set[int]:
    """Add what is reached where ``**`` stands for no folder at all."""
    return reached | {place + 1 for place in reached if place < len(pattern) and pattern[place] == "**"}
