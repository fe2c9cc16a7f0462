"""Write docs/reference/cli.md from the command line itself: every command with its help.

``--check`` only says whether the file is up to date (exit code 1 where it isn't).
"""

import sys
from pathlib import Path

import typer
from typer.core import TyperCommand, TyperGroup

from greylag.app.cli.main import app

TARGET = Path(__file__).resolve().parent.parent / "docs" / "reference" / "cli.md"


def main(arguments: list[str]) -> int:
    """Write the document, or compare it; return the exit code."""
    text = document()
    if arguments == ["--check"]:
        return 0 if TARGET.is_file() and TARGET.read_text() == text else 1
    TARGET.write_text(text)
    return 0


def document() -> str:
    """Return the whole page."""
    lines = [
        "# Command line", "",
        "`greylag NOUN VERB`. Every command that answers with data takes `--json`. Exit codes: 0 done, 1 failed,",
        "2 the request was wrong, 3 refused by policy. Errors carry a code: see [errors](errors.md).",
        "This page is generated from the commands by `make docs`.",
    ]  # fmt: skip
    lines += section(typer.main.get_command(app), "greylag", None)
    return "\n".join(lines) + "\n"


def section(command: object, path: str, above: typer.Context | None) -> list[str]:
    """Return the help of ``command`` and of everything below it."""
    if not isinstance(command, TyperGroup | TyperCommand):
        raise TypeError(f"`{path}` is no command of Typer's: {command!r}")
    context = typer.Context(
        command, info_name=path.split()[-1], parent=above, terminal_width=100, max_content_width=100
    )
    lines = ["", f"## `{path}`", "", "```text", command.get_help(context).strip(), "```"]
    if isinstance(command, TyperGroup):
        for name in sorted(command.commands):
            lines += section(command.commands[name], f"{path} {name}", context)
    return lines


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
