"""Talking to a platform from a terminal: the conversation, what is printed, following a thread.

What commands, demo and examples share; it knows none of them.
"""
