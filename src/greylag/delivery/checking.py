"""Checking a change the only way that counts: the platform's verifiers on a clean checkout made by the platform."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from greylag.delivery.cell import PLATFORM, Cell, label_of
from greylag.delivery.verifying import Verifier, VerifyReport, detect, influential, read_listing, union, verify
from greylag.domain.errors import IntegrityError
from greylag.domain.labels import Label
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target


@dataclass(frozen=True, slots=True)
class Candidate:
    """A change: ``patch`` of ``files`` on ``base_commit``, and the ``tree`` it must result in (empty: any)."""

    base_commit: str
    patch: bytes
    tree: str = ""
    files: tuple[str, ...] = ()


async def clean_checkout(cell: Cell, task: Task, candidate: Candidate, folder: Path, key: str) -> None:
    """Make ``folder`` a fresh checkout of ``candidate``, owned by the sandbox's identity (stage ``checkout``).

    Raises IntegrityError ``GL-CHECK-001`` where the result is not the tree that was captured.
    """
    name = task.repository or ""
    task = await cell.relabel(task, await _files_label(cell, name, candidate))
    asset = Asset("repository", label_of(task), cell.region, surfaces=("file_names", "branch"))
    hop = Hop(
        Stage.CHECKOUT, PLATFORM, "checkout", asset, Target("sandbox", cell.sandbox.name), key, task.task_id, name
    )
    permit = await cell.admit(hop)
    cell.sandbox.discard(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    await cell.forge.checkout(permit, name, candidate.base_commit, folder, candidate.patch)
    await cell.seen(permit, "checked_out")
    if candidate.tree:
        seen = await cell.forge.capture(name, candidate.base_commit, folder, cell.bounds.capture)
        if seen.tree != candidate.tree:
            raise IntegrityError(
                "GL-CHECK-001",
                f"a clean checkout gave tree `{seen.tree}`, captured was `{candidate.tree}`.",
                "ask again; if it comes back, report it with `greylag task show TASK --json`.",
            )
    cell.sandbox.adopt(folder)


async def _files_label(cell: Cell, name: str, candidate: Candidate) -> Label:
    """Return the label of what a checkout of ``candidate`` would hold, by the operator's rules for paths."""
    repository = await asyncio.to_thread(cell.directory.repository, name)
    paths: Sequence[str] = ()
    if repository.path_rules:
        paths = (*await cell.forge.paths(name, candidate.base_commit), *candidate.files)
    return cell.labeller.of_repository(repository, paths)


async def check(cell: Cell, task: Task, repository: Repository, candidate: Candidate, key: str) -> VerifyReport:
    """Run the repository's verifiers on a clean checkout of ``candidate`` and return what the host saw.

    What verifies the base verifies the change too: a change can't switch a verifier off by its own files. Takes no
    sandbox slot: the caller holds one.
    """
    folder = cell.workspaces / task.task_id / f"check-{key.replace('/', '-')}"
    try:
        await clean_checkout(cell, task, candidate, folder, f"check/{key}")
        verifiers = await asyncio.to_thread(_verifiers, repository, folder)
        if not repository.verify and await asyncio.to_thread(_may_switch_off, candidate, folder):
            await clean_checkout(cell, task, Candidate(candidate.base_commit, b""), folder, f"check/{key}/base")
            verifiers = union(await asyncio.to_thread(_verifiers, repository, folder), verifiers)
            await clean_checkout(cell, task, candidate, folder, f"check/{key}/again")
        tools = await cell.toolbox(repository)
        limits = replace(cell.bounds.sandbox, timeout_seconds=cell.bounds.verify_seconds)
        return await verify(cell.sandbox, folder, verifiers, limits, tools.mounts, tools.env, repository.name)
    finally:
        cell.sandbox.discard(folder)


def _may_switch_off(candidate: Candidate, folder: Path) -> bool:
    """Say whether the change touches what verifiers are found by: their settings, or files that it takes away."""
    gone = (name for name in candidate.files if not os.path.lexists(folder / name))
    return bool(influential(candidate.files)) or next(gone, None) is not None


def _verifiers(repository: Repository, folder: Path) -> tuple[Verifier, ...]:
    return detect(read_listing(folder), repository.verify)
