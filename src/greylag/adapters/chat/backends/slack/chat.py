"""Slack as a chat: says things once, hears what is said."""

import asyncio
import contextlib
import hashlib
import json
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.types import ASGIApp

from greylag.adapters.chat.backends.slack.blocks import TEXT, message, notification, short
from greylag.adapters.chat.backends.slack.calls import Calls, SlackAccess
from greylag.adapters.chat.backends.slack.catching_up import CatchingUp, messages, next_cursor
from greylag.adapters.chat.backends.slack.connecting import Events, Sockets
from greylag.adapters.chat.backends.slack.hearing import Hearing
from greylag.adapters.chat.backends.slack.inert import line
from greylag.adapters.chat.backends.slack.progress import Progress, carries, is_unmarked, mark_of
from greylag.adapters.chat.backends.slack.reading import Us, is_id, overheard
from greylag.adapters.chat.backends.slack.remembering import Notes, Remembered
from greylag.adapters.chat.port import Capabilities, Listener, Overheard, Post
from greylag.domain.conversation import Conversation
from greylag.domain.errors import BackendError, OperatorError, RequestRefused
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

_log = logging.getLogger(__name__)

_MARKS = {"seen": "eyes", "done": "white_check_mark", "refused": "no_entry"}
_TOO_MUCH = frozenset({
    "invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "too_many_attachments",
    "no_text",
})  # fmt: skip
#: Ephemeral messages reach people who are there; to others the words are said in the thread.
_NOT_TO_ONE = frozenset({"user_not_in_channel", "messages_tab_disabled", "cannot_send_ephemeral", "invalid_user"})
_FILE_BYTES = 64 * 1024 * 1024
_PAGES = 10


@dataclass(frozen=True, slots=True)
class Timing:
    """How long, in seconds: between messages of a channel, in a call, between pings, until a connection is given up."""

    pace_seconds: float = 1.0
    patience_seconds: float = 30.0
    ping_seconds: float = 5.0
    lost_seconds: float = 15.0
    look_again_seconds: float = 30.0


class SlackChat:
    """One Slack workspace.

    ``where`` is the fact that says where its content rests, ``residency`` what the operator stated of it, ``notes``
    what it remembers by. ``source`` is ``slack:<team id>``: learnt by `open`, from Slack or else from the note of the
    last time; "" until Slack was reached for the first time.
    """

    name = "slack"

    def __init__(
        self, access: SlackAccess, *, where: str, notes: Notes, residency: str = "unknown",
        timing: Timing | None = None, wall_seconds: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        timing = timing or Timing()
        self.where = where
        self.source = ""
        self.capabilities = Capabilities(
            buttons=True, modals=True, edit=True, stream=True, files=True, ephemeral=True, encryption="transport",
            vouches=True, residency=residency, longest_text=TEXT,
        )  # fmt: skip
        self._access = access
        self._notes = notes
        self._timing = timing
        self._calls = Calls(access, pace_seconds=timing.pace_seconds, patience_seconds=timing.patience_seconds)
        self._hearing = Hearing(self._calls, notes, where)
        self._catching_up = CatchingUp(self._calls, self._hearing, wall_seconds)
        self._progress = Progress(self._calls)
        self._uploads = Remembered(notes, "uploads")
        self._said: OrderedDict[tuple[Conversation, str], str] = OrderedDict()
        self._us: Us | None = None
        self._stop = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._http = bool(access.signing_secret) and not access.app_token
        self._app = self._hearing.app(access.signing_secret if self._http else "")
        self._sockets = Sockets(
            self._calls, self._app, ping_seconds=timing.ping_seconds, patience_seconds=timing.lost_seconds
        )

    @property
    def events(self) -> ASGIApp | None:
        """Return what to mount at ``/slack/events`` where events come over HTTP, None in Socket Mode."""
        return Events(self._app) if self._http else None

    @property
    def is_connected(self) -> bool:
        """Return whether events can come in."""
        return self._hearing.listener is not None and (self._http or self._sockets.connected)

    async def open(self) -> None:
        """Learn who we are. Slack being away is no failure: then it is what was noted, or `listen` learns it.

        Raises OperatorError ``GL-SLACK-002`` where Slack does not let us in.
        """
        try:
            async with asyncio.timeout(8):
                await self._learn()
        except (BackendError, TimeoutError):
            _log.warning("Slack is away; it is asked again")
            await self._known_as(_us(await asyncio.to_thread(self._notes.note, "slack", self._note_name())))

    async def post(self, permit: Permit, post: Post, *, uncertain: bool = False, handle: str = "") -> str:
        """Say it once. See `greylag.adapters.chat.port.Chat.post`."""
        self._require(permit, post.digest)
        self._require(permit, _digest(post.text.encode("utf-8", "surrogatepass")))
        with _mendable():
            return await self._once(post, mark_of(post.key), uncertain=uncertain, handle=handle)

    async def _once(self, post: Post, mark: Mapping[str, Any], *, uncertain: bool, handle: str) -> str:
        us = await self._known()
        if handle:
            changed = await self._progress.change(post, handle, mark)
            if changed:
                return changed
        said = self._said.get((post.conversation, post.key), "")
        if not said and uncertain and not post.to:
            said = await self._find(us, post, mark)
        if not said and post.kind == "progress" and post.steps:
            asker = self._hearing.askers.get(f"{post.conversation.room}/{post.conversation.thread}")
            said = await self._progress.start(post, mark, asker, us.team)
        said = said or await self._say(post, mark)
        self._said[(post.conversation, post.key)] = said
        while len(self._said) > 2000:
            self._said.popitem(last=False)
        return said

    async def mark(self, permit: Permit, conversation: Conversation, message_id: str, mark: str) -> None:
        """Put a reaction on a message. See `greylag.adapters.chat.port.Chat.mark`."""
        self._require(permit, _digest(mark.encode()))
        name = _MARKS.get(mark)
        if name is None:
            return
        given = {"channel": conversation.room, "timestamp": message_id, "name": name}
        # A message that is gone, or full of reactions, needs no sign of life.
        fine = {"already_reacted", "message_not_found", "too_many_reactions", "too_many_emoji", "thread_locked"}
        with _mendable():
            await self._calls.call("reactions.add", given, fine=fine)

    async def upload(
        self, permit: Permit, conversation: Conversation, name: str, content: bytes, key: str, *,
        uncertain: bool = False,
    ) -> str:  # fmt: skip
        """Put a file into the thread, once per ``key``; return the file's id. See the port.

        Raises RequestRefused ``GL-SLACK-007`` over 64 MiB, BackendError and RequestRefused as `post`.
        """
        self._require(permit, _digest(content))
        if len(content) > _FILE_BYTES:
            raise RequestRefused(
                "GL-SLACK-007", f"a file of {len(content)} bytes is over the {_FILE_BYTES} that go into a thread.",
                "use the link to the task's page instead.",
            )  # fmt: skip
        with _mendable():
            return await self._put(conversation, name, content, key, uncertain=uncertain)

    async def _put(self, conversation: Conversation, name: str, content: bytes, key: str, *, uncertain: bool) -> str:
        us = await self._known()
        noted = mark_of(key)["event_payload"]["key"]
        state, _, before = self._uploads.get(noted).partition(":")
        if state == "shown" or (uncertain and before and await self._has_file(us, conversation, before)):
            return before
        shown = line(name.replace("/", "_").replace("\\", "_"), 200)
        file_id = await self._calls.upload(shown, content)
        await self._uploads.keep(noted, f"sent:{file_id}")  # what may be shown from now on can be found again
        given = {
            "files": json.dumps([{"id": file_id, "title": shown}]), "channel_id": conversation.room,
            "thread_ts": conversation.thread,
        }  # fmt: skip
        await self._calls.call("files.completeUploadExternal", given, form=True, turn=conversation.room)
        await self._uploads.keep(noted, f"shown:{file_id}")
        return file_id

    async def history(self, conversation: Conversation, limit: int) -> Sequence[Overheard]:
        """Return the newest messages of a thread. See `greylag.adapters.chat.port.Chat.history`."""
        with _mendable():
            us = await self._known()
            found = await self._thread(conversation, metadata=False) if limit > 0 else []
        newest: deque[Overheard] = deque(maxlen=max(0, limit))
        seen: set[str] = set()
        for each in found:
            one = overheard(us, each)
            if one is not None and one.message_id not in seen:
                seen.add(one.message_id)
                newest.append(one)
        return tuple(newest)

    async def listen(self, listener: Listener) -> None:
        """Hear until `close`. See `greylag.adapters.chat.port.Chat.listen`. Raises OperatorError for bad access."""
        self._listening = asyncio.current_task()
        us = await self._learnt()
        if us is None:
            return
        await self._hearing.open(us, listener)
        looking = asyncio.ensure_future(self._look_again())
        try:
            if self._http:
                await self._arrived()
                await self._stop.wait()
            else:
                await self._sockets.run(self._stop, self._arrived)
        finally:
            looking.cancel()
            await self._hearing.close()
            with contextlib.suppress(asyncio.CancelledError):
                await looking

    async def close(self) -> None:
        """Stop hearing and give the connection back."""
        self._stop.set()
        task = self._listening
        if task is not None and task is not asyncio.current_task() and not task.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await asyncio.wait([task])
            task.cancel()

    async def _say(self, post: Post, mark: Mapping[str, Any]) -> str:
        blocks, text = message(post)
        given: dict[str, Any] = {
            "channel": post.conversation.room, "thread_ts": post.conversation.thread, "text": text, "blocks": blocks,
            "metadata": mark, "parse": "none", "link_names": False, "unfurl_links": False, "unfurl_media": False,
            "mrkdwn": False,
        }  # fmt: skip
        if not post.conversation.thread:
            del given["thread_ts"]
        room = post.conversation.room
        if post.to and is_id(post.to):
            only = {
                name: value for name, value in given.items() if not name.startswith(("unfurl", "metadata", "mrkdwn"))
            }
            answer = await self._calls.call(
                "chat.postEphemeral", {**only, "user": post.to}, fine=_NOT_TO_ONE | _TOO_MUCH, turn=room
            )
            if not answer.get("error"):
                return str(answer.get("message_ts", ""))
        answer = await self._calls.call("chat.postMessage", given, fine=_TOO_MUCH, turn=room)
        if answer.get("error"):
            _log.warning("Slack took a message in its plainest form only: %s", str(answer["error"])[:40])
            plainest = {**given, "blocks": short(post), "text": notification(replace(post, title=""))}
            answer = await self._calls.call("chat.postMessage", plainest, turn=room)
        return str(answer.get("ts", ""))

    async def _find(self, us: Us, post: Post, mark: Mapping[str, Any]) -> str:
        """Return the id of the message that ``post`` became, "" for none.

        A stream can't be marked when it begins. It is the one unmarked message of ours that nobody remembers: there is
        one at most, for a conversation gets one thing after the other.
        """
        ours = [each for each in await self._thread(post.conversation, metadata=True) if us.wrote(each)]
        found = [str(each["ts"]) for each in ours if carries(each, mark)]
        if not found and post.kind == "progress":
            place = (us.source, post.conversation.room)
            for each in ours:
                ts = str(each["ts"])
                if is_unmarked(each) and await asyncio.to_thread(self._notes.posted_as, *place, ts) is None:
                    found.append(ts)
        return found[-1] if found else ""

    async def _has_file(self, us: Us, conversation: Conversation, file_id: str) -> bool:
        for _ in range(2):
            for each in await self._thread(conversation, metadata=False):
                files = each.get("files")
                if us.wrote(each) and any(one.get("id") == file_id for one in files or () if isinstance(one, dict)):
                    return True
            await asyncio.sleep(min(1.5, self._timing.pace_seconds))  # Slack shows a file a moment after it took it
        return False

    async def _thread(self, conversation: Conversation, *, metadata: bool) -> list[Mapping[str, Any]]:
        """Return all messages of a thread, at most ten pages, oldest first."""
        method = "conversations.replies" if conversation.thread else "conversations.history"
        given: dict[str, Any] = {"channel": conversation.room, "limit": 200, "include_all_metadata": metadata}
        if conversation.thread:
            given["ts"] = conversation.thread
        found: list[Mapping[str, Any]] = []
        cursor = ""
        for _ in range(_PAGES):
            page = {**given, **({"cursor": cursor} if cursor else {})}
            answer = await self._calls.call(method, page, fine={"thread_not_found", "message_not_found"}, form=True)
            found += messages(answer)
            cursor = next_cursor(answer)
            if not cursor:
                break
        return sorted(found, key=lambda each: float(each["ts"]))

    async def _arrived(self) -> None:
        """Look up what was missed, beside what comes in."""
        task = asyncio.ensure_future(self._catching_up.run())
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(self._timing.look_again_seconds)
            if self._hearing.owed:
                await self._catching_up.run()

    async def _known(self) -> Us:
        """Return who we are, asking Slack where nobody knows yet."""
        if self._us is None:
            await self._learn()
        if self._us is None:
            raise BackendError(
                "GL-SLACK-004", "Slack did not say which workspace this is.", "nothing to do: it is tried again.",
                transient=True,
            )  # fmt: skip
        return self._us

    async def _learnt(self) -> Us | None:
        """Return who we are as soon as Slack says it, None where `close` comes first. Raises OperatorError."""
        wait_seconds = 0.5
        while not self._stop.is_set():
            try:
                await self._learn()
                return await self._known()
            except BackendError as error:
                _log.warning("Slack can't be reached (%s); the next try is in %.0f s", error.code, wait_seconds)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._stop.wait()
            wait_seconds = min(wait_seconds * 2, 30.0)
        return None

    async def _learn(self) -> None:
        answer = await self._calls.call("auth.test", {}, form=True)
        found = {name: str(answer.get(name) or "") for name in ("team_id", "user_id", "bot_id")}
        await self._known_as(_us(json.dumps(found)))
        if self._us is not None:
            await asyncio.to_thread(self._notes.put_note, "slack", self._note_name(), json.dumps(found))

    async def _known_as(self, us: Us | None) -> None:
        if us is None or us == self._us:
            return
        self._us, self.source = us, us.source
        await self._uploads.open(us.source)
        await self._hearing.askers.open(us.source)

    def _note_name(self) -> str:
        """Return under which name it is noted who this token is: another token is somebody else."""
        return f"who/{hashlib.sha256(self._access.bot_token.encode()).hexdigest()[:24]}"

    def _require(self, permit: Permit, digest: str) -> None:
        permit.require(Stage.CHAT, self.where, digest)


@contextlib.contextmanager
def _mendable() -> Iterator[None]:
    """Say of lost access that the same call works later, as soon as the operator mended it: nothing is given up."""
    try:
        yield
    except OperatorError as error:
        raise BackendError("GL-SLACK-009", error.message, error.remedy, transient=True) from error


def _us(note: str) -> Us | None:
    try:
        found = json.loads(note) if note else {}
    except ValueError:
        return None
    team, user, bot = (found.get(name, "") for name in ("team_id", "user_id", "bot_id"))
    if not is_id(team) or not is_id(user):
        return None
    return Us(team, user, bot if is_id(bot) else "")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
