"""A thread as people read it: what was said, with an agent's steps folded together and long texts folded away."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from greylag.app.web.documents import MessageOut
from greylag.app.web.rendering import clock, visible
from greylag.delivery import hints

_PLATFORM = "greylag"
_LONG_CHARACTERS = 700
_LONG_LINES = 10
_LEAD_CHARACTERS = 160


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing said. Where ``lead`` isn't empty the text is long: ``lead`` is shown, ``text`` when it is opened.

    ``offers`` is whether it offers something; what of that can be done now depends on who looks, and when.
    """

    sequence: int
    at: datetime
    author: str
    kind: str
    lead: str
    text: str
    offers: bool = False

    def line(self) -> dict[str, object]:
        """Return it for the live stream."""
        return {**asdict(self), "at": self.at.isoformat(), "clock": clock(self.at)}


@dataclass(slots=True)
class Steps:
    """What an agent told of one attempt, from its beginning."""

    entries: list[Entry] = field(default_factory=list)

    @property
    def seconds(self) -> int:
        """How long it took from the first step to the last."""
        return round((self.entries[-1].at - self.entries[0].at).total_seconds())


def entry_of(message: MessageOut, task_id: str = "") -> Entry:
    """Return ``message`` as it is shown: hidden characters visible, line ends of forms made plain.

    What a message of ``task_id`` tells people to type at a command line is left out where the page offers it.
    """
    told = hints.without(message.text, task_id) if message.offers and message.author == _PLATFORM else message.text
    text = visible(told.replace("\r\n", "\n"))
    folds = message.kind in ("text", "error") and (len(text) > _LONG_CHARACTERS or text.count("\n") >= _LONG_LINES)
    first = text.lstrip().split("\n", 1)[0]
    lead = (first if len(first) <= _LEAD_CHARACTERS else first[:_LEAD_CHARACTERS] + "…") if folds else ""
    return Entry(message.sequence, message.at, message.author, message.kind, lead, text, bool(message.offers))


def folded(messages: Iterable[MessageOut], task_id: str = "") -> Sequence[Entry | Steps]:
    """Return the thread with each unbroken row of progress lines as one `Steps`."""
    found: list[Entry | Steps] = []
    for message in messages:
        entry = entry_of(message, task_id)
        if entry.kind != "progress":
            found.append(entry)
            continue
        if not found or not isinstance(found[-1], Steps):
            found.append(Steps())
        last = found[-1]
        if isinstance(last, Steps):
            last.entries.append(entry)
    return found
