"""Slack as a chat, by its vendor's own client.

Must never: acknowledge an event that is not durable, say anything without a permit for exactly it, let words of others
act in Slack's markup, or write tokens or content to a log.
"""
