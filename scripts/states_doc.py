"""Write docs/reference/states.md from the one transition table: a diagram and a table for each kind of status.

``--check`` only says whether the file is up to date (exit code 1 where it isn't).
"""

import sys
from collections.abc import Mapping

from generated_page import REFERENCE, write_or_compare

from greylag.domain.events import EVENT_TYPES
from greylag.domain.states import ENDED, TRANSITIONS, WAITING, Status, TaskStatus

TARGET = REFERENCE / "states.md"


def main(arguments: list[str]) -> int:
    """Write the document, or compare it; return the exit code."""
    return write_or_compare(TARGET, document(), arguments)


def document() -> str:
    """Return the whole page."""
    lines = [
        "# States", "",
        "What a task, a run and the rest can be, and what may follow. A step that is not listed raises `GL-STATE-001`.",
        "This page is generated from `greylag.domain.states` by `make docs`.",
    ]  # fmt: skip
    for kind, follow in TRANSITIONS.items():
        lines += section(kind, follow)
    return "\n".join(lines) + "\n"


def section(kind: type[Status], follow: Mapping[Status, frozenset[Status]]) -> list[str]:
    """Return heading, diagram and table of one kind of status."""
    title = kind.__name__.removesuffix("Status")
    first = next(iter(follow))
    arrows = [f"    {status} --> {after}" for status, afters in follow.items() for after in sorted(afters)]
    ends = [f"    {status} --> [*]" for status, afters in follow.items() if not afters]
    rows = [
        f"| `{status}` | {', '.join(f'`{after}`' for after in sorted(afters)) or 'nothing: it has ended'} |"
        + (f" {brought_by(status)} | {note(status)} |" if kind is TaskStatus else "")
        for status, afters in follow.items()
    ]
    head = ["| status | may become |" + (" brought by | note |" if kind is TaskStatus else "")]
    head += ["|---|---|" + ("---|---|" if kind is TaskStatus else "")]
    diagram = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}", *arrows, *ends, "```"]
    return ["", f"## {title}", "", (kind.__doc__ or "").strip(), "", *diagram, "", *head, *rows]


def brought_by(status: Status) -> str:
    """Return the events that bring a task into ``status``."""
    names = sorted(name for name, event in EVENT_TYPES.items() if event.moves_to is status)
    return ", ".join(f"`{name}`" for name in names)


def note(status: Status) -> str:
    """Return what else holds in ``status``."""
    notes = {"waits for a person, holds no sandbox": WAITING, "the workflow has ended": ENDED}
    return "; ".join(text for text, those in notes.items() if status in those)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
