"""The live card: a plan of steps that changes in place, streamed where Slack lets us, edited where it doesn't.

Slack closes a stream that is silent for some minutes and takes it in a channel only for the person who asked, so every
way out of a stream leads to an edit of the same message.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greylag.adapters.chat.backends.slack.blocks import Block, context, notification, sections
from greylag.adapters.chat.backends.slack.calls import Calls
from greylag.adapters.chat.backends.slack.inert import line, title, visible
from greylag.adapters.chat.port import Post, Step
from greylag.domain.errors import GreylagError

_log = logging.getLogger(__name__)

_MOST_STEPS = 40
_STATES = {"working": "in_progress", "complete": "complete", "error": "error"}
_SIGNS = {"working": "▸", "complete": "✓", "error": "✗"}
#: Answers that say: not in this workspace, or not this app. Asked again after a while only.
_NEVER = frozenset({
    "unknown_method", "missing_scope", "not_allowed", "not_allowed_token_type", "feature_not_enabled", "access_denied",
    "method_deprecated", "no_permission",
})  # fmt: skip
#: Answers that say: not here, or not like this.
_NOT_HERE = frozenset({
    "missing_recipient_user_id", "missing_recipient_team_id", "invalid_arguments", "invalid_arg_name", "invalid_chunks",
    "channel_type_not_supported", "method_not_supported_for_channel_type", "user_not_found", "invalid_recipient",
    "recipient_not_found", "invalid_thread_ts", "team_not_found", "invalid_blocks", "not_supported",
    "user_not_in_channel",
})  # fmt: skip
_CLOSED = frozenset({
    "message_not_in_streaming_state", "message_not_found", "message_not_owned_by_app", "msg_too_long", "no_stream",
    "invalid_ts", "invalid_message", "stream_not_found",
})  # fmt: skip
_STILL_OPEN = frozenset({"streaming_state_conflict", "message_is_streaming"})
_UNEDITABLE = frozenset({
    "cant_update_message", "message_not_found", "edit_window_closed", "update_failed", "is_inactive",
})  # fmt: skip
_BAD_BLOCKS = frozenset({"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long"})
_ASK_AGAIN_SECONDS = 3600.0


@dataclass(slots=True)
class _Card:
    """What is known of one live card: whether it streams, and what of it is shown."""

    streams: bool
    shown: dict[str, Step] = field(default_factory=dict)


class Progress:
    """Starts and changes live cards. ``team`` is the workspace, which a stream names beside who asked."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._cards: OrderedDict[tuple[str, str], _Card] = OrderedDict()
        self._without_until = 0.0

    async def start(self, post: Post, mark: Mapping[str, Any], asker: str, team: str) -> str:
        """Begin a live card; return its id. ``asker`` is who asked, "" where nobody knows."""
        room = post.conversation.room
        ts = await self._start_stream(post, asker, team) if asker or room.startswith("D") else ""
        if ts:
            self._remember(room, ts, _Card(True, _by_id(post.steps)))
            if _is_over(post.steps):
                await self._stop(room, ts, mark)
            return ts
        answer = await self._edited(
            "chat.postMessage",
            {
                "channel": room, "thread_ts": post.conversation.thread, "metadata": mark, "parse": "none",
                "link_names": False, "unfurl_links": False, "unfurl_media": False, "mrkdwn": False,
            },
            post,
        )  # fmt: skip
        ts = str(answer.get("ts", ""))
        self._remember(room, ts, _Card(False))
        return ts

    async def change(self, post: Post, handle: str, mark: Mapping[str, Any]) -> str:
        """Show ``post`` in the card ``handle``; return "" where that message can't be changed any more."""
        room = post.conversation.room
        card = self._cards.get((room, handle)) or _Card(True)
        if card.streams:
            card.streams = await self._append(post, handle, card)
            self._remember(room, handle, card)
            if card.streams:
                if _is_over(post.steps):
                    await self._stop(room, handle, mark)
                return handle
        given = {"channel": room, "ts": handle, "parse": "none", "link_names": False}
        answer = await self._edited("chat.update", given, post, fine=_UNEDITABLE | _STILL_OPEN)
        if answer.get("error") in _STILL_OPEN:
            await self._stop(room, handle, mark)
            answer = await self._edited("chat.update", given, post, fine=_UNEDITABLE)
        self._remember(room, handle, _Card(False))
        return "" if answer.get("error") else handle

    async def _start_stream(self, post: Post, asker: str, team: str) -> str:
        now = asyncio.get_running_loop().time()
        if now < self._without_until or not post.steps:
            return ""
        head: list[Block] = [{"type": "plan_update", "title": _title(post)}]
        given: dict[str, Any] = {
            "channel": post.conversation.room, "thread_ts": post.conversation.thread, "task_display_mode": "plan",
            "chunks": [*head, *_chunks(post.steps)],
        }  # fmt: skip
        if asker:
            given |= {"recipient_user_id": asker, "recipient_team_id": team}
        answer = await self._calls.call(
            "chat.startStream", given, fine=_NEVER | _NOT_HERE, turn=post.conversation.room
        )  # fmt: skip
        if answer.get("error") in _NEVER:
            self._without_until = now + _ASK_AGAIN_SECONDS
            _log.info("live cards are edited from now on: `chat.startStream` answered %s", answer.get("error"))
        return "" if answer.get("error") else str(answer.get("ts", ""))

    async def _append(self, post: Post, handle: str, card: _Card) -> bool:
        """Add what changed to a stream; return whether it is one still."""
        steps = post.steps[-_MOST_STEPS:]
        changed = [each for each in steps if card.shown.get(each.step_id) != each]
        if not changed:
            return bool(card.shown)
        given = {"channel": post.conversation.room, "ts": handle, "chunks": _chunks(changed)}
        answer = await self._calls.call("chat.appendStream", given, fine=_CLOSED | _NEVER | _NOT_HERE)
        if answer.get("error"):
            return False
        card.shown = _by_id(steps)
        return True

    async def _stop(self, room: str, handle: str, mark: Mapping[str, Any]) -> None:
        """End a stream. What it showed stays; where Slack has ended it already there is nothing to do."""
        try:
            await self._calls.call(
                "chat.stopStream", {"channel": room, "ts": handle, "metadata": mark}, fine=_CLOSED | _NEVER | _NOT_HERE
            )
        except GreylagError as error:
            # The card shows everything; Slack ends a silent stream by itself.
            _log.info("a live card was not ended: %s", error.code)
        self._remember(room, handle, _Card(False))

    async def _edited(
        self, method: str, given: Mapping[str, Any], post: Post, *, fine: frozenset[str] = frozenset()
    ) -> Mapping[str, Any]:
        """Send the card as blocks: a plan, or lines where this Slack knows no plans."""
        turn = post.conversation.room if method == "chat.postMessage" else f"{post.conversation.room}/{given['ts']}"
        whole = {**given, "text": notification(post)}
        answer = await self._calls.call(method, {**whole, "blocks": _plan(post)}, fine=fine | _BAD_BLOCKS, turn=turn)
        if answer.get("error") in _BAD_BLOCKS:
            answer = await self._calls.call(method, {**whole, "blocks": _lines(post)}, fine=fine, turn=turn)
        return answer

    def _remember(self, room: str, handle: str, card: _Card) -> None:
        self._cards[(room, handle)] = card
        self._cards.move_to_end((room, handle))
        while len(self._cards) > 500:
            self._cards.popitem(last=False)


def mark_of(key: str) -> dict[str, Any]:
    """Return the metadata by which a message is found again. It is a digest: metadata can be read by other apps."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40]
    return {"event_type": "greylag_message", "event_payload": {"key": digest}}


def carries(message: Mapping[str, Any], mark: Mapping[str, Any]) -> bool:
    """Return whether a message of ours is the one that ``mark`` was put on."""
    found = message.get("metadata")
    payload = found.get("event_payload") if isinstance(found, dict) else None
    return isinstance(payload, dict) and payload.get("key") == mark["event_payload"]["key"]


def is_unmarked(message: Mapping[str, Any]) -> bool:
    """Return whether a message of ours can be a stream: it takes no metadata before its end."""
    return not message.get("metadata") and not message.get("files")


def _title(post: Post) -> str:
    return title(post.title or "At work", 140)


def _by_id(steps: Sequence[Step]) -> dict[str, Step]:
    return {each.step_id: each for each in steps}


def _is_over(steps: Sequence[Step]) -> bool:
    return bool(steps) and all(each.state != "working" for each in steps)


def _chunks(steps: Sequence[Step]) -> list[Block]:
    return [
        {
            "type": "task_update", "id": line(each.step_id, 100), "title": title(each.text, 250),
            "status": _STATES.get(each.state, "in_progress"),
        }
        for each in steps[-_MOST_STEPS:]
    ]  # fmt: skip


def _plan(post: Post) -> list[Block]:
    if not post.steps:
        return sections(post.text, 10_000, False)
    tasks = [
        {
            "type": "task_card", "task_id": line(each.step_id, 100), "title": title(each.text, 250),
            "status": _STATES.get(each.state, "in_progress"),
        }
        for each in post.steps[-_MOST_STEPS:]
    ]  # fmt: skip
    return [{"type": "plan", "title": _title(post), "tasks": tasks}, *_earlier(post)]


def _lines(post: Post) -> list[Block]:
    rows = [f"{_SIGNS.get(each.state, '▸')} {line(each.text, 250)}" for each in post.steps[-_MOST_STEPS:]]
    return [*sections("\n".join(rows) or visible(post.text), 10_000, False), *_earlier(post)]


def _earlier(post: Post) -> list[Block]:
    hidden = len(post.steps) - _MOST_STEPS
    return [context(f"{hidden} earlier steps are on the task's page.")] if hidden > 0 else []
