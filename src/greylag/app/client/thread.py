"""A task's thread in a terminal: followed as it grows, and a task in a few lines."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from greylag.app.client.console import Document, clean, say

if TYPE_CHECKING:
    from greylag.app.client.session import Session

_MARKS = {"card": "▣", "question": "?", "error": "!", "progress": "·", "text": " "}
_FAILED = frozenset({"failed", "refused", "rolled_back", "handed_over"})


def follow(
    session: "Session", task_id: str, *, after: int = 0, quiet: bool = False,
    remember: Callable[[int], None] = lambda sequence: None,
) -> Document:  # fmt: skip
    """Print the thread as it grows until the task rests (waits for a person, or has ended); return the task.

    ``remember`` is told the sequence number of each message that was shown.
    """
    while True:
        task = session.get(f"/tasks/{task_id}")
        resting = task["resting"]
        said = session.get(f"/tasks/{task_id}/messages", after=after, wait=0 if resting else 5)
        for message in said:
            after = message["sequence"]
            remember(after)
            if not quiet:
                say(told(message))
        if resting and not said:
            return task


def told(message: Document) -> str:
    """Return one thread message as lines for a terminal."""
    mark = _MARKS.get(message["kind"], " ")
    who = message["author"]
    first, *rest = message["text"].split("\n")
    return "\n".join(
        [f"{message['at'][11:19]} {mark} {who}: {clean(first)}", *(f"             {clean(line)}" for line in rest)]
    )


def summary(task: Document) -> str:
    """Return a task in a few lines for people."""
    lines = [
        f"{task['task_id']}  {task['status']}  {task['title']}",
        f"  asked by {task['requester']} for {task['repository']}",
    ]
    if task["placement"]:
        lines.append(f"  {task['placement']}")
    if task["files"]:
        lines.append(
            f"  {len(task['files'])} files, +{task['added_lines']} -{task['removed_lines']} on {task['branch']}"
        )
    if task["build_name"]:
        lines.append(f"  build {task['build_name']} {task['build_digest']}")
    if task["subject"]:
        lines.append(f"  up for approval: {task['subject']}")
    if task["approved_by"]:
        lines.append(f"  approved by {', '.join(task['approved_by'])}")
    lines += [f"  {each['environment']}: {each['status']} {each['digest'][:19]}…" for each in task["releases"]]
    if task["outcome"]:
        lines.append(f"  {task['outcome']}" + (f" ({task['code']})" if task["code"] else ""))
    if task["remedy"]:
        lines.append(f"  next: {task['remedy']}")
    return "\n".join(lines)


def exit_code(task: Document) -> int:
    """Return 0, 1 for a task that needs mending, 3 for one refused by policy."""
    if task["status"] == "refused" and task["code"].startswith("GL-POLICY"):
        return 3
    return 1 if task["status"] in _FAILED else 0
