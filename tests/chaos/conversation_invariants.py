"""What must hold of conversations after any number of kills; read with the platform down.

Two witnesses are compared: what the platform's own stores say of its threads, and what stands in the stand-in.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from greylag.adapters.store.port import ThreadMessage
from greylag.app.fake_slack import Workspace
from greylag.app.fake_slack.world.records import Message
from greylag.delivery import hints
from greylag.domain import events as ev
from greylag.domain.conversation import Conversation
from greylag.domain.ids import TaskId
from tests.chaos.invariants import Scene, opened
from tests.chaos.talking import Thread

_ENDINGS = {"merged", "cancelled", "answered", "released", "failed", "refused", "expired"}
#: How the stand-in marks a step of a live card.
_STEP = ("○", "…", "✓", "✗")


def check_conversations(
    home: Path, env: Mapping[str, str], workspace: Workspace, threads: Sequence[Thread]
) -> list[str]:
    """Return everything that is wrong about ``threads``, in words."""
    source = f"slack:{workspace.world.team_id}"
    problems: list[str] = []
    with opened(home, env) as scene:
        problems += _nothing_waits(scene, source)
        begun = [task.task_id for task in scene.tasks()]
        if sorted(begun) != sorted(each.task_id for each in threads):
            problems.append(f"tasks are {begun}, the mentions were {[each.task_id for each in threads]}")
        for thread in threads:
            told = Told(scene, workspace, source, thread)
            for look in _CHECKS:
                problems += [f"{thread.task_id}: {look.__name__}: {said}" for said in look(told)]
    return problems


class Told:
    """One thread, from both sides: ``own`` is the platform's own, ``seen`` what the bot said in the stand-in."""

    def __init__(self, scene: Scene, workspace: Workspace, source: str, thread: Thread) -> None:
        self.scene, self.workspace, self.thread = scene, workspace, thread
        self.task_id = TaskId(thread.task_id)
        room = workspace.message(thread.root).channel
        self.where = Conversation(source, room, thread.root)
        self.own: Sequence[ThreadMessage] = scene.control.threads.messages(self.task_id, limit=10_000)
        self.seen = [
            each for each in workspace.thread(thread.root) if each.user == workspace.bot.id and not each.ephemeral_to
        ]

    def handles(self) -> Iterator[tuple[ThreadMessage, str | None]]:
        """Yield each message of the own thread with the chat's id of it: "" for a person's own, None for no delivery.

        Lines of progress that went together are noted once, at the last of them.
        """
        found: list[tuple[ThreadMessage, str | None]] = []
        later: tuple[ThreadMessage, str | None] | None = None
        for message in reversed(self.own):
            posting = self.scene.control.chats.posting(self.where, self.task_id, message.sequence)
            handle = posting.handle if posting is not None and posting.state == "sent" else None
            if posting is None and message.kind == "progress" and later is not None and later[0].kind == "progress":
                handle = later[1]
            later = message, handle
            found.append(later)
        yield from reversed(found)

    def words(self, message: ThreadMessage) -> str:
        text = self.scene.vault.get(message.body, subject=self.task_id).decode()
        return hints.without(text, self.task_id) if message.author == "greylag" and message.offers else text

    def shown(self, message: Message) -> str:
        return _flat(" ".join(self.workspace.lines(message)))


def _nothing_waits(scene: Scene, source: str) -> Iterator[str]:
    yield from (f"an arrival waits: {each}" for each in scene.control.chats.waiting())
    yield from (f"something is still to be delivered: {each}" for each in scene.control.chats.due((source,)))


def it_is_bound_once(told: Told) -> Iterator[str]:
    """The mention has one task, and the task this one conversation."""
    if told.scene.control.chats.task_in(told.where) != told.task_id:
        yield f"the thread is about {told.scene.control.chats.task_in(told.where)}"
    if told.scene.control.chats.conversations(told.task_id) != (told.where,):
        yield f"it is talked about in {told.scene.control.chats.conversations(told.task_id)}"


def it_ends_in_a_reply(told: Told) -> Iterator[str]:
    """The last thing that stands in the thread is the platform's, says how it ended, and comes after all questions."""
    task = told.scene.control.events.task(told.task_id)
    if str(task.status) != told.thread.status or str(task.status) not in _ENDINGS:
        yield f"it is {task.status}, expected {told.thread.status}"
    last = told.workspace.thread(told.thread.root)[-1]
    if last.user != told.workspace.bot.id:
        yield f"nobody answered {told.shown(last)!r}"
    if not any(f"On it: {told.task_id}." in told.shown(each) for each in told.seen[:1]):
        yield "the first reply is no acknowledgement"


def nothing_stands_twice(told: Told) -> Iterator[str]:
    """No key is in the thread a second time, nor are words or a step, unless the own thread has them as often."""
    marks = Counter(_mark(each) for each in told.seen)
    yield from (f"{each} stands there {count} times" for each, count in marks.items() if each and count > 1)
    own = Counter((each.kind == "progress", _flat(told.words(each))) for each in told.own)
    lines = [line.strip() for each in told.seen for line in told.workspace.lines(each)]
    steps = Counter(line[1:].strip() for line in lines if line[:1] in _STEP)
    yield from (f"the step {each!r} is there {count} times" for each, count in steps.items() if count > own[True, each])
    words = Counter(told.shown(each) for each in told.seen)
    for shown, count in words.items():
        if count > 1 and count > sum(often for (step, each), often in own.items() if not step and each in shown):
            yield f"{shown!r} is said {count} times"


def everything_is_there_in_order(told: Told) -> Iterator[str]:
    """Each message of the own thread stands in the chat, with its words and in its order; nothing else does."""
    by_ts = {each.ts: each for each in told.seen}
    handles: list[str] = []
    for message, handle in told.handles():
        if handle is None:
            yield f"message {message.sequence} ({message.key}) was never delivered"
        elif not handle and message.author == "greylag":
            yield f"message {message.sequence} ({message.key}) was never said there"
        elif handle and handle not in by_ts:
            yield f"message {message.sequence} ({message.key}) is not in the thread any more"
        elif handle:
            handles += [handle] if handle not in handles else []
            words, shown = _flat(told.words(message).split("\n")[0]), told.shown(by_ts[handle])
            if words not in shown:
                yield f"message {message.sequence} says {words!r}, and there stands {shown!r}"
    if handles != sorted(handles, key=float):
        yield f"the order is {handles}"
    known = {hashlib.sha256(f"{told.task_id}/{each.sequence}".encode()).hexdigest()[:40] for each in told.own}
    yield from (
        f"nobody knows of {told.shown(each)!r}"
        for each in told.seen
        if each.ts not in handles and (not _mark(each) or _mark(each) in known)
    )


def people_were_heard_once_in_order(told: Told) -> Iterator[str]:
    """What people wrote has one arrival each, that was handled; follow-ups and answers count once, in their order."""
    chats, source, room = told.scene.control.chats, told.where.source, told.where.room
    arrivals = [chats.known(source, f"{room}/{ts}") for ts in told.thread.said]
    if any(each is None or each.state != "handled" for each in arrivals):
        yield f"arrivals are {[(each.event_id, each.state, each.reason) if each else None for each in arrivals]}"
    numbers = [each.number for each in arrivals if each is not None]
    if numbers != sorted(numbers):
        yield f"people were heard in the order {numbers}"
    counts = Counter(type(record.event) for record in told.scene.events(told.task_id))
    expected = {
        ev.TaskReceived: 1, ev.FollowUpReceived: told.thread.follow_ups, ev.QuestionAnswered: told.thread.answers,
        ev.ApprovalGiven: int(told.thread.status == "merged"), ev.StopRequested: int(told.thread.status == "cancelled"),
    }  # fmt: skip
    yield from (f"{kind.__name__} happened {counts[kind]} times" for kind in expected if counts[kind] != expected[kind])
    yield from (
        f"the event of sequence {later.sequence} has the key of another"
        for earlier, later in pairwise(sorted(told.scene.events(told.task_id), key=lambda record: record.key))
        if earlier.key == later.key
    )


def each_post_was_permitted(told: Told) -> Iterator[str]:
    """Behind each message stands a decision in the ledger: a yes, at the stage chat, for this place."""
    by_id = {entry["decision_id"]: entry for entry in told.scene.entries if entry["kind"] == "decision"}
    for message in told.own:
        posting = told.scene.control.chats.posting(told.where, told.task_id, message.sequence)
        if posting is None or not posting.decision_id:
            continue  # its words went with those of another message, by that one's decision
        entry = by_id.get(posting.decision_id)
        if entry is None or not entry["permitted"] or entry["stage"] != "chat" or entry["task_id"] != told.task_id:
            yield f"message {message.sequence} went by {posting.decision_id}, which is {entry}"


_CHECKS = (
    it_is_bound_once, it_ends_in_a_reply, nothing_stands_twice, everything_is_there_in_order,
    people_were_heard_once_in_order, each_post_was_permitted,
)  # fmt: skip


def _flat(text: str) -> str:
    return " ".join(text.split())


def _mark(message: Message) -> str:
    payload = (message.metadata or {}).get("event_payload")
    return str(payload.get("key", "")) if isinstance(payload, dict) else ""
