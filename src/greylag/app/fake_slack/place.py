"""The place everything happens in: who and what there is, by name or id, and what tells that something changed."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from greylag.app.fake_slack.faults import Faults, Limits
from greylag.app.fake_slack.world.records import Call, Channel, Delivery, Message, Ping, User, World
from greylag.app.fake_slack.world.rules import Rules
from greylag.domain.errors import RequestRefused

_MOST_KEPT = 5_000
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Place:
    """One Slack workspace with one app installed.

    ``people`` and ``channels`` are names; everybody, the app's bot too, is in every channel. ``clock`` returns seconds
    since 1970. ``world`` is an earlier state, from `load`. The bot is called ``greylag`` unless ``bot`` says another.
    """

    def __init__(
        self,
        people: Sequence[str] = ("ada", "grace"),
        channels: Sequence[str] = ("general",),
        *,
        bot: str = "greylag",
        rules: Rules | None = None,
        clock: Callable[[], float] = time.time,
        world: World | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.rules = rules or Rules()
        self.clock = clock
        self.faults = Faults()
        self.limits = Limits()
        self.calls: deque[Call] = deque(maxlen=_MOST_KEPT)
        self.url = ""
        self.version = 0
        self.held = False
        self.connections = 0
        self.tickets: deque[str] = deque(maxlen=100)
        self._watchers: list[Callable[[], None]] = []
        self.world = world or _new_world(bot)
        for name in people:
            self.add_person(name)
        for name in channels:
            self.add_channel(name)

    # What it is called and where it is

    @property
    def bot_token(self) -> str:
        """The bot's token (``xoxb-…``)."""
        return self.world.bot_token

    @property
    def app_token(self) -> str:
        """The app-level token (``xapp-…``) for Socket Mode."""
        return self.world.app_token

    @property
    def signing_secret(self) -> str:
        """The secret that signs requests in HTTP mode."""
        return self.world.signing_secret

    @property
    def bot(self) -> User:
        """The app's bot."""
        return self.world.users[self.world.bot_user]

    @property
    def people(self) -> tuple[User, ...]:
        """Everybody but the bot."""
        return tuple(user for user in self.world.users.values() if not user.is_bot)

    @property
    def pings(self) -> list[Ping]:
        """What the app's messages reached out to: mentions, links that Slack would fetch, pictures it would load."""
        return self.world.pings

    @property
    def deliveries(self) -> list[Delivery]:
        """What the app was told, in order, and how that went."""
        return self.world.deliveries

    def add_person(self, name: str) -> User:
        """Add a person, who joins every public channel; the one of that name where there is one."""
        with self.lock:
            found = next((user for user in self.world.users.values() if user.name == name), None)
            if found is None:
                found = User(self.fresh("U"), name)
                self.world.users[found.id] = found
                for channel in self.world.channels.values():
                    if channel.kind == "public":
                        channel.members.append(found.id)
            self.changed()
            return found

    def add_channel(
        self, name: str, *, private: bool = False, members: Sequence[str] | None = None, with_bot: bool = True
    ) -> Channel:
        """Add a channel with everybody in it, or ``members``; the one of that name where there is one."""
        with self.lock:
            found = next((each for each in self.world.channels.values() if each.name == name and name), None)
            if found is None:
                ids = [user.id for user in self.people] if members is None else [self.user(each).id for each in members]
                found = Channel(self.fresh("C"), name, "private" if private else "public", ids)
                found.members += [self.bot.id] if with_bot else []
                self.world.channels[found.id] = found
            self.changed()
            return found

    def user(self, name: str) -> User:
        """Return the user of that name or id. Raises RequestRefused ``GL-FAKE-003``."""
        found = self.world.users.get(name) or next(
            (each for each in self.world.users.values() if each.name == name), None
        )
        return found or nothing("user", name)

    def channel(self, name: str) -> Channel:
        """Return the channel of that name or id; ``@ada`` is ada's direct messages with the bot."""
        if name.startswith("@"):
            return self.direct(name[1:])
        found = self.world.channels.get(name)
        named = next((each for each in self.world.channels.values() if each.name == name.lstrip("#")), None)
        return found or named or nothing("channel", name)

    def direct(self, user: str) -> Channel:
        """Return the direct messages between ``user`` and the bot; made where there are none yet."""
        person = self.user(user)
        with self.lock:
            members = [person.id, self.bot.id]
            for each in self.world.channels.values():
                if each.kind == "im" and each.members == members:
                    return each
            made = Channel(self.fresh("D"), "", "im", members)
            self.world.channels[made.id] = made
            return made

    def message(self, ts: str) -> Message:
        """Return the message of that ``ts``."""
        return self.world.messages.get(ts) or nothing("message", ts)

    def name_of(self, user_id: str) -> str:
        """Return the name of a user's id, empty for nobody."""
        found = self.world.users.get(user_id)
        return found.name if found else ""

    # For the server and its methods

    def changed(self) -> None:
        """Say that something is different."""
        self.version += 1
        for each in list(self._watchers):
            each()

    def watch(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Have ``tell`` called after each change, by whichever thread made it; return what ends that."""
        self._watchers.append(tell)

        def end() -> None:
            with suppress(ValueError):
                self._watchers.remove(tell)

        return end

    def fresh(self, prefix: str) -> str:
        """Return an id that nothing else has."""
        return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(10))

    def next_ts(self) -> str:
        """Return the ``ts`` of what is said now: later than any before."""
        with self.lock:
            now = int(self.clock() * 1_000_000)
            last = int(self.world.last_ts.replace(".", "") or 0)
            now = max(now, last + 1)
            self.world.last_ts = f"{now // 1_000_000}.{now % 1_000_000:06d}"
            return self.world.last_ts


def bounded(kept: dict[str, Any], most: int) -> None:
    """Forget the oldest where there are more than ``most``."""
    while len(kept) > most:
        del kept[next(iter(kept))]


def nothing(kind: str, name: str) -> Any:
    """Say that there is no such thing. Raises RequestRefused ``GL-FAKE-003``, always."""
    raise RequestRefused("GL-FAKE-003", f"there is no {kind} {name!r}.", "look at `/control/state` for what there is.")


def _new_world(bot: str) -> World:
    def fresh(prefix: str) -> str:
        return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(10))

    user = User(fresh("U"), bot, is_bot=True)
    return World(
        team_id=fresh("T"), team_name="Stand-in", app_id=fresh("A"), bot_id=fresh("B"), bot_user=user.id,
        bot_token="xoxb-stand-in-" + secrets.token_hex(12), app_token="xapp-stand-in-" + secrets.token_hex(12),
        signing_secret=secrets.token_hex(16), users={user.id: user},
    )  # fmt: skip
