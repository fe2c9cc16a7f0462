"""Live cards: lines of progress that follow one another are one message of a chat, which changes in place.

A restarted platform goes on with the same card: it is the message that the newest delivered line stands in.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from greylag.adapters.chat.port import Step
from greylag.adapters.store.port import ThreadMessage
from greylag.delivery.conversing.rendering import CARD_STEPS, card_steps, standing, step_of
from greylag.delivery.conversing.speaking import NEVER_TAKEN, Saying, Speaker, Told, post_of
from greylag.domain.conversation import Conversation
from greylag.domain.errors import BackendError, GreylagError, RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.task import Task

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Card:
    """A live card as it stands in the chat: of lines up to ``last``. ``restored`` tells that it was read back."""

    task_id: TaskId
    handle: str
    last: int
    steps: tuple[Step, ...]
    settled: bool = False
    restored: bool = False


@dataclass(slots=True)
class Line:
    """One conversation being served: what a restart may forget. Times are the event loop's, in seconds.

    ``plain`` is a delivered message that stands in no card, ``broken`` the handle of a card that the chat won't change
    any more. ``failures`` are in a row, of any kind; ``defects`` those that no patience mends.
    """

    conversation: Conversation
    card: Card | None = None
    plain: tuple[TaskId, int] | None = None
    broken: str = ""
    rest_until: float = 0.0
    progress_at: float = float("-inf")
    served_at: float = 0.0
    failures: int = 0
    defects: int = 0

    def past(self, task_id: TaskId, sequence: int, card: Card | None = None) -> None:
        """Remember that everything up to ``sequence`` is delivered, the last of it in ``card`` if there is one."""
        self.card = card
        self.plain = (task_id, sequence) if card is None else None


@dataclass(frozen=True, slots=True)
class _Update:
    """What a card is to become: lines of progress, what is told of them, and the whole of its steps then."""

    run: Sequence[ThreadMessage]
    told: Told
    steps: tuple[Step, ...]
    settled: bool


class LiveCards:
    """Shows progress in one chat. ``seconds`` is the least time between two changes in one conversation."""

    def __init__(self, speaker: Speaker, seconds: float = 1.0) -> None:
        self._speaker = speaker
        self._seconds = seconds

    async def find(self, line: Line, task: Task, after: int) -> Card | None:
        """Return the card that message ``after`` stands in, None where it is no progress or can't be changed."""
        if line.card is not None and (line.card.task_id, line.card.last) == (task.task_id, after):
            return line.card
        line.card = None
        if not self._changes or after == 0 or line.plain == (task.task_id, after):
            return None
        line.card = await self._restored(line, task, after)
        return line.card

    async def show(self, line: Line, task: Task, card: Card | None, messages: Sequence[ThreadMessage]) -> int:
        """Put the lines of progress that ``messages`` begin with into ``card``, or the first one into a new one.

        The first goes alone: so its key says all that it holds. Returns up to where all is delivered; that is the
        message before where it is too early for a change, or where a new card has to be begun.
        """
        run = _leading(messages) if card is not None else messages[:1]
        then = messages[len(run)].kind if len(run) < len(messages) else "progress"
        soonest = line.progress_at + self._seconds
        if asyncio.get_running_loop().time() < soonest and (card is None or then == "progress"):
            line.rest_until = soonest
            return run[0].sequence - 1
        last = run[-1].sequence
        update = await self._update(line, task, card, run, then)
        if update is None:
            await self._speaker.noted(line.conversation, task.task_id, last, "withheld", card.handle if card else "")
            line.past(task.task_id, last, replace(card, last=last) if card else None)
            return last
        return await self._put(line, task, card, update)

    async def settle(self, line: Line, task: Task, card: Card, then: str) -> None:
        """Let the card show that its work is over; ``then`` is the kind of what follows it.

        A card that can't be changed does not hold up what follows.
        """
        count = "1 step" if len(card.steps) == 1 else f"{len(card.steps)} steps"
        text = f"{count}, then an error" if then == "error" else f"{count}, done"
        saying = Saying(f"{card.last}/settled", text, silent=True)
        told = await self._speaker.ask(line.conversation, task, saying) if card.steps else None
        if told is not None and told.whole:
            key, steps = f"{task.task_id}/{card.last}/settled", standing(card.steps, _end(then))
            post = post_of(line.conversation, key, "progress", told, steps=steps, title=task.title)
            try:
                await self._speaker.say(told.permit, post, uncertain=card.restored, handle=card.handle)
                await self._speaker.seen(told.permit, "sent", told.text)
            except GreylagError as error:
                if isinstance(error, BackendError) and error.transient:
                    raise
                _log.warning("a card of %s can't be settled: %s", task.task_id, error)
        line.card = replace(card, settled=True)

    @property
    def _changes(self) -> bool:
        return self._speaker.chat.capabilities.edit

    async def _update(
        self, line: Line, task: Task, card: Card | None, run: Sequence[ThreadMessage], then: str
    ) -> _Update | None:
        """Return what the card is to become, None where nothing of it would be new there or may be shown."""
        texts = [await self._speaker.text(task, each) or "…" for each in run]
        # That there is news is said once in a card, and never again and again.
        silent = card is not None or not self._changes
        told = await self._speaker.ask(
            line.conversation, task, Saying(f"{run[-1].sequence}", "\n".join(texts), silent=silent)
        )
        if told is None:
            return None
        before = card.steps if card is not None else ()
        if told.whole:
            new = [step_of(each.sequence, text) for each, text in zip(run, texts, strict=True)]
        else:
            new = [step_of(run[-1].sequence, told.text)]
            if before and before[-1].text == new[0].text:
                return None
        steps = card_steps([*before, *new], self._speaker.chat.capabilities.longest_text)
        return _Update(run, told, standing(steps, _end(then)), settled=then != "progress")

    async def _put(self, line: Line, task: Task, card: Card | None, update: _Update) -> int:
        first, last = update.run[0].sequence, update.run[-1].sequence
        where, permit = line.conversation, update.told.permit
        key = f"{task.task_id}/{last}"
        post = post_of(where, key, "progress", update.told, steps=update.steps, title=task.title)
        uncertain = await self._speaker.begun(where, task.task_id, first, permit)
        try:
            handle = await self._speaker.say(permit, post, uncertain=uncertain, handle=card.handle if card else "")
        except RequestRefused as error:
            if error.code != NEVER_TAKEN:
                raise
            if card is not None:  # somebody took the card away: what is new begins another one
                line.card, line.plain, line.broken = None, None, card.handle
                return first - 1
            await self._speaker.lost(where, task.task_id, last, error)
            await self._speaker.seen(permit, "failed")
            line.past(task.task_id, last)
            return last
        await self._speaker.noted(where, task.task_id, last, "sent", handle)
        await self._speaker.seen(permit, "sent", update.told.text)
        line.progress_at = asyncio.get_running_loop().time()
        changes = self._changes and bool(handle)
        line.past(
            task.task_id, last, Card(task.task_id, handle, last, update.steps, update.settled) if changes else None
        )
        return last

    async def _restored(self, line: Line, task: Task, after: int) -> Card | None:
        speaker = self._speaker
        earlier = await asyncio.to_thread(
            speaker.cell.threads.messages, task.task_id, max(0, after - CARD_STEPS), min(after, CARD_STEPS)
        )
        shown = list(reversed(_leading(list(reversed(earlier)))))
        if not shown or shown[-1].sequence != after:
            return None
        posting = await asyncio.to_thread(speaker.store.posting, line.conversation, task.task_id, after)
        if posting is None or not posting.handle or posting.handle == line.broken:
            return None
        texts = [await speaker.text(task, each) or "…" for each in shown]
        # All of it will be shown again, so all of it is asked about again; what may not be shown is left out.
        saying = Saying(f"{after}/again", "\n".join(texts), silent=True, cut=False)
        told = await speaker.ask(line.conversation, task, saying)
        steps: tuple[Step, ...] = ()
        if told is not None and told.whole:
            made = [step_of(each.sequence, text) for each, text in zip(shown, texts, strict=True)]
            steps = card_steps(made, speaker.chat.capabilities.longest_text)
        return Card(task.task_id, posting.handle, after, steps, restored=True)


def _leading(messages: Sequence[ThreadMessage]) -> Sequence[ThreadMessage]:
    """Return the lines of progress that ``messages`` begin with."""
    end = next((at for at, each in enumerate(messages) if each.kind != "progress"), len(messages))
    return messages[:end]


def _end(then: str) -> str:
    """Return the state of a card's last step by the kind of what follows it."""
    return {"progress": "working", "error": "error"}.get(then, "complete")
