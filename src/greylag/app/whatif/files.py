"""Drills as files: those that come with the program, and an operator's own."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from greylag.app.install.shipped import shipped
from greylag.domain.errors import RequestRefused
from greylag.governance.whatif import Drill, parse_drill

MAX_FILE_BYTES = 1024 * 1024


def read_drill(given: str) -> Drill:
    """Return the drill in the file ``given``, or the shipped drill of that name.

    A change of kind ``pack`` may name its rules with ``policy_file``, beside the drill. Raises RequestRefused
    ``GL-WHATIF-006`` for a file that can't be read, ``GL-WHATIF-002`` for what does not make a drill.
    """
    path = Path(given)
    if not path.is_file() and path.name == given:
        names = {file.stem: file for file in shipped_drills()}
        if given.removesuffix(".toml") not in names:
            raise RequestRefused(
                "GL-WHATIF-006", f"there is no drill {given!r}.",
                f"name a file, or one of: {', '.join(names)}.",
            )  # fmt: skip
        path = names[given.removesuffix(".toml")]
    try:
        data = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(path, str(error)) from error
    changes = data.get("change")
    if isinstance(changes, list):
        data["change"] = [_with_policy(change, path.parent) for change in changes]
    return parse_drill(data)


def shipped_drills() -> list[Path]:
    """Return the files of the drills that come with the program, by name."""
    return sorted(shipped("policies", "drills").glob("*.toml"))


def _with_policy(change: object, folder: Path) -> object:
    if not isinstance(change, Mapping) or not isinstance(change.get("policy_file"), str):
        return change
    rest = {name: value for name, value in change.items() if name != "policy_file"}
    return {"policy": _text(folder / change["policy_file"]), **rest}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise _unreadable(path, f"it is larger than {MAX_FILE_BYTES} bytes")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> RequestRefused:
    return RequestRefused("GL-WHATIF-006", f"the drill file {path} can't be read: {why[:300]}.", "mend it.")
