"""The shipped packs and facts, read from the repository's own files."""

import tomllib
from collections.abc import Sequence
from datetime import date
from functools import cache

from greylag.governance.facts import FactBook, parse_facts
from greylag.governance.policy import CedarPolicy, Pack, parse_pack
from greylag.governance.policy.examples import ExampleSet, parse_examples
from tests.support.source import ROOT

POLICIES = ROOT / "policies"
BASE = "house-one-region"
NAMES = tuple(sorted(path.name for path in (POLICIES / "packs").iterdir() if path.is_dir()))
SCHEMA = (POLICIES / "schema.cedarschema").read_text()
#: A day on which all shipped rows are known and none is past its review.
TODAY = date(2026, 12, 1)
_LAW = ("adequacy", "jurisdictions", "laws", "regimes", "zones")


@cache
def pack(name: str) -> Pack:
    """Return one shipped pack."""
    folder = POLICIES / "packs" / name
    return parse_pack(
        tomllib.loads((folder / "pack.toml").read_text()),
        (folder / "policy.cedar").read_text(),
        SCHEMA,
        tomllib.loads((folder / "examples.toml").read_text()),
    )


def with_required(name: str) -> tuple[Pack, ...]:
    """Return a pack after those it requires."""
    return (*(pack(other) for other in pack(name).requires), pack(name))


@cache
def in_force() -> tuple[Pack, ...]:
    """Return every shipped pack that may decide, the base first."""
    return (pack(BASE), *(pack(name) for name in NAMES if name != BASE and pack(name).status == "in_force"))


@cache
def library(region: str = "here", jurisdiction: str = "DE") -> dict[str, FactBook]:
    """Return the shipped fact files by name, as an install in ``region`` reads them."""
    variables = {"region": region, "jurisdiction": jurisdiction}
    return {
        path.stem: parse_facts(tomllib.loads(path.read_text()), variables)
        for path in sorted((POLICIES / "facts").glob("*.toml"))
    }


def joined(books: Sequence[FactBook]) -> FactBook:
    """Return the rows of all ``books``."""
    found = FactBook(())
    for book in books:
        found = found.joined(book)
    return found


@cache
def law() -> FactBook:
    """Return the shipped rows of law, without any company or target."""
    return joined([book for name, book in library().items() if name.startswith(_LAW)])


@cache
def shipped(region: str = "here", jurisdiction: str = "DE") -> FactBook:
    """Return every shipped row."""
    return joined(tuple(library(region, jurisdiction).values()))


@cache
def given(name: str) -> ExampleSet:
    """Return the examples of one pack."""
    return parse_examples(pack(name), library())


@cache
def policy(name: str, home: str) -> CedarPolicy:
    """Return one pack with those it requires, over the facts of its examples."""
    return CedarPolicy(with_required(name), given(name).book, home, today=given(name).at, drill=True)


@cache
def all_together(name: str, home: str) -> CedarPolicy:
    """Return every pack in force over the facts of one pack's examples, law completed from the shipped rows."""
    return CedarPolicy(in_force(), law().overlaid_with(given(name).book), home, today=given(name).at)
