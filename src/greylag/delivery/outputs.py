"""What a program in a sandbox left behind: text and files that nobody vouches for.

Must never follow a link, run anything, or show a character that could deceive a reader.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?"  # operating system commands, such as links and titles
    r"|\x1b[PX^_][^\x1b]{0,4096}(?:\x1b\\)?"  # strings for the terminal
    r"|[\x1b\x9b]\[?[0-?]{0,64}[ -/]{0,8}[@-~]"  # control sequences, ECMA-48 5.4
)
# Controls but newline and tab, what reorders or hides text (Unicode TR 36), and halves of characters.
_UNSHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff0-\ufffb]"
)
_LINE_CHARACTERS = 500
_PROJECT_FILE_BYTES = 1024 * 1024
_LISTED_FILES = 50_000


def cleaned(raw: bytes | str) -> str:
    """Return ``raw`` as text that is safe to show: no escape sequences, controls, or hidden or reordering characters.

    A carriage return ends a line like a newline; a line is cut at 500 characters.
    """
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join(line[:_LINE_CHARACTERS].rstrip() for line in _UNSHOWN.sub("", text).split("\n"))


def last_lines(raw: bytes | str, count: int) -> str:
    """Return the last ``count`` lines of ``raw`` that say something, cleaned."""
    # The end of a long output is enough; cutting first keeps the cost bounded.
    said = [line for line in cleaned(raw[-64 * 1024 :]).split("\n") if line.strip()]
    return "\n".join(said[-count:])


_PROJECT_FILES = ("pyproject.toml", "setup.cfg", "tox.ini", "package.json")


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a checkout by name (with ``/``), and the content of those at its top that say what it is."""

    names: frozenset[str]
    contents: Mapping[str, bytes]


def read_listing(folder: Path) -> Listing:
    """Return the regular files below ``folder``, at most 50,000; links are neither listed nor followed.

    Folders whose names begin with a dot, and installed packages (``node_modules``), are left out. Contents are those
    of ``pyproject.toml``, ``setup.cfg``, ``tox.ini`` and ``package.json`` up to 1 MiB.
    """
    names: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "node_modules")
        place = os.path.relpath(parent, folder)
        paths = [name if place == "." else f"{place}/{name}" for name in sorted(files)]
        names.update(path for path in paths if not os.path.islink(folder / path))
        if len(names) > _LISTED_FILES:
            break
    read = ((name, _read_small(folder / name)) for name in _PROJECT_FILES if name in names)
    return Listing(frozenset(names), {name: content for name, content in read if content is not None})


def _read_small(file: Path) -> bytes | None:
    try:
        content = read_plain(str(file), None, _PROJECT_FILE_BYTES)
    except (UnfitOutput, OSError):
        return None
    return content if len(content) <= _PROJECT_FILE_BYTES else None


class UnfitOutput(Exception):
    """An output folder that does not hold exactly one acceptable file; the text says why."""


def take_only_file(workspace: Path, folder: str, limit_bytes: int) -> tuple[str, bytes]:
    """Return name and content of the one file in ``workspace``/``folder``, once every program there is dead.

    Raises `UnfitOutput` where the folder or the file is missing, a link or something special, where there are several
    entries, where the file has a second name, or is larger than ``limit_bytes``.
    """
    try:
        opened = os.open(workspace / folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise UnfitOutput(f"there is no output folder ({error.strerror})") from error
    try:
        with os.scandir(opened) as entries:
            names = [entry.name for entry, _ in zip(entries, range(2), strict=False)]
        if len(names) != 1:
            raise UnfitOutput("it made no file" if not names else "it made more than one file")
        return names[0], _take(opened, names[0], limit_bytes)
    finally:
        os.close(opened)


def _take(folder: int, name: str, limit_bytes: int) -> bytes:
    try:
        content = read_plain(name, folder, limit_bytes)
    except OSError as error:
        raise UnfitOutput(f"the file can't be opened without following links ({error.strerror})") from error
    if len(content) > limit_bytes:
        raise UnfitOutput(f"the file is larger than {limit_bytes} bytes")
    return content


def read_plain(name: str, folder: int | None, limit_bytes: int) -> bytes:
    """Return up to ``limit_bytes`` + 1 bytes of the file ``name`` (in the opened ``folder``).

    Raises OSError for a link or what can't be opened, `UnfitOutput` for what is no regular file or has a second name.
    """
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitOutput("it is no regular file")
        if status.st_nlink != 1:
            raise UnfitOutput(f"the file has {status.st_nlink} names")
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(limit_bytes + 1)
    finally:
        os.close(descriptor)
