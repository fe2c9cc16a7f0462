"""What the desk checks before it takes anything: the person, their role, the words, and whose task it is."""

from greylag.adapters.engine.port import Engine
from greylag.delivery.cell import Cell
from greylag.domain.errors import IntegrityError, RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.repository import Person
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task

_TITLE_CHARACTERS = 90


def task_here(cell: Cell, task_id: TaskId) -> Task:
    """Return a task of this region: what is said about another one's must not come to rest here.

    Raises RequestRefused ``GL-REGION-001``.
    """
    task = cell.events.task(task_id)
    if task.region != cell.region:
        raise RequestRefused(
            "GL-REGION-001",
            f"{task_id} belongs to region `{task.region}`; this is region `{cell.region}`.",
            "say it to the platform of that region.",
        )
    return task


def require_in_review(task: Task) -> None:
    """Raise RequestRefused ``GL-APPROVE-002`` where nothing is up for review."""
    if task.status is not TaskStatus.IN_REVIEW:
        raise RequestRefused(
            "GL-APPROVE-002",
            f"{task.task_id} is `{task.status}`: nothing is up for review.",
            f"see where it stands: `greylag task show {task.task_id}`.",
        )
    if not task.subject:
        raise IntegrityError("GL-STATE-007", f"{task.task_id} is in review of nothing.", "ask again as a new task.")


def person_with(cell: Cell, name: str, role: str) -> Person:
    """Return a person who has ``role``. Raises RequestRefused ``GL-PERSON-001``, ``-002``."""
    person = cell.directory.person(name)
    if role not in person.roles:
        raise RequestRefused(
            "GL-PERSON-002",
            f"{name} has not the role `{role}` (has: {', '.join(person.roles) or 'none'}).",
            f"an operator grants it: `greylag person add {name} --role {role}`.",
        )
    return person


def words_of(cell: Cell, text: str) -> str:
    """Return ``text`` as it is kept. Raises RequestRefused ``GL-INTAKE-001`` (empty), ``-002`` (too long)."""
    text = text.replace("\0", "\ufffd").strip()
    limit = cell.bounds.request_characters
    if not text:
        raise RequestRefused("GL-INTAKE-001", "the message is empty.", "say in a sentence what should change.")
    if len(text) > limit:
        raise RequestRefused(
            "GL-INTAKE-002",
            f"the message has {len(text)} characters, at most {limit} are taken.",
            "say it shorter.",
        )
    return text.encode("utf-8", "replace").decode()


def was_taken(cell: Cell, task: Task, keys: tuple[str, ...]) -> bool:
    """Return whether one of ``keys`` is the key of something that people said to ``task`` before."""
    recorded = (cell.events.read(task.task_id, sequence - 1, 1) for sequence in task.inputs)
    return any(each.key in keys for found in recorded for each in found)


def wake(engine: Engine, task_id: TaskId, sequence: int) -> None:
    """Wake the task's workflow for the input at ``sequence``; a lost hint is repeated by the sweep."""
    engine.wake(task_id, f"input/{sequence}")


def title_of(text: str) -> str:
    """Return the first line of ``text`` as one bounded line without control characters."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    clean = "".join(character if character.isprintable() else " " for character in first).strip()
    return clean if len(clean) <= _TITLE_CHARACTERS else clean[: _TITLE_CHARACTERS - 1] + "…"
