"""Capture: what an untrusted workspace would change, as a patch and a tree, made without git seeing the workspace."""

import asyncio
import os.path
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from greylag.adapters.forge.git import Git, GitBounds, GitOutputTooLarge, GitPlace
from greylag.adapters.forge.layout import CACHES, GitFolder, lay_git_folder
from greylag.adapters.forge.names import is_odd, shown
from greylag.adapters.forge.objects import (
    GITLINK,
    PROBE,
    Entry,
    admit,
    commit_tree,
    diff_trees,
    entries_of,
    quarantine,
    write_blobs,
    write_tree,
)
from greylag.adapters.forge.port import Capture, CaptureLimits
from greylag.adapters.forge.workspace.reading import Written, read_changes, survey
from greylag.domain.errors import BackendError, IntegrityError, RequestRefused

_RULE_FILES = 2_000
_RULE_BYTES = 1024 * 1024
_RULES = GitBounds(output_bytes=64 * 1024 * 1024)
_LISTING = GitBounds(output_bytes=256 * 1024 * 1024)
# Names that make machines of others do something: build servers, editors, shells, git itself.
_WATCHED_NAMES = frozenset(
    (
        b".gitattributes", b".gitmodules", b".gitlab-ci.yml", b".envrc", b"makefile", b"gnumakefile",
        b"jenkinsfile", b".travis.yml", b"azure-pipelines.yml", b".pre-commit-config.yaml", b".mcp.json",
        b"sitecustomize.py", b"usercustomize.py", b".npmrc", b".yarnrc.yml", b"pip.conf",
    )
)  # fmt: skip
_WATCHED_FOLDERS = frozenset(
    (
        b".github", b".gitlab", b".forgejo", b".gitea", b".circleci", b".vscode", b".idea", b".devcontainer", b".husky",
        b".claude",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workspace:
    """What is captured: ``folder`` against ``base`` (a commit of the bare ``repository``) within ``limits``."""

    repository: Path
    base: str
    folder: Path
    limits: CaptureLimits


async def capture_workspace(git: Git, workspace: Workspace, scratch: Path) -> Capture:
    """Return what ``workspace`` changed. Raises RequestRefused ``GL-FORGE-007`` for what can't be taken.

    Ignored are untracked files that the base commit's own ``.gitignore`` files name, and the usual caches.
    """
    place = quarantine(workspace.repository, scratch)
    tracked = await entries_of(git, place, workspace.base)
    rules = await _ignore_rules(git, place, tracked, scratch)
    found = await survey(workspace.folder, tracked, rules.matching, workspace.limits)
    copies = scratch / "copies"
    copies.mkdir()
    changes = await asyncio.to_thread(read_changes, workspace.folder, found, tracked, workspace.limits, copies)
    tree = await _stored(git, place, workspace.base, changes)
    if changes:
        await _refuse_unfit(git, place, workspace.base, tree, scratch)
    try:
        patch = await diff_trees(git, place, workspace.base, tree, workspace.limits.patch_bytes)
    except GitOutputTooLarge:
        raise RequestRefused(
            "GL-FORGE-007",
            f"the workspace can't be taken as a change: its patch has more than {workspace.limits.patch_bytes} bytes.",
            "ask the agent to change less, or raise the limit.",
        ) from None
    files, added, removed = await _counted(git, place, workspace.base, tree)
    await asyncio.to_thread(shutil.rmtree, copies)
    return Capture(tree, patch, files, added, removed, warnings(changes, tracked))


def warnings(changes: Sequence[Written], tracked: Mapping[bytes, Entry]) -> tuple[str, ...]:
    """Return what a reviewer must look at among ``changes``, each as one printable line, sorted."""
    said = set()
    for change in changes:
        name = shown(change.path)
        parts = change.path.lower().split(b"/")
        if parts[-1] in _WATCHED_NAMES or _WATCHED_FOLDERS.intersection(parts[:-1]):
            said.add(f"`{name}` can make other programs run code or look away")
        if change.link_target:
            leaves = _leaves(change.path, change.link_target)
            said.add(
                f"`{name}` is a symbolic link to `{shown(change.link_target)}`{', OUTSIDE the repository' * leaves}"
            )
        if is_odd(change.path):
            said.add(f"`{name}` has control, invisible or undecodable characters in its name")
        if change.path in tracked and tracked[change.path].mode == GITLINK:
            said.add(f"`{name}` was a submodule and is none any more")
    return tuple(sorted(said))


def _leaves(path: bytes, target: bytes) -> bool:
    if target.startswith(b"/"):
        return True
    return os.path.normpath(os.path.join(os.path.dirname(path), target)).split(b"/")[0] == b".."


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """Answers which paths git would ignore, from rule files of the base commit laid out in a folder of our own."""

    git: Git
    place: GitPlace

    async def matching(self, paths: Sequence[bytes]) -> set[bytes]:
        """Return those of ``paths`` that are ignored; a folder ends with a slash."""
        asked = b"".join(b"./%s\0" % path for path in paths)  # so that no name is taken for pathspec magic
        output = await self.git.run(
            "check-ignore", "-z", "--stdin", "--no-index", place=self.place, stdin=asked, ok=(0, 1), bounds=_LISTING,
            env={"GIT_LITERAL_PATHSPECS": "0"},  # this command alone refuses to know them
        )  # fmt: skip
        return {line.removeprefix(b"./") for line in output.stdout.split(b"\0")[:-1]}


async def _ignore_rules(git: Git, place: GitPlace, tracked: Mapping[bytes, Entry], scratch: Path) -> IgnoreRules:
    git_dir, tree = scratch / "rules.git", scratch / "rules"
    lay_git_folder(git_dir, GitFolder("none", exclude="\n".join(CACHES) + "\n"))
    tree.mkdir()
    files = [
        (path, entry)
        for path, entry in tracked.items()
        if path.rpartition(b"/")[2] == b".gitignore" and entry.mode in {b"100644", b"100755"}
        if entry.size_bytes <= _RULE_BYTES
    ][:_RULE_FILES]
    wanted = "".join(f"{entry.id}\n" for _, entry in files).encode()
    batch = (await git.run("cat-file", "--batch", place=place, stdin=wanted, bounds=_RULES)).stdout
    await asyncio.to_thread(_write_rules, tree, files, batch)
    return IgnoreRules(git, GitPlace(git_dir, work_tree=tree))


def _write_rules(tree: Path, files: Sequence[tuple[bytes, Entry]], batch: bytes) -> None:
    """Write ``files`` below ``tree``; ``batch`` is what ``git cat-file --batch`` printed for them in order."""
    start = 0
    for path, entry in files:
        start = batch.index(b"\n", start) + 1
        target = tree / os.fsdecode(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(batch[start : start + entry.size_bytes])
        start += entry.size_bytes + 1


async def _stored(git: Git, place: GitPlace, base: str, changes: Sequence[Written]) -> str:
    copied = [change for change in changes if change.copy is not None]
    ids = await write_blobs(git, place, [change.copy for change in copied if change.copy is not None])
    if ids != [change.id for change in copied]:
        raise IntegrityError(
            "GL-FORGE-014",
            "git stored other bytes than were read from the workspace; nothing was taken.",
            "check the disk, then capture again.",
        )
    entries = [(change.path, Entry(change.mode, change.id, 0) if change.mode else None) for change in changes]
    try:
        return await write_tree(git, place, base, entries)
    except RequestRefused as error:
        raise _unfit(error.message) from None


async def _refuse_unfit(git: Git, place: GitPlace, base: str, tree: str, scratch: Path) -> None:
    """Let git check the new objects now as it will when they are pushed, so that the agent hears of it."""
    checked = scratch / "checked"
    checked.mkdir()
    commit = await commit_tree(git, place, tree, (base,), PROBE)
    try:
        await admit(git, place, replace(place, objects=checked), commit, base)
    except BackendError as error:
        raise _unfit(error.message) from None


def _unfit(why: str) -> RequestRefused:
    return RequestRefused(
        "GL-FORGE-007",
        f"the workspace can't be taken as a change: git refuses what it holds: {why}",
        "ask the agent to mend what is named (often `.gitmodules`), then try again.",
    )


async def _counted(git: Git, place: GitPlace, base: str, tree: str) -> tuple[tuple[str, ...], int, int]:
    output = await git.run(
        "diff-tree", "-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv", base, tree,
        place=place, bounds=_LISTING,
    )  # fmt: skip
    files, added, removed = [], 0, 0
    for line in output.stdout.split(b"\0")[:-1]:
        plus, minus, path = line.split(b"\t", 2)
        files.append(shown(path))
        added += int(plus) if plus.isdigit() else 0
        removed += int(minus) if minus.isdigit() else 0
    return tuple(files), added, removed
