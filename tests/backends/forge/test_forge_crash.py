"""Killed between any two git commands: nothing half done is seen and the next call finishes the work."""

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from greylag.adapters.forge.backends.builtin import BuiltinForge
from greylag.adapters.forge.conformance import TEXT, Stand
from tests.support.permits import permit

# Forks a victim for every n; the victim kills itself at its nth git command. After each death everything is looked at.
_DRIVER = textwrap.dedent(
    """
    import asyncio, os, pathlib, signal, subprocess, sys
    from greylag.adapters.forge.git import Git
    from greylag.adapters.forge.backends.builtin import BuiltinForge
    from greylag.adapters.forge.conformance import FILES, TEXT
    from greylag.domain.stages import Stage
    from tests.support.permits import permit

    root, verb, commit = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    patch = (root / "patch").read_bytes()
    run = Git.run

    async def work():
        forge = BuiltinForge(root / "forge")
        push = permit(Stage.PUSH, "builtin")
        if verb == "import":
            await forge.import_repository(push, "new", str(root / "forge" / "service.git"), None)
        elif verb == "create":
            await forge.create(push, "new", FILES, frozenset(), TEXT)
        elif verb == "push":
            await forge.push(push, "service", "topic", commit, patch, TEXT)
        elif verb == "merge":
            await forge.merge(push, "service", "main", await forge.head("service", "ready"), commit, TEXT)
        else:
            await forge.checkout(permit(Stage.CHECKOUT, "s"), "service", commit, root / "out", patch)

    def victim(nth):
        count = 0
        async def dying(self, *arguments, **more):
            nonlocal count
            count += 1
            if count == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return await run(self, *arguments, **more)
        Git.run = dying
        asyncio.run(work())

    def look():
        for repository in (root / "forge").glob("*.git"):
            subprocess.run(["git", "-C", repository, "fsck", "--strict"], check=True)
        new, out = root / "forge" / "new.git", root / "out"
        assert not new.exists() or (new / "hooks/pre-receive").exists()
        assert not out.exists() or (out / ".git/index").exists()

    for nth in range(1, 40):
        child = os.fork()
        if child == 0:
            try:
                victim(nth)
                os._exit(0)
            finally:
                os._exit(1)
        status = os.waitpid(child, 0)[1]
        look()
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status) if nth > 2 else "there was nothing to be killed between")
        assert os.WTERMSIG(status) == signal.SIGKILL
    sys.exit("it never came to its end")
    """
)


@pytest.mark.parametrize("verb", ["import", "create", "push", "merge", "checkout"])
async def test_killed_anywhere(verb: str, tmp_path: Path) -> None:
    stand = Stand(BuiltinForge(tmp_path / "forge"), permit, tmp_path, "service")
    commit = await stand.repository()
    patch = (await stand.changed(commit, "one", lambda at: (at / "README.md").write_text("two\n"))).patch
    ready = await stand.push("ready", commit, patch)
    (tmp_path / "patch").write_bytes(patch)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", _DRIVER, str(tmp_path), verb, commit], capture_output=True, check=False,
        env={"PYTHONPATH": f"{Path('src').absolute()}:{Path().absolute()}", "PATH": "/usr/bin:/bin"}, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    await _is_whole(stand, verb, ready)


async def _is_whole(stand: Stand, verb: str, ready: str) -> None:
    if verb == "push":
        assert await stand.forge.head("service", "topic") == ready
    elif verb == "merge":
        assert await stand.forge.tree_of(
            "service", await stand.forge.head("service", "main")
        ) == await stand.forge.tree_of("service", ready)
    elif verb == "checkout":
        assert (stand.folder / "out/README.md").read_text() == "two\n"
        assert not (stand.folder / ".out.partial").exists()
    else:
        assert await stand.forge.head("new", "main")
    scratch = stand.folder / "forge/.scratch"
    assert [path.name for path in scratch.iterdir()] == ["lock"], "what the dead left is removed by the next use"


async def test_a_living_neighbour_keeps_its_scratch(tmp_path: Path) -> None:
    one, two = BuiltinForge(tmp_path / "forge"), BuiltinForge(tmp_path / "forge")
    async with one._scratch.open() as mine, two._scratch.open() as theirs:
        assert mine != theirs
        assert mine.is_dir()
        assert theirs.is_dir()
    assert os.listdir(tmp_path / "forge/.scratch") == ["lock"]


async def test_many_at_once_move_one_branch(tmp_path: Path) -> None:
    stand = Stand(BuiltinForge(tmp_path / "forge"), permit, tmp_path, "service")
    commit = await stand.repository()
    patch = (await stand.changed(commit, "one", lambda at: (at / "README.md").write_text("two\n"))).patch
    topic = await stand.push("topic", commit, patch)
    merges = [stand.forge.merge(stand.push_permit(), "service", "main", topic, commit, TEXT) for _ in range(4)]
    assert len(set(await asyncio.gather(*merges))) == 1
    pushes = await asyncio.gather(*(stand.push("topic", commit, patch) for _ in range(4)))
    assert set(pushes) == {topic}
