"""A checkout given to a program in the real sandbox: git works there, and whatever it did, only files come back."""

from pathlib import Path

import pytest

from greylag.adapters.forge.backends.builtin import BuiltinForge
from greylag.adapters.forge.conformance import Stand
from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
from greylag.adapters.sandbox.port import SandboxSpec
from tests.support.permits import permit

_AGENT = """
set -e
test -z "$(git status --porcelain -- src README.md run.sh blob.bin)"
git log --oneline | grep -q change
test -z "$(git remote)"
printf '#!/bin/sh\\ntouch /workspace/ran\\n' > .git/hooks-trap && chmod +x .git/hooks-trap
git config core.fsmonitor /workspace/.git/hooks-trap
echo 'x = 1' > src/new.py
git add -A && git commit -qm 'by the agent' && git checkout -qb elsewhere && git rm -q README.md && git commit -qm two
mkdir -p __pycache__ && echo debris > __pycache__/x.pyc
chmod 700 src && chmod 600 src/app.py && umask 077 && echo y > private
"""


async def test_an_agent_that_commits_and_traps(tmp_path: Path) -> None:
    sandbox = BubblewrapSandbox(tmp_path / "sandbox")
    probe = await sandbox.probe()
    if not probe.ready:
        pytest.skip(probe.detail)
    stand = Stand(BuiltinForge(tmp_path / "forge"), permit, tmp_path, "service")
    commit = await stand.repository()
    folder = await stand.workspace(commit)
    sandbox.adopt(folder)
    ended = await sandbox.run(SandboxSpec(("/bin/sh", "-c", _AGENT), folder))
    assert ended.exit_code == 0, ended
    (folder / "ran").unlink(missing_ok=True)
    captured = await stand.capture(commit, folder)
    assert captured.files == ("README.md", "private", "src/new.py")
    assert not (folder / "ran").exists(), "the host ran the agent's fsmonitor"
    pushed = await stand.push("topic", commit, captured.patch)
    assert await stand.forge.tree_of("service", pushed) == captured.tree
    sandbox.discard(folder)
    assert not folder.exists()
