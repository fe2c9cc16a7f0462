"""Reads packs, facts and scanner rules from files and adds what this install knows about itself."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from greylag.app.install.shipped import shipped
from greylag.app.settings import FILE_NAME, Settings
from greylag.domain.errors import OperatorError
from greylag.governance.facts import Basis, FactBook, own_target, parse_facts, require_sound, version_of
from greylag.governance.policy import Pack, parse_pack
from greylag.governance.scanning import Scanner, parse_rules
from greylag.governance.world import World

#: The file that `greylag facts open` writes; it speaks last.
OPENED = "opened.toml"
MAX_FILE_BYTES = 8 * 1024 * 1024
#: Shipped fact files that speak of what the operator itself runs.
_OWN_FILES = ("own-region", "scripted-model")
#: The operator has known of its own machine on every day that may be asked about.
_ALWAYS = date(2000, 1, 1)


def read_world(settings: Settings, home: Path, *, own: Sequence[tuple[str, str]], today: date) -> World:
    """Return what decides in this install: its packs, and the shipped facts with the home's own over them.

    Raises OperatorError for what can't be read or used.
    """
    return World(read_packs(settings.policy_packs), read_book(settings, home, own, today), settings.region.name)


def read_book(settings: Settings, home: Path, own: Sequence[tuple[str, str]], today: date) -> FactBook:
    """Return all facts of this install: shipped rows, own targets (kind, name), and the rows of the home's files.

    Where several speak of one row, the later file wins: own targets, shipped, the home's in order of their names,
    `OPENED`. What is loaded counts as known from ``today`` at the latest: a machine whose clock is behind knows its
    facts all the same. Raises OperatorError with the file's name: ``GL-FACTS-…`` for its rows, ``GL-SETTINGS-004``
    where it can't be read; ``GL-FACTS-005`` and ``-010`` where the whole does not hold together.
    """
    basis = Basis("the install's settings", _settled_on(home, today), "in_force", "O", known_from=_ALWAYS)
    book = FactBook(tuple(own_target(kind, name, settings.region.name, basis) for kind, name in own))
    law = [row for path in shipped_facts(settings) for row in read_facts(path, settings).rows]
    book = book.overlaid_with(FactBook(tuple(law)))
    for path in fact_files(home):
        book = book.overlaid_with(read_facts(path, settings))
    return require_sound(_known_by(book, today))


def shipped_facts(settings: Settings) -> list[Path]:
    """Return the shipped fact files that count here, in order: the scripted model's only where it is used."""
    found = sorted(shipped("policies", "facts").glob("*.toml"))
    return [path for path in found if path.stem != "scripted-model" or settings.model.kind == "scripted"]


def shipped_library() -> Mapping[str, FactBook]:
    """Return the shipped fact files by their names, for packs' examples; none of them speaks of this install."""
    paths = sorted(shipped("policies", "facts").glob("*.toml"))
    return {path.stem: read_facts(path, Settings()) for path in paths if path.stem not in _OWN_FILES}


def fact_files(home: Path) -> list[Path]:
    """Return the home's own fact files in the order in which they speak: by name, `OPENED` last."""
    found = sorted(path for path in (home / "facts").glob("*.toml") if not path.name.startswith("."))
    return [path for path in found if path.name != OPENED] + [path for path in found if path.name == OPENED]


def fact_variables(settings: Settings) -> Mapping[str, str]:
    """Return what ``{region}`` and ``{jurisdiction}`` stand for in fact files."""
    return {"region": settings.region.name, "jurisdiction": settings.region.jurisdiction}


def read_facts(path: Path, settings: Settings) -> FactBook:
    """Return the rows of one file. Raises OperatorError that names the file, as `read_book`."""
    data = read_toml(path)
    try:
        return parse_facts(data, fact_variables(settings))
    except OperatorError as error:
        raise OperatorError(error.code, f"{path}: {error.message}", error.remedy) from None


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
    return parse_pack(read_toml(folder / "pack.toml"), policy, schema, read_toml(folder / "examples.toml"))


def read_scanner() -> Scanner:
    """Return the scanner of the shipped rules. Raises OperatorError ``GL-SCAN-…`` for a rule that can't be used."""
    paths = sorted(shipped("policies", "scanners").glob("*.toml"))
    return Scanner(rule for path in paths for rule in parse_rules(read_toml(path)))


def read_toml(path: Path) -> dict[str, object]:
    """Return a file's decoded TOML. Raises OperatorError ``GL-SETTINGS-004`` where that can't be."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"it has more than {MAX_FILE_BYTES} bytes")
        return tomllib.loads(content.decode())
    except (OSError, ValueError, RecursionError) as error:
        raise _unusable(path, error) from error


def _known_by(book: FactBook, today: date) -> FactBook:
    """Return ``book`` with no row known later than ``today``; of versions that so become one, the one known last."""
    late = {row for row in book.rows if (row.basis.known_from or row.basis.retrieved) > today}
    if not late:
        return book
    rows = [replace(row, basis=replace(row.basis, known_from=today)) if row in late else row for row in book.rows]
    return FactBook(tuple({version_of(row): row for row in rows}.values()), book.missing)


def _settled_on(home: Path, today: date) -> date:
    """Return the day on which the settings were last written, so that a new day alone makes no new book."""
    try:
        written = (home / FILE_NAME).stat().st_mtime
    except OSError:
        return _ALWAYS
    return min(max(datetime.fromtimestamp(written, UTC).date(), _ALWAYS), today)


def _unusable(path: Path, error: Exception) -> OperatorError:
    return OperatorError("GL-SETTINGS-004", f"{path} can't be used: {error}.", "mend it, or move it away.")
