"""Importing other people's repositories: nothing of theirs runs, nothing odd comes in, every refusal says why."""

import asyncio
import os
import socket
import subprocess
from pathlib import Path

import pytest

from greylag.adapters.forge import sources
from greylag.adapters.forge.backends.builtin import BuiltinForge, default_branch_of
from greylag.adapters.forge.conformance import TEXT
from greylag.adapters.forge.layout import CACHES
from greylag.adapters.forge.port import CaptureLimits
from greylag.domain.errors import RequestRefused
from greylag.domain.stages import Stage
from tests.support.permits import permit


class Source:
    """A repository of somebody else, worked on with plain git."""

    def __init__(self, path: Path, *init: str) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", *init)

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        env = {
            "PATH": "/usr/bin:/bin", "HOME": str(self.path.parent), "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
            "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_NOSYSTEM": "1",
        }  # fmt: skip
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=env, input=stdin, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode(errors="replace").strip()

    def commit(self, name: str = "file", content: str = "one\n") -> str:
        (self.path / name).write_text(content)
        self.git("add", "-A")
        self.git("commit", "-qm", f"change {name}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def forge(tmp_path: Path) -> BuiltinForge:
    return BuiltinForge(tmp_path / "forge")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source")


async def _import(forge: BuiltinForge, source: object, name: str = "it", branch: str | None = None) -> str:
    return await forge.import_repository(permit(Stage.PUSH, "builtin"), name, str(source), branch)


async def _refused(code: str, forge: BuiltinForge, source: object, branch: str | None = None) -> str:
    with pytest.raises(RequestRefused) as refused:
        await _import(forge, source, branch=branch)
    assert refused.value.code == code, refused.value
    assert not (forge.root / "it.git").exists()
    return refused.value.message


async def test_branches_tags_and_history_come_in(forge: BuiltinForge, source: Source, tmp_path: Path) -> None:
    first = source.commit()
    source.git("tag", "-a", "v1", "-m", "one")
    source.git("branch", "feature/ü")
    source.git("branch", "greylag/stolen")
    source.git("pack-refs", "--all")
    second = source.commit("second")
    assert await _import(forge, source.path) == "main"
    assert await forge.head("it", "main") == second
    assert await forge.head("it", "feature/ü") == first
    with pytest.raises(RequestRefused, match="GL-FORGE-005"):
        await forge.head("it", "greylag/stolen")
    own = forge.root / "it.git"
    assert default_branch_of(own) == "main"
    assert subprocess.run(["git", "-C", own, "fsck", "--strict"], capture_output=True, check=False).returncode == 0
    assert not (own / "objects/info/alternates").exists()
    assert str(source.path) not in "".join(path.read_text() for path in (own / "config", own / "packed-refs"))


@pytest.mark.parametrize("spelling", ["{}", "file://{}", "{}/.git", "{}/../source"])
async def test_a_path_may_be_spelt_in_several_ways(spelling: str, forge: BuiltinForge, source: Source) -> None:
    source.commit()
    assert await _import(forge, spelling.format(source.path)) == "main"


async def test_a_booby_trapped_source_runs_nothing(forge: BuiltinForge, source: Source, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    script = tmp_path / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    script.chmod(0o755)
    (source.path / ".gitattributes").write_text("* filter=x diff=x\n")
    source.commit()
    (source.path / "file").touch()  # the index is stale now: status has to read the file
    for setting in (
        "core.fsmonitor", "core.hooksPath", "core.sshCommand", "core.alternateRefsCommand", "core.editor",
        "uploadpack.packObjectsHook",
        "filter.x.clean", "filter.x.smudge", "filter.x.process", "diff.x.textconv", "diff.external", "core.pager",
        "core.askPass", "core.gitProxy", "gpg.program", "remote.origin.uploadpack",
    ):  # fmt: skip
        source.git("config", setting, str(script))
    config = source.path / ".git/config"
    with config.open("a") as file:
        file.write(
            f'[extensions]\n\tpartialClone = origin\n[remote "origin"]\n\turl = ext::{script}\n\tpromisor = true\n'
            f'[protocol "ext"]\n\tallow = always\n[include]\n\tpath = {script}\n'
        )
    (source.path / ".git/hooks").mkdir(exist_ok=True)
    for hook in ("post-index-change", "pre-auto-gc", "reference-transaction", "post-checkout"):
        os.link(script, source.path / ".git/hooks" / hook)
    assert await _import(forge, source.path) == "main"
    assert not canary.exists()
    # A lazily fetched object that isn't there must not be fetched by what the source names.
    blob = source.path / ".git/objects" / "56" / "26abf0f72e58d7a153368ba57db4c673c0e171"
    assert blob.exists()
    blob.unlink()
    with pytest.raises(RequestRefused, match="GL-FORGE-002"):
        await _import(forge, source.path, "again")
    assert not canary.exists()


async def test_a_dirty_path_is_refused_by_name(forge: BuiltinForge, source: Source) -> None:
    for number in range(7):
        source.commit(f"f{number}")
    for number in range(7):
        (source.path / f"f{number}").write_text("changed")
    (source.path / "new\nname").write_text("x")
    message = await _refused("GL-FORGE-003", forge, source.path)
    assert "f0, f1, f2, f3, f4 and 3 more" in message
    source.git("checkout", "-q", ".")
    assert r"new\nname" in await _refused("GL-FORGE-003", forge, source.path)
    (source.path / "new\nname").unlink()
    (source.path / "f0").unlink()
    source.git("add", "-A")
    assert "f0" in await _refused("GL-FORGE-003", forge, source.path)


async def test_debris_does_not_make_a_path_dirty(forge: BuiltinForge, source: Source) -> None:
    source.commit(".gitignore", "out/\n")
    (source.path / ".git/info/exclude").write_text("mine\n")
    for name in ("__pycache__/a.pyc", "out/x", "node_modules/y", "mine"):
        (source.path / name).parent.mkdir(exist_ok=True)
        (source.path / name).write_text("x")
    assert "__pycache__/" in CACHES
    assert await _import(forge, source.path) == "main"


async def test_submodules_are_not_fetched_and_lfs_pointers_stay(
    forge: BuiltinForge, source: Source, tmp_path: Path
) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    (source.path / ".gitattributes").write_text("*.psd filter=lfs diff=lfs merge=lfs -text\n")
    (source.path / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = https://nowhere.invalid/x\n')
    source.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x")
    (source.path / "x").mkdir()
    commit = source.commit("a.psd", pointer)
    assert await _import(forge, source.path) == "main"
    await forge.checkout(permit(Stage.CHECKOUT, "s"), "it", commit, tmp_path / "ws")
    assert (tmp_path / "ws/a.psd").read_text() == pointer
    assert list((tmp_path / "ws/x").iterdir()) == []


async def test_which_branch_is_the_default(forge: BuiltinForge, source: Source) -> None:
    await _refused("GL-FORGE-004", forge, source.path)
    commit = source.commit()
    source.git("branch", "other")
    assert "no branch 'nope'" in await _refused("GL-FORGE-005", forge, source.path, "nope")
    assert await _import(forge, source.path, "a", "other") == "other"
    source.git("checkout", "-q", "--detach", commit)
    assert await _import(forge, source.path, "b") == "main"
    source.git("branch", "-m", "main", "trunk")
    assert "`other`, `trunk`" in await _refused("GL-FORGE-005", forge, source.path)


async def test_shapes_of_repositories(forge: BuiltinForge, source: Source, tmp_path: Path) -> None:
    source.commit()
    tip = source.commit("second")
    source.git("worktree", "add", "-q", "-b", "linked", str(tmp_path / "linked"))
    source.git("clone", "-q", "--bare", str(source.path), str(tmp_path / "bare"))
    source.git("clone", "-q", "--depth", "1", f"file://{source.path}", str(tmp_path / "shallow"))
    source.git("clone", "-q", "--shared", str(source.path), str(tmp_path / "shared"))
    for name, branch in (("linked", "linked"), ("bare", "main"), ("shallow", "main"), ("shared", "main")):
        assert await _import(forge, tmp_path / name, name) == branch
        assert await forge.head(name, branch) == tip
        await forge.checkout(permit(Stage.CHECKOUT, "s"), name, tip, tmp_path / "ws" / name)
        log = subprocess.run(["git", "log", "--oneline"], cwd=tmp_path / "ws" / name, capture_output=True, check=True)
        assert len(log.stdout.splitlines()) == (1 if name == "shallow" else 2)


async def test_sha256_repositories(forge: BuiltinForge, tmp_path: Path) -> None:
    source = Source(tmp_path / "new", "--object-format=sha256")
    base = source.commit()
    assert len(base) == 64
    assert await _import(forge, source.path) == "main"
    await forge.checkout(permit(Stage.CHECKOUT, "s"), "it", base, tmp_path / "ws")
    (tmp_path / "ws/file").unlink()
    (tmp_path / "ws/other").write_text("x")
    captured = await forge.capture("it", base, tmp_path / "ws", CaptureLimits())
    pushed = await forge.push(permit(Stage.PUSH, "builtin"), "it", "topic", base, captured.patch, TEXT)
    assert await forge.tree_of("it", pushed) == captured.tree


async def test_what_is_no_repository(forge: BuiltinForge, source: Source, tmp_path: Path) -> None:
    source.commit()
    await _refused("GL-FORGE-002", forge, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "no `.git` in it" in await _refused("GL-FORGE-002", forge, tmp_path / "empty")
    (tmp_path / "file").write_text("gitdir: ../source/.git\n")
    (tmp_path / "empty/.git").write_text(f"gitdir: {source.path}/.git\n")
    assert "doesn't name it back" in await _refused("GL-FORGE-002", forge, tmp_path / "empty")
    (tmp_path / "empty/.git").unlink()
    (tmp_path / "empty/.git").symlink_to(source.path / ".git")
    assert "symbolic link" in await _refused("GL-FORGE-002", forge, tmp_path / "empty")
    head = source.path / ".git/HEAD"
    head.unlink()
    os.mkfifo(head)  # must not hang
    await asyncio.wait_for(_refused("GL-FORGE-002", forge, source.path), 10)


async def test_broken_and_malicious_objects_are_refused(forge: BuiltinForge, source: Source) -> None:
    commit = source.commit()
    blob = source.git("rev-parse", "HEAD:file")
    tree = source.git("mktree", stdin=b"100644 blob " + blob.encode() + b"\tx\n")
    raw = b"40000 .git\0" + bytes.fromhex(tree)
    evil = source.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)
    bad = source.git("commit-tree", evil, "-p", commit, "-m", "x")
    source.git("branch", "evil", bad)
    assert "hasDotgit" in await _refused("GL-FORGE-002", forge, source.path)
    source.git("branch", "-D", "evil")
    stored = source.path / ".git/objects" / blob[:2] / blob[2:]
    stored.chmod(0o644)
    stored.write_bytes(b"not what it says")
    await _refused("GL-FORGE-002", forge, source.path)


@pytest.mark.parametrize(
    "source",
    [
        "ext::sh -c touch% /tmp/x", "ftp://h/x", "file://host/x", "https://", "https:///x", "ssh://-oProxyCommand=x/y",
        "fd::17", "https://h/x\ny", "https://h/x y", "git+ssh://h/x", "javascript://x/y", "https://h/x#f",
    ],
)  # fmt: skip
async def test_urls_of_other_kinds_are_refused(source: str, forge: BuiltinForge) -> None:
    await _refused("GL-FORGE-015", forge, source)


async def test_an_address_that_does_not_answer_keeps_the_password_to_itself(forge: BuiltinForge) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    message = await _refused("GL-FORGE-002", forge, f"http://ann:geheim@127.0.0.1:{port}/x.git")
    assert "geheim" not in message
    assert "ann" not in message


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("git@host.example:org/repo.git", "ssh://git@host.example/org/repo.git"),
        ("https://host.example/x", "https://host.example/x"), ("relative/path", None), ("/absolute:odd", None),
    ],
)  # fmt: skip
def test_how_sources_are_understood(given: str, taken: str | None) -> None:
    assert sources.parse_url(given) == taken


async def test_too_big_is_ended(source: Source, tmp_path: Path) -> None:
    source.commit("big", os.urandom(300_000).hex())
    forge = BuiltinForge(tmp_path / "forge", import_bounds=sources.ImportBounds(size_bytes=100_000))
    assert "more than 100000 bytes" in await _refused("GL-FORGE-002", forge, source.path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give files to another user")
async def test_a_repository_of_another_user_can_be_imported(forge: BuiltinForge, source: Source) -> None:
    source.commit()
    for here, folders, files in os.walk(source.path):
        for name in (*folders, *files):
            os.chown(Path(here, name), 4321, 4321)
    os.chown(source.path, 4321, 4321)
    assert await _import(forge, source.path) == "main"
