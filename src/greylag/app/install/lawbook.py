"""Reads packs and facts from files and adds what this install knows about itself."""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from greylag.app.install.shipped import shipped
from greylag.app.settings import FILE_NAME, Settings
from greylag.domain.errors import OperatorError
from greylag.governance.facts import Basis, FactBook, own_target, parse_facts, require_sound
from greylag.governance.policy import CedarPolicy, Pack, parse_pack

#: The file that `greylag facts open` writes; it speaks last.
OPENED = "opened.toml"
MAX_FACT_FILE_BYTES = 8 * 1024 * 1024
#: The operator has known of its own machine on every day that may be asked about.
_ALWAYS = date(2000, 1, 1)


def read_policy(settings: Settings, home: Path, *, own: list[tuple[str, str]], today: date) -> CedarPolicy:
    """Return the policy of this install: its pack over its facts of ``today``.

    Raises OperatorError for what can't be read.
    """
    facts = read_book(settings, home, own, today).as_of(today, today)
    return CedarPolicy(read_pack(settings.policy_pack), facts, settings.region.name)


def read_book(settings: Settings, home: Path, own: Sequence[tuple[str, str]], today: date) -> FactBook:
    """Return all facts of this install: shipped rows, own targets (kind, name), and the rows of the home's files.

    Where several speak of one row, the later file wins: own targets, shipped, the home's in order of their names,
    `OPENED`. Raises OperatorError with the file's name: ``GL-FACTS-…`` for its rows, ``GL-SETTINGS-004`` where it
    can't be read; ``GL-FACTS-005`` and ``-010`` where the whole does not hold together.
    """
    basis = Basis("the install's settings", _settled_on(home, today), "in_force", "O", known_from=_ALWAYS)
    book = FactBook(tuple(own_target(kind, name, settings.region.name, basis) for kind, name in own))
    law = [row for path in shipped_facts(settings) for row in read_facts(path, settings).rows]
    book = book.overlaid_with(FactBook(tuple(law)))
    for path in fact_files(home):
        book = book.overlaid_with(read_facts(path, settings))
    return require_sound(book)


def shipped_facts(settings: Settings) -> list[Path]:
    """Return the shipped fact files that count here, in order: the scripted model's only where it is used."""
    found = sorted(shipped("policies", "facts").glob("*.toml"))
    return [path for path in found if path.stem != "scripted-model" or settings.model.kind == "scripted"]


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


def read_pack(name: str) -> Pack:
    """Return the shipped pack ``name``."""
    folder = shipped("policies", "packs", name)
    policy, schema = (folder / "policy.cedar").read_text(), (folder / "schema.cedarschema").read_text()
    return parse_pack(read_toml(folder / "pack.toml"), policy, schema, read_toml(folder / "examples.toml"))


def read_toml(path: Path) -> dict[str, object]:
    """Return a file's decoded TOML. Raises OperatorError ``GL-SETTINGS-004`` where that can't be."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FACT_FILE_BYTES + 1)
        if len(content) > MAX_FACT_FILE_BYTES:
            raise ValueError(f"it has more than {MAX_FACT_FILE_BYTES} bytes")
        return tomllib.loads(content.decode())
    except (OSError, ValueError, RecursionError) as error:
        raise OperatorError(
            "GL-SETTINGS-004", f"{path} can't be used: {error}.", "mend it, or move it away."
        ) from error


def _settled_on(home: Path, today: date) -> date:
    """Return the day on which the settings were last written, so that a new day alone makes no new book."""
    try:
        written = (home / FILE_NAME).stat().st_mtime
    except OSError:
        return _ALWAYS
    return min(max(datetime.fromtimestamp(written, UTC).date(), _ALWAYS), today)
