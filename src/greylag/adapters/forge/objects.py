"""Trees and commits made from bytes: files listed, a patch put on, a tree written, a commit that is always the same.

New objects go to a quarantine folder first and enter a repository by `admit`, which checks them as a push is checked.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from greylag.adapters.forge.git import Git, GitBounds, GitPlace
from greylag.adapters.forge.port import Author, CommitText
from greylag.domain.errors import BackendError, RequestRefused

GITLINK = b"160000"
LINK = b"120000"
_LISTING = GitBounds(seconds=120.0, output_bytes=512 * 1024 * 1024)
_PACK = GitBounds(seconds=300.0, output_bytes=1024 * 1024 * 1024)
# The committer of everything the platform writes; the author is the person who asked.
_COMMITTER = Author("Greylag", "greylag@platform.invalid")
# What a commit says that nobody keeps.
PROBE = CommitText(_COMMITTER, "replay", datetime(2000, 1, 1, tzinfo=UTC))
_DROPPED_FROM_IDENTITY = {ord(char): None for char in "<>\n\r\0"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tree: git ``mode`` (``100644`` …), object ``id``, ``size_bytes`` (0 for a gitlink)."""

    mode: bytes
    id: str
    size_bytes: int


async def entries_of(git: Git, place: GitPlace, treeish: str) -> dict[bytes, Entry]:
    """Return every file of ``treeish`` by its path (bytes, as git stores it)."""
    listing = await git.run("ls-tree", "-r", "-l", "-z", "--full-tree", treeish, place=place, bounds=_LISTING)
    found = {}
    for line in listing.stdout.split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        mode, _, object_id, size = about.split(maxsplit=3)
        found[path] = Entry(mode, object_id.decode("ascii"), int(size) if size.strip().isdigit() else 0)
    return found


def blob_hash(object_id: str, size_bytes: int) -> "hashlib._Hash":
    """Return a hash, fed with a blob's header, of the algorithm ``object_id`` was made with."""
    digest = hashlib.sha256() if len(object_id) == 64 else hashlib.sha1(usedforsecurity=False)
    digest.update(b"blob %d\0" % size_bytes)
    return digest


async def write_blobs(git: Git, place: GitPlace, files: list[Path]) -> list[str]:
    """Store ``files`` (own files with plain names) unconverted; return their ids in the same order."""
    if not files:
        return []
    names = "".join(f"{path}\n" for path in files).encode()
    output = await git.run("hash-object", "-w", "--no-filters", "--stdin-paths", place=place, stdin=names, bounds=_PACK)
    return output.text.split()


async def write_tree(git: Git, place: GitPlace, base: str | None, changes: Iterable[tuple[bytes, Entry | None]]) -> str:
    """Return the tree of ``base`` (an id; None: nothing) with ``changes`` (None: removed). ``place`` needs an index.

    Raises RequestRefused ``GL-FORGE-010`` for a path that git refuses, such as a link named ``.gitmodules``.
    """
    await git.run("read-tree", *(["--empty"] if base is None else [base]), place=place)
    ordered = sorted(changes, key=lambda change: change[1] is not None)  # removals first: a file may become a folder
    nothing = b"0" * len(base or "")
    lines = b"".join(
        (b"0 %s\t%s\0" % (nothing, path)) if entry is None
        else b"%s %s\t%s\0" % (entry.mode, entry.id.encode("ascii"), path)
        for path, entry in ordered
    )  # fmt: skip
    updated = await git.run("update-index", "-z", "--index-info", place=place, stdin=lines)
    if updated.stderr:  # a path it doesn't like is left out, and only said
        raise RequestRefused(
            "GL-FORGE-010", f"git doesn't take a path: {updated.complaint}", "name the file otherwise, or leave it out."
        )
    return (await git.run("write-tree", place=place)).text


async def patched_tree(git: Git, place: GitPlace, base: str, patch: bytes) -> str:
    """Return the tree of ``base`` with ``patch`` on it. Raises BackendError ``GL-FORGE-006`` where it doesn't apply."""
    await git.run("read-tree", base, place=place)
    if patch:
        applied = await git.run(
            "apply", "--cached", "--whitespace=nowarn", "-", place=place, stdin=patch, ok=(0, 1, 128)
        )
        if applied.code:
            raise BackendError(
                "GL-FORGE-006",
                f"the patch ({len(patch)} bytes) doesn't apply to `{base}`: {applied.complaint}",
                "make the patch again against this commit, or rebase it.",
            )
    tree = (await git.run("write-tree", place=place)).text
    await _refuse_new_gitlinks(git, place, base, tree)
    return tree


async def replayed_tree(git: Git, place: GitPlace, onto: str, patch: bytes) -> str | None:
    """Return the tree of commit ``onto`` with ``patch`` merged into it, None where it conflicts.

    The patch names the blobs it was made from; a tree of just those is the common ancestor, as in ``git am --3way``.
    Raises BackendError ``GL-FORGE-006`` where the patch or its blobs can't be read. Renames are not guessed.
    """
    assert place.index is not None  # noqa: S101 - a quarantine has one
    fake = replace(place, index=place.index.with_name("ancestor"))
    await git.run("read-tree", onto, place=place)
    try:
        await git.run("apply", f"--build-fake-ancestor={fake.index}", "-", place=place, stdin=patch)
        before = (await git.run("write-tree", place=fake)).text
        await git.run("apply", "--cached", "--whitespace=nowarn", "-", place=fake, stdin=patch)
        after = (await git.run("write-tree", place=fake)).text
    except BackendError as error:
        if "which is not in current HEAD" in error.message:  # only a file's mode was changed, and the file is gone
            return None
        raise BackendError(
            "GL-FORGE-006", f"the patch can't be read: {error.message}", "capture the workspace again."
        ) from None
    ancestor = await commit_tree(git, place, before, (), PROBE)
    ours = await commit_tree(git, place, f"{onto}^{{tree}}", (ancestor,), PROBE)
    theirs = await commit_tree(git, place, after, (ancestor,), PROBE)
    merged = await git.run(
        "merge-tree", "--write-tree", "--name-only", "--no-messages", ours, theirs, place=place,
        config=("merge.renames=false", "merge.directoryRenames=false"), ok=(0, 1), bounds=_LISTING,
    )  # fmt: skip
    return merged.text if merged.code == 0 else None


async def diff_trees(git: Git, place: GitPlace, base: str, target: str, limit_bytes: int) -> bytes:
    """Return the binary patch between two treeish, always of the same form (no renames, full ids)."""
    output = await git.run(
        "diff-tree", "-r", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv",
        "--no-color", "--diff-algorithm=myers", "--unified=3", "--src-prefix=a/", "--dst-prefix=b/", base, target,
        place=place, bounds=GitBounds(output_bytes=limit_bytes),
    )  # fmt: skip
    return output.stdout


async def commit_tree(git: Git, place: GitPlace, tree: str, parents: tuple[str, ...], text: CommitText) -> str:
    """Write a commit and return its id, which depends on the arguments alone."""
    if text.at.tzinfo is None:
        raise ValueError(f"`text.at` must be an aware time, got {text.at!r}")
    when = f"@{int(text.at.timestamp())} +0000"
    env = {
        "GIT_AUTHOR_NAME": _identity(text.author.name, "unknown"), "GIT_AUTHOR_DATE": when,
        "GIT_AUTHOR_EMAIL": _identity(text.author.email, "unknown@people.invalid"),
        "GIT_COMMITTER_NAME": _COMMITTER.name, "GIT_COMMITTER_EMAIL": _COMMITTER.email, "GIT_COMMITTER_DATE": when,
    }  # fmt: skip
    flags = [part for parent in parents for part in ("-p", parent)]
    message = text.message.replace("\0", "").encode("utf-8", "replace").strip() + b"\n"
    return (await git.run("commit-tree", tree, *flags, place=place, stdin=message, env=env)).text


async def admit(git: Git, quarantine: GitPlace, repository: GitPlace, commit: str, known: str | None) -> None:
    """Move ``commit`` and what it needs beyond ``known`` from quarantine into ``repository``, checked like a push."""
    wanted = f"{commit}\n" + (f"^{known}\n" if known else "")
    pack = await git.run(
        "pack-objects", "--revs", "--stdout", "--quiet", place=quarantine, stdin=wanted.encode(), bounds=_PACK
    )
    await git.run("unpack-objects", "--strict", "-q", place=repository, stdin=pack.stdout, bounds=_PACK)


def quarantine(repository: Path, scratch: Path) -> GitPlace:
    """Return a place that reads ``repository`` and writes index and objects to ``scratch`` only."""
    objects = scratch / "objects"
    objects.mkdir(exist_ok=True)
    return GitPlace(repository, index=scratch / "index", objects=objects, borrow=(repository / "objects",))


async def _refuse_new_gitlinks(git: Git, place: GitPlace, base: str, tree: str) -> None:
    raw = await git.run("diff-tree", "-r", "-z", "--no-renames", base, tree, place=place, bounds=_LISTING)
    if any(line.split()[1] == GITLINK for line in raw.stdout.split(b"\0")[:-1:2]):  # every other one is a path
        raise BackendError(
            "GL-FORGE-006",
            "the patch adds or changes a submodule, which the platform never writes.",
            "make the change without submodules.",
        )


def _identity(text: str, otherwise: str) -> str:
    cleaned = text.translate(_DROPPED_FROM_IDENTITY).encode("utf-8", "replace").decode().strip(" .,:;\"'\\\t")
    return cleaned or otherwise
