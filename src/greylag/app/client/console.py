"""What the command line prints, and how errors and JSON look. Untrusted text is one safe line at a time."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from greylag.domain.errors import GreylagError, PolicyRefused, RequestRefused

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
As = Annotated[str, typer.Option("--as", metavar="NAME", help="The person this counts as (default: your login name).")]


def _task_id(text: str) -> str:
    """Return ``text`` if it can be the beginning of a task's id; it becomes a part of a path."""
    if not text.isascii() or not text.replace("_", "").isalnum():
        raise RequestRefused(
            "GL-TASK-001",
            f"{text[:60]!r} is no task id.",
            "find it with `greylag task list`: `task_` and 26 characters.",
        )
    return text


TaskArgument = Annotated[
    str, typer.Argument(metavar="TASK", help="A task id, or an unambiguous beginning of it.", callback=_task_id)
]

Document = Any  # decoded JSON


class RemoteRefusal(GreylagError):
    """An error that the platform answered with; keeps its code and exits as the platform means it."""

    def __init__(self, status: int, body: Mapping[str, str]) -> None:
        super().__init__(
            body.get("code", f"HTTP {status}"),
            body.get("message", "no message"),
            body.get("remedy", "run `greylag doctor`."),
        )
        self.decision_id = body.get("decision_id", "")
        self.exit_code = 3 if status == 451 else 2 if status < 500 else 1  # type: ignore[misc]  # per answer


def say(text: str = "") -> None:
    """Print text for people; control characters of untrusted text are shown as ``·``."""
    sys.stdout.write("\n".join(clean(line) for line in text.split("\n")) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a remark for people on standard error, so that standard output stays for programs."""
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


def emit(document: Document, as_json: bool, render: Callable[[Document], str]) -> None:
    """Print ``document`` as JSON, or as ``render`` says it for people."""
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        say(render(document))


def clean(line: str) -> str:
    """Return ``line`` without anything that moves a cursor, hides text or turns its direction."""
    return "".join(c if c.isprintable() or c == "\t" else "·" for c in line)


def table(rows: Sequence[tuple[str, ...]], headings: tuple[str, ...]) -> str:
    """Return ``rows`` in aligned columns under ``headings``; a plain sentence where there are none."""
    if not rows:
        return "none"
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (headings, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def report(error: GreylagError, as_json: bool) -> int:
    """Print ``error`` with code and next step, and the way to why for a decision; return the exit code."""
    decision = error.decision_id if isinstance(error, RemoteRefusal | PolicyRefused) else ""
    if as_json:
        body = {"code": error.code, "message": error.message, "remedy": error.remedy, "decision_id": decision}
        sys.stdout.write(json.dumps({"error": body}, indent=2, ensure_ascii=False) + "\n")
    else:
        note(f"{error.code}: {error.message}")
        note(f"  next: {error.remedy}")
        if decision:
            note(f"  why: greylag policy explain {decision}")
    return error.exit_code


def split_command(arguments: list[str]) -> tuple[str, ...]:
    """Return what stands after ``--`` on the command line as an agent's command. Raises ``GL-CLI-001`` for a blank."""
    if arguments and not arguments[0].strip():
        raise RequestRefused("GL-CLI-001", "the command after `--` is empty.", "for example: `-- ruff check --fix .`")
    return tuple(arguments)
