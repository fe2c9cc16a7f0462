"""``response_url``: answering a click where it happened."""

from typing import Any

from greylag.app.fake_slack import telling
from greylag.app.fake_slack.place import Place
from greylag.app.fake_slack.webapi import chat
from greylag.app.fake_slack.webapi.given import Given
from greylag.app.fake_slack.world.problems import SlackError
from greylag.app.fake_slack.world.records import Json, ReplyUrl

_MOST_USES = 5
_SECONDS = 1800.0
_KNOWN = {
    "text", "blocks", "response_type", "replace_original", "delete_original", "thread_ts", "unfurl_links",
    "unfurl_media", "metadata", "attachments", "mrkdwn",
}  # fmt: skip


def reply(place: Place, token: str, values: Json) -> None:
    """Do what an answer to a click says. Raises SlackError."""
    with place.lock:
        url = place.world.reply_urls.get(token)
        if url is None or place.clock() - url.made_at > _SECONDS:
            raise SlackError("expired_url")
        if url.uses >= _MOST_USES:
            raise SlackError("used_url")
        if set(values) - _KNOWN and place.rules.refuse_unknown:
            raise SlackError("invalid_payload", sorted(set(values) - _KNOWN))
        url.uses += 1
        _reply(place, url, values)
        place.changed()


def _reply(place: Place, url: ReplyUrl, values: Json) -> None:
    original = place.world.messages.get(url.ts)
    if values.get("delete_original") is True:
        if original is not None:
            del place.world.messages[url.ts]
        return
    given = Given(place, values, "response_url")
    content = chat.content_of(given)
    if values.get("replace_original") is True and original is not None:
        before = telling.message_json(place, original)
        original.text, original.blocks, original.blocks_given = content["text"], content["blocks"], content["given"]
        original.stream, original.edited_ts = None, place.next_ts()
        chat.reach(given, original)
        telling.tell_changed(place, original, before)
        return
    message = chat.said(place, place.world.channels[url.channel], content)
    kind: Any = values.get("response_type", "ephemeral")
    message.ephemeral_to = "" if kind == "in_channel" else url.user
    message.thread_ts = str(values.get("thread_ts") or "")
    place.world.messages[message.ts] = message
    chat.reach(given, message)
    telling.tell_message(place, message)
