"""Places: which repository a message is about. By its name, by files that only it has, by the operator's keywords."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_PATH = re.compile(r"(?<![\w./-])(?:[\w.-]+/)*[\w-]+\.[A-Za-z]\w{0,9}(?![\w/-])|(?<![\w./-])(?:[\w.-]+/)+[\w.-]*\w")
_TOKEN = re.compile(r"[^\W_](?:[\w.-]*[^\W_])?")
# A word that stands where the name of a repository would: before a colon at the beginning, or after "in".
_PLACED = re.compile(
    r"(?:(?:^\W*)(?=[\w.-]+:)|\b(?:in|for|of|on|at|from|dans|im|bei|pour|para|en)\s+)(\w[\w.-]{2,60}\w)(?![\w-])"
)
_LEAST_FOR_SLIPS = 5
_MOST_PATHS = 20


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a repository that may be meant: its name, its keywords, and the paths of its files."""

    name: str
    keywords: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """What was found: the repository or None, ``reason`` in words, and all names in the order they may be meant.

    ``several`` are named side by side, as what shall all be changed; ``likely`` are those that tie.
    """

    name: str | None
    reason: str
    order: tuple[str, ...]
    several: tuple[str, ...] = ()
    likely: tuple[str, ...] = ()


def find_place(words: str, known: Sequence[Known], in_code: Sequence[str] = ()) -> Place:
    """Return which of ``known`` the own ``words`` are about; ``in_code`` are single words that stand as code in it."""
    names = [each.name for each in known]
    if len(known) == 1:
        return Place(names[0], "it is the only repository", tuple(names))
    named = _named(words, names)
    meant = _meant(words, named)
    if len(meant) == 1:
        return Place(meant[0], f"`{meant[0]}` is named", _order(names, meant))
    if meant:
        return Place(
            None, "several repositories are named", _order(names, meant), _side_by_side(words, meant), tuple(meant)
        )
    coded = [name for name in names if name.lower() in {word.lower() for word in in_code}]
    if len(coded) == 1:
        return Place(coded[0], f"`{coded[0]}` is named", _order(names, coded))
    left = [each for each in known if each.name not in named]
    return _by_files(words, left, names) or _by_keywords(words, left, names) or _by_slip(words, left, names)


def paths_in(words: str) -> tuple[str, ...]:
    """Return what looks like the path or the name of a file in ``words``, at most twenty."""
    return tuple(dict.fromkeys(found[0] for found in _PATH.finditer(words)))[:_MOST_PATHS]


def names_in(words: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return those of ``names`` that stand in ``words`` as words of their own."""
    return tuple(_named(words, names))


def _pattern(name: str) -> str:
    parts = [re.escape(part) for part in re.split(r"[-_. ]", name) if part]
    return rf"(?<![\w.-])(?:[\w.-]+/)?{'[-_. ]?'.join(parts)}(?:'s|s')?(?![\w-]|[./]\w)"


def _named(words: str, names: Sequence[str]) -> list[str]:
    lower = words.lower()
    likely = [name for name in names if re.split(r"[-_. ]", name.lower())[0] in lower]
    return [name for name in likely if re.search(_pattern(name), words, re.IGNORECASE)]


def _meant(words: str, named: Sequence[str]) -> list[str]:
    """Leave out what is named to be left out ("not x"), and what is only compared with ("as in x", "from x to y")."""
    kept = [
        name for name in named if not _after(r"(?:not|nicht|pas|no)\s+(?:in\s+|for\s+|dans\s+|en\s+)?", words, name)
    ]
    if len(kept) < 2:
        return kept
    compared = r"(?:as|like|than|wie|comme|como|from|von)\s+(?:(?:the\s+one\s+)?in\s+|dans\s+|en\s+)?"
    own = [name for name in kept if not _after(compared, words, name)]
    return own if len(own) == 1 else kept


def _after(before: str, words: str, name: str) -> bool:
    return bool(re.search(rf"\b{before}{_pattern(name)}", words, re.IGNORECASE))


def _side_by_side(words: str, meant: Sequence[str]) -> tuple[str, ...]:
    one = "(?:" + "|".join(_pattern(name) for name in meant) + ")"
    where = r"\b(?:in|for|across|on|to|both|für|beide\w*|dans|pour|en|para)\s+"
    also = r"\s*(?:,|&|\+|and|und|et|y)\s*(?:in\s+|for\s+)?"
    found = re.search(f"{where}{one}(?:{also}{one})+", words, re.IGNORECASE)
    return tuple(meant) if found else ()


def _by_files(words: str, known: Sequence[Known], names: Sequence[str]) -> Place | None:
    have: set[str] = set()
    for mentioned in paths_in(words):
        holders = {each.name for each in known if any(_is_path(mentioned, path) for path in each.paths)}
        have |= holders if len(holders) == 1 else set()
    if len(have) != 1:
        return None
    name = have.pop()
    return Place(name, f"only `{name}` has a file of that name", _order(names, [name]))


def _is_path(mentioned: str, path: str) -> bool:
    mentioned, path = mentioned.lower().removeprefix("./"), path.lower()
    return path == mentioned or path.endswith(f"/{mentioned}")


def _by_keywords(words: str, known: Sequence[Known], names: Sequence[str]) -> Place | None:
    line = f" {' '.join(_TOKEN.findall(words.lower()))} "
    found = {each.name: sum(_says(line, keyword.lower()) for keyword in each.keywords) for each in known}
    order = sorted((name for name in found if found[name]), key=lambda name: (-found[name], name))
    if not order:
        return None
    if len(order) == 1 or found[order[0]] > found[order[1]]:
        return Place(order[0], f"its keywords speak of `{order[0]}`", _order(names, order))
    tied = tuple(name for name in order if found[name] == found[order[0]])
    return Place(None, "keywords of several repositories stand in it", _order(names, order), likely=tied)


def _says(line: str, keyword: str) -> bool:
    return any(f" {keyword}{ending} " in line for ending in ("", "s", "es", "n", "en"))


def _by_slip(words: str, known: Sequence[Known], names: Sequence[str]) -> Place:
    """Take a name with one slip of the fingers, where it stands as a name would: after "in", or before a colon."""
    tokens = _PLACED.findall(words.lower())
    near = {
        each.name
        for each in known
        if len(each.name) >= _LEAST_FOR_SLIPS and any(_one_slip(token, each.name.lower()) for token in tokens)
    }
    if len(near) == 1:
        name = near.pop()
        return Place(name, f"a name in it is one letter away from `{name}`", _order(names, [name]))
    return Place(None, "nothing in it says which repository is meant", tuple(names))


def _one_slip(word: str, name: str) -> bool:
    """Return whether one letter too many, too few, another one, or two in the wrong order make ``name`` of ``word``."""
    if word == name or abs(len(word) - len(name)) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(word, name, strict=False)) if a != b), min(len(word), len(name)))
    rest = (word[at:], name[at:])
    swapped = len(rest[0]) > 1 and len(rest[1]) > 1 and rest[0][:2] == rest[1][1::-1] and rest[0][2:] == rest[1][2:]
    return swapped or rest[0][1:] == rest[1][1:] or rest[0][1:] == rest[1] or rest[0] == rest[1][1:]


def _order(names: Sequence[str], first: Sequence[str]) -> tuple[str, ...]:
    return (*first, *(name for name in names if name not in first))


def as_known(names: Mapping[str, Sequence[str]]) -> tuple[Known, ...]:
    """Return ``names`` (with their keywords) as what is known."""
    return tuple(Known(name, tuple(keywords)) for name, keywords in names.items())
