"""A drill: one supposed change of the world, written down so that it can be tried again.

A drill file is TOML: ``schema_version = 1``, ``name``, ``title``, ``note``, ``status``, and ``[[change]]`` tables, each
with a ``kind``. What a table may hold is listed in `FIELDS`; ``docs/how-to/what-if.md`` shows each kind.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from greylag.domain.errors import RequestRefused
from greylag.domain.labels import LEVELS
from greylag.governance.facts import CLOSED, TARGET_KINDS

SCHEMA_VERSION = 1
#: How likely what a drill supposes is: made up, proposed by a lawmaker, adopted and not yet applicable, or announced.
STATUSES = ("hypothetical", "proposed", "adopted", "announced")
MAX_CHANGES = 64
MAX_TEXT = 4096
MAX_NAMES = 256
MAX_POLICY = 1024 * 1024

#: Kind of change: fields that must be there, fields that may be.
FIELDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "fact": (frozenset({"rows", "set"}), frozenset({"from"})),
    "remove": (frozenset({"rows"}), frozenset()),
    "add": (frozenset({"facts"}), frozenset()),
    "parent": (frozenset({"processor", "parent"}), frozenset({"seat", "legal_entity", "controlled_by", "from"})),
    "region-lost": (frozenset(), frozenset({"place", "jurisdiction", "zone"})),
    "endpoint": (frozenset({"target", "set"}), frozenset({"target_kind", "from"})),
    "pack": (frozenset(), frozenset({"add", "remove", "replace", "policy"})),
    "label": (
        frozenset(),
        frozenset({"repository", "path", "class", "asset", "add_classes", "add_origins", "level"}),
    ),
    "opening": (frozenset({"target", "max_level"}), frozenset({"target_kind"})),
}
_HEAD = frozenset({"schema_version", "name", "title", "note", "status", "change"})
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class FactChange:
    """Set ``fields`` of each row whose name is in ``rows`` (a last ``*`` stands for any ending), from a day on.

    ``since`` None: in every version of the row, as if it had never been otherwise.
    """

    rows: tuple[str, ...]
    fields: Mapping[str, object]
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Removal:
    """Take rows away, all versions of them."""

    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Addition:
    """Add rows: a table as in a fact file."""

    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class NewParent:
    """A processor gets one more parent: a processor row that is there, or one that is made with this seat."""

    processor: str
    parent: str
    seat: str = ""
    legal_entity: str = ""
    controlled_by: tuple[Mapping[str, object], ...] = ()
    since: date | None = None


@dataclass(frozen=True, slots=True)
class RegionLost:
    """Whatever works only within one place, jurisdiction or zone (``kind``) can't be used."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class PackChange:
    """``action`` ∈ add, remove, replace; ``policy`` is the Cedar text that a replaced pack gets."""

    action: str
    pack: str
    policy: str = ""


@dataclass(frozen=True, slots=True)
class LabelChange:
    """Assets that match all of what is given carry more: further classes, further origins, at least this level.

    ``repository`` is a name (a last ``*`` stands for any ending), ``path`` a path rule as the label's derivation names
    it, ``covering`` a taxonomy key, ``asset`` an asset's kind. Empty means: any.
    """

    repository: str = ""
    path: str = ""
    covering: str = ""
    asset: str = ""
    classes: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    level: str = ""


@dataclass(frozen=True, slots=True)
class Reopening:
    """The operator lets a target (``kind/name``) have data up to ``max_level``; `CLOSED` shuts it."""

    target: str
    max_level: str


Change = FactChange | Removal | Addition | NewParent | RegionLost | PackChange | LabelChange | Reopening


@dataclass(frozen=True, slots=True)
class Drill:
    """A supposed change. ``status`` ∈ `STATUSES` says how likely; ``note`` says what it rests on."""

    name: str
    title: str
    note: str
    status: str
    changes: tuple[Change, ...]


def parse_drill(data: Mapping[str, object]) -> Drill:
    """Return the drill that decoded TOML ``data`` describes.

    Raises RequestRefused ``GL-WHATIF-002`` naming the change, the field, and got/expected. Whether the rows, packs and
    places exist is found when it is applied to a world.
    """
    if unknown := sorted(set(data) - _HEAD):
        raise malformed(f"field `{unknown[0]}` is not known; expected: {', '.join(sorted(_HEAD))}")
    version = data.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise malformed(f"`schema_version`: got/expected: {version!r}/{SCHEMA_VERSION}")
    head = _Fields("the drill", data)
    name = head.text("name")
    if not _NAME.fullmatch(name) or len(name) > 64:
        raise head.wrong("name", name, "words in lower case joined by `-`, at most 64 characters")
    rows = data.get("change")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_CHANGES:
        raise malformed(f"`change`: got/expected: {type(rows).__name__}/1 to {MAX_CHANGES} `[[change]]` tables")
    changes = tuple(_change(row, number) for number, row in enumerate(rows, start=1))
    return Drill(name, head.text("title"), head.text("note", ""), head.choice("status", STATUSES), changes)


def malformed(what: str) -> RequestRefused:
    """Return the error ``GL-WHATIF-002``."""
    return RequestRefused("GL-WHATIF-002", f"the drill can't be read: {what}.", "correct the drill file.")


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of one table; ``where`` says which, for errors."""

    where: str
    values: Mapping[str, object]

    def wrong(self, name: str, got: object, expected: str) -> RequestRefused:
        return malformed(f"{self.where}, field `{name}`: got/expected: {repr(got)[:120]}/{expected}")

    def text(self, name: str, default: str | None = None, limit: int = MAX_TEXT) -> str:
        value = self.values.get(name, default)
        if not isinstance(value, str) or len(value) > limit or not (value or value == default):
            raise self.wrong(name, value, f"a text of 1 to {limit} characters")
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self.values.get(name, default)
        if not isinstance(value, str) or (value not in allowed and value != default):
            raise self.wrong(name, value, f"one of {', '.join(allowed)}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.values.get(name, [])
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or len(value) > MAX_NAMES:
            raise self.wrong(name, value, f"a list of at most {MAX_NAMES} texts")
        if bad := [each for each in value if not isinstance(each, str) or not 0 < len(each) <= MAX_TEXT]:
            raise self.wrong(name, bad[0], f"texts of 1 to {MAX_TEXT} characters")
        return tuple(value)

    def table(self, name: str) -> Mapping[str, object]:
        value = self.values.get(name)
        if not isinstance(value, Mapping) or not value:
            raise self.wrong(name, value, "a table with something in it")
        return value

    def day(self, name: str) -> date | None:
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self.wrong(name, value, "a day such as 2027-01-31, without quotes")
        return value


def _change(row: object, number: int) -> Change:
    where = f"change {number}"
    if not isinstance(row, Mapping):
        raise malformed(f"{where}: got/expected: {type(row).__name__}/a `[[change]]` table")
    kind = _Fields(where, row).choice("kind", tuple(FIELDS))
    needed, optional = FIELDS[kind]
    if unknown := sorted(str(name) for name in set(row) - needed - optional - {"kind"}):
        known = ", ".join(sorted(needed | optional))
        raise malformed(f"{where} ({kind}): field `{unknown[0][:80]}` is not known; expected: {known}")
    if missing := sorted(needed - set(row)):
        raise malformed(f"{where} ({kind}): field `{missing[0]}` is missing")
    return _READERS[kind](_Fields(f"{where} ({kind})", row))


def _fact(row: _Fields) -> Change:
    return FactChange(_rows(row), row.table("set"), row.day("from"))


def _remove(row: _Fields) -> Change:
    return Removal(_rows(row))


def _rows(row: _Fields) -> tuple[str, ...]:
    names = row.texts("rows")
    for name in names:
        if "/" not in name or "*" in name[:-1]:
            raise row.wrong("rows", name, "a row's name such as `adequacy/eu-us-dpf`; `*` only as the last sign")
    if not names:
        raise row.wrong("rows", [], "at least one row's name")
    return names


def _add(row: _Fields) -> Change:
    return Addition(row.table("facts"))


def _parent(row: _Fields) -> Change:
    control = row.values.get("controlled_by", [])
    if not isinstance(control, list) or not all(isinstance(each, Mapping) for each in control):
        raise row.wrong("controlled_by", control, "a list of { country, basis } tables")
    return NewParent(
        row.text("processor"), row.text("parent"), row.text("seat", ""), row.text("legal_entity", ""), tuple(control),
        row.day("from"),
    )  # fmt: skip


def _region_lost(row: _Fields) -> Change:
    given = [name for name in ("place", "jurisdiction", "zone") if name in row.values]
    if len(given) != 1:
        raise malformed(f"{row.where}: got/expected: {len(given)}/exactly one of `place`, `jurisdiction`, `zone`")
    return RegionLost(given[0], row.text(given[0]))


def _endpoint(row: _Fields) -> Change:
    return FactChange((_target(row),), row.table("set"), row.day("from"))


def _target(row: _Fields) -> str:
    kind, name = row.choice("target_kind", TARGET_KINDS, "endpoint"), row.text("target")
    if "*" in name[:-1]:
        raise row.wrong("target", name, "a target's name; `*` only as the last sign")
    return f"{kind}/{name}"


def _pack(row: _Fields) -> Change:
    given = [name for name in ("add", "remove", "replace") if name in row.values]
    if len(given) != 1:
        raise malformed(f"{row.where}: got/expected: {len(given)}/exactly one of `add`, `remove`, `replace`")
    policy = row.text("policy", "", MAX_POLICY)
    if bool(policy) != (given[0] == "replace"):
        raise malformed(f"{row.where}: `policy` holds the new rules of a replaced pack, and goes with `replace` alone")
    return PackChange(given[0], row.text(given[0]), policy)


def _label(row: _Fields) -> Change:
    change = LabelChange(
        row.text("repository", ""), row.text("path", ""), row.text("class", ""), row.text("asset", ""),
        row.texts("add_classes"), row.texts("add_origins"), row.choice("level", LEVELS, ""),
    )  # fmt: skip
    if not (change.repository or change.path or change.covering or change.asset):
        raise malformed(f"{row.where}: got/expected: none/at least one of `repository`, `path`, `class`, `asset`")
    if not (change.classes or change.origins or change.level):
        raise malformed(f"{row.where}: got/expected: none/at least one of `add_classes`, `add_origins`, `level`")
    return change


def _opening(row: _Fields) -> Change:
    target = _target(row)
    if target.endswith("*"):
        raise row.wrong("target", target, "one target's whole name")
    return Reopening(target, row.choice("max_level", (*LEVELS, CLOSED)))


_READERS = {
    "fact": _fact, "remove": _remove, "add": _add, "parent": _parent, "region-lost": _region_lost,
    "endpoint": _endpoint, "pack": _pack, "label": _label, "opening": _opening,
}  # fmt: skip
