"""Delivering: the next thing of a task's thread goes to one conversation, decided, noted, said and noted again.

What is noted before a chat is called makes a second try look before it speaks; the end and the cursor are noted in
one transaction.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import replace

from greylag.adapters.chat.port import Post
from greylag.adapters.store.port import ThreadMessage
from greylag.delivery.conversing.livecards import Line, LiveCards
from greylag.delivery.conversing.rendering import PLATFORM_AUTHOR, controls_of, page_control, words_of
from greylag.delivery.conversing.speaking import NEVER_TAKEN, Saying, Speaker, Told, post_of
from greylag.delivery.conversing.uploading import Uploads
from greylag.domain.conversation import Conversation
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.task import Task

_log = logging.getLogger(__name__)


class Delivery:
    """Delivers to one chat."""

    def __init__(self, speaker: Speaker, cards: LiveCards, uploads: Uploads | None = None) -> None:
        self._speaker = speaker
        self._cards = cards
        self._uploads = uploads

    async def next(self, line: Line, task_id: TaskId, after: int, messages: Sequence[ThreadMessage]) -> int:
        """Deliver the first of ``messages`` (or more, of progress) and return up to where all is delivered now.

        That is ``after`` where nothing may be said yet (see ``line.rest_until``), or where it has to be tried in
        another way at once. Raises what a chat or a store raises, but for a message that the chat will never take.
        """
        task = await self._speaker.cell.task(task_id)
        first = messages[0]
        card = await self._cards.find(line, task, after)
        if first.kind == "progress":
            return await self._cards.show(line, task, card, messages)
        if card is not None and not card.settled:
            await self._cards.settle(line, task, card, first.kind)
        await self._message(line.conversation, task, first)
        line.past(task_id, first.sequence)
        return first.sequence

    async def give_up(self, line: Line, task_id: TaskId, sequence: int, why: object) -> None:
        """Give one message up for good."""
        await self._speaker.lost(line.conversation, task_id, sequence, why)
        line.past(task_id, sequence)

    async def _message(self, where: Conversation, task: Task, message: ThreadMessage) -> None:
        speaker, sequence = self._speaker, message.sequence
        if await asyncio.to_thread(self._said_here, where, task, message):
            await speaker.noted(where, task.task_id, sequence, "sent")
            return
        text = await speaker.text(task, message)
        words = words_of(message, text) if text is not None else None
        told = await speaker.ask(where, task, Saying(f"{sequence}", words))
        if told is None:
            await speaker.noted(where, task.task_id, sequence, "withheld")
            _log.warning(
                "GL-CHAT-004: message %d of %s is withheld from %s."
                " Next: `greylag map` shows its decisions and why; the task's page has its words.",
                sequence, task.task_id, speaker.chat.where,
            )  # fmt: skip
            return
        uncertain = await speaker.begun(where, task.task_id, sequence, told.permit)
        try:
            handle = await speaker.say(told.permit, self._post(where, task, message, told), uncertain=uncertain)
        except RequestRefused as error:
            if error.code != NEVER_TAKEN:
                raise
            await speaker.lost(where, task.task_id, sequence, error)
            await speaker.seen(told.permit, "failed")
            return
        if self._uploads is not None and told.whole and message.kind == "card":
            await self._uploads.put(speaker.chat, where, task, message, uncertain=uncertain)
        await speaker.noted(where, task.task_id, sequence, "sent", handle)
        await speaker.seen(told.permit, "sent", told.text)

    def _post(self, where: Conversation, task: Task, message: ThreadMessage, told: Told) -> Post:
        key, pages = f"{task.task_id}/{message.sequence}", self._speaker.pages
        if not told.whole:
            kind = "notice" if told.notice else message.kind
            return post_of(where, key, kind, told, controls=page_control(task.task_id, pages))
        title = task.title if message.kind == "card" else ""
        post = post_of(where, key, message.kind, told, controls=controls_of(message, task, pages), title=title)
        return replace(post, author=message.author)

    def _said_here(self, where: Conversation, task: Task, message: ThreadMessage) -> bool:
        """Whether a person wrote ``message`` as a message of this very conversation; what was clicked wasn't seen."""
        if message.author == PLATFORM_AUTHOR:
            return False
        store = self._speaker.store
        spoken = message.key.partition("/")[2]
        if message.key == "request":
            received = self._speaker.cell.events.read(task.task_id, 0, 1)
            spoken = str(getattr(received[0].event, "message_id", "")) if received else ""
        source = f"{where.source}/"
        arrival = store.known(where.source, spoken.removeprefix(source)) if spoken.startswith(source) else None
        if arrival is not None:
            return arrival.conversation == where and not _is_click(arrival.heard)
        if message.key == "request":
            return Conversation(task.channel, task.room, task.thread) == where
        if not spoken.startswith(source):
            return False
        # What came in is forgotten after a while: where the chat has only one thread of it, it came from there.
        return [each for each in store.conversations(task.task_id) if each.source == where.source] == [where]


def _is_click(heard: str) -> bool:
    try:
        kept = json.loads(heard)
    except ValueError:
        return False
    return isinstance(kept, dict) and kept.get("kind") in ("click", "reaction")
