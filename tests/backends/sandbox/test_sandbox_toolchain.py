"""The toolchain inside, and layers of installed packages."""

import importlib.util
import os
import sys
import venv
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from greylag.adapters.sandbox.port import EndReason
from greylag.adapters.sandbox.requirements import REGISTRY_TARGET, install_requirements
from greylag.adapters.sandbox.toolchain import find_toolchain, with_layer
from greylag.domain.errors import BackendError, IntegrityError, OperatorError, RequestRefused
from greylag.domain.stages import Stage
from greylag.egress.permit import mint


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment of the running interpreter, with pip, below a folder only its owner enters."""
    folder = tmp_path_factory.mktemp("private")
    folder.chmod(0o700)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    wheel = _bundled_pip()
    if wheel is not None:
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(next((folder / "venv" / "lib").glob("python3*/site-packages")))
    return folder / "venv"


def _bundled_pip():
    """Return the wheel that the interpreter's own `ensurepip` would install; unpacking it is ten times quicker."""
    bundled = [Path("/usr/share/python-wheels")]
    if (spec := importlib.util.find_spec("ensurepip")) is not None:
        bundled.append(Path(spec.origin).parent / "_bundled")
    return next((wheel for folder in bundled for wheel in folder.glob("pip-*.whl")), None)


@pytest.fixture
def permit():
    return mint("dec_test", Stage.TOOL, REGISTRY_TARGET, "", 0)


def _wheel(folder, name, version, source, requires=""):
    info = f"{name}-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", source)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


async def test_a_virtual_environment_works_inside(sandbox, spec_of, environment):
    toolchain = find_toolchain(environment)
    script = "python -c 'import sys, ssl, sqlite3, ctypes; print(sys.prefix)'; git --version; command -v python"
    spec = replace(spec_of("sh", "-c", script), mounts=toolchain.mounts, env=toolchain.env)
    ended = await sandbox.run(spec)
    assert ended.reason is EndReason.EXITED
    lines = ended.stdout.decode().splitlines()
    assert lines[0] == str(environment), ended
    assert lines[1].startswith("git version")
    assert lines[2] == f"{environment}/bin/python"
    assert toolchain.versions["python"] == "{}.{}.{}".format(*sys.version_info[:3])
    assert toolchain.digest.startswith("sha256:")


async def test_node_and_npm_where_there_are_any(sandbox, spec_of):
    toolchain = find_toolchain()
    if "node" not in toolchain.versions:
        pytest.skip("no Node.js on this machine and no wheel of it")
    spec = spec_of("sh", "-c", "node -v && npm -v", memory_mb=4096)
    ended = await sandbox.run(replace(spec, mounts=toolchain.mounts, env=toolchain.env))
    assert ended.exit_code == 0, ended
    assert ended.stdout.decode().splitlines()[0] == f"v{toolchain.versions['node']}"


def test_an_environment_that_is_none_is_refused(tmp_path):
    with pytest.raises(OperatorError) as caught:
        find_toolchain(tmp_path / "nothing")
    assert caught.value.code == "GL-SANDBOX-010"


def test_the_digest_follows_the_content(environment, tmp_path):
    toolchain = find_toolchain(environment)
    layer = tmp_path / "layer" / "x-1.dist-info"
    layer.mkdir(parents=True)
    (layer / "RECORD").write_text("x.py,sha256=a,1\n")
    first = with_layer(toolchain, tmp_path / "layer").digest
    (layer / "RECORD").write_text("x.py,sha256=b,1\n")
    assert len({toolchain.digest, first, with_layer(toolchain, tmp_path / "layer").digest}) == 3


async def test_requirements_become_a_layer(sandbox, spec_of, environment, permit, tmp_path):
    if _bundled_pip() is None:
        pytest.skip("the interpreter that runs the tests can't make an environment with pip")
    wheels = tmp_path / "wheels"
    _wheel(wheels, "alpha", "1.0", "NAME = 'alpha'\n", "Requires-Dist: beta>=2\n")
    _wheel(wheels, "beta", "2.1", "NAME = 'beta'\n")
    toolchain = find_toolchain(environment)
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "NOT_FOR_PIP": "secret"}
    layer = await install_requirements(permit, sandbox, toolchain, ["alpha>=1"], tmp_path / "cache", env)
    again = await install_requirements(permit, sandbox, toolchain, ["alpha>=1"], tmp_path / "cache", env)
    assert layer == again
    assert os.listdir(tmp_path / "cache") == [layer.folder.name]
    assert layer.folder.stat().st_uid == os.geteuid()
    layered = with_layer(toolchain, layer.folder)
    spec = spec_of("python", "-c", "import alpha, beta; print(alpha.NAME, beta.NAME)")
    ended = await sandbox.run(replace(spec, mounts=layered.mounts, env=layered.env))
    assert ended.stdout == b"alpha beta\n", ended
    with pytest.raises(BackendError, match="gamma") as caught:
        await install_requirements(permit, sandbox, toolchain, ["gamma"], tmp_path / "cache", env)
    assert caught.value.code == "GL-SANDBOX-012"


@pytest.mark.parametrize(
    "requirement",
    [
        "", "-r other.txt", "--index-url=http://evil", "x @ https://evil/x.whl", "./local", "/abs", "git+https://x/y",
        "x\n--pre", "x; import os #", "x>=1 --hash=sha256:0", "a" * 400, "http://x", "x[y] @ file:///etc", "..",
    ],
)  # fmt: skip
async def test_what_is_no_plain_requirement_is_refused(sandbox, permit, tmp_path, requirement):
    toolchain = find_toolchain()
    with pytest.raises(RequestRefused) as caught:
        await install_requirements(permit, sandbox, toolchain, [requirement], tmp_path, {})
    assert caught.value.code == "GL-SANDBOX-011"


async def test_no_permit_no_installation(sandbox, tmp_path):
    wrong = mint("dec_test", Stage.PROMPT, REGISTRY_TARGET, "", 0)
    with pytest.raises(IntegrityError):
        await install_requirements(wrong, sandbox, find_toolchain(), ["x"], tmp_path, {})
