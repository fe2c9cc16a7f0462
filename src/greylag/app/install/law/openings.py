"""Opening a target and taking that back: the one kind of fact that only who owns the home may state."""

from datetime import date
from difflib import get_close_matches
from pathlib import Path

from greylag.app.install.law.lawbook import OPENED
from greylag.app.install.law.stated import OwnFile, keep_rows, stated_rows
from greylag.domain.errors import RequestRefused
from greylag.domain.labels import LEVELS
from greylag.governance.facts import (
    TARGET_KINDS,
    Basis,
    FactBook,
    Opening,
    TargetFact,
)

MAX_REASON = 500
_FILE = OwnFile(
    OPENED,
    """\
# What the operator of this install has opened, written by `greylag facts open` and `greylag facts close`. What was
# taken back on a later day stays, with a version `withdrawn`: a past decision is judged by what was open then.
""",
    (Opening,),
)


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
    keep_rows(home, _FILE, asked)
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
    if found not in stated_rows(home, _FILE).rows:
        raise RequestRefused(
            "GL-OPENING-006",
            f"`{found.row}` stands in a file of yours, not in {home / 'facts' / OPENED}.",
            f"take the row out of that file in {home / 'facts'}.",
        )
    withdrawn = Opening(kind, name, found.max_level, basis)
    _check(withdrawn)
    keep_rows(home, _FILE, withdrawn)
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
