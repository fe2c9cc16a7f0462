"""Tables in text: lines with the same number of separators, and what stands at the head of a column; flat records."""

import csv
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_SEPARATORS = (",", ";", "\t", "|")
_MAX_LINE = 4_096
_MAX_COLUMNS = 256
_RECORD = re.compile(r"\{[^{}]{8,4000}\}")
_RECORD_KEY = re.compile(r"[\"']([^\"'\\\n]{1,64})[\"']\s{0,8}:")


@dataclass(frozen=True, slots=True)
class Table:
    """Lines that belong together. ``start`` … ``end`` are characters of the text, the heading line among them."""

    start: int
    end: int
    separator: str
    headings: tuple[str, ...]
    lines: tuple[tuple[int, int], ...]

    def heading_at(self, text: str, place: int) -> str:
        """Return the heading of the column in which ``place`` stands, empty in the heading line itself."""
        number = bisect_right(self.lines, place, key=lambda line: line[0]) - 1
        if number < 1 or place >= self.lines[number][1]:
            return ""
        column = _split(text[self.lines[number][0] : place], self.separator)
        return self.headings[len(column) - 1] if 0 < len(column) <= len(self.headings) else ""

    def rows(self, text: str) -> Iterator[list[str]]:
        """Yield the cells of each line below the heading."""
        for start, end in self.lines[1:]:
            yield _split(text[start:end], self.separator)


def tables(text: str) -> tuple[Table, ...]:
    """Return the tables of ``text``: two lines or more with as many separators each, the first without a number."""
    found: list[Table] = []
    block: list[tuple[int, int]] = []
    shape: tuple[str, int] = ("", 0)
    start = 0
    for line in text.splitlines(keepends=True):
        end = start + len(line)
        here = _shape(line, shape)
        if here != shape or here[1] == 0:
            found += _table(text, block, shape)
            block, shape = [], here
        if here[1]:
            block.append((start, start + len(line.rstrip("\r\n"))))
        start = end
    return (*found, *_table(text, block, shape))


def records(text: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield start, end and keys of each object written in ``text`` that has no object inside."""
    for found in _RECORD.finditer(text):
        yield found.start(), found.end(), _RECORD_KEY.findall(found[0])


def _shape(line: str, before: tuple[str, int]) -> tuple[str, int]:
    """Return separator and number of columns less one; what the line before had, if it can be."""
    if len(line) > _MAX_LINE:
        return "", 0
    ordered = (before[0], *_SEPARATORS) if before[0] else _SEPARATORS
    shapes = [(each, count) for each in ordered if (count := line.count(each))]
    if '"' in line:
        shapes = [(each, len(_split(line, each)) - 1) for each, _ in shapes]
    if before in shapes:
        return before
    return max((each for each in shapes if 0 < each[1] < _MAX_COLUMNS), key=lambda each: each[1], default=("", 0))


def _table(text: str, block: list[tuple[int, int]], shape: tuple[str, int]) -> list[Table]:
    if len(block) < 2:
        return []
    headings = _split(text[block[0][0] : block[0][1]], shape[0])
    if any(re.fullmatch(r"[\s\"]*-?[\d.,]+[\s\"]*", heading) for heading in headings):
        return []
    return [Table(block[0][0], block[-1][1], shape[0], tuple(headings), tuple(block))]


def _split(line: str, separator: str) -> list[str]:
    if '"' not in line:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return line.split(separator)


def has_number(cells: Sequence[str], column: int) -> bool:
    """Whether the cell in ``column`` is an amount."""
    return column < len(cells) and bool(re.fullmatch(r"\D{0,4}\d[\d.,' ]{0,30}\D{0,4}", cells[column].strip()))
