"""Set-up: everything Greylag needs, from the lock file, into this folder. Standard library only.

Needs Python 3.11+, git and make; no pip, no venv module, no root. Fetches one pinned `uv` wheel by its SHA-256, lets it
install the locked packages, then fetches the Claude Code binary from its registry package (optional, not shipped).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
UV_VERSION = "0.13.9"
UV_WHEELS = {
    # machine: (file name, SHA-256)
    "x86_64": ("uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19"),
    "aarch64": ("uv-0.13.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl", "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe"),
}
DEBIAN = {"git": "git"}
TIMEOUT_SECONDS = 120


def main() -> int:
    """Set everything up; return the exit code."""
    began = time.monotonic()
    if sys.version_info < (3, 11):
        return fail("SETUP-001", f"Python {platform.python_version()} is too old.", "install Python 3.11 or newer.")
    if not have_programs():
        return 1
    try:
        uv = find_uv()
        say("installing the locked packages")
        sync(uv, ROOT / ".venv", ["--group", "dev"])
        sync(uv, ROOT / ".toolchain", ["--only-group", "toolchain", "--no-install-project"])
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        return fail("SETUP-003", f"a package could not be installed: {error}", "check the network and try again.")
    fetch_claude()
    (ROOT / ".venv" / ".ready").touch()
    say(f"ready in {time.monotonic() - began:.0f} s")
    return 0


def have_programs() -> bool:
    """Install missing Debian packages where that is allowed; say what to do where it isn't."""
    missing = [package for program, package in DEBIAN.items() if shutil.which(program) is None]
    if not missing:
        return True
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("installing " + ", ".join(missing))
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=environment)
        if subprocess.run(["apt-get", "install", "-y", "-qq", *missing], check=False, env=environment).returncode == 0:
            return True
    fail("SETUP-002", f"missing: {', '.join(missing)}.", f"ask an administrator for: apt-get install {' '.join(missing)}")
    return False


def find_uv() -> Path:
    """Return a `uv` of the pinned version: the one in `.tools`, or fetched and checked."""
    target = TOOLS / f"uv-{UV_VERSION}"
    if target.exists():
        return target
    machine = platform.machine()
    if machine not in UV_WHEELS:
        raise ValueError(f"no pinned uv for machine `{machine}` (there is: {', '.join(UV_WHEELS)})")
    name, digest = UV_WHEELS[machine]
    say(f"fetching uv {UV_VERSION}")
    content = fetch(wheel_url("uv", name))
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{name} has another SHA-256 than the pinned one; nothing of it was used")
    TOOLS.mkdir(exist_ok=True)
    archive = TOOLS / name
    archive.write_bytes(content)
    with zipfile.ZipFile(archive) as wheel:
        member = next(each for each in wheel.namelist() if each.endswith("/scripts/uv"))
        part = target.with_suffix(".part")
        part.write_bytes(wheel.read(member))
    part.chmod(0o755)
    part.rename(target)
    archive.unlink()
    return target


def wheel_url(project: str, name: str) -> str:
    """Return where the index has ``name``; the index is the one pip and uv are set to."""
    setting = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
    index = next((os.environ[each] for each in setting if os.environ.get(each)), "https://pypi.org/simple").rstrip("/")
    request = urllib.request.Request(
        f"{index}/{project}/", headers={"Accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.1"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        files = json.load(answer)["files"]
    url = next((each["url"] for each in files if each["filename"] == name), None)
    if url is None:
        raise ValueError(f"{index} has no {name}")
    return urllib.request.urljoin(f"{index}/{project}/", url) if "://" not in url else url


def fetch(url: str) -> bytes:
    """Return what ``url`` holds."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
        return answer.read()


def sync(uv: Path, environment: Path, what: list[str]) -> None:
    """Install from the lock file into ``environment``; the lock file is not changed."""
    settings = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(environment), "UV_PYTHON": sys.executable}
    settings |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "0"}
    subprocess.run([uv, "sync", "--frozen", "--quiet", *what], check=True, cwd=ROOT, env=settings)


def fetch_claude() -> None:
    """Fetch the Claude Code binary; without it the `acp` and `command` agents still work."""
    done = subprocess.run([sys.executable, ROOT / "scripts" / "fetch_claude.py"], check=False)
    if done.returncode:
        say("Claude Code is not there; the `acp` and `command` agents work without it")


def say(what: str) -> None:
    """Tell what is being done."""
    print(f"set-up: {what}", flush=True)


def fail(code: str, cause: str, remedy: str) -> int:
    """Say what went wrong and the next step."""
    print(f"set-up failed, GL-{code}: {cause} Next: {remedy}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
