"""What a call was given: form or JSON, checked against what the method takes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from greylag.app.fake_slack.place import Place
from greylag.app.fake_slack.world.problems import SlackError
from greylag.app.fake_slack.world.records import Channel, Json, Message, User
from greylag.app.fake_slack.world.text import clean

_YES = ("1", "true", "True", True, 1)
_NO = ("0", "false", "False", False, 0, "", None)


@dataclass(frozen=True, slots=True)
class Given:
    """The arguments of one call."""

    place: Place
    values: Mapping[str, Any]
    method: str

    def text(self, name: str, default: str = "") -> str:
        """Return a string."""
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, dict | list):
            raise bad(f"must be a string: {name}")
        return str(value)

    def flag(self, name: str) -> bool | None:
        """Return a yes or no; None where nothing was said."""
        value = self.values.get(name)
        if value in _YES:
            return True
        if value in _NO:
            return None if name not in self.values or value is None else False
        raise bad(f"must be a boolean: {name}")

    def number(self, name: str, default: int, most: int) -> int:
        """Return a whole number between 1 and ``most``."""
        try:
            value = int(self.values.get(name) or default)
        except (TypeError, ValueError) as error:
            raise bad(f"must be a number: {name}") from error
        if not 1 <= value <= most:
            raise SlackError("invalid_limit" if name == "limit" else "invalid_arguments")
        return value

    def json(self, name: str, error: str = "invalid_arguments") -> Any:
        """Return what stands in an argument as JSON, whether it came as JSON or as a string of it."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return clean(json.loads(value)) if value else None
        except ValueError as wrong:
            raise SlackError(error) from wrong

    def channel(self, name: str = "channel", *, post: bool = False) -> Channel:
        """Return the channel of an argument; with ``post`` one the bot may post to. A user's id is their messages."""
        world, value = self.place.world, self.text(name)
        if post and value in world.users and not world.users[value].is_bot:
            return self.place.direct(value)
        found = world.channels.get(value)
        if found is None and post:
            found = next(
                (each for each in world.channels.values() if each.name and each.name == value.lstrip("#")), None
            )
        if found is None or (found.kind == "private" and world.bot_user not in found.members):
            raise SlackError("channel_not_found")
        if post and found.archived:
            raise SlackError("is_archived")
        if world.bot_user not in found.members and post:
            raise SlackError("not_in_channel")
        return found

    def user(self, name: str = "user") -> User:
        """Return the user of an argument."""
        found = self.place.world.users.get(self.text(name))
        if found is None:
            raise SlackError("user_not_found")
        return found

    def message(self, channel: Channel, name: str = "ts", error: str = "message_not_found") -> Message:
        """Return the message of an argument, in that channel; one that only one person sees is none."""
        found = self.place.world.messages.get(self.text(name))
        if found is None or found.channel != channel.id or found.ephemeral_to or found.deleted:
            raise SlackError(error)
        return found


Handler = Callable[[Given], Json]


@dataclass(frozen=True, slots=True)
class Method:
    """One method: what it does, what it needs and may be given, what it needs to be allowed, how often it may be.

    ``tier`` is Slack's, 0 for the rule of ``chat.postMessage``. ``by_app`` wants the app-level token, not the bot's.
    """

    handler: Handler
    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    tier: int = 3
    by_app: bool = False


def bad(what: str) -> SlackError:
    """Return Slack's no to an argument."""
    return SlackError("invalid_arguments", [f"[ERROR] {what}"])


def check_arguments(method: Method, values: Mapping[str, Any], *, refuse_unknown: bool) -> None:
    """Check that a call was given what it needs, and nothing the method does not have. Raises SlackError."""
    missing = [f"[ERROR] missing required field: {name}" for name in method.needed if values.get(name) in (None, "")]
    known = {*method.needed, *method.optional, "token", "team_id"}
    unknown = [f"[ERROR] invalid additional property: {name}" for name in sorted(set(values) - known)]
    problems = missing + (unknown if refuse_unknown else [])
    if problems:
        raise SlackError("invalid_arguments", problems)
