"""The built-in forge: bare repositories in a folder of this machine, with a protected default branch each."""

import asyncio
import contextlib
import errno
import gzip
import io
import os
from collections.abc import Mapping
from pathlib import Path

from greylag.adapters.forge import names, objects, sources
from greylag.adapters.forge.git import Git, GitBounds, GitPlace, require_version
from greylag.adapters.forge.layout import GitFolder, lay_git_folder
from greylag.adapters.forge.port import Capture, CaptureLimits, CommitText
from greylag.adapters.forge.scratch import Scratch, sweep
from greylag.adapters.forge.workspace.capture import Workspace, capture_workspace
from greylag.adapters.forge.workspace.materialise import Checkout, materialise
from greylag.domain.errors import BackendError, OperatorError, RequestRefused
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

_DEFAULT_BRANCH = "main"
_MOVES = 5
_ARCHIVE = GitBounds(seconds=300.0, output_bytes=1024 * 1024 * 1024)
_DIFF_BYTES = 256 * 1024 * 1024
_IMPORT = sources.ImportBounds()


class BuiltinForge:
    """A `greylag.adapters.forge.port.Forge` on bare repositories ``root/NAME.git``; several processes may share them.

    Refs move atomically and only from where they were seen; whatever a killed process left is removed by the next use.
    ``network_env`` is added to the environment of git where it fetches from a URL (proxy, CA file, ssh agent).
    """

    def __init__(
        self,
        root: Path,
        *,
        name: str = "builtin",
        git: Path | None = None,
        network_env: Mapping[str, str] | None = None,
        import_bounds: sources.ImportBounds = _IMPORT,
    ) -> None:
        self.name = name
        self.root = root.absolute()
        self._network_env = dict(network_env or {})
        self._import_bounds = import_bounds
        home = self.root / ".home"
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperatorError(
                "GL-FORGE-022",
                f"the forge's folder `{self.root}` can't be used: {error.strerror}.",
                "give the platform's user a folder it may write to.",
            ) from None
        self._git = Git(home, git)
        self._scratch = Scratch(self.root / ".scratch")

    async def probe(self) -> str:
        """Return git's version. Raises OperatorError ``GL-FORGE-021`` where it is too old."""
        return await require_version(self._git)

    async def import_repository(self, permit: Permit, name: str, source: str, default_branch: str | None) -> str:
        """Fetch ``source`` as repository ``name``; see the port. Nothing that the source names is ever run."""
        permit.require(Stage.PUSH, self.name)
        self._require_free(name)
        url = sources.parse_url(source)
        bounds = self._import_bounds
        async with self._scratch.open() as scratch:
            if url is not None:
                found = await sources.read_url(self._git, url, self._network_env, bounds)
            else:
                found = await asyncio.to_thread(sources.read_path, sources.local_path(source))
            branch = names.require_branch(found.default_branch(default_branch))
            await sources.refuse_dirty(self._git, found, scratch)
            staged = scratch / "staged.git"
            lay_git_folder(staged, GitFolder(branch, found.sha256, shallow=found.shallow))
            if url is not None:
                await sources.fetch_url(self._git, found, staged, bounds)
            else:
                await sources.copy_objects(self._git, found, staged, scratch, bounds)
            await self._git.run("pack-refs", "--all", place=GitPlace(staged))
            self._publish(staged, name)
        return branch

    async def create(
        self, permit: Permit, name: str, files: Mapping[str, bytes], executable: frozenset[str], text: CommitText
    ) -> str:
        """Make repository ``name`` with one commit of ``files`` on ``main``; see the port."""
        permit.require(Stage.PUSH, self.name)
        self._require_free(name)
        paths = {path: names.require_tree_path(path) for path in files}
        _refuse_nested(set(paths.values()))
        async with self._scratch.open() as scratch:
            staged, copies = scratch / "staged.git", scratch / "copies"
            lay_git_folder(staged, GitFolder(_DEFAULT_BRANCH))
            copies.mkdir()
            for number, content in enumerate(files.values()):
                (copies / str(number)).write_bytes(content)
            place = objects.quarantine(staged, scratch)
            ids = await objects.write_blobs(self._git, place, [copies / str(number) for number in range(len(files))])
            entries = [
                (paths[path], objects.Entry(b"100755" if path in executable else b"100644", blob, 0))
                for path, blob in zip(files, ids, strict=True)
            ]
            tree = await objects.write_tree(self._git, place, None, entries)
            commit = await objects.commit_tree(self._git, place, tree, (), text)
            await objects.admit(self._git, place, GitPlace(staged), commit, None)
            await self._git.run("update-ref", f"refs/heads/{_DEFAULT_BRANCH}", commit, place=GitPlace(staged))
            self._publish(staged, name)
        return commit

    async def discard(self, permit: Permit, name: str) -> None:
        """Remove repository ``name`` at once and for good; see the port."""
        permit.require(Stage.PUSH, self.name)
        folder = self.root / f"{names.require_repository_name(name)}.git"
        async with self._scratch.open() as scratch:
            with contextlib.suppress(FileNotFoundError):
                folder.rename(scratch / "discarded.git")

    async def head(self, name: str, branch: str) -> str:
        """Return the commit ``branch`` stands at; see the port."""
        found = await self._tip(self._repository(name), names.require_branch(branch))
        if found is None:
            raise RequestRefused(
                "GL-FORGE-005", f"`{name}` has no branch {branch!r}.", "name one of its branches, e.g. the default one."
            )
        return found

    async def checkout(self, permit: Permit, name: str, commit: str, folder: Path, patch: bytes = b"") -> None:
        """Make ``folder`` a self-contained checkout of ``commit`` with ``patch`` on top; see the port."""
        permit.require(Stage.CHECKOUT)
        repository = await self._with_commit(name, commit)
        async with self._scratch.open() as scratch:
            await materialise(self._git, Checkout(repository, commit, patch, _absolute(folder)), scratch)

    async def capture(self, name: str, base_commit: str, folder: Path, limits: CaptureLimits) -> Capture:
        """Read what ``folder`` changed against ``base_commit``; git never sees the folder. See the port."""
        repository = await self._with_commit(name, base_commit)
        async with self._scratch.open() as scratch:
            workspace = Workspace(repository, base_commit, _absolute(folder), limits)
            return await capture_workspace(self._git, workspace, scratch)

    async def rebase(self, name: str, patch: bytes, onto: str) -> bytes | None:
        """Return ``patch`` re-made against ``onto`` by three-way merge of each file, None where it conflicts."""
        repository = await self._with_commit(name, onto)
        if not patch:
            return b""
        async with self._scratch.open() as scratch:
            place = objects.quarantine(repository, scratch)
            tree = await objects.replayed_tree(self._git, place, onto, patch)
            return None if tree is None else await objects.diff_trees(self._git, place, onto, tree, _DIFF_BYTES)

    async def push(
        self, permit: Permit, name: str, branch: str, base_commit: str, patch: bytes, text: CommitText
    ) -> str:
        """Put one commit (``base_commit`` + ``patch``) on ``branch`` and return its id; see the port."""
        permit.require(Stage.PUSH, self.name)
        repository = await self._with_commit(name, base_commit)
        if names.require_branch(branch) == default_branch_of(repository):
            raise RequestRefused(
                "GL-FORGE-008", f"`{branch}` of `{name}` is protected.", "push another branch and have it merged."
            )
        async with self._scratch.open() as scratch:
            place = objects.quarantine(repository, scratch)
            tree = await objects.patched_tree(self._git, place, base_commit, patch)
            commit = await objects.commit_tree(self._git, place, tree, (base_commit,), text)
            await objects.admit(self._git, place, GitPlace(repository), commit, base_commit)
        for _ in range(_MOVES):
            stands_at = await self._tip(repository, branch)
            if stands_at == commit or await self._moved(repository, branch, stands_at, commit):
                return commit
        raise _busy(name, branch)

    async def tree_of(self, name: str, commit: str) -> str:
        """Return the tree of ``commit``."""
        return await self._tree(await self._with_commit(name, commit), commit)

    async def paths(self, name: str, commit: str) -> tuple[str, ...]:
        """Return the path of every file of ``commit``; see the port."""
        place = GitPlace(await self._with_commit(name, commit))
        found = await objects.entries_of(self._git, place, commit)
        return tuple(sorted(path.decode("utf-8", "backslashreplace") for path in found))

    async def merge(
        self, permit: Permit, name: str, branch: str, commit: str, expected_base: str, text: CommitText
    ) -> str:
        """Merge ``commit`` into ``branch`` while that stands at ``expected_base``; see the port.

        ``commit`` must descend from ``expected_base``, so that taking its tree loses nobody's change.
        """
        permit.require(Stage.PUSH, self.name)
        repository = await self._with_commit(name, commit)
        await self._with_commit(name, expected_base)
        place = GitPlace(repository)
        stands_at = await self.head(name, branch)
        if not await self._descends(place, commit, expected_base):
            raise _drift(name, f"`{commit}` was not made from `{expected_base}`")
        merged = await objects.commit_tree(
            self._git, place, await self._tree(repository, commit), (expected_base, commit), text
        )
        for _ in range(_MOVES):
            if stands_at == merged or await self._descends(place, stands_at, merged):
                return merged
            if stands_at != expected_base:
                raise _drift(name, f"`{branch}` stands at `{stands_at}`, not at `{expected_base}` any more")
            if await self._moved(repository, branch, expected_base, merged):
                return merged
            stands_at = await self.head(name, branch)
        raise _busy(name, branch)

    async def archive(self, name: str, commit: str) -> bytes:
        """Return the commit's tree as ``tar.gz``; the same commit gives the same bytes."""
        repository = await self._with_commit(name, commit)
        tar = await self._git.run("archive", "--format=tar", commit, place=GitPlace(repository), bounds=_ARCHIVE)
        return await asyncio.to_thread(_gzipped, tar.stdout)

    async def diff(self, name: str, base: str, commit: str) -> bytes:
        """Return the patch between two commits."""
        await self._with_commit(name, base)
        repository = await self._with_commit(name, commit)
        return await objects.diff_trees(self._git, GitPlace(repository), base, commit, _DIFF_BYTES)

    def _repository(self, name: str) -> Path:
        repository = self.root / f"{names.require_repository_name(name)}.git"
        if not repository.is_dir():
            raise RequestRefused("GL-FORGE-024", f"there is no repository `{name}`.", "import or create it first.")
        return repository

    def _require_free(self, name: str) -> None:
        if (self.root / f"{names.require_repository_name(name)}.git").exists():
            raise _taken(name)

    def _publish(self, staged: Path, name: str) -> None:
        try:
            staged.rename(self.root / f"{name}.git")
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                raise _taken(name) from None
            raise BackendError(
                "GL-FORGE-023", f"`{name}` couldn't be put in place: {error.strerror}.", "check the forge's folder."
            ) from None

    async def _with_commit(self, name: str, commit: str) -> Path:
        repository = self._repository(name)
        kind = await self._git.run(
            "cat-file", "-t", names.require_object_id(commit), place=GitPlace(repository), ok=(0, 128)
        )
        if kind.text != "commit":
            raise RequestRefused(
                "GL-FORGE-025", f"`{name}` has no commit `{commit}`.", "give the id of a commit that was pushed."
            )
        return repository

    async def _tree(self, repository: Path, commit: str) -> str:
        return (await self._git.run("rev-parse", "--verify", f"{commit}^{{tree}}", place=GitPlace(repository))).text

    async def _tip(self, repository: Path, branch: str) -> str | None:
        found = await self._git.run(
            "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", place=GitPlace(repository), ok=(0, 1)
        )
        return found.text or None

    async def _descends(self, place: GitPlace, commit: str, ancestor: str) -> bool:
        return (await self._git.run("merge-base", "--is-ancestor", ancestor, commit, place=place, ok=(0, 1))).code == 0

    async def _moved(self, repository: Path, branch: str, old: str | None, new: str) -> bool:
        """Move ``branch`` from ``old`` (None: it isn't there) to ``new`` at once; False where it stood elsewhere."""
        ref = f"refs/heads/{branch}"
        result = await self._git.run(
            "update-ref", "--no-deref", ref, new, old or "0" * len(new), place=GitPlace(repository), ok=(0, 1, 128)
        )
        if result.code == 0:
            return True
        if await self._tip(repository, branch) == old and not await asyncio.to_thread(sweep, repository):
            raise BackendError(
                "GL-FORGE-016",
                f"`{ref}` couldn't be moved: {result.complaint}",
                "try again; if it stays, look for a `.lock` file in the repository.",
                transient=True,
            )
        return False


def default_branch_of(repository: Path) -> str:
    """Return the protected branch of a bare repository: the one its HEAD names."""
    return (repository / "HEAD").read_text().strip().removeprefix("ref: refs/heads/")


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _refuse_nested(paths: set[bytes]) -> None:
    for path in paths:
        parts = path.split(b"/")
        for count in range(1, len(parts)):
            if b"/".join(parts[:count]) in paths:
                raise RequestRefused(
                    "GL-FORGE-010",
                    f"`{names.shown(path)}` lies below a path that is a file too.",
                    "give each path as a file or as a folder, not both.",
                )


def _gzipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=0) as packed:
        packed.write(data)
    return out.getvalue()


def _taken(name: str) -> RequestRefused:
    return RequestRefused("GL-FORGE-001", f"there is a repository `{name}` already.", "choose another name.")


def _drift(name: str, why: str) -> RequestRefused:
    return RequestRefused(
        "GL-FORGE-009", f"nothing was merged in `{name}`: {why}.", "rebase the change, verify and approve it again."
    )


def _busy(name: str, branch: str) -> BackendError:
    return BackendError(
        "GL-FORGE-026", f"`{branch}` of `{name}` was moved by others {_MOVES} times.", "try again.", transient=True
    )
