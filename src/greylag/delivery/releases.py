"""What is live, and the way back, outside a task's own release."""

from dataclasses import dataclass

from greylag.adapters.store.port import Deployment
from greylag.delivery.cell import PLATFORM, Cell
from greylag.domain.errors import BackendError, OperatorError, RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.repository import Environment, Repository
from greylag.domain.stages import Stage
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target


@dataclass(frozen=True, slots=True)
class Live:
    """What an environment was told to run (``digest``, ``name``) and whether it runs (``url`` empty: it doesn't)."""

    repository: str
    environment: str
    digest: str
    name: str
    task_id: str
    since: str
    url: str


async def live_releases(cell: Cell, name: str) -> list[Live]:
    """Return every environment of repository ``name``, in order of promotion."""
    repository = cell.directory.repository(name)
    return [await _live(cell, repository, environment) for environment in repository.environments]


async def restore(cell: Cell, repository: Repository, environment: Environment, to: Deployment, key: str) -> str:
    """Make ``environment`` run an earlier deployment again, through the door; return how it answers.

    Raises BackendError ``GL-RELEASE-003`` where it doesn't answer: a person must look.
    """
    asset = Asset("build", cell.labeller.of_repository(repository), cell.region, to.digest, to.artifact.size_bytes)
    target = Target("environment", f"environment:{repository.name}/{environment.name}")
    permit = await cell.admit(Hop(Stage.DEPLOY, PLATFORM, "restore", asset, target, key, to.task_id, repository.name))
    content = cell.vault.get(to.artifact, subject=to.task_id)
    await cell.deployer.apply(permit, repository.name, environment, to.digest, content)
    await cell.seen(permit, "restored")
    health = await cell.deployer.health(repository.name, environment)
    if not health.healthy:
        raise BackendError("GL-RELEASE-003", f"{to.name} does not answer: {health.detail}.", "a person must look now.")
    return health.detail


async def roll_back(cell: Cell, name: str, environment_name: str, by: str, key: str = "") -> Live:
    """Bring an environment back to the digest that was live before the present one, and say so in that one's thread.

    ``key`` makes recording and saying it twice once; whoever gives one makes sure that the present one is still live.
    Raises RequestRefused ``GL-RELEASE-001`` (unknown environment), ``-002`` (nothing ran there before), or
    ``GL-PERSON-002`` for somebody who is neither reviewer nor operator; BackendError ``GL-RELEASE-003`` where the
    earlier one doesn't answer: then the present one has been started again.
    """
    person = cell.directory.person(by)
    if not {"reviewer", "operator"} & set(person.roles):
        raise RequestRefused("GL-PERSON-002", f"{by} may not roll back.", "a reviewer or an operator may.")
    repository = cell.directory.repository(name)
    environment = next((each for each in repository.environments if each.name == environment_name), None)
    if environment is None:
        known = ", ".join(f"`{each.name}`" for each in repository.environments) or "none"
        raise RequestRefused(
            "GL-RELEASE-001", f"{name} has no environment {environment_name!r}.", f"there is: {known}."
        )
    history = cell.deployments.deployments(name, environment_name)
    earlier = next((each for each in history if each.digest != history[0].digest), None) if history else None
    if earlier is None:
        raise RequestRefused(
            "GL-RELEASE-002", f"nothing else ran in {environment_name} before.", "release a fix instead."
        )
    key = key or f"rollback/{name}/{environment_name}/{history[0].digest}/{cell.clock.now().isoformat()}"
    try:
        await restore(cell, repository, environment, earlier, key)
    except (BackendError, RequestRefused):
        await restore(cell, repository, environment, history[0], f"{key}/again")
        raise
    back = Deployment(
        name, environment_name, earlier.digest, earlier.artifact, earlier.name, earlier.task_id, cell.clock.now()
    )
    cell.deployments.record_deployment(back, key=key)
    await say_rolled_back(cell, history[0], back, person.name, key)
    return await _live(cell, repository, environment)


async def say_rolled_back(cell: Cell, gone: Deployment, back: Deployment, by: str, key: str) -> None:
    """Say in the thread of what is ``gone`` that it was brought ``back``, once per ``key``."""
    task = await cell.task(TaskId(gone.task_id))
    await cell.say(task, "text", f"{gone.environment} was brought back to {back.name} by {by}.", key)


async def revive(cell: Cell) -> list[str]:
    """Start again what was live when the platform stopped; return what could not be, in words."""
    failed = []
    own = [each for each in cell.directory.repositories() if each.region == cell.region]
    for repository in own:
        for environment in repository.environments:
            live = cell.deployments.live(repository.name, environment.name)
            if live is None or await cell.deployer.running(repository.name, environment) is not None:
                continue
            key = f"revive/{repository.name}/{environment.name}/{cell.clock.now().isoformat()}"
            try:
                await restore(cell, repository, environment, live, key)
            except (BackendError, OperatorError, RequestRefused) as error:
                failed.append(f"{repository.name}/{environment.name}: {error}")
    return failed


async def _live(cell: Cell, repository: Repository, environment: Environment) -> Live:
    deployment = cell.deployments.live(repository.name, environment.name)
    running = await cell.deployer.running(repository.name, environment)
    return Live(
        repository.name, environment.name, deployment.digest if deployment else "",
        deployment.name if deployment else "", deployment.task_id if deployment else "",
        deployment.at.isoformat(timespec="seconds") if deployment else "", running.url if running else "",
    )  # fmt: skip
