"""What the front works with, and one arrival on its way through it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from greylag.adapters.chat.port import Chat, Heard
from greylag.adapters.store.port import Arrival, ChatStore
from greylag.delivery.cell import UNLABELLED, Cell
from greylag.delivery.conversing.identity import Links
from greylag.delivery.conversing.rendering import Pages
from greylag.delivery.desk import Desk
from greylag.domain.conversation import Conversation
from greylag.domain.errors import BackendError
from greylag.domain.ids import TaskId, derived_id
from greylag.domain.labels import Label


@dataclass(frozen=True, slots=True)
class House:
    """What the front works with. ``chats`` are asked for their source when it is needed: some know it late.

    ``rooms`` are labels of rooms, by source and id; ``context_messages`` says how much of a thread is context.
    """

    cell: Cell
    desk: Desk
    store: ChatStore
    chats: Sequence[Chat]
    links: Links
    pages: Pages
    rooms: Mapping[tuple[str, str], Label] = field(default_factory=dict)
    context_messages: int = 30

    def chat(self, source: str) -> Chat:
        """Return the chat ``source``. Raises BackendError ``GL-CHAT-021``, transient, where it isn't there (yet)."""
        found = next((chat for chat in self.chats if chat.source == source), None)
        if found is None:
            raise BackendError(
                "GL-CHAT-021", f"the chat {source!r} is not connected now.", "connect it again in the settings.",
                transient=True,
            )  # fmt: skip
        return found

    def room_label(self, conversation: Conversation) -> Label | None:
        """Return what the operator says of the conversation's room, None for nothing."""
        return self.rooms.get((conversation.source, conversation.room))

    def label_in(self, conversation: Conversation) -> Label:
        """Return the least that is said in the conversation carries."""
        label = self.room_label(conversation)
        return UNLABELLED if label is None else UNLABELLED.joined(label)


@dataclass(frozen=True, slots=True)
class Turn:
    """One arrival being handled: ``heard`` with its words. ``uncertain``: it was begun before, how far nobody knows."""

    arrival: Arrival
    heard: Heard
    uncertain: bool = False

    @property
    def conversation(self) -> Conversation:
        """Where it was heard."""
        return self.arrival.conversation

    @property
    def message_id(self) -> str:
        """What every effect of it is keyed by: done twice is done once."""
        return message_id_of(self.conversation.source, self.arrival.event_id)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an arrival: ``state`` ∈ handled, refused, ignored, and why."""

    state: str = "handled"
    reason: str = ""


def message_id_of(source: str, event_id: str) -> str:
    """Return the id under which the desk takes what a chat told as ``event_id``."""
    return f"{source}/{event_id}"


def own_subject(source: str, event_id: str) -> TaskId:
    """Return whose words an arrival's are in the vault where they belong to no task."""
    return TaskId(derived_id("task", source, message_id_of(source, event_id)))
