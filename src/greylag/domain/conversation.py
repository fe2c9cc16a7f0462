"""Where people and the platform talk, what a message offers to do, and what a model made of one."""

from dataclasses import dataclass
from typing import ClassVar

from greylag.domain.states import TaskStatus


@dataclass(frozen=True, slots=True)
class Conversation:
    """One thread of one room of one chat.

    ``source`` names the chat and who keeps it, as in ``slack:T024BE7LD`` or ``matrix:example.org``; ``room`` and
    ``thread`` are that chat's own ids (``thread`` is empty where a room has no threads).
    """

    source: str
    room: str
    thread: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that a message offers to do. ``verb`` ∈ `VERBS`.

    ``value`` binds it to what was shown: the digest that is approved, the choice that is answered, the kind of content
    that is looked at. What is done is checked again when it is done: an offer is no right.
    """

    verb: str
    label: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class RequestAdvised:
    """An event: a model was asked, once, how a request is to be read, because the rules were not sure.

    ``intent``, ``repository`` and ``ask`` (``none``, ``repository``, ``wording``) are its answer, checked; all are
    empty where there was none that can be used, and then ``code`` says why. The rest is what the call was, as for an
    agent's: money in millionths of a US dollar. ``model`` is empty where nothing was sent.
    """

    moves_to: ClassVar[TaskStatus | None] = None
    intent: str
    repository: str
    ask: str
    endpoint: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd_micros: int
    decision_id: str
    code: str = ""


#: What can be offered. ``see`` and ``open`` only lead to a page.
VERBS = ("approve", "reject", "answer", "say", "stop", "status", "roll_back", "see", "open")
