"""The Slack app of an install, as Slack's page for new apps takes it."""

import json

from greylag.adapters.chat.backends.slack.manifest import SCOPES, manifest

__all__ = ["SCOPES", "manifest_text"]


def manifest_text(name: str, http: str = "") -> str:
    """Return the manifest as JSON. Raises RequestRefused ``GL-SLACK-008``."""
    return json.dumps(manifest(name, http), indent=2)
