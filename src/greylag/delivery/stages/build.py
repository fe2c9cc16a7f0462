"""Build: the artifact of exactly the verified tree, stored by digest in the region's vault."""

from dataclasses import replace

from greylag.delivery.building import Artifact, BuildPlan, build_artifact
from greylag.delivery.cell import Cell
from greylag.delivery.checking import Candidate, clean_checkout
from greylag.delivery.steering.heartbeat import slot
from greylag.delivery.steering.stopping import unless_stopped, why_stopped
from greylag.domain import events as ev
from greylag.domain.errors import IntegrityError, RequestRefused
from greylag.domain.ids import BuildId, TaskId, derived_id
from greylag.domain.task import Change, Task


async def build(cell: Cell, task_id: TaskId) -> str:
    """Build the newest change and keep the artifact; answer ``built`` or ``failed`` (it can't be).

    Where a person's word ended it, answer why: ``stopped``, ``replaced`` or ``taken_over``.
    """
    task = await cell.task(task_id)
    change = task.change
    if change is None:
        raise IntegrityError("GL-STATE-003", f"{task_id} has nothing to build.", "report this with its event log.")
    if task.build is not None and task.build.change_id == change.change_id:
        return "built"
    try:
        artifact = await unless_stopped(cell, task_id, _make(cell, task, change))
    except RequestRefused as error:
        await cell.say(task, "error", f"The build failed: {error}", f"build-failed/{change.change_id}")
        return "failed"
    if artifact is None:
        return await why_stopped(cell, task_id)
    kept = await cell.keep(
        task, artifact.content, "build", key=f"build/{change.change_id}", media_type=artifact.media_type
    )
    build_id = BuildId(derived_id("bld", change.change_id, kept.digest))
    await cell.record(
        task_id, ev.BuildStored(build_id, change.change_id, artifact.name, kept), f"built/{change.change_id}"
    )
    return "built"


async def _make(cell: Cell, task: Task, change: Change) -> Artifact:
    repository = await cell.repository(task)
    patch = await cell.fetch(task, change.diff)
    folder = cell.workspaces / task.task_id / f"build-{change.change_id}"
    try:
        candidate = Candidate(change.base_commit, patch, change.tree)
        await clean_checkout(cell, task, candidate, folder, f"build/{change.change_id}")
        tools = await cell.toolbox(repository)
        limits = replace(cell.bounds.sandbox, timeout_seconds=cell.bounds.build_seconds)
        plan = BuildPlan(repository.name, repository.build, change.tree, int(task.received_at.timestamp()))
        async with slot(cell, "the build is made"):
            return await build_artifact(cell.sandbox, folder, plan, limits, tools.mounts, tools.env)
    finally:
        cell.sandbox.discard(folder)
