"""The scanner: rules over text, findings out, bounded in what it reads and what it answers."""

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property

from greylag.domain.labels import LEVELS, Label
from greylag.governance.scanning.calling import CALLING_CODES
from greylag.governance.scanning.checks import CHECKS, digits
from greylag.governance.scanning.documents import Item, check_json, is_json, items
from greylag.governance.scanning.folding import Folded, fold
from greylag.governance.scanning.tables import Table, has_number, records, tables
from greylag.governance.scanning.values import PSEUDONYM, Finding, Findings, Rule, TableRule, heading_words

MAX_CHARACTERS = 8_000_000
MAX_FINDINGS = 10_000
_BEFORE = 64
_AFTER = 32
_JUST_BEFORE = 24
#: Four digits close together.
_NUMBERS = re.compile(r"\d(?:\D{0,4}\d){3}")
#: What is too long to be a number of anybody: a hash.
_HASH = re.compile(r"[A-Za-z0-9]{40,}")
_BREAK = "\n\x00\n"
_MAX_KEY = 256


class Scanner:
    """Finds what ``rules`` describe. The same text gives the same findings, whoever asks and whatever the text says."""

    def __init__(self, rules: Iterable[Rule | TableRule]) -> None:
        every = tuple(rules)
        self._rules = tuple(
            (rule, _words(rule.context), _words(rule.unless)) for rule in every if isinstance(rule, Rule)
        )
        self._tables = tuple(rule for rule in every if isinstance(rule, TableRule))
        self.rules = every
        self.version = _version(every)

    def scan(self, text: str) -> Findings:
        """Return what ``text`` holds; more than `MAX_CHARACTERS` or `MAX_FINDINGS` give ``complete`` False."""
        complete = len(text) <= MAX_CHARACTERS
        view = _View(fold(text[:MAX_CHARACTERS]))
        found: list[Finding] = []
        for each in self._found(view):
            found.append(each)
            if len(found) > MAX_FINDINGS:
                complete = False
                break
        return Findings(_outermost(found), complete, self.version)

    def scan_json(self, content: bytes, media_type: str = "application/json") -> Findings:
        """Return what the strings, keys and numbers of a JSON document hold; what is no JSON is read as text.

        A string is read decoded, together with the key it stands under.
        """
        text, complete = _decoded(content)
        objects: list[list[str]] = []
        try:
            check_json(text, media_type, objects.append)
        except ValueError:
            return replace(self.scan(text), complete=complete and len(text) <= MAX_CHARACTERS)
        joined, segments = _joined(items(text))
        found = self.scan(joined)
        placed = [moved for each in found.found if (moved := _moved(each, segments)) is not None]
        placed += [
            Finding(rule.id, rule.key, rule.level, 0, 0, rule.token, item=-1)
            for rule in self._tables
            if any(rule.columns(keys) for keys in objects)
            and not any(each.rule == rule.id for each in placed)
        ]  # fmt: skip
        return Findings(tuple(placed), complete and found.complete, self.version)

    def scan_content(self, content: bytes, media_type: str) -> Findings:
        """Return what ``content`` holds, read as its media type says; what is no text gives ``complete`` False."""
        if is_json(media_type):
            return self.scan_json(content, media_type)
        text, complete = _decoded(content)
        found = self.scan(text)
        return replace(found, complete=found.complete and complete)

    def _found(self, view: "_View") -> Iterator[Finding]:
        for rule, context, unless in self._rules:
            for start, end in view.regions(rule):
                for each in _matches(rule, view, (start, end)):
                    if _fits(context, unless, view, each):
                        yield _finding(rule, view, each)
        for table_rule in self._tables:
            yield from _tables(table_rule, view)


class _View:
    """One text, folded, with its tables found at most once."""

    def __init__(self, folded: Folded) -> None:
        self.folded = folded

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        return tables(self.folded.text)

    @cached_property
    def starts(self) -> list[int]:
        return [table.start for table in self.tables]

    @cached_property
    def numbers(self) -> list[tuple[int, int]]:
        spans, hashes = [], [found.span() for found in _HASH.finditer(self.folded.text)]
        for found in _NUMBERS.finditer(self.folded.text):
            number = bisect_right(hashes, found.start(), key=lambda span: span[0]) - 1
            if number < 0 or found.end() > hashes[number][1]:
                spans.append(found.span())
        return spans

    def regions(self, rule: Rule) -> Iterable[tuple[int, int]]:
        """Return the parts of the text in which all matches of ``rule`` lie, none where there can be none."""
        lowered, margin = self.folded.lowered, rule.width + _BEFORE
        if rule.context:
            words = {word.partition(" ")[0] for word in rule.context}
            if not any(word in lowered for word in words):
                return ()
        places = [place for word in rule.needs for place in _places(lowered, word)]
        if rule.needs and not places:
            return ()
        if rule.digits:
            return _merged(self.numbers, margin, len(lowered))
        if rule.needs:
            return _merged(sorted((place, place) for place in places), margin, len(lowered))
        return ((0, len(lowered)),)

    def heading(self, place: int) -> str:
        number = bisect_right(self.starts, place) - 1
        return self.tables[number].heading_at(self.folded.text, place) if number >= 0 else ""


def _places(lowered: str, word: str) -> Iterator[int]:
    place = lowered.find(word)
    while place >= 0:
        yield place
        place = lowered.find(word, place + 1)


def _merged(spans: Iterable[tuple[int, int]], margin: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield the spans with ``margin`` on both sides, those that then touch as one."""
    begun = ended = -1
    for inner_start, inner_end in spans:
        start, end = max(0, inner_start - margin), min(length, inner_end + margin)
        if begun >= 0 and start <= ended:
            ended = max(ended, end)
            continue
        if begun >= 0:
            yield begun, ended
        begun, ended = start, end
    if begun >= 0:
        yield begun, ended


def _matches(rule: Rule, view: _View, region: tuple[int, int]) -> Iterator[re.Match[str]]:
    for match in rule.pattern.finditer(view.folded.text, *region):
        value = match[_group(rule)]
        if not value or _ignored(rule, value) or PSEUDONYM.fullmatch(value):
            continue
        if not rule.check or CHECKS[rule.check](value):
            yield match


def _fits(context: re.Pattern[str] | None, unless: re.Pattern[str] | None, view: _View, match: re.Match[str]) -> bool:
    lowered, start, end = view.folded.lowered, match.start(), match.end()
    if unless is not None and unless.search(lowered, max(0, start - _JUST_BEFORE), start):
        return False
    if context is None or context.search(lowered, max(0, start - _BEFORE), min(len(lowered), end + _AFTER)):
        return True
    heading = view.heading(start)
    return bool(heading) and context.search("_".join(sorted(heading_words(heading), key=len))) is not None


def _finding(rule: Rule, view: _View, match: re.Match[str]) -> Finding:
    group = _group(rule)
    first, last = view.folded.span(*match.span(group))
    origin = _origin(rule, match[group])
    return Finding(rule.id, rule.key, rule.level, first, last, rule.token, origin, value=match[group])


def _group(rule: Rule) -> str | int:
    return "value" if "value" in rule.pattern.groupindex else 0


def _tables(rule: TableRule, view: _View) -> Iterator[Finding]:
    text, amounts = view.folded.text, dict(rule.groups)
    if not all(any(word in view.folded.lowered for word in amounts[name]) for name in rule.required):
        return
    for table in view.tables:
        columns = rule.columns(list(table.headings))
        number = columns.get("amount")
        if not columns or not any(number is None or has_number(row, number) for row in table.rows(text)):
            continue
        first, last = view.folded.span(table.lines[1][0], table.end)
        yield Finding(rule.id, rule.key, rule.level, first, last, rule.token)
    for start, end, keys in records(text):
        if rule.columns(keys):
            first, last = view.folded.span(start, end)
            yield Finding(rule.id, rule.key, rule.level, first, last, rule.token)


def _ignored(rule: Rule, value: str) -> bool:
    plain = value.lower()
    return any(
        plain == each or (each[0] in ".@" and plain.endswith(each)) or (each[-1] == "@" and plain.startswith(each))
        for each in rule.ignore
    )


def _origin(rule: Rule, value: str) -> str:
    if rule.origin == "match:IBAN":
        return value[:2].upper()
    if rule.origin == "match:phone":
        number = "".join(map(str, digits(value))).removeprefix("00")
        return next((CALLING_CODES[number[:size]] for size in (3, 2) if number[:size] in CALLING_CODES), "")
    return rule.origin


def _words(words: tuple[str, ...]) -> re.Pattern[str] | None:
    if not words:
        return None
    either = "|".join(re.escape(word).replace(r"\ ", "[ _-]") for word in words)
    return re.compile(rf"(?<![a-z])(?:{either})(?![a-z])")


def _version(rules: tuple[Rule | TableRule, ...]) -> str:
    """Return SHA-256 (hex) over everything about the rules that changes what they find."""
    told: list[object] = []
    for rule in rules:
        if isinstance(rule, Rule):
            told.append([
                rule.id, rule.key, rule.level, rule.pattern.pattern, rule.token, rule.check, rule.needs, rule.context,
                rule.unless, rule.origin, rule.ignore,
            ])  # fmt: skip
        else:
            groups = [[name, sorted(words)] for name, words in rule.groups]
            told.append([rule.id, rule.key, rule.level, rule.token, groups, sorted(rule.required), rule.at_least])
    return hashlib.sha256(json.dumps(told, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def _outermost(found: list[Finding]) -> tuple[Finding, ...]:
    """Drop what lies inside another find of the same text that is no less high, then order by place."""
    kept: list[Finding] = []
    reach: list[Finding] = []
    for each in sorted(found, key=lambda one: (one.start, -one.end)):
        reach = [other for other in reach if other.end > each.start]
        inside = any(_covers(other, each) for other in reach)
        if not inside:
            kept.append(each)
            reach.append(each)
    return tuple(kept)


def _covers(outer: Finding, inner: Finding) -> bool:
    """Whether a find says nothing that another does not; a table holds finds of its own."""
    if not outer.value or outer.end < inner.end or LEVELS.index(outer.level) < LEVELS.index(inner.level):
        return False
    return (outer.start, outer.end) != (inner.start, inner.end) or not inner.personal or outer.key == inner.key


def _decoded(content: bytes) -> tuple[str, bool]:
    """Return the text of ``content`` and whether that is all of it; a legacy encoding is read byte by byte."""
    if len(content) > 4 * MAX_CHARACTERS:
        return content[: 4 * MAX_CHARACTERS].decode("latin-1"), False
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding, "replace"), True
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text, "\x00" not in text


def _joined(written: Iterable[Item]) -> tuple[str, list[tuple[int, int, int]]]:
    """Return one text of all items, each after its key, and (start, end, item) of each, in order."""
    pieces: list[str] = []
    segments: list[tuple[int, int, int]] = []
    length = 0
    key = ""
    for number, item in enumerate(written):
        if item.kind == "key":
            key = item.value
            head, body = "", key
        else:
            head, body = f"{key[:_MAX_KEY]}: " if key else "", item.value
        start = length + len(head)
        segments.append((start, start + len(body), number))
        pieces += (head, body, _BREAK)
        length = start + len(body) + len(_BREAK)
    return "".join(pieces), segments


def _moved(each: Finding, segments: list[tuple[int, int, int]]) -> Finding | None:
    """Return the find with its place in the item it stands in; None where it is in the key shown before a value."""
    place = bisect_right(segments, each.start, key=lambda segment: segment[0]) - 1
    if place < 0:
        return None
    start, end, number = segments[place]
    if each.start >= end:
        return None
    return replace(each, start=each.start - start, end=min(each.end, end) - start, item=number)


def label_of_findings(findings: Findings) -> Label:
    """Return what a scan says of a text: classes, the highest level, origins that identifiers tell, why.

    ``subjects`` is the number of different identifiers, so at most so many people. No finds give `public` and nothing
    else: the label that changes no other. What was not read to its end counts as personal and confidential.
    """
    found = findings.found
    label = Label.of(
        max((each.level for each in found), key=LEVELS.index, default="public"),
        classes=findings.keys,
        origins=(each.origin for each in found if each.origin),
        subjects=findings.identifiers,
        derived_by=(f"scanner:{each.rule}" for each in found),
    )
    if findings.complete:
        return label
    return label.joined(Label.of("confidential", classes=("user",), subjects=1, derived_by=("scanner:incomplete",)))
