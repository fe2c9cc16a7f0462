"""What every forge must do, as checks that run against a real one: by the tests and by ``greylag doctor``.

Each check makes a repository of its own and tries to break one promise of `greylag.adapters.forge.port.Forge`.
"""

import asyncio
import shutil
import tarfile
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path

from greylag.adapters.forge.port import Author, Capture, CaptureLimits, CommitText, Forge
from greylag.adapters.forge.traps import TRAPS, Ground, Trap
from greylag.domain.errors import GreylagError
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

Permits = Callable[[Stage, str], Permit]

TEXT = CommitText(Author("Ada", "ada@example.org"), "A change", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
FILES = {
    "README.md": b"# A service\n", "src/app.py": b"def skip():\n    return 1\n", "run.sh": b"#!/bin/sh\nexit 0\n",
    "windows.txt": b"one\r\ntwo\r\n", "blob.bin": bytes(range(256)), ".gitignore": b"build/\n*.log\n",
    ".gitattributes": b"*.txt text eol=crlf\n*.py -diff\n", "empty": b"",
}  # fmt: skip
_LIMITS = CaptureLimits()


@dataclass(frozen=True, slots=True)
class Stand:
    """What a check works with: the forge, permits for (stage, target), and an own folder; ``name`` is free to use."""

    forge: Forge
    permits: Permits
    folder: Path
    name: str

    def push_permit(self) -> Permit:
        """Return a permit towards the forge."""
        return self.permits(Stage.PUSH, self.forge.name)

    async def repository(self) -> str:
        """Make the repository with `FILES` and return its first commit."""
        return await self.forge.create(self.push_permit(), self.name, FILES, frozenset({"run.sh"}), TEXT)

    async def workspace(self, commit: str, at: str = "workspace", patch: bytes = b"") -> Path:
        """Check ``commit`` out and return the folder."""
        folder = self.folder / at
        await self.forge.checkout(self.permits(Stage.CHECKOUT, "sandbox"), self.name, commit, folder, patch)
        return folder

    async def capture(self, commit: str, folder: Path, limits: CaptureLimits = _LIMITS) -> Capture:
        """Capture ``folder`` against ``commit``."""
        return await self.forge.capture(self.name, commit, folder, limits)

    async def push(self, branch: str, base: str, patch: bytes, text: CommitText = TEXT) -> str:
        """Push one commit."""
        return await self.forge.push(self.push_permit(), self.name, branch, base, patch, text)

    async def changed(self, commit: str, at: str, change: Callable[[Path], None]) -> Capture:
        """Check out, apply ``change`` to the folder, and capture."""
        folder = await self.workspace(commit, at)
        change(folder)
        return await self.capture(commit, folder)


@dataclass(frozen=True, slots=True)
class Check:
    """One promise and the attempt to break it; it raises `CheckFailed`."""

    name: str
    run: Callable[[Stand], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a check held; ``detail`` says what was seen where it didn't."""

    name: str
    held: bool
    detail: str = ""


class CheckFailed(AssertionError):
    """A promise was broken; the text says which and how."""


async def check_forge(
    forge: Forge, permits: Permits, folder: Path, checks: "tuple[Check, ...] | None" = None
) -> tuple[Outcome, ...]:
    """Run ``checks`` (default: all) on ``forge``, each in an own new folder below ``folder``; never raises for them.

    Every check leaves a repository ``conformance-…`` behind: give a forge on a throw-away folder.
    """
    outcomes = []
    for check in CHECKS if checks is None else checks:
        own = Path(tempfile.mkdtemp(prefix="c", dir=folder))
        stand = Stand(forge, permits, own, f"conformance-{own.name.lower().replace('_', 'x')}")
        try:
            await check.run(stand)
            outcomes.append(Outcome(check.name, True))
        except Exception as error:  # noqa: BLE001 - whatever a forge does wrong is this check's finding
            outcomes.append(Outcome(check.name, False, f"{type(error).__name__}: {error}"))
        finally:
            await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)
    return tuple(outcomes)


def _expect(held: bool, promise: str) -> None:
    if not held:
        raise CheckFailed(f"broken: {promise}")


async def _refuses(code: str, attempt: Awaitable[object]) -> None:
    try:
        await attempt
    except GreylagError as error:
        _expect(error.code == code, f"must be refused with {code}, got {error.code}: {error.message}")
        return
    raise CheckFailed(f"broken: must be refused with {code}, but was done")


def _edit(folder: Path) -> None:
    (folder / "src/app.py").write_bytes(b"def skip():\n    return 2\n")
    (folder / "src/new.py").write_bytes(b"x = 1\n")
    (folder / "README.md").unlink()
    (folder / "run.sh").chmod(0o644)
    (folder / "blob.bin").write_bytes(bytes(reversed(range(256))))
    (folder / "windows.txt").write_bytes(b"one\r\nTWO\nthree")


async def _checkout_is_exact(stand: Stand) -> None:
    folder = await stand.workspace(await stand.repository())
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    files = {name: path.read_bytes() for name, path in found.items() if not name.startswith(".git/")}
    _expect(files == FILES, "a checkout has exactly the bytes that were committed")
    _expect(bool((folder / "run.sh").stat().st_mode & 0o100), "executable stays executable")
    _expect(not (folder / "README.md").stat().st_mode & 0o111, "a plain file isn't executable")
    config = (folder / ".git" / "config").read_text()
    _expect("remote" not in config and "hooksPath" not in config, "a checkout knows no remote and no hooks")
    _expect(not (folder / ".git/objects/info/alternates").exists(), "a checkout borrows no objects")
    linked = [path for path in folder.rglob("*") if path.is_file() and path.lstat().st_nlink > 1]
    _expect(not linked, "a checkout shares no file with the forge")


async def _unchanged_is_empty(stand: Stand) -> None:
    commit = await stand.repository()
    captured = await stand.capture(commit, await stand.workspace(commit))
    _expect(
        captured.patch == b"" and captured.files == () and captured.warnings == (), "nothing changed, nothing taken"
    )
    _expect(captured.tree == await stand.forge.tree_of(stand.name, commit), "the tree of no change is the base's")


async def _change_goes_round(stand: Stand) -> None:
    commit = await stand.repository()
    captured = await stand.changed(commit, "one", _edit)
    wanted = ("README.md", "blob.bin", "run.sh", "src/app.py", "src/new.py", "windows.txt")
    _expect(tuple(sorted(captured.files)) == wanted, f"every changed file is named, got {captured.files}")
    _expect(b"+    return 2" in captured.patch, "attributes of the repository can't hide a diff")
    pushed = await stand.push("topic", commit, captured.patch)
    _expect(await stand.forge.tree_of(stand.name, pushed) == captured.tree, "what is pushed is what was captured")
    again = await stand.workspace(commit, "two", captured.patch)
    _expect(await stand.capture(commit, again) == captured, "a patch on a checkout captures as itself")
    _expect(await stand.forge.diff(stand.name, commit, pushed) == captured.patch, "the diff is the patch")
    onto = await stand.forge.rebase(stand.name, captured.patch, commit)
    _expect(onto == captured.patch, "a rebase on the same commit changes nothing")


async def _debris_stays_out(stand: Stand) -> None:
    def litter(folder: Path) -> None:
        for name in ("build/out.o", "src/__pycache__/a.pyc", "node_modules/x/i.js", "a.log", ".pytest_cache/v"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"debris")

    captured = await stand.changed(await stand.repository(), "one", litter)
    _expect(captured.files == (), f"ignored files and caches aren't taken, got {captured.files}")


async def _odd_names_survive(stand: Stand) -> None:
    names = (
        b"new\nline", b"tab\there", b"\xff\xfe.txt", "\u202eexe.txt".encode(), b"-rf", b":!magic", b"a b ", b'q"uote',
        b"back\\slash", b"\x1b]52;c;x\x07", "\u00e9".encode(), b"[a]*?", b"'; touch x #",
    )  # fmt: skip

    def make(folder: Path) -> None:
        for name in names:
            with open(bytes(folder) + b"/" + name, "wb") as file:
                file.write(name)

    commit = await stand.repository()
    captured = await stand.changed(commit, "one", make)
    _expect(len(captured.files) == len(names), f"every odd name is taken, got {captured.files}")
    _expect(all(name.isprintable() for name in captured.files), "names are shown printable")
    pushed = await stand.push("topic", commit, captured.patch)
    _expect(await stand.forge.tree_of(stand.name, pushed) == captured.tree, "odd names survive a push")


async def _push_is_repeatable(stand: Stand) -> None:
    commit = await stand.repository()
    captured = await stand.changed(commit, "one", _edit)
    first = await stand.push("topic", commit, captured.patch)
    _expect(await stand.push("topic", commit, captured.patch) == first, "the same arguments give the same commit")
    other = await stand.push("topic", commit, captured.patch, replace(TEXT, message="Another"))
    _expect(await stand.forge.head(stand.name, "topic") == other != first, "a branch that stands elsewhere is moved")
    await _refuses("GL-FORGE-008", stand.push("main", commit, captured.patch))
    _expect(await stand.forge.head(stand.name, "main") == commit, "a protected branch stays")
    await _refuses("GL-FORGE-006", stand.push("bad", other, captured.patch))


async def _merge_is_exact(stand: Stand) -> None:
    commit = await stand.repository()
    captured = await stand.changed(commit, "one", _edit)
    pushed = await stand.push("topic", commit, captured.patch)
    rival = await stand.push("rival", commit, captured.patch, replace(TEXT, message="Rival"))
    merge = partial(stand.forge.merge, stand.push_permit(), stand.name, "main")
    merged = await merge(pushed, commit, TEXT)
    _expect(await stand.forge.tree_of(stand.name, merged) == captured.tree, "the merged tree is the approved tree")
    _expect(await merge(pushed, commit, TEXT) == merged, "merging again is merging once")
    await _refuses("GL-FORGE-009", merge(rival, commit, TEXT))
    await _refuses("GL-FORGE-009", merge(rival, merged, TEXT))
    _expect(await stand.forge.head(stand.name, "main") == merged, "a refused merge changes nothing")


async def _rebase_is_three_way(stand: Stand) -> None:
    commit = await stand.repository()
    patch = (await stand.changed(commit, "one", lambda at: _write(at / "src/new.py", b"x\n"))).patch
    clash = (await stand.changed(commit, "two", lambda at: _write(at / "src/new.py", b"y\n"))).patch
    other = (await stand.changed(commit, "three", lambda at: _write(at / "README.md", b"# Other\n"))).patch
    onto = await stand.push("other", commit, other)
    rebased = await stand.forge.rebase(stand.name, patch, onto)
    _expect(rebased is not None and b"new.py" in rebased, "a change elsewhere doesn't conflict")
    taken = await stand.push("clash", commit, clash)
    _expect(await stand.forge.rebase(stand.name, patch, taken) is None, "a conflict is None")
    same = await stand.push("same", commit, patch)
    _expect(await stand.forge.rebase(stand.name, patch, same) == b"", "a change that is there already is empty")


async def _archive_is_reproducible(stand: Stand) -> None:
    commit = await stand.repository()
    first = await stand.forge.archive(stand.name, commit)
    _expect(first == await stand.forge.archive(stand.name, commit), "the same commit gives the same archive")
    with tarfile.open(fileobj=BytesIO(first)) as archive:
        members = {member.name: member for member in archive if member.isfile()}
        content = {name: archive.extractfile(member).read() for name, member in members.items()}  # type: ignore[union-attr] # files only
    _expect(content == FILES, "an archive has every file, byte for byte")


async def _limits_hold(stand: Stand) -> None:
    commit = await stand.repository()
    folder = await stand.workspace(commit)
    for number in range(6):
        (folder / f"n{number}").write_bytes(b"x" * 100)
    for limits in (
        CaptureLimits(files=5), CaptureLimits(file_bytes=99), CaptureLimits(total_bytes=500),
        CaptureLimits(patch_bytes=200),
    ):  # fmt: skip
        await _refuses("GL-FORGE-007", stand.capture(commit, folder, limits))
    _expect(len((await stand.capture(commit, folder, CaptureLimits(files=6))).files) == 6, "at the limit is within it")


async def _names_are_checked(stand: Stand) -> None:
    commit = await stand.repository()
    permit = stand.push_permit()
    await _refuses("GL-FORGE-001", stand.forge.create(permit, stand.name, FILES, frozenset(), TEXT))
    for path in ("../x", "/etc/x", "a/../b", ".git/config", "a/.GIT/x", "a//b", "", "a/./b", "x\0y"):
        await _refuses("GL-FORGE-010", stand.forge.create(permit, f"{stand.name}x", {path: b""}, frozenset(), TEXT))
    for name in ("", "..", "A", "a/b", "a" * 65, "-x", "a.git", "a\n"):
        await _refuses("GL-FORGE-011", stand.forge.head(name, "main"))
    for branch in ("", "-x", "a..b", "a b", "a.lock", "/a", "a/", "x\n", "@{-1}", "HEAD"):
        await _refuses("GL-FORGE-012", stand.forge.head(stand.name, branch))
    for commit_id in ("HEAD", "main", commit[:12], "--all", commit.upper() + "0"):
        await _refuses("GL-FORGE-013", stand.forge.tree_of(stand.name, commit_id))
    await _refuses("GL-FORGE-005", stand.forge.head(stand.name, "nothing"))
    await _refuses("GL-FORGE-025", stand.forge.tree_of(stand.name, "1" * 40))


async def _permits_are_asked(stand: Stand) -> None:
    commit = await stand.repository()
    wrong = stand.permits(Stage.CHECKOUT, stand.forge.name)
    elsewhere = stand.permits(Stage.PUSH, "elsewhere")
    forge, name = stand.forge, stand.name
    for permit in (wrong, elsewhere):
        await _refuses("GL-EGRESS-001", forge.push(permit, name, "topic", commit, b"", TEXT))
        await _refuses("GL-EGRESS-001", forge.merge(permit, name, "main", commit, commit, TEXT))
        await _refuses("GL-EGRESS-001", forge.create(permit, f"{name}x", FILES, frozenset(), TEXT))
        await _refuses("GL-EGRESS-001", forge.import_repository(permit, f"{name}y", "/nowhere", None))
    await _refuses("GL-EGRESS-001", forge.checkout(stand.push_permit(), name, commit, stand.folder / "no"))
    _expect(not (stand.folder / "no").exists(), "without a permit nothing is checked out")


async def _trap_stays_shut(trap: Trap, stand: Stand) -> None:
    commit = await stand.repository()
    folder = await stand.workspace(commit)
    bait = stand.folder / "bait"
    bait.mkdir()
    canary = stand.folder / "canary"
    _edit(folder)
    trap.plant(Ground(folder, bait, f"touch '{canary}'"))
    async with asyncio.timeout(30):
        if trap.refused:
            await _refuses("GL-FORGE-007", stand.capture(commit, folder))
        else:
            captured = await stand.capture(commit, folder)
            _expect("src/app.py" in captured.files, f"the change itself is taken, got {captured.files}")
            _expect(b"of the host" not in captured.patch, "nothing outside the workspace is read")
    _expect(not canary.exists(), f"the trap `{trap.name}` ran its command on the host")


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


CHECKS: tuple[Check, ...] = (
    Check("checkout_is_exact", _checkout_is_exact),
    Check("unchanged_is_empty", _unchanged_is_empty),
    Check("change_goes_round", _change_goes_round),
    Check("debris_stays_out", _debris_stays_out),
    Check("odd_names_survive", _odd_names_survive),
    Check("push_is_repeatable", _push_is_repeatable),
    Check("merge_is_exact", _merge_is_exact),
    Check("rebase_is_three_way", _rebase_is_three_way),
    Check("archive_is_reproducible", _archive_is_reproducible),
    Check("limits_hold", _limits_hold),
    Check("names_are_checked", _names_are_checked),
    Check("permits_are_asked", _permits_are_asked),
    *(Check(f"trap_{trap.name}", partial(_trap_stays_shut, trap)) for trap in TRAPS),
)
