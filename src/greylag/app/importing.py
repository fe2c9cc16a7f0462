"""Bringing repositories in: by git from a path or URL, from a published package, or the example that is shipped."""

import asyncio
from dataclasses import dataclass, replace
from hashlib import sha256

from greylag.adapters.forge.port import Author, CommitText
from greylag.adapters.registry.patching import apply_patch
from greylag.adapters.registry.pinning import parse_pinned
from greylag.adapters.registry.port import PackageRegistry
from greylag.adapters.registry.unpacking import SourceTree, unpack
from greylag.app.example import example_files
from greylag.delivery.cell import PLATFORM, Cell
from greylag.domain.errors import RequestRefused
from greylag.domain.labels import Label
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.egress.hop import Hop
from greylag.egress.permit import Permit
from greylag.governance.question import Asset, Target

SHIPPED, SDIST = "shipped:", "sdist:"


@dataclass(frozen=True, slots=True)
class Incoming:
    """What comes in: a path or URL of a git repository, ``sdist:PROJECT==VERSION#sha256=HEX``, or ``shipped:NAME``.

    ``patch`` is a unified diff on a source distribution. An empty ``source`` changes only the settings of a repository
    that is there already.
    """

    source: str
    patch: str = ""


async def import_repository(
    cell: Cell, registry: PackageRegistry, repository: Repository, incoming: Incoming
) -> Repository:
    """Bring ``incoming`` in through the door (stage ``push`` towards the forge) and keep its settings.

    Raises PolicyRefused; what forge and registry raise; RequestRefused ``GL-REGION-002`` for a name that another
    region has, ``GL-REPO-004`` for a patch on anything but a source distribution.
    """
    source = incoming.source
    if incoming.patch and not source.startswith(SDIST):
        raise RequestRefused(
            "GL-REPO-004",
            "a patch goes with a source distribution only.",
            "commit it to the git repository itself, or leave it out.",
        )
    await _make_room(cell, repository, source)
    if source.startswith(SDIST):
        await _create_from_package(cell, registry, repository, incoming)
    elif source.startswith(SHIPPED):
        await _create(cell, repository, SourceTree(example_files(), frozenset()), "The example service\n")
    elif source:
        permit = await _permit(cell, repository, "import")
        wanted = repository.default_branch if repository.default_branch != "main" else None
        branch = await cell.forge.import_repository(permit, repository.name, source, wanted)
        repository = replace(repository, default_branch=branch)
    else:
        known = await asyncio.to_thread(cell.directory.repository, repository.name)
        repository = replace(repository, default_branch=known.default_branch)
    await asyncio.to_thread(cell.directory.add_repository, repository, cell.clock.now())
    return repository


async def _make_room(cell: Cell, repository: Repository, source: str) -> None:
    """Refuse another region's name, and remove what an import left that was cut off: nobody was told of that."""
    known = {each.name: each for each in await asyncio.to_thread(cell.directory.repositories)}
    found = known.get(repository.name)
    if found is not None and found.region != cell.region:
        raise RequestRefused(
            "GL-REGION-002", f"`{repository.name}` is a repository of region `{found.region}`.", "choose another name."
        )
    if found is None and source:
        await cell.forge.discard(await _permit(cell, repository, "discard"), repository.name)


async def _create_from_package(
    cell: Cell, registry: PackageRegistry, repository: Repository, incoming: Incoming
) -> None:
    """Fetch a pinned source distribution through the door (stage ``tool``) and make a repository of its files."""
    wanted = parse_pinned(incoming.source.removeprefix(SDIST))
    # What leaves are name and version of a published package, which the operator wrote down: public.
    asset = Asset("requirements", Label("public"), cell.region, surfaces=("package_names",))
    name = f"{wanted.project}=={wanted.version}"
    target = Target("host", registry.target)
    permit = await cell.admit(Hop(Stage.TOOL, PLATFORM, "fetch", asset, target, f"fetch/{repository.name}/{name}"))
    archive = await registry.fetch(permit, wanted)
    facts: dict[str, str | int] = {"size_bytes": len(archive), "sha256": wanted.sha256}
    await asyncio.to_thread(cell.door.observe, permit, "fetched", facts)
    tree = await asyncio.to_thread(unpack, archive)
    text = f"{wanted.project} {wanted.version} as published\n\nSource distribution sha256:{wanted.sha256}\n"
    if incoming.patch:
        files = await asyncio.to_thread(apply_patch, tree.files, incoming.patch)
        tree = SourceTree(files, tree.executable)
        digest = sha256(incoming.patch.encode("utf-8", "replace")).hexdigest()
        text = text.replace(" as published", ", patched") + f"with the operator's patch sha256:{digest}\n"
    await _create(cell, repository, tree, text)


async def _create(cell: Cell, repository: Repository, tree: SourceTree, message: str) -> None:
    permit = await _permit(cell, repository, "create")
    author = Author("greylag", "greylag@greylag.invalid")
    text = CommitText(author, message, cell.clock.now().replace(microsecond=0))
    await cell.forge.create(permit, repository.name, tree.files, tree.executable, text)


async def _permit(cell: Cell, repository: Repository, action: str) -> Permit:
    asset = Asset("repository", cell.labeller.of_repository(repository), cell.region, surfaces=("file_names", "branch"))
    target = Target("forge", cell.forge.name)
    return await cell.admit(Hop(Stage.PUSH, PLATFORM, action, asset, target, f"{action}/{repository.name}"))
