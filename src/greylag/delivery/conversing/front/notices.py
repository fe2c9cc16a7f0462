"""What is said that stands in no task's thread: a sign of life, and a word to somebody whom no task answers."""

import asyncio
import logging
from dataclasses import replace

from greylag.adapters.chat.port import Control, Heard, Post
from greylag.delivery.cell import PLATFORM, About, digest_of, label_of
from greylag.delivery.conversing.front.house import House, Turn, message_id_of
from greylag.delivery.conversing.front.line import Rush
from greylag.domain.conversation import Conversation
from greylag.domain.errors import BackendError, GreylagError, PolicyRefused
from greylag.domain.ids import TaskId
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.hop import Hop
from greylag.egress.permit import Permit
from greylag.governance.question import Asset, Target

_log = logging.getLogger(__name__)
_POST_SECONDS = 60.0
_MARK_SECONDS = 10.0
_MARKS_AT_ONCE = 16
_MOST_MARKS = 500
#: What anybody may read: it says nothing of what was asked or why it was refused.
PUBLIC = Label("public")


class Notices:
    """Says things straight to a chat, each by a decision of its own."""

    def __init__(self, house: House, rush: Rush | None = None) -> None:
        self._house = house
        self._rush = rush or Rush()
        self._marking: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(_MARKS_AT_ONCE)

    def mark_soon(self, heard: Heard) -> None:
        """Put a first sign of life on somebody's message, in the background. That it fails never hurts."""
        if len(self._marking) >= _MOST_MARKS:
            return
        task = asyncio.create_task(self._mark(heard), name="mark")
        self._marking.add(task)
        task.add_done_callback(self._marking.discard)

    async def close(self) -> None:
        """Leave the signs of life that are still to be put."""
        for task in list(self._marking):
            task.cancel()
        await asyncio.gather(*self._marking, return_exceptions=True)

    async def refuse(self, turn: Turn, error: GreylagError, task: Task | None) -> None:
        """Tell the sender why it was not done and what to do; only them, where the chat can do that."""
        label = self._house.label_in(turn.conversation)
        about = About(TaskId(""), label)
        if task is not None:
            about = replace(About.of(task), label=label.joined(label_of(task)))
        link = self._house.pages.task(task.task_id) if task is not None else ""
        controls = (Control("Open the task", url=link),) if link else ()
        less = f"That was not done ({error.code}). " + (
            f"Why, and what to do: {link}" if link else "The operator knows why."
        )
        await self.say(turn, about, await self.words(error), less, controls)

    async def words(self, error: GreylagError) -> str:
        """Return an error as it stands in a thread: one line why a policy said no, the cause, the next step."""
        text = f"{error.message}\nNext: {error.remedy} ({error.code})"
        if not isinstance(error, PolicyRefused):
            return text
        line = await asyncio.to_thread(self._house.cell.why, error.decision_id)
        return f"{line}\n{text}" if line else text

    async def say(self, turn: Turn, about: About, text: str, less: str, controls: tuple[Control, ...] = ()) -> None:
        """Say ``text`` to the sender, once per arrival; ``less``, which is public, where policy lets only that through.

        Raises BackendError where the chat is away, PolicyRefused where not even ``less`` may be said there.
        """
        chat = self._house.chat(turn.conversation.source)
        text = text[: chat.capabilities.longest_text]
        permit = await asyncio.to_thread(self._asked, turn, about, text)
        if permit is None:
            text = less
            permit = await asyncio.to_thread(self._admitted, turn, less)
        post = Post(
            turn.conversation, f"{turn.message_id}/notice", "notice", text, digest_of(text.encode()), controls,
            to=turn.heard.author,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_POST_SECONDS):
                await chat.post(permit, post, uncertain=turn.uncertain)
        except TimeoutError:
            raise BackendError(
                "GL-CHAT-023", f"the chat {chat.source!r} did not answer in {_POST_SECONDS:g} seconds.",
                "it is tried again by itself.", transient=True,
            ) from None  # fmt: skip
        await self._observed(permit, "sent")

    def _asked(self, turn: Turn, about: About, text: str) -> Permit | None:
        """Ask about ``text``; None where it, as it is, may not be said there."""
        cell, content = self._house.cell, text.encode()
        chat = self._house.chat(turn.conversation.source)
        asset = cell.asset("card", about.label, content, people=about.people)
        key, target = f"notice/{turn.message_id}", Target("chat", chat.where)
        hop = Hop(Stage.CHAT, PLATFORM, "post", asset, target, key, about.task_id, about.repository)
        try:
            passed = cell.door.send(hop, content)
        except PolicyRefused as error:
            _log.info("a notice is not for %s: %s", chat.where, error.decision_id)
            return None
        return passed.permit if passed.content == content else None

    def _admitted(self, turn: Turn, text: str) -> Permit:
        cell, content = self._house.cell, text.encode()
        chat = self._house.chat(turn.conversation.source)
        asset = Asset("card", PUBLIC, cell.region, digest_of(content), len(content))
        hop = Hop(Stage.CHAT, PLATFORM, "post", asset, Target("chat", chat.where), f"less/{turn.message_id}")
        return cell.door.admit(hop)

    async def _mark(self, heard: Heard) -> None:
        where, mark = heard.conversation, "seen"
        try:
            async with asyncio.timeout(_MARK_SECONDS):
                with self._rush.under_way():
                    async with self._turns:
                        permit = await asyncio.to_thread(self._mark_permit, where, heard.event_id, mark)
                        await self._house.chat(where.source).mark(permit, where, heard.message_id, mark)
                await self._observed(permit, "sent")
        except TimeoutError:
            _log.info("no sign of life on a message of %s: the chat is slow", where.source)
        except Exception as error:  # noqa: BLE001 - a sign of life is a courtesy; the reply is what counts
            reason = error.code if isinstance(error, GreylagError) else type(error).__name__
            _log.info("no sign of life on a message of %s: %s", where.source, reason)

    def _mark_permit(self, where: Conversation, event_id: str, mark: str) -> Permit:
        cell, content = self._house.cell, mark.encode()
        asset = Asset("mark", PUBLIC, cell.region, digest_of(content), len(content))
        target = Target("chat", self._house.chat(where.source).where)
        key = f"mark/{message_id_of(where.source, event_id)}/{mark}"
        return cell.door.admit(Hop(Stage.CHAT, PLATFORM, "mark", asset, target, key))

    async def _observed(self, permit: Permit, outcome: str) -> None:
        await asyncio.to_thread(self._house.cell.door.observe, permit, outcome)
