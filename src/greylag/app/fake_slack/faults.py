"""Going wrong on purpose: the next calls of a method are refused, hang, or lose their answer after they took effect."""

import threading
from collections import defaultdict, deque
from dataclasses import dataclass

KINDS = ("ratelimited", "error", "status", "hang", "drop")
#: Slack's tiers: calls of one method in a minute.
TIERS = {1: 1, 2: 20, 3: 50, 4: 100, 5: 600}
#: Of ``chat.postMessage``: one a second in each channel, short bursts pass.
_POSTS, _POSTS_SECONDS = 5, 5.0


@dataclass(frozen=True, slots=True)
class Fault:
    """How a call goes wrong.

    ``kind`` ∈ ratelimited (HTTP 429 with ``Retry-After: seconds``), error (``ok: false`` with ``error``), status (HTTP
    ``status`` and no JSON), hang (the answer comes after ``seconds``), drop (the connection ends without an answer).
    With ``after`` the call takes effect first: its outcome is then uncertain to the caller.
    """

    kind: str
    after: bool = False
    seconds: float = 1.0
    error: str = "internal_error"
    status: int = 500


class Faults:
    """What goes wrong next. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: dict[str, deque[Fault]] = defaultdict(deque)

    def next(self, method: str, fault: Fault, times: int = 1) -> None:
        """Let the next ``times`` calls of ``method`` (``*`` for any) go wrong, after those asked for before."""
        if fault.kind not in KINDS:
            raise ValueError(f"a fault of kind {fault.kind!r}; one of {KINDS}")
        with self._lock:
            self._next[method].extend([fault] * times)

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._next.clear()

    def take(self, method: str) -> Fault | None:
        """Return what goes wrong with this call, and count it."""
        with self._lock:
            for name in (method, "*"):
                if self._next[name]:
                    return self._next[name].popleft()
        return None


class Limits:
    """Slack's rate limits."""

    def __init__(self) -> None:
        self._calls: dict[str, deque[float]] = defaultdict(deque)

    def wait_seconds(self, method: str, tier: int, channel: str, now: float) -> float:
        """Return 0 where the call may pass, else after how many seconds it may. A tier of 0 is ``chat.postMessage``."""
        most, window = (_POSTS, _POSTS_SECONDS) if tier == 0 else (TIERS[tier], 60.0)
        calls = self._calls[f"{method} {channel}" if tier == 0 else method]
        while calls and calls[0] <= now - window:
            calls.popleft()
        if len(calls) >= most:
            return max(1.0, calls[0] + window - now)
        calls.append(now)
        return 0.0
