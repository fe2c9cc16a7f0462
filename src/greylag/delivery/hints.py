"""What can be typed next at the command line, as the last lines of a message.

A chat leaves these lines out: there a message's offers are what can be done. They are told apart by being made here.
"""


def to_review(task_id: str) -> tuple[str, ...]:
    """Return the lines of a card that is up for review."""
    return (
        f"A second person approves with: greylag approve {task_id} --as NAME",
        f"See it: greylag task show {task_id} --diff · download: greylag task build {task_id}",
    )


def to_go_on(task_id: str) -> tuple[str, ...]:
    """Return the lines for a task that waits for a person's word."""
    return (f"At the command line: greylag task reply {task_id} '…', or greylag task stop {task_id}",)


def to_stop(task_id: str) -> tuple[str, ...]:
    """Return the lines for a task that can only be stopped."""
    return (f"At the command line: greylag task stop {task_id}",)


def to_answer(task_id: str) -> tuple[str, ...]:
    """Return the lines of a question."""
    return (f"Answer in this thread: greylag task reply {task_id} '…'",)


def to_work_by_hand(task_id: str) -> tuple[str, ...]:
    """Return the lines for a task that a person has taken over."""
    return (f"Get it: greylag task checkout {task_id} · give it back: greylag task handback {task_id}",)


def without(text: str, task_id: str) -> str:
    """Return ``text`` without the lines at its end that are hints for ``task_id``."""
    makers = (to_review, to_go_on, to_stop, to_answer, to_work_by_hand)
    known = {line for make in makers for line in make(task_id)}
    lines = text.split("\n")
    while len(lines) > 1 and lines[-1] in known:
        lines.pop()
    return "\n".join(lines)
