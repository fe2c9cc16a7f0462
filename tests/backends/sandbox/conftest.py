"""A sandbox and an adopted workspace for each test."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
from greylag.adapters.sandbox.port import Limits, SandboxSpec


@pytest.fixture
def sandbox(tmp_path):
    return BubblewrapSandbox(tmp_path / "state")


@pytest.fixture
def workspace(sandbox, tmp_path):
    folder = tmp_path / "workspace"
    folder.mkdir()
    sandbox.adopt(folder)
    yield folder
    sandbox.discard(folder)


@pytest.fixture
def spec_of(workspace):
    limits = Limits(memory_mb=512, processes=64, timeout_seconds=20)

    def make(*argv: str, **changes: object) -> SandboxSpec:
        changed = {name: changes.pop(name) for name in tuple(changes) if hasattr(limits, name)}
        return SandboxSpec(argv, workspace, limits=replace(limits, **changed), **changes)

    return make


@pytest.fixture(autouse=True)
async def nothing_left_open():
    """No descriptor, no folder of a gateway, no task outlives a test."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    for _ in range(50):
        if len(os.listdir("/proc/self/fd")) <= before + 1:
            return
        await asyncio.sleep(0.02)
    left = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    pytest.fail(f"{len(left)} descriptors open, {before} before: {left}")
