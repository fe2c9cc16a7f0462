"""Aggregation: from rows to counts and sums of groups, none of them small enough to tell of one person.

Groups below the threshold are left out and only their number is told; counts are rounded down, sums rounded, and the
sum of a group in which one subject has more than half is withheld (a dominance rule). Nothing else of a row survives.
"""

import csv
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from greylag.domain.errors import RequestRefused
from greylag.governance.scanning.documents import is_json
from greylag.governance.scanning.values import Findings, heading_words
from greylag.governance.transformations.splicing import checked, text_of
from greylag.governance.transformations.values import Parameters, Transformed, number_in, refused

MAX_ROWS = 1_000_000
MAX_COLUMNS = 256
MAX_GROUPS = 10_000
DEFAULTS = {"k": "10", "count_step": "5", "sum_step": "10"}
_AMOUNTS = frozenset({"amount", "betrag", "montant", "importe", "umsatz", "amt"})
_DATES = frozenset({"date", "datum", "fecha", "booked", "posted", "buchungstag"})
_CURRENCIES = frozenset({"currency", "ccy", "waehrung", "währung", "devise", "moneda"})
_SUBJECTS = frozenset({"account", "iban", "konto", "acct", "customer", "user", "person", "payer", "email", "patient"})
_PLAIN = re.compile(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ .&/_-]{0,31}|[0-9]{1,4}")
_MONTH = re.compile(r"(\d{4})[-/.](\d{2})(?:[-/.]\d{2}.{0,20})?|\d{2}[./](\d{2})[./](\d{4})")
_OTHER = "(other)"


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which columns make groups, which are summed, whose subjects are counted, by position; and the thresholds."""

    group_by: tuple[tuple[str, int], ...]
    months: frozenset[int]
    sums: tuple[tuple[str, int], ...]
    subject: int
    k: int
    count_step: int
    sum_step: int


class _Group:
    """What is known of one group while rows are read."""

    __slots__ = ("rows", "subjects", "sums")

    def __init__(self) -> None:
        self.rows = 0
        self.subjects: set[str] = set()
        self.sums: dict[str, dict[str, Decimal]] = {}


def aggregate(
    content: bytes, media_type: str, findings: Findings, parameters: Parameters, key: bytes | None
) -> Transformed:
    """Return counts and sums of groups of rows instead of the rows, as the same kind of document.

    CSV with a heading line, or a JSON list of flat objects. Parameters: ``group_by`` and ``sum`` (columns, parted by
    commas; by default currency and month, and amounts), ``subject`` (the column that tells whose a row is; where there
    is none each row is somebody's), ``k`` (least number of subjects, at least 3, default 10), ``count_step`` and
    ``sum_step`` (default 5 and 10). Raises RequestRefused ``GL-TRANSFORM-002`` for parameters that don't fit,
    ``GL-TRANSFORM-005`` for content that is no table all of whose rows can be read.
    """
    text = text_of(content)
    headings, rows = _json_rows(text, media_type) if is_json(media_type) else _csv_rows(text)
    plan = _plan(headings, {**DEFAULTS, **parameters})
    groups: dict[tuple[str, ...], _Group] = {}
    for number, row in enumerate(rows, start=1):
        _count(groups, plan, row, number)
    lines = list(_told(groups, plan))
    small = len(groups) - len(lines)
    names = ["count", *(f"sum_{name}" for name, _ in plan.sums)]
    table = [[*(name for name, _ in plan.group_by), *names], *lines]
    return Transformed(
        _as_json(table) if is_json(media_type) else _as_csv(table),
        None,
        ("finance.transaction", *findings.keys),
        (f"{len(lines)} groups of at least {plan.k}", f"{small} smaller groups left out"),
    )


def _csv_rows(text: str) -> tuple[list[str], Iterator[list[str]]]:
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or len(lines) > MAX_ROWS or "\x00" in text:
        raise _unreadable(f"it has {len(lines)} lines, a table has 2 to {MAX_ROWS}")
    separator = max(",;\t|", key=lines[0].count)
    headings = next(_parsed(lines[:1], separator, 0))
    return headings, _parsed(lines[1:], separator, len(headings))


def _parsed(lines: Sequence[str], separator: str, columns: int) -> Iterator[list[str]]:
    """Yield the cells of each line. A quoted cell may not cross lines: what starts one would swallow rows unseen."""
    for number, line in enumerate(lines, start=1):
        try:
            cells = next(csv.reader([line], delimiter=separator, strict=True))
        except (csv.Error, StopIteration):
            raise _unreadable(f"row {number} is broken") from None
        if columns and len(cells) != columns:
            raise _unreadable(f"row {number} has {len(cells)} cells, the heading has {columns}")
        yield [cell.strip() for cell in cells]


def _json_rows(text: str, media_type: str) -> tuple[list[str], Iterator[list[str]]]:
    checked(text, media_type)
    try:
        rows = json.loads(text, parse_int=str, parse_float=str)
    except ValueError:
        raise _unreadable("it is not one JSON document") from None
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_ROWS or not all(isinstance(row, dict) for row in rows):
        raise _unreadable(f"it is no list of 1 to {MAX_ROWS} objects")
    headings = sorted({str(name) for row in rows for name in row})

    def cells() -> Iterator[list[str]]:
        for number, row in enumerate(rows, start=1):
            if any(isinstance(value, dict | list) for value in row.values()):
                raise _unreadable(f"row {number} holds a list or an object")
            yield [str(row.get(name, "") if row.get(name) is not None else "").strip() for name in headings]

    return headings, cells()


def _plan(headings: Sequence[str], parameters: Parameters) -> _Plan:
    if not 0 < len(headings) <= MAX_COLUMNS or len(set(headings)) != len(headings):
        raise _unreadable("its columns have no names of their own")
    dates = _columns(headings, _DATES)
    named = _named(headings, parameters, "group_by")
    groups = named if named is not None else [*_columns(headings, _CURRENCIES)[:1], *dates[:1]]
    currency = [place for place in _columns(headings, _CURRENCIES)[:1] if place not in groups]
    sums = _named(headings, parameters, "sum")
    subject = _named(headings, parameters, "subject")
    subjects = subject if subject is not None else _columns(headings, _SUBJECTS)
    taken = [*currency, *groups]
    summed = sums if sums is not None else _columns(headings, _AMOUNTS)
    if set(taken) & set(summed) or set(taken) & set(subjects[:1]):
        raise refused(
            "002", "a column that is summed, or that tells whose a row is, can't make groups.",
            "choose other columns for `group_by`.",
        )  # fmt: skip
    return _Plan(
        group_by=tuple((_group_heading(headings[place], place, dates), place) for place in taken),
        months=frozenset(dates),
        sums=tuple((_heading(headings[place], place), place) for place in summed),
        subject=subjects[0] if subjects else -1,
        k=number_in(parameters, "k", 3, 1_000_000),
        count_step=number_in(parameters, "count_step", 1, 1_000_000),
        sum_step=number_in(parameters, "sum_step", 1, 1_000_000_000),
    )


def _columns(headings: Sequence[str], words: frozenset[str]) -> list[int]:
    return [place for place, heading in enumerate(headings) if heading_words(heading) & words]


def _named(headings: Sequence[str], parameters: Parameters, name: str) -> list[int] | None:
    if name not in parameters:
        return None
    wanted = [each.strip() for each in parameters[name].split(",") if each.strip()]
    for each in wanted:
        if each not in headings:
            raise refused(
                "002", f"parameter `{name}`: got/expected: {each[:60]!r}/a column of the table.",
                "name columns as the heading line does.",
            )  # fmt: skip
    return [list(headings).index(each) for each in dict.fromkeys(wanted)]


def _heading(heading: str, place: int) -> str:
    """Return a heading fit to be shown: a heading line is content too."""
    return heading if re.fullmatch(r"[A-Za-z][A-Za-z_ -]{0,31}", heading) else f"column_{place + 1}"


def _group_heading(heading: str, place: int, dates: Sequence[int]) -> str:
    if place not in dates:
        return _heading(heading, place)
    return "month" if place == dates[0] else f"month_{dates.index(place) + 1}"


def _count(groups: dict[tuple[str, ...], _Group], plan: _Plan, row: list[str], number: int) -> None:
    named = tuple(_bucket(row[place], place in plan.months) for _, place in plan.group_by)
    group = groups.get(named)
    if group is None:
        if len(groups) >= MAX_GROUPS:
            raise _unreadable(f"it has more than {MAX_GROUPS} groups")
        group = groups[named] = _Group()
    subject = row[plan.subject].casefold() if plan.subject >= 0 else str(number)
    group.rows += 1
    group.subjects.add(subject)
    for name, place in plan.sums:
        amount = _amount(row[place], number)
        of_subject = group.sums.setdefault(name, {})
        of_subject[subject] = of_subject.get(subject, Decimal(0)) + amount


def _bucket(cell: str, month: bool) -> str:
    if not month:
        return cell if _PLAIN.fullmatch(cell) else _OTHER
    found = _MONTH.fullmatch(cell)
    return (f"{found[1]}-{found[2]}" if found[1] else f"{found[4]}-{found[3]}") if found else _OTHER


def _amount(cell: str, number: int) -> Decimal:
    plain = re.sub(r"[\s'\u2019]|[€£$¥]|^[A-Z]{3}|[A-Z]{3}$", "", cell)
    if re.fullmatch(r"-?\d{1,3}(?:\.\d{3}){0,5},\d{1,4}|-?\d{1,15},\d{1,2}", plain):
        plain = plain.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"-?\d{1,3}(?:,\d{3}){1,5}(?:\.\d{1,4})?", plain):
        plain = plain.replace(",", "")
    if not re.fullmatch(r"-?[0-9]{1,18}(?:\.[0-9]{1,9})?", plain):
        raise _unreadable(f"row {number} has an amount that is no number")
    try:
        return Decimal(plain)
    except InvalidOperation:  # pragma: no cover - the form above is Decimal's
        raise _unreadable(f"row {number} has an amount that is no number") from None


def _told(groups: dict[tuple[str, ...], _Group], plan: _Plan) -> Iterator[list[str]]:
    for named, group in sorted(groups.items()):
        if len(group.subjects) < plan.k:
            continue
        sums = [_sum(group.sums[name].values(), plan.sum_step) for name, _ in plan.sums]
        yield [*named, str(group.rows // plan.count_step * plan.count_step), *sums]


def _sum(parts: Collection[Decimal], step: int) -> str:
    """Return the rounded sum, nothing where one part weighs more than all others."""
    sizes = sorted(abs(part) for part in parts)
    if sizes and sizes[-1] * 2 > sum(sizes):
        return ""
    total = sum(parts, Decimal(0))
    return str(int((total / step).to_integral_value()) * step)


def _as_csv(table: list[list[str]]) -> bytes:
    return "".join(f"{','.join(row)}\n" for row in table).encode()


def _as_json(table: list[list[str]]) -> bytes:
    head, *rows = table
    return json.dumps([dict(zip(head, row, strict=True)) for row in rows], ensure_ascii=False).encode()


def _unreadable(why: str) -> RequestRefused:
    return refused("005", f"the content can't be aggregated: {why}.", "give a table with a heading line, or redact it.")
