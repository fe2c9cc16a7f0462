"""Repositories of others as sources of an import, treated as hostile: their configuration is never read by git.

A path is read by an own git folder that borrows its object store, so nothing that its configuration names can run.
A URL is fetched with an own configuration over one of four protocols, without stored credentials, within bounds.
"""

import asyncio
import base64
import contextlib
import os
import re
import shutil
import stat
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from greylag.adapters.forge.git import Git, GitBounds, GitOutput, GitPlace
from greylag.adapters.forge.layout import CACHES, GitFolder, lay_git_folder
from greylag.adapters.forge.names import is_object_id, require_branch, shown
from greylag.domain.errors import BackendError, RequestRefused

SCHEMES = ("https", "http", "ssh", "git")
_SCP_LIKE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^-\s:][^\s:]*")
_REMOTE_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
_SSH = "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oConnectTimeout=15 -oForwardAgent=no -oPermitLocalCommand=no"
_REFS = 50_000
_PACKED_REFS_BYTES = 16 * 1024 * 1024
_INDEX_BYTES = 512 * 1024 * 1024
_RESERVED = "refs/heads/greylag/"
# Old, harmless defects of many real histories; everything else that fsck knows is refused.
_FORGIVEN = ("zeroPaddedFilemode", "badTimezone", "missingSpaceBeforeDate", "missingNameBeforeEmail", "badEmail")
_SHOWN_DIRTY = 5


@dataclass(frozen=True, slots=True)
class ImportBounds:
    """How long an import may take and how big its objects may be."""

    seconds: float = 1800.0
    size_bytes: int = 8 * 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """What is imported: ``refs`` (branches and tags to ids), the branch HEAD names, and where the objects come from."""

    refs: Mapping[str, str]
    head: str | None
    objects: Path | None = None
    git_dir: Path | None = None
    work_tree: Path | None = None
    shallow: bytes = b""
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    config: tuple[str, ...] = ()

    @property
    def sha256(self) -> bool:
        """Whether its objects are named by SHA-256."""
        return any(len(value) == 64 for value in self.refs.values())

    def default_branch(self, wanted: str | None) -> str:
        """Return ``wanted``, else HEAD's branch, else `main` or `master` or the only one.

        Raises RequestRefused ``GL-FORGE-004`` without branches, ``GL-FORGE-005`` where none is it.
        """
        branches = sorted(ref.removeprefix("refs/heads/") for ref in self.refs if ref.startswith("refs/heads/"))
        if not branches:
            raise RequestRefused("GL-FORGE-004", "the source has no commit yet.", "make a first commit there.")
        candidates = [self.head, "main", "master"] if wanted is None else [wanted]
        for candidate in candidates:
            if candidate is not None and candidate in branches:
                return candidate
        if wanted is None and len(branches) == 1:
            return branches[0]
        listed = ", ".join(f"`{branch}`" for branch in branches[:_SHOWN_DIRTY])
        what = f"no branch {wanted!r} in the source" if wanted else "the source's HEAD names no branch"
        raise RequestRefused("GL-FORGE-005", f"{what}; it has {listed}.", "name one of its branches as the default.")


def parse_url(source: str) -> str | None:
    """Return ``source`` where it is a URL of an allowed scheme, None where it is a path.

    ``file://`` becomes a path by `local_path`. Raises RequestRefused ``GL-FORGE-015`` for anything else.
    """
    if _SCP_LIKE.fullmatch(source) and not Path(source).exists():
        user_host, _, path = source.partition(":")
        return f"ssh://{user_host}/{path.removeprefix('/')}"
    if "://" not in source and not _REMOTE_HELPER.match(source):
        return None
    parts = urlsplit(source)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return None
    host = parts.hostname or ""
    printable = all(0x20 < ord(char) < 0x7F for char in source)
    if parts.scheme not in SCHEMES or not host or host.startswith("-") or not printable or parts.fragment:
        raise RequestRefused(
            "GL-FORGE-015",
            f"a repository can't be imported from {_redacted(source)!r}.",
            f"give a path, or a URL that starts with {', '.join(f'`{scheme}://`' for scheme in SCHEMES)}.",
        )
    return source


def local_path(source: str) -> Path:
    """Return the absolute path that ``source`` (a path or a file URL) names."""
    return Path(unquote(urlsplit(source).path) if source.startswith("file://") else source).absolute()


async def read_url(git: Git, url: str, network_env: Mapping[str, str], bounds: ImportBounds) -> Source:
    """Ask ``url`` for its branches and tags. Raises RequestRefused ``GL-FORGE-002`` where it doesn't answer."""
    asked = _with_credentials(url, network_env)
    try:
        listing = await git.run(
            "ls-remote", "--symref", "--", asked.url, "HEAD", "refs/heads/*", "refs/tags/*",
            env=asked.env, config=asked.config, bounds=GitBounds(min(bounds.seconds, 120.0), _PACKED_REFS_BYTES),
        )  # fmt: skip
    except BackendError as error:
        raise _not_reachable(url, error.message) from None
    head, refs = None, {}
    for line in listing.text.splitlines():
        value, _, ref = line.partition("\t")
        if ref == "HEAD" and value.startswith("ref: refs/heads/"):
            head = value.removeprefix("ref: refs/heads/")
        elif is_object_id(value) and _wanted(ref):
            refs[ref] = value
    return replace(asked, refs=refs, head=head)


async def fetch_url(git: Git, source: Source, target: Path, bounds: ImportBounds) -> None:
    """Fetch the branches and tags of ``source`` into the empty bare repository ``target``, checked by fsck."""
    fetching = git.run(
        "fetch", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules", "--no-tags", "--quiet",
        "--update-shallow", "--", source.url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*",
        f"^{_RESERVED}*", place=GitPlace(target), env=source.env,
        config=(*source.config, "http.lowSpeedLimit=1000", "http.lowSpeedTime=60",
                *(f"fetch.fsck.{name}=ignore" for name in _FORGIVEN)),
        bounds=GitBounds(bounds.seconds),
    )  # fmt: skip
    try:
        await _while_small(fetching, target / "objects", bounds.size_bytes)
    except BackendError as error:
        raise _not_reachable(source.url, error.message) from None


async def clone_url(git: Git, url: str, target: Path, bounds: ImportBounds) -> None:
    """Make the empty folder ``target`` a clone of ``url`` without files checked out; its password is not kept there.

    Raises RequestRefused ``GL-FORGE-002`` where it can't be read.
    """
    asked = _with_credentials(url, {})
    cloning = git.run(
        "clone", "--quiet", "--no-checkout", "--template=", "--no-recurse-submodules", "--", asked.url, str(target),
        env=asked.env, config=(*asked.config, *(f"fetch.fsck.{name}=ignore" for name in _FORGIVEN)),
        bounds=GitBounds(bounds.seconds),
    )  # fmt: skip
    try:
        await _while_small(cloning, target, bounds.size_bytes)
    except BackendError as error:
        raise _not_reachable(asked.url, error.message) from None


def read_path(path: Path) -> Source:
    """Read the refs of the repository at ``path`` as plain files.

    Raises RequestRefused ``GL-FORGE-002`` where it is none, can't be read, or keeps its refs in another way.
    """
    try:
        git_dir, work_tree = _git_dir(path)
        common = _common_dir(git_dir)
        if not (common / "objects").is_dir() or not (common / "refs").is_dir() or (common / "reftable").exists():
            raise _no_repository(path, "its format isn't one that is read")
        refs = _refs(common)
        head = _small(git_dir / "HEAD", 4096).decode("utf-8", "replace").strip()
        branch = head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else None
        shallow = _small(common / "shallow", _PACKED_REFS_BYTES) if (common / "shallow").exists() else b""
    except OSError as error:
        raise _no_repository(path, f"{error.strerror}: `{error.filename}`") from None
    return Source(refs, branch, common / "objects", git_dir, work_tree, shallow)


async def refuse_dirty(git: Git, source: Source, scratch: Path) -> None:
    """Raise RequestRefused ``GL-FORGE-003`` with a few names where ``source``'s files differ from its last commit."""
    if source.work_tree is None or source.git_dir is None or source.objects is None:
        return
    own = _own_repository(source, scratch)
    index = source.git_dir / "index"
    try:
        for file in (index, *source.git_dir.glob("sharedindex.*")):
            if _is_regular(file, _INDEX_BYTES):
                shutil.copy2(file, own / file.name, follow_symlinks=False)
        head = _small(source.git_dir / "HEAD", 4096)
    except OSError as error:
        raise _no_repository(source.work_tree, f"{error.strerror}: `{error.filename}`") from None
    (own / "HEAD").write_bytes(head)
    place = GitPlace(own, work_tree=source.work_tree, index=own / "index", borrow=(source.objects,))
    try:
        status = await git.run(
            "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--ignore-submodules=all", "--no-renames",
            "--no-ahead-behind", place=place, config=("core.symlinks=true",),
        )  # fmt: skip
    except BackendError as error:
        raise _no_repository(source.work_tree, error.message) from None
    dirty = [shown(line[3:]) for line in status.stdout.split(b"\0") if line]
    if dirty:
        more = f" and {len(dirty) - _SHOWN_DIRTY} more" if len(dirty) > _SHOWN_DIRTY else ""
        raise RequestRefused(
            "GL-FORGE-003",
            f"`{source.work_tree}` has uncommitted changes: {', '.join(dirty[:_SHOWN_DIRTY])}{more}.",
            "commit them, or put them away with `git stash -u`, then import again.",
        )


async def copy_objects(git: Git, source: Source, target: Path, scratch: Path, bounds: ImportBounds) -> None:
    """Copy what the refs of ``source`` reach into the bare repository ``target``, every object checked by fsck."""
    assert source.objects is not None  # noqa: S101 - holds for every source made by `read_path`
    own = _own_repository(source, scratch)
    place = GitPlace(own, borrow=(source.objects,))
    tips = "".join(f"{value}\n" for value in sorted(set(source.refs.values()))).encode()
    packing = git.run(
        "pack-objects", "--revs", "--delta-base-offset", "--quiet", str(scratch / "pack"), place=place, stdin=tips,
        config=("core.commitGraph=false", "core.multiPackIndex=false"), bounds=GitBounds(bounds.seconds),
    )  # fmt: skip
    try:
        made = await _while_small(packing, scratch, bounds.size_bytes)
        forgiven = ",".join(f"{name}=ignore" for name in _FORGIVEN)
        await git.run(
            "index-pack", "--stdin", f"--strict={forgiven}", place=GitPlace(target),
            stdin=scratch / f"pack-{made.text}.pack", bounds=GitBounds(bounds.seconds),
        )  # fmt: skip
        commands = b"".join(
            b"create %s\0%s\0" % (os.fsencode(ref), value.encode()) for ref, value in source.refs.items()
        )
        await git.run("update-ref", "--stdin", "-z", place=GitPlace(target), stdin=commands)
    except BackendError as error:
        raise _no_repository(source.work_tree or own, f"its objects don't fit together: {error.message}") from None


def _own_repository(source: Source, scratch: Path) -> Path:
    own = scratch / "own.git"
    if not own.exists():
        lay_git_folder(own, GitFolder("none", source.sha256, shallow=source.shallow, exclude=_excludes(source)))
        (own / "info" / "attributes").unlink()  # here the source's own line endings decide what counts as changed
        if source.refs:
            packed = "".join(f"{value} {ref}\n" for ref, value in sorted(source.refs.items()))
            (own / "packed-refs").write_bytes(os.fsencode(packed))
    return own


def _excludes(source: Source) -> str:
    rules = "\n".join(CACHES) + "\n"
    if source.git_dir is not None:
        with contextlib.suppress(OSError):  # a source without own rules is usual
            rules += _small(_common_dir(source.git_dir) / "info" / "exclude", 64 * 1024).decode("utf-8", "replace")
    return rules


def _git_dir(path: Path) -> tuple[Path, Path | None]:
    """Return git folder and work tree of ``path``. A ``.git`` file counts only for a worktree that is linked back."""
    if not path.is_dir():
        raise _no_repository(path, "there is no such folder")
    dot = path / ".git"
    if dot.is_symlink():
        raise _no_repository(path, "its `.git` is a symbolic link")
    if dot.is_dir():
        return dot, path
    if dot.is_file():
        named = _small(dot, 4096).decode("utf-8", "replace").strip().removeprefix("gitdir: ")
        git_dir = (path / named).resolve()
        link = git_dir / "gitdir"
        back = _small(link, 4096).decode("utf-8", "replace").strip() if link.is_file() else ""
        if back and Path(back).resolve() == dot.resolve():
            return git_dir, path
        raise _no_repository(path, f"its `.git` file names {named!r}, which doesn't name it back")
    if (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir():
        return path, None
    raise _no_repository(path, "no `.git` in it")


def _common_dir(git_dir: Path) -> Path:
    named = git_dir / "commondir"
    return (git_dir / _small(named, 4096).decode("utf-8", "replace").strip()).resolve() if named.exists() else git_dir


def _refs(common: Path) -> dict[str, str]:
    refs = {}
    packed = common / "packed-refs"
    if packed.exists():
        for line in os.fsdecode(_small(packed, _PACKED_REFS_BYTES)).split("\n"):
            packed_id, _, ref = line.partition(" ")
            refs[ref] = packed_id
    for folder in ("heads", "tags"):
        for file in _plain_files(common / "refs" / folder):
            value = _small(file, 4096).decode("ascii", "replace").strip()
            refs[str(file.relative_to(common))] = value
    kept = {ref: value for ref, value in refs.items() if is_object_id(value) and _wanted(ref)}
    if len(kept) > _REFS:
        raise _no_repository(common, f"it has {len(kept)} branches and tags, at most {_REFS} are taken")
    return kept


def _wanted(ref: str) -> bool:
    if ref.startswith(_RESERVED) or not ref.startswith(("refs/heads/", "refs/tags/")) or ref.endswith("^{}"):
        return False
    try:
        require_branch(ref.split("/", 2)[2])
    except RequestRefused:
        return False
    return True


def _plain_files(folder: Path) -> Iterator[Path]:
    for here, _, names in os.walk(folder):
        for name in names:
            file = Path(here, name)
            if not name.endswith(".lock") and _is_regular(file, 4096):
                yield file


def _is_regular(file: Path, limit: int) -> bool:
    try:
        about = file.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_size <= limit


def _small(file: Path, limit: int) -> bytes:
    """Return the content of a regular file; anything else, or more than ``limit``, is an OSError."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as opened:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_size > limit:
            raise OSError(0, "not a small regular file", str(file))
        return opened.read(limit)


async def _while_small(work: Coroutine[None, None, GitOutput], folder: Path, limit: int) -> GitOutput:
    """Await ``work``, but end it once ``folder`` holds more than ``limit`` bytes."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait((task,), timeout=0.5)
            if await asyncio.to_thread(_size_of, folder) > limit:
                raise BackendError("GL-FORGE-018", f"it has more than {limit} bytes.", "import a smaller repository.")
        return task.result()
    finally:
        task.cancel()
        await asyncio.wait((task,))


def _size_of(folder: Path) -> int:
    size = 0
    for here, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # git renames while we look
                size += os.lstat(os.path.join(here, name)).st_size
    return size


def _with_credentials(url: str, network_env: Mapping[str, str]) -> Source:
    """Take a password out of ``url``: it travels in the environment of one process, to that host alone."""
    parts = urlsplit(url)
    env = {"GIT_ALLOW_PROTOCOL": "http:https" if parts.scheme in {"http", "https"} else parts.scheme, **network_env}
    if parts.scheme == "ssh":
        return Source({}, None, url=url, env=env, config=(f"core.sshCommand={_SSH}",))
    if parts.scheme not in {"http", "https"} or parts.username is None:
        return Source({}, None, url=url, env=env)
    clean = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    secret = base64.b64encode(f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()).decode()
    env |= {
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_VALUE_0": f"Authorization: Basic {secret}",
        "GIT_CONFIG_KEY_0": f"http.{clean}.extraHeader",
    }  # fmt: skip
    return Source({}, None, url=clean, env=env, config=("http.followRedirects=false",))


def _redacted(source: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", source)[:200]


def _not_reachable(url: str, why: str) -> RequestRefused:
    return RequestRefused(
        "GL-FORGE-002",
        f"no repository could be read from {_redacted(url)!r}: {_redacted(why)}",
        "check the address and that it may be read without a prompt, then try again.",
    )


def _no_repository(path: Path, why: str) -> RequestRefused:
    return RequestRefused(
        "GL-FORGE-002",
        f"`{path}` is not a git repository that can be read: {why}.",
        "give the top folder of a repository you may read, or a fresh clone of it: `git clone --no-local PATH COPY`.",
    )
