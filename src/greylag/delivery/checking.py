"""Checking a change the only way that counts: the platform's verifiers on a clean checkout made by the platform."""

from dataclasses import dataclass, replace
from pathlib import Path

from greylag.delivery.cell import PLATFORM, Cell, level_of
from greylag.delivery.verifying import Verifier, VerifyReport, detect, read_listing, union, verify
from greylag.domain.errors import IntegrityError
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target


@dataclass(frozen=True, slots=True)
class Candidate:
    """A change to look at: ``patch`` on ``base_commit``, and the ``tree`` it must result in (empty: whatever it is)."""

    base_commit: str
    patch: bytes
    tree: str = ""


async def clean_checkout(cell: Cell, task: Task, candidate: Candidate, folder: Path, key: str) -> None:
    """Make ``folder`` a fresh checkout of ``candidate``, owned by the sandbox's identity (stage ``checkout``).

    Raises IntegrityError ``GL-CHECK-001`` where the result is not the tree that was captured.
    """
    name = task.repository or ""
    asset = Asset("repository", level_of(task), cell.region, surfaces=("file_names", "branch"))
    hop = Hop(Stage.CHECKOUT, PLATFORM, "checkout", asset, Target("sandbox", cell.sandbox.name), key, task.task_id)
    permit = await cell.admit(hop)
    cell.sandbox.discard(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    await cell.forge.checkout(permit, name, candidate.base_commit, folder, candidate.patch)
    if candidate.tree:
        seen = await cell.forge.capture(name, candidate.base_commit, folder, cell.bounds.capture)
        if seen.tree != candidate.tree:
            raise IntegrityError(
                "GL-CHECK-001",
                f"a clean checkout gave tree `{seen.tree}`, captured was `{candidate.tree}`.",
                "ask again; if it comes back, report it with `greylag task show TASK --json`.",
            )
    cell.sandbox.adopt(folder)


async def check(cell: Cell, task: Task, repository: Repository, candidate: Candidate, key: str) -> VerifyReport:
    """Run the repository's verifiers on a clean checkout of ``candidate`` and return what the host saw.

    Takes no sandbox slot: the caller holds one.
    """
    folder = cell.workspaces / task.task_id / f"check-{key.replace('/', '-')}"
    try:
        before = await _before(cell, task, repository, candidate, folder, key)
        await clean_checkout(cell, task, candidate, folder, f"check/{key}")
        tools = await cell.toolbox(repository)
        verifiers = union(before, detect(read_listing(folder), repository.verify))
        limits = replace(cell.bounds.sandbox, timeout_seconds=cell.bounds.verify_seconds)
        return await verify(cell.sandbox, folder, verifiers, limits, tools.mounts, tools.env, repository.name)
    finally:
        cell.sandbox.discard(folder)


async def _before(
    cell: Cell, task: Task, repository: Repository, candidate: Candidate, folder: Path, key: str
) -> tuple[Verifier, ...]:
    """Return the verifiers that the repository called for without the change: a change can't switch one off."""
    if repository.verify or not candidate.patch:
        return ()
    await clean_checkout(cell, task, Candidate(candidate.base_commit, b""), folder, f"base/{key}")
    return detect(read_listing(folder))
