"""Traps that a hostile workspace can plant for whoever reads it: each would run a command, hang, or reach elsewhere.

They are planted with plain file operations, as a program in a sandbox would. Used by the conformance suite and nowhere
else; planting needs a workspace made by `Forge.checkout` and a ``bait`` folder beside it for what is pointed at.
"""

import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a trap is planted: the workspace, a folder outside it, and the shell command a sprung trap runs."""

    workspace: Path
    bait: Path
    command: str

    @property
    def git(self) -> Path:
        """The workspace's own git folder."""
        return self.workspace / ".git"

    def configure(self, *lines: str) -> None:
        """Append ``lines`` to the workspace's git configuration."""
        with (self.git / "config").open("a") as file:
            file.write("\n" + "\n".join(lines) + "\n")

    def script(self, path: Path) -> Path:
        """Make an executable at ``path`` that runs the command."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{self.command}\n")
        path.chmod(0o755)
        return path

    def attribute(self, line: str) -> None:
        """Give every file an attribute, by the work tree and by the git folder."""
        (self.workspace / ".gitattributes").write_text(f"{line}\n")
        (self.git / "info").mkdir(exist_ok=True)
        (self.git / "info" / "attributes").write_text(f"{line}\n")

    def copied(self, at: Path) -> Path:
        """Copy the workspace's git folder to ``at`` with an fsmonitor that runs the command."""
        shutil.copytree(self.git, at, symlinks=True)
        with (at / "config").open("a") as file:
            file.write(f'\n[core]\n\tfsmonitor = "{self.script(self.bait / "fsmonitor.sh")}"\n')
        return at


@dataclass(frozen=True, slots=True)
class Trap:
    """One trap. ``refused``: the capture must refuse the workspace; else it must take it as plain files."""

    name: str
    plant: Callable[[Ground], None]
    refused: bool = False


def _hooks(ground: Ground) -> None:
    for hook in (
        "pre-commit", "post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc", "post-commit",
        "prepare-commit-msg", "fsmonitor-watchman", "pre-push", "post-merge", "pre-rebase", "applypatch-msg",
    ):  # fmt: skip
        ground.script(ground.git / "hooks" / hook)


def _hooks_path(ground: Ground) -> None:
    ground.script(ground.workspace / "tools" / "post-index-change")
    ground.configure("[core]", f'\thooksPath = "{ground.workspace}/tools"')


def _config(*lines: str) -> Callable[[Ground], None]:
    """Return a trap of configuration ``lines`` in which ``{}`` becomes a script that runs the command."""

    def plant(ground: Ground) -> None:
        script = ground.script(ground.git / "trap.sh")
        ground.configure(*(line.replace("{}", str(script)) for line in lines))

    return plant


def _attributed(attribute: str, *lines: str) -> Callable[[Ground], None]:
    def plant(ground: Ground) -> None:
        ground.attribute(attribute)
        _config(*lines)(ground)

    return plant


def _include(ground: Ground) -> None:
    script = ground.script(ground.git / "trap.sh")
    (ground.git / "more").write_text(f'[core]\n\tfsmonitor = "{script}"\n')
    ground.configure("[include]", "\tpath = more", f'[includeIf "gitdir:{ground.workspace}/"]', "\tpath = more")


def _worktree_config(ground: Ground) -> None:
    script = ground.script(ground.git / "trap.sh")
    (ground.git / "config.worktree").write_text(f'[core]\n\tfsmonitor = "{script}"\n')
    ground.configure("[extensions]", "\tworktreeConfig = true")


def _core_worktree(ground: Ground) -> None:
    (ground.bait / "SECRET").write_text("of the host\n")
    ground.configure("[core]", f'\tworktree = "{ground.bait}"')


def _git_file(ground: Ground) -> None:
    ground.copied(ground.bait / "other.git")
    shutil.rmtree(ground.git)
    ground.git.write_text(f"gitdir: {ground.bait}/other.git\n")


def _git_link(ground: Ground) -> None:
    ground.copied(ground.bait / "other.git")
    shutil.rmtree(ground.git)
    ground.git.symlink_to(ground.bait / "other.git")


def _nested(ground: Ground) -> None:
    (ground.workspace / "vendor").mkdir()
    ground.copied(ground.workspace / "vendor" / ".git")


def _nested_file(ground: Ground) -> None:
    (ground.workspace / "vendor").mkdir()
    ground.copied(ground.bait / "other.git")
    (ground.workspace / "vendor" / ".git").write_text(f"gitdir: {ground.bait}/other.git\n")


def _nested_spelt(ground: Ground) -> None:
    ground.copied(ground.workspace / ".GIT")


def _submodule(ground: Ground) -> None:
    script = ground.script(ground.bait / "update.sh")
    (ground.workspace / ".gitmodules").write_text('[submodule "x"]\n\tpath = sub\n\turl = ./sub\n')
    ground.configure('[submodule "x"]', "\turl = ./sub", "\tactive = true", f"\tupdate = !{script}")
    (ground.workspace / "sub").mkdir()
    ground.copied(ground.workspace / "sub" / ".git")


def _alternates(ground: Ground) -> None:
    script = ground.script(ground.bait / "refs.sh")
    (ground.bait / "objects").mkdir()
    (ground.git / "objects" / "info" / "alternates").write_text(f"{ground.bait}/objects\n")
    ground.configure("[core]", f'\talternateRefsCommand = "{script}"')


def _objects_link(ground: Ground) -> None:
    shutil.move(ground.git / "objects", ground.bait / "objects")
    (ground.git / "objects").symlink_to(ground.bait / "objects")


def _replace(ground: Ground) -> None:
    head = (ground.git / "refs" / "heads" / "work").read_text()
    (ground.git / "refs" / "replace").mkdir()
    (ground.git / "refs" / "replace" / head.strip()).write_text("0" * 39 + "1\n")


def _destroyed(ground: Ground) -> None:
    shutil.rmtree(ground.git)


def _broken(ground: Ground) -> None:
    (ground.git / "HEAD").write_bytes(b"\xff" * 100)
    (ground.git / "index").write_bytes(b"DIRC" + b"\xff" * 4096)
    (ground.git / "config").write_text("[core\n")


def _escaping_link(ground: Ground) -> None:
    (ground.bait / "SECRET").write_text("of the host\n")
    (ground.workspace / "link").symlink_to(ground.bait / "SECRET")
    (ground.workspace / "linked_folder").symlink_to(ground.bait)


def _hard_link(ground: Ground) -> None:
    (ground.bait / "SECRET").write_text("of the host\n")
    os.link(ground.bait / "SECRET", ground.workspace / "twin")


def _fifo(ground: Ground) -> None:
    os.mkfifo(ground.workspace / "pipe")


def _socket(ground: Ground) -> None:
    # A socket's path may have 107 bytes at most, so it is bound in the bait's folder by a short name and moved.
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/cwd/{os.path.relpath(ground.bait / 's')}")
    (ground.bait / "s").rename(ground.workspace / "socket")


def _ssh(*lines: str) -> Callable[[Ground], None]:
    return _config(
        '[remote "origin"]', "\turl = ssh://nowhere.invalid/x", "\tfetch = +refs/heads/*:refs/heads/*", *lines
    )


TRAPS: tuple[Trap, ...] = (
    Trap("hooks", _hooks),
    Trap("hooks_path", _hooks_path),
    Trap("fsmonitor", _config("[core]", '\tfsmonitor = "{}"')),
    Trap("filter_clean", _attributed("* filter=x", '[filter "x"]', '\tclean = "{}"', "\trequired = true")),
    Trap("filter_smudge", _attributed("* filter=x", '[filter "x"]', '\tsmudge = "{}"')),
    Trap("filter_process", _attributed("* filter=x", '[filter "x"]', '\tprocess = "{}"')),
    Trap("external_diff", _config("[diff]", '\texternal = "{}"')),
    Trap("diff_driver", _attributed("* diff=x", '[diff "x"]', '\tcommand = "{}"')),
    Trap("textconv", _attributed("* diff=x", '[diff "x"]', '\ttextconv = "{}"')),
    Trap("merge_driver", _attributed("* merge=x", '[merge "x"]', '\tdriver = "{}"')),
    Trap("pager", _config("[core]", '\tpager = "{}"', "[pager]", '\tstatus = "{}"', '\tdiff = "{}"', '\tlog = "{}"')),
    Trap("editor", _config("[core]", '\teditor = "{}"', "[sequence]", '\teditor = "{}"')),
    Trap("ssh_command", _ssh("[core]", '\tsshCommand = "{}"')),
    Trap("askpass", _config("[core]", '\taskPass = "{}"', "[credential]", '\thelper = "!{}"')),
    Trap("remote_helper", _config('[remote "origin"]', "\turl = ext::{}", '[protocol "ext"]', "\tallow = always")),
    Trap("remote_upload_pack", _config('[remote "origin"]', "\turl = /", '\tuploadpack = "{}"')),
    Trap(
        "signing", _config("[commit]", "\tgpgSign = true", "[gpg]", '\tprogram = "{}"', "[log]", "\tshowSignature = 1")
    ),
    Trap("include", _include),
    Trap("worktree_config", _worktree_config),
    Trap("core_worktree", _core_worktree),
    Trap("git_file", _git_file),
    Trap("git_symlink", _git_link),
    Trap("alternates", _alternates),
    Trap("objects_symlink", _objects_link),
    Trap("replace_refs", _replace),
    Trap("git_destroyed", _destroyed),
    Trap("git_broken", _broken),
    Trap("escaping_links", _escaping_link),
    Trap("nested_repository", _nested, refused=True),
    Trap("nested_git_file", _nested_file, refused=True),
    Trap("nested_spelt_otherwise", _nested_spelt, refused=True),
    Trap("submodule", _submodule, refused=True),
    Trap("hard_link", _hard_link, refused=True),
    Trap("fifo", _fifo, refused=True),
    Trap("socket", _socket, refused=True),
)
