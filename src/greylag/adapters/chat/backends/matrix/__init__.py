"""Matrix: people ask and hear in rooms of a homeserver, end-to-end encrypted ones included.

Promises: nothing goes in clear into a room that was ever encrypted; keys go to devices of joined people only; what
may stand for an approval came encrypted from a device that was pinned for its author. It never fetches what an event
points at, and never takes a reaction, which travels in clear, for more than a hint.
"""

from greylag.adapters.chat.backends.matrix.account import MatrixAccount
from greylag.adapters.chat.backends.matrix.bounds import MatrixBounds
from greylag.adapters.chat.backends.matrix.chat import MatrixChat

__all__ = ["MatrixAccount", "MatrixBounds", "MatrixChat"]
