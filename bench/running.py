"""A whole platform in a process of its own, for as long as something is measured of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

_ROOT = Path(__file__).parents[1]
_START_SECONDS = 60.0


@contextmanager
def running(home: Path, settings: str = "", secrets: Mapping[str, str] | None = None) -> Iterator[httpx.Client]:
    """Start ``greylag up`` on ``home`` and give a client of its API that acts as ada; end it afterwards."""
    if settings:
        home.mkdir(mode=0o700)
        (home / "greylag.toml").write_text(settings)
    env = {
        "PATH": os.environ["PATH"], "HOME": str(home.parent), "PYTHONPATH": str(_ROOT / "src"), "LANG": "C.UTF-8",
        **(secrets or {}),
    }  # fmt: skip
    run = "from greylag.app.cli.main import run; run()"
    output = home.parent / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", run, "--home", str(home), "up", "--port", "0"], env=env, cwd="/",
            stdin=subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        url = _url(home, process, output)
        headers = {"authorization": f"Bearer {(home / 'operator.token').read_text().strip()}", "x-greylag-as": "ada"}
        with httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=60, trust_env=False) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


def _url(home: Path, process: "subprocess.Popen[bytes]", output: Path) -> str:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            return str(json.loads((home / "run" / "server.json").read_text())["url"])
        except (FileNotFoundError, ValueError):
            time.sleep(0.05)
    raise RuntimeError(f"the platform did not start: {output.read_text()}")
