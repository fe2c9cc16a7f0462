"""Sandbox: an isolated machine for programs that nobody trusts."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

WORKSPACE = "/workspace"
HOME = "/home/agent"
GATEWAY_SOCKET = "/run/greylag/gateway.sock"
GATEWAY_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Mount:
    """A host folder or file seen inside at ``target``; read-only unless ``writable``."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one program and everything it starts."""

    memory_mb: int = 4096
    processes: int = 256
    open_files: int = 4096
    file_size_mb: int = 1024
    disk_mb: int = 4096
    disk_files: int = 150_000
    timeout_seconds: float = 900.0
    output_bytes: int = 8 * 1024 * 1024


class Network(StrEnum):
    """What a program can reach. ``HOST`` is for released services on this machine, never for agents or verifiers."""

    NONE = "none"
    GATEWAY = "gateway"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """One program to run. ``env`` is the whole environment inside (the sandbox adds HOME, TMPDIR, PATH, LANG).

    ``workspace`` is a host folder bound writable at `WORKSPACE`, which is also the working directory. With
    ``gateway`` (a UNIX socket on the host) the program finds it at `GATEWAY_SOCKET` and at `GATEWAY_URL`.
    """

    argv: tuple[str, ...]
    workspace: Path
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    network: Network = Network.NONE
    gateway: Path | None = None


class EndReason(StrEnum):
    """Why a program is no more."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    MEMORY = "memory"
    DISK = "disk"
    OUTPUT = "output"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended. ``exit_code`` is the program's (128+n for signal n), None where the platform ended it.

    ``stdout`` and ``stderr`` are cut at the output limit; ``truncated`` says so.
    """

    reason: EndReason
    exit_code: int | None
    stdout: bytes
    stderr: bytes
    truncated: bool
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a backend can work here: ``ready``, what it is (``detail``), and if not the ``remedy``."""

    ready: bool
    detail: str
    remedy: str = ""


class SandboxProcess(Protocol):
    """A running program whose standard streams are pipes held by the platform."""

    async def write(self, data: bytes) -> None:
        """Write to standard input. Raises BackendError ``GL-SANDBOX-004`` where the program has closed it."""
        ...

    async def close_input(self) -> None:
        """Close standard input."""
        ...

    def lines(self) -> AsyncIterator[bytes]:
        """Yield standard output line by line, without the newline; a line over the output limit ends the program."""
        ...

    async def wait(self) -> Ended:
        """Wait for the end; with `lines` unread, stdout is collected. Every process of the sandbox is then dead."""
        ...

    async def kill(self) -> None:
        """End it and everything it started, now."""
        ...


class Sandbox(Protocol):
    """Starts programs under one set of rules. The conformance suite is `greylag.adapters.sandbox.conformance`."""

    name: str

    async def probe(self) -> Probe:
        """Say whether this backend works on this machine, by trying it."""
        ...

    async def start(self, spec: SandboxSpec) -> SandboxProcess:
        """Start ``spec``. Raises OperatorError ``GL-SANDBOX-001`` where isolation can't be had: never runs without."""
        ...

    async def run(self, spec: SandboxSpec, stdin: bytes = b"") -> Ended:
        """Start ``spec``, feed ``stdin``, and wait for the end."""
        ...

    def adopt(self, folder: Path) -> None:
        """Make ``folder`` and all in it belong to the identity programs run as; links are never followed."""
        ...

    def discard(self, folder: Path) -> None:
        """Remove ``folder`` whatever a program did to it; links are never followed; missing is fine."""
        ...
