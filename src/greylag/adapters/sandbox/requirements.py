"""Installs a repository's Python packages into a folder that sandboxes then see read-only.

The platform runs this step, not an agent: with the host's network, an empty environment, wheels only (so no package's
own code runs), and nothing of the host writable but the new folder.
"""

import hashlib
import os
import platform
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from greylag.adapters.sandbox import trees
from greylag.adapters.sandbox.port import WORKSPACE, Ended, Limits, Mount, Network, Sandbox, SandboxSpec
from greylag.adapters.sandbox.toolchain import OWN_FOLDER, Toolchain, layer_digest
from greylag.domain.errors import BackendError, RequestRefused
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

REGISTRY_TARGET = "host:package-registry"
REGISTRY_VARIABLES = frozenset({
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_TRUSTED_HOST", "PIP_CERT",
    "PIP_PROXY", "PIP_RETRIES", "PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
})  # fmt: skip
_INDEX_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX")
_LIMITS = Limits(memory_mb=2048, disk_mb=4096, timeout_seconds=600.0)
_MOST_REQUIREMENTS = 500
_LAST_LINES = 8
# Name, extras, version clauses, marker (PEP 508) without the form that names an address.
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
    r"(\[[A-Za-z0-9._, -]*\])?"
    r"\s*(\(?\s*(===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+(\s*,\s*(===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+)*\s*\)?)?"
    r"\s*(;[A-Za-z0-9_.<>=!~'\"() -]+)?"
)
_CREDENTIALS = re.compile(r"://[^/\s@]+@")
_ALREADY_INSIDE = ("/usr/", "/etc/ssl/certs")


@dataclass(frozen=True, slots=True)
class Layer:
    """Installed packages: the folder for `greylag.adapters.sandbox.toolchain.with_layer` and its content's digest."""

    folder: Path
    digest: str


async def install_requirements(
    permit: Permit,
    sandbox: Sandbox,
    toolchain: Toolchain,
    requirements: Sequence[str],
    cache: Path,
    env: Mapping[str, str],
) -> Layer:
    """Return a layer with ``requirements`` and what they depend on, from ``cache`` where it was made before.

    The permit is for stage ``tool`` towards `REGISTRY_TARGET`. Of ``env`` only `REGISTRY_VARIABLES` reach pip; files
    and folders they name are mounted read-only. Raises RequestRefused ``GL-SANDBOX-011`` for what isn't a plain
    requirement, BackendError ``GL-SANDBOX-012`` with pip's last lines where it fails.
    """
    permit.require(Stage.TOOL, REGISTRY_TARGET)
    _check(requirements)
    registry = {name: value for name, value in env.items() if name in REGISTRY_VARIABLES}
    folder = cache / _key(requirements, toolchain, registry)
    if not folder.is_dir():
        await _install(sandbox, toolchain, requirements, folder, registry)
    return Layer(folder, layer_digest(folder))


async def _install(
    sandbox: Sandbox, toolchain: Toolchain, requirements: Sequence[str], folder: Path, registry: Mapping[str, str]
) -> None:
    folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix="building-", dir=folder.parent))
    try:
        sandbox.adopt(building)
        mounts, pip_env = _reachable(registry)
        spec = SandboxSpec(
            (
                toolchain.python, "-I", "-m", "pip", "install", "--only-binary", ":all:", "--target",
                f"{WORKSPACE}/layer", "--no-input", "--disable-pip-version-check", "--no-cache-dir",
                "--no-warn-script-location", *sorted(set(requirements)),
            ),
            building,
            mounts=(*toolchain.mounts, *mounts),
            env={**toolchain.env, **pip_env},
            limits=_LIMITS,
            network=Network.HOST,
        )  # fmt: skip
        ended = await sandbox.run(spec)
        if ended.exit_code != 0:
            raise _failed(ended)
        _keep(building / "layer", folder)
    finally:
        sandbox.discard(building)


def _keep(layer: Path, folder: Path) -> None:
    """Put a finished layer into its place, owned by the platform; whoever comes second keeps the first one's."""
    layer.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        trees.own(layer, 0)
    layer.chmod(0o755)
    try:
        layer.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _check(requirements: Sequence[str]) -> None:
    if not 0 < len(requirements) <= _MOST_REQUIREMENTS:
        raise _refused(f"{len(requirements)} requirements were given, expected 1 to {_MOST_REQUIREMENTS}")
    for requirement in requirements:
        if len(requirement) > 300 or not _REQUIREMENT.fullmatch(requirement):
            raise _refused(f"{requirement[:120]!r} isn't a name with versions, like 'httpx>=0.28'")


def _key(requirements: Sequence[str], toolchain: Toolchain, registry: Mapping[str, str]) -> str:
    parts = [toolchain.versions["python"], platform.machine(), *sorted(set(requirements))]
    parts += [f"{name}={registry.get(name, '')}" for name in _INDEX_VARIABLES]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _reachable(registry: Mapping[str, str]) -> tuple[list[Mount], dict[str, str]]:
    """Return mounts for the host paths named in ``registry``, and the variables as they read inside."""
    mounts: dict[str, Mount] = {}
    env = {}
    for name, value in registry.items():
        words = []
        for word in value.split():
            path = unquote(urlsplit(word).path) if word.startswith("file://") else word
            if not path.startswith("/") or path.startswith(_ALREADY_INSIDE) or not os.path.exists(path):
                words.append(word)
                continue
            inside = f"{OWN_FOLDER}/registry/{hashlib.sha256(path.encode()).hexdigest()[:12]}"
            mounts[inside] = Mount(Path(path), inside)
            words.append(f"file://{inside}" if word.startswith("file://") else inside)
        env[name] = " ".join(words)
    return list(mounts.values()), env


def _failed(ended: Ended) -> BackendError:
    said = (ended.stderr or ended.stdout).decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
    text = _CREDENTIALS.sub("://***@", " / ".join(said)) or "it said nothing"
    return BackendError(
        "GL-SANDBOX-012",
        f"pip could not install the requirements ({ended.reason}, exit code {ended.exit_code}): {text}",
        "check the names and versions, that each has a wheel, and that the package index can be reached.",
        transient=True,
    )


def _refused(why: str) -> RequestRefused:
    return RequestRefused(
        "GL-SANDBOX-011",
        f"the requirements can't be installed: {why}.",
        "name packages by name and version only; addresses, paths and options are not taken.",
    )
