"""What a message of the own thread is in a chat: its words, cut to what fits, and its offers as controls. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from greylag.adapters.chat.port import Control, Step
from greylag.adapters.store.port import ThreadMessage
from greylag.delivery import hints
from greylag.delivery.conversing.commands import words_for
from greylag.domain.conversation import Conversation, Offer
from greylag.domain.task import Task

PLATFORM_AUTHOR = "greylag"
#: What can be chosen beside more words while an agent is at work.
MODES = ("add", "replace", "queue")
#: How many lines a live card shows, and how much of each.
CARD_STEPS = 30
STEP_CHARACTERS = 300
_CONTROLS = 20
_LABEL_CHARACTERS = 75
_SHOWN = ("diff", "report", "transcript", "prompt", "evidence", "request")
#: What nobody can do any more once a task has ended.
_OVER_AT_THE_END = ("approve", "reject", "answer", "say", "stop")


@dataclass(frozen=True, slots=True)
class Pages:
    """Where a task is looked at in its region. ``task_page`` returns the address of a task's page."""

    task_page: Callable[[str], str]

    def task(self, task_id: str) -> str:
        """Return the address of the task's page; a build is downloaded there."""
        return self.task_page(task_id)

    def see(self, task_id: str, kind: str) -> str:
        """Return where ``kind`` of content is shown; the task's page for what has no page of its own."""
        page = self.task_page(task_id)
        return f"{page}/see/{kind}" if kind in _SHOWN else page


def place_of(conversation: Conversation) -> str:
    """Return a short name of a conversation for keys: ids of chats are long, and anybody's."""
    parts = (conversation.source, conversation.room, conversation.thread)
    return sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:24]


def words_of(message: ThreadMessage, text: str) -> str:
    """Return what a chat is told: the words, without lines that tell what to type at the command line."""
    told = hints.without(text, message.task_id) if message.author == PLATFORM_AUTHOR and message.offers else text
    return told if told.strip() else "(no words)"


def shortened(text: str, longest: int, link: str) -> str:
    """Return ``text`` if it fits into ``longest`` characters, else its beginning up to a line's end, and ``link``."""
    if len(text) <= longest:
        return text
    more = f"\n… more: {link}"
    head = text[: max(0, longest - len(more))]
    line = head.rfind("\n")
    # Where the last whole line ends far up, most of what fits would be lost: then it is cut within a line.
    kept = head[:line] if line >= len(head) // 2 else head
    return (kept.rstrip() + more)[:longest]


def controls_of(message: ThreadMessage, task: Task, pages: Pages) -> tuple[Control, ...]:
    """Return what the message offers, as controls; what the task is past is left out, but for where it can be seen."""
    offers = [offer for offer in message.offers if not (task.ended and offer.verb in _OVER_AT_THE_END)]
    return tuple(_control(offer, task, pages) for offer in offers[:_CONTROLS])


def page_control(task_id: str, pages: Pages) -> tuple[Control, ...]:
    """Return the one control that carries nothing of what the task is about."""
    return (Control("Open the task", url=pages.task(task_id)),)


def news_of(task_id: str, pages: Pages) -> str:
    """Return what is said where policy lets nothing else through."""
    return f"There is news in {task_id}: {pages.task(task_id)}"


def _control(offer: Offer, task: Task, pages: Pages) -> Control:
    label = _one_line(offer.label or offer.verb.replace("_", " "), _LABEL_CHARACTERS)
    act = Control(label, offer.verb, offer.value, task.task_id)
    match offer.verb:
        case "open":
            return Control(label, url=pages.task(task.task_id))
        case "see":
            return Control(label, url=pages.see(task.task_id, offer.value))
        case "approve":
            return replace(act, style="primary", said=words_for(offer.verb))
        case "reject":
            return replace(act, style="danger", asks="Why not?", said=words_for(offer.verb))
        case "stop":
            return replace(act, style="danger", said=words_for(offer.verb))
        case "answer":
            return replace(act, said=offer.value)
        case "say":
            modes = () if task.waiting or task.ended else MODES
            return replace(act, asks="What should be different?", modes=modes, said="your words, as a reply")
        case "roll_back":
            return replace(act, style="danger", said=words_for(offer.verb, offer.value))
        case _:
            return replace(act, said=offer.verb.replace("_", " "))


def step_of(sequence: int, text: str) -> Step:
    """Return a line of progress as a step under way."""
    return Step(str(sequence), _one_line(text, STEP_CHARACTERS) or "…")


def card_steps(steps: Sequence[Step], longest: int) -> tuple[Step, ...]:
    """Return the newest steps that a card of ``longest`` characters holds, oldest first, at least the last one."""
    kept: list[Step] = []
    size = 0
    for step in reversed(steps[-CARD_STEPS:]):
        size += len(step.text) + 2
        if kept and size > longest:
            break
        kept.append(step)
    return tuple(reversed(kept))


def standing(steps: Sequence[Step], last: str) -> tuple[Step, ...]:
    """Return ``steps`` with all but the last complete, and that one in state ``last``."""
    end = len(steps) - 1
    return tuple(replace(step, state=last if at == end else "complete") for at, step in enumerate(steps))


def _one_line(text: str, longest: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
