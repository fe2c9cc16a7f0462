"""Where people and the platform talk, and what a message offers to do."""

from dataclasses import dataclass


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


#: What can be offered. ``see`` and ``open`` only lead to a page.
VERBS = ("approve", "reject", "answer", "say", "stop", "status", "roll_back", "see", "open")
