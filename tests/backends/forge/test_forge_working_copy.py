"""A person's working copy is read back as one patch, whatever they did in it, and nothing in it is run."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from greylag.adapters.forge.port import Author as By
from greylag.adapters.forge.port import CaptureLimits, CommitText
from greylag.adapters.forge.working_copy import (
    WorkingCopy,
    about_working_copy,
    make_working_copy,
    read_working_copy,
)
from greylag.domain.errors import RequestRefused

LIMITS = CaptureLimits()
ENVIRONMENT = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null", "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "a@example.org",
}  # fmt: skip


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def copy(tmp_path: Path) -> tuple[Path, str]:
    """A repository with one commit, and that commit."""
    folder = tmp_path / "copy"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "calc.py").write_text("a = 1\n")
    (folder / "old.txt").write_text("old\n")
    (folder / ".gitignore").write_text("*.log\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder, git(folder, "rev-parse", "HEAD")


async def test_commits_changes_and_new_files_are_one_patch(copy: tuple[Path, str]) -> None:
    folder, base = copy
    (folder / "calc.py").write_text("a = 2\n")
    git(folder, "commit", "--quiet", "--all", "-m", "second")
    (folder / "old.txt").unlink()
    (folder / "new.bin").write_bytes(b"\0\r\n\xff")
    (folder / "noise.log").write_text("ignored")
    index = (folder / ".git" / "index").read_bytes()
    found = await read_working_copy(folder, base, LIMITS)
    assert found.files == ("calc.py", "new.bin", "old.txt")
    assert (folder / ".git" / "index").read_bytes() == index  # its own state is left alone
    git(folder, "stash", "--include-untracked", "--quiet")
    git(folder, "checkout", "--quiet", base)
    applied = subprocess.run(
        ["git", "apply", "--index", "-"], cwd=folder, env=ENVIRONMENT, input=found.patch, check=True, timeout=30
    )
    assert applied.returncode == 0
    assert git(folder, "write-tree") == found.tree


async def test_nothing_that_it_names_is_run(copy: tuple[Path, str], tmp_path: Path) -> None:
    folder, base = copy
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    program.chmod(0o755)
    for name in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "diff.external", "core.sshCommand"):
        git(folder, "config", name, str(program))
    (folder / ".gitattributes").write_text("* filter=evil\n")
    (folder / ".git" / "hooks").mkdir(exist_ok=True)
    for hook in ("pre-commit", "post-index-change", "reference-transaction"):
        (folder / ".git" / "hooks" / hook).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (folder / ".git" / "hooks" / hook).chmod(0o755)
    (folder / "calc.py").write_text("a = 3\n")
    found = await read_working_copy(folder, base, LIMITS)
    assert found.files == (".gitattributes", "calc.py")
    assert not ran.exists()
    assert any(".gitattributes" in warning for warning in found.warnings)


async def test_what_cannot_be_a_change_is_refused(copy: tuple[Path, str]) -> None:
    folder, base = copy
    os.mkfifo(folder / "pipe")
    with pytest.raises(RequestRefused, match="GL-FORGE-007"):
        await read_working_copy(folder, base, LIMITS)
    (folder / "pipe").unlink()
    (folder / "calc.py").write_bytes(b"x\n" * 100_000)
    with pytest.raises(RequestRefused, match="GL-FORGE-007"):
        await read_working_copy(folder, base, CaptureLimits(patch_bytes=1000))


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b'{"task_id": 7}', b"\xff", b"[" * 100_000])
def test_a_folder_that_is_no_working_copy_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / ".git" / "greylag").mkdir(parents=True)
        (tmp_path / ".git" / "greylag" / "task.json").write_bytes(content)
    with pytest.raises(RequestRefused, match="GL-STEER-009"):
        about_working_copy(tmp_path)


def test_what_was_noted_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".git" / "greylag").mkdir(parents=True)
    (tmp_path / ".git" / "greylag" / "task.json").write_text(json.dumps({"task_id": "task_1"}))
    assert about_working_copy(tmp_path) == {"task_id": "task_1"}


@pytest.mark.parametrize("there", ["file", "full", "link"])
async def test_what_is_there_already_is_left_alone(tmp_path: Path, there: str) -> None:
    folder = tmp_path / "mine"
    match there:
        case "file":
            folder.write_text("x")
        case "full":
            folder.mkdir()
            (folder / "mine.txt").write_text("x")
        case "link":
            folder.symlink_to(tmp_path)
    with pytest.raises(RequestRefused, match="GL-STEER-008"):
        await make_working_copy(_wanted(), folder)


async def test_a_forge_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RequestRefused, match="GL-FORGE-002") as refused:
        await make_working_copy(_wanted(), tmp_path / "mine")
    assert "hush" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def _wanted() -> WorkingCopy:

    text = CommitText(By("greylag", "g@example.org"), "so far", datetime(2026, 1, 1, tzinfo=UTC))
    return WorkingCopy("http://ada:hush@127.0.0.1:9/git/murmur", "greylag/1", "b" * 40, b"", text, {})
