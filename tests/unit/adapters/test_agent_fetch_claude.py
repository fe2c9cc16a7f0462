"""The fetch script against a real index on this machine: only the pinned program is ever kept."""

import base64
import hashlib
import http.server
import importlib.util
import json
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from types import ModuleType

import package_index
import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "fetch_claude.py"
PROGRAM = b"\x7fELF" + bytes(range(256)) * 20_000


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch_claude", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fetch_claude"] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Index:
    """A package index: pages by path, and the requests it got as (path, authorization)."""

    pages: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""


@pytest.fixture
def index() -> Iterator[Index]:
    answers = Index()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.asked.append((self.path, self.headers["Authorization"]))
            kind, body = answers.pages.get(self.path, ("", b""))
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answers.address = f"http://127.0.0.1:{server.server_address[1]}/simple"
        yield answers
        server.shutdown()


@pytest.fixture
def wheel(script: ModuleType, index: Index, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The wheel that is pinned for this machine, served by ``index``."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(script.MEMBER, PROGRAM)
        archive.writestr("claude_agent_sdk/__init__.py", "evil = 1")
    content = buffer.getvalue()
    pinned = script.Wheel(
        "pinned.whl",
        hashlib.sha256(content).hexdigest(),
        len(content),
        hashlib.sha256(PROGRAM).hexdigest(),
        len(PROGRAM),
    )
    monkeypatch.setattr(script, "wanted", lambda: pinned)
    for name in package_index.INDEX_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", index.address)
    files = [{"filename": "other.whl", "url": "other.whl"}, {"filename": "pinned.whl", "url": "../../files/pinned.whl"}]
    page = json.dumps({"files": files}).encode()
    index.pages["/simple/claude-agent-sdk/"] = ("application/vnd.pypi.simple.v1+json", page)
    index.pages["/files/pinned.whl"] = ("application/octet-stream", content)
    return content


def run(script: ModuleType, folder: Path) -> int:
    code: int = script.main(["--into", str(folder)])
    return code


def test_fetches_once_and_keeps_only_the_program(
    script: ModuleType, index: Index, wheel: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tools" / "claude"
    assert run(script, folder) == 0
    assert (folder / "claude").read_bytes() == PROGRAM
    assert (folder / "claude").stat().st_mode & 0o777 == 0o755
    assert sorted(file.name for file in folder.iterdir()) == ["VERSION", "claude"]
    assert hashlib.sha256(PROGRAM).hexdigest() in (folder / "VERSION").read_text()
    assert "100 %" in capsys.readouterr().err
    assert len(index.asked) == 2
    assert run(script, folder) == 0
    assert len(index.asked) == 2


def test_damaged_program_is_fetched_again(script: ModuleType, wheel: bytes, tmp_path: Path) -> None:
    (tmp_path / "claude").write_bytes(b"half")
    assert run(script, tmp_path) == 0
    assert (tmp_path / "claude").read_bytes() == PROGRAM


@pytest.mark.parametrize("damage", ["changed", "cut", "longer", "no file", "no page", "not json", "no entry"])
def test_anything_else_than_the_pinned_wheel_is_refused_and_nothing_changes(
    script: ModuleType, index: Index, wheel: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    file, page = "/files/pinned.whl", "/simple/claude-agent-sdk/"
    json_type, octets = "application/vnd.pypi.simple.v1+json", "application/octet-stream"
    match damage:
        case "changed":
            index.pages[file] = (octets, wheel[:-1] + bytes([wheel[-1] ^ 1]))
        case "cut":
            index.pages[file] = (octets, wheel[:-100])
        case "longer":
            index.pages[file] = (octets, wheel + b"x" * 5_000_000)
        case "no file":
            del index.pages[file]
        case "no page":
            del index.pages[page]
        case "not json":
            index.pages[page] = (json_type, b"{")
        case "no entry":
            index.pages[page] = (json_type, b'{"files": []}')
    (tmp_path / "claude").write_bytes(b"the former one")
    assert run(script, tmp_path) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["claude"]
    assert (tmp_path / "claude").read_bytes() == b"the former one"
    said = capsys.readouterr().err
    assert "fetch_claude: " in said
    assert "`acp` and `command` work all the same" in said


def test_right_wheel_with_another_program_is_refused(
    script: ModuleType, wheel: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(script.wanted(), program_digest="0" * 64)
    monkeypatch.setattr(script, "wanted", lambda: other)
    assert run(script, tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_older_index_page_is_read_too(script: ModuleType, index: Index, wheel: bytes, tmp_path: Path) -> None:
    page = b'<!doctype html><a href="../../files/pinned.whl#sha256=00">pinned.whl</a><a>no link</a>'
    index.pages["/simple/claude-agent-sdk/"] = ("text/html", page)
    assert run(script, tmp_path) == 0


def test_password_goes_to_its_host_only_and_is_never_shown(
    script: ModuleType, index: Index, wheel: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("PIP_INDEX_URL", index.address.replace("http://", "http://me:s3cret@"))
    basic = "Basic " + base64.b64encode(b"me:s3cret").decode()
    own = index.address.replace("/simple", "/files/pinned.whl")
    for address, given in ((own, basic), (own.replace("127.0.0.1", "localhost"), None)):
        index.asked.clear()
        page = json.dumps({"files": [{"filename": "pinned.whl", "url": address}]}).encode()
        index.pages["/simple/claude-agent-sdk/"] = ("application/json", page)
        assert run(script, tmp_path) == 0
        assert index.asked == [("/simple/claude-agent-sdk/", basic), ("/files/pinned.whl", given)]
        (tmp_path / "claude").unlink()
    del index.pages["/simple/claude-agent-sdk/"]
    assert run(script, tmp_path) == 1
    assert "s3cret" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("machine", "libc", "known"),
    [("x86_64", "glibc", True), ("AMD64", "glibc", True), ("arm64", "glibc", True), ("x86_64", "", False),
     ("riscv64", "glibc", False)],
)  # fmt: skip
def test_machines(script: ModuleType, monkeypatch: pytest.MonkeyPatch, machine: str, libc: str, known: bool) -> None:
    monkeypatch.setattr(script.platform, "machine", lambda: machine)
    monkeypatch.setattr(script.platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(script.sys, "platform", "linux")
    if known:
        assert script.wanted().filename.endswith(".whl")
    else:
        with pytest.raises(script.FetchError, match="there is no wheel for linux"):
            script.wanted()
