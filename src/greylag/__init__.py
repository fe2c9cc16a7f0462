"""Greylag: asked in chat, done where the data may be, decided, recorded and shown.

The six wings, each importing only from the ones below it: ``app`` → ``delivery`` → ``adapters`` →
``egress`` → ``governance`` → ``domain``. Importing any of them prints nothing, creates nothing and reads nothing.
"""

__version__ = "0.1.0"
