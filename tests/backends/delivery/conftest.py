"""A real sandbox, a real toolchain, and checkouts made of a few files."""

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from greylag.adapters.sandbox.backends.bubblewrap import BubblewrapSandbox
from greylag.adapters.sandbox.port import Limits
from greylag.adapters.sandbox.toolchain import Toolchain, find_toolchain
from greylag.delivery.building import Artifact, BuildPlan, build_artifact
from greylag.delivery.verifying import VerifyReport, detect, read_listing, verify

LIMITS = Limits(memory_mb=1024, disk_mb=256, timeout_seconds=60, output_bytes=2 * 1024 * 1024)


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The toolchain that `make` puts beside the environment these tests run in."""
    places = [Path(__file__).parents[3] / ".toolchain", Path(sys.prefix).parent / ".toolchain"]
    found = next((place for place in places if (place / "bin" / "python").exists()), None)
    assert found is not None, "no toolchain: run `make` first"
    return find_toolchain(found)


@dataclass(frozen=True)
class Workbench:
    """Makes checkouts in a temporary folder, and verifies or builds them in a real sandbox."""

    folder: Path
    sandbox: BubblewrapSandbox
    toolchain: Toolchain

    def checkout(self, files: Mapping[str, str]) -> Path:
        place = self.folder / f"checkout-{secrets.token_hex(4)}"
        for name, content in files.items():
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        place.mkdir(exist_ok=True)
        return place

    async def verify(
        self, files: Mapping[str, str], commands: tuple[tuple[str, ...], ...] = (), limits: Limits = LIMITS
    ) -> VerifyReport:
        place = self.checkout(files)
        verifiers = detect(read_listing(place), commands)
        self.sandbox.adopt(place)
        report = await verify(
            self.sandbox, place, verifiers, limits, self.toolchain.mounts, self.toolchain.env, "murmur"
        )
        self.sandbox.discard(place)
        return report

    async def build(self, place: Path, builder: str = "auto", limits: Limits = LIMITS) -> Artifact:
        self.sandbox.adopt(place)
        plan = BuildPlan("murmur", builder, "0123456789abcdef", 1_700_000_000)
        return await build_artifact(self.sandbox, place, plan, limits, self.toolchain.mounts, self.toolchain.env)


async def together(cases: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Run ``cases`` three at a time, for most of their time is spent waiting, and fail with all that failed."""
    room = asyncio.Semaphore(3)
    failed: dict[str, str] = {}

    async def one(name: str, case: Callable[[], Awaitable[None]]) -> None:
        async with room:
            try:
                await case()
            except (AssertionError, pytest.fail.Exception) as error:
                failed[name] = str(error)

    await asyncio.gather(*(one(name, case) for name, case in cases.items()))
    assert not failed, "\n".join(f"{name}: {why}" for name, why in failed.items())


@pytest.fixture(scope="session")
def workbench(tmp_path_factory: pytest.TempPathFactory, toolchain: Toolchain) -> Iterator[Workbench]:
    folder = tmp_path_factory.mktemp("bench")
    for parent in (folder, *folder.parents[:3]):  # programs run as another user than root, who must get there
        if "pytest-of-" in str(parent):
            parent.chmod(0o755)
    sandbox = BubblewrapSandbox(folder / "state")
    yield Workbench(folder, sandbox, toolchain)
    for place in folder.glob("checkout-*"):
        sandbox.discard(place)
