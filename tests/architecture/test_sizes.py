"""Everything stays small enough to be read in one go. The lists of exceptions only shrink."""

import ast
from collections import Counter

from tests.support.source import PACKAGE, ROOT, modules

MODULE_LINES = 450
FUNCTION_LINES = 60
PARAMETERS = 7
MODULES_IN_FOLDER = 12

#: Folder: how many modules it holds, exactly, so that the list has to shrink with it.
CROWDED = {}
#: Each option of a command is a parameter: that is how Typer declares them.
COMMANDS = "greylag.app.cli."

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.Module) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def parameters(function: Function) -> int:
    """Count what a caller can give, without ``self``."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args)]
    own = 1 if names[:1] in (["self"], ["cls"]) else 0
    return len(names) - own + len(given.kwonlyargs) + bool(given.vararg) + bool(given.kwarg)


def test_modules_fit_in_one_sitting() -> None:
    long = {module.name: lines for module in modules() if (lines := module.text.count("\n")) > MODULE_LINES}
    assert long == {}


def test_functions_fit_on_one_screen() -> None:
    long = {
        f"{module.where(function)} {function.name}": lines
        for module in modules()
        for function in functions(module.tree)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}


def test_nine_functions_in_ten_are_short() -> None:
    lengths = sorted(
        (each.end_lineno or 0) - each.lineno + 1 for module in modules() for each in functions(module.tree)
    )
    assert lengths[len(lengths) * 9 // 10] <= 35


def test_functions_take_few_parameters() -> None:
    many = {
        f"{module.where(function)} {function.name}": count
        for module in modules()
        if not module.name.startswith(COMMANDS)
        for function in functions(module.tree)
        if (count := parameters(function)) > PARAMETERS
    }
    assert many == {}


def test_folders_hold_few_modules() -> None:
    counts = Counter(file.parent for file in PACKAGE.rglob("*.py") if file.name != "__init__.py")
    crowded = {
        folder.relative_to(PACKAGE).as_posix(): count for folder, count in counts.items() if count > MODULES_IN_FOLDER
    }
    assert crowded == CROWDED


def test_tests_stay_readable_too() -> None:
    long = {
        file.relative_to(ROOT).as_posix(): lines
        for file in (ROOT / "tests").rglob("*.py")
        if (lines := file.read_text(encoding="utf-8").count("\n")) > 600
    }
    assert long == {}
