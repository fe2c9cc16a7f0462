"""Forge: repositories, branches, commits, merges; and the only reader of a workspace that an agent touched."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from greylag.egress.permit import Permit


@dataclass(frozen=True, slots=True)
class Author:
    """Who a commit is by."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class CommitText:
    """What makes a commit the same commit when made again: who, what for, when (aware, whole seconds)."""

    author: Author
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CaptureLimits:
    """Bounds for reading an untrusted workspace."""

    files: int = 20_000
    file_bytes: int = 32 * 1024 * 1024
    total_bytes: int = 512 * 1024 * 1024
    patch_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Capture:
    """What a workspace would change: ``patch`` (git binary diff against the base commit), the resulting ``tree``.

    ``files`` are the changed paths; ``warnings`` name what a reviewer must look at (links, CI and hook files).
    An unchanged workspace has an empty ``patch``.
    """

    tree: str
    patch: bytes
    files: tuple[str, ...]
    added_lines: int
    removed_lines: int
    warnings: tuple[str, ...] = ()


class Forge(Protocol):
    """A git host. Repositories are named by `Repository.name`; commits and trees are full hex object ids."""

    name: str

    async def import_repository(self, permit: Permit, name: str, source: str, default_branch: str | None) -> str:
        """Fetch ``source`` (a path, or an https/http/git/ssh URL) as repository ``name``; return its default branch.

        Raises RequestRefused: ``GL-FORGE-001`` name taken, ``GL-FORGE-002`` not a git repository or not reachable,
        ``GL-FORGE-003`` it has uncommitted changes (a dirty path), ``GL-FORGE-004`` it is empty.
        """
        ...

    async def create(
        self, permit: Permit, name: str, files: Mapping[str, bytes], executable: frozenset[str], text: CommitText
    ) -> str:
        """Make repository ``name`` with one commit of ``files`` (relative path to content) on ``main``; return its id.

        Raises RequestRefused ``GL-FORGE-001`` where the name is taken, ``GL-FORGE-010`` for an unsafe path.
        """
        ...

    async def discard(self, permit: Permit, name: str) -> None:
        """Remove repository ``name`` whole; missing is fine. For what an import left that was cut off: never for one
        that people were told of. The permit is for stage ``push`` towards this forge's name.
        """  # noqa: D205
        ...

    async def head(self, name: str, branch: str) -> str:
        """Return the commit ``branch`` stands at. Raises RequestRefused ``GL-FORGE-005`` where there is none."""
        ...

    async def checkout(self, permit: Permit, name: str, commit: str, folder: Path, patch: bytes = b"") -> None:
        """Make ``folder`` (absent before) a self-contained git checkout of ``commit`` with ``patch`` applied on top.

        Its ``.git`` has no remote, no hooks, nothing of the host's. Raises BackendError ``GL-FORGE-006`` where the
        patch doesn't apply.
        """
        ...

    async def capture(self, name: str, base_commit: str, folder: Path, limits: CaptureLimits) -> Capture:
        """Read what ``folder`` changed against ``base_commit`` without trusting anything in it, ``.git`` least of all.

        Raises RequestRefused ``GL-FORGE-007`` for what can't be taken (nested repositories, devices, over a limit).
        """
        ...

    async def rebase(self, name: str, patch: bytes, onto: str) -> bytes | None:
        """Return ``patch`` re-made against commit ``onto`` (three-way), or None where it conflicts."""
        ...

    async def push(
        self, permit: Permit, name: str, branch: str, base_commit: str, patch: bytes, text: CommitText
    ) -> str:
        """Put one commit (``base_commit`` + ``patch``) on ``branch`` and return its id.

        The same arguments give the same id; a branch that stands elsewhere is moved. The permit is for stage ``push``
        towards this forge's name. Raises RequestRefused ``GL-FORGE-008`` for a protected branch.
        """
        ...

    async def tree_of(self, name: str, commit: str) -> str:
        """Return the tree of ``commit``."""
        ...

    async def paths(self, name: str, commit: str) -> tuple[str, ...]:
        """Return the path of every file of ``commit``, sorted; bytes that are no UTF-8 come escaped."""
        ...

    async def merge(
        self, permit: Permit, name: str, branch: str, commit: str, expected_base: str, text: CommitText
    ) -> str:
        """Merge ``commit`` into protected ``branch`` while that stands at ``expected_base``; return the merge commit.

        The merged tree is ``commit``'s. Doing it again after it was done returns the same id. Raises RequestRefused
        ``GL-FORGE-009`` where ``branch`` has moved on (drift): nothing was changed.
        """
        ...

    async def archive(self, name: str, commit: str) -> bytes:
        """Return a reproducible ``tar.gz`` of the commit's tree."""
        ...

    async def diff(self, name: str, base: str, commit: str) -> bytes:
        """Return the patch between two commits."""
        ...
