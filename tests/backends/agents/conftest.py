"""Real parts for the agents' tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_stage import Stage

from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage of its own for each test."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    state = Path(tempfile.mkdtemp(prefix="gl-"))  # short: a UNIX socket's path has 107 bytes at most
    sandbox = BubblewrapSandbox(state / "sandbox")
    yield Stage(sandbox, workspace, state)
    sandbox.discard(workspace)
    shutil.rmtree(state)
