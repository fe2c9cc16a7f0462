"""Release: the approved digest through the environments in order, each with a health check and a way back."""

from greylag.adapters.deploy.port import Health
from greylag.adapters.store.port import Deployment
from greylag.delivery.cell import PLATFORM, Cell, label_of
from greylag.delivery.releases import restore
from greylag.domain import events as ev
from greylag.domain.errors import BackendError, IntegrityError, RequestRefused
from greylag.domain.ids import ReleaseId, TaskId, derived_id
from greylag.domain.repository import Environment, Repository
from greylag.domain.stages import Stage
from greylag.domain.states import ReleaseStatus, TaskStatus
from greylag.domain.task import Build, Release, Task
from greylag.egress.hop import Hop
from greylag.egress.permit import Permit
from greylag.governance.question import Asset, Target


async def release(cell: Cell, task_id: TaskId, environment_name: str) -> str:
    """Bring the build into one environment; answer ``released`` or ``rolled_back``."""
    task = await cell.task(task_id)
    made = task.build
    if made is None or task.status not in (TaskStatus.MERGED, TaskStatus.RELEASING):
        raise IntegrityError("GL-STATE-006", f"{task_id} has nothing to release.", "report this with its event log.")
    repository = await cell.repository(task)
    environment = next(each for each in repository.environments if each.name == environment_name)
    release_id = ReleaseId(derived_id("rel", task_id, environment.name, made.artifact.digest))
    known = next((each for each in task.releases if each.release_id == release_id), None)
    if known is not None and known.status is not ReleaseStatus.STARTED:
        return str(known.status)
    permit = await _admit(cell, task, repository, environment, made)
    previous = _before(cell, repository, environment, made, known)
    if known is None:
        digest = made.artifact.digest
        started = ev.ReleaseStarted(
            release_id, environment.name, digest, previous.digest if previous else None, permit.decision_id
        )
        await cell.record(task_id, started, f"release/{release_id}")
    return await _bring(cell, task, repository, environment, release_id, permit, previous)


def _before(
    cell: Cell, repository: Repository, environment: Environment, made: Build, known: Release | None
) -> Deployment | None:
    if known is None:
        return cell.deployments.live(repository.name, environment.name)
    history = cell.deployments.deployments(repository.name, environment.name)
    return next((each for each in history if each.digest == known.previous), None)


async def _admit(cell: Cell, task: Task, repository: Repository, environment: Environment, made: Build) -> Permit:
    asset = Asset("build", label_of(task), cell.region, made.artifact.digest, made.artifact.size_bytes)
    target = Target("environment", f"environment:{repository.name}/{environment.name}")
    key = f"deploy/{environment.name}/{made.artifact.digest}"
    return await cell.admit(
        Hop(Stage.DEPLOY, PLATFORM, "deploy", asset, target, key, task.task_id, task.repository or "")
    )


async def _bring(
    cell: Cell, task: Task, repository: Repository, environment: Environment, release_id: ReleaseId, permit: Permit,
    previous: Deployment | None,
) -> str:  # fmt: skip
    made = task.build
    assert made is not None  # noqa: S101 - `release` has looked
    digest = made.artifact.digest
    health = await _try(cell, task, repository, environment, permit, made)
    if health.healthy:
        at = cell.clock.now()
        deployment = Deployment(repository.name, environment.name, digest, made.artifact, made.name, task.task_id, at)
        cell.deployments.record_deployment(deployment, key=release_id)
        text = f"{environment.name} runs {made.name} ({digest[:19]}…): {health.detail}"
        # Said first: what is recorded is not done again after a crash, and would never be told.
        await cell.say(task, "text", text, f"released/{release_id}")
        finished = ev.ReleaseFinished(release_id, environment.name, digest, health.detail[:500])
        await cell.record(task.task_id, finished, f"released/{release_id}")
        return "released"
    restored = await _put_back(cell, task, repository, environment, previous)
    reason = f"{environment.name}: {health.detail}"[:1000]
    rolled = ev.ReleaseRolledBack(release_id, environment.name, digest, previous.digest if previous else None, reason)
    await cell.say(task, "error", f"Rolled back. {reason}. {restored}", f"rolled-back/{release_id}")
    await cell.record(task.task_id, rolled, f"rolled-back/{release_id}")
    return "rolled_back"


async def _try(
    cell: Cell, task: Task, repository: Repository, environment: Environment, permit: Permit, made: Build
) -> Health:
    content = await cell.fetch(task, made.artifact)
    try:
        await cell.deployer.apply(permit, repository.name, environment, made.artifact.digest, content)
        await cell.seen(permit, "deployed")
        return await cell.deployer.health(repository.name, environment)
    except (BackendError, RequestRefused) as error:
        return Health(False, str(error))


async def _put_back(
    cell: Cell, task: Task, repository: Repository, environment: Environment, previous: Deployment | None
) -> str:
    if previous is None:
        await cell.deployer.stop(repository.name, environment)
        return "Nothing ran there before, so nothing runs there now."
    key = f"put-back/{task.task_id}/{environment.name}"
    try:
        await restore(cell, repository, environment, previous, key)
    except (BackendError, RequestRefused) as error:
        return f"{previous.name} should be back but is NOT: {error}"
    return f"{previous.name} ({previous.digest[:19]}…) is back and answers."
