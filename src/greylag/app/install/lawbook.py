"""Reads packs, facts and scanner rules from files and adds what this install knows about itself."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from greylag.app.install.shipped import shipped
from greylag.app.settings import Settings
from greylag.domain.errors import OperatorError
from greylag.governance.facts import Basis, FactBook, own_target, parse_facts, require_sound
from greylag.governance.policy import Pack, parse_pack
from greylag.governance.scanning import Scanner, parse_rules
from greylag.governance.world import World

#: Shipped fact files that speak of what the operator itself runs.
_OWN_FILES = ("own-region", "scripted-model")


def read_world(settings: Settings, home: Path, *, own: Sequence[tuple[str, str]], today: date) -> World:
    """Return what decides in this install: its packs, and the shipped facts with the home's own over them.

    Raises OperatorError for what can't be read or used.
    """
    book = read_book(settings, home, own=own, today=today)
    return World(read_packs(settings.policy_packs), book, settings.region.name)


def read_book(settings: Settings, home: Path, *, own: Sequence[tuple[str, str]], today: date) -> FactBook:
    """Return the facts of this install: own targets (kind, name), the shipped rows, and ``facts/*.toml`` of the home.

    A row of the home replaces every shipped version of the same thing. What is loaded counts as known from today at
    the latest: a machine whose clock is behind knows its facts all the same.
    """
    region = settings.region
    variables = {"region": region.name, "jurisdiction": region.jurisdiction}
    book = FactBook(())
    for path in sorted(shipped("policies", "facts").glob("*.toml")):
        if path.stem != "scripted-model" or settings.model.kind == "scripted":
            book = book.joined(parse_facts(_toml(path), variables))
    basis = Basis(source="the install's settings", retrieved=_INSTALLED, status="in_force", certainty="O")
    rows = FactBook(tuple(own_target(kind, name, region.name, basis) for kind, name in own))
    book = rows.overlaid_with(book)
    for path in fact_files(home):
        book = book.overlaid_with(parse_facts(_toml(path), variables))
    return require_sound(_known_by(book, today))


def _known_by(book: FactBook, today: date) -> FactBook:
    """Return ``book`` with no row known later than ``today``."""
    late = [row for row in book.rows if (row.basis.known_from or row.basis.retrieved) > today]
    if not late:
        return book
    rows = [row for row in book.rows if row not in late]
    return FactBook((*rows, *(replace(row, basis=replace(row.basis, known_from=today)) for row in late)))


def fact_files(home: Path) -> list[Path]:
    """Return the install's own fact files, in the order in which they are laid over the shipped ones."""
    return sorted((home / "facts").glob("*.toml"))


def read_packs(names: Sequence[str] = ()) -> tuple[Pack, ...]:
    """Return shipped packs by name; none named: every one in force. The base pack comes first.

    Raises OperatorError ``GL-POLICY-024`` for a name that did not come with this program.
    """
    found = {path.name: path for path in sorted(shipped("policies", "packs").iterdir()) if path.is_dir()}
    for name in names:
        if name not in found:
            raise OperatorError(
                "GL-POLICY-024", f"there is no policy pack {name!r}.", f"name some of: {', '.join(found)}."
            )
    packs = [read_pack(found[name]) for name in names or found]
    chosen = packs if names else [pack for pack in packs if pack.status == "in_force"]
    return tuple(sorted(chosen, key=lambda pack: bool(pack.requires)))


def read_pack(folder: Path) -> Pack:
    """Return the pack in ``folder``: a shipped one, or an operator's own."""
    schema = shipped("policies", "schema.cedarschema").read_text()
    try:
        policy = (folder / "policy.cedar").read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(folder / "policy.cedar", error) from error
    return parse_pack(_toml(folder / "pack.toml"), policy, schema, _toml(folder / "examples.toml"))


def shipped_library() -> Mapping[str, FactBook]:
    """Return the shipped fact files by their names, for packs' examples; none of them speaks of this install."""
    paths = sorted(shipped("policies", "facts").glob("*.toml"))
    return {path.stem: parse_facts(_toml(path)) for path in paths if path.stem not in _OWN_FILES}


def read_scanner() -> Scanner:
    """Return the scanner of the shipped rules. Raises OperatorError ``GL-SCAN-…`` for a rule that can't be used."""
    paths = sorted(shipped("policies", "scanners").glob("*.toml"))
    return Scanner(rule for path in paths for rule in parse_rules(_toml(path)))


#: The day from which what an install runs itself counts as known; the settings say it anew at each start.
_INSTALLED = date(2026, 1, 1)


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> OperatorError:
    return OperatorError("GL-SETTINGS-004", f"{path} can't be used: {error}.", "mend it, or move it away.")
