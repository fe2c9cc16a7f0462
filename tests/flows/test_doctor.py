"""`greylag doctor` on this machine: every port by its conformance suite; what is wrong is said with the next step."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GREYLAG = [sys.executable, "-c", "from greylag.app.cli.main import run; run()"]
AREAS = {
    "settings", "programs", "server", "sandbox", "toolchain", "store", "vault", "policy", "forge", "model gateway",
    "agent command", "agent claude", "deployer", "chat", "engine",
}  # fmt: skip


def doctor(home: Path, path: str) -> tuple[int, list[dict[str, object]]]:
    done = subprocess.run(
        [*GREYLAG, "--home", str(home), "doctor", "--json"], capture_output=True, text=True, timeout=280, check=False,
        env={"PATH": path, "HOME": str(home.parent)},
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
def test_everything_needed_works_here(tmp_path: Path) -> None:
    code, rows = doctor(tmp_path / "home", "/usr/local/bin:/usr/bin:/bin")
    assert [row for row in rows if row["needed"] and not row["ok"]] == []
    assert code == 0
    assert {str(row["area"]) for row in rows} == AREAS


def test_unreadable_settings_are_found_with_a_remedy(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "greylag.toml").write_text("[server\nport = 1")
    done = subprocess.run(
        [*GREYLAG, "--home", str(home), "ledger", "verify", "--json"], capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert json.loads(done.stdout)["error"]["code"] == "GL-SETTINGS-002"
    assert done.returncode == 1
