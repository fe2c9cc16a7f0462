"""The package's own source as trees, for tests about its shape."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "greylag"


@dataclass(frozen=True, slots=True)
class Module:
    """One module: its dotted name, its file, its text and its tree."""

    name: str
    file: Path
    text: str
    tree: ast.Module

    def where(self, node: ast.AST) -> str:
        """Return a place that an editor can jump to."""
        return f"{self.file.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


@cache
def modules() -> tuple[Module, ...]:
    """Return every module of the package, by name."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = ("greylag", *file.relative_to(PACKAGE).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = file.read_text(encoding="utf-8")
        found.append(Module(name, file, text, ast.parse(text)))
    return tuple(found)


def dotted(node: ast.AST) -> str:
    """Return ``a.b.c`` for a name or a chain of attributes, empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        above = dotted(node.value)
        return f"{above}.{node.attr}" if above else ""
    return ""


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for: ``{"run": "subprocess.run", "aio": "asyncio"}``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def uses(module: Module) -> list[tuple[str, ast.AST]]:
    """Return every dotted name the module's code uses, imports resolved, with its place; longest chains only."""
    names = imported_names(module.tree)
    inner = {id(node.value) for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
    found: list[tuple[str, ast.AST]] = []
    for node in ast.walk(module.tree):
        chain = dotted(node)
        if not chain or id(node) in inner:
            continue
        first, _, rest = chain.partition(".")
        resolved = names.get(first, first)
        found.append((f"{resolved}.{rest}" if rest else resolved, node))
    return found
