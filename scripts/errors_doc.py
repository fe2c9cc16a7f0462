"""Write docs/reference/errors.md from the code: every ``GL-AREA-NNN``, its family, message, remedy and place.

Reads source, never runs it. ``--check`` only says whether the file is up to date (exit code 1 where it isn't).
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "reference" / "errors.md"
CODE = re.compile(r"GL-[A-Z]+-\d{3}")
FAMILIES = ("RequestRefused", "PolicyRefused", "OperatorError", "BackendError", "IntegrityError", "SetupError")
MEANING = {
    "RequestRefused": "the request can't be carried out as asked; the asker can mend it",
    "PolicyRefused": "a policy decision said no; the decision is in the ledger",
    "OperatorError": "the installation must be mended",
    "BackendError": "something outside failed; trying again may help where the message says so",
    "IntegrityError": "stored facts contradict each other: nothing goes on",
    "SetupError": "`make setup` could not finish",
    "finding": "told beside a result, nothing is raised",
}


@dataclass(frozen=True, slots=True)
class Site:
    """One place in the code that gives an error its code. ``message`` and ``remedy`` hold ``…`` for what varies."""

    code: str
    family: str
    message: str
    remedy: str
    module: str
    line: int


@dataclass(frozen=True, slots=True)
class Maker:
    """A function that makes errors from a number or a code; ``position`` is that argument's.

    ``area`` is put before a number and empty for a whole code; ``message`` and ``remedy`` are the maker's own words.
    """

    area: str
    family: str
    position: int
    message: str = ""
    remedy: str = ""


def main(arguments: list[str]) -> int:
    """Write the document, or compare it; return the exit code."""
    text = document(sites())
    if arguments == ["--check"]:
        return 0 if TARGET.is_file() and TARGET.read_text() == text else 1
    TARGET.write_text(text)
    return 0


def sites() -> list[Site]:
    """Return every place in the package and the scripts that makes an error, in order of code and place.

    What a conformance suite expects of others does not count, what it raises does.
    """
    files = [*sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "scripts").glob("*.py"))]
    trees = {file: ast.parse(file.read_text()) for file in files if file != Path(__file__).resolve()}
    makers: dict[str, Maker] = {}
    for tree in trees.values():
        makers |= makers_in(tree)
    found = [each for file, tree in trees.items() for each in sites_in(module_name(file), tree, makers)]
    found = [each for each in found if each.family != "finding" or not each.module.endswith("conformance")]
    return sorted(found, key=lambda each: (each.code, each.module, each.line))


def module_name(file: Path) -> str:
    """Return a dotted name for a module of the package, a path for a script."""
    inside = file.relative_to(ROOT)
    if inside.parts[0] != "src":
        return inside.as_posix()
    parts = inside.with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def makers_in(tree: ast.Module) -> dict[str, Maker]:
    """Return functions, and classes by their constructor, that make errors from a number or a code they are given."""
    found: dict[str, Maker] = {}
    for name, function, family in functions_in(tree):
        names = [each.arg for each in function.args.args if each.arg != "self"]
        for node in ast.walk(function):
            if area := area_of(node, names):
                found.setdefault(name, Maker(area[0], family, names.index(area[1])))
            if not isinstance(node, ast.Call) or ast.unparse(node.func) not in FAMILIES or not node.args:
                continue
            code, *rest = node.args
            message, remedy = (*map(pattern, rest), "", "")[:2]
            if area := area_of(code, names):
                own = remedy or default_remedy(function)
                found[name] = Maker(area[0], ast.unparse(node.func), names.index(area[1]), remedy=own)
            elif isinstance(code, ast.Name) and code.id in names:
                found[name] = Maker("", ast.unparse(node.func), names.index(code.id), message, remedy)
    return found


def area_of(node: ast.AST, names: list[str]) -> tuple[str, str] | None:
    """Return area and parameter where ``node`` is an f-string that begins ``GL-AREA-{parameter}``."""
    if not isinstance(node, ast.JoinedStr) or len(node.values) < 2:
        return None
    head, hole = node.values[:2]
    prefix = re.match(r"GL-[A-Z]+-$", text_of(head))
    if prefix and isinstance(hole, ast.FormattedValue) and isinstance(hole.value, ast.Name) and hole.value.id in names:
        return prefix[0], hole.value.id
    return None


def default_remedy(function: ast.FunctionDef) -> str:
    """Return what ``remedy`` is where a call leaves it out."""
    named = dict(zip(reversed(function.args.args), reversed(function.args.defaults), strict=False))
    return next((pattern(value) for each, value in named.items() if each.arg == "remedy"), "")


def functions_in(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """Yield each function with the name it is called by and the family it returns."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            family = ast.unparse(node.returns) if node.returns else ""
            yield node.name, node, family if family in FAMILIES else "finding"
        if isinstance(node, ast.ClassDef):
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                    yield node.name, each, node.name if node.name in FAMILIES else "finding"


def sites_in(module: str, tree: ast.Module, makers: dict[str, Maker]) -> Iterator[Site]:
    """Yield what ``module`` makes; docstrings and comparisons don't count."""
    families = {
        id(node): ast.unparse(function.returns)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.returns is not None
        for node in ast.walk(function)
    }
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        given = [constants.get(each.id, each) if isinstance(each, ast.Name) else each for each in given]
        if name in makers:
            yield from made(makers[name], given, module, call.lineno)
            continue
        family = name if name in FAMILIES else families.get(id(call), "")
        for position, argument in enumerate(given):
            for code, words in codes_of(argument):
                rest = [pattern(each) for each in given[position + 1 :]]
                texts = [*words, *(rest if name in FAMILIES else filter(None, rest)), "", ""]
                yield Site(code, family if family in FAMILIES else "finding", texts[0], texts[1], module, call.lineno)


def made(maker: Maker, given: list[ast.expr], module: str, line: int) -> Iterator[Site]:
    """Yield the site of a call to ``maker``; nothing where the number or code is no constant."""
    code = maker.area + text_of(given[maker.position]) if len(given) > maker.position else ""
    if CODE.fullmatch(code):
        rest = [pattern(each) for position, each in enumerate(given) if position != maker.position]
        texts = [each for each in rest if each]
        if maker.message:
            texts = [maker.message, maker.remedy]
        message, remedy = (*texts, "", "")[:2]
        yield Site(code, maker.family, message, maker.remedy or remedy, module, line)


def codes_of(argument: ast.expr) -> list[tuple[str, list[str]]]:
    """Return the codes ``argument`` may be (a constant or a choice of them), with the words of a whole message."""
    choices = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
    found = []
    for text in map(text_of, choices):
        code, _, words = text.partition(": ")
        if CODE.fullmatch(code):
            found.append((code, words.split(" Next: ") if words else []))
    return found


def text_of(node: ast.expr) -> str:
    """Return a text that is written out, empty for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def pattern(node: ast.expr) -> str:
    """Return a text as it is written, with ``…`` where a value comes in; empty for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (pattern(node.left) or "…") + (pattern(node.right) or "…")
    if isinstance(node, ast.IfExp):
        return " / ".join(filter(None, (pattern(node.body), pattern(node.orelse))))
    return text_of(node)


def document(found: list[Site]) -> str:
    """Return the page: families, then one table an area, codes in order."""
    lines = [
        "# Errors", "",
        "Every error that Greylag raises on purpose has a stable code; `…` stands for what varies. The command line",
        "exits with 1 (failed), 2 (the request was wrong) or 3 (refused by policy).",
        "This page is generated from the code by `make docs`.",
        "", "| family | meaning |", "|---|---|",
        *(f"| `{family}` | {meaning} |" for family, meaning in MEANING.items()),
    ]  # fmt: skip
    by_code: dict[str, list[Site]] = {}
    for each in found:
        by_code.setdefault(each.code, []).append(each)
    area = ""
    for code, those in by_code.items():
        if code.split("-")[1] != area:
            area = code.split("-")[1]
            lines += ["", f"## {area}", "", "| code | family | message | next step | where |", "|---|---|---|---|---|"]
        lines.append(row(code, those))
    return "\n".join(lines) + "\n"


def row(code: str, those: list[Site]) -> str:
    """Return one line of a table; several wordings of one code stand under each other."""
    families = ", ".join(dict.fromkeys(each.family for each in those))
    messages = "<br>".join(dict.fromkeys(cell(each.message) for each in those if each.message))
    remedies = "<br>".join(dict.fromkeys(cell(each.remedy) for each in those if each.remedy))
    places = "<br>".join(dict.fromkeys(f"`{each.module}`" for each in those))
    return f"| `{code}` | {families} | {messages or '…'} | {remedies or '…'} | {places} |"


def cell(text: str) -> str:
    """Return ``text`` fit for a table's cell; the places that a line of the log fills are ``…`` too."""
    return re.sub(r"%[sd]", "…", text).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ").strip()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
