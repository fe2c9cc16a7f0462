"""The example repository that comes with the program, and the settings under which a scripted model works on it."""

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from greylag.app.install.shipped import shipped
from greylag.app.settings import ModelSettings, Settings

NAME = "murmur"
PEOPLE = {"ada": ["requester"], "grace": ["requester", "reviewer", "operator"]}
_LEFT_OUT = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", "dist", "build"})


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call to the example service, and what it answers at each state (``before``, ``after`` …).

    ``expected`` maps a state to (status, path into the JSON, value).
    """

    method: str
    path: str
    body: Any
    expected: dict[str, tuple[int, str, Any]]


def example_settings(settings: Settings) -> Settings:
    """Return ``settings`` with the scripted model; everything else in a run stays real, and the label says so."""
    return settings.model_copy(update={"model": ModelSettings(kind="scripted")})


def example_files() -> dict[str, bytes]:
    """Return the example repository's files, by relative path."""
    root = shipped("examples", NAME)
    found = {}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.is_file() and not _LEFT_OUT & set(inside.parts):
            found[inside.as_posix()] = path.read_bytes()
    return found


def example_body() -> dict[str, Any]:
    """Return what the platform is told about the example repository."""
    return {**tomllib.loads(shipped("examples", f"{NAME}.toml").read_text()), "source": f"shipped:{NAME}"}


def example_calls(job: str) -> list[Call]:
    """Return the calls that show ``job`` (a cassette's name), from the examples' own documentation."""
    import json  # noqa: PLC0415 - only here

    text = shipped("examples", "README.md").read_text()
    section = re.search(rf"^### {re.escape(job)}$(.*?)(?=^### |\Z)", text, re.MULTILINE | re.DOTALL)
    block = re.search(r"```calls\n(.*?)```", section.group(1) if section else "", re.DOTALL)
    calls: list[Call] = []
    for line in (block.group(1) if block else "").splitlines():
        if not line.startswith(" "):
            method, path, *body = line.split(" ", 2)
            calls.append(Call(method, path, json.loads(body[0]) if body else None, {}))
        else:
            state, status, place, value = line.split(None, 3)
            calls[-1].expected[state] = (int(status), place, json.loads(value))
    return calls
