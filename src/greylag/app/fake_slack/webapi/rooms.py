"""Who the app is, conversations, users, reactions, and the ``assistant.threads`` of direct messages."""

import secrets
from collections.abc import Sequence
from typing import TypeVar

from greylag.app.fake_slack import telling
from greylag.app.fake_slack.webapi.given import Given, bad
from greylag.app.fake_slack.world.emoji import GLYPHS
from greylag.app.fake_slack.world.problems import SlackError
from greylag.app.fake_slack.world.records import Channel, Json, Message, User

_MOST_PAGE = 999
T = TypeVar("T")


def auth_test(given: Given) -> Json:
    """Return who the token is."""
    world = given.place.world
    return {
        "url": given.place.url + "/", "team": world.team_name, "user": given.place.bot.name, "team_id": world.team_id,
        "user_id": world.bot_user, "bot_id": world.bot_id, "is_enterprise_install": False,
    }  # fmt: skip


def open_connection(given: Given) -> Json:
    """Return where to connect for Socket Mode, for one connection."""
    ticket = secrets.token_urlsafe(16)
    given.place.tickets.append(ticket)
    return {"url": f"{given.place.url.replace('http', 'ws', 1)}/link?ticket={ticket}&app_id={given.place.world.app_id}"}


def channel_json(channel: Channel, members: int | None = None) -> Json:
    """Return a channel as the Web API shows it."""
    im = channel.kind == "im"
    shown: Json = {
        "id": channel.id, "created": 1_700_000_000, "is_archived": channel.archived, "is_im": im,
        "is_channel": channel.kind == "public", "is_private": channel.kind != "public", "is_org_shared": False,
        "is_shared": False, "is_ext_shared": False, "is_mpim": False, "is_group": channel.kind == "private",
    }  # fmt: skip
    if im:
        return shown | {"user": channel.members[0], "is_open": True}
    topic = {"value": "", "creator": "", "last_set": 0}
    counted = {} if members is None else {"num_members": members}
    return shown | {
        "name": channel.name, "name_normalized": channel.name, "is_general": channel.name == "general",
        "is_member": True, "topic": topic, "purpose": topic, **counted,
    }  # fmt: skip


def info(given: Given) -> Json:
    """Return a channel."""
    channel = given.channel()
    shown = channel_json(channel, len(channel.members) if given.flag("include_num_members") else None)
    if channel.kind != "im":
        shown["is_member"] = given.place.bot.id in channel.members
    return {"channel": shown}


def open_direct(given: Given) -> Json:
    """Return the direct messages with a person."""
    if given.text("channel"):
        return {"channel": channel_json(given.channel())}
    value = given.values.get("users")
    names = value.split(",") if isinstance(value, str) else list(value or ())
    if not names:
        raise SlackError("users_list_not_supplied")
    if len(names) > 1:
        raise SlackError("invalid_user_combination", ["[ERROR] the stand-in has no group messages"])
    user = given.place.world.users.get(names[0])
    if user is None or user.is_bot:
        raise SlackError("user_not_found")
    channel = given.place.direct(user.id)
    return {"channel": channel_json(channel) if given.flag("return_im") else {"id": channel.id}}


def members(given: Given) -> Json:
    """Return who is in a channel."""
    shown, more = _page(given, given.channel().members, 100)
    return {"members": shown, **more}


def listed(given: Given) -> Json:
    """Return the channels there are, of the kinds that were asked for."""
    kinds = given.values.get("types") or "public_channel"
    wanted = set(kinds.split(",") if isinstance(kinds, str) else kinds)
    if not wanted <= {"public_channel", "private_channel", "im", "mpim"}:
        raise SlackError("invalid_types")
    named = {"public": "public_channel", "private": "private_channel", "im": "im"}
    found = [
        each
        for each in given.place.world.channels.values()
        if named[each.kind] in wanted and (each.kind == "public" or given.place.bot.id in each.members)
        and not (given.flag("exclude_archived") and each.archived)
    ]  # fmt: skip
    shown, more = _page(given, found, 100)
    return {"channels": [channel_json(each, len(each.members)) for each in shown], **more}


def join(given: Given) -> Json:
    """Let the bot into a public channel."""
    channel = given.channel()
    if channel.kind != "public":
        raise SlackError("method_not_supported_for_channel_type")
    if given.place.bot.id not in channel.members:
        channel.members.append(given.place.bot.id)
    return {"channel": channel_json(channel)}


def history(given: Given) -> Json:
    """Return the messages of a channel outside threads, newest first."""
    channel = _readable(given)
    found = [each for each in _between(given, channel) if not each.thread_ts]
    return _messages(given, found[::-1], "")


def replies(given: Given) -> Json:
    """Return a thread: its root first, then its replies, oldest first."""
    channel = _readable(given)
    ts = given.text("ts")
    asked = given.place.world.messages.get(ts)
    if asked is None or asked.channel != channel.id or asked.ephemeral_to:
        raise SlackError("thread_not_found")
    root = given.place.world.messages.get(asked.thread_ts, asked)
    found = [each for each in _between(given, channel) if each.thread_ts == root.ts]
    return _messages(given, found, root.ts)


def _readable(given: Given) -> Channel:
    channel = given.channel()
    if given.place.bot.id not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _between(given: Given, channel: Channel) -> list[Message]:
    oldest, latest = given.text("oldest", "0"), given.text("latest", "9999999999.999999")
    try:
        low, high = float(oldest), float(latest)
    except ValueError as error:
        raise SlackError("invalid_ts_oldest") from error
    inclusive = given.flag("inclusive")
    return [
        each
        for _, each in sorted(given.place.world.messages.items())
        if each.channel == channel.id and not each.ephemeral_to
        and (low < float(each.ts) < high or (inclusive and float(each.ts) in (low, high)))
    ]  # fmt: skip


def _messages(given: Given, found: list[Message], root_ts: str) -> Json:
    shown, more = _page(given, found, 100 if not root_ts else _MOST_PAGE)
    first = [given.place.world.messages[root_ts]] if root_ts and not given.text("cursor") else []
    metadata = bool(given.flag("include_all_metadata"))
    messages = [telling.message_json(given.place, each, metadata=metadata) for each in [*first, *shown]]
    return {"messages": messages, "has_more": bool(more["response_metadata"]["next_cursor"]), **more}


def _page(given: Given, found: Sequence[T], default: int) -> tuple[list[T], Json]:
    limit = given.number("limit", default, 1000)
    cursor = given.text("cursor")
    try:
        start = int(cursor.removeprefix("next:") or 0)
    except ValueError as error:
        raise SlackError("invalid_cursor") from error
    more = f"next:{start + limit}" if start + limit < len(found) else ""
    return list(found[start : start + limit]), {"response_metadata": {"next_cursor": more}}


def user_json(given: Given, user: User) -> Json:
    """Return a person as the Web API shows them."""
    profile = {"real_name": user.name.title(), "display_name": user.name, "email": f"{user.name}@stand-in.example"}
    return {
        "id": user.id, "team_id": given.place.world.team_id, "name": user.name, "deleted": user.deleted,
        "real_name": user.name.title(), "tz": "Etc/UTC", "tz_offset": 0, "profile": profile, "is_bot": user.is_bot,
        "is_admin": False, "is_restricted": False, "is_ultra_restricted": False, "is_app_user": False, "updated": 0,
    }  # fmt: skip


def user_info(given: Given) -> Json:
    """Return a person."""
    return {"user": user_json(given, given.user())}


def user_list(given: Given) -> Json:
    """Return everybody."""
    shown, more = _page(given, list(given.place.world.users.values()), 100)
    return {"members": [user_json(given, each) for each in shown], **more}


def add_reaction(given: Given) -> Json:
    """Put the bot's reaction on a message."""
    message, name = _reacted(given)
    users = message.reactions.setdefault(name, [])
    if given.place.bot.id in users:
        raise SlackError("already_reacted")
    users.append(given.place.bot.id)
    telling.tell_reaction(given.place, given.place.bot, message, name, put=True)
    return {}


def remove_reaction(given: Given) -> Json:
    """Take the bot's reaction back."""
    message, name = _reacted(given)
    users = message.reactions.get(name, [])
    if given.place.bot.id not in users:
        raise SlackError("no_reaction")
    users.remove(given.place.bot.id)
    if not users:
        del message.reactions[name]
    telling.tell_reaction(given.place, given.place.bot, message, name, put=False)
    return {}


def _reacted(given: Given) -> tuple[Message, str]:
    name = given.text("name").strip(":").split("::")[0]
    if name not in GLYPHS:
        raise SlackError("invalid_name")
    if not given.text("channel") or not given.text("timestamp"):
        raise SlackError("no_item_specified")
    return given.message(given.channel(), "timestamp"), name


def get_reactions(given: Given) -> Json:
    """Return a message with its reactions."""
    message = given.message(given.channel(), "timestamp")
    return {"type": "message", "channel": message.channel, "message": telling.message_json(given.place, message)}


def set_status(given: Given) -> Json:
    """Say what the app is doing, until it says something in that thread."""
    root = given.message(given.channel("channel_id", post=True), "thread_ts", "thread_not_found")
    loading = given.json("loading_messages") or []
    if not isinstance(loading, list) or len(loading) > 10:
        raise bad("no more than 10 items allowed: loading_messages")
    given.place.world.statuses[root.ts] = given.text("status")
    return {}


def set_title(given: Given) -> Json:
    """Name a thread of direct messages."""
    root = given.message(given.channel("channel_id", post=True), "thread_ts", "thread_not_found")
    given.place.world.titles[root.ts] = given.text("title")
    return {}


def set_prompts(given: Given) -> Json:
    """Suggest what to say in direct messages."""
    channel = given.channel("channel_id", post=True)
    prompts = given.json("prompts")
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= 4:
        raise bad("between 1 and 4 items allowed: prompts")
    if any(not isinstance(each, dict) or set(each) != {"title", "message"} for each in prompts):
        raise bad("each of prompts has a title and a message")
    given.place.world.prompts[channel.id] = prompts
    return {}
