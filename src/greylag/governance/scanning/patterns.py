"""How long a pattern can take at one place of a text, worked out before it is ever used.

Python's ``re`` tries every way to match; a pattern whose ways multiply would let a hostile text stop the scanner. So
rules may use only a part of the language whose cost can be counted: no unbounded repeats, no references back.
"""

import re
from dataclasses import dataclass

#: Steps a pattern may take at one place of a text.
MAX_STEPS = 20_000
MAX_PATTERN = 2_000
_MANY = 10**12
_ESCAPES = "dDwWsSbBnrtAZ"
_OPENINGS = ("(?:", "(?=", "(?!", "(?<=", "(?<!", "(?P<value>", "(?i:", "(?-i:")
_LOOKING = ("(?=", "(?!", "(?<=", "(?<!")


@dataclass(frozen=True, slots=True)
class Cost:
    """``ways`` a part can match at one place, ``steps`` to try them all, ``width`` of a match: upper bounds."""

    ways: int = 1
    steps: int = 1
    width: int = 1

    def then(self, other: "Cost") -> "Cost":
        """Return the cost of this followed by ``other``."""
        steps = min(self.steps + self.ways * other.steps, _MANY)
        return Cost(min(self.ways * other.ways, _MANY), steps, self.width + other.width)

    def repeated(self, least: int, most: int) -> "Cost":
        """Return the cost of this ``least`` to ``most`` times."""
        ways, steps, every = 1, 0, 1 if least == 0 else 0
        for count in range(1, most + 1):
            steps = min(steps + ways * self.steps, _MANY)
            ways = min(ways * self.ways, _MANY)
            every += ways if count >= least else 0
        return Cost(min(every, _MANY), steps, min(self.width * most, _MANY))


def compiled(pattern: str) -> tuple[re.Pattern[str], int]:
    """Return ``pattern`` compiled and the most characters it can match.

    Raises ValueError saying what in it is not allowed, or that it could take too long.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"it has {len(pattern)} characters, at most {MAX_PATTERN} are allowed")
    body = pattern.removeprefix("(?i)").removeprefix("(?m)").removeprefix("(?im)")
    reader = _Reader(body)
    cost = reader.choice()
    if reader.at < len(body):
        raise ValueError(f"there is a `)` too many at position {reader.at}")
    if cost.steps > MAX_STEPS:
        raise ValueError(f"it could take {cost.steps} steps at one place, at most {MAX_STEPS} are allowed")
    try:
        made = re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise ValueError(f"it does not compile: {error}") from None
    if made.match("") is not None:
        raise ValueError("it matches nothing at all")
    return made, cost.width


class _Reader:
    """Reads the allowed part of the language from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def choice(self) -> Cost:
        ways = steps = width = 0
        while True:
            each = self._row()
            ways, steps, width = ways + each.ways, steps + each.steps, max(width, each.width)
            if self.text[self.at : self.at + 1] != "|":
                return Cost(min(ways, _MANY), min(steps, _MANY), width)
            self.at += 1

    def _row(self) -> Cost:
        cost = Cost(1, 0, 0)
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            cost = cost.then(self._repeat(self._atom()))
        return cost

    def _atom(self) -> Cost:
        sign = self.text[self.at]
        if sign == "(":
            return self._group()
        if sign == "[":
            self._class()
            return Cost()
        if sign == "\\":
            following = self.text[self.at + 1 : self.at + 2]
            if not following or (following.isalnum() and following not in _ESCAPES):
                raise ValueError(f"`\\{following}` is not allowed (position {self.at})")
            self.at += 2
            return Cost()
        if sign in "*+?{":
            raise ValueError(f"`{sign}` repeats nothing, or without end (position {self.at})")
        self.at += 1
        return Cost()

    def _group(self) -> Cost:
        opening = next((each for each in _OPENINGS if self.text.startswith(each, self.at)), "")
        if not opening:
            raise ValueError(f"a group here may begin with {', '.join(_OPENINGS)} only (position {self.at})")
        begun, self.at = self.at, self.at + len(opening)
        cost = self.choice()
        if self.text[self.at : self.at + 1] != ")":
            raise ValueError(f"the group at position {begun} is not closed")
        self.at += 1
        return Cost(1, cost.steps, 0) if opening in _LOOKING else cost

    def _class(self) -> None:
        end = self.at + 1
        end += self.text[end : end + 1] == "^"
        end += self.text[end : end + 1] == "]"
        while end < len(self.text) and self.text[end] != "]":
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise ValueError(f"the class at position {self.at} is not closed")
        self.at = end + 1

    def _repeat(self, cost: Cost) -> Cost:
        found = re.compile(r"\?|\{(\d{1,5})(?:,(\d{1,5}))?\}").match(self.text, self.at)
        if found is None:
            if self.text[self.at : self.at + 1] in ("*", "+", "{"):
                raise ValueError(f"a repeat without an end (position {self.at}); write {{m,n}}")
            return cost
        self.at = found.end()
        least, most = (0, 1) if found[0] == "?" else (int(found[1]), int(found[2] or found[1]))
        simple = cost == Cost()
        cost = cost.repeated(least, most)
        kind = self.text[self.at : self.at + 1]
        if kind == "+":
            if not simple:  # some releases of Python 3.11 get possessive groups wrong
                raise ValueError(f"only one character can be repeated possessively (position {self.at})")
            self.at += 1
            return Cost(1, cost.steps, cost.width)
        self.at += kind == "?"
        return cost
