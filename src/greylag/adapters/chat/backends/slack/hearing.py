"""What comes in: each event is with the listener, durable, before Slack is told that it arrived.

All of it runs in one global middleware of Bolt. What it raises leaves the event unacknowledged: Slack sends it again.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from greylag.adapters.chat.backends.slack.blocks import carried
from greylag.adapters.chat.backends.slack.calls import SILENT, Calls
from greylag.adapters.chat.backends.slack.reading import (
    Us,
    heard_click,
    heard_message,
    heard_reaction,
    is_id,
    is_ts,
    read_click,
)
from greylag.adapters.chat.backends.slack.remembering import Notes, Remembered
from greylag.adapters.chat.backends.slack.views import form, home_view, submitted
from greylag.adapters.chat.port import Heard, Listener
from greylag.domain.conversation import Conversation
from greylag.domain.errors import GreylagError
from greylag.domain.stages import Stage

_log = logging.getLogger(__name__)

_MOST_HOMES = 32
_TAKE_SECONDS = 30.0


class Hearing:
    """Reads events and hands them to the listener, one after the other in each conversation."""

    def __init__(self, calls: Calls, notes: Notes, where: str) -> None:
        self.us: Us | None = None
        self.listener: Listener | None = None
        #: Who began a thread that we are in, by ``channel/thread``: threads whose replies are for us.
        self.askers = Remembered(notes, "askers")
        #: The newest message that was taken, by channel: from where to look up what was missed.
        self.newest = Remembered(notes, "newest")
        #: What was taken already, by event: a mention comes as two events, and looking up finds what was heard.
        self._taken = Remembered(notes, "taken", 600)
        #: Messages that could not be taken, by channel, until they were.
        self.owed: dict[str, set[str]] = {}
        self._calls = calls
        self._notes = notes
        self._where = where
        self._turns: OrderedDict[Conversation, asyncio.Lock] = OrderedDict()
        self._homes: dict[str, asyncio.Task[None]] = {}
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def open(self, us: Us, listener: Listener) -> None:
        """Begin to hear for ``listener``."""
        await self.askers.open(us.source)
        await self.newest.open(us.source)
        await self._taken.open(us.source)
        self.us, self.listener = us, listener

    async def close(self) -> None:
        """Take nothing more; what is being taken is waited for, a little."""
        self.listener = None
        for home in list(self._homes.values()):
            home.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3):
                await self._idle.wait()
        for kept in (self.askers, self.newest, self._taken):
            try:
                await kept.flush()
            except GreylagError as error:
                _log.warning("a note of Slack's was not kept at the end (%s)", error.code)

    def app(self, signing_secret: str) -> AsyncApp:
        """Return a Bolt app around this. With ``signing_secret`` each request's signature and age are checked."""
        return bolt_app(self, self._calls.access.api_url, signing_secret)

    async def receive(self, body: Mapping[str, Any]) -> BoltResponse:
        """Take what ``body`` tells and return what Slack is answered."""
        us, listener = self.us, self.listener
        if us is None or listener is None:
            return BoltResponse(status=503, body="")
        if not _is_for(us, body):
            _log.warning("ignored: an event of another workspace")
            return BoltResponse(status=200, body="")
        self._busy += 1
        self._idle.clear()
        try:
            kind = body.get("type")
            if kind == "event_callback":
                await self._event(us, listener, body)
            elif kind == "block_actions":
                await self._clicked(us, listener, body)
            elif kind == "view_submission":
                return await self._submitted(us, listener, body)
            return BoltResponse(status=200, body="")
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def message(self, us: Us, listener: Listener, event: Mapping[str, Any]) -> bool:
        """Take a message if it is a person's and for us; return whether it was."""
        heard = heard_message(us, event)
        if heard is None:
            return False
        async with self._turn(heard.conversation):
            if heard.kind == "reply" and not await self._is_known(heard.conversation):
                if not heard.conversation.room.startswith("D"):
                    return False
                heard = replace(heard, kind="direct")
            await self._take(listener, heard)
            place = f"{heard.conversation.room}/{heard.conversation.thread}"
            if not self.askers.get(place):
                self.askers.put(place, heard.author)
            room = heard.conversation.room
            if heard.message_id > self.newest.get(room) and room not in self.owed:
                self.newest.put(room, heard.message_id)
        return True

    async def _event(self, us: Us, listener: Listener, body: Mapping[str, Any]) -> None:
        event = body.get("event")
        if not isinstance(event, dict):
            return
        kind = event.get("type")
        if kind in ("message", "app_mention"):
            await self.message(us, listener, event)
        elif kind == "reaction_added":
            await self._reaction(us, listener, event, str(body.get("event_id", "")))
        elif kind == "app_home_opened" and event.get("tab", "home") == "home":
            self._open_home(us, listener, event.get("user"))

    async def _reaction(self, us: Us, listener: Listener, event: Mapping[str, Any], event_id: str) -> None:
        item = event.get("item")
        if not isinstance(item, dict) or item.get("type") != "message" or event.get("user") == us.user:
            return
        room, ts = item.get("channel"), item.get("ts")
        if not is_id(room) or not is_ts(ts):
            return
        posting = await asyncio.to_thread(self._notes.posted_as, us.source, str(room), str(ts))
        heard = heard_reaction(us, event, event_id, posting.conversation) if posting else None
        if heard is not None:
            async with self._turn(heard.conversation):
                await self._take(listener, heard)

    async def _clicked(self, us: Us, listener: Listener, body: Mapping[str, Any]) -> None:
        click = read_click(us, body)
        if click is None:
            return
        brought = carried(click.value)
        if brought is None or not click.ours:
            if click.value:
                _log.warning("ignored: a click on a button that is not ours")
            return
        if brought.asks:
            view = form(click, brought)
            if view is not None:
                # Before the acknowledgement: the trigger lives three seconds, and a failure shows at the button.
                await self._calls.call("views.open", {"trigger_id": click.trigger_id, "view": view})
                return
        async with self._turn(click.conversation):
            await self._take(listener, heard_click(click, brought))

    async def _submitted(self, us: Us, listener: Listener, body: Mapping[str, Any]) -> BoltResponse:
        heard = submitted(us, body)
        if isinstance(heard, dict):
            return BoltResponse(status=200, body={"response_action": "errors", "errors": heard})
        if heard is not None:
            async with self._turn(heard.conversation):
                await self._take(listener, heard)
        return BoltResponse(status=200, body="")

    async def _take(self, listener: Listener, heard: Heard) -> None:
        room = heard.conversation.room
        if self._taken.get(heard.event_id):
            return
        try:
            async with asyncio.timeout(_TAKE_SECONDS):
                await listener.take(heard)
        except Exception as error:
            reason = error.code if isinstance(error, GreylagError) else type(error).__name__
            _log.warning("an event was not taken (%s); Slack is left to deliver it again", reason)
            if heard.kind in ("mention", "direct", "reply"):
                self.owed.setdefault(room, set()).add(heard.message_id)
            raise
        self._taken.put(heard.event_id, "1")
        if heard.message_id in self.owed.get(room, ()):
            self.owed[room].remove(heard.message_id)
            if not self.owed[room]:
                del self.owed[room]

    async def _is_known(self, conversation: Conversation) -> bool:
        if self.askers.get(f"{conversation.room}/{conversation.thread}"):
            return True
        return await asyncio.to_thread(self._notes.task_in, conversation) is not None

    def _open_home(self, us: Us, listener: Listener, author: object) -> None:
        """Show somebody their home in the background: it is made anew whenever it is opened."""
        if not isinstance(author, str) or not is_id(author) or author in self._homes or len(self._homes) >= _MOST_HOMES:
            return
        task = asyncio.ensure_future(self._show_home(us, listener, author))
        self._homes[author] = task
        task.add_done_callback(lambda _: self._homes.pop(author, None))

    async def _show_home(self, us: Us, listener: Listener, author: str) -> None:
        try:
            home = await listener.home(us.source, author)
            if home.permit is None:
                _log.info("a home was not shown: nothing permits it")
                return
            home.permit.require(Stage.CHAT, self._where, home.digest)
            await self._calls.call("views.publish", {"user_id": author, "view": home_view(home)})
        except GreylagError as error:
            _log.warning("a home was not shown (%s)", error.code)
        except Exception as error:  # noqa: BLE001 - nobody awaits this; what fails is tried again when it is opened again
            _log.warning("a home was not shown (%s)", type(error).__name__)

    @contextlib.asynccontextmanager
    async def _turn(self, conversation: Conversation) -> AsyncIterator[None]:
        """Wait for one's turn in a conversation: what came first is taken first."""
        lock = self._turns.setdefault(conversation, asyncio.Lock())
        self._turns.move_to_end(conversation)
        for old in list(self._turns)[: max(0, len(self._turns) - 1000)]:
            if not self._turns[old].locked():
                del self._turns[old]
        async with lock:
            yield


def bolt_app(hearing: Hearing, api_url: str, signing_secret: str) -> AsyncApp:
    """Return a Bolt app whose only listener is ``hearing``, and which makes no calls of its own.

    Everything that Bolt would read from the environment is given. The team is checked by the hearing, so that nothing
    is answered to another one.
    """

    async def authorize(team_id: str | None, enterprise_id: str | None) -> AuthorizeResult:
        us = hearing.us
        return AuthorizeResult(
            enterprise_id=enterprise_id, team_id=team_id, bot_user_id=us.user if us else None,
            bot_id=(us.bot or None) if us else None,
        )  # fmt: skip

    async def receive(req: AsyncBoltRequest) -> BoltResponse:
        return await hearing.receive(req.body)

    client = AsyncWebClient(base_url=api_url, logger=SILENT, retry_handlers=[])
    app = AsyncApp(
        logger=SILENT, name="greylag.slack.bolt", client=client, authorize=authorize, signing_secret=signing_secret,
        request_verification_enabled=bool(signing_secret), ssl_check_enabled=False,
        attaching_function_token_enabled=False,
    )  # fmt: skip
    app.use(receive)
    return app


def _is_for(us: Us, body: Mapping[str, Any]) -> bool:
    """Return whether an event came to our installation; a shared channel's may name the other side's team too."""
    view, team = body.get("view"), body.get("team")
    teams = {body.get("team_id"), body.get("context_team_id"), team.get("id") if isinstance(team, dict) else None}
    if isinstance(view, dict):
        teams.add(view.get("app_installed_team_id"))
    found = body.get("authorizations")
    teams |= (
        {each.get("team_id") for each in found[:10] if isinstance(each, dict)} if isinstance(found, list) else set()
    )
    message = body.get("message")
    return us.team in teams or (isinstance(message, dict) and bool(us.bot) and message.get("bot_id") == us.bot)
