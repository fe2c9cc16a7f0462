"""Descriptors that are closed whatever happens."""

import os
from typing import Self


class Descriptors:
    """A set of open descriptors; leaving the ``with`` block closes what was not given away."""

    def __init__(self) -> None:
        self._open: list[int] = []

    def pipe(self, other: "Descriptors", *, reads: bool) -> int:
        """Make a pipe; keep and return the end that ``reads`` says, put its counterpart into ``other``."""
        reading, writing = os.pipe()
        mine, theirs = (reading, writing) if reads else (writing, reading)
        self._open.append(mine)
        other._open.append(theirs)
        return mine

    def content(self, data: bytes) -> int:
        """Return a descriptor from which ``data`` is read."""
        descriptor = os.memfd_create("content")
        self._open.append(descriptor)
        os.write(descriptor, data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def give_away(self) -> list[int]:
        """Return all of them in the order they came; somebody else closes them from now on."""
        given, self._open = self._open, []
        return given

    def close(self) -> None:
        """Close them all; closed already is fine."""
        for descriptor in self.give_away():
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
