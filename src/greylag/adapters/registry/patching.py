"""Applies a unified diff to files in memory, to the letter: no fuzz, no offsets, no new or removed files. Pure.

Format: POSIX.1-2024, diff, "Diff -u Output Format". git's own lines around it are passed over.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from greylag.domain.errors import RequestRefused

_HUNK = re.compile(rb"@@ -([0-9]{1,9})(?:,([0-9]{1,9}))? \+([0-9]{1,9})(?:,([0-9]{1,9}))? @@.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Hunk:
    """``start`` is the index of the first old line; both sides hold whole lines with their ends."""

    start: int
    old: tuple[bytes, ...]
    new: tuple[bytes, ...]


def apply_patch(files: Mapping[str, bytes], patch: str) -> dict[str, bytes]:
    """Return ``files`` with ``patch`` applied; all of it fits, or nothing is done.

    Raises RequestRefused ``GL-REGISTRY-007`` for what is not a unified diff of existing files, ``GL-REGISTRY-008``
    where it doesn't fit them.
    """
    changed = dict(files)
    hunks = 0
    for path, hunk_list in _parsed(patch.encode("utf-8", "replace")):
        if path not in changed:
            raise _unfit(path, "there is no such file")
        changed[path] = _applied(path, changed[path], hunk_list)
        hunks += len(hunk_list)
    if not hunks:
        raise _malformed("it changes nothing")
    return changed


def _applied(path: str, content: bytes, hunks: list[_Hunk]) -> bytes:
    lines = content.split(b"\n")
    whole = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    result: list[bytes] = []
    taken = 0
    for hunk in hunks:
        end = hunk.start + len(hunk.old)
        if hunk.start < taken or tuple(whole[hunk.start : end]) != hunk.old:
            raise _unfit(path, f"the lines from {hunk.start + 1} on are not those that it expects")
        result += whole[taken : hunk.start]
        result += hunk.new
        taken = end
    return b"".join(result + whole[taken:])


def _parsed(patch: bytes) -> Iterator[tuple[str, list[_Hunk]]]:
    lines = iter(_lines(patch))
    path, hunks = "", list[_Hunk]()
    for line in lines:
        if line.startswith(b"--- "):
            if path:
                yield path, hunks
            path, hunks = _path(line, next(lines, b"")), []
        elif line.startswith(b"@@"):
            if not path:
                raise _malformed("a hunk comes before a file's name")
            hunks.append(_hunk(line, lines))
    if path:
        yield path, hunks


def _lines(patch: bytes) -> list[bytes]:
    """Return the patch's lines with their ends; a "no newline" mark takes the end off the line before it."""
    found: list[bytes] = []
    for line in patch.removesuffix(b"\n").split(b"\n"):
        if line.startswith(b"\\") and found:
            found[-1] = found[-1].removesuffix(b"\n")
        else:
            found.append(line + b"\n")
    return found


def _path(old: bytes, new: bytes) -> str:
    if not new.startswith(b"+++ "):
        raise _malformed("a `---` line has no `+++` line after it")
    names = [line[4:].rstrip(b"\n").partition(b"\t")[0].decode("utf-8", "replace") for line in (old, new)]
    bare = [name.removeprefix(side) for name, side in zip(names, ("a/", "b/"), strict=True)]
    if bare[0] != bare[1] or names[0] == "/dev/null":
        raise _malformed(f"it adds, removes or renames a file ({bare[0][:100]!r} to {bare[1][:100]!r})")
    return bare[0]


def _hunk(head: bytes, lines: Iterator[bytes]) -> _Hunk:
    found = _HUNK.fullmatch(head)
    if found is None:
        raise _malformed(f"{head[:80]!r} is no hunk's head")
    start, old_count, _, new_count = (int(group) if group is not None else 1 for group in found.groups())
    old: list[bytes] = []
    new: list[bytes] = []
    while len(old) < old_count or len(new) < new_count:
        line = next(lines, b"")
        sides = {b" ": (old, new), b"-": (old,), b"+": (new,)}.get(line[:1])
        if sides is None:
            raise _malformed(f"a hunk holds {line[:80]!r}")
        for side in sides:
            side.append(line[1:])
    return _Hunk(start - 1 if old_count else start, tuple(old), tuple(new))


def _malformed(why: str) -> RequestRefused:
    return RequestRefused(
        "GL-REGISTRY-007",
        f"the patch is not one that can be applied: {why}.",
        "give a unified diff of existing files, as `diff -u` or `git diff` write it.",
    )


def _unfit(path: str, why: str) -> RequestRefused:
    return RequestRefused(
        "GL-REGISTRY-008",
        f"the patch does not fit `{path[:200]}`: {why}.",
        "make the patch against exactly the pinned version.",
    )
