"""How this Slack behaves where Slack's own numbers would make a test or a demo wait."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: What an app is subscribed to and may do unless a manifest says less.
EVENTS = frozenset({
    "app_mention", "message.channels", "message.groups", "message.im", "reaction_added", "reaction_removed",
    "app_home_opened",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """Delays in seconds, and what the app may do.

    ``retry_delays`` are Slack's 0, 60 and 300 seconds unless shorter ones are given: the times after which what was not
    acknowledged within ``ack_seconds`` is sent again. ``scopes`` and ``events`` are what the app was installed with; no
    scopes means all of them. ``refuse_unknown`` refuses arguments a method does not have, where Slack looks past them.
    ``limits`` switches Slack's rate limits on.
    """

    ack_seconds: float = 3.0
    retry_delays: tuple[float, ...] = (0.0, 1.0, 5.0)
    trigger_seconds: float = 3.0
    stream_seconds: float = 240.0
    refuse_unknown: bool = True
    limits: bool = False
    scopes: frozenset[str] = frozenset()
    events: frozenset[str] = EVENTS


def rules_of_manifest(manifest: Mapping[str, Any], rules: Rules | None = None) -> Rules:
    """Return ``rules`` with the bot scopes and the subscriptions of an app manifest (JSON form)."""
    base = rules or Rules()
    scopes = manifest.get("oauth_config", {}).get("scopes", {}).get("bot", [])
    events = manifest.get("settings", {}).get("event_subscriptions", {}).get("bot_events", [])
    return Rules(
        ack_seconds=base.ack_seconds, retry_delays=base.retry_delays, trigger_seconds=base.trigger_seconds,
        stream_seconds=base.stream_seconds, refuse_unknown=base.refuse_unknown, limits=base.limits,
        scopes=frozenset(scopes), events=frozenset(events),
    )  # fmt: skip
