"""Clicks and reactions: what a control brings back is hostile until it is found on a message of ours."""

import asyncio
import logging

from greylag.adapters.store.port import Posting, ThreadMessage
from greylag.delivery.conversing.front.acts import Acts
from greylag.delivery.conversing.front.house import House, Outcome, Turn
from greylag.delivery.desk.checks import was_taken
from greylag.domain.conversation import Offer
from greylag.domain.errors import RequestRefused
from greylag.domain.repository import Person
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task

_log = logging.getLogger(__name__)
#: Reactions that look like a yes. None of them is one: who can put one is not for sure who they seem to be.
APPROVING = frozenset(
    (
        *"✅✔☑👍👌🚀🆗💯🎉", "+1", "thumbsup", ":+1:", ":thumbsup:", ":white_check_mark:", ":heavy_check_mark:",
        ":ballot_box_with_check:", ":ok:", ":ok_hand:", ":ship:", ":shipit:", ":rocket:",
    )
)  # fmt: skip
_DRESSING = str.maketrans("", "", "\ufe0e\ufe0f🏻🏼🏽🏾🏿")


class Clicks:
    """Does what controls of our messages offer, if they do offer it."""

    def __init__(self, house: House, acts: Acts) -> None:
        self._house = house
        self._acts = acts

    async def clicked(self, turn: Turn, person: Person) -> Outcome:
        """Do what the clicked control offers.

        Raises RequestRefused ``GL-CHAT-030`` (not a message of ours), ``-031`` (of another task or conversation),
        ``-032`` (it never offered that), ``-033`` (a question that is not asked any more), and what the acts raise.
        """
        task, offer = await asyncio.to_thread(self._offered, turn)
        heard = turn.heard
        match offer.verb:
            case "approve":
                return await self._acts.approve(turn, person, task, offer.value)
            case "reject":
                reason = heard.text.strip()
                return await self._acts.reject(turn, person, task, reason, offer.value)
            case "answer" | "say":
                return await self._said(turn, person, task, offer)
            case "stop":
                return await self._acts.stop(turn, person, task)
            case "status":
                return await self._acts.status(turn, task)
            case "roll_back":
                return await self._acts.roll_back_offered(turn, person, task, offer.value)
            case _:
                return Outcome()  # `see` and `open` only lead to a page

    async def reacted(self, turn: Turn) -> Outcome:
        """Answer a reaction that looks like an approval with the way to approve, once per card; it never is one."""
        posting = await asyncio.to_thread(self._posting, turn)
        if posting is None:
            return Outcome("ignored", "a reaction to nothing of ours")
        task = await self._house.cell.task(posting.task_id)
        message = await asyncio.to_thread(self._message, posting)
        offers = message.offers if message is not None else ()
        if task.status is not TaskStatus.IN_REVIEW or all(each.verb != "approve" for each in offers):
            return Outcome("ignored", "a reaction to something that can't be approved")
        text = (
            "A reaction is no approval: it does not say surely enough who gave it, or to what."
            f" To approve, press the button, say `approve`, or decide here: {self._house.pages.task(task.task_id)}"
        )
        await self._house.cell.say(task, "text", text, f"reaction/{posting.sequence}")
        return Outcome("refused", "a reaction is no approval")

    async def _said(self, turn: Turn, person: Person, task: Task, offer: Offer) -> Outcome:
        heard, desk = turn.heard, self._house.desk
        words = offer.value or heard.text
        keys = (f"reply/{turn.message_id}", f"answered/{turn.message_id}")
        if await asyncio.to_thread(was_taken, self._house.cell, task, keys):
            return Outcome()
        asked = task.status is TaskStatus.ASKED and (not offer.value or offer.value in task.choices)
        if offer.verb == "answer" and not asked:
            raise RequestRefused(
                "GL-CHAT-033", "that question is not asked any more.", "say it in your own words, as a reply."
            )
        await asyncio.to_thread(desk.reply, task.task_id, person.name, words, turn.message_id, heard.mode)
        return Outcome()

    def _offered(self, turn: Turn) -> tuple[Task, Offer]:
        """Return the task and the offer that the click takes up, as they stand in our own records."""
        heard, house = turn.heard, self._house
        posting = self._posting(turn)
        if posting is None:
            raise RequestRefused(
                "GL-CHAT-030",
                "what was clicked is no message of ours.",
                "open the task's newest message and try there.",
            )
        here = [each for each in house.store.conversations(posting.task_id) if each == posting.conversation]
        same_task = heard.task_id in ("", posting.task_id)
        if not same_task or not here or posting.conversation.room != turn.conversation.room:
            _log.warning("refused: a click for %r on a message of %s", heard.task_id[:60], posting.task_id)
            raise RequestRefused(
                "GL-CHAT-031",
                "the button belongs to another task than its message.",
                "use the newest message's buttons.",
            )
        task = house.cell.events.task(posting.task_id)
        message = self._message(posting)
        offers = message.offers if message is not None else ()
        found = next((each for each in offers if (each.verb, each.value) == (heard.verb, heard.value)), None)
        if found is None:
            _log.warning("refused: a click for %r, which message %d never offered", heard.verb, posting.sequence)
            raise RequestRefused(
                "GL-CHAT-032",
                "that message never offered this.",
                "use the newest message's buttons, or say it in words.",
            )
        return task, found

    def _posting(self, turn: Turn) -> Posting | None:
        where, handle = turn.conversation, turn.heard.message_id
        found = self._house.store.posted_as(where.source, where.room, handle) if handle else None
        return found if found is not None and found.state in ("sent", "sending") else None

    def _message(self, posting: Posting) -> ThreadMessage | None:
        found = self._house.cell.threads.messages(posting.task_id, posting.sequence - 1, 1)
        return found[0] if found and found[0].sequence == posting.sequence else None


def looks_approving(mark: str) -> bool:
    """Whether the reaction ``mark`` looks like a yes."""
    return mark.strip().translate(_DRESSING) in APPROVING
