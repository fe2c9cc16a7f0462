"""What the stand-in remembers. Everything is JSON, so that it can be kept in a file."""

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class User:
    """A person of the workspace, or the app's bot."""

    id: str
    name: str
    is_bot: bool = False
    deleted: bool = False


@dataclass(slots=True)
class Channel:
    """A room. ``kind`` ∈ public, private, im; ``members`` are user ids."""

    id: str
    name: str
    kind: str = "public"
    members: list[str] = field(default_factory=list)
    archived: bool = False


@dataclass(slots=True)
class Stream:
    """A message that still grows. ``mode`` ∈ timeline, plan; ``pieces`` in order of first appearance.

    A piece is ``{"type": "text" | "task" | "plan" | "blocks", …}``.
    """

    mode: str
    pieces: list[Json]
    touched_at: float
    state: str = "in_progress"


@dataclass(slots=True)
class Message:
    """One message. ``ts`` is unique in the workspace; ``thread_ts`` is empty outside a thread.

    ``ephemeral_to`` is the only user who sees it. ``deleted`` is a root whose replies are still there.
    """

    channel: str
    ts: str
    user: str
    text: str
    thread_ts: str = ""
    blocks: list[Json] = field(default_factory=list)
    by_app: bool = False
    metadata: Json | None = None
    files: list[str] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    edited_ts: str = ""
    ephemeral_to: str = ""
    deleted: bool = False
    stream: Stream | None = None
    username: str = ""
    blocks_given: bool = False


@dataclass(slots=True)
class File:
    """A file. ``state`` ∈ asked (no bytes yet), uploaded, shared."""

    id: str
    name: str
    title: str
    user: str
    length: int
    content: bytes = b""
    state: str = "asked"
    ticket: str = ""
    alt_text: str = ""
    shares: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class View:
    """A modal or a home. ``content`` is what the app gave; ``values`` is what was typed and chosen in it so far."""

    id: str
    user: str
    content: Json
    hash: str
    root_id: str = ""
    previous_id: str = ""
    values: dict[str, dict[str, Json]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    is_open: bool = True


@dataclass(slots=True)
class Trigger:
    """What lets the app open one modal for ``user``, for three seconds."""

    id: str
    user: str
    made_at: float
    used: bool = False


@dataclass(slots=True)
class ReplyUrl:
    """A ``response_url``: five uses in half an hour."""

    token: str
    channel: str
    ts: str
    thread_ts: str
    user: str
    made_at: float
    uses: int = 0


@dataclass(slots=True)
class Ping:
    """Something that reached out of the text: ``kind`` ∈ mass, user, group, unfurl, image.

    ``target`` is the id or URL, ``method`` the call that did it, ``ts`` the message.
    """

    kind: str
    target: str
    method: str
    channel: str
    ts: str


@dataclass(slots=True)
class Delivery:
    """One thing the app is told. ``kind`` ∈ events_api, interactive; ``state`` ∈ waiting, sent, acked, failed.

    ``attempt`` counts from 0. ``answer`` is what the app sent back with its acknowledgement. ``failed`` is the end: the
    app was not there, or did not acknowledge often enough.
    """

    id: str
    kind: str
    payload: Json
    due_at: float
    attempt: int = 0
    reason: str = ""
    state: str = "waiting"
    answer: Json | None = None
    deadline_at: float = 0.0
    last: bool = False

    @property
    def event_id(self) -> str:
        """The event's id, empty for a click."""
        return str(self.payload.get("event_id", ""))


@dataclass(slots=True)
class Call:
    """One call of the Web API as it ended: ``error`` is empty where it was ``ok``."""

    method: str
    arguments: Json
    error: str
    at: float
    status: int = 200


@dataclass(slots=True)
class World:
    """Everything the stand-in remembers."""

    team_id: str
    team_name: str
    app_id: str
    bot_id: str
    bot_user: str
    bot_token: str
    app_token: str
    signing_secret: str
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    reply_urls: dict[str, ReplyUrl] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    prompts: dict[str, list[Json]] = field(default_factory=dict)
    pings: list[Ping] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    last_ts: str = ""
    made: int = 0
