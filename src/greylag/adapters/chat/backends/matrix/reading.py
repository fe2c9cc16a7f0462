"""What an event of a room says, as far as it is for us. Pure; everything in an event is hostile until read here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_FILES = ("m.file", "m.image", "m.audio", "m.video")  # compared, never hashed: what is compared may be anything
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LATEST_MS = 253_402_300_799_000  # the last second of the year 9999
_LONGEST_ID = 255  # Matrix specification, "Size limits"


@dataclass(frozen=True, slots=True)
class Me:
    """Who we are in one room: our id, the name shown there, and whether we are alone with one person."""

    user: str
    name: str
    direct: bool

    @property
    def names(self) -> tuple[str, ...]:
        """What people call us, longest first."""
        local = self.user[1:].split(":", 1)[0]
        return tuple(sorted({name for name in (self.user, self.name, local) if name}, key=len, reverse=True))


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message as it was read. ``kind`` ∈ mention, direct, reply, aside (a plain reply: for us if to one of ours).

    ``thread`` is the root of its thread, "" where it stands in none; ``answers`` is the message it replies to.
    """

    kind: str
    text: str
    thread: str
    answers: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reacted:
    """A reaction: ``key`` to the message ``to``."""

    to: str
    key: str


def read_message(source: Mapping[str, Any], me: Me) -> Spoken | None:
    """Return what a message says to us, None where it is not for us: edits, notices of other bots, talk of others.

    The mention is taken out of ``text``; lines quoted by a reply stay, as ``>`` lines. Sources: Matrix specification,
    "m.room.message", "User and room mentions", "Threading", "Rich replies", "Event replacements".
    """
    content = source.get("content")
    if source.get("type") != "m.room.message" or not isinstance(content, Mapping):
        return None
    rel_type, thread, answers = relation(content)
    kind = content.get("msgtype")
    if rel_type == "m.replace" or (kind != "m.text" and kind not in _FILES):
        return None
    text, files = _words(content)
    mentioned = _mentioned(content, text, me)
    if mentioned:
        text = without_mention(text, me)
    if thread:
        return Spoken("mention" if mentioned else "reply", text, thread, answers, files)
    if me.direct:
        return Spoken("direct", text, "", answers, files)
    if mentioned:
        return Spoken("mention", text, "", answers, files)
    return Spoken("aside", text, "", answers, files) if answers else None


def read_reaction(source: Mapping[str, Any]) -> Reacted | None:
    """Return the reaction that an event is, None for anything else."""
    content = source.get("content")
    relates = content.get("m.relates_to") if isinstance(content, Mapping) else None
    if source.get("type") != "m.reaction" or not isinstance(relates, Mapping):
        return None
    to, key = identifier(relates.get("event_id")), relates.get("key")
    if relates.get("rel_type") != "m.annotation" or not to or not isinstance(key, str):
        return None
    return Reacted(to, plain(key, 64))


def relation(content: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the type of a relation, the thread's root where it is one, and the message that is replied to.

    In a thread, the reply is only what older clients show.
    """
    relates = content.get("m.relates_to")
    if not isinstance(relates, Mapping):
        return "", "", ""
    kind = relates.get("rel_type")
    kind = kind if isinstance(kind, str) else ""
    if kind == "m.thread" and (root := identifier(relates.get("event_id"))):
        return kind, root, ""
    reply = relates.get("m.in_reply_to")
    return kind, "", identifier(reply.get("event_id")) if isinstance(reply, Mapping) else ""


def without_mention(text: str, me: Me) -> str:
    """Return ``text`` without the call of our name: at its beginning, or where our id first stands."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.lstrip().startswith(">") or not line.strip():
            continue
        for name in me.names:
            called = re.match(rf"\s*@?{re.escape(name)}[:,;]?(?=$|\s)\s*", line, re.IGNORECASE)
            if called:
                lines[number] = line[called.end() :]
                return "\n".join(lines).strip()
        break
    for number, line in enumerate(lines):
        if not line.lstrip().startswith(">") and (found := re.search(_whole(me.user), line)):
            lines[number] = f"{line[: found.start()].rstrip(' ')} {line[found.end() :].lstrip(' ')}"
            break
    return "\n".join(lines).strip()


def said_at(milliseconds: object) -> datetime | None:
    """Return the time an event says it was sent at, None for none that can be."""
    if not isinstance(milliseconds, int) or not 0 <= milliseconds <= _LATEST_MS:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def identifier(value: object) -> str:
    """Return an event id, "" for what can't be one."""
    return value if isinstance(value, str) and value.startswith("$") and len(value) <= _LONGEST_ID else ""


def plain(text: str, longest: int) -> str:
    """Return ``text`` as one line that any database keeps, at most ``longest`` characters."""
    return _CONTROL.sub("", _SURROGATE.sub("\ufffd", text))[:longest]


def _words(content: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """Return the words of a message and the names of its files; a file's body is its caption only beside a name."""
    body, name = content.get("body"), content.get("filename")
    text = _SURROGATE.sub("\ufffd", body).replace("\0", "\ufffd") if isinstance(body, str) else ""
    if content.get("msgtype") not in _FILES:
        return text, ()
    if isinstance(name, str) and name != text:
        return text, (plain(name, 255),)
    return "", (plain(text, 255),)


def _mentioned(content: Mapping[str, Any], text: str, me: Me) -> bool:
    """Return whether we are called: by ``m.mentions``, by our id, or by our name at the beginning of a line of theirs.

    What a reply quotes calls nobody.
    """
    mentions = content.get("m.mentions")
    users = mentions.get("user_ids") if isinstance(mentions, Mapping) else None
    if isinstance(users, list) and me.user in users:
        return True
    own = [line for line in text.split("\n") if not line.lstrip().startswith(">")]
    if any(re.search(_whole(me.user), line) for line in own):
        return True
    first = next((line.strip() for line in own if line.strip()), "")
    called = "|".join(re.escape(name) for name in me.names)
    return bool(re.match(rf"(?:@(?:{called})[:,]?|(?:{called})[:,])(?=$|\s)", first, re.IGNORECASE))


def _whole(user: str) -> str:
    """Return a pattern for a user id that is not the beginning of a longer one."""
    return rf"{re.escape(user)}(?![A-Za-z0-9:-]|\.[A-Za-z0-9])"
