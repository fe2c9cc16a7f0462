"""Governance and domain do no I/O, read no clock, draw no randomness: by their calls, where imports can't show it."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.source import Module, modules, uses

PURE = tuple(module for module in modules() if module.name.startswith(("greylag.governance", "greylag.domain")))

IMPURE = re.compile(
    r"open|print|input|breakpoint|globals|__import__|exec|eval"
    r"|datetime\.(datetime|date)\.(now|utcnow|today)|time\..*|random\..*|secrets\..*|uuid\.uuid[14]"
    r"|os(\..*)?|sys\.(argv|stdin|stdout|stderr|exit)(\..*)?|pathlib\..*|socket\..*|logging\..*|asyncio\..*"
)


@pytest.mark.parametrize("module", PURE, ids=lambda module: module.name)
def test_no_call_reaches_outside(module: Module) -> None:
    assert [f"{module.where(node)} {name}" for name, node in uses(module) if IMPURE.fullmatch(name)] == []


@pytest.mark.parametrize("module", PURE, ids=lambda module: module.name)
def test_no_state_at_module_level_changes(module: Module) -> None:
    """A dict, list or set at the top is shared by everybody, so nobody writes to one."""
    written = {
        node.func.value.id
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)
        and node.func.attr in ("append", "add", "update", "setdefault", "pop", "clear", "extend", "insert", "remove")
    }  # fmt: skip
    top = {name for statement in module.tree.body for name in targets(statement)}
    local = {
        node.id
        for function in ast.walk(module.tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    assert (written & top) - local == set()
    assert [module.where(node) for node in ast.walk(module.tree) if isinstance(node, ast.Global)] == []


def targets(statement: ast.stmt) -> Iterator[str]:
    """Yield the names a statement at the top binds."""
    if isinstance(statement, ast.Assign):
        yield from (target.id for target in statement.targets if isinstance(target, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id


def test_values_are_frozen_and_slotted() -> None:
    """A value that can be changed after it was decided on is no value."""
    loose = [
        f"{module.where(node)} {node.name}"
        for module in PURE
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        for decorator in node.decorator_list
        if "dataclass" in ast.unparse(decorator) and not {"frozen=True", "slots=True"} <= keywords(decorator)
    ]
    assert loose == []


def keywords(decorator: ast.expr) -> set[str]:
    """Return a decorator's keywords as they are written."""
    return {ast.unparse(each) for each in decorator.keywords} if isinstance(decorator, ast.Call) else set()
