"""When the tests run as root: the same tests again as an ordinary user."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ORDINARY_UID = 54_321
HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def _interpreter() -> tuple[str, dict[str, str]] | None:
    """Return a Python that an ordinary user can start, and the paths it needs: this one, else the system's twin."""
    packages = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        env = {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), packages)), "PATH": "/usr/bin:/bin", "HOME": "/tmp"}
        try:
            tried = subprocess.run(
                [python, "-c", "import pytest, pytest_asyncio, hypothesis, greylag"],
                user=ORDINARY_UID, group=ORDINARY_UID, extra_groups=(), env=env, cwd="/",
                capture_output=True, check=False,
            )  # fmt: skip
        except OSError:
            continue
        if tried.returncode == 0:
            return python, env
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="these tests are running as an ordinary user already")
def test_all_of_it_as_an_ordinary_user(tmp_path_factory):
    found = _interpreter()
    if found is None:
        pytest.skip("NOT TESTED AS AN ORDINARY USER: no Python, or not this checkout, is readable for other users")
    python, env = found
    base = Path("/tmp") / f"greylag-user-{os.getpid()}"
    base.mkdir(mode=0o700)
    os.chown(base, ORDINARY_UID, ORDINARY_UID)
    try:
        ended = subprocess.run(
            [python, "-m", "pytest", str(HERE), "-q", "-p", "no:cacheprovider", "--basetemp", str(base / "t"),
             "-o", "addopts=--strict-markers", "--ignore", __file__],
            user=ORDINARY_UID, group=ORDINARY_UID, extra_groups=(), env=env, cwd=ROOT, capture_output=True, check=False,
            text=True,
        )  # fmt: skip
    finally:
        subprocess.run(["chmod", "-R", "u+rwX", base], check=False)
        subprocess.run(["rm", "-rf", base], check=True)
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout
