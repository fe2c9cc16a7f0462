"""Calls of Slack's Web API: paced, bounded, and with Slack's errors in the platform's words."""

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.file_upload_v2_result import FileUploadV2Result

from greylag.domain.errors import BackendError, GreylagError, OperatorError, RequestRefused

#: Passed to the vendor's library, which would log addresses with tickets in them, and at some levels whole messages.
SILENT = logging.getLogger("greylag.slack.library")
SILENT.disabled = True
SILENT.setLevel(logging.CRITICAL)

_BUSY = frozenset({
    "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
    "team_added_to_org", "temporarily_unavailable",
})  # fmt: skip
_GONE = frozenset({
    "channel_not_found", "is_archived", "not_in_channel", "is_inactive", "user_not_found", "users_not_found",
    "cannot_dm_bot", "cannot_reply_to_message", "thread_not_found", "restricted_action", "channel_type_not_supported",
    "restricted_action_read_only_channel", "restricted_action_thread_locked", "external_channel_migrating",
    "restricted_action_non_threadable_channel", "restricted_action_thread_only_channel", "not_in_dm",
    "method_not_supported_for_channel_type",
})  # fmt: skip
_LOCKED_OUT = frozenset({
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "org_login_required",
    "user_removed_from_team", "team_access_not_granted", "not_allowed_token_type", "access_denied", "no_permission",
    "two_factor_setup_required", "ekm_access_denied", "app_token_required", "invalid_app_token",
    "enterprise_is_restricted",
})  # fmt: skip
_LONGEST_PAUSE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class SlackAccess:
    """How one workspace is reached. Socket Mode needs ``app_token``, events over HTTP ``signing_secret``.

    ``api_url`` is the Web API's base, ``https://slack.com/api/``; plain ``http`` is taken for loopback only. Raises
    OperatorError ``GL-SLACK-001`` for what is missing or can't be used.
    """

    bot_token: str = field(repr=False)
    app_token: str = field(default="", repr=False)
    signing_secret: str = field(default="", repr=False)
    api_url: str = "https://slack.com/api/"

    def __post_init__(self) -> None:
        """Refuse what can't work."""
        if not self.bot_token or not (self.app_token or self.signing_secret):
            raise _unusable(
                "Slack needs a bot token, and an app-level token (Socket Mode) or a signing secret (HTTP).",
                "set `GREYLAG_SLACK_BOT_TOKEN` and `GREYLAG_SLACK_APP_TOKEN` or `GREYLAG_SLACK_SIGNING_SECRET`.",
            )
        if any(not each.isascii() or not each.isprintable() for each in (self.bot_token, self.app_token)):
            raise _unusable("A Slack token has characters that no token has.", "copy it again from Slack's app page.")
        try:
            parts = urlsplit(self.api_url)
            usable = bool(parts.hostname) and parts.username is None and not parts.query and not parts.fragment
            usable = usable and (parts.scheme == "https" or (parts.scheme == "http" and self.is_local))
        except ValueError:
            usable = False
        if not usable:
            raise _unusable(
                f"`chat.slack.api_url` is not an address of a Web API: {self.api_url[:200]!r}.",
                "write `https://slack.com/api/`; plain `http` is for a stand-in on this machine.",
            )

    @property
    def host(self) -> str:
        """Return the host of the Web API."""
        return urlsplit(self.api_url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Return whether the Web API is on this machine."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    def belongs(self, url: str, schemes: tuple[str, str]) -> bool:
        """Return whether an address that Slack named is Slack's own; ``schemes`` are the safe one and the plain one."""
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            return False
        if self.is_local:
            return host == self.host and parts.scheme in schemes
        base = self.host.removeprefix("www.")
        return parts.scheme == schemes[0] and (host == base or host.endswith(f".{base}"))


class Calls:
    """The Web API of one workspace.

    ``pace_seconds`` is the rest between two messages into one channel, after a burst of three. ``patience_seconds`` is
    how long a call may wait for its turn and for what Slack asks to wait, ``timeout_seconds`` how long for an answer.
    """

    def __init__(
        self, access: SlackAccess, *, pace_seconds: float = 1.0, patience_seconds: float = 30.0,
        timeout_seconds: int = 20,
    ) -> None:  # fmt: skip
        self.access = access
        self.client = _Client(access, access.bot_token, timeout_seconds)
        self._patience = patience_seconds
        self._pace = Pace(pace_seconds)
        self._paused: dict[str, float] = {}

    async def call(
        self, method: str, given: Mapping[str, Any], *, fine: Collection[str] = (), form: bool = False, turn: str = ""
    ) -> Mapping[str, Any]:
        """Call ``method`` and return Slack's answer; an error that is ``fine`` is returned too, as ``error``.

        ``form`` sends fields instead of JSON, for methods that take nothing else. ``turn`` names what is paced. Never
        called twice but after a 429, when Slack has done nothing. Raises RequestRefused ``GL-CHAT-001`` where Slack
        will never take it, OperatorError ``GL-SLACK-002`` (access), ``-003`` (scope), BackendError ``-004`` (busy,
        away, no answer; transient), ``-005`` (refused for another reason).
        """
        end = _now() + self._patience
        if turn:
            await self._wait(await_seconds=self._pace.wait_seconds(turn, self._patience), end=end, method=method)
        while True:
            await self._wait(await_seconds=self._paused.get(method, 0.0) - _now(), end=end, method=method)
            answer, pause_seconds = await self._once(method, given, form)
            if pause_seconds is None:
                return self._judged(method, answer, fine)
            self._paused[method] = _now() + pause_seconds

    async def socket_url(self) -> str:
        """Return the address of a new web socket; raises as `call`, BackendError ``GL-SLACK-006`` for one elsewhere."""
        asking = AsyncWebClient(
            token=self.access.app_token, base_url=self.access.api_url, timeout=15, logger=SILENT, retry_handlers=[]
        )
        asking.proxy = None if self.access.is_local else asking.proxy
        answer: Mapping[str, Any] | GreylagError
        try:
            answer = _data((await asking.apps_connections_open(app_token=self.access.app_token)).data)
        except Exception as error:  # noqa: BLE001 - aiohttp's errors, which can't be named here, among others
            answer = self._failed("apps.connections.open", error)
        url = str(self._judged("apps.connections.open", answer, ()).get("url", ""))
        if not self.access.belongs(url, ("wss", "ws")):
            raise elsewhere("apps.connections.open")
        return url

    async def upload(self, name: str, content: bytes) -> str:
        """Give Slack a file that is shown nowhere yet; return its id. Raises as `call`."""
        given = {"filename": name, "length": len(content)}
        ticket = await self.call("files.getUploadURLExternal", given, form=True)
        url, file_id = str(ticket.get("upload_url", "")), str(ticket.get("file_id", ""))
        if not self.access.belongs(url, ("https", "http")) or not file_id:
            raise elsewhere("files.getUploadURLExternal")
        try:
            status = await self.client.put(url, content)
        except Exception as error:  # noqa: BLE001 - aiohttp's errors, which can't be named here, among others
            raise _away("the upload of a file", error) from None
        if status != 200:
            raise BackendError(
                "GL-SLACK-004",
                f"Slack answered the upload of a file with {status}.",
                "try again later.",
                transient=True,
            )
        return file_id

    async def _once(
        self, method: str, given: Mapping[str, Any], form: bool
    ) -> tuple[Mapping[str, Any] | GreylagError, float | None]:
        """Call once; return the answer or what went wrong, and how long Slack says to wait (None: it was done)."""
        try:
            if form:
                reply = await self.client.api_call(method, data=_fields(given))
            else:
                reply = await self.client.api_call(method, json=dict(given))
        except SlackApiError as error:
            pause = _pause_seconds(error)
            return self._failed(method, error), pause
        except Exception as error:  # noqa: BLE001 - aiohttp's errors, which can't be named here, among others
            return self._failed(method, error), None
        return _data(reply.data), None

    async def _wait(self, *, await_seconds: float, end: float, method: str) -> None:
        if await_seconds <= 0:
            return
        if _now() + await_seconds > end:
            raise BackendError(
                "GL-SLACK-004", f"Slack takes `{method}` again in {await_seconds:.0f} s only.",
                "nothing to do: it is tried again.", transient=True,
            )  # fmt: skip
        await asyncio.sleep(await_seconds)

    def _failed(self, method: str, error: Exception) -> Mapping[str, Any] | GreylagError:
        if not isinstance(error, SlackApiError):
            return _away(f"`{method}`", error)
        answer = _data(getattr(error.response, "data", None))
        if not answer.get("error"):
            status = getattr(error.response, "status_code", None) or getattr(error.response, "status", "nothing")
            return BackendError(
                "GL-SLACK-004", f"Slack answered `{method}` with {status}.", "nothing to do: it is tried again.",
                transient=True,
            )  # fmt: skip
        return answer

    def _judged(
        self, method: str, answer: Mapping[str, Any] | GreylagError, fine: Collection[str]
    ) -> Mapping[str, Any]:
        if isinstance(answer, GreylagError):
            raise answer
        code = str(answer.get("error", ""))[:80]
        if answer.get("ok") is True or code in fine:
            return answer
        raise _meant(method, code, str(answer.get("needed", ""))[:200])


class Pace:
    """Turns for each of many names: three at once, then one each ``rest_seconds``. Source: GCRA, ITU-T I.371."""

    def __init__(self, rest_seconds: float, burst: int = 3, names: int = 2000) -> None:
        self._rest = rest_seconds
        self._slack = rest_seconds * (burst - 1)
        self._names = names
        self._due: OrderedDict[str, float] = OrderedDict()

    def wait_seconds(self, name: str, most_seconds: float) -> float:
        """Return how long to wait for the next turn, and take it where that is at most ``most_seconds``."""
        now = _now()
        due = max(self._due.pop(name, now), now)
        wait = max(0.0, due - self._slack - now)
        self._due[name] = due + self._rest if wait <= most_seconds else due
        while len(self._due) > self._names:
            self._due.popitem(last=False)
        return wait


class _Client(AsyncWebClient):
    """Slack's own client, which tries nothing twice: whether something was said is asked before it is said again."""

    def __init__(self, access: SlackAccess, token: str, timeout_seconds: int) -> None:
        super().__init__(
            token=token, base_url=access.api_url, timeout=timeout_seconds, logger=SILENT, retry_handlers=[]
        )
        if access.is_local:
            self.proxy = None

    async def put(self, url: str, content: bytes) -> int:
        """Send a file to the address that Slack gave for it; return the status."""
        sent: FileUploadV2Result = await self._upload_file(
            url=url, data=content, logger=SILENT, timeout=self.timeout * 6, proxy=self.proxy, ssl=self.ssl
        )
        return sent.status


def elsewhere(method: str) -> BackendError:
    """Return the error for an address that is not Slack's."""
    return BackendError(
        "GL-SLACK-006", f"`{method}` named an address outside of the workspace's host; nothing was sent there.",
        "check `chat.slack.api_url` and what stands between here and Slack.",
    )  # fmt: skip


def _now() -> float:
    return asyncio.get_running_loop().time()


def _data(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _fields(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(int(value)) if isinstance(value, bool) else str(value) for name, value in given.items()}


def _pause_seconds(error: SlackApiError) -> float | None:
    """Return how long Slack says to wait, None where it isn't too many calls."""
    answer = _data(getattr(error.response, "data", None))
    if getattr(error.response, "status_code", 0) != 429 and answer.get("error") not in ("ratelimited", "rate_limited"):
        return None
    said = str((getattr(error.response, "headers", None) or {}).get("Retry-After", "1"))
    seconds = float(said) if said.isascii() and said.isdigit() and len(said) < 6 else 1.0
    return min(seconds, _LONGEST_PAUSE_SECONDS) + random.random() * 0.2


def _away(what: str, error: Exception) -> BackendError:
    kind = type(error).__name__ if not isinstance(error, SlackClientError) else "an answer that is none"
    return BackendError(
        "GL-SLACK-004", f"Slack gave no answer to {what} ({kind}).", "nothing to do: it is tried again.", transient=True
    )


def _meant(method: str, code: str, needed: str) -> GreylagError:
    """Return what Slack's error ``code`` means."""
    if code in _GONE:
        return RequestRefused(
            "GL-CHAT-001", f"Slack will not take this: `{code}` from `{method}`.",
            "look whether the channel still exists and the app is in it: `/invite` it there.",
        )  # fmt: skip
    if code in _LOCKED_OUT:
        return OperatorError(
            "GL-SLACK-002", f"Slack does not let the platform in: `{code}` from `{method}`.",
            "install the app again and set the tokens that its page shows: docs/how-to/slack.md.",
        )  # fmt: skip
    if code == "missing_scope":
        return OperatorError(
            "GL-SLACK-003", f"the Slack app may not call `{method}`: it lacks {needed or 'a scope'!r}.",
            "bring its manifest up to date (`greylag slack manifest`) and install it again.",
        )  # fmt: skip
    if code in _BUSY:
        return BackendError(
            "GL-SLACK-004", f"Slack is busy: `{code}` from `{method}`.", "nothing to do: it is tried again.",
            transient=True,
        )  # fmt: skip
    return BackendError(
        "GL-SLACK-005", f"Slack refused `{method}`: {code or 'no reason'!r}.",
        "report this with the code that Slack gave.",
    )  # fmt: skip


def _unusable(message: str, remedy: str) -> OperatorError:
    return OperatorError("GL-SLACK-001", message, remedy)
