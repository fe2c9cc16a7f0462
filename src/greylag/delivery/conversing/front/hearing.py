"""What was heard, bounded before anything looks at it, and as it is kept: all but its words.

Every field comes from outside. Ids that no chat gives are refused; words and names are cut or cleaned.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from greylag.adapters.chat.port import Heard
from greylag.adapters.store.port import Arrival
from greylag.delivery.conversing.identity import is_plain_id
from greylag.domain.conversation import VERBS
from greylag.domain.errors import IntegrityError

#: What somebody wrote; the other kinds are clicks, reactions, and what an encrypted chat could not open.
SPOKEN = ("mention", "direct", "reply")
KINDS = (*SPOKEN, "click", "reaction", "unreadable")
#: Older than this it is not done any more. A click may be on an old card: the digest it carries says what it is for.
OLDEST = {"click": timedelta(days=7)}
OLDEST_MESSAGE = timedelta(hours=24)
#: How far a chat's clock may be ahead of ours.
AHEAD = timedelta(minutes=5)

_SOURCE_CHARACTERS = 200
_VALUE_CHARACTERS = 500
_NAME_CHARACTERS = 120
_FILES = 20
_MARK_CHARACTERS = 80
_NOT_KEPT = frozenset({"event_id", "conversation", "text"})


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of an arrival beside its words: ``subject`` is whose they are in the vault, ``characters`` how many.

    ``refusal`` is code, message and remedy where the words could not be kept: then the sender is told that.
    """

    subject: str = ""
    characters: int = 0
    refusal: tuple[str, str, str] | None = None


def bounded(heard: Heard) -> Heard | None:
    """Return ``heard`` with every field bounded, None where its ids are none that a chat gives."""
    where = heard.conversation
    ids = (heard.event_id, where.source, where.room, heard.author)
    if heard.kind not in KINDS or not all(is_plain_id(each) for each in ids) or len(where.source) > _SOURCE_CHARACTERS:
        return None
    if not all(is_plain_id(each) for each in (where.thread, heard.message_id) if each):
        return None
    if heard.kind != "click" and not heard.message_id:
        return None
    act = heard.kind == "click"
    return replace(
        heard,
        text=_text(heard.text),
        verb=heard.verb if act and heard.verb in VERBS else "",
        value=_text(heard.value)[: _VALUE_CHARACTERS if act else _MARK_CHARACTERS],
        task_id=heard.task_id if act and is_plain_id(heard.task_id) else "",
        said_at=heard.said_at.astimezone(UTC) if heard.said_at is not None and heard.said_at.tzinfo else None,
        author_name=_line(heard.author_name)[:_NAME_CHARACTERS],
        vouched=heard.vouched is True,
        files=tuple(_line(name)[:_NAME_CHARACTERS] for name in heard.files[:_FILES]),
        mode=_line(heard.mode)[:_MARK_CHARACTERS] if act else "",
    )


def untimely(heard: Heard, now: datetime) -> str:
    """Return why ``heard`` comes too late or too early to be done, "" where it is in time."""
    if heard.said_at is None:
        return ""
    if heard.said_at > now + AHEAD:
        return f"it says that it is from the future ({heard.said_at.isoformat(timespec='seconds')})"
    oldest = OLDEST.get(heard.kind, OLDEST_MESSAGE)
    if heard.said_at < now - oldest:
        return f"it is older than {oldest} ({heard.said_at.isoformat(timespec='seconds')})"
    return ""


def written(heard: Heard, kept: Kept) -> str:
    """Return what is kept of ``heard`` in the inbox: plain fields, no words."""
    fields = {name: value for name, value in asdict(heard).items() if name not in _NOT_KEPT}
    if heard.said_at is not None:
        fields["said_at"] = heard.said_at.isoformat()
    return json.dumps({**fields, **asdict(kept)}, ensure_ascii=False)


def read_back(arrival: Arrival, text: str) -> tuple[Heard, Kept]:
    """Return what was heard, with ``text`` as its words. Raises IntegrityError ``GL-CHAT-022`` for a damaged row."""
    try:
        fields = json.loads(arrival.heard)
        refusal = fields.pop("refusal")
        kept = Kept(fields.pop("subject"), fields.pop("characters"), tuple(refusal) if refusal else None)
        said_at = datetime.fromisoformat(fields.pop("said_at")) if fields.get("said_at") else None
        fields |= {"files": tuple(fields["files"]), "said_at": said_at}
        return Heard(arrival.event_id, conversation=arrival.conversation, text=text, **fields), kept
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntegrityError(
            "GL-CHAT-022",
            f"arrival {arrival.number} can't be read back ({type(error).__name__}).",
            "run `greylag doctor`; the sender can say it again.",
        ) from error


def _text(text: str) -> str:
    """Return ``text`` as both databases, the vault and the scanner take it for text."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in _text(text)).strip()
