"""What Slack tells, as the port's values. Pure: nothing is asked, nothing is kept."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from greylag.adapters.chat.backends.slack.blocks import Carried
from greylag.adapters.chat.backends.slack.inert import visible
from greylag.adapters.chat.port import Heard, Overheard
from greylag.domain.conversation import Conversation

Event = Mapping[str, Any]

_ID = re.compile(r"[A-Z0-9]{1,40}")
_EVENT = re.compile(r"[A-Za-z0-9]{1,60}")
_TS = re.compile(r"[0-9]{1,12}\.[0-9]{1,9}")
_TOKEN = re.compile(r"<([^<>]*)>|&(amp|lt|gt);")
_LONE = re.compile("[\ud800-\udfff]")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">"}
#: What people write. Everything else (edits, joins, bots, topics) is no message of a person to us.
_SUBTYPES = {"", "file_share", "thread_broadcast", "me_message"}
_LONGEST = 40_000
_EMOJI = {
    "white_check_mark": "✅", "heavy_check_mark": "✔️", "ballot_box_with_check": "☑️", "+1": "👍", "thumbsup": "👍",
    "-1": "👎", "thumbsdown": "👎", "x": "❌", "no_entry": "⛔", "eyes": "👀", "rocket": "🚀", "heart": "❤️",
    "raised_hands": "🙌", "tada": "🎉", "ship": "🚢", "shipit": "🚢", "ok_hand": "👌", "octagonal_sign": "🛑",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Us:
    """Who the platform is in its workspace: the ids of the team, of the bot as a user, and of the bot."""

    team: str
    user: str
    bot: str = ""

    @property
    def source(self) -> str:
        """Return the name of the chat."""
        return f"slack:{self.team}"

    def wrote(self, message: Event) -> bool:
        """Return whether ``message`` is ours."""
        return message.get("user") == self.user or bool(self.bot and message.get("bot_id") == self.bot)


def is_id(found: object) -> bool:
    """Return whether ``found`` can be an id of Slack's."""
    return isinstance(found, str) and bool(_ID.fullmatch(found))


def is_ts(found: object) -> bool:
    """Return whether ``found`` can be the id of a message."""
    return isinstance(found, str) and bool(_TS.fullmatch(found))


def text_of(message: Event) -> str:
    """Return the text of a message as Slack encodes it."""
    found = message.get("text")
    return _LONE.sub("\ufffd", found[:_LONGEST]) if isinstance(found, str) else ""


def mentions(us: Us, text: str) -> bool:
    """Return whether ``text`` addresses us."""
    return f"<@{us.user}>" in text or f"<@{us.user}|" in text


def decoded(text: str, own: str = "") -> str:
    """Return the plain text that ``text`` encodes, without mentions of the user ``own``.

    ``<@U1|ada>`` → ``@ada``, ``<#C1|general>`` → ``#general``, ``<!here>`` → ``@here``, ``<https://x|x>`` → ``x`` where
    the label is what the address says, else ``label (address)``. One pass, so that nothing that is written out twice is
    decoded twice. Source: https://docs.slack.dev/messaging/formatting-message-text.
    """

    def one(found: re.Match[str]) -> str:
        if found.group(2):
            return _ENTITIES[found.group(2)]
        return _reference(_unescaped(found.group(1)))

    if own:
        text = re.sub(rf"<@{own}(\|[^<>]*)?>[ \t]*", "", text).strip()
    return _TOKEN.sub(one, text)


def heard_message(us: Us, event: Event) -> Heard | None:
    """Return what a person wrote, None for everything else.

    Its ``event_id`` is ``channel/ts``: a message in a channel that mentions us comes as two events (``app_mention`` and
    ``message``) with ids of their own, and after a time away by looking it up, and counts once.
    """
    channel, ts, author = event.get("channel"), event.get("ts"), event.get("user")
    if not (is_id(channel) and is_ts(ts) and is_id(author)) or author == "USLACKBOT":
        return None
    if event.get("bot_id") or event.get("bot_profile") or event.get("hidden") or us.wrote(event):
        return None
    if (event.get("subtype") or "") not in _SUBTYPES:
        return None
    raw = text_of(event)
    thread = event.get("thread_ts")
    root = thread if is_ts(thread) else ts
    if str(channel).startswith("D"):
        kind = "direct" if root == ts else "reply"
    else:
        kind = "mention" if event.get("type") == "app_mention" or mentions(us, raw) else "reply"
    return Heard(
        f"{channel}/{ts}", kind, Conversation(us.source, str(channel), str(root)), str(author), str(ts),
        text=decoded(raw, us.user) + _forwarded(event), said_at=said_at(str(ts)), vouched=_is_ours(us, event),
        files=_files(event),
    )  # fmt: skip


def heard_reaction(us: Us, event: Event, event_id: str, conversation: Conversation) -> Heard | None:
    """Return a reaction to a message of ours. It vouches for nothing: apps with a person's token can add one too."""
    item = event.get("item")
    author, name = event.get("user"), event.get("reaction")
    if not isinstance(item, dict) or not is_id(author) or not is_ts(item.get("ts")) or not isinstance(name, str):
        return None
    mark = _EMOJI.get(name.split("::")[0], f":{visible(name[:60])}:")
    same = event_id if _EVENT.fullmatch(event_id) else f"{item.get('channel')}/{item['ts']}/{author}/{name[:60]}"
    return Heard(same, "reaction", conversation, str(author), str(item["ts"]), text=mark, vouched=False)


@dataclass(frozen=True, slots=True)
class Click:
    """A click on a button of a message: where, by whom, and what opens a form for them."""

    conversation: Conversation
    author: str
    author_name: str
    message_id: str
    event_id: str
    vouched: bool
    trigger_id: str
    value: object
    ours: bool


def read_click(us: Us, body: Event) -> Click | None:
    """Return the click that a ``block_actions`` payload tells, None for none of a button in a message."""
    actions, user, message = body.get("actions"), body.get("user"), body.get("message")
    channel = _part(body.get("channel"), "id") or _part(body.get("container"), "channel_id")
    ts = _part(message, "ts") or _part(body.get("container"), "message_ts")
    author = _part(user, "id")
    if not isinstance(actions, list) or not actions or not isinstance(actions[0], dict):
        return None
    action = actions[0]
    if not (is_id(channel) and is_ts(ts) and is_id(author)) or action.get("type") != "button":
        return None
    thread = _part(message, "thread_ts") or _part(body.get("container"), "thread_ts")
    when = str(action.get("action_ts", ""))[:40]
    return Click(
        Conversation(us.source, channel, thread if is_ts(thread) else ts), author, _name(user), ts,
        f"{channel}/{ts}/{author}/{when}", _part(user, "team_id") in ("", us.team), str(body.get("trigger_id", "")),
        action.get("value"), isinstance(message, dict) and us.wrote(message),
    )  # fmt: skip


def heard_click(click: Click, carried: Carried) -> Heard:
    """Return a click as what was heard."""
    return Heard(
        click.event_id, "click", click.conversation, click.author, click.message_id, verb=carried.verb,
        value=carried.value, task_id=carried.task_id, author_name=click.author_name, vouched=click.vouched,
    )  # fmt: skip


def overheard(us: Us, message: Event) -> Overheard | None:
    """Return one earlier message, None for what nobody said."""
    ts = message.get("ts")
    if not is_ts(ts) or (message.get("subtype") or "") not in {*_SUBTYPES, "bot_message"}:
        return None
    author = message.get("user") if is_id(message.get("user")) else message.get("bot_id")
    text = decoded(text_of(message), us.user) + _forwarded(message)
    return Overheard(str(author) if is_id(author) else "unknown", text, str(ts), said_at(str(ts)), us.wrote(message))


def said_at(ts: str) -> datetime | None:
    """Return when the message ``ts`` was said."""
    try:
        return datetime.fromtimestamp(float(ts), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _reference(inside: str) -> str:
    target, _, label = inside.partition("|")
    kind, name = target[:1], target[1:]
    if kind == "@":
        return f"@{label or name}"
    if kind == "#":
        return f"#{label or name}"
    if kind == "!":
        return _special(name, label)
    if "://" not in target and not target.startswith(("mailto:", "tel:")):
        return f"<{inside}>"
    bare = target.split("://", 1)[-1].removeprefix("mailto:").removeprefix("tel:").rstrip("/")
    if not label:
        return target
    return label if label.rstrip("/") in (target.rstrip("/"), bare) else f"{label} ({target})"


def _special(name: str, label: str) -> str:
    """Return what ``<!name|label>`` shows: a mass mention, a group, a date."""
    if label:
        return label if label.startswith("@") or name.startswith("date") else f"@{label}"
    return f"@{name.split('^')[-1] or name}"


def _unescaped(text: str) -> str:
    return re.sub("&(amp|lt|gt);", lambda found: _ENTITIES[found.group(1)], text)


def _forwarded(message: Event) -> str:
    """Return messages of others that were sent along, as quotations: words that the sender did not write."""
    found = message.get("attachments")
    quoted = []
    for each in found[:3] if isinstance(found, list) else ():
        if isinstance(each, dict) and (each.get("is_share") or each.get("is_msg_unfurl")):
            said = decoded(str(each.get("text") or each.get("fallback") or "")[:3_000])
            who = visible(str(each.get("author_name") or "somebody"))[:80]
            quoted.append("\n".join(f"> {one}" for one in f"{who} wrote:\n{said}".splitlines()))
    return "\n" + "\n".join(quoted) if quoted else ""


def _files(event: Event) -> tuple[str, ...]:
    found = event.get("files")
    names = [each.get("name") or each.get("title") for each in found or () if isinstance(each, dict)]
    return tuple(visible(name[:200]) for name in names[:20] if isinstance(name, str) and name)


def _is_ours(us: Us, event: Event) -> bool:
    """Return whether the author belongs to our workspace; people of a shared channel's other side do not."""
    return (event.get("user_team") or event.get("team") or us.team) == us.team


def _part(found: object, name: str) -> str:
    part = found.get(name) if isinstance(found, dict) else None
    return part if isinstance(part, str) else ""


def _name(user: object) -> str:
    return visible((_part(user, "username") or _part(user, "name"))[:80])
