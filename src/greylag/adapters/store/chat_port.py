"""What the platform remembers of chats: metadata and references only; words rest in the vault. All synchronous."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from greylag.domain.conversation import Conversation
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that came in, as it is kept: all but its words, which are ``body``. ``number`` is its place in line.

    ``heard`` holds the plain fields of the chat port's `Heard` but for text, conversation and event id. ``state`` ∈
    taken (still to be handled), handled, refused, ignored; ``reason`` says why, ``tries`` how often it was attempted.
    """

    number: int
    conversation: Conversation
    event_id: str
    heard: str
    body: Reference | None
    state: str
    reason: str
    tries: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A task's thread that has more to deliver to a conversation than was delivered: sequences above ``delivered``."""

    conversation: Conversation
    task_id: TaskId
    delivered: int


@dataclass(frozen=True, slots=True)
class Posting:
    """What became of one message in one conversation.

    ``state`` ∈ sending (begun: it may or may not be there), sent, withheld (policy let nothing of it go), lost (the
    chat will never take it). ``handle`` is the chat's id of the message.
    """

    conversation: Conversation
    task_id: TaskId
    sequence: int
    state: str
    handle: str
    decision_id: str
    tries: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ChatPerson:
    """Who the chat's ``author`` is here. ``via`` ∈ operator, link."""

    source: str
    author: str
    person: str
    via: str
    at: datetime


class ChatStore(Protocol):
    """Inbox, outbox and address book of every chat."""

    def arrive(
        self, conversation: Conversation, event_id: str, heard: str, body: Reference | None, at: datetime
    ) -> Arrival | None:
        """Keep what came in, durable when it returns; None where ``event_id`` of this source is known already."""
        ...

    def known(self, source: str, event_id: str) -> Arrival | None:
        """Return what came in under ``event_id``, None for nothing."""
        ...

    def waiting(self, limit: int = 200) -> tuple[Arrival, ...]:
        """Return what is still to be handled, in the order in which it came."""
        ...

    def settle(self, number: int, state: str, reason: str = "") -> None:
        """Record what became of an arrival (``handled``, ``refused``, ``ignored``), or one more try (``taken``)."""
        ...

    def forget(self, before: datetime) -> int:
        """Drop settled arrivals older than ``before``; return how many. None younger than an hour (by the newest)."""
        ...

    def bind(self, conversation: Conversation, task_id: TaskId, at: datetime, *, after: int = 0) -> None:
        """Say that ``task_id`` is talked about there, delivered up to ``after``; again changes nothing."""
        ...

    def task_in(self, conversation: Conversation) -> TaskId | None:
        """Return the newest task of a conversation, None where there is none."""
        ...

    def conversations(self, task_id: TaskId) -> tuple[Conversation, ...]:
        """Return where a task is talked about."""
        ...

    def due(self, sources: Collection[str], limit: int = 200, *, region: str = "") -> tuple[Due, ...]:
        """Return conversations of ``sources`` whose tasks' threads go on beyond what was delivered, oldest first.

        With ``region`` only tasks of that one: a cell delivers its own.
        """
        ...

    def sending(
        self, conversation: Conversation, task_id: TaskId, sequence: int, decision_id: str, at: datetime
    ) -> Posting | None:
        """Note durably that a message is about to be sent; return what was noted about it before, None for nothing."""
        ...

    def sent(
        self, conversation: Conversation, task_id: TaskId, sequence: int, state: str, handle: str, at: datetime
    ) -> None:
        """Note what became of it and that everything up to ``sequence`` is delivered, in one transaction.

        What was begun up to there has the same end: several lines of progress are one message of the chat.
        """
        ...

    def posting(self, conversation: Conversation, task_id: TaskId, sequence: int) -> Posting | None:
        """Return what became of one message there."""
        ...

    def posted_as(self, source: str, room: str, handle: str) -> Posting | None:
        """Return which message of ours the chat knows as ``handle``, None for none."""
        ...

    def add_person(self, person: ChatPerson) -> None:
        """Say who somebody is; again replaces."""
        ...

    def person(self, source: str, author: str) -> ChatPerson | None:
        """Return who the chat's ``author`` is here, None for nobody known."""
        ...

    def persons(self) -> tuple[ChatPerson, ...]:
        """Return everybody who is known from a chat."""
        ...

    def remove_person(self, source: str, author: str) -> None:
        """Forget who somebody is; an unknown one is fine."""
        ...

    def note(self, source: str, name: str) -> str:
        """Return a backend's note, "" for none."""
        ...

    def put_note(self, source: str, name: str, value: str) -> None:
        """Keep a backend's note (≤ 64 kB), durable when it returns."""
        ...
