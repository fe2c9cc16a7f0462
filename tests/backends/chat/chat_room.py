"""A chat in memory: a server, a backend for it, and a person; each flaw breaks one promise of the port."""

import asyncio
import html
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from greylag.adapters.chat.counterpart import Seen, digest_of
from greylag.adapters.chat.port import Capabilities, Control, Heard, Listener, Overheard, Post
from greylag.domain.conversation import Conversation
from greylag.domain.errors import RequestRefused
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

HERE = Conversation("room:memory", "R1", "T1")
FULL = Capabilities(True, True, True, True, True, False, "end-to-end", True, "DE", 4000)
BARE = Capabilities(False, False, False, False, False, False, "transport", False, "unknown", 800)
_MARKUP = re.compile("<([!@#][^>|]*|https?:[^>|]*)(?:\\|([^>]*))?>")
_ROBOT = "B1"


@dataclass
class Kept:
    """A message as the server keeps it: what was sent, in its markup (Slack's, but for its bold and slanted)."""

    message_id: str
    author: str
    raw: str
    key: str = ""
    controls: tuple[Control, ...] = ()
    marks: list[str] = field(default_factory=list)
    files: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Server:
    """The chat's server: messages, and events that are delivered until they are taken."""

    flaws: frozenset[str]
    messages: list[Kept] = field(default_factory=list)
    events: list[Heard] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def add(self, author: str, raw: str, **more: object) -> Kept:
        kept = Kept(f"m{next(self.numbers)}", author, raw, **more)
        if "puts the newest first" in self.flaws and author == _ROBOT:
            self.messages.insert(0, kept)
        else:
            self.messages.append(kept)
        return kept

    def tell(self, kind: str, author: str, message_id: str, **more: object) -> None:
        self.events.append(Heard(f"e{next(self.numbers)}", kind, HERE, author, message_id, **more))
        self.arrived.set()


class RoomChat:
    """The backend."""

    name, source, where = "room", HERE.source, "room-fact"

    def __init__(self, server: Server, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self._server, self._flaws = server, server.flaws
        self._closed = asyncio.Event()

    def has(self, flaw: str) -> bool:
        return flaw in self._flaws

    async def post(self, permit: Permit, post: Post, *, uncertain: bool = False, handle: str = "") -> str:
        self._check(permit, post)
        key = post.key if not self.has("forgets keys") else ""
        if self.has("looks for nothing") and uncertain:
            key = ""
        found = next((each for each in self._server.messages if key and each.key == key), None)
        if found is not None:
            return found.message_id if not self.has("makes up ids") else f"{found.message_id}!"
        if self.has("says nothing when unsure") and uncertain:
            return "nothing"
        raw, controls = self._written(post)
        edited = next((each for each in self._server.messages if handle and each.message_id == handle), None)
        if edited is not None and self.capabilities.edit and not self.has("edits nothing"):
            edited.raw, edited.key = raw, post.key
            return edited.message_id
        said = self._server.add(_ROBOT, raw, key=post.key, controls=controls)
        if self.has("hears itself"):
            self._server.tell("reply", _ROBOT, said.message_id, text=post.text)
        return said.message_id

    def _check(self, permit: Permit, post: Post) -> None:
        if self.has("needs no permit"):
            return
        stage = None if self.has("takes any stage") else Stage.CHAT
        where = None if self.has("takes any place") else self.where
        permit.require(stage or permit.stage, where, None if self.has("takes any words") else post.digest)
        if not self.has("trusts the digest"):
            permit.require(permit.stage, None, digest_of(post.text) if not self.has("takes any words") else None)
        if self.has("says it before it checks"):
            self._server.add(_ROBOT, post.text)

    def _written(self, post: Post) -> tuple[str, tuple[Control, ...]]:
        author = "" if post.author == "greylag" or self.has("names nobody") else f"{post.author}: "
        steps = "".join(f"\n{each.state} {each.text}" for each in post.steps)
        title = "" if self.has("drops titles") else post.title
        text = "\n".join(filter(None, (title, author + post.text))) + steps
        links = "".join(f"\n{each.url}" for each in post.controls if each.url)
        if not self.capabilities.buttons:
            links += "".join(f"\n{each.label}: {each.said}" for each in post.controls if each.verb)
        if self.has("drops links"):
            links = ""
        limit = self.capabilities.longest_text - len(links) - 1
        if not self.has("says more than fits") and len(text) > limit:
            text = text[:limit] + "…"
        if self.has("cuts at NUL"):
            text = text.split("\0")[0]
        raw = text if self.has("escapes nothing") else html.escape(text, quote=False)
        if self.has("escapes twice"):
            raw = html.escape(raw)
        controls = tuple(each for each in post.controls if each.verb) if self.capabilities.buttons else ()
        if self.has("loses values"):
            controls = tuple(replace(each, value=each.value[:20]) for each in controls)
        return raw + html.escape(links, quote=False), controls

    async def mark(self, permit: Permit, conversation: Conversation, message_id: str, mark: str) -> None:
        permit.require(Stage.CHAT, self.where, digest_of(mark))
        for each in self._server.messages:
            if each.message_id == message_id and (mark not in each.marks or self.has("marks again")):
                each.marks.append(mark)

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
        if not self.capabilities.files:
            raise RequestRefused("GL-CHAT-001", "this chat has no files.", "send a link.")
        permit.require(Stage.CHAT, self.where, None if self.has("takes any file") else digest_of(content))
        found = next((each for each in self._server.messages if each.key == key), None)
        if found is not None and not (self.has("uploads again") and uncertain):
            return found.message_id
        return self._server.add(_ROBOT, "", key=key, files=((name, content),)).message_id

    async def history(self, conversation: Conversation, limit: int) -> Sequence[Overheard]:
        newest = self._server.messages if self.has("tells everything") else self._server.messages[-limit:] * bool(limit)
        if self.has("tells the oldest"):
            newest = self._server.messages[:limit]
        ours = not self.has("knows nobody")
        return [
            Overheard(each.author, html.unescape(each.raw), each.message_id, ours=ours and each.author == _ROBOT)
            for each in newest
        ]

    async def listen(self, listener: Listener) -> None:
        server = self._server
        at = 0 if self.has("remembers nothing") else server.notes.get("at", 0)
        while not self._closed.is_set() or self.has("goes on for ever"):
            if at < len(server.events):
                at += await self._deliver(listener, server.events[at])
                server.notes["at"] = at
                continue
            server.arrived.clear()
            waiting = [asyncio.ensure_future(each.wait()) for each in (server.arrived, self._closed)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
            await asyncio.sleep(0)

    async def _deliver(self, listener: Listener, heard: Heard) -> int:
        if self.has("cuts what it hears"):
            heard = replace(heard, text=heard.text[:10])
        if self.has("says who else"):
            heard = replace(heard, author="U2")
        if self.has("takes reactions for clicks") and heard.kind == "reaction":
            heard = replace(heard, kind="click", verb="approve")
        try:
            for number in range(1 + self.has("tells twice")):
                await listener.take(replace(heard, event_id=f"{heard.event_id}{'#' * number}"))
        except RuntimeError:
            return int(self.has("delivers once at most"))
        return 1

    async def close(self) -> None:
        self._closed.set()


class RoomPerson:
    """The person, and what they see."""

    def __init__(self, server: Server, capabilities: Capabilities) -> None:
        self.author, self.conversation, self.redelivers, self.keeps = "U1", HERE, True, True
        self._server, self._can = server, capabilities

    async def say(self, text: str) -> str:
        kept = self._server.add(self.author, html.escape(text, quote=False))
        self._server.tell("reply", self.author, kept.message_id, text=text)
        return kept.message_id

    async def click(self, message_id: str, control: Control, words: str = "") -> None:
        carried = {"verb": control.verb, "value": control.value, "task_id": control.task_id, "text": words}
        self._server.tell("click", self.author, message_id, **carried)

    async def react(self, message_id: str, mark: str) -> None:
        self._server.tell("reaction", self.author, message_id, text=mark)

    async def server_reads(self, words: str) -> bool:
        return "lets the server read" in self._server.flaws

    async def seen(self) -> Sequence[Seen]:
        return [
            Seen(
                each.message_id, html.unescape(_MARKUP.sub(lambda m: m[2] or m[1], each.raw)), each.author == _ROBOT,
                controls=each.controls, acts=tuple(found[0] for found in _MARKUP.finditer(each.raw)),
                marks=tuple(each.marks), files=each.files,
            )
            for each in self._server.messages
        ]  # fmt: skip


def room(capabilities: Capabilities, *flaws: str) -> tuple[RoomPerson, "Opener"]:
    """Return a person in a room of its own, and what opens the backend there."""
    server = Server(frozenset(flaws))
    return RoomPerson(server, capabilities), Opener(server, capabilities)


@dataclass
class Opener:
    """Opens the backend upon the same server and notes."""

    server: Server
    capabilities: Capabilities

    async def __call__(self) -> RoomChat:
        return RoomChat(self.server, self.capabilities)
