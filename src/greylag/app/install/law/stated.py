"""The fact files that commands write into a home: whole or not at all, and only by who owns the home."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from greylag.app.install.law.lawbook import read_toml
from greylag.domain.errors import OperatorError
from greylag.governance.facts import FactBook, Row, dump_facts, parse_facts, row_document

_DAYS = frozenset({"retrieved", "known_from", "valid_from", "valid_to", "review_by", "assessed_on"})


@dataclass(frozen=True, slots=True)
class OwnFile:
    """One file below ``facts/`` of a home: its name, the comment at its head, and the kinds of rows it may hold."""

    name: str
    head: str
    kinds: tuple[type[Row], ...]


def stated_rows(home: Path, file: OwnFile) -> FactBook:
    """Return what the file says now. Raises OperatorError ``GL-OPENING-005`` where it holds what is not ours."""
    path = home / "facts" / file.name
    if not path.exists():
        return FactBook()
    try:
        book = parse_facts(read_toml(path))
    except OperatorError as error:
        raise _unusable(path, error.message) from None
    if not all(isinstance(row, file.kinds) for row in book.rows) or book.missing:
        raise _unusable(path, "it holds rows of other kinds")
    return book


def keep_rows(home: Path, file: OwnFile, *rows: Row) -> None:
    """Add versions to the file, or replace those of the same day: whole or not at all.

    Raises OperatorError ``GL-OPENING-004`` where the home is somebody else's, ``-005`` where the file can't be kept.
    """
    _require_owner(home)
    folder = home / "facts"
    path = folder / file.name
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with _locked(folder):
            book = stated_rows(home, file).replaced(*rows)
            text = f"{file.head}schema_version = 2\n" + "".join(_table(row) for row in book.rows)
            _write(path, text, book)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error


def _unusable(path: Path, why: str) -> OperatorError:
    return OperatorError(
        "GL-OPENING-005",
        f"{path} can't be kept: {why.rstrip('.')}.",
        "mend it, or move your rows to another file there.",
    )


def _require_owner(home: Path) -> None:
    try:
        owner = home.stat().st_uid
    except OSError as error:
        raise OperatorError(
            "GL-OPENING-004", f"there is no home at {home}: {error.strerror}.",
            "start the platform once (`greylag up`), or name its folder with `--home`.",
        ) from error  # fmt: skip
    if owner != os.geteuid():
        raise OperatorError(
            "GL-OPENING-004", f"{home} belongs to user {owner}, and this is user {os.geteuid()}.",
            "only who owns the home decides what counts in it: run this as that user.",
        )  # fmt: skip


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder / ".opened.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _table(row: Row) -> str:
    kind = row.row.partition("/")[0]
    lines = ["", f"[[{kind if not hasattr(row, 'processing') else 'target'}]]"]
    for name, value in row_document(row).items():
        lines.append(f"{name} = {value if name in _DAYS else _spelled(value)}")
    return "\n".join(lines) + "\n"


def _spelled(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_spelled(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_spelled(each) for each in value) + "]"
    # JSON's escapes are TOML's, but for DEL, which TOML wants escaped too.
    return json.dumps(value, ensure_ascii=False).replace(chr(127), chr(92) + "u007f")


def _write(path: Path, text: str, book: FactBook) -> None:
    part = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if dump_facts(parse_facts(read_toml(part))) != dump_facts(book):
            raise _unusable(path, "what was written does not read back the same")
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)
