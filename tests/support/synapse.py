"""A real Matrix server for tests: Synapse from `.tools/matrix` on SQLite, loopback only, in a scratch folder.

Synapse is AGPL-3.0: a program of its own that tests start and ask over HTTP; nothing of it is imported or shipped.
"""

import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAME = "chat.test"
_START_SECONDS = 60
_SECRET = "registration-secret"
_MUCH = {"per_second": 10_000, "burst_count": 10_000}


def synapse_python() -> Path | None:
    """Return the Python that has Synapse, None where set-up did not install it."""
    places = [Path(__file__).resolve().parents[2], Path(sys.prefix).parent]
    found = [place / ".tools" / "matrix" / "bin" / "python" for place in places]
    return next((path for path in found if path.with_name("synapse_homeserver").exists()), None)


@dataclass
class SynapseServer:
    """A server that can be stopped and started again on what it keeps."""

    folder: Path
    python: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with its log where it does not."""
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [str(self.python), "-m", "synapse.app.homeserver", "-c", "homeserver.yaml"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env={"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC", "HOME": str(self.folder)},
            )  # fmt: skip
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/_matrix/client/versions", timeout=2):
                    return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    said = (self.folder / "output").read_text()[-4000:]
                    raise RuntimeError(f"Synapse did not start:\n{said}") from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it as an operator would; what it took is kept."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def register(self, name: str, password: str = "secret", *, admin: bool = False) -> str:
        """Make an account; return its user id."""
        nonce = self.call("GET", "/_synapse/admin/v1/register")["nonce"]
        parts = "\0".join((nonce, name, password, "admin" if admin else "notadmin")).encode()
        mac = hmac.new(_SECRET.encode(), parts, hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac}
        return str(self.call("POST", "/_synapse/admin/v1/register", body)["user_id"])

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, token: str = "") -> dict[str, Any]:
        """Ask the server as plainly as can be. Raises urllib.error.HTTPError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return dict(json.load(answer))


@contextmanager
def running_synapse() -> Iterator[SynapseServer]:
    """Yield a fresh server; skip, loudly, where there is none."""
    python = synapse_python()
    if python is None:
        pytest.skip("no Matrix server in .tools/matrix: run `make test`, which installs it")
    folder = Path(tempfile.mkdtemp(prefix="glmx"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = SynapseServer(folder, python, port)
    _configure(server)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def synapse() -> Iterator[SynapseServer]:
    """One server for the tests of a file."""
    with running_synapse() as server:
        yield server


def _configure(server: SynapseServer) -> None:
    seed = base64.b64encode(os.urandom(32)).rstrip(b"=").decode()
    (server.folder / "signing.key").write_text(f"ed25519 a_test {seed}\n")
    quiet = {"version": 1, "disable_existing_loggers": False, "root": {"level": "ERROR", "handlers": []}}
    (server.folder / "log.yaml").write_text(json.dumps(quiet))
    listener = {
        "port": server.port, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": False,
        "resources": [{"names": ["client", "media"], "compress": False}],
    }  # fmt: skip
    limits = ("rc_message", "rc_registration", "rc_joins_per_room", "rc_admin_redaction", "rc_reports")
    settings = {
        "server_name": NAME, "listeners": [listener], "pid_file": str(server.folder / "pid"),
        "database": {"name": "sqlite3", "args": {"database": str(server.folder / "homeserver.db")}},
        "log_config": str(server.folder / "log.yaml"), "media_store_path": str(server.folder / "media"),
        "signing_key_path": str(server.folder / "signing.key"), "registration_shared_secret": _SECRET,
        "macaroon_secret_key": "macaroons", "form_secret": "forms", "report_stats": False, "bcrypt_rounds": 4,
        "trusted_key_servers": [], "suppress_key_server_warning": True, "presence": {"enabled": False},
        "enable_registration": False, "url_preview_enabled": False, "max_upload_size": "2M",
        "rc_login": {"address": _MUCH, "account": _MUCH, "failed_attempts": _MUCH},
        "rc_joins": {"local": _MUCH, "remote": _MUCH},
        "rc_invites": {"per_room": _MUCH, "per_user": _MUCH, "per_issuer": _MUCH},
        **dict.fromkeys(limits, _MUCH),
    }  # fmt: skip
    (server.folder / "homeserver.yaml").write_text(json.dumps(settings))
