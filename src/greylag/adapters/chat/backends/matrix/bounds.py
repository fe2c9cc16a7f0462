"""How much, how long and how often, on a Matrix server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MatrixBounds:
    """The bounds of one account; the defaults are for people, tests make waits shorter.

    ``patience_seconds`` is how long a message that can't be decrypted is waited for. ``missed_events`` is how far
    back a room is read after a long time away. ``edit_seconds`` is the least time between two states of a live
    message. ``away_seconds`` is the longest wait between two tries where the server is away.
    """

    patience_seconds: float = 120.0
    missed_events: int = 2000
    edit_seconds: float = 1.0
    away_seconds: float = 30.0
    wait_seconds: float = 30.0
    request_seconds: float = 30.0
    transfer_seconds: float = 300.0
    limit_seconds: float = 30.0
    longest_text: int = 8000
    largest_file_bytes: int = 50 * 1024 * 1024
    searched_events: int = 300
