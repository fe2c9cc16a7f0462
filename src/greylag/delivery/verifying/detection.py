"""Which verifiers a repository's content calls for. Pure."""

import configparser
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from greylag.delivery.outputs import Listing


class VerifierKind(StrEnum):
    """How a verifier's success is proved."""

    PYTEST = "pytest"
    NPM = "npm"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Verifier:
    """One check: ``arguments`` are pytest's own for ``pytest``, the whole command for ``command``, else empty."""

    kind: VerifierKind
    arguments: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        if self.kind is VerifierKind.COMMAND:
            return " ".join(self.arguments)
        return " ".join(("npm test" if self.kind is VerifierKind.NPM else "pytest", *self.arguments))


_TEST_FILE = re.compile(r"(?:test_[^/]*|[^/]*_test)\.py")
_NOT_OURS = frozenset({"node_modules", "site-packages", "venv"})
_PLACEHOLDER = "no test specified"  # what `npm init` writes
_PYTHON = re.compile(r"(?:.*/)?python[0-9.]*")


def detect(listing: Listing, verify: Iterable[tuple[str, ...]] = ()) -> tuple[Verifier, ...]:
    """Return the verifiers that a checkout with the files of ``listing`` calls for.

    ``verify`` are the operator's own commands: where there are any, nothing is looked for. pytest among them is run
    the way a found one is, so that its evidence counts. An empty result means: nothing here can prove anything.
    """
    commands = tuple(verify)
    if commands:
        return tuple(_of_command(command) for command in commands)
    found = []
    if _has_pytest(listing):
        found.append(Verifier(VerifierKind.PYTEST))
    if _has_npm_test(listing.contents.get("package.json")):
        found.append(Verifier(VerifierKind.NPM))
    return tuple(found)


def union(*groups: Iterable[Verifier]) -> tuple[Verifier, ...]:
    """Return all verifiers of ``groups``, each once. Join base and change: a change can't switch a verifier off."""
    return tuple(dict.fromkeys(verifier for group in groups for verifier in group))


def _of_command(command: tuple[str, ...]) -> Verifier:
    if command and PurePosixPath(command[0]).name in ("pytest", "py.test"):
        return Verifier(VerifierKind.PYTEST, command[1:])
    if _PYTHON.fullmatch(command[0] if command else "") and command[1:3] == ("-m", "pytest"):
        return Verifier(VerifierKind.PYTEST, command[3:])
    return Verifier(VerifierKind.COMMAND, command)


def _has_pytest(listing: Listing) -> bool:
    if any(_is_test_file(name) for name in listing.names) or {"pytest.ini", ".pytest.ini"} & listing.names:
        return True
    tool = _toml(listing.contents.get("pyproject.toml")).get("tool")
    if isinstance(tool, dict) and "pytest" in tool:
        return True
    return _has_section(listing.contents.get("setup.cfg"), "tool:pytest") or _has_section(
        listing.contents.get("tox.ini"), "pytest"
    )


def _is_test_file(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part in _NOT_OURS for part in path.parts[:-1])
    return not hidden and _TEST_FILE.fullmatch(path.name) is not None


def _has_npm_test(content: bytes | None) -> bool:
    if content is None:
        return False
    try:
        package = json.loads(content)
    except (ValueError, RecursionError):
        return True  # broken: npm has to say so, loudly
    scripts = package.get("scripts") if isinstance(package, dict) else None
    script = scripts.get("test") if isinstance(scripts, dict) else None
    return isinstance(script, str) and bool(script.strip()) and _PLACEHOLDER not in script


def _toml(content: bytes | None) -> dict[str, object]:
    try:
        return tomllib.loads((content or b"").decode())
    except (ValueError, RecursionError):
        return {}


def _has_section(content: bytes | None, section: str) -> bool:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string((content or b"").decode())
    except (configparser.Error, UnicodeDecodeError):
        return False
    return parser.has_section(section)


_INFLUENTIAL = frozenset({
    "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "setup.cfg",
    "tox.ini", "setup.py", "package.json", ".npmrc", "noxfile.py", "makefile", "sitecustomize.py", "usercustomize.py",
})  # fmt: skip
_INFLUENTIAL_ENDINGS = (".pth", ".config.js", ".config.cjs", ".config.mjs", ".config.ts")


def influential(files: Iterable[str]) -> tuple[str, ...]:
    """Return those of the changed ``files`` that decide how verifiers run, for a reviewer to look at first.

    Tests run in one process with the code they test, so a determined change can forge what they report. These files
    are where it would be done most easily; the list makes no promise that it can't be done elsewhere.
    """
    return tuple(name for name in files if _influences(PurePosixPath(name.lower())))


def _influences(path: PurePosixPath) -> bool:
    shadows = bool(path.parts) and path.parts[0] in ("pytest.py", "_pytest", "pytest", "pluggy", "pluggy.py")
    return shadows or path.name in _INFLUENTIAL or path.name.endswith(_INFLUENTIAL_ENDINGS)
