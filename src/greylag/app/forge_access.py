"""Who may take from the forge, and bring to it, over git: people with a token, each time by a decision."""

import asyncio
import logging
from hmac import compare_digest

from greylag.adapters.forge.http import Authorise
from greylag.app.platform import Platform
from greylag.delivery.cell import Cell
from greylag.domain.errors import GreylagError
from greylag.domain.repository import Person
from greylag.domain.stages import Stage
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target

READ, PUSH = "git-upload-pack", "git-receive-pack"
_ROLES = {READ: {"requester", "reviewer", "operator", "auditor"}, PUSH: {"requester"}}
_SURFACES = ("branch", "commits", "file_names", "git_user")

_log = logging.getLogger(__name__)


def git_access(platform: Platform) -> Authorise:
    """Let people with a token read and push ordinary branches; the user name is not looked at.

    The local operator's token reads for the person whom the user name names, as it acts for people elsewhere. A person
    who reads takes content out (stage ``trace``), one who pushes brings some in (stage ``intake``): nothing is served
    before the decision stands in the ledger.
    """

    async def authorise(user: str, password: str, repository: str, service: str) -> str | None:
        person = await asyncio.to_thread(_known, platform, user, password, repository, service)
        if person is None:
            return None
        try:
            await _admit(platform.cell, person, repository, service)
        except GreylagError as error:
            _log.warning("%s may not do %s with %s: %s", person.name, service, repository, error)
            return None
        return person.name

    return authorise


def _known(platform: Platform, user: str, password: str, repository: str, service: str) -> Person | None:
    person = platform.directory.person_by_token(password)
    if service == READ and compare_digest(password.encode(), platform.operator_token.encode()):
        person = next((each for each in platform.directory.people() if each.name == user), None)
    known = {each.name for each in platform.directory.repositories()}
    if person is None or repository not in known or not _ROLES.get(service, set()) & set(person.roles):
        return None
    return person


async def _admit(cell: Cell, person: Person, name: str, service: str) -> None:
    repository = await asyncio.to_thread(cell.directory.repository, name)
    paths: tuple[str, ...] = ()
    if repository.path_rules:
        paths = await cell.forge.paths(name, await cell.forge.head(name, repository.default_branch))
    asset = Asset("repository", cell.labeller.of_repository(repository, paths), cell.region, surfaces=_SURFACES)
    key = f"git/{service}/{person.name}/{cell.clock.entropy(8).hex()}"
    if service == READ:
        stage, action, target = Stage.TRACE, "read:git", Target("store", f"vault:{cell.region}")
    else:
        stage, action, target = Stage.INTAKE, "push:git", Target("forge", cell.forge.name)
    await cell.admit(Hop(stage, f"person:{person.name}", action, asset, target, key, "", name))
