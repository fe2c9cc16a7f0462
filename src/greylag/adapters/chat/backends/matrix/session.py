"""One signed-in device: every call to the server goes through here, and no foreign exception leaves."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from nio import (  # type: ignore[import-untyped]  # it ships no types
    Api,
    AsyncClient,
    AsyncClientConfig,
    EncryptionError,
    ErrorResponse,
    MegolmEvent,
    MessageDirection,
    RoomSendResponse,
    SyncResponse,
)
from nio.api import RelationshipType  # type: ignore[import-untyped]  # as above
from nio.client.async_client import client_session  # type: ignore[import-untyped]  # as above
from nio.responses import RoomEventRelationsResponse  # type: ignore[import-untyped]  # as above
from nio.store import SqliteStore  # type: ignore[import-untyped]  # as above

from greylag.adapters.chat.backends.matrix.account import Folder, MatrixAccount
from greylag.adapters.chat.backends.matrix.bounds import MatrixBounds
from greylag.adapters.chat.backends.matrix.devices import SeenMessages
from greylag.domain.errors import BackendError, GreylagError, OperatorError, RequestRefused

_log = logging.getLogger(__name__)
_KEYS_FILE, _SEEN_FILE = "keys.db", "seen.db"
_TRIES = 4
_MOST_UNHEARD = 3
_SIGNED_OUT = ("M_UNKNOWN_TOKEN", "M_MISSING_TOKEN")
_NEVER = ("M_FORBIDDEN", "M_NOT_FOUND", "M_TOO_LARGE", "M_BAD_JSON", "M_INVALID_PARAM", "M_UNSUPPORTED_ROOM_VERSION")
#: What is raised over events that are not what they should be. A full disk is none of these.
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError, RecursionError)
_NOTHING = {"not_types": ["*"]}
#: What a sync leaves out: presence, typing, receipts, settings of clients. Members come whole, as keys are for them.
_FILTER = {
    "presence": _NOTHING,
    "account_data": _NOTHING,
    "room": {"timeline": {"limit": 100}, "ephemeral": _NOTHING, "account_data": _NOTHING},
}

Call = Callable[[], Awaitable[Any]]


class SignedOut(BackendError):
    """The server no longer knows our token; ``device_gone`` says that it forgot the device with it."""

    def __init__(self, device_gone: bool) -> None:
        super().__init__(
            "GL-MATRIX-005", "the homeserver signed us out.", "nothing: it signs in again by itself.", transient=True
        )
        self.device_gone = device_gone


class Wire(AsyncClient):  # type: ignore[misc]  # the library ships no types
    """nio's client with bounds of its own: nothing is followed to another address, and every wait ends."""

    bounds = MatrixBounds()
    #: Part of what came in could not be taken in: what we know of rooms may be too little.
    in_doubt = False

    async def receive_response(self, response: Any) -> None:
        """Take in an answer. What somebody made so that it can't be taken in does not stop what came with it."""
        try:
            await super().receive_response(response)
        except UNREADABLE as error:
            if not isinstance(response, SyncResponse):
                raise
            _log.warning("part of what came in could not be read (%s); the rooms are asked for again", error)
            self.in_doubt = True

    @client_session  # type: ignore[untyped-decorator]  # as above
    async def send(
        self, method: str, path: str, data: Any = None, headers: Any = None, trace_context: Any = None,
        timeout: float | None = None,
    ) -> Any:  # fmt: skip
        """Send one request to the homeserver itself. See `nio.AsyncClient.send`."""
        wait = self.bounds.request_seconds if timeout is None else timeout or self.bounds.transfer_seconds
        return await self.client_session.request(
            method, self.homeserver + path, data=data, ssl=self.ssl, headers=headers,
            trace_request_ctx=trace_context, timeout=wait, allow_redirects=False,
        )  # fmt: skip

    async def put_event(self, room: str, kind: str, content: dict[str, Any], transaction: str) -> Any:
        """Send what is sealed already, or needs no seal, as it is; the server takes each ``transaction`` once."""
        method, path, data = Api.room_send(self.access_token, room, kind, content, transaction)
        return await self._send(RoomSendResponse, method, path, data, (room,))

    async def thread_events(self, room: str, root: str, limit: int, start: str | None) -> Any:
        """Return up to ``limit`` events of a thread, newest first, from ``start`` of an earlier answer on."""
        method, path = Api.room_get_event_relations(
            self.access_token, room, root, RelationshipType.thread, None, MessageDirection.back, start, None, limit
        )
        return await self._send(RoomEventRelationsResponse, method, path, response_data=(room, root))

    def opened(self, event: Any, room: str) -> Any:
        """Return ``event``, decrypted where it can be."""
        if not isinstance(event, MegolmEvent):
            return event
        event.room_id = room
        try:
            return self.decrypt_event(event)
        except (EncryptionError, *UNREADABLE):
            return event


class MatrixSession:
    """Signs in once, keeps the device's state, and asks the server. One per account and process."""

    def __init__(self, account: MatrixAccount, folder: Folder, bounds: MatrixBounds) -> None:
        self.account = account
        self.bounds = bounds
        #: Syncs that nobody has heard yet.
        self.unheard: deque[Any] = deque()
        #: What changes keys, or relies on them, does so one at a time.
        self.keys = asyncio.Lock()
        self._folder = folder
        self._opening = asyncio.Lock()
        self._client: Any = None
        self._seen: SeenMessages | None = None
        self._whole_state = True

    @property
    def client(self) -> Any:
        """The open client. Raises BackendError ``GL-MATRIX-005`` before `open`, and after `close`."""
        if self._client is None:
            raise SignedOut(device_gone=False)
        return self._client

    @property
    def knows_rooms(self) -> bool:
        """Whether the rooms, and which of them are encrypted, are known for certain."""
        return self._client is not None and not self._whole_state

    async def open(self, position: Callable[[], Awaitable[str]]) -> None:
        """Sign in and learn what rooms there are, from ``position`` on; nothing where that was done.

        Raises OperatorError ``GL-MATRIX-001`` for refused access, ``-003`` for the folder; BackendError.
        """
        async with self._opening:
            if self._client is None:
                await self._enter()
            if self._whole_state and len(self.unheard) < _MOST_UNHEARD:
                self.unheard.append(await self.sync(await position(), 0))

    async def sync(self, since: str, wait_seconds: float) -> Any:
        """Return what came in after ``since``, decrypted as far as keys are there, waiting at most ``wait_seconds``."""
        client, whole = self.client, self._whole_state
        # nio takes the same position for the same answer, and leaves it unread.
        client.next_batch = ""
        answer = await self.ask(
            "sync",
            lambda: client.sync(int(wait_seconds * 1000), _FILTER, since=since or None, full_state=whole or None),
        )
        self._whole_state, client.in_doubt = client.in_doubt, False
        await self.tend()
        return answer

    async def tend(self) -> None:
        """Keep the keys in order: ours uploaded, those of others known, what is to be sent to devices sent."""
        async with self.keys:
            client = self.client
            # Requests for keys that nobody here will ever answer.
            client.olm.key_request_from_untrusted.clear()
            try:
                if client.should_upload_keys:
                    await self.ask("upload keys", client.keys_upload)
                if client.should_query_keys:
                    await self.ask("ask for device keys", client.keys_query)
                if client.should_claim_keys:
                    await self.ask("claim keys", lambda: client.keys_claim(client.get_users_for_key_claiming()))
                await self._tried("send to devices", client.send_to_device_messages)
            except SignedOut:
                raise
            except BackendError as error:
                _log.warning("keys are not in order yet, it is tried again: %s", error)

    async def ask(self, what: str, call: Call, *, final: bool = False, fine: str = "") -> Any:
        """Return the server's answer, having waited where it said so. The error code ``fine`` is an answer too.

        Raises BackendError ``GL-MATRIX-004``, transient; with ``final``, RequestRefused ``GL-CHAT-001`` for what it
        will never take.
        """
        waited = 0.0
        for _ in range(_TRIES):
            answer = await self._tried(what, call)
            if not isinstance(answer, ErrorResponse) or (fine and answer.status_code == fine):
                return answer
            seconds = _limited(answer)
            if seconds is None:
                raise _refusal(what, answer, final)
            if waited + seconds > self.bounds.limit_seconds:
                break
            waited += seconds
            await asyncio.sleep(seconds)
        raise away(what, "it limits how often we may ask")

    async def renew(self, gone: bool) -> None:
        """Sign in again after the server signed us out; with ``gone``, tell it the device's keys again."""
        async with self._opening:
            client = self.client
            client.access_token = ""
            if gone:
                client.olm.account.shared = False
                self._whole_state = True
            await self._sign_in(client)

    async def close(self) -> None:
        """Give connections and files back."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()
            if client.store:
                client.store.database.close()
        if self._seen is not None:
            self._seen.close()
        self._whole_state = True
        self.unheard.clear()

    async def _enter(self) -> None:
        """Make the client and give it token, device and keys."""
        logging.getLogger("nio").setLevel(logging.CRITICAL)  # it tells who talks to whom
        credentials = self._folder.credentials()
        self._folder.private_file(_KEYS_FILE)
        config = AsyncClientConfig(
            store=SqliteStore, store_name=_KEYS_FILE, pickle_key=credentials.store_key, encryption_enabled=True,
            max_limit_exceeded=0, max_timeouts=0, request_timeout=self.bounds.request_seconds,
        )  # fmt: skip
        homeserver = self.account.homeserver.rstrip("/")
        client = Wire(homeserver, self.account.user, credentials.device, str(self._folder.path), config)
        client.bounds = self.bounds
        try:
            if credentials.token:
                client.restore_login(credentials.user, credentials.device, credentials.token)
            else:
                await self._sign_in(client)
            self._seen = SeenMessages(self._folder.private_file(_SEEN_FILE))
            client.olm.message_index_store = self._seen
        except GreylagError:
            await client.close()
            raise
        except Exception as error:  # whatever keys, pickles and SQLite raise: the folder is at fault
            await client.close()
            raise OperatorError(
                "GL-MATRIX-006", f"the keys in {self._folder.path} can't be read: {type(error).__name__}.",
                "restore the folder from its backup, or move it away: then a new device signs in with the password.",
            ) from error  # fmt: skip
        self._client = client

    async def _sign_in(self, client: Any) -> None:
        if not self.account.password:
            raise _no_access("there is no password", self.account)
        answer = await self._tried("sign in", lambda: client.login(self.account.password, "Greylag"))
        if isinstance(answer, ErrorResponse):
            if answer.status_code in ("M_FORBIDDEN", "M_USER_DEACTIVATED", "M_INVALID_USERNAME"):
                raise _no_access("the homeserver refused the password", self.account)
            if answer.status_code in ("M_UNRECOGNIZED", "M_NOT_FOUND", "M_UNKNOWN") or _status(answer) in (404, 405):
                raise _no_access(f"there is no sign-in with a password at {self.account.homeserver}", self.account)
            raise away("sign in", f"it answered {answer.status_code or _status(answer)}")
        if answer.user_id != self.account.user:
            raise _no_access(f"it is the account of {answer.user_id!r}", self.account)
        self._folder.signed_in(self._folder.credentials(), answer.access_token)

    async def _tried(self, what: str, call: Call) -> Any:
        try:
            return await call()
        except GreylagError:
            raise
        except Exception as error:  # nio raises whatever its HTTP client, parser and store raise
            raise away(what, type(error).__name__) from error


def _limited(answer: Any) -> float | None:
    """Return how many seconds the server wants us to wait, None where it does not."""
    if answer.status_code != "M_LIMIT_EXCEEDED" and _status(answer) != 429:
        return None
    given = answer.retry_after_ms
    return max(0.05, given / 1000) if isinstance(given, int) else 1.0


def _refusal(what: str, answer: Any, final: bool) -> GreylagError:
    code, status = answer.status_code, _status(answer)
    if code in _SIGNED_OUT:
        return SignedOut(device_gone=not answer.soft_logout)
    if final and (code in _NEVER or status in (400, 403, 404, 413)):
        return never(what, f"it answered {code or status}")
    return away(what, f"it answered {code or status}")


def _status(answer: Any) -> int:
    return int(getattr(getattr(answer, "transport_response", None), "status", 0) or 0)


def away(what: str, why: str) -> BackendError:
    """Return the error for a server that can't be reached, or is not well."""
    return BackendError(
        "GL-MATRIX-004", f"the homeserver could not be asked to {what}: {why}.",
        "look whether it is up; Greylag keeps trying.", transient=True,
    )  # fmt: skip


def never(what: str, why: str) -> RequestRefused:
    """Return the error for what the server will never take."""
    return RequestRefused(
        "GL-CHAT-001", f"the homeserver refuses to {what}: {why}.",
        "invite the account into the room again, and let it write there.",
    )  # fmt: skip


def _no_access(why: str, account: MatrixAccount) -> OperatorError:
    return OperatorError(
        "GL-MATRIX-001", f"{account.user} can't sign in: {why}.",
        "check `[chat.matrix]` and set `GREYLAG_MATRIX_PASSWORD`.",
    )  # fmt: skip
