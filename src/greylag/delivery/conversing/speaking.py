"""Speaking: asking policy what may be said in a conversation, noting it, saying it, and noting what became of it."""

import asyncio
import logging
from dataclasses import dataclass

from greylag.adapters.chat.port import Chat, Control, Post, Step
from greylag.adapters.store.port import ChatStore, ThreadMessage
from greylag.delivery.cell import CARD_SURFACES, PLATFORM, Cell, digest_of, label_of
from greylag.delivery.conversing.rendering import Pages, news_of, place_of, shortened
from greylag.domain.conversation import Conversation
from greylag.domain.errors import BackendError, PolicyRefused, RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.hop import Hop
from greylag.egress.permit import Permit
from greylag.governance.question import Target

_log = logging.getLogger(__name__)
#: The code of "the chat will never take it".
NEVER_TAKEN = "GL-CHAT-001"
_ERASED = "GL-VAULT-002"


@dataclass(frozen=True, slots=True)
class Told:
    """What policy lets through: the words, their permit, whether they are ``whole``, or only say that there is news."""

    permit: Permit
    text: str
    whole: bool
    notice: bool = False


@dataclass(frozen=True, slots=True)
class Saying:
    """What is asked about: ``name`` is unique in a task's deliveries to one conversation.

    ``silent``: where it may not be said, nothing is, not even that there is news. ``cut``: what does not fit is cut.
    """

    name: str
    text: str | None
    silent: bool = False
    cut: bool = True


class Speaker:
    """Speaks in one chat. ``post_seconds`` bounds a call of it."""

    def __init__(self, cell: Cell, store: ChatStore, chat: Chat, pages: Pages, post_seconds: float = 60.0) -> None:
        self.cell = cell
        self.store = store
        self.chat = chat
        self.pages = pages
        self._post_seconds = post_seconds

    async def text(self, task: Task, message: ThreadMessage) -> str | None:
        """Return the words of ``message``, None where they were erased."""
        try:
            return (await self.cell.fetch(task, message.body)).decode("utf-8", "replace")
        except RequestRefused as error:
            if error.code != _ERASED:
                raise
            return None

    async def ask(self, where: Conversation, task: Task, saying: Saying) -> Told | None:
        """Ask what may be said there: all of it, what its obligations leave of it, or that there is news; else None."""
        if saying.text is not None:
            longest = self.chat.capabilities.longest_text
            text = shortened(saying.text, longest, self.pages.task(task.task_id)) if saying.cut else saying.text
            told = await asyncio.to_thread(self._asked, where, task, saying.name, text, label_of(task))
            if told is not None and (not saying.cut or len(told.text) <= longest):
                return told
        if saying.silent:
            return None
        news = news_of(task.task_id, self.pages)
        return await asyncio.to_thread(self._asked, where, task, f"{saying.name}/news", news, None)

    def _asked(self, where: Conversation, task: Task, name: str, text: str, label: Label | None) -> Told | None:
        """Ask about ``text``; without a label it is public, carries no surface, and names nobody."""
        content = text.encode("utf-8", "replace")
        if label is None:
            asset = self.cell.asset("card", Label("public"), content)
        else:
            asset = self.cell.asset("card", label, content, surfaces=CARD_SURFACES, people=(task.requester,))
        key, target = f"deliver/{place_of(where)}/{name}", Target("chat", self.chat.where)
        hop = Hop(Stage.CHAT, PLATFORM, "post", asset, target, key, task.task_id, task.repository or "")
        try:
            passed = self.cell.door.send(hop, content)
            whole = passed.content == content and label is not None
            return Told(passed.permit, passed.content.decode(), whole, notice=label is None)
        except PolicyRefused as error:
            _log.info("%s of %s is not for %s: %s", name, task.task_id, self.chat.where, error.decision_id)
        except UnicodeDecodeError:  # an obligation made something else than words of it
            _log.info("%s of %s is no text any more on its way to %s", name, task.task_id, self.chat.where)
        return None

    async def begun(self, where: Conversation, task_id: TaskId, sequence: int, permit: Permit) -> bool:
        """Note durably that it is about to be said; return whether it may be there already."""
        now = self.cell.clock.now()
        earlier = await asyncio.to_thread(self.store.sending, where, task_id, sequence, permit.decision_id, now)
        return earlier is not None

    async def say(self, permit: Permit, post: Post, *, uncertain: bool, handle: str = "") -> str:
        """Say it and return the chat's id of the message. Raises as the chat does, transient where it is too slow."""
        try:
            async with asyncio.timeout(self._post_seconds):
                return await self.chat.post(permit, post, uncertain=uncertain, handle=handle)
        except TimeoutError:
            raise BackendError(
                "GL-CHAT-002",
                f"the chat `{self.chat.source}` did not answer within {self._post_seconds:g} seconds.",
                "it is tried again by itself; look whether the chat's server can be reached.",
                transient=True,
            ) from None

    async def noted(self, where: Conversation, task_id: TaskId, sequence: int, state: str, handle: str = "") -> None:
        """Note what became of it, and that everything up to it is delivered."""
        await asyncio.to_thread(self.store.sent, where, task_id, sequence, state, handle, self.cell.clock.now())

    async def lost(self, where: Conversation, task_id: TaskId, sequence: int, why: object) -> None:
        """Give a message up for good, in the log and in the store: what follows it must not wait for ever."""
        _log.error(
            "GL-CHAT-003: message %d of %s can't be delivered to %s and is given up: %s"
            " Next: read it on the task's page; see whether the room is still there and the account still in it.",
            sequence, task_id, where.source, why,
        )  # fmt: skip
        await self.noted(where, task_id, sequence, "lost")

    async def seen(self, permit: Permit, outcome: str, text: str = "") -> None:
        """Record the outcome of a hop. Where its bytes rest the chat doesn't tell, so nothing is said of that."""
        facts = {"size_bytes": len(text.encode())}
        await asyncio.to_thread(self.cell.door.observe, permit, outcome, facts)


def post_of(
    where: Conversation, key: str, kind: str, told: Told, *, controls: tuple[Control, ...] = (),
    steps: tuple[Step, ...] = (), title: str = "",
) -> Post:  # fmt: skip
    """Return what is posted for ``told``; a title is a surface, so only with the whole words."""
    digest = digest_of(told.text.encode())
    return Post(where, key, kind, told.text, digest, controls, steps, title if told.whole else "")
