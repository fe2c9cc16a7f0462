"""The chats of an install: opened from its settings, and kept going beside the platform.

A chat that is away, or was never reached, keeps nobody waiting: it is tried again for as long as the platform runs.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from greylag.adapters.chat.backends.matrix.account import MatrixAccount
from greylag.adapters.chat.backends.matrix.chat import MatrixChat
from greylag.adapters.chat.backends.slack.calls import SlackAccess
from greylag.adapters.chat.backends.slack.chat import SlackChat
from greylag.adapters.chat.port import Chat
from greylag.adapters.store.port import ChatStore
from greylag.app.settings import ChatSettings, Settings
from greylag.delivery.cell import Cell
from greylag.delivery.conversing.courier import Courier
from greylag.delivery.conversing.front import Front
from greylag.delivery.conversing.rendering import Pages
from greylag.domain.errors import OperatorError
from greylag.domain.labels import Label
from greylag.governance.facts import FactBase

#: The chat target that the stand-in for Slack is: on this machine, as the region itself.
STAND_IN = "fake-slack"
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 60.0
#: Where a workspace is reached whose fact names no host of its own.
_SLACK_HOSTS = ("slack.com", "*.slack.com")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_log = logging.getLogger(__name__)


def own_chats(settings: ChatSettings) -> list[tuple[str, str]]:
    """Return the chats that are the operator's own, as fact-base targets (kind, name)."""
    own = [("chat", STAND_IN)] if settings.slack.stand_in else []
    return [*own, ("chat", matrix_place(settings))] if settings.matrix.homeserver and settings.matrix.own else own


def slack_place(settings: ChatSettings) -> str:
    """Return the fact-base name of what stores a Slack workspace's content."""
    return STAND_IN if settings.slack.stand_in else settings.slack.where


def matrix_place(settings: ChatSettings) -> str:
    """Return the fact-base name of what stores a homeserver's content."""
    return f"matrix:{settings.matrix.user.rpartition(':')[2]}" if settings.matrix.own else settings.matrix.where


def room_labels(settings: ChatSettings) -> Mapping[tuple[str, str], Label]:
    """Return the label of each room that has one, by (source, room)."""
    return {
        (each.source, each.room): Label.of(
            each.level, classes=each.classes, origins=each.origins, derived_by=("room",)
        )
        for each in settings.rooms
    }  # fmt: skip


def open_chats(settings: Settings, folder: Path, store: ChatStore, facts: Callable[[], FactBase]) -> tuple[Chat, ...]:
    """Return the chats that ``settings`` name; nothing is connected yet. ``folder`` is for keys of theirs.

    Raises OperatorError ``GL-SLACK-001``, ``GL-MATRIX-002`` for settings that can't be, ``GL-CHAT-040`` for an address
    that is none of those whose content rests where the settings say.
    """
    chats: list[Chat] = []
    if settings.chat.slack.mode != "off":
        chats.append(_slack(settings, store, facts()))
    if settings.chat.matrix.homeserver:
        chats.append(_matrix(settings, folder / "matrix", store, facts()))
    return tuple(chats)


def _slack(settings: Settings, store: ChatStore, facts: FactBase) -> SlackChat:
    given = settings.chat.slack
    socket = given.mode == "socket"
    access = SlackAccess(
        settings.slack_bot_token.get_secret_value(),
        settings.slack_app_token.get_secret_value() if socket else "",
        "" if socket else settings.slack_signing_secret.get_secret_value(),
        given.api_url,
    )
    where = slack_place(settings.chat)
    _require_place(where, access.host, facts, stand_in=given.stand_in)
    return SlackChat(access, where=where, notes=store, residency=_residency(facts, where))


def _matrix(settings: Settings, folder: Path, store: ChatStore, facts: FactBase) -> MatrixChat:
    given = settings.chat.matrix
    account = MatrixAccount(
        given.homeserver, given.user, settings.matrix_password.get_secret_value(), given.invites
    )  # fmt: skip
    where = matrix_place(settings.chat)

    def knows(source: str, author: str) -> bool:
        return store.person(source, author) is not None

    return MatrixChat(account, folder, where, store, knows, residency=_residency(facts, where))


def _require_place(where: str, host: str, facts: FactBase, *, stand_in: bool) -> None:
    """Refuse an address that the fact about ``where`` does not speak of: a decision would be about another place."""
    if stand_in:
        fits, known = host in _LOOPBACK, "this machine"
    else:
        fact = facts.target("chat", where)
        hosts = (fact.hosts if fact is not None else ()) or _SLACK_HOSTS
        fits, known = any(_matches(host, each) for each in hosts), ", ".join(hosts)
    if not fits:
        raise OperatorError(
            "GL-CHAT-040", f"`chat.slack.api_url` is at {host!r}, and `{where}` is {known}.",
            "set `chat.slack.where` to the fact about that address, or `stand_in` for the stand-in of this machine.",
        )  # fmt: skip


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _residency(facts: FactBase, where: str) -> str:
    fact = facts.target("chat", where)
    places = sorted(fact.storage) if fact is not None else []
    return places[0] if len(places) == 1 else ",".join(places) or "unknown"


@dataclass(frozen=True, slots=True)
class Service:
    """What serves the chats besides the platform itself. ``uploads`` names the kinds of chat that get files."""

    cell: Cell
    store: ChatStore
    pages: Pages
    front: Front
    uploads: Collection[str] = ()


class Chats:
    """The opened chats and everything that works for them, until `close`."""

    def __init__(self, chats: Sequence[Chat], service: Service) -> None:
        self._chats = tuple(chats)
        self._service = service
        self._front = service.front
        self._working: list[asyncio.Task[None]] = []

    @property
    def events(self) -> ASGIApp | None:
        """What takes Slack's events over HTTP, None where there is none."""
        return next((each.events for each in self._chats if isinstance(each, SlackChat)), None)

    def start(self) -> None:
        """Begin to hear and to speak; returns at once."""
        if self._chats:
            self._working = [asyncio.create_task(_kept_up("front", self._front.run), name="front")]
        for chat in self._chats:
            work = _kept_up(chat.name, lambda each=chat: self._serve(each))  # type: ignore[misc]  # bound at once
            self._working.append(asyncio.create_task(work, name=f"chat {chat.name}"))

    async def close(self) -> None:
        """Stop; what was heard and not handled, or said and not delivered, goes on at the next start."""
        for chat in self._chats:
            await chat.close()
        for each in self._working:
            each.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _serve(self, chat: Chat) -> None:
        """Hear and speak, each beside the other; the first that ends ends both."""
        await _reach(chat)
        served = {chat.source: chat}
        courier = Courier(
            self._service.cell, self._service.store, served, self._service.pages,
            uploads=[each for each in served if chat.name in self._service.uploads],
        )  # fmt: skip
        speaking = asyncio.create_task(courier.run())
        try:
            await chat.listen(self._front)
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)


async def _reach(chat: Chat) -> None:
    """Wait until it is known who keeps the chat."""
    if not isinstance(chat, SlackChat):
        return
    wait_seconds = _FIRST_WAIT_SECONDS
    while not chat.source:
        await chat.open()
        if not chat.source:
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)


async def _kept_up(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do ``work`` until it ends by itself; begin again whatever it breaks down of."""
    wait_seconds = _FIRST_WAIT_SECONDS
    while True:
        try:
            await work()
            return
        except OperatorError as error:
            _log.error("%s is not served: %s", name, error)
        except Exception:  # noqa: BLE001 - one chat's defect must not end the platform, nor the chat for good
            _log.exception("%s broke down", name)
        await asyncio.sleep(wait_seconds)
        wait_seconds = min(wait_seconds * 2, _LONGEST_WAIT_SECONDS)
