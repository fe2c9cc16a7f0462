"""The front itself: the one listener of every chat, and the workers behind it."""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime, timedelta

from greylag.adapters.chat.port import Heard, Home
from greylag.adapters.store.port import Arrival
from greylag.delivery.cell import About
from greylag.delivery.conversing.front.acts import Acts
from greylag.delivery.conversing.front.clicks import Clicks, looks_approving
from greylag.delivery.conversing.front.hearing import SPOKEN, Kept, bounded, read_back, untimely, written
from greylag.delivery.conversing.front.homes import Homes
from greylag.delivery.conversing.front.house import House, Outcome, Turn, message_id_of, own_subject
from greylag.delivery.conversing.front.line import Line, Rush
from greylag.delivery.conversing.front.messages import Messages
from greylag.delivery.conversing.front.notices import Notices
from greylag.delivery.conversing.identity import is_plain_id
from greylag.domain.conversation import Conversation
from greylag.domain.errors import BackendError, GreylagError, IntegrityError, RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.task import Task

_log = logging.getLogger(__name__)
_WORKERS = 8
_MOST_WAITING = 10_000
_TURNS_KEPT = 2_000
_SWEEP_SECONDS = 15.0
#: How long what is settled is remembered: what is delivered again within that time is known, what comes later is stale.
_REMEMBERED = timedelta(days=30)
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 60.0
_STORE_AWAY_SECONDS = 2.0
#: How long after its arrival something waits for others that still have to be kept and shown as heard.
_GIVE_WAY_SECONDS = 2.5
#: How long an arrival is tried while something it needs is away.
_PATIENCE = timedelta(hours=24)
_DEFECTS = 3
_DEATHS = 5
_BEGUN = "begun"


class Front:
    """The `greylag.adapters.chat.port.Listener` of every chat.

    What `take` returned for is durable and ends in a reply or a logged reason, whatever dies in between. `run` handles
    it, until cancelled; what is under way then is handled again by the next front, with the same effects.
    """

    def __init__(self, house: House, *, workers: int = _WORKERS) -> None:
        self._house = house
        self._workers = workers
        self._rush = Rush()
        self._notices = Notices(house, self._rush)
        acts = Acts(house)
        self._clicks = Clicks(house, acts)
        self._messages = Messages(house, acts, self._notices)
        self._homes = Homes(house)
        self._line = Line(self._handle)
        self._turns: OrderedDict[Conversation, asyncio.Lock] = OrderedDict()
        self._forgotten_at: datetime | None = None

    async def take(self, heard: Heard) -> None:
        """Keep what was heard, durable when it returns; drop duplicates, what is stale, and what is not for us.

        Raises BackendError where it can't be kept now: then the chat must deliver it again.
        """
        known = bounded(heard)
        if known is None:
            _log.warning("ignored: an event with ids that no chat gives")
            return
        with self._rush.under_way():
            fresh = await self._taken(known)
        if fresh and known.kind in SPOKEN:
            self._notices.mark_soon(known)

    async def _taken(self, known: Heard) -> bool:
        """Keep what was heard when its turn in its conversation comes; return whether it is new."""
        async with self._turn(known.conversation):
            if len(self._line) >= _MOST_WAITING:
                raise BackendError(
                    "GL-CHAT-028", f"{_MOST_WAITING} things that were heard wait to be handled.",
                    "the chat delivers it again; see in the log what holds them up.", transient=True,
                )  # fmt: skip
            busy = self._line.holds(known.conversation)
            # Shielded: a caller that loses patience must not leave something durable that nobody handles.
            return await asyncio.shield(asyncio.create_task(self._kept(known, busy)))

    async def home(self, source: str, author: str) -> Home:
        """Return what the home of the chat's ``author`` shows; decided already."""
        if not (is_plain_id(source) and is_plain_id(author)):
            return Home(problem="This chat account has an id that no chat gives.")
        return await self._homes.home(source, author)

    async def run(self) -> None:
        """Handle what was taken, first what a former process left, until cancelled."""
        self._line.clear()  # whoever worked here before may have left something half done
        await self._recover()
        working = [asyncio.create_task(self._line.work(), name=f"front {number}") for number in range(self._workers)]
        working.append(asyncio.create_task(self._sweep(), name="front sweep"))
        try:
            done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for each in working:
                each.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            await self._notices.close()

    async def _kept(self, heard: Heard, busy: bool) -> bool:
        arrival, fresh = await asyncio.to_thread(self._keep, heard, busy)
        if arrival is not None:
            self._line.add(arrival)
        return fresh

    def _keep(self, heard: Heard, busy: bool) -> tuple[Arrival | None, bool]:
        """Return the arrival that is to be handled, if any, and whether it is new."""
        store, where = self._house.store, heard.conversation
        earlier = store.known(where.source, heard.event_id)
        if earlier is not None:
            _log.info("ignored: %s of %s came before (%s)", heard.kind, where.source, earlier.state)
            return (earlier if earlier.state == "taken" else None), False
        now = self._house.cell.clock.now()
        task_id = store.task_in(where)
        reason = untimely(heard, now) or self._not_for_us(heard, task_id, busy)
        if reason:
            _log.info("ignored: %s of %s: %s", heard.kind, where.source, reason)
            return None, False
        body, kept = self._keep_words(heard, task_id)
        arrival = store.arrive(where, heard.event_id, written(heard, kept), body, now)
        return arrival, arrival is not None

    def _not_for_us(self, heard: Heard, task_id: TaskId | None, busy: bool) -> str:
        if heard.kind in ("reply", "unreadable") and task_id is None and not busy:
            return "nothing of ours is talked about there"
        if heard.kind == "reaction":
            if not looks_approving(heard.value) and not looks_approving(heard.text):
                return "a reaction says nothing to us"
            source, room = heard.conversation.source, heard.conversation.room
            if self._house.store.posted_as(source, room, heard.message_id) is None:
                return "a reaction to nothing of ours"
        return ""

    def _keep_words(self, heard: Heard, task_id: TaskId | None) -> tuple[Reference | None, Kept]:
        """Keep the words in the vault; where they can't be kept for good, the reason instead."""
        house, where = self._house, heard.conversation
        characters = len(heard.text)
        if not heard.text or characters > house.cell.bounds.request_characters:
            return None, Kept("", characters)
        label = house.label_in(where)
        about = About(own_subject(where.source, heard.event_id), label)
        if task_id is not None:
            about = About.of(house.cell.events.task(task_id))
            about = replace(about, label=about.label.joined(label))
        key = f"heard/{message_id_of(where.source, heard.event_id)}"
        try:
            body = house.cell.keep_now(about, heard.text.encode(), "message", key)
        except RequestRefused as error:
            return None, Kept("", characters, (error.code, error.message[:1000], error.remedy[:1000]))
        return body, Kept(about.task_id, characters)

    async def _handle(self, arrival: Arrival) -> float:
        """Handle an arrival; return in how many seconds it is to be tried again, 0 where it is settled."""
        store = self._house.store
        # Where many speak at once, first everybody sees that they were heard.
        age = (self._house.cell.clock.now() - arrival.at).total_seconds()
        await self._rush.over(_GIVE_WAY_SECONDS - max(age, 0.0))
        try:
            current = await asyncio.to_thread(store.known, arrival.conversation.source, arrival.event_id)
            if current is None or current.state != "taken":
                return 0.0
            deaths = _deaths(current.reason)
            await asyncio.to_thread(store.settle, current.number, "taken", f"{_BEGUN} {deaths + 1}")
            return await self._attempt(current, deaths)
        except BackendError as error:
            _log.warning("arrival %d waits: %s", arrival.number, error)
            return _STORE_AWAY_SECONDS

    async def _attempt(self, arrival: Arrival, deaths: int) -> float:
        turn = Turn(arrival, Heard(arrival.event_id, "", arrival.conversation, "", ""), uncertain=arrival.tries > 0)
        try:
            heard, kept = read_back(arrival, "")
            turn = replace(turn, heard=heard)
            if deaths >= _DEATHS:
                raise _defect(f"the process ended {deaths} times while handling it")
            outcome = await self._deal(replace(turn, heard=replace(heard, text=await self._words(arrival, kept))))
        except GreylagError as error:
            cause = error
        except Exception as error:  # noqa: BLE001 - the last line: what was taken never ends in silence
            _log.exception("arrival %d", arrival.number)
            if _defects(arrival.reason) + 1 < _DEFECTS:
                return await self._again(arrival, f"defect {_defects(arrival.reason) + 1}")
            cause = _defect(type(error).__name__)
        else:
            return await self._settled(arrival, outcome)
        if self._is_away(cause, arrival):
            return await self._again(arrival, f"waits: {cause.code}")
        return await self._refused(turn, cause)

    async def _words(self, arrival: Arrival, kept: Kept) -> str:
        """Return what was said. Raises RequestRefused for what could not be kept, and ``GL-INTAKE-002`` (too long)."""
        if kept.refusal is not None:
            raise RequestRefused(*kept.refusal)
        if arrival.body is not None:
            raw = await asyncio.to_thread(self._house.cell.vault.get, arrival.body, subject=kept.subject)
            return raw.decode("utf-8", "replace")
        limit = self._house.cell.bounds.request_characters
        if kept.characters > limit:
            raise RequestRefused(
                "GL-INTAKE-002", f"the message has {kept.characters} characters, at most {limit} are taken.",
                "say it shorter.",
            )  # fmt: skip
        return ""

    async def _deal(self, turn: Turn) -> Outcome:
        kind = turn.heard.kind
        if kind == "reaction":
            return await self._clicks.reacted(turn)
        if kind == "unreadable":
            if await asyncio.to_thread(self._house.store.task_in, turn.conversation) is None:
                return Outcome("ignored", "nothing of ours is talked about there")
            raise RequestRefused(
                "GL-CHAT-034", "a message could not be decrypted here, so nothing was done.",
                "say it again; if that does not help, sign out and in again in your chat program.",
            )  # fmt: skip
        person = await self._messages.person(turn)
        if person is None:
            return await self._messages.ask_who(turn)
        if kind == "click":
            return await self._clicks.clicked(turn, person)
        return await self._messages.said(turn, person)

    def _is_away(self, cause: GreylagError, arrival: Arrival) -> bool:
        patient = self._house.cell.clock.now() - arrival.at < _PATIENCE
        return isinstance(cause, BackendError) and cause.transient and patient

    async def _refused(self, turn: Turn, cause: GreylagError) -> float:
        """Tell the sender why not, and settle it as refused; where even that has to wait, wait."""
        arrival, reason = turn.arrival, f"{cause.code}: {cause.message}"
        _log.warning("refused: %s of %s: %s", turn.heard.kind or "arrival", turn.conversation.source, reason)
        try:
            await self._tell(turn, cause)
        except GreylagError as error:
            if self._is_away(error, arrival):
                return await self._again(arrival, f"waits: {error.code}")
            reason = f"{reason} It could not be told: {error.code}"
        except Exception as error:  # noqa: BLE001 - it is refused all the same, and the log and the inbox say so
            _log.exception("arrival %d could not be answered", arrival.number)
            reason = f"{reason} It could not be told: {type(error).__name__}"
        return await self._settled(arrival, Outcome("refused", reason))

    async def _tell(self, turn: Turn, cause: GreylagError) -> None:
        """Say it in the task's own thread, where what was said belongs to one; else straight to the sender."""
        task_id = await asyncio.to_thread(self._house.store.task_in, turn.conversation)
        task: Task | None = await self._house.cell.task(task_id) if task_id is not None else None
        if task is not None and turn.heard.kind in SPOKEN:
            await self._house.cell.say(task, "error", await self._notices.words(cause), f"refused/{turn.message_id}")
        elif turn.heard.author:
            await self._notices.refuse(turn, cause, task)

    async def _settled(self, arrival: Arrival, outcome: Outcome) -> float:
        if outcome.state != "handled":
            _log.info("%s: arrival %d: %s", outcome.state, arrival.number, outcome.reason)
        await asyncio.to_thread(self._house.store.settle, arrival.number, outcome.state, outcome.reason)
        if outcome.state != "handled" and arrival.body is not None:
            await asyncio.to_thread(self._forget_words, arrival)
        return 0.0

    def _forget_words(self, arrival: Arrival) -> None:
        """Erase the words of what became nobody's task; what belongs to a task stays as long as that does."""
        cell, source = self._house.cell, arrival.conversation.source
        subject = own_subject(source, arrival.event_id)
        try:
            if read_back(arrival, "")[1].subject == subject and not cell.events.read(subject, 0, 1):
                cell.vault.erase(subject)
        except GreylagError as error:
            _log.warning("the words of arrival %d could not be erased: %s", arrival.number, error)

    async def _again(self, arrival: Arrival, reason: str) -> float:
        await asyncio.to_thread(self._house.store.settle, arrival.number, "taken", reason)
        return _backoff(arrival.tries // 2)  # a try is noted when it begins, and when it has to wait

    async def _recover(self) -> None:
        """Put everything into line that is taken and not settled; again is fine."""
        for arrival in await asyncio.to_thread(self._house.store.waiting, _MOST_WAITING):
            self._line.add(arrival)

    async def _sweep(self) -> None:
        """Now and then: bring into line what nobody handles, and forget what was settled long ago."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self._recover()
                now = self._house.cell.clock.now()
                if self._forgotten_at is None or now - self._forgotten_at > timedelta(hours=1):
                    self._forgotten_at = now
                    await asyncio.to_thread(self._house.store.forget, now - _REMEMBERED)
            except GreylagError as error:
                _log.warning("the inbox can't be swept, the next time tries again: %s", error)

    def _turn(self, conversation: Conversation) -> asyncio.Lock:
        """Return the lock that keeps what is heard in one conversation in the order in which it was heard."""
        lock = self._turns.setdefault(conversation, asyncio.Lock())
        self._turns.move_to_end(conversation)
        while len(self._turns) > _TURNS_KEPT:
            oldest = next(iter(self._turns))
            if self._turns[oldest].locked() or oldest == conversation:
                break
            del self._turns[oldest]
        return lock


def _backoff(tries: int) -> float:
    """Return how long to wait after ``tries`` that failed before: longer each time."""
    return float(min(_FIRST_WAIT_SECONDS * 2.0 ** min(tries, 20), _LONGEST_WAIT_SECONDS))


def _deaths(reason: str) -> int:
    """Return how often in a row the process ended while an arrival with this ``reason`` was handled."""
    word, _, number = reason.partition(" ")
    return int(number) if word == _BEGUN and number.isdecimal() else 0


def _defects(reason: str) -> int:
    word, _, number = reason.partition(" ")
    return int(number) if word == "defect" and number.isdecimal() else 0


def _defect(what: str) -> IntegrityError:
    return IntegrityError(
        "GL-CHAT-029",
        f"what was said could not be handled, in a way nobody expected ({what}).",
        "the operator finds the cause in the log; nothing was done twice, say it again in other words.",
    )
