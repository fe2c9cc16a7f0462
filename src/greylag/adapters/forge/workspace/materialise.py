"""Materialise a commit as a folder of its own: files, a self-contained ``.git``, nothing of the host's, nothing shared.

Objects are copied, never linked: the folder goes to programs that nobody trusts.
"""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from greylag.adapters.forge.git import Git, GitBounds, GitPlace
from greylag.adapters.forge.layout import GitFolder, lay_git_folder
from greylag.adapters.forge.objects import patched_tree, quarantine
from greylag.domain.errors import BackendError

_BRANCH = "work"
_SLOW = GitBounds(seconds=600.0)


@dataclass(frozen=True, slots=True)
class Checkout:
    """What is materialised: ``commit`` of the bare ``repository`` with ``patch`` on top, as ``folder``."""

    repository: Path
    commit: str
    patch: bytes
    folder: Path


async def materialise(git: Git, checkout: Checkout, scratch: Path) -> None:
    """Make the folder appear at once and whole. Raises BackendError ``GL-FORGE-006`` or ``GL-FORGE-019``.

    Its history is what the commit reaches and nothing else; the patch is uncommitted, its new files untracked.
    """
    folder = checkout.folder
    if folder.is_symlink() or folder.exists():
        raise BackendError("GL-FORGE-019", f"`{folder}` is there already.", "give a folder that doesn't exist yet.")
    partial = folder.with_name(f".{folder.name}.partial")
    await asyncio.to_thread(_emptied, partial)
    try:
        await _fill(git, checkout, partial, scratch)
        partial.rename(folder)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        raise


async def _fill(git: Git, checkout: Checkout, partial: Path, scratch: Path) -> None:
    repository, commit, own = checkout.repository, checkout.commit, partial / ".git"
    shallow = repository / "shallow"
    kept = shallow.read_bytes() if shallow.exists() else b""
    lay_git_folder(own, GitFolder(_BRANCH, sha256=len(commit) == 64, workspace=True, shallow=kept))
    await git.run(
        "pack-objects", "--revs", "--delta-base-offset", "--quiet", str(own / "objects" / "pack" / "pack"),
        place=GitPlace(repository), stdin=f"{commit}\n".encode(), bounds=_SLOW,
    )  # fmt: skip
    (own / "refs" / "heads" / _BRANCH).write_text(f"{commit}\n")
    source = quarantine(repository, scratch)
    tree = await patched_tree(git, source, commit, checkout.patch) if checkout.patch else commit
    # The repository's git folder with its switched-off attributes writes the files; only the index is the workspace's.
    index = GitPlace(repository, work_tree=partial, index=own / "index", objects=source.objects, borrow=source.borrow)
    await git.run("read-tree", tree, place=index, bounds=_SLOW)
    await git.run(
        "checkout-index", "--all", "--index", "--quiet", place=index, config=("core.symlinks=true",), bounds=_SLOW
    )
    if checkout.patch:
        await git.run("read-tree", "-m", commit, place=index, bounds=_SLOW)  # keeps what is known of unchanged files


def _emptied(partial: Path) -> None:
    partial.parent.mkdir(parents=True, exist_ok=True)
    if partial.exists():  # left by a crash
        shutil.rmtree(partial)
    partial.mkdir(mode=0o755)
