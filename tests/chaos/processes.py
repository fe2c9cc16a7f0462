"""Which processes live in sandboxes of a home folder: those that have something of it mounted."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process; ``started`` tells it from a later one of the same number."""

    pid: int
    started: int
    command: str


def processes_of(home: Path) -> list[Process]:
    """Return the sandboxed processes that see anything below ``home``."""
    own = Path("/proc/self/ns/mnt").readlink()
    # A mount's root is told from the top of its file system: the last two names are enough to know it by.
    below = f"/{home.parent.name}/{home.name}/"
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "ns" / "mnt").readlink() == own:
                continue
            if below not in (entry / "mountinfo").read_text():
                continue
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                found.append(Process(int(entry.name), int(fields[19]), command.strip()))
        except OSError:
            continue  # it has ended meanwhile, or is somebody else's
    return found
