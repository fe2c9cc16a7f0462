"""A git patch as files and rows to look at. Counts what each hunk announces, so no line can pass for a header."""

import re
from dataclasses import dataclass, field

from greylag.adapters.forge.names import shown
from greylag.app.web.rendering import visible

_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_ESCAPE = re.compile(rb"\\([0-7]{3}|[abtnvfr\"\\])")
_C_ESCAPES = {
    b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r", b'"': b'"', b"\\": b"\\",
}  # fmt: skip
_ROW_CHARACTERS = 4000
_NOTES = {
    "new file mode ": "new file, mode ", "deleted file mode ": "deleted, mode ", "old mode ": "old mode ",
    "new mode ": "new mode ",
}  # fmt: skip
_CLASSES = {"+": "plus", "-": "minus", " ": "", "\\": "head"}


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its class (``plus``, ``minus``, ``hunk``, ``head`` or none), its number in the new file, its text."""

    look: str
    number: str
    text: str


@dataclass(slots=True)
class FilePatch:
    """What happens to one file. ``notes`` are modes and the like; a binary file's content is only counted."""

    name: str
    notes: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    added: int = 0
    removed: int = 0
    binary_lines: int = 0
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch's files; ``cut`` where it is too long to be shown whole."""

    files: list[FilePatch]
    cut: bool


class _Reader:
    """Reads a patch line by line; what a hunk announced is content, whatever it looks like."""

    def __init__(self) -> None:
        self.files: list[FilePatch] = []
        self._old = self._new = self._number = 0

    def take(self, line: str) -> None:
        if self._old > 0 or self._new > 0:
            self._content(line)
        elif line.startswith("diff --git "):
            self.files.append(FilePatch(_named(line)))
        elif self.files:
            self._header(self.files[-1], line)

    def _content(self, line: str) -> None:
        file, sign = self.files[-1], line[:1] or " "
        file.added += sign == "+"
        file.removed += sign == "-"
        self._old -= sign in "- "
        self._new -= sign in "+ "
        number = str(self._number) if sign in "+ " else ""
        self._number += sign in "+ "
        file.rows.append(Row(_CLASSES.get(sign, ""), number, shortened(line or " ")))

    def _header(self, file: FilePatch, line: str) -> None:
        hunk = _HUNK.match(line)
        if file.binary:
            file.binary_lines += bool(line)
        elif hunk:
            old, new = hunk.group(2), hunk.group(4)
            self._old, self._new = int(old) if old else 1, int(new) if new else 1
            self._number = int(hunk.group(3))
            file.rows.append(Row("hunk", "", shortened(line)))
        elif line.startswith(("GIT binary patch", "Binary files ")):
            file.binary = True
        elif line.startswith("\\"):
            file.rows.append(Row("head", "", shortened(line)))
        else:
            file.notes += [
                words + visible(line[len(sign) :]) for sign, words in _NOTES.items() if line.startswith(sign)
            ]


def read_patch(text: str, limit_characters: int, limit_rows: int) -> Patch:
    """Return the files of ``text`` (git's ``diff --binary`` form), as much of it as fits into the limits."""
    lines = text[:limit_characters].split("\n")
    reader = _Reader()
    for line in lines[:limit_rows]:
        reader.take(line)
    return Patch(reader.files, len(text) > limit_characters or len(lines) > limit_rows)


def shortened(line: str) -> str:
    """Return ``line`` with hidden characters shown, at most some thousand characters of it, and how many are left."""
    left = len(line) - _ROW_CHARACTERS
    return visible(line[:_ROW_CHARACTERS]) + (f" … and {left} more characters" if left > 0 else "")


def _named(line: str) -> str:
    """Return the path of a ``diff --git a/PATH b/PATH`` line: both halves are the same, as nothing is renamed."""
    both = line.removeprefix("diff --git ")
    half = both[: len(both) // 2]
    name = _unquoted(half[1:-1]) if half.startswith('"') else half.encode()
    return shown(name.removeprefix(b"a/"))


def _unquoted(name: str) -> bytes:
    """Undo git's quoting of unusual names (octal bytes and C escapes; git-config(1), ``core.quotePath``)."""
    return _ESCAPE.sub(lambda m: _C_ESCAPES.get(m[1]) or bytes([int(m[1], 8) & 0xFF]), name.encode())
