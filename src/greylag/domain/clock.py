"""Where time and randomness come from: arguments, never globals."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the time and fresh entropy; the real one lives in ``app``, tests bring their own."""

    def now(self) -> datetime:
        """Return the current aware UTC time."""
        ...

    def entropy(self, size_bytes: int) -> bytes:
        """Return ``size_bytes`` unpredictable bytes."""
        ...
