"""Chat: says things in a conversation, each thing once, and hears what people say there.

Every backend is a client of one chat. What it hands to its `Listener` it has checked as far as that chat lets it: who
sent it is who the chat says. What it is given to say is plain text; the backend makes it inert in its own markup.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from greylag.domain.conversation import Conversation, Offer
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.egress.permit import Permit


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a chat can do. Nothing relies on more than its backend declares; the conformance suite tries each.

    ``stream``: a growing message is shown as it grows. ``files``: a file can be put into a conversation.
    ``ephemeral``: something can be said to one person only. ``encryption`` ∈ transport, end-to-end.
    ``vouches``: the chat says who clicked or wrote strongly enough for an approval. ``residency`` is where its content
    rests, an ISO 3166 code or ``unknown``, as the operator stated it. ``longest_text`` counts characters of a message.
    """

    buttons: bool
    modals: bool
    edit: bool
    stream: bool
    files: bool
    ephemeral: bool
    encryption: str
    vouches: bool
    residency: str
    longest_text: int


@dataclass(frozen=True, slots=True)
class Control:
    """A button: an act (``verb`` and ``value`` of an offer, about ``task_id``), or a link where ``url`` is set.

    ``asks`` is the label of a text that a person has to give with it; ``modes`` are what they choose from beside it.
    A chat without buttons writes the act as the words that do the same (``said``), and the link as it is.
    """

    label: str
    verb: str = ""
    value: str = ""
    task_id: str = ""
    url: str = ""
    style: str = "plain"
    asks: str = ""
    modes: tuple[str, ...] = ()
    said: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of work under way. ``state`` ∈ working, complete, error; ``step_id`` stays the same as it changes."""

    step_id: str
    text: str
    state: str = "working"


@dataclass(frozen=True, slots=True)
class Post:
    """One thing to say in ``conversation``. ``kind`` ∈ text, card, progress, question, error, notice.

    ``key`` makes saying it twice saying it once. ``digest`` is ``sha256:…`` of ``text`` as UTF-8: what the permit is
    for. ``steps`` is, for kind ``progress``, the whole state of the live card; ``text`` then holds what is new in it.
    ``author`` is a person's name where the platform repeats what somebody said elsewhere. ``to`` is the chat's id
    of the one person whom a notice is for: only they see it where the chat can do that, else the whole conversation.
    """

    conversation: Conversation
    key: str
    kind: str
    text: str
    digest: str
    controls: tuple[Control, ...] = ()
    steps: tuple[Step, ...] = ()
    title: str = ""
    author: str = "greylag"
    to: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """One thing that came in. ``kind`` ∈ mention, direct, reply, click, reaction, unreadable.

    ``unreadable`` came encrypted and stayed so: nothing is known of it but who sent it where, which deserves an answer.

    ``event_id`` is the chat's own, the same for each delivery of the same event. ``author`` and ``message_id`` are the
    chat's ids (of a click: who clicked, and the message that was clicked). ``verb``, ``value`` and ``task_id`` are what
    the clicked control carried: hostile until checked. ``vouched`` is False where this very event may not stand for an
    approval (an unknown device, a reaction that anybody on the server could forge). ``files`` names files that came
    with it and were not fetched. ``mode`` is what was chosen of a control's ``modes`` beside the text it asked for.
    """

    event_id: str
    kind: str
    conversation: Conversation
    author: str
    message_id: str
    text: str = ""
    verb: str = ""
    value: str = ""
    task_id: str = ""
    said_at: datetime | None = None
    author_name: str = ""
    vouched: bool = True
    files: tuple[str, ...] = ()
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Overheard:
    """One earlier message of a thread, as context. ``author`` is the chat's id; ``ours`` says that we wrote it."""

    author: str
    text: str
    message_id: str
    said_at: datetime | None = None
    ours: bool = False


@dataclass(frozen=True, slots=True)
class HomeEntry:
    """One task as a person's home shows it."""

    title: str
    status: str
    url: str
    task_id: str
    waits_for_you: bool = False


@dataclass(frozen=True, slots=True)
class Home:
    """What a chat shows a person who opens the app: who they are here, what waits for them, what is theirs.

    ``problem`` stands instead where nothing may be shown, with ``link`` as the way on.
    """

    person: str = ""
    entries: tuple[HomeEntry, ...] = ()
    problem: str = ""
    link: str = ""
    permit: Permit | None = None
    digest: str = ""


class Listener(Protocol):
    """Whom a backend tells what it heard."""

    async def take(self, heard: Heard) -> None:
        """Keep what was heard; durable when it returns. Whatever it raises, the chat must deliver the event again."""
        ...

    async def home(self, source: str, author: str) -> Home:
        """Return what the home of the chat's ``author`` shows, decided already: its permit is for ``digest``."""
        ...


class Chat(Protocol):
    """A backend. ``name`` is its kind, ``source`` who keeps it, ``where`` the fact-base name of what stores it."""

    name: str
    source: str
    where: str
    capabilities: Capabilities

    async def post(self, permit: Permit, post: Post, *, uncertain: bool = False, handle: str = "") -> str:
        """Say it, once per ``post.key``; return the chat's id of the message.

        The permit is for stage ``chat`` towards ``where`` and exactly ``post.digest``: else IntegrityError
        ``GL-EGRESS-001`` and nothing is said. ``uncertain``: it may have been said before (the process died, the answer
        was lost), so the backend looks before it says it again. ``handle``: the message to change instead, for
        progress. Raises BackendError, transient where the same call may work later; RequestRefused ``GL-CHAT-001``
        where the chat will never take it (the room is gone).
        """
        ...

    async def mark(self, permit: Permit, conversation: Conversation, message_id: str, mark: str) -> None:
        """Put a first sign of life on somebody's message; ``mark`` ∈ seen, done, refused. Again is fine.

        The permit is for stage ``chat`` towards ``where`` and the digest of ``mark``. Nothing where the chat has no
        reactions.
        """
        ...

    async def upload(
        self,
        permit: Permit,
        conversation: Conversation,
        name: str,
        content: bytes,
        key: str,
        *,
        uncertain: bool = False,
    ) -> str:
        """Put a file into the conversation, once per ``key``; the permit is for exactly ``content``."""
        ...

    async def history(self, conversation: Conversation, limit: int) -> Sequence[Overheard]:
        """Return the newest ``limit`` messages of a thread, oldest first."""
        ...

    async def listen(self, listener: Listener) -> None:
        """Hear what comes in until `close`; keeps trying where the chat is away. Raises OperatorError for bad access.

        What came in while nobody listened is heard as far as the chat still has it.
        """
        ...

    async def close(self) -> None:
        """Stop hearing and give every connection back."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that stands in a task's own thread. ``kind`` ∈ text, card, progress, question, error.

    ``text`` is Markdown-free plain text. ``body`` is where it rests already; ``key`` makes saying it twice saying it
    once; ``offers`` are what it offers to do.
    """

    task_id: TaskId
    kind: str
    text: str
    body: Reference
    key: str
    author: str = "greylag"
    offers: tuple[Offer, ...] = field(default=())


class Thread(Protocol):
    """The platform's own thread, which everything that is said stands in first. Chats get it from there."""

    name: str
    where: str

    def say(self, permit: Permit, said: Said, at: datetime) -> None:
        """Say it. The permit is for stage ``chat`` towards ``where``."""
        ...
