"""The worlds this install has decided in, one file each, so that every recorded decision can be made again.

``HOME/worlds/<hex>.json`` is named by the digest of what it holds, written whole or not at all, and never changed. It
holds packs and facts, nothing that anybody has asked.
"""

import json
import os
import re
import secrets
from pathlib import Path

from greylag.domain.errors import IntegrityError, OperatorError
from greylag.governance.world import World, dump_world, parse_world

FOLDER = "worlds"
MAX_WORLD_BYTES = 64 * 1024 * 1024

_VERSION = re.compile(r"world:([0-9a-f]{32})")


def keep_world(home: Path, world: World) -> Path:
    """Keep ``world`` for good before the first decision in it; keeping it again is fine. Returns its file (mode 0600).

    Raises OperatorError ``GL-WORLD-004`` where it can't be written: then nothing may be decided.
    """
    path = _file(home, world.version)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.is_file():
            _write_whole(path, json.dumps(dump_world(world), ensure_ascii=False, sort_keys=True).encode())
    except OSError as error:
        raise OperatorError(
            "GL-WORLD-004", f"the world of decisions can't be kept in {path}: {error.strerror}.",
            "make room there and let this user write; without it no decision could be made again.",
        ) from error  # fmt: skip
    return path


def read_world(home: Path, version: str) -> World:
    """Return the kept world of a recorded ``policy_version``.

    Raises IntegrityError ``GL-WORLD-002`` where it is not there, ``GL-WORLD-003`` where it can't be read,
    ``GL-WORLD-001`` where what was read is not the world of this version.
    """
    path = _file(home, version)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_WORLD_BYTES + 1)
        data = json.loads(content) if len(content) <= MAX_WORLD_BYTES else None
    except FileNotFoundError:
        raise IntegrityError(
            "GL-WORLD-002", f"the world {version} is not kept: there is no {path}.",
            "bring the folder `worlds` back from a backup; decisions made in that world can't be replayed without it.",
        ) from None  # fmt: skip
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(data, dict) or data.get("version") != version:
        raise _unreadable(path, "it is not the world it is named after")
    return parse_world(data)


def _file(home: Path, version: str) -> Path:
    found = _VERSION.fullmatch(version)
    if found is None:
        raise IntegrityError(
            "GL-WORLD-002", f"a decision names the world {version[:80]!r}, which is none that could have been kept.",
            "it was made before worlds were kept: leave it out with `--since`.",
        )  # fmt: skip
    return home / FOLDER / f"{found[1]}.json"


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_suffix(f".{secrets.token_hex(8)}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        part.unlink(missing_ok=True)


def _unreadable(path: Path, why: str) -> IntegrityError:
    return IntegrityError(
        "GL-WORLD-003", f"the kept world {path} can't be used: {why[:300]}.",
        "restore the file from a backup; it was changed.",
    )  # fmt: skip
