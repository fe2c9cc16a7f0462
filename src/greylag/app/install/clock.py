"""The real clock: the only place where the program reads the time and draws randomness for ids."""

import secrets
from datetime import UTC, datetime


class SystemClock:
    """`greylag.domain.clock.Clock` over the operating system."""

    def now(self) -> datetime:
        """Return the current aware UTC time."""
        return datetime.now(UTC)

    def entropy(self, size_bytes: int) -> bytes:
        """Return ``size_bytes`` unpredictable bytes."""
        return secrets.token_bytes(size_bytes)
