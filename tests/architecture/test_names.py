"""Names say what a thing is; ports look alike."""

import ast
import re

import pytest

from tests.support.source import PACKAGE, ROOT, modules

EMPTY_WORDS = {"util", "utils", "helper", "helpers", "common", "core", "manager", "managers", "misc", "base_classes"}
EMPTY_CLASS = re.compile(r".*(Manager|Helper|Utils?|Impl)$|Abstract\w+")
PORTS = sorted(path.name for path in (PACKAGE / "adapters").iterdir() if (path / "__init__.py").is_file())
WINGS = {"app", "delivery", "adapters", "egress", "governance", "domain"}


def test_the_wings_are_six() -> None:
    assert {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()} == WINGS


def test_no_module_is_named_after_nothing() -> None:
    assert [module.name for module in modules() if EMPTY_WORDS & set(module.name.split("."))] == []


def test_no_class_is_named_after_nothing() -> None:
    named = [
        f"{module.where(node)} {node.name}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and EMPTY_CLASS.match(node.name)
    ]
    assert named == []


@pytest.mark.parametrize("port", PORTS)
def test_every_port_has_the_same_two_names(port: str) -> None:
    folder = PACKAGE / "adapters" / port
    assert (folder / "port.py").is_file()
    assert (folder / "backends" / "__init__.py").is_file()


@pytest.mark.parametrize("port", PORTS)
def test_every_port_has_a_backend(port: str) -> None:
    backends = [path for path in (PACKAGE / "adapters" / port / "backends").iterdir() if path.name != "__init__.py"]
    assert [path for path in backends if path.suffix == ".py" or (path / "__init__.py").is_file()]


def test_packages_say_what_they_are_for() -> None:
    silent = [
        module.name for module in modules() if module.file.name == "__init__.py" and not ast.get_docstring(module.tree)
    ]
    assert silent == []


def test_package_files_hold_no_code_of_their_own() -> None:
    """``__init__`` re-exports at most; what runs lives in a module with a name."""
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)
    busy = [
        module.where(node)
        for module in modules()
        if module.file.name == "__init__.py"
        for node in module.tree.body
        if not isinstance(node, allowed)
    ]
    assert busy == []


def test_test_files_have_unique_names() -> None:
    """Without packages in ``tests``, two files of one name hide each other."""
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
