"""A person's working copy, on their own machine: made from the platform's forge, and read back as one patch.

The copy is an ordinary clone. What conversions a repository asks for are switched off in it, so that what is read back
is byte for byte what stands in the files. Reading does not run git on the working tree, nor anything it names.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from greylag.adapters.forge.git import Git, GitPlace
from greylag.adapters.forge.layout import ATTRIBUTES
from greylag.adapters.forge.objects import commit_tree, patched_tree
from greylag.adapters.forge.port import Capture, CaptureLimits, CommitText
from greylag.adapters.forge.sources import ImportBounds, clone_url
from greylag.adapters.forge.workspace.capture import Workspace, capture_workspace
from greylag.domain.errors import RequestRefused

#: Where the platform's own notes lie in a working copy: inside ``.git``, so that they are no part of the change.
NOTES = "greylag"
_ABOUT = "task.json"
_ABOUT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class WorkingCopy:
    """What a working copy is made of: ``branch`` is ``base_commit`` of ``url`` with ``patch`` on it, as one commit.

    ``url`` may hold a name and a password; they are not kept. ``about`` is kept as JSON, ``notes`` as files.
    """

    url: str
    branch: str
    base_commit: str
    patch: bytes
    text: CommitText
    about: Mapping[str, str]
    notes: Mapping[str, bytes] = field(default_factory=dict)


async def make_working_copy(copy: WorkingCopy, folder: Path) -> None:
    """Make ``folder`` (absent, or empty) that working copy, at once and whole.

    Raises RequestRefused ``GL-STEER-008`` where something is there already, ``GL-FORGE-002`` where the forge can't be
    read; BackendError ``GL-FORGE-006`` where the patch does not apply.
    """
    partial = await asyncio.to_thread(_place_for, folder)
    try:
        with _git() as (git, _):
            await _fill(git, copy, partial)
        await asyncio.to_thread(_put, partial, folder)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
        raise


def about_working_copy(folder: Path) -> dict[str, str]:
    """Return what was noted when ``folder`` was made. Raises RequestRefused ``GL-STEER-009`` where it is none."""
    file = folder / ".git" / NOTES / _ABOUT
    try:
        with file.open("rb") as opened:
            about = json.loads(opened.read(_ABOUT_BYTES))
    except (OSError, ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or not all(isinstance(value, str) for value in about.values()):
        raise RequestRefused(
            "GL-STEER-009", f"`{folder}` is no folder that `greylag task checkout` made.",
            "name that folder: `greylag task handback TASK FOLDER`.",
        )  # fmt: skip
    return about


async def read_working_copy(folder: Path, base_commit: str, limits: CaptureLimits) -> Capture:
    """Return what ``folder`` changes against ``base_commit``, files that git doesn't know yet included.

    What the base's ``.gitignore`` files name is left out. Raises RequestRefused ``GL-FORGE-007`` for what can't be
    taken.
    """
    with _git() as (git, scratch):
        return await capture_workspace(git, Workspace(folder / ".git", base_commit, folder, limits), scratch)


def _place_for(folder: Path) -> Path:
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise RequestRefused("GL-STEER-008", f"`{folder}` is there already.", "name a new folder: `--into FOLDER`.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise RequestRefused(
            "GL-STEER-008", f"`{folder}` can't be made: {error.strerror}.", "name another folder: `--into FOLDER`."
        ) from None


def _put(partial: Path, folder: Path) -> None:
    partial.chmod(0o755)
    partial.replace(folder)


async def _fill(git: Git, copy: WorkingCopy, folder: Path) -> None:
    await clone_url(git, copy.url, folder, ImportBounds())
    own = folder / ".git"
    await asyncio.to_thread(_annotate, own, copy)
    place = GitPlace(own, work_tree=folder, index=own / "index")
    commit = copy.base_commit
    tree = await patched_tree(git, place, commit, copy.patch)
    if copy.patch:
        commit = await commit_tree(git, place, tree, (commit,), copy.text)
    await git.run("update-ref", f"refs/heads/{copy.branch}", commit, place=place)
    await git.run("symbolic-ref", "HEAD", f"refs/heads/{copy.branch}", place=place)
    await git.run("read-tree", commit, place=place)
    await git.run("checkout-index", "--all", "--index", "--quiet", place=place, config=("core.symlinks=true",))


def _annotate(own: Path, copy: WorkingCopy) -> None:
    (own / "info").mkdir(exist_ok=True)
    (own / "info" / "attributes").write_text(ATTRIBUTES)
    notes = own / NOTES
    notes.mkdir()
    (notes / _ABOUT).write_text(json.dumps(dict(copy.about), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for name, content in copy.notes.items():
        (notes / name).write_bytes(content)


@contextmanager
def _git() -> Iterator[tuple[Git, Path]]:
    with tempfile.TemporaryDirectory(prefix="greylag-git-") as folder:
        home, scratch = Path(folder, "home"), Path(folder, "scratch")
        home.mkdir()
        scratch.mkdir()
        yield Git(home), scratch
