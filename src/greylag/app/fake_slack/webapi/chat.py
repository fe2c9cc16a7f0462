"""``chat.*``: posting, changing, deleting."""

from typing import Any

from greylag.app.fake_slack import telling
from greylag.app.fake_slack.acting import MOST_MESSAGES
from greylag.app.fake_slack.place import Place
from greylag.app.fake_slack.webapi.given import Given
from greylag.app.fake_slack.world.blocks import LONGEST_MARKDOWN, check_blocks, too_long, with_ids
from greylag.app.fake_slack.world.problems import SlackError
from greylag.app.fake_slack.world.reaching import outs
from greylag.app.fake_slack.world.records import Channel, Json, Message, Ping

LONGEST_TEXT = 40_000
_LARGEST_METADATA = 8_000
_MOST_PINGS = 10_000


def post_message(given: Given) -> Json:
    """Say something. A reply to a message that is gone comes out in the channel, as in Slack."""
    channel = given.channel(post=True)
    content = content_of(given)
    message = said(given.place, channel, content)
    message.thread_ts = _root(given, channel)
    message.username = given.text("username")
    given.place.world.messages[message.ts] = message
    given.place.world.statuses.pop(message.thread_ts, None)
    reach(given, message)
    telling.tell_message(given.place, message)
    shown = telling.message_json(given.place, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "message": shown}


def _root(given: Given, channel: Channel) -> str:
    """Return the root of the thread to reply in: of a reply it is the root of that reply's thread."""
    root = given.place.world.messages.get(given.text("thread_ts"))
    if root is None or root.channel != channel.id or root.ephemeral_to:
        return ""
    return root.thread_ts or root.ts


def said(place: Place, channel: Channel, content: Json) -> Message:
    """Return a message of the app."""
    if len(place.world.messages) >= MOST_MESSAGES:
        raise SlackError("message_limit_exceeded")
    message = Message(channel.id, place.next_ts(), place.bot.id, content["text"], by_app=True)
    _put(message, content)
    return message


def _put(message: Message, content: Json) -> None:
    message.text, message.blocks, message.blocks_given = content["text"], content["blocks"], content["given"]
    if content["metadata"] is not None:
        message.metadata = content["metadata"]


def content_of(given: Given) -> Json:
    """Return what a call says: text, blocks, metadata. Raises SlackError where Slack would not take it."""
    text, markdown, blocks = given.text("text"), given.text("markdown_text"), blocks_of(given)
    if given.values.get("attachments") not in (None, "", [], "[]"):
        raise SlackError("invalid_attachments", ["[ERROR] the stand-in has no attachments: they are Slack's legacy"])
    if markdown and (text or blocks):
        raise SlackError("markdown_text_conflict")
    if not (text or markdown or blocks):
        raise SlackError("no_text")
    if len(text) > LONGEST_TEXT or len(markdown) > LONGEST_MARKDOWN:
        raise SlackError("msg_too_long")
    parse = given.text("parse", "none")
    if parse not in ("none", "full"):
        raise SlackError("invalid_arguments", ["[ERROR] must be one of: none, full [json-pointer:/parse]"])
    if markdown:
        blocks = with_ids([{"type": "markdown", "text": markdown}], lambda: given.place.fresh("blk-"))
    return {"text": text or markdown, "blocks": blocks, "given": bool(blocks), "metadata": metadata_of(given)}


def blocks_of(given: Given) -> list[Json]:
    """Return the blocks of a call with their ids. Raises SlackError where Slack would not take them."""
    value = given.json("blocks", "invalid_blocks_format")
    if value in (None, []):
        return []
    if not isinstance(value, list):
        raise SlackError("invalid_blocks_format")
    problems = check_blocks(value, "message")
    if problems:
        raise SlackError("invalid_blocks", problems, errors=[each.removeprefix("[ERROR] ") for each in problems])
    if too_long(value):
        raise SlackError("msg_blocks_too_long")
    return with_ids(value, lambda: given.place.fresh("blk-"))


def metadata_of(given: Given) -> Json | None:
    """Return the metadata of a call. Raises SlackError."""
    value: Any = given.json("metadata", "invalid_metadata_format")
    if value in (None, ""):
        return None
    if not isinstance(value, dict) or set(value) != {"event_type", "event_payload"}:
        raise SlackError("invalid_metadata_format")
    if (
        not isinstance(value["event_type"], str)
        or not value["event_type"]
        or not isinstance(value["event_payload"], dict)
    ):
        raise SlackError("invalid_metadata_format")
    if len(str(value)) > _LARGEST_METADATA:
        raise SlackError("metadata_too_large")
    return value


def reach(given: Given, message: Message) -> None:
    """Note whom and what the call reached beyond the conversation."""
    values = dict(given.values)
    for name in ("blocks", "chunks", "attachments"):
        values[name] = given.json(name)
    for name in ("unfurl_links", "unfurl_media", "link_names"):
        values[name] = given.flag(name)
    users = {user.name: user.id for user in given.place.world.users.values()}
    pings = given.place.world.pings
    del pings[: max(0, len(pings) - _MOST_PINGS)]
    pings += [
        Ping(out.kind, out.target, given.method, message.channel, message.ts)
        for out in outs(values, lambda name: users.get(name, ""))
    ]


def _own(given: Given, error: str) -> Message:
    channel = given.channel()
    message = given.message(channel)
    if not message.by_app:
        raise SlackError(error)
    return message


def update(given: Given) -> Json:
    """Change one of the app's own messages."""
    message = _own(given, "cant_update_message")
    if message.stream is not None and message.stream.state == "in_progress" and not _expired(given.place, message):
        raise SlackError("streaming_state_conflict")
    content = content_of(given)
    before = telling.message_json(given.place, message)
    message.stream = None
    _put(message, content)
    message.edited_ts = given.place.next_ts()
    reach(given, message)
    telling.tell_changed(given.place, message, before)
    shown = telling.message_json(given.place, message, metadata=True)
    return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": shown}


def _expired(place: Place, message: Message) -> bool:
    return message.stream is not None and place.clock() - message.stream.touched_at > place.rules.stream_seconds


def delete(given: Given) -> Json:
    """Take one of the app's own messages away."""
    message = _own(given, "cant_delete_message")
    before = telling.message_json(given.place, message)
    if telling.replies_of(given.place, message):
        message.deleted = True
    else:
        del given.place.world.messages[message.ts]
    telling.tell_deleted(given.place, message, before)
    return {"channel": message.channel, "ts": message.ts}


def post_ephemeral(given: Given) -> Json:
    """Say something to one person only: it is in no history."""
    channel = given.channel(post=True)
    user = given.user()
    if user.id not in channel.members:
        raise SlackError("user_not_in_channel")
    message = said(given.place, channel, content_of(given))
    message.thread_ts = _root(given, channel)
    message.ephemeral_to = user.id
    given.place.world.messages[message.ts] = message
    reach(given, message)
    return {"message_ts": message.ts}


def permalink(given: Given) -> Json:
    """Return where a message is on the page."""
    channel = given.channel()
    message = given.message(channel, "message_ts")
    root = message.thread_ts or message.ts
    anchor = "m" + message.ts.replace(".", "-")
    return {"channel": channel.id, "permalink": f"{given.place.url}/c/{channel.id}/t/{root}#{anchor}"}
