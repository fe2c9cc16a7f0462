"""Opening a target and taking that back: the one kind of fact that only who owns the home may state."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from difflib import get_close_matches
from pathlib import Path

from greylag.app.install.lawbook import OPENED, read_toml
from greylag.domain.errors import OperatorError, RequestRefused
from greylag.domain.labels import LEVELS
from greylag.governance.facts import (
    TARGET_KINDS,
    Basis,
    FactBook,
    Opening,
    TargetFact,
    dump_facts,
    parse_facts,
    row_document,
)

MAX_REASON = 500
_HEAD = """\
# What the operator of this install has opened, written by `greylag facts open` and `greylag facts close`. What was
# taken back on a later day stays, with a version `withdrawn`: a past decision is judged by what was open then.
"""


def open_target(home: Path, book: FactBook, asked: Opening) -> TargetFact:
    """Write the opening ``asked`` into the home's `OPENED` file; return the target as it was until now.

    Raises RequestRefused ``GL-OPENING-001`` where the target is unknown, ``-002`` for a level or reason that can't be,
    ``-003`` where it is open that far already; OperatorError ``GL-OPENING-004`` where the home is somebody else's,
    ``-005`` where the file can't be kept.
    """
    _check(asked)
    target = _known(book, asked.kind, asked.name, asked.basis.retrieved)
    if target.max_level in LEVELS and LEVELS.index(target.max_level) >= LEVELS.index(asked.max_level):
        raise RequestRefused(
            "GL-OPENING-003",
            f"`{target.row}` is open up to `{target.max_level}` already, so `{asked.max_level}` opens nothing.",
            f"to lower it: `greylag facts close {asked.kind} {asked.name}`, then open it at the lower level.",
        )
    _keep(home, asked)
    return target


def close_target(home: Path, book: FactBook, kind: str, name: str, basis: Basis) -> Opening:
    """Withdraw an opening; ``basis`` says when and why. Return what is withdrawn.

    Raises RequestRefused ``GL-OPENING-006`` where nothing opens the target or another file does; OperatorError as
    `open_target`.
    """
    found = book.as_of(basis.retrieved, basis.retrieved).row(f"opening/{kind}/{name}")
    if not isinstance(found, Opening):
        raise RequestRefused(
            "GL-OPENING-006",
            f"nothing opens `{kind[:40]}/{name[:200]}`.",
            "list what is open: `greylag facts show opening/`.",
        )
    if found not in _stated(home).rows:
        raise RequestRefused(
            "GL-OPENING-006",
            f"`{found.row}` stands in a file of yours, not in {home / 'facts' / OPENED}.",
            f"take the row out of that file in {home / 'facts'}.",
        )
    withdrawn = Opening(kind, name, found.max_level, basis)
    _check(withdrawn)
    _keep(home, withdrawn)
    return found


def _check(asked: Opening) -> None:
    if asked.max_level not in LEVELS:
        raise RequestRefused(
            "GL-OPENING-002",
            f"`--level`: got/expected: {asked.max_level[:40]!r}/one of {', '.join(LEVELS)}.",
            "name the highest level that may go there.",
        )
    if not asked.basis.note.strip() or len(asked.basis.note) > MAX_REASON or not asked.basis.note.isprintable():
        raise RequestRefused(
            "GL-OPENING-002",
            f"`--because` is a reason in one line of 1 to {MAX_REASON} characters, got {asked.basis.note[:60]!r}.",
            "say in a sentence why, for whoever reads the record later.",
        )


def _known(book: FactBook, kind: str, name: str, today: date) -> TargetFact:
    targets = [row for row in book.as_of(today, today).targets if row.kind == kind]
    found = next((row for row in targets if row.name == name), None)
    if found is None:
        near = get_close_matches(name, [row.name for row in targets], n=3, cutoff=0.5)
        kinds = "" if kind in TARGET_KINDS else f"; a kind is one of {', '.join(TARGET_KINDS)}"
        raise RequestRefused(
            "GL-OPENING-001",
            f"nothing is known about {kind[:40]!r} {name[:200]!r}, so it can't be opened{kinds}."
            + (f" Near to it: {', '.join(near)}." if near else ""),
            f"list what is known: `greylag facts show {kind if kind in TARGET_KINDS else 'endpoint'}/`; or add a"
            " `[[target]]` row of your own to the home's `facts/` folder.",
        )
    return found


def _stated(home: Path) -> FactBook:
    """Return what the file says now. Raises OperatorError ``GL-OPENING-005`` where it holds what is not ours."""
    path = home / "facts" / OPENED
    if not path.exists():
        return FactBook()
    try:
        book = parse_facts(read_toml(path))
    except OperatorError as error:
        raise _unusable(path, error.message) from None
    if not all(isinstance(row, Opening) for row in book.rows) or book.missing:
        raise _unusable(path, "it holds other rows than openings")
    return book


def _unusable(path: Path, why: str) -> OperatorError:
    return OperatorError(
        "GL-OPENING-005",
        f"{path} can't be kept: {why.rstrip('.')}.",
        "mend it, or move your rows to another file there.",
    )


def _keep(home: Path, row: Opening) -> None:
    """Add one version to the file, or replace the one of the same day: whole or not at all."""
    _require_owner(home)
    folder = home / "facts"
    path = folder / OPENED
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with _locked(folder):
            book = _stated(home).replaced(row)
            text = (
                _HEAD
                + "schema_version = 2\n"
                + "".join(_table(each) for each in book.rows if isinstance(each, Opening))
            )
            _write(path, text, book)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error


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
            "only who owns the home decides what is open: run this as that user.",
        )  # fmt: skip


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder / ".opened.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _table(row: Opening) -> str:
    lines = ["", "[[opening]]"]
    for name, value in row_document(row).items():
        day = name in ("retrieved", "known_from", "valid_from", "valid_to", "review_by")
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped too.
        lines.append(
            f"{name} = {value if day else json.dumps(value, ensure_ascii=False).replace(chr(127), chr(92) + 'u007f')}"
        )
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str, book: FactBook) -> None:
    part = path.with_name(f".opened.{secrets.token_hex(8)}.part")
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
