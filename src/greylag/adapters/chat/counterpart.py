"""The other side of a chat, for its checks: a person there, and the thread as it is shown to them."""

import asyncio
import hashlib
import re
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from greylag.adapters.chat.port import Chat, Control, Heard, Home, Post
from greylag.domain.conversation import Conversation
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

_WAIT_SECONDS = 15.0
_LOOK_SECONDS = 0.05
#: How a page or a backend may show a character that can't be seen.
_SHOWN_HIDDEN = re.compile("«U\\+[0-9A-F]{4,6}»")

Permits = Callable[[Stage, str, str], Permit]
Opening = Callable[[], Awaitable[Chat]]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise and whether it was kept; ``detail`` says what was seen instead."""

    promise: str
    kept: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """One message as the thread shows it to a person.

    ``text`` is what they read: words and what is written for controls that can't be pressed, nothing of the chat's
    markup. ``author`` is the name it stands under; ``ours`` says that the platform's account wrote it. ``controls`` are
    what can be pressed. ``acts`` is what the chat took for more than text in the words: a mention, a ping, a picture, a
    link under other words. ``marks`` are our reactions to it, ``files`` what is attached.
    """

    message_id: str
    text: str
    ours: bool
    author: str = ""
    controls: tuple[Control, ...] = ()
    acts: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()


class Onlooker(Protocol):
    """Somebody who can look at a thread that the checks may fill."""

    @property
    def conversation(self) -> Conversation:
        """The thread."""
        ...

    async def seen(self) -> Sequence[Seen]:
        """Return what the thread shows now, oldest first; an edited message as it is now."""
        ...


class Counterpart(Onlooker, Protocol):
    """A person in that thread. What their chat can't do, by the backend's capabilities, is never asked of them.

    ``author`` is the chat's id of them. ``redelivers``: the chat delivers an event again that wasn't taken. ``keeps``:
    the chat still has what was said while nobody listened.
    """

    author: str
    redelivers: bool
    keeps: bool

    async def say(self, text: str) -> str:
        """Say ``text`` in the thread, to the platform; return the chat's id of the message."""
        ...

    async def click(self, message_id: str, control: Control, words: str = "") -> None:
        """Press a control of a message; ``words`` are given where it asks for some."""
        ...

    async def react(self, message_id: str, mark: str) -> None:
        """Put a mark on a message; ``mark`` is an emoji."""
        ...

    async def server_reads(self, words: str) -> bool:
        """Return whether ``words``, said in the thread, can be read by whoever keeps the chat's server."""
        ...


class Ear:
    """A listener that remembers what it was told. It refuses to take what holds one of the ``spurned`` words, once."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.refused: list[Heard] = []
        self.spurned: set[str] = set()

    async def take(self, heard: Heard) -> None:
        """Remember it. Raises RuntimeError the first time for what is spurned."""
        word = next((each for each in self.spurned if each in heard.text), None)
        if word is not None:
            self.spurned.remove(word)
            self.refused.append(heard)
            raise RuntimeError("the conformance suite refuses this once")
        self.heard.append(heard)

    async def home(self, source: str, author: str) -> Home:
        """Return a home that says why nothing is shown."""
        return Home(problem="this is a check")


@dataclass(slots=True)
class Trial:
    """One run of the suite: the chat as it is open now, who looks on, and what was found."""

    open_chat: Opening
    other: Onlooker
    permits: Permits
    chat: Chat
    findings: list[Finding] = field(default_factory=list)
    _numbers: int = 0

    def find(self, promise: str, kept: bool, detail: object = "") -> None:
        """Note whether a promise was kept; the detail only where it wasn't."""
        self.findings.append(Finding(promise, kept, "" if kept else str(detail)[:600]))

    def text(self, text: str, kind: str = "text", **more: object) -> Post:
        """Return something to say there, under a key of its own."""
        self._numbers += 1
        values = {"key": f"conformance/{self._numbers}", "kind": kind, "text": text, "digest": digest_of(text), **more}
        return Post(self.other.conversation, **values)  # type: ignore[arg-type]  # fields of Post, by name

    async def post(self, post: Post, **how: object) -> str:
        """Say it with the permit it needs; return the chat's id of it."""
        permit = self.permits(Stage.CHAT, self.chat.where, post.digest)
        return await self.chat.post(permit, post, **how)  # type: ignore[arg-type]  # `uncertain` and `handle`, by name

    async def ours(self) -> list[Seen]:
        """Return what the platform's account said there."""
        return [each for each in await self.other.seen() if each.ours]

    async def since(self, before: Sequence[Seen], least: int = 1) -> list[Seen]:
        """Return what we said after ``before``, as soon as it is at least so many messages."""
        known = {each.message_id for each in before}

        async def new() -> list[Seen]:
            return [each for each in await self.ours() if each.message_id not in known]

        return await until(new, lambda found: len(found) >= least)

    async def said(self, post: Post, **how: object) -> Seen:
        """Say something and return what is seen of it: the first new message."""
        before = await self.ours()
        await self.post(post, **how)
        found = await self.since(before)
        return found[0] if found else Seen("", "", True)

    async def reopen(self) -> None:
        """Close the chat and open it anew, as another process would."""
        await self.chat.close()
        self.chat = await self.open_chat()


async def until(look: Callable[[], Awaitable[_T]], good: Callable[[_T], bool], seconds: float | None = None) -> _T:
    """Look until it is good or the time is over; return what was seen last."""
    end = asyncio.get_running_loop().time() + (_WAIT_SECONDS if seconds is None else seconds)
    while not good(found := await look()) and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - the chat tells nobody
        await asyncio.sleep(_LOOK_SECONDS)
    return found


def digest_of(text: str | bytes) -> str:
    """Return ``sha256:<hex>`` of ``text``."""
    return f"sha256:{hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()}"


def readable(words: str, shown: str) -> bool:
    """Return whether somebody can read ``words`` in ``shown``: all its letters and digits in a row, whatever else."""
    return _letters(words) in _letters(shown)


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFC", _SHOWN_HIDDEN.sub("", text))
    return "".join(character for character in plain if character.isalnum())
