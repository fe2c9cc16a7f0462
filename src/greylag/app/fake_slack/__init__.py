"""A stand-in for Slack: the program that plays the vendor's part on this machine, for the demo, tests and newcomers.

The real Bolt client talks to it unchanged. It is a program of its own and no part of the platform: it must never be
given a real token, never reach another machine, and never be where the platform keeps anything.
"""

from greylag.app.fake_slack.server import Server
from greylag.app.fake_slack.workspace import Workspace
from greylag.app.fake_slack.world.rules import Rules

__all__ = ["Rules", "Server", "Workspace"]
