"""Write docs/reference/cli.md from the command line itself: every command with its help.

``--check`` only says whether the file is up to date (exit code 1 where it isn't).
"""

import sys

import typer
from generated_page import REFERENCE, write_or_compare
from typer.core import TyperCommand, TyperGroup

from greylag.app.cli.main import app

TARGET = REFERENCE / "cli.md"


def main(arguments: list[str]) -> int:
    """Write the document, or compare it; return the exit code."""
    return write_or_compare(TARGET, document(), arguments)


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
