"""Messages: a request, an answer, a follow-up or a command, from somebody who is known."""

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Sequence

from greylag.adapters.chat.port import Control, Overheard
from greylag.delivery.cell import About
from greylag.delivery.conversing.commands import parse
from greylag.delivery.conversing.front.acts import Acts
from greylag.delivery.conversing.front.house import House, Outcome, Turn
from greylag.delivery.conversing.front.notices import PUBLIC, Notices
from greylag.delivery.conversing.identity import LINK_MINUTES
from greylag.delivery.desk import Request, task_id_of
from greylag.delivery.desk.checks import was_taken
from greylag.delivery.intake.trust import own_words
from greylag.domain.errors import GreylagError
from greylag.domain.ids import TaskId
from greylag.domain.repository import Person
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task

_log = logging.getLogger(__name__)
_HISTORY_SECONDS = 10.0
_CONTEXT_CHARACTERS = 4_000
_CONTEXT_BYTES = 60_000
_TOLD = 10_000


class Messages:
    """Takes what somebody said."""

    def __init__(self, house: House, acts: Acts, notices: Notices) -> None:
        self._house = house
        self._acts = acts
        self._notices = notices
        #: Whom a plain reply has been answered already that nobody knows them; a mention is answered each time.
        self._told: OrderedDict[tuple[object, str], None] = OrderedDict()

    async def person(self, turn: Turn) -> Person | None:
        """Return who said it, None for nobody we know. Raises RequestRefused ``GL-PERSON-001`` for one who is gone."""
        house, source = self._house, turn.conversation.source
        known = await asyncio.to_thread(house.store.person, source, turn.heard.author)
        if known is None:
            return None
        return await asyncio.to_thread(house.cell.directory.person, known.person)

    async def ask_who(self, turn: Turn) -> Outcome:
        """Give somebody whom nobody knows the way to say who they are; nothing else happens."""
        reason = "nobody is known by this account"
        told = (turn.conversation, turn.heard.author)
        if turn.heard.kind == "reply" and told in self._told:
            return Outcome("refused", reason)
        source, author = turn.conversation.source, turn.heard.author
        address = await asyncio.to_thread(self._house.links.address_for, source, author, turn.heard.author_name)
        text = (
            "I don't know who you are here, so nothing was done."
            f" Sign in and say who you are within {LINK_MINUTES} minutes, then say it again."
        )
        control = Control("Say who you are", url=address)
        await self._notices.say(turn, About(TaskId(""), PUBLIC), text, text, (control,))
        self._told[told] = None
        if len(self._told) > _TOLD:
            self._told.popitem(last=False)
        return Outcome("refused", reason)

    async def said(self, turn: Turn, person: Person) -> Outcome:
        """Take what a person said. Raises what the desk raises."""
        house = self._house
        began = task_id_of(turn.conversation.source, turn.message_id)
        if await asyncio.to_thread(house.cell.events.read, began, 0, 1):
            return await self._ask(turn, person, again=True)
        task = await asyncio.to_thread(self._task_here, turn)
        if task is None and turn.heard.kind == "reply":
            return Outcome("ignored", "nothing of ours is talked about there")
        if task is None:
            return await self._ask(turn, person)
        return await self._in_thread(turn, person, task)

    def _task_here(self, turn: Turn) -> Task | None:
        task_id = self._house.store.task_in(turn.conversation)
        return self._house.cell.events.task(task_id) if task_id is not None else None

    async def _in_thread(self, turn: Turn, person: Person, task: Task) -> Outcome:
        text, own = turn.heard.text, own_words(turn.heard.text)
        keys = (f"reply/{turn.message_id}", f"answered/{turn.message_id}")
        if await asyncio.to_thread(was_taken, self._house.cell, task, keys):
            return Outcome()
        chosen = next((each for each in task.choices if each.lower() == own.strip().lower()), None)
        if task.status is TaskStatus.ASKED and chosen is not None:
            return await self._reply(turn, person, task, chosen)
        asked = parse(own)
        if asked is not None:
            outcome = await self._acts.command(turn, person, task, asked)
            if outcome is not None:
                return outcome
        if not task.ended:
            return await self._reply(turn, person, task, text)
        if turn.heard.kind in ("mention", "direct"):
            return await self._ask(turn, person)
        note = f"This task has ended (it is `{task.status}`). To begin a new one here, say it with my name in front."
        await self._house.cell.say(task, "text", note, "ended-note")
        return Outcome("ignored", f"{task.task_id} has ended, and nobody was addressed")

    async def _reply(self, turn: Turn, person: Person, task: Task, words: str) -> Outcome:
        await asyncio.to_thread(self._house.desk.reply, task.task_id, person.name, words, turn.message_id)
        await self._mention_files(turn, task)
        return Outcome()

    async def _ask(self, turn: Turn, person: Person, *, again: bool = False) -> Outcome:
        """Make a task of it; ``again``: it is one already, and only what follows may be missing."""
        house, where = self._house, turn.conversation
        context, unread = (b"", False) if again else await self._context(turn)
        request = Request(
            person.name, turn.heard.text, channel=where.source, message_id=turn.message_id, conversation=where,
            context=context, room_label=house.room_label(where),
        )  # fmt: skip
        task = await asyncio.to_thread(house.desk.ask, request)
        if unread:
            text = "What was said here before could not be read, so I go on without it. Say again what matters of it."
            await self._acts.say(turn, task, text, "context")
        await self._mention_files(turn, task)
        return Outcome()

    async def _mention_files(self, turn: Turn, task: Task) -> None:
        count = len(turn.heard.files)
        if count:
            files, those = ("1 file", "it was") if count == 1 else (f"{count} files", "they were")
            text = f"{files} came with that and {those} not read. Put what matters into words, or into the repository."
            await self._acts.say(turn, task, text, "files")

    async def _context(self, turn: Turn) -> tuple[bytes, bool]:
        """Return what was said before in the thread, as JSON, and whether it could not be read."""
        house, limit = self._house, self._house.context_messages
        if limit <= 0:
            return b"", False
        try:
            async with asyncio.timeout(_HISTORY_SECONDS):
                earlier = await house.chat(turn.conversation.source).history(turn.conversation, limit)
        except Exception as error:  # noqa: BLE001 - a request without its thread is better than none, and it is said
            reason = error.code if isinstance(error, GreylagError) else type(error).__name__
            _log.warning("a request of %s goes on without its thread: %s", turn.conversation.source, reason)
            return b"", True
        before = [each for each in earlier if each.message_id != turn.heard.message_id][-limit:]
        return await asyncio.to_thread(self._spelled, turn, before), False

    def _spelled(self, turn: Turn, before: Sequence[Overheard]) -> bytes:
        """Return earlier messages as a JSON list of author, own and text; the newest that fit, b"" for none."""
        author, source = turn.heard.author, turn.conversation.source
        names: dict[str, str] = {}
        kept: list[bytes] = []
        size = 2
        for each in reversed(before):
            if not each.text.strip():
                continue
            if each.author not in names:
                known = self._house.store.person(source, each.author)
                names[each.author] = known.person if known is not None else each.author[:120]
            name = "greylag" if each.ours else names[each.author]
            text = each.text.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
            own = each.author == author and not each.ours
            entry = {"author": name, "own": own, "text": text[:_CONTEXT_CHARACTERS]}
            spelled = json.dumps(entry, ensure_ascii=False).encode("utf-8", "replace")
            size += len(spelled) + 1
            if size > _CONTEXT_BYTES:
                break
            kept.append(spelled)
        return b"[" + b",".join(reversed(kept)) + b"]" if kept else b""
