"""``chat.startStream``, ``appendStream``, ``stopStream``: messages that grow."""

from typing import Any

from greylag.app.fake_slack import telling
from greylag.app.fake_slack.webapi import chat
from greylag.app.fake_slack.webapi.given import Given
from greylag.app.fake_slack.world.blocks import LONGEST_MARKDOWN, STATUSES, check_blocks, check_sources, with_ids
from greylag.app.fake_slack.world.problems import Problems, SlackError
from greylag.app.fake_slack.world.records import Json, Message, Stream

_MOST_CHUNKS = 100
_MODES = ("timeline", "plan")
#: Type of chunk: what it needs, what it may have.
_CHUNKS = {
    "markdown_text": (("text",), ()), "plan_update": (("title",), ()), "blocks": (("blocks",), ()),
    "task_update": (("id", "title", "status"), ("details", "output", "sources")),
}  # fmt: skip


def start(given: Given) -> Json:
    """Begin a message that grows, in a thread."""
    channel = given.channel(post=True)
    place = given.place
    root = place.world.messages.get(given.text("thread_ts"))
    if root is None or root.channel != channel.id:
        raise SlackError("thread_not_found")
    if channel.kind != "im":
        for name in ("recipient_user_id", "recipient_team_id"):
            if not given.text(name):
                raise SlackError(f"missing_{name}")
        if (
            given.text("recipient_team_id") != place.world.team_id
            or given.text("recipient_user_id") not in channel.members
        ):
            raise SlackError("user_not_found")
    mode = given.text("task_display_mode", "timeline") or "timeline"
    if mode not in _MODES:
        raise SlackError(
            "invalid_arguments", ["[ERROR] must be one of: timeline, plan [json-pointer:/task_display_mode]"]
        )
    chunks = _chunks(given)
    message = chat.said(place, channel, {"text": "", "blocks": [], "given": False, "metadata": None})
    message.thread_ts = root.thread_ts or root.ts
    message.stream = Stream(mode, [], place.clock())
    place.world.messages[message.ts] = message
    place.world.statuses.pop(message.thread_ts, None)
    _grow(given, message, chunks)
    telling.tell_message(place, message)
    return {"channel": channel.id, "ts": message.ts}


def append(given: Given) -> Json:
    """Let a message grow."""
    message = _streaming(given)
    chunks = _chunks(given)
    if not chunks:
        raise SlackError("no_text")
    _grow(given, message, chunks)
    return {"channel": message.channel, "ts": message.ts}


def stop(given: Given) -> Json:
    """End a message that grew."""
    message = _streaming(given)
    chunks, blocks, metadata = _chunks(given), chat.blocks_of(given), chat.metadata_of(given)
    before = telling.message_json(given.place, message)
    _grow(given, message, chunks)
    if message.stream is None:
        raise SlackError("message_not_in_streaming_state")
    if blocks:
        message.stream.pieces.append({"type": "blocks", "blocks": blocks})
        message.blocks = [*message.blocks, *blocks]
    message.metadata = metadata or message.metadata
    message.stream.state = "completed"
    telling.tell_changed(given.place, message, before)
    shown = telling.message_json(given.place, message, metadata=True)
    return {"channel": message.channel, "ts": message.ts, "message": shown}


def _streaming(given: Given) -> Message:
    message = given.message(given.channel())
    if not message.by_app:
        raise SlackError("message_not_owned_by_app")
    stream, place = message.stream, given.place
    if stream is None or stream.state != "in_progress":
        raise SlackError("message_not_in_streaming_state")
    if place.clock() - stream.touched_at > place.rules.stream_seconds:
        stream.state = "completed"
        raise SlackError("message_not_in_streaming_state")
    return message


def _chunks(given: Given) -> list[Json]:
    text = given.text("markdown_text")
    if len(text) > LONGEST_MARKDOWN:
        raise SlackError("msg_too_long")
    value: Any = given.json("chunks", "invalid_chunks_format")
    if value is not None and not isinstance(value, list):
        raise SlackError("invalid_chunks_format")
    if text and value:
        raise SlackError("markdown_text_conflict")
    chunks = [{"type": "markdown_text", "text": text}] if text else list(value or ())
    problems = Problems("message")
    problems.items(chunks, "/chunks", _MOST_CHUNKS, fewest=0)
    for number, each in enumerate(chunks):
        _check(problems, each, f"/chunks/{number}")
    if problems.said:
        raise SlackError("invalid_chunks", problems.said)
    return chunks


def _check(problems: Problems, chunk: Any, where: str) -> None:
    kind = chunk.get("type") if isinstance(chunk, dict) else None
    if kind not in _CHUNKS:
        problems.wrong(f"unsupported type: {kind}", where + "/type")
        return
    if not problems.fields(chunk, where, *_CHUNKS[kind]):
        return
    for name in ("text", "id", "title", "details", "output"):
        if chunk.get(name) is not None:
            problems.string(chunk[name], f"{where}/{name}", LONGEST_MARKDOWN if name == "text" else 3000, shortest=0)
    if kind == "task_update":
        problems.choice(chunk["status"], where + "/status", STATUSES)
        check_sources(problems, chunk.get("sources") or [], where + "/sources")
    elif kind == "blocks":
        problems.said += check_blocks(chunk["blocks"], "message", where + "/blocks")


def _grow(given: Given, message: Message, chunks: list[Json]) -> None:
    """Add chunks: text goes on where text ended, a task or the plan's title is changed where it stands."""
    stream = message.stream
    if stream is None:
        raise SlackError("message_not_in_streaming_state")
    for chunk in chunks:
        kind = chunk["type"]
        if kind == "markdown_text":
            if stream.pieces and stream.pieces[-1]["type"] == "text":
                stream.pieces[-1]["text"] += chunk["text"]
            else:
                stream.pieces.append({"type": "text", "text": chunk["text"]})
            message.text += chunk["text"]
        elif kind == "blocks":
            made = with_ids(chunk["blocks"], lambda: given.place.fresh("blk-"))
            stream.pieces.append({"type": "blocks", "blocks": made})
        else:
            _change(stream.pieces, chunk, "task" if kind == "task_update" else "plan")
    if sum(len(str(each.get("text", ""))) for each in stream.pieces) > chat.LONGEST_TEXT:
        raise SlackError("msg_too_long")
    stream.touched_at = given.place.clock()
    chat.reach(given, message)


def _change(pieces: list[Json], chunk: Json, kind: str) -> None:
    given = {name: value for name, value in chunk.items() if value is not None} | {"type": kind}
    for each in pieces:
        if each["type"] == kind and each.get("id") == given.get("id"):
            each.update(given)
            return
    pieces.append(given)
