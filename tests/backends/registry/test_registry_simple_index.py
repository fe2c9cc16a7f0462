"""The package index over real sockets: right, wrong and hostile answers, passwords, proxies."""

import hashlib
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import greylag
from greylag.adapters.registry.backends.simple_index import SimpleIndex
from greylag.adapters.registry.port import Pinned
from greylag.domain.errors import BackendError, GreylagError, IntegrityError, OperatorError, RequestRefused
from greylag.domain.stages import Stage
from tests.support.permits import permit

TARGET = "host:package-registry"
FILE = b"the bytes of a source distribution"
WANTED = Pinned("More.Itertools", "10.8.0", hashlib.sha256(FILE).hexdigest())
NAME = "more_itertools-10.8.0.tar.gz"
Answer = tuple[int, str, bytes]


class Index:
    """A web server with fixed answers by path, and what it was asked."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                status, kind, body = outer.answers.get(self.path, (404, "text/plain", b"no"))
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                if status in (301, 302):
                    self.send_header("location", "/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}/simple"

    def page(self, link: str = f"../../files/{NAME}", name: str = NAME) -> None:
        body = json.dumps({"meta": {}, "files": [{"filename": "x.whl", "url": "x"}, {"filename": name, "url": link}]})
        self.answers["/simple/more-itertools/"] = (200, "application/vnd.pypi.simple.v1+json", body.encode())

    def file(self, content: bytes = FILE) -> None:
        self.answers[f"/files/{NAME}"] = (200, "application/gzip", content)


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Index]:
    index = Index(tls)
    thread = threading.Thread(target=index.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield index
    finally:
        index.server.shutdown()
        index.server.server_close()
        thread.join()


@pytest.fixture
def index() -> Iterator[Index]:
    with serving() as found:
        found.page()
        found.file()
        yield found


async def fetch(env: dict[str, str], wanted: Pinned = WANTED) -> bytes:
    return await SimpleIndex(TARGET, env).fetch(permit(Stage.TOOL, TARGET), wanted)


async def refusal(env: dict[str, str], wanted: Pinned = WANTED) -> GreylagError:
    with pytest.raises(GreylagError) as raised:
        await fetch(env, wanted)
    assert raised.value.remedy
    return raised.value


@pytest.mark.parametrize("variable", ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"])
async def test_a_pinned_file_comes_from_the_index_that_is_set(index: Index, variable: str) -> None:
    assert await fetch({variable: f"{index.url}/"}) == FILE
    assert [path for path, _ in index.asked] == ["/simple/more-itertools/", f"/files/{NAME}"]


async def test_an_older_index_answers_in_html(index: Index) -> None:
    page = f'<!DOCTYPE html><a href="x.whl">x</a><A class=z HREF="../../files/{NAME}#sha256=0">{NAME}</A>'
    index.answers["/simple/more-itertools/"] = (200, "text/html; charset=utf-8", page.encode())
    assert await fetch({"PIP_INDEX_URL": index.url}) == FILE


async def test_another_file_than_the_pinned_one_is_not_given_out(index: Index) -> None:
    index.file(FILE + b"!")
    error = await refusal({"PIP_INDEX_URL": index.url})
    assert isinstance(error, BackendError)
    assert (error.code, error.transient) == ("GL-REGISTRY-004", False)
    assert WANTED.sha256 in error.message
    assert hashlib.sha256(FILE + b"!").hexdigest() in error.message


async def test_a_permit_for_something_else_is_not_enough(index: Index) -> None:
    for wrong in (permit(Stage.TOOL, "host:elsewhere"), permit(Stage.PUSH, TARGET)):
        with pytest.raises(IntegrityError):
            await SimpleIndex(TARGET, {"PIP_INDEX_URL": index.url}).fetch(wrong, WANTED)
    assert index.asked == []


async def test_unknown_projects_and_versions_are_the_askers_to_mend(index: Index) -> None:
    env = {"PIP_INDEX_URL": index.url}
    for wanted in (Pinned("nobody-has-this", "1", "0" * 64), Pinned("more-itertools", "10.8.1", "0" * 64)):
        error = await refusal(env, wanted)
        assert isinstance(error, RequestRefused)
        assert error.code == "GL-REGISTRY-002"


@pytest.mark.parametrize(
    "answer",
    [
        (200, "application/vnd.pypi.simple.v1+json", b"{"),
        (200, "application/vnd.pypi.simple.v1+json", b"[]"),
        (200, "application/vnd.pypi.simple.v1+json", b'{"files": [7]}'),
        (200, "application/vnd.pypi.simple.v1+json", b'{"files": ' + b"[" * 200_000),
        (200, "text/html", b"\xff\xfe"),
        (403, "text/html", b"no"),
        (500, "text/html", b"no"),
    ],
)
async def test_pages_that_are_none(index: Index, answer: Answer) -> None:
    index.answers["/simple/more-itertools/"] = answer
    error = await refusal({"PIP_INDEX_URL": index.url})
    assert isinstance(error, BackendError)
    assert (error.code, error.transient) == ("GL-REGISTRY-003", answer[0] >= 500)


async def test_html_without_links_has_no_such_file(index: Index) -> None:
    index.answers["/simple/more-itertools/"] = (200, "text/html", b"<![x <a <a href> <!-- <a href='" + b"<a " * 9000)
    assert (await refusal({"PIP_INDEX_URL": index.url})).code in ("GL-REGISTRY-002", "GL-REGISTRY-003")


@pytest.mark.parametrize(
    "link",
    [
        "file:///etc/passwd", "ftp://127.0.0.1/x", "http://[::1/x", "http://127.0.0.1:99999/x", "/a b", "/a\nb", "/é",
        "/%2e%2e/x", "/a/%2E%2E/x", "http://user:password@127.0.0.1/x", "javascript:1", "mailto:a@example.org",
    ],
)  # fmt: skip
async def test_links_that_are_not_followed(index: Index, link: str) -> None:
    index.page(link)
    assert (await refusal({"PIP_INDEX_URL": index.url})).code == "GL-REGISTRY-003"
    assert len(index.asked) == 1


async def test_a_redirect_is_not_followed(index: Index) -> None:
    index.answers[f"/files/{NAME}"] = (302, "text/plain", b"")
    assert (await refusal({"PIP_INDEX_URL": index.url})).code == "GL-EGRESS-014"
    assert "/elsewhere" not in [path for path, _ in index.asked]


FETCH = """
import asyncio, os
from greylag.adapters.registry.backends.simple_index import SimpleIndex
from greylag.adapters.registry.port import Pinned
from greylag.app.settings import package_index_environment
from greylag.domain.stages import Stage
from tests.support.permits import permit
registry = SimpleIndex("host:package-registry", package_index_environment())
wanted = Pinned("more-itertools", "10.8.0", os.environ["WANTED"])
print(len(asyncio.run(registry.fetch(permit(Stage.TOOL, registry.target), wanted))))
"""


def self_signed(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for 127.0.0.1, as a server's context and as the file that makes clients trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an index")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    public, private = folder / "public.pem", folder / "private.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    unencrypted = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unencrypted))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


def test_the_machines_certificates_count_and_a_password_goes_to_the_indexs_own_host_alone(tmp_path: Path) -> None:
    tls, trusted = self_signed(tmp_path)
    with serving(tls) as index, serving(tls) as files:
        index.page(f"https://{files.host}/files/{NAME}")
        files.file()
        root = Path(__file__).parents[3]
        env = {
            "PIP_INDEX_URL": f"https://me:se%2Fcret@{index.host}/simple", "WANTED": WANTED.sha256,
            "PYTHONPATH": f"{Path(greylag.__file__).parents[1]}:{root}", "PATH": os.environ["PATH"],
        }  # fmt: skip
        command = [sys.executable, "-c", FETCH]
        unknown = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        known = subprocess.run(
            command, env={**env, "SSL_CERT_FILE": str(trusted)}, capture_output=True, text=True, timeout=60, check=False
        )
    assert "GL-EGRESS-015" in unknown.stderr
    assert "cret" not in unknown.stderr
    assert known.stdout == f"{len(FILE)}\n", known.stderr
    assert [headers.get("authorization") for _, headers in index.asked] == ["Basic bWU6c2UvY3JldA=="]
    assert [headers.get("authorization") for _, headers in files.asked] == [None]


async def test_a_password_never_travels_in_the_open(index: Index) -> None:
    error = await refusal({"PIP_INDEX_URL": f"http://me:secret@{index.host}/simple"})
    assert isinstance(error, OperatorError)
    assert error.code == "GL-REGISTRY-005"
    assert "secret" not in str(error)
    assert index.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///simple",
        "pypi.org/simple",
        "https://",
        "https://host:port/simple",
        "ftp://host/simple",
        "https://h/s?x=1",
    ],
)
async def test_settings_that_name_no_index(url: str) -> None:
    error = await refusal({"PIP_INDEX_URL": url})
    assert isinstance(error, OperatorError)
    assert error.code == "GL-REGISTRY-005"


async def test_an_index_that_is_away_can_be_tried_again() -> None:
    with serving() as gone:
        url = gone.url
    error = await refusal({"PIP_INDEX_URL": url})
    assert isinstance(error, BackendError)
    assert (error.code, error.transient) == ("GL-EGRESS-010", True)


async def test_the_proxy_that_is_set_is_used_and_no_proxy_is_kept(index: Index) -> None:
    with serving() as proxy:
        proxy.answers["http://index.example/simple/more-itertools/"] = (404, "text/plain", b"")
        env = {"PIP_INDEX_URL": "http://index.example/simple", "HTTP_PROXY": proxy.host}
        assert (await refusal(env)).code == "GL-REGISTRY-002"
        assert [path for path, _ in proxy.asked] == ["http://index.example/simple/more-itertools/"]
        env = {"PIP_INDEX_URL": index.url, "http_proxy": f"http://{proxy.host}", "NO_PROXY": "example.org, 127.0.0.1"}
        assert await fetch(env) == FILE
        assert len(proxy.asked) == 1
