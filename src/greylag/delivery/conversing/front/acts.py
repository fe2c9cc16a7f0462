"""Acts on a task, by a click or in words: each by the rules of the desk, each bound to what the person had seen."""

import asyncio
from collections import defaultdict

from greylag.adapters.store.port import Deployment
from greylag.delivery.answering import live_words, reviewers_of, status_words
from greylag.delivery.conversing.commands import DIGEST_CHARACTERS, Command
from greylag.delivery.conversing.front.house import House, Outcome, Turn
from greylag.delivery.desk import Request
from greylag.delivery.releases import roll_back, say_rolled_back
from greylag.domain import events as ev
from greylag.domain.conversation import Offer
from greylag.domain.errors import RequestRefused
from greylag.domain.repository import Person
from greylag.domain.states import ApprovalStatus, TaskStatus
from greylag.domain.task import Task

_S = TaskStatus
_LONGEST_THREAD = 10_000
#: Where the code of a task stands in the default branch, so that it can be released (again).
_MERGED = (_S.MERGED, _S.RELEASED, _S.ROLLED_BACK, _S.ANSWERED)


class Acts:
    """What people can do with a task besides saying more. Each raises what the desk raises."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._rolling: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def command(self, turn: Turn, person: Person, task: Task, asked: Command) -> Outcome | None:
        """Do what was asked for in words; None where the words are no command as the task stands now."""
        match asked.verb:
            case "approve":
                return await self._approve_in_words(turn, person, task, asked)
            case "reject":
                return await self._reject_in_words(turn, person, task, asked)
            case "stop":
                return await self.stop(turn, person, task)
            case "status":
                return await self.status(turn, task)
            case "live":
                return await self.live(turn, task)
            case "ship":
                return await self.ship(turn, person, task)
            case _:
                return await self.ask_roll_back(turn, person, task, asked)

    async def approve(self, turn: Turn, person: Person, task: Task, subject: str) -> Outcome:
        """Approve exactly ``subject``, where the chat says strongly enough who this is."""
        self._require_vouched(turn, task, "an approval")
        given = any(
            each.by == person.name and each.subject == subject and each.status is not ApprovalStatus.VOIDED
            for each in task.approvals
        )
        if not given:
            via = f"chat:{turn.conversation.source}"
            await asyncio.to_thread(self._house.desk.approve, task.task_id, person.name, subject, via)
        return Outcome()

    async def reject(self, turn: Turn, person: Person, task: Task, reason: str, subject: str = "") -> Outcome:
        """Reject what is up for review; with ``subject``, only where that is what is up. Again by the same is once."""
        if await asyncio.to_thread(self._rejected_by, task, person):
            return Outcome()
        if subject and task.status is _S.IN_REVIEW and subject != task.subject:
            raise _stale(task, subject)
        await asyncio.to_thread(self._house.desk.reject, task.task_id, person.name, reason)
        return Outcome()

    async def stop(self, turn: Turn, person: Person, task: Task) -> Outcome:
        """Stop the task; again by the same person is once."""
        if task.stop_requested_by != person.name:
            await asyncio.to_thread(self._house.desk.stop, task.task_id, person.name, "stopped in the chat")
        return Outcome()

    async def status(self, turn: Turn, task: Task) -> Outcome:
        """Say where the task stands."""
        await self.say(turn, task, await status_words(self._house.cell, task), "status")
        return Outcome()

    async def live(self, turn: Turn, task: Task) -> Outcome:
        """Say what is live of the task's repository."""
        words = await live_words(self._house.cell, _repository(task))
        await self.say(turn, task, words, "live")
        return Outcome()

    async def ship(self, turn: Turn, person: Person, task: Task) -> Outcome:
        """Begin a release of what is merged, as a task of its own in the same conversation; else say what it lacks."""
        house = self._house
        if task.status in _MERGED:
            name = _repository(task)
            where = turn.conversation
            request = Request(
                person.name, f"Release {name} as it is.", name, channel=where.source, message_id=turn.message_id,
                conversation=where, room_label=house.room_label(where),
            )  # fmt: skip
            await asyncio.to_thread(house.desk.ask, request)
            return Outcome()
        people = await asyncio.to_thread(house.cell.directory.people)
        await self.say(turn, task, _why_not_yet(task, reviewers_of(task, people)), "ship")
        return Outcome()

    async def ask_roll_back(self, turn: Turn, person: Person, task: Task, asked: Command) -> Outcome:
        """Ask whether exactly what is live now is to go; where the words name its digest already, do it."""
        _require_releaser(person)
        name = _repository(task)
        environment = asked.environment or await asyncio.to_thread(self._only_environment, name)
        history = await asyncio.to_thread(self._history, name, environment)
        if not history and asked.environment:
            known = (await asyncio.to_thread(self._house.cell.directory.repository, name)).environments
            if all(each.name != environment for each in known):
                there = ", ".join(f"`{each.name}`" for each in known) or "none"
                raise RequestRefused(
                    "GL-RELEASE-001", f"{name} has no environment {environment!r}.", f"there is: {there}."
                )
        if asked.digest:
            return await self._roll_back(turn, person, task, environment, asked.digest)
        earlier = next((each for each in history if each.digest != history[0].digest), None)
        if earlier is None:
            raise RequestRefused(
                "GL-RELEASE-002", f"nothing else ran in {environment} before.", "release a fix instead."
            )
        now = history[0]
        short = now.digest.removeprefix("sha256:")[:DIGEST_CHARACTERS]
        text = (
            f"{environment} of {name} runs {now.name} ({now.digest[:19]}…)."
            f" Bring back {earlier.name}, which ran before?"
            f"\nPress the button, or say: roll back {environment} {short}"
        )
        offer = Offer("roll_back", f"Roll {environment} back to {earlier.name}"[:75], f"{environment}/{now.digest}")
        await self.say(turn, task, text, "roll-back", "question", (offer,))
        return Outcome()

    async def roll_back_offered(self, turn: Turn, person: Person, task: Task, value: str) -> Outcome:
        """Do what a button offered: bring back what ran before the digest it names, if that is still what runs."""
        environment, _, digest = value.partition("/")
        if not digest.removeprefix("sha256:"):
            # A button that was made without a digest: it is asked once more, about exactly what runs now.
            return await self.ask_roll_back(turn, person, task, Command("roll_back", environment=environment))
        return await self._roll_back(turn, person, task, environment, digest.removeprefix("sha256:"))

    async def say(
        self, turn: Turn, task: Task, text: str, name: str, kind: str = "text", offers: tuple[Offer, ...] = ()
    ) -> None:
        """Say ``text`` in the task's own thread, once per arrival and ``name``; the courier takes it to the chat."""
        await self._house.cell.say(task, kind, text, f"{name}/{turn.message_id}", offers)

    async def _approve_in_words(self, turn: Turn, person: Person, task: Task, asked: Command) -> Outcome:
        if task.status not in (_S.IN_REVIEW, _S.APPROVED) and not task.approvals:
            subject = ""  # the desk says why not, better than a missing card would
        else:
            subject = await asyncio.to_thread(self._card_seen, turn, task)
            if not asked.digest and not self._house.chat(turn.conversation.source).capabilities.buttons:
                raise RequestRefused(
                    "GL-CHAT-035",
                    "in this chat an approval names what it approves: in which thread words stand is not sealed there.",
                    f"say `approve {subject.removeprefix('sha256:')[:DIGEST_CHARACTERS]}`, as the card has it.",
                )
            if asked.digest and not subject.removeprefix("sha256:").startswith(asked.digest):
                raise _stale(task, f"sha256:{asked.digest}")
        return await self.approve(turn, person, task, subject)

    async def _reject_in_words(self, turn: Turn, person: Person, task: Task, asked: Command) -> Outcome | None:
        if not asked.sure:
            if task.status is not _S.IN_REVIEW:
                return None
            if "reviewer" not in person.roles or person.name in task.involved:
                text = (
                    "Is the change to be rejected, or is that what it should do? To reject it say: reject: REASON."
                    " To change it say it in another sentence."
                )
                await self.say(turn, task, text, "reject")
                return Outcome()
        return await self.reject(turn, person, task, asked.reason)

    def _card_seen(self, turn: Turn, task: Task) -> str:
        """Return the digest on the newest card that stood in this conversation when the words were said."""
        cell, arrival = self._house.cell, turn.arrival
        said_at = min(turn.heard.said_at or arrival.at, arrival.at)
        for message in reversed(cell.threads.messages(task.task_id, 0, _LONGEST_THREAD)):
            offer = next((each for each in message.offers if each.verb == "approve" and each.value), None)
            if offer is None:
                continue
            posted = self._house.store.posting(turn.conversation, task.task_id, message.sequence)
            if posted is not None and posted.state == "sent" and posted.at <= said_at:
                return offer.value
        raise RequestRefused(
            "GL-APPROVE-003",
            "no card stood in this conversation when that was said, so it approves nothing.",
            f"look at the card, then approve that: {self._house.pages.task(task.task_id)}",
        )

    def _require_vouched(self, turn: Turn, task: Task, what: str) -> None:
        capabilities = self._house.chat(turn.conversation.source).capabilities
        if turn.heard.vouched and capabilities.vouches:
            return
        raise RequestRefused(
            "GL-CHAT-024",
            f"{what} can't be taken from here: the chat does not say surely enough who this is.",
            f"sign in and decide there: {self._house.pages.task(task.task_id)}",
        )

    def _rejected_by(self, task: Task, person: Person) -> bool:
        if task.status is not _S.REJECTED:
            return False
        read = (self._house.cell.events.read(task.task_id, sequence - 1, 1) for sequence in reversed(task.inputs))
        return any(
            isinstance(r.event, ev.ChangeRejected) and r.event.by == person.name for found in read for r in found
        )

    async def _roll_back(self, turn: Turn, person: Person, task: Task, environment: str, digest: str) -> Outcome:
        """Roll back if what runs is ``digest`` (its beginning, in hexadecimal); done before and not noted is done."""
        self._require_vouched(turn, task, "a way back")
        _require_releaser(person)
        name = _repository(task)
        key = f"rollback/{turn.message_id}"
        async with self._rolling[f"{name}/{environment}"]:
            history = await asyncio.to_thread(self._history, name, environment)
            if _is_done(history, digest, turn):
                await say_rolled_back(self._house.cell, history[1], history[0], person.name, key)
                return Outcome()
            if not history or not _begins(history[0].digest, digest):
                now = f"{history[0].name} ({history[0].digest[:19]}…)" if history else "nothing"
                raise RequestRefused(
                    "GL-CHAT-025",
                    f"what runs in {environment} now is {now}, not what was to be rolled back.",
                    f"look again: say `what is live`, then `roll back {environment}`.",
                )
            await roll_back(self._house.cell, name, environment, person.name, key)
        if history[0].task_id != task.task_id:
            await self.say(turn, task, f"{environment} was brought back by {person.name}.", "rolled-back")
        return Outcome()

    def _history(self, repository: str, environment: str) -> tuple[Deployment, ...]:
        return self._house.cell.deployments.deployments(repository, environment)

    def _only_environment(self, repository: str) -> str:
        known = [each.name for each in self._house.cell.directory.repository(repository).environments]
        if len(known) == 1:
            return known[0]
        there = ", ".join(f"`roll back {each}`" for each in known)
        raise RequestRefused(
            "GL-CHAT-026",
            f"{repository} has {len(known)} environments, so which one must be said.",
            f"say one of: {there}." if known else "nothing of it is released anywhere.",
        )


def _why_not_yet(task: Task, reviewers: list[str]) -> str:
    if task.status is _S.IN_REVIEW:
        who = f" ({', '.join(reviewers[:5])})" if reviewers else ""
        return f"It needs approval first: a second person{who} approves it, then it is merged and released by itself."
    if task.ended:
        return f"Nothing of this was merged (it is `{task.status}`), so there is nothing of it to release."
    if task.status in (_S.APPROVED, _S.RELEASING):
        return "It is on its way: what was approved is merged and released by itself."
    return "It is still under way: when it is ready, a card comes up for approval, and then it is released by itself."


def _repository(task: Task) -> str:
    if task.repository:
        return task.repository
    raise RequestRefused(
        "GL-CHAT-027",
        "this thread belongs to no repository, so it must be said which one is meant.",
        "say it in a new thread, with the name: for example `what is live of NAME`.",
    )


def _require_releaser(person: Person) -> None:
    if not {"reviewer", "operator"} & set(person.roles):
        raise RequestRefused("GL-PERSON-002", f"{person.name} may not roll back.", "a reviewer or an operator may.")


def _begins(digest: str, start: str) -> bool:
    return len(start) >= DIGEST_CHARACTERS and digest.removeprefix("sha256:").startswith(start)


def _is_done(history: tuple[Deployment, ...], digest: str, turn: Turn) -> bool:
    """Whether this very arrival rolled ``digest`` back before the process died: it is gone since the arrival came."""
    if not turn.uncertain or len(history) < 2:
        return False
    return history[0].at >= turn.arrival.at and _begins(history[1].digest, digest)


def _stale(task: Task, seen: str) -> RequestRefused:
    return RequestRefused(
        "GL-APPROVE-003",
        f"what was seen ({seen[:26]}…) is not what is up for review now ({task.subject[:26]}…).",
        "look at the newest card and decide on that.",
    )
