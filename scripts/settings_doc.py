"""Write docs/reference/settings.md from the settings' own models: every key, its type, default, bounds and meaning.

``--check`` only says whether the file is up to date (exit code 1 where it isn't).
"""

import ast
import inspect
import re
import sys
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from generated_page import REFERENCE, write_or_compare
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from greylag.app import settings as module
from greylag.app.settings import FILE_NAME, Settings

TARGET = REFERENCE / "settings.md"


def main(arguments: list[str]) -> int:
    """Write the document, or compare it; return the exit code."""
    return write_or_compare(TARGET, document(), arguments)


def document() -> str:
    """Return the whole page."""
    top = {name: field for name, field in Settings.model_fields.items() if not is_table(field) and not field.exclude}
    tables = {name: field for name, field in Settings.model_fields.items() if is_table(field)}
    lines = [
        "# Settings", "",
        f"One file, `{FILE_NAME}` in the home folder; every key is optional. A key that is not listed here is refused",
        "(`GL-SETTINGS-003`), so a typing error never loosens anything. `greylag up` reads the file when it starts.",
        "This page is generated from `greylag.app.settings` by `make docs`.",
        "", "## Before the first table", "", *words(Settings), *rows(top),
    ]  # fmt: skip
    for name, field in tables.items():
        model: type[BaseModel] = field.annotation  # type: ignore[assignment]  # `is_table` looked
        lines += ["", f"## `[{name}]`", "", *words(model), *rows(model.model_fields)]
    lines += ["", "## Environment", "", *environment()]
    return "\n".join(lines) + "\n"


def is_table(field: FieldInfo) -> bool:
    """Return whether ``field`` is a table of its own."""
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def words(model: type[BaseModel]) -> list[str]:
    """Return a model's own words, made fit for a page."""
    return [inspect.cleandoc(model.__doc__ or "").replace("``", "`"), ""]


def rows(fields: dict[str, FieldInfo]) -> list[str]:
    """Return a table of keys."""
    lines = ["| key | type | default | bounds | meaning |", "|---|---|---|---|---|"]
    for name, field in fields.items():
        kind, default, meaning = type_of(field.annotation), default_of(field), field.description or ""
        lines.append(f"| `{name}` | {kind} | {default} | {bounds_of(field)} | {meaning} |")
    return lines


def type_of(annotation: Any) -> str:
    """Return a type in TOML's words."""
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) is UnionType:
        return " or ".join(type_of(each) for each in get_args(annotation) if each is not type(None))
    if get_origin(annotation) in (tuple, list):
        return f"array of {type_of(get_args(annotation)[0])}s"
    names = {str: "text", int: "whole number", float: "number", bool: "boolean", Path: "path", SecretStr: "text"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def default_of(field: FieldInfo) -> str:
    """Return a default as it would be written."""
    value = field.default
    if value is None:
        return "none"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, tuple):
        return "`[" + ", ".join(f'"{each}"' for each in value) + "]`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def bounds_of(field: FieldInfo) -> str:
    """Return the limits of a value."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = []
    for limit in field.metadata:
        found += [
            f"{sign} {getattr(limit, name)}" for name, sign in signs.items() if getattr(limit, name, None) is not None
        ]
        if getattr(limit, "pattern", None):
            found.append("`" + limit.pattern.replace("|", "\\|") + "`")
    return ", ".join(found)


def environment() -> list[str]:
    """Return the variables the module reads, with the function that reads them."""
    tree = ast.parse(inspect.getsource(module))
    found: dict[str, list[str]] = {}
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        summary = (ast.get_docstring(function) or "").split("\n")[0].replace("``", "`")
        for node in ast.walk(function):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if re.fullmatch(r"[A-Za-z]+(_[A-Za-z]+)*", text) and (text.isupper() or text.endswith("_proxy")):
                found.setdefault(summary, []).append(text)
    lines = ["The environment carries where the home folder is, secrets, and what this machine's network needs.", ""]
    lines += ["| variables | read to |", "|---|---|"]
    for summary, names in found.items():
        lines.append(f"| {', '.join(f'`{name}`' for name in dict.fromkeys(names))} | {summary} |")
    return lines


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
