"""How figures are taken: interleaved rounds, medians, a floor in the same run, no verdict on a noisy machine."""

import hashlib
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_SPIN_BYTES = 8_000_000
_NOISE_LIMIT = 0.25


@dataclass(frozen=True, slots=True)
class Figure:
    """What one thing took beside its floor. ``limit`` is a promise (in ``unit``), None where none was made."""

    name: str
    unit: str
    ours: tuple[float, ...]
    floor_name: str
    floor: tuple[float, ...]
    limit: float | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """Return the middle of our rounds."""
        return statistics.median(self.ours)

    @property
    def floor_median(self) -> float:
        """Return the middle of the floor's rounds."""
        return statistics.median(self.floor)

    def record(self, verdict: str) -> dict[str, object]:
        """Return the figure as plain values for JSON."""
        return {
            "name": self.name, "unit": self.unit, "median": self.median, "rounds": list(self.ours),
            "floor": self.floor_name, "floor_median": self.floor_median, "floor_rounds": list(self.floor),
            "added": self.median - self.floor_median,
            "ratio": self.median / self.floor_median if self.floor_median else None,
            "limit": self.limit, "verdict": verdict, "note": self.note,
        }  # fmt: skip


@dataclass
class Machine:
    """Watches how steady the machine is: the same work is timed between the rounds, and the load is noted."""

    spins: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)

    def look(self) -> None:
        """Time one fixed piece of work."""
        block = b"\0" * _SPIN_BYTES
        begun = time.perf_counter()
        hashlib.sha256(block).digest()
        self.spins.append(time.perf_counter() - begun)
        self.loads.append(os.getloadavg()[0])

    @property
    def noise(self) -> float:
        """Return how far the fixed work strayed: the ninth decile over the fastest, less one."""
        if len(self.spins) < 2:
            return 0.0
        ordered = sorted(self.spins)
        return ordered[int(0.9 * (len(ordered) - 1))] / ordered[0] - 1

    @property
    def crowded(self) -> bool:
        """Whether more wanted to run than there are processors."""
        return statistics.median(self.loads) > (os.cpu_count() or 1) + 1 if self.loads else False

    @property
    def quiet(self) -> bool:
        """Whether the machine was steady enough to call a promise broken."""
        return self.noise <= _NOISE_LIMIT and not self.crowded

    def verdict(self, figure: Figure) -> str:
        """Return ``kept``, ``broken``, ``none`` (no promise was made) or ``too noisy``."""
        if figure.limit is None:
            return "none"
        if figure.median <= figure.limit:
            return "kept"  # noise only ever adds
        return "broken" if self.quiet else "too noisy"


def rounds(
    machine: Machine, count: int, subjects: Mapping[str, Callable[[], float | None]]
) -> dict[str, tuple[float, ...]]:
    """Run every subject once a round, in an order that turns, and return what each took.

    A subject's own answer (seconds, or whatever it counts) is taken; where it answers None its wall time is.
    The first round is thrown away.
    """
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    names = list(subjects)
    for number in range(count + 1):
        machine.look()
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            begun = time.perf_counter()
            answer = subjects[name]()
            seconds = time.perf_counter() - begun if answer is None else answer
            if number:
                taken[name].append(seconds)
    return {name: tuple(values) for name, values in taken.items()}
