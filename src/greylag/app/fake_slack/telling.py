"""What the app is told: events and clicks, in Slack's shapes, put where the server takes them from."""

from typing import Any

from greylag.app.fake_slack.place import Place, nothing
from greylag.app.fake_slack.world.records import Channel, Delivery, File, Json, Message, User, View

_MOST_DELIVERIES = 5_000
_SUBSCRIPTION = {"public": "message.channels", "private": "message.groups", "im": "message.im"}
_TYPE = {"public": "channel", "private": "group", "im": "im"}


def tell(place: Place, kind: str, payload: Json) -> Delivery:
    """Put something where the server takes it from."""
    with place.lock:
        made = Delivery(place.fresh("env-"), kind, payload, place.clock())
        del place.deliveries[: max(0, len(place.deliveries) - _MOST_DELIVERIES)]
        place.deliveries.append(made)
        place.changed()
        return made


def redeliver(place: Place, event_id: str, reason: str) -> Delivery:
    """Tell an event once more."""
    with place.lock:
        told = [each for each in place.deliveries if each.event_id == event_id]
        if not told:
            nothing("event", event_id)
        made = tell(place, "events_api", told[-1].payload)
        made.attempt, made.reason, made.last = told[-1].attempt + 1, reason, True
        return made


def turn_around(place: Place) -> None:
    """Put what waits into the reverse order."""
    waiting = [each for each in place.deliveries if each.state == "waiting"]
    rest = [each for each in place.deliveries if each.state != "waiting"]
    place.deliveries[:] = [*rest, *reversed(waiting)]


def tell_event(place: Place, event: Json, subscription: str) -> Delivery | None:
    """Tell an event, where the app is subscribed to it."""
    if subscription not in place.rules.events:
        return None
    world = place.world
    authorization = {
        "enterprise_id": None, "team_id": world.team_id, "user_id": world.bot_user, "is_bot": True,
        "is_enterprise_install": False,
    }  # fmt: skip
    payload = {
        "token": "stand-in", "team_id": world.team_id, "context_team_id": world.team_id,
        "context_enterprise_id": None, "api_app_id": world.app_id, "event": event, "type": "event_callback",
        "event_id": place.fresh("Ev"), "event_time": int(float(event["event_ts"])), "authorizations": [authorization],
        "is_ext_shared_channel": False, "event_context": place.fresh("ctx-"),
    }  # fmt: skip
    return tell(place, "events_api", payload)


def message_json(place: Place, message: Message, *, metadata: bool = False) -> Json:
    """Return a message as the Web API and events show it."""
    made: Json = {"type": "message", "user": message.user, "text": message.text, "ts": message.ts}
    if message.by_app:
        made |= {"bot_id": place.world.bot_id, "app_id": place.world.app_id, "bot_profile": _bot_profile(place)}
    else:
        made["client_msg_id"] = f"msg-{message.ts}"
    made["team"] = place.world.team_id
    made["blocks"] = message.blocks
    if message.files:
        made["files"] = [
            file_json(place, place.world.files[each]) for each in message.files if each in place.world.files
        ]
        made["upload"] = False
    if message.edited_ts:
        made["edited"] = {"user": message.user, "ts": message.edited_ts}
    if message.reactions:
        made["reactions"] = [
            {"name": name, "users": users, "count": len(users)} for name, users in message.reactions.items()
        ]
    if message.deleted:
        made |= {"subtype": "tombstone", "text": "This message was deleted.", "user": "USLACKBOT", "blocks": []}
    if message.stream is not None:
        made["streaming_state"] = message.stream.state
    if metadata and message.metadata is not None:
        made["metadata"] = message.metadata
    return made | _thread_json(place, message)


def _bot_profile(place: Place) -> Json:
    world = place.world
    return {"id": world.bot_id, "app_id": world.app_id, "name": place.bot.name, "team_id": world.team_id}


def _thread_json(place: Place, message: Message) -> Json:
    if message.thread_ts:
        root = place.world.messages.get(message.thread_ts)
        return {"thread_ts": message.thread_ts} | ({"parent_user_id": root.user} if root else {})
    replies = replies_of(place, message)
    if not replies:
        return {}
    users = list(dict.fromkeys(each.user for each in replies))
    return {
        "thread_ts": message.ts, "reply_count": len(replies), "reply_users_count": len(users), "reply_users": users,
        "latest_reply": replies[-1].ts, "is_locked": False, "subscribed": False,
    }  # fmt: skip


def replies_of(place: Place, root: Message) -> list[Message]:
    """Return the replies in a thread that everybody sees, oldest first."""
    return [
        each
        for _, each in sorted(place.world.messages.items())
        if each.thread_ts == root.ts and each.channel == root.channel and not each.ephemeral_to
    ]


def file_json(place: Place, file: File) -> Json:
    """Return a file as the Web API and events show it."""
    kind = file.name.rpartition(".")[2].lower() if "." in file.name else "binary"
    url = f"{place.url}/files-pri/{place.world.team_id}-{file.id}"
    made: Json = {
        "id": file.id, "name": file.name, "title": file.title or file.name, "mimetype": "application/octet-stream",
        "filetype": kind, "user": file.user, "size": file.length, "mode": "hosted", "is_external": False,
        "url_private": url, "url_private_download": url + "/download",
        "permalink": f"{place.url}/files/{file.user}/{file.id}", "file_access": "visible",
    }  # fmt: skip
    if file.shares:
        made["channels"] = list(file.shares)
        made["shares"] = {"public": {room: [{"ts": ts} for ts in stamps] for room, stamps in file.shares.items()}}
    return made


def tell_message(place: Place, message: Message) -> None:
    """Tell what was said: ``message``, and ``app_mention`` beside it where a person mentions the bot in a channel."""
    channel = place.world.channels[message.channel]
    if place.bot.id not in channel.members or message.ephemeral_to:
        return
    event = message_json(place, message) | _where(channel, message.ts)
    if message.files:
        event["subtype"] = "file_share"
    tell_event(place, event, _SUBSCRIPTION[channel.kind])
    if channel.kind != "im" and not message.by_app and f"<@{place.bot.id}>" in message.text:
        mention = {name: value for name, value in event.items() if name not in ("channel_type", "subtype")}
        tell_event(place, mention | {"type": "app_mention"}, "app_mention")


def _where(channel: Channel, ts: str) -> Json:
    return {"channel": channel.id, "channel_type": _TYPE[channel.kind], "event_ts": ts}


def tell_changed(place: Place, message: Message, before: Json) -> None:
    """Tell that a message is another one now."""
    channel = place.world.channels[message.channel]
    event = {
        "type": "message", "subtype": "message_changed", "hidden": True, "message": message_json(place, message),
        "previous_message": before, "ts": (ts := place.next_ts()),
    }  # fmt: skip
    if place.bot.id in channel.members and not message.ephemeral_to:
        tell_event(place, event | _where(channel, ts), _SUBSCRIPTION[channel.kind])


def tell_deleted(place: Place, message: Message, before: Json) -> None:
    """Tell that a message is gone."""
    channel = place.world.channels[message.channel]
    event = {
        "type": "message", "subtype": "message_deleted", "hidden": True, "deleted_ts": message.ts,
        "previous_message": before, "ts": (ts := place.next_ts()),
    }  # fmt: skip
    if place.bot.id in channel.members:
        tell_event(place, event | _where(channel, ts), _SUBSCRIPTION[channel.kind])


def tell_reaction(place: Place, user: User, message: Message, name: str, *, put: bool) -> None:
    """Tell that somebody put a reaction on a message, or took it back."""
    kind = "reaction_added" if put else "reaction_removed"
    item = {"type": "message", "channel": message.channel, "ts": message.ts}
    event = {
        "type": kind, "user": user.id, "reaction": name, "item_user": message.user, "item": item,
        "event_ts": place.next_ts(),
    }  # fmt: skip
    if place.bot.id in place.world.channels[message.channel].members:
        tell_event(place, event, kind)


def tell_home(place: Place, user: User, tab: str, view: View | None) -> None:
    """Tell that somebody opened the app."""
    event: dict[str, Any] = {
        "type": "app_home_opened", "user": user.id, "channel": place.direct(user.id).id, "tab": tab,
        "event_ts": place.next_ts(),
    }  # fmt: skip
    if view is not None:
        event["view"] = view_json(place, view)
    tell_event(place, event, "app_home_opened")


def view_json(place: Place, view: View) -> Json:
    """Return a modal or a home as the Web API and clicks show it."""
    given = view.content
    none: Json = dict.fromkeys(("title", "close", "submit"))
    return {
        "id": view.id, "team_id": place.world.team_id, "type": given["type"], **none, "blocks": [],
        "private_metadata": "", "callback_id": "", "external_id": "", "clear_on_close": False,
        "notify_on_close": False, **given, "state": {"values": view.values}, "hash": view.hash,
        "previous_view_id": view.previous_id or None, "root_view_id": view.root_id, "app_id": place.world.app_id,
        "app_installed_team_id": place.world.team_id, "bot_id": place.world.bot_id,
    }  # fmt: skip
