"""Set-up where something is wrong: one message with a code and a next step, and nothing half done is used."""

import fcntl
import http.server
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
NOBODY_LISTENS = "http://127.0.0.1:9/simple"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with nothing but the set-up scripts."""
    (tmp_path / "checkout" / "scripts").mkdir(parents=True)
    for name in ("setup.py", "package_index.py", "fetch_claude.py"):
        shutil.copy(SCRIPTS / name, tmp_path / "checkout" / "scripts" / name)
    return tmp_path / "checkout"


@pytest.fixture
def index() -> Iterator[str]:
    """A package index that has the pinned names with other bytes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            names = [name for name, _, _ in wheels().values()]
            page = "".join(f'<a href="/files/{name}">{name}</a>' for name in names)
            body = page.encode() if self.path.startswith("/simple/") else b"not the wheel"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()


def wheels() -> dict[str, tuple[str, str, int]]:
    """Return the pins."""
    import setup as script  # noqa: PLC0415 - named like a module that others may bring

    return script.UV_WHEELS


def run(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run set-up with nothing of this machine's settings but what a test gives it."""
    base = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(checkout.parent / "home"),
        "PIP_CONFIG_FILE": "/dev/null",
    }
    return subprocess.run(
        [sys.executable, checkout / "scripts" / "setup.py"], env=base | environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_no_network(checkout: Path) -> None:
    done = run(checkout, PIP_INDEX_URL=NOBODY_LISTENS)
    assert done.returncode == 1
    assert "GL-SETUP-003" in done.stderr
    assert "127.0.0.1:9" in done.stderr
    assert "Next: check the network" in done.stderr
    assert not list((checkout / ".tools").glob("uv*"))


def test_a_password_in_the_index_is_never_shown(checkout: Path) -> None:
    done = run(checkout, UV_DEFAULT_INDEX="http://me:hunter2@127.0.0.1:9/simple")
    assert done.returncode == 1
    assert "hunter2" not in done.stdout + done.stderr


def test_an_index_with_other_bytes(checkout: Path, index: str) -> None:
    done = run(checkout, UV_DEFAULT_INDEX=index)
    assert done.returncode == 1
    assert "GL-SETUP-006" in done.stderr
    assert "is not the pinned one" in done.stderr
    assert not list((checkout / ".tools").glob("uv*"))


def test_no_git(checkout: Path, tmp_path: Path) -> None:
    """An ordinary user is told what to ask for; root may install it, so root has no `apt-get` here either."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "make").symlink_to("/usr/bin/make")
    done = run(checkout, PATH=str(programs))
    assert done.returncode == 1
    assert "GL-SETUP-002: missing: git" in done.stderr
    assert "apt-get install git" in done.stderr


def test_an_old_python_without_a_newer_one(checkout: Path, tmp_path: Path) -> None:
    program = (
        f"import runpy, sys\nsys.version_info = (3, 9, 2)\nsys.path.insert(0, {str(checkout / 'scripts')!r})\n"
        f"sys.argv = ['setup.py']\nrunpy.run_path({str(checkout / 'scripts' / 'setup.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "GL-SETUP-001" in done.stderr
    assert "make PYTHON=" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_checkout_of_somebody_else(checkout: Path) -> None:
    checkout.chmod(0o555)
    done = run(checkout, PIP_INDEX_URL=NOBODY_LISTENS)
    checkout.chmod(0o755)
    assert "GL-SETUP-007" in done.stderr


def test_a_second_set_up_waits(checkout: Path) -> None:
    (checkout / ".tools").mkdir()
    with (checkout / ".tools" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        threading.Timer(1.0, lambda: fcntl.flock(lock, fcntl.LOCK_UN)).start()
        done = run(checkout, PIP_INDEX_URL=NOBODY_LISTENS)
        assert time.monotonic() - began >= 1.0
    assert "another set-up is at work" in done.stdout


def test_what_was_left_half_done_is_made_anew(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import setup as script  # noqa: PLC0415 - see `wheels`

    monkeypatch.setattr(script, "ROOT", checkout)
    monkeypatch.setattr(script, "TOOLS", checkout / ".tools")
    folders = (".venv", ".toolchain", ".tools/matrix", ".tools/claude/.fetch-abc")
    for folder in folders:
        (checkout / folder).mkdir(parents=True)
    for folder in (".venv", ".tools/matrix"):
        script.unfinished(folder).touch()
    script.discard_leavings()
    assert [folder for folder in folders if (checkout / folder).exists()] == [".toolchain"]


def test_what_only_tests_need_is_installed_for_tests_only(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same steps and marks as for everything else, from the lock file's own group."""
    import setup as script  # noqa: PLC0415 - see `wheels`

    monkeypatch.setattr(script, "ROOT", checkout)
    monkeypatch.setattr(script, "TOOLS", checkout / ".tools")
    monkeypatch.setattr(script, "READY", checkout / ".venv" / ".ready")
    asked = []

    class Done:
        tail: tuple[str, ...] = ()

        def __init__(self, name: str, command: list[str | Path], *_: object) -> None:
            asked.append(name)
            (checkout / name).mkdir(parents=True, exist_ok=True)

        def wait(self) -> int:
            return 0

        def stop(self) -> None:
            """Nothing runs."""

    monkeypatch.setattr(script, "Job", Done)
    monkeypatch.setattr(script.signal, "signal", lambda *_: None)
    monkeypatch.setattr(script, "find_uv", lambda: Path("uv"))
    monkeypatch.setenv("GREYLAG_SETUP_UV", "uv")
    assert script.main(script.FOR_TESTS) == 0
    assert asked == [".tools/matrix"]
    assert [path.relative_to(checkout).as_posix() for path in checkout.rglob(".ready")] == [".tools/matrix/.ready"]
    asked.clear()
    (checkout / ".venv").mkdir()
    assert script.main() == 0
    assert asked == [".venv", ".toolchain", "agent"]
    for steps in (script.from_lock_file, script.from_other_index):
        flat = [str(part) for step in steps(".tools/matrix") for part in step]
        assert "matrix-server" in flat
        assert "--editable" not in flat


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("error: Failed to download `x==1`\n  cause: client error (Connect)", "003"),
        ("error: no wheels with a matching platform tag for `x`", "004"),
        ("  cause: failed to copy file: No space left on device (os error 28)", "005"),
        ("error: Hash mismatch for `x==1`", "006"),
        ("error: Permission denied (os error 13)", "007"),
        ("error: something nobody thought of", "008"),
    ],
)
def test_the_cause_is_read_from_what_was_said(said: str, number: str) -> None:
    import setup as script  # noqa: PLC0415 - see `wheels`

    class Ended:
        name = ".venv"
        tail = said.splitlines()

    assert f"GL-SETUP-{number}: " in str(script.failure(Ended()))


def test_the_index_is_the_one_pip_is_set_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import package_index  # noqa: PLC0415 - beside `setup`

    for name in package_index.INDEX_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror.example.org/simple/\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert package_index.configured_index() == "https://mirror.example.org/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://nearer.example.org/simple")
    assert package_index.configured_index() == "https://nearer.example.org/simple"
