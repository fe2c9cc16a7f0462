"""The tools that programs in a sandbox see, and where the Claude Code binary is."""

import asyncio
import sys
from pathlib import Path

from greylag.adapters.agents.backends.claude import ClaudeAgent
from greylag.adapters.sandbox.port import Probe, Sandbox
from greylag.adapters.sandbox.requirements import REGISTRY_TARGET, install_requirements
from greylag.adapters.sandbox.toolchain import Toolchain, find_toolchain, with_layer
from greylag.app.install.shipped import checkout
from greylag.app.settings import Settings, package_index_environment
from greylag.delivery.cell import PLATFORM, Toolbox
from greylag.domain.ids import derived_id
from greylag.domain.labels import Label
from greylag.domain.repository import Repository
from greylag.domain.stages import Stage
from greylag.egress.door import Door
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target


def find_claude(settings: Settings) -> Path:
    """Return where the Claude Code binary is, or would be: the agent itself says what to do where it isn't."""
    if settings.agent.claude_binary is not None:
        return settings.agent.claude_binary
    root = checkout()
    return (root or Path(sys.prefix)) / ".tools" / "claude" / "claude"


def probe_claude(settings: Settings) -> Probe:
    """Say whether the Claude Code binary can be used here; it is not started."""
    return asyncio.run(ClaudeAgent(find_claude(settings)).probe())


def find_venv(settings: Settings) -> Path | None:
    """Return the virtual environment that sandboxes see: the settings' own, else the one set-up made, else none."""
    if settings.toolchain is not None:
        return settings.toolchain
    root = checkout()
    made = root / ".toolchain" if root else None
    return made if made is not None and (made / "bin" / "python").exists() else None


class Tools:
    """Gives each repository its toolbox: the install's toolchain, and a layer with the repository's requirements."""

    def __init__(self, settings: Settings, cache: Path, sandbox: Sandbox, door: Door) -> None:
        self._toolchain = find_toolchain(find_venv(settings))
        self._cache = cache
        self._sandbox = sandbox
        self._door = door
        self._region = settings.region.name
        self._installing = asyncio.Lock()

    @property
    def toolchain(self) -> Toolchain:
        """The install's own toolchain, without any repository's layer."""
        return self._toolchain

    async def toolbox(self, repository: Repository) -> Toolbox:
        """Return the tools for ``repository``; its requirements are fetched once, through the door (stage ``tool``).

        Raises PolicyRefused, or BackendError ``GL-SANDBOX-012`` where a requirement can't be had as a wheel.
        """
        toolchain = self._toolchain
        if repository.requirements:
            async with self._installing:
                toolchain = await self._with_requirements(repository)
        return Toolbox(toolchain.mounts, toolchain.env, toolchain.digest)

    async def _with_requirements(self, repository: Repository) -> Toolchain:
        # What leaves are names and versions of packages, which the operator wrote down: public.
        asset = Asset("requirements", Label("public"), self._region, surfaces=("package_names",))
        key = f"requirements/{repository.name}/{derived_id('req', *repository.requirements)}"
        hop = Hop(Stage.TOOL, PLATFORM, "install", asset, Target("host", REGISTRY_TARGET), key, "", repository.name)
        permit = await asyncio.to_thread(self._door.admit, hop)
        layer = await install_requirements(
            permit, self._sandbox, self._toolchain, repository.requirements, self._cache, package_index_environment()
        )
        return with_layer(self._toolchain, layer.folder)
