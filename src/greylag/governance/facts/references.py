"""Whether a whole book holds together: every name leads somewhere, and nothing is above itself."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from greylag.domain.errors import OperatorError
from greylag.governance.facts.book import FactBook
from greylag.governance.facts.fields import ZONE_PREFIX, kind_of
from greylag.governance.facts.values import (
    UNKNOWN,
    Adequacy,
    Certification,
    Control,
    Jurisdiction,
    Mechanism,
    Opening,
    Place,
    Processor,
    Regime,
    Row,
    TargetFact,
    Zone,
    fact_error,
)

#: Field and what it names: kind of thing and name.
Mention = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one row of a book, seen beside the others."""

    row: str
    field: str
    error: OperatorError


#: Value: its fields that name others, and what kind of thing: ``territory`` is a list of codes, zones and places.
_NAMING: Mapping[type, tuple[tuple[str, str], ...]] = {
    Jurisdiction: (("within", "jurisdiction"),),
    Zone: (("members", "territory"),),
    Place: (("jurisdictions", "territory"),),
    Processor: (
        ("seat", "territory"), ("controlled_by", "territory"), ("parents", "processor"), ("operates_in", "territory"),
    ),
    Certification: (("processor", "processor"),),
    TargetFact: (
        ("processor", "processor"), ("sub_processors", "processor"), ("processing", "territory"),
        ("storage", "territory"), ("support", "territory"), ("control_plane", "territory"),
        ("weights_from", "territory"),
    ),
    Regime: (("origins", "territory"), ("home", "territory")),
    Adequacy: (("regime", "regime"), ("exporters", "territory"), ("importers", "territory")),
    Mechanism: (("regime", "regime"), ("processor", "processor"), ("importers", "territory")),
}  # fmt: skip


def require_sound(book: FactBook) -> FactBook:
    """Return ``book`` if it holds together.

    Raises OperatorError ``GL-FACTS-005`` for a name without a row, ``GL-FACTS-010`` for something above itself.
    """
    for problem in problems(book):
        raise problem.error
    return book


def problems(book: FactBook) -> Iterator[Problem]:
    """Yield every name that leads nowhere, once a row, and every circle, in order of rows."""
    there: dict[str, set[str]] = {kind: set() for kind in _KINDS.values()}
    for row in book.rows:
        if type(row) in _KINDS:
            there[_KINDS[type(row)]].add(_called(row))
    seen: set[tuple[str, str, str]] = set()
    for row in book.rows:
        for mention in _mentions(row):
            where, kind, name = mention
            if name not in there[kind] and (row.row, kind, name) not in seen:
                seen.add((row.row, kind, name))
                yield Problem(row.row, where, _nowhere(row, mention, there[kind]))
    yield from _circles(book)


_KINDS: Mapping[type, str] = {
    Jurisdiction: "jurisdiction", Zone: "zone", Place: "place", Processor: "processor", Regime: "regime",
    TargetFact: "target",
}  # fmt: skip


def _called(row: Row) -> str:
    """Return the name by which other rows speak of this one."""
    if isinstance(row, TargetFact):
        return row.row
    return row.code if isinstance(row, Jurisdiction) else str(getattr(row, "name", ""))


def _nowhere(row: Row, mention: Mention, known: Iterable[str]) -> OperatorError:
    where, kind, name = mention
    near = get_close_matches(name, list(known), n=3, cutoff=0.6)
    hint = f"; near to it: {', '.join(repr(each) for each in near)}" if near else ""
    return fact_error(
        "005",
        f"row `{row.row}`, field `{where}`: there is no {kind} {name!r}; got/expected: {name!r}/a {kind} with a row"
        f"{hint}.",
        f"add a `[[{kind}]]` row for {name!r}, or name one that is there (`greylag facts show` lists them).",
    )


def _mentions(row: Row) -> Iterator[Mention]:
    """Yield whatever ``row`` names that must have a row of its own."""
    if isinstance(row, Opening):
        yield ("name", "target", f"{row.kind}/{row.name}")
    for where, kind in _NAMING.get(type(row), ()):
        value = getattr(row, where)
        for each in value if isinstance(value, tuple) else (value,):
            name = each.country if isinstance(each, Control) else each
            if kind != "territory":
                yield from [(where, kind, name)] if name not in ("", UNKNOWN) else []
            elif (found := kind_of(name)) == "zone":
                yield (where, "zone", name.removeprefix(ZONE_PREFIX))
            elif found != "word":
                yield (where, "jurisdiction" if found == "code" else "place", name)


def _circles(book: FactBook) -> Iterator[Problem]:
    """Yield what stands above itself on some day; a book in which two companies changed places is fine."""
    if not any(_circle(edges) for edges in _edges(book.rows)):
        return
    seen: set[tuple[str, ...]] = set()
    for day in book.boundaries():
        for edges, table, where in zip(_edges(book.as_of(day, day).rows), *_ABOVE, strict=True):
            found = _circle(edges)
            if found and found not in seen:
                seen.add(found)
                path = " → ".join(f"`{name}`" for name in (*found, found[0]))
                yield Problem(
                    f"{table}/{found[0]}",
                    where,
                    fact_error(
                        "010",
                        f"row `{table}/{found[0]}`, field `{where}`: {path} leads back to itself on {day};"
                        " got/expected: a circle/an end.",
                        f"take one of these names out of its row's `{where}`.",
                    ),
                )


_ABOVE = (("processor", "zone", "jurisdiction"), ("parents", "members", "within"))


def _edges(rows: Iterable[Row]) -> tuple[dict[str, list[str]], ...]:
    """Return what leads where among companies, zones and jurisdictions."""
    companies: dict[str, list[str]] = {}
    zones: dict[str, list[str]] = {}
    codes: dict[str, list[str]] = {}
    for row in rows:
        if isinstance(row, Processor):
            companies.setdefault(row.name, []).extend(row.parents)
        elif isinstance(row, Zone):
            inner = [each.removeprefix(ZONE_PREFIX) for each in row.members if kind_of(each) == "zone"]
            zones.setdefault(row.name, []).extend(inner)
        elif isinstance(row, Jurisdiction) and row.within:
            codes.setdefault(row.code, []).append(row.within)
    return companies, zones, codes


def _circle(edges: Mapping[str, list[str]]) -> tuple[str, ...]:
    """Return one circle, beginning at its first name in order, or nothing."""
    done: set[str] = set()
    for start in sorted(edges):
        path: list[str] = []
        stack = [(start, iter(edges[start]))] if start not in done else []
        while stack:
            name, following = stack[-1]
            if len(path) < len(stack):
                path.append(name)
            step = next(following, None)
            if step is None:
                done.add(path.pop())
                stack.pop()
            elif step in path:
                found = path[path.index(step) :]
                first = found.index(min(found))
                return (*found[first:], *found[:first])
            elif step not in done and step in edges:
                stack.append((step, iter(edges[step])))
    return ()
