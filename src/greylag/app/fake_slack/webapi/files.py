"""``files.*``: asked for, uploaded, shared, in three steps."""

import secrets
from typing import Any

from greylag.app.fake_slack import telling
from greylag.app.fake_slack.acting import LARGEST_FILE_BYTES, MOST_FILES_KEPT
from greylag.app.fake_slack.place import Place, bounded
from greylag.app.fake_slack.webapi import chat
from greylag.app.fake_slack.webapi.given import Given, bad
from greylag.app.fake_slack.world.problems import SlackError
from greylag.app.fake_slack.world.records import File, Json


def upload_url(given: Given) -> Json:
    """Return where to send the bytes of a file."""
    length = given.number("length", 0, LARGEST_FILE_BYTES)
    place = given.place
    file = File(place.fresh("F"), given.text("filename"), "", place.bot.id, length, alt_text=given.text("alt_txt"))
    file.ticket = secrets.token_urlsafe(16)
    place.world.files[file.id] = file
    bounded(place.world.files, MOST_FILES_KEPT)
    return {"upload_url": f"{place.url}/upload/v1/{file.ticket}", "file_id": file.id}


def upload(place: Place, ticket: str, content: bytes) -> str:
    """Take a file's bytes. Raises SlackError where the ticket or the length is another."""
    file = next((each for each in place.world.files.values() if each.ticket == ticket and ticket), None)
    if file is None or file.state != "asked":
        raise SlackError("file_not_found")
    if len(content) != file.length:
        raise SlackError("file_upload_size_restricted")
    file.content, file.state = content, "uploaded"
    return f"OK - {len(content)}"


def complete(given: Given) -> Json:
    """Share uploaded files, in a channel where one is named. Slack does not say the ``ts`` of the message."""
    place = given.place
    value: Any = given.json("files")
    if not isinstance(value, list) or not value or any(not isinstance(each, dict) for each in value):
        raise bad("must be an array with files [json-pointer:/files]")
    found = [place.world.files.get(str(each.get("id"))) for each in value]
    files = [each for each in found if each is not None and each.state == "uploaded"]
    if len(files) != len(value):
        raise SlackError("file_not_found")
    for file, each in zip(files, value, strict=True):
        file.title = str(each.get("title") or file.name)
    listed = given.values.get("channels") or ""
    rooms = given.text("channel_id") or (listed if isinstance(listed, str) else ",".join(map(str, listed)))
    for room in filter(None, rooms.split(",")):
        _share(given, files, room)
    for file in files:
        file.state = "shared"
    return {"files": [telling.file_json(place, file) for file in files]}


def _share(given: Given, files: list[File], room: str) -> None:
    place = given.place
    channel = Given(place, {"channel": room}, given.method).channel(post=True)
    comment = given.text("initial_comment")
    message = chat.said(place, channel, {"text": comment, "blocks": [], "given": False, "metadata": None})
    root = place.world.messages.get(given.text("thread_ts"))
    message.thread_ts = (root.thread_ts or root.ts) if root is not None and root.channel == channel.id else ""
    message.files = [file.id for file in files]
    place.world.messages[message.ts] = message
    for file in files:
        file.shares.setdefault(channel.id, []).append(message.ts)
    chat.reach(given, message)
    telling.tell_message(place, message)


def _file(given: Given) -> File:
    found = given.place.world.files.get(given.text("file"))
    if found is None or found.state == "asked":
        raise SlackError("file_not_found")
    return found


def info(given: Given) -> Json:
    """Return a file, with the messages it was shared in."""
    return {
        "file": telling.file_json(given.place, _file(given)),
        "comments": [],
        "response_metadata": {"next_cursor": ""},
    }


def delete(given: Given) -> Json:
    """Take a file away."""
    file = _file(given)
    if file.user != given.place.bot.id:
        raise SlackError("cant_delete_file")
    del given.place.world.files[file.id]
    return {}
