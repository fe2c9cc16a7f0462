"""What every chat keeps when somebody says something there. Part of `greylag.adapters.chat.conformance`."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from greylag.adapters.chat.counterpart import Counterpart, Ear, Trial, readable, until
from greylag.adapters.chat.port import Heard
from greylag.adapters.chat.saying import CARD
from greylag.domain.stages import Stage

_MARK = "seen"
_AGAIN_SECONDS = 60.0
_CLOSE_SECONDS = 15.0
#: What people say; a chat must bring it whole, as data.
_SPOKEN = (
    "please look at <b>this</b> & that",
    "umlauts \u00e4\u00f6\u00fc and \U0001f469\u200d\U0001f467",
    "> quoted\nown words",
)


@dataclass(slots=True)
class Listening:
    """A chat that is listened to, and what was heard."""

    trial: Trial
    person: Counterpart
    ear: Ear
    task: asyncio.Task[None]

    @classmethod
    async def begin(cls, trial: Trial, person: Counterpart) -> "Listening":
        """Listen to the chat as it is open now."""
        ear = Ear()
        return cls(trial, person, ear, asyncio.create_task(trial.chat.listen(ear)))

    async def hears(self, words: str, seconds: float | None = None) -> list[Heard]:
        """Return what was heard of ``words``, as soon as there is any."""

        async def look() -> list[Heard]:
            return [each for each in self.ear.heard if readable(words, each.text)]

        return await until(look, bool, seconds)

    async def fence(self, words: str) -> None:
        """Wait until something said now was heard: what was said before it has had its time."""
        await self.person.say(words)
        await self.hears(words)

    async def end(self) -> bool:
        """Close the chat; return whether it stopped to listen by itself."""
        await self.trial.chat.close()
        done, _ = await asyncio.wait({self.task}, timeout=_CLOSE_SECONDS)
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        return bool(done)

    async def anew(self) -> "Listening":
        """End, open the chat as another process would, and listen to it."""
        await self.end()
        self.trial.chat = await self.trial.open_chat()
        return await Listening.begin(self.trial, self.person)


async def check_hearing(trial: Trial, person: Counterpart) -> Listening:
    """What a person says is heard once, as it was said and by whom; our own words are not."""
    listening = await Listening.begin(trial, person)
    await listening.fence("can you hear me")
    ids = [await person.say(words) for words in _SPOKEN]
    await trial.post(trial.text("what the platform says itself"))
    await listening.fence("that is all for now")
    for words, message_id in zip(_SPOKEN, ids, strict=True):
        found = [each for each in listening.ear.heard if each.message_id == message_id]
        promise = f"hears once, whole: {words[:12]}"
        trial.find(promise, len(found) == 1 and readable(words, found[0].text), found or listening.ear.heard)
    heard = [each for each in listening.ear.heard if each.message_id in ids]
    trial.find("says who said it", {each.author for each in heard} == {person.author}, heard)
    trial.find("says where it was said", {each.conversation for each in heard} == {person.conversation}, heard)
    events = {each.event_id for each in heard}
    trial.find("gives every event an id of its own", len(events) == len(ids) and "" not in events, events)
    kinds = {each.kind for each in heard}
    trial.find("says how it was said", kinds <= {"mention", "direct", "reply"}, kinds)
    own = [each for each in listening.ear.heard if "the platform says itself" in each.text]
    trial.find("does not hear itself", not own, own)
    return listening


async def check_clicks(listening: Listening) -> None:
    """A click brings back exactly what the control carried, who clicked and where; a reaction is never a click."""
    trial, person = listening.trial, listening.person
    seen = await trial.said(trial.text("press something", "card", controls=CARD))
    if trial.chat.capabilities.buttons:
        for control in CARD[:3]:
            asks = bool(control.asks) and trial.chat.capabilities.modals
            words = "because <b>it</b> isn't right" if asks else ""
            found = await _clicked(listening, seen.message_id, control.label, words)
            carried = [(each.verb, each.value, each.task_id) for each in found]
            good = carried == [(control.verb, control.value, control.task_id)]
            trial.find(f"a click on {control.label!r} brings back what it carries", good, carried)
            by = {(each.author, each.conversation, each.message_id) for each in found}
            good = by == {(person.author, person.conversation, seen.message_id)}
            trial.find(f"a click on {control.label!r} says who and where", good, by)
            if asks:
                trial.find("what a control asks for comes with it", [each.text for each in found] == [words], found)
    before = len(listening.ear.heard)
    await person.react(seen.message_id, "\u2705")
    await listening.fence("after the reaction")
    acts = [each for each in listening.ear.heard[before:] if each.kind == "click" or each.verb]
    trial.find("a reaction is never a click", not acts, acts)


async def _clicked(listening: Listening, message_id: str, label: str, words: str) -> list[Heard]:
    seen = next(each for each in await listening.trial.ours() if each.message_id == message_id)
    before = len(listening.ear.heard)
    control = next((each for each in seen.controls if each.label == label), None)
    if control is None:
        return []
    await listening.person.click(message_id, control, words)

    async def look() -> list[Heard]:
        return [each for each in listening.ear.heard[before:] if each.kind == "click"]

    return await until(look, bool)


async def check_delivery(listening: Listening) -> Listening:
    """What was not taken comes again; what was taken doesn't; what was said meanwhile is heard, where the chat can."""
    trial, person = listening.trial, listening.person
    if person.redelivers:
        listening.ear.spurned.add("not taken at first")
        await person.say("this is not taken at first")
        found = await listening.hears("not taken at first", _AGAIN_SECONDS)
        ids = {each.event_id for each in (*listening.ear.refused, *found)}
        trial.find("what was not taken is delivered again", len(found) == 1 and len(ids) == 1, (found, ids))
    known = {each.event_id for each in listening.ear.heard}
    ended = await listening.end()
    trial.find("close ends listening", ended, "it went on")
    if person.keeps:
        await person.say("said while nobody listened")
    listening = await listening.anew()
    if person.keeps:
        found = await listening.hears("while nobody listened", _AGAIN_SECONDS)
        trial.find("hears what was said while nobody listened", len(found) == 1, found)
    await listening.fence("said after it was opened again")
    again = [each for each in listening.ear.heard if each.event_id in known]
    trial.find("hears nothing a second time after it was opened again", not again, again)
    return listening


async def check_marks(listening: Listening) -> None:
    """A first sign of life stands on somebody's message once, however often it is put there."""
    trial, person = listening.trial, listening.person
    message_id = await person.say("a sign of life please")
    await listening.hears("a sign of life please")
    marks = await _marks_of(trial, message_id)
    await _mark(trial, message_id)
    await until(lambda: _marks_of(trial, message_id), lambda now: len(now) > len(marks), 3.0)
    once = await _marks_of(trial, message_id)
    await _mark(trial, message_id)
    await listening.fence("after the marks")
    twice = await _marks_of(trial, message_id)
    trial.find("marked twice is marked once", once == twice and len(set(twice)) == len(twice), f"{once}, then {twice}")


async def _mark(trial: Trial, message_id: str) -> None:
    from_digest = trial.text(_MARK).digest
    permit = trial.permits(Stage.CHAT, trial.chat.where, from_digest)
    await trial.chat.mark(permit, trial.other.conversation, message_id, _MARK)


async def _marks_of(trial: Trial, message_id: str) -> tuple[str, ...]:
    return next((each.marks for each in await trial.other.seen() if each.message_id == message_id), ())


async def check_history(listening: Listening) -> None:
    """The thread as context: the newest messages, oldest first, no more than asked for, ours known as ours."""
    trial, person = listening.trial, listening.person
    await person.say("first of the history")
    await trial.post(trial.text("second of the history"))
    await person.say("third of the history")
    await listening.fence("fourth of the history")
    words = [f"{which} of the history" for which in ("second", "third", "fourth")]
    found = await trial.chat.history(person.conversation, 3)
    good = len(found) == 3 and all(readable(*pair) for pair in zip(words, (each.text for each in found), strict=True))
    trial.find("history is the newest messages in order", good, [each.text for each in found])
    ours = [each.ours for each in found]
    trial.find("history knows what is ours", ours == [True, False, False], ours)
    theirs = {each.author for each in found if not each.ours}
    trial.find("history says who said it", theirs == {person.author}, theirs)
    trial.find("history of nothing is nothing", not await trial.chat.history(person.conversation, 0))


async def check_encryption(trial: Trial, person: Counterpart) -> None:
    """Where it says end-to-end, the server never has the words."""
    words = "a sentence that only two can read"
    await trial.said(trial.text(words))
    if trial.chat.capabilities.encryption == "end-to-end":
        trial.find("the server can't read it", not await person.server_reads(words), "it can")
