"""Chat: says things in a task's thread, each thing once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.egress.permit import Permit


@dataclass(frozen=True, slots=True)
class Said:
    """One thing to say. ``kind`` ∈ text, card, progress, question, error; ``key`` makes saying it twice saying it once.

    ``text`` is Markdown-free plain text; the backend escapes for its own surface. ``body`` is where it rests already.
    """

    task_id: TaskId
    kind: str
    text: str
    body: Reference
    key: str
    author: str = "greylag"


class Chat(Protocol):
    """A backend for one or more channels. ``where`` is the fact-base name of the place that stores what is said."""

    name: str
    where: str

    def say(self, permit: Permit, said: Said, at: datetime) -> None:
        """Say it. The permit is for stage ``chat`` towards ``where``."""
        ...
