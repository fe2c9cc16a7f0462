"""The manifest that installs the app: what it may do, what it is told, and how. Imports nothing of the vendor's.

Source: https://docs.slack.dev/reference/app-manifest. ``agent_view`` is the surface of agents since 2026; new
apps can't use ``assistant_view``. Every scope is used: a test holds the list against the methods that are called.
"""

from typing import Any

from greylag.domain.errors import RequestRefused

#: Scope: what it is for.
SCOPES = {
    "app_mentions:read": "hears when it is mentioned",
    "assistant:write": "is an agent in Slack: required by `agent_view`",
    "channels:history": "reads threads of public channels it is in, as context and to find what it said",
    "chat:write": "answers, changes its own messages, streams live cards",
    "files:write": "puts a build or a report into a thread, where policy permits it",
    "groups:history": "the same for private channels",
    "im:history": "hears direct messages",
    "reactions:read": "hears reactions to its own messages",
    "reactions:write": "puts a first sign of life on a message",
}
#: What Slack tells the app.
EVENTS = (
    "app_context_changed", "app_home_opened", "app_mention", "message.channels", "message.groups", "message.im",
    "reaction_added",
)  # fmt: skip
PATH = "/slack/events"


def manifest(name: str = "greylag", http: str = "") -> dict[str, Any]:
    """Return the manifest of an app called ``name``, for Socket Mode or for events at the base address ``http``.

    Raises RequestRefused ``GL-SLACK-008`` for a name or an address that Slack would not take.
    """
    if not 0 < len(name) <= 35 or not name.isprintable() or name != name.strip():
        raise _wrong(f"a Slack app's name has 1 to 35 characters, got {name[:60]!r}.", "choose another `--name`.")
    if http and (not http.startswith("https://") or len(http) > 200 or not http.isascii() or " " in http):
        raise _wrong(
            f"Slack sends events to `https` addresses only, got {http[:120]!r}.", "give the public `https://` base."
        )
    address = {"request_url": http.rstrip("/").removesuffix(PATH) + PATH} if http else {}
    about = "Ask for a fix, a feature or a release; approve exactly what was seen."
    return {
        "display_information": {"name": name, "description": about, "background_color": "#2f3e46"},
        "features": {
            "app_home": {
                "home_tab_enabled": True, "messages_tab_enabled": True, "messages_tab_read_only_enabled": False,
            },
            "bot_user": {"display_name": name, "always_online": True},
            "agent_view": {
                "agent_description": "Works on your repositories in a sandbox, and shows every byte that moves.",
                "suggested_prompts": [
                    {"title": "What is live?", "message": "what is live"},
                    {"title": "What are you doing?", "message": "what are you doing"},
                ],
            },
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": {**address, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **address},
            "org_deploy_enabled": False,
            "socket_mode_enabled": not http,
            "token_rotation_enabled": False,
        },
    }  # fmt: skip


def _wrong(message: str, remedy: str) -> RequestRefused:
    return RequestRefused("GL-SLACK-008", message, remedy)
