"""Which unprivileged uid programs run as when the platform is root: one for each workspace while there are enough."""

import os
from pathlib import Path

DEFAULT_UIDS = range(61_000, 61_180)  # given to nobody by Debian's policy nor by systemd's table of uids


class Identities:
    """Hands out uids to folders. The owner of a folder is the record, so nothing needs to be kept over restarts."""

    def __init__(self, uids: range) -> None:
        self._uids = uids
        self._given: dict[Path, int] = {}
        self._next = os.getpid()  # another process starts elsewhere in the range

    def of(self, folder: Path) -> int | None:
        """Return the uid ``folder`` was given, None where it wasn't."""
        owner = os.lstat(folder).st_uid
        return owner if owner in self._uids else None

    def choose(self, folder: Path) -> int:
        """Return ``folder``'s uid, else one that no living folder has, else the one given longest ago."""
        owner = self.of(folder)
        if owner is not None:
            return owner
        self._given = {given: uid for given, uid in self._given.items() if os.path.lexists(given)}
        taken = set(self._given.values())
        ring = [self._uids[(self._next + step) % len(self._uids)] for step in range(len(self._uids))]
        uid = next((candidate for candidate in ring if candidate not in taken), None)
        if uid is None:
            uid = next(iter(self._given.values()))
            self._given = {given: other for given, other in self._given.items() if other != uid}
        self._given[folder] = uid
        self._next = self._uids.index(uid) + 1
        return uid
