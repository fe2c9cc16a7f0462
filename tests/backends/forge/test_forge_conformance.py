"""The conformance suite over the built-in forge; and proof that its traps would spring for a careless reader."""

import subprocess
from pathlib import Path

import pytest

from greylag.adapters.forge.backends.builtin import BuiltinForge
from greylag.adapters.forge.conformance import CHECKS, Check, Stand, check_forge
from greylag.adapters.forge.traps import TRAPS, Ground, Trap
from greylag.domain.stages import Stage
from tests.support.permits import permit


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_builtin_forge_keeps_its_promises(check: Check, tmp_path: Path) -> None:
    forge = BuiltinForge(tmp_path / "forge")
    await check.run(Stand(forge, permit, tmp_path, "service"))
    assert [path.name for path in (tmp_path / "forge" / ".scratch").iterdir()] == ["lock"], "half-made things stayed"


async def test_a_broken_promise_is_an_outcome_not_an_exception(tmp_path: Path) -> None:
    class Forgetful(BuiltinForge):
        async def diff(self, name: str, base: str, commit: str) -> bytes:
            return b""

    held = await check_forge(Forgetful(tmp_path / "forge"), permit, tmp_path, CHECKS[:3])
    assert [outcome.held for outcome in held] == [True, True, False]
    assert held[2].detail == "CheckFailed: broken: the diff is the patch"


# What a person, an editor or a careless tool would run in a folder. Some traps need a word of their own.
_CARELESS = """
git status; git diff; git add -A; git diff --cached; git -c user.name=a -c user.email=a@b commit -m x; git commit;
git log -p -2 --show-signature; git checkout -b other; git checkout -f HEAD~0; git fetch; git fetch /nowhere;
git submodule update --init; git merge rival; git gc --auto; git archive HEAD; git rebase -i HEAD; git stash
"""
_NEEDS_MORE = {
    "pager",  # only runs on a terminal
    "askpass",  # only where a server asks for a password
    "alternates",  # only for a repository that borrows from this one
    "merge_driver",  # only in a merge of both sides
    "core_worktree", "objects_symlink", "replace_refs", "git_destroyed", "git_broken",  # lie or reach, run nothing
    "escaping_links", "nested_spelt_otherwise", "hard_link", "fifo", "socket",
}  # fmt: skip


@pytest.mark.parametrize("trap", [trap for trap in TRAPS if trap.name not in _NEEDS_MORE], ids=lambda trap: trap.name)
async def test_the_trap_springs_for_plain_git(trap: Trap, tmp_path: Path) -> None:
    stand = Stand(BuiltinForge(tmp_path / "forge"), permit, tmp_path, "service")
    folder = await stand.workspace(await stand.repository())
    (folder / "src/app.py").write_text("changed\n")
    (tmp_path / "bait").mkdir()
    trap.plant(Ground(folder, tmp_path / "bait", f"touch '{tmp_path}/canary'"))
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GIT_SSH_VARIANT": "simple"}
    subprocess.run(
        ["/bin/sh", "-c", _CARELESS], cwd=folder, env=env, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    assert (tmp_path / "canary").exists(), "this trap proves nothing: plain git doesn't spring it"


async def test_a_permit_for_checkout_is_no_permit_to_push(tmp_path: Path) -> None:
    stand = Stand(BuiltinForge(tmp_path / "forge"), permit, tmp_path, "service")
    with pytest.raises(Exception, match="GL-EGRESS-001"):
        await stand.forge.create(permit(Stage.DEPLOY, "builtin"), "x", {}, frozenset(), None)  # type: ignore[arg-type]
