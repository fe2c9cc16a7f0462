"""Smart HTTP with the real git client over a real server on a free port."""

import asyncio
import contextlib
import gzip
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn

from greylag.adapters.forge.backends.builtin import BuiltinForge
from greylag.adapters.forge.conformance import FILES, TEXT
from greylag.adapters.forge.http import HttpBounds, smart_http
from greylag.domain.errors import BackendError
from greylag.domain.stages import Stage
from tests.support.permits import permit

_ADA = ("ada", "token")


def _authorise(user: str, password: str, repository: str, service: str) -> str | None:
    known = {"ada": "token", "reader": "token"}
    if known.get(user) != password or (user == "reader" and service == "git-receive-pack"):
        return None
    return None if repository == "closed" else user


@dataclass
class Site:
    """A forge, its web address and a folder to clone into."""

    forge: BuiltinForge
    url: str
    folder: Path
    commit: str

    async def git(self, *arguments: str, user: str = "ada", at: str = ".") -> subprocess.CompletedProcess[str]:
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        address = self.url.replace("://", f"://{user}:token@")
        words = [
            "git",
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            *(word.replace("URL", address) for word in arguments),
        ]
        return await asyncio.to_thread(
            subprocess.run,
            words,
            cwd=self.folder / at,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    async def get(self, path: str, **more) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.request(more.pop("method", "GET"), self.url + path, auth=more.pop("auth", _ADA), **more)


@contextlib.asynccontextmanager
async def _served(app) -> AsyncIterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=2))
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    forge = BuiltinForge(tmp_path / "forge")
    push = permit(Stage.PUSH, "builtin")
    commit = await forge.create(push, "service", FILES, frozenset(), TEXT)
    await forge.create(push, "closed", FILES, frozenset(), TEXT)
    async with _served(smart_http(forge.root, _authorise)) as url:
        yield Site(forge, url, tmp_path, commit)


async def test_clone_branch_push_and_fetch(site: Site) -> None:
    cloned = await site.git("clone", "-q", "URL/service.git", "work")
    assert cloned.returncode == 0, cloned.stderr
    assert (site.folder / "work/README.md").read_bytes() == FILES["README.md"]
    (site.folder / "work/new").write_bytes(os.urandom(3_000_000))  # over git's buffer: sent in chunks
    await site.git("checkout", "-q", "-b", "topic", at="work")
    await site.git("add", "new", at="work")
    await site.git("commit", "-qm", "new", at="work")
    pushed = await site.git("push", "origin", "topic", at="work")
    assert pushed.returncode == 0, pushed.stderr
    there = await site.forge.head("service", "topic")
    assert there == (await site.git("rev-parse", "HEAD", at="work")).stdout.strip()
    assert (await site.git("clone", "-q", "-b", "topic", "URL/service", "again")).returncode == 0
    assert (await site.git("push", "origin", ":topic", at="work")).returncode == 0
    shallow = await site.git("clone", "-q", "--depth", "1", "URL/service.git", "shallow")
    assert shallow.returncode == 0, shallow.stderr


async def test_protected_refs_refuse_every_push(site: Site) -> None:
    await site.git("clone", "-q", "URL/service.git", "work")
    await site.git("commit", "-q", "--allow-empty", "-m", "x", at="work")
    for target, why in (
        ("HEAD:main", "refs/heads/main is protected"),
        (":main", "refs/heads/main is protected"),
        ("HEAD:greylag/task_1", "refs/heads/greylag/task_1 belongs to the platform"),
        ("HEAD:refs/notes/x", "only branches and tags"),
        ("HEAD:refs/greylag/x", "refs/greylag/x"),
        ("HEAD:refs/changes/1", "only branches and tags"),
    ):
        pushed = await site.git("push", "-f", "origin", target, at="work")
        assert pushed.returncode != 0
        assert why in pushed.stderr, pushed.stderr
    both = await site.git("push", "origin", "HEAD:fine", "HEAD:main", at="work")
    assert both.returncode != 0
    assert await site.forge.head("service", "main") == site.commit
    with pytest.raises(Exception, match="GL-FORGE-005"):
        await site.forge.head("service", "fine")
    assert (await site.git("push", "origin", "HEAD:refs/tags/v1", at="work")).returncode == 0
    await site.git("commit", "-q", "--allow-empty", "-m", "y", at="work")
    moved = await site.git("push", "-f", "origin", "HEAD:refs/tags/v1", at="work")
    assert "tags are never moved" in moved.stderr


async def test_a_changed_hook_is_put_back(site: Site) -> None:
    (site.forge.root / "service.git/hooks/pre-receive").unlink()
    await site.git("clone", "-q", "URL/service.git", "work")
    await site.git("commit", "-q", "--allow-empty", "-m", "x", at="work")
    assert "is protected" in (await site.git("push", "origin", "HEAD:main", at="work")).stderr


async def test_malicious_objects_are_refused(site: Site) -> None:
    await site.git("clone", "-q", "URL/service.git", "work")
    tree = (await site.git("rev-parse", "HEAD^{tree}", at="work")).stdout.strip()
    raw = b"40000 .git\0" + bytes.fromhex(tree)
    made = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--literally", "--stdin"], cwd=site.folder / "work", input=raw,
        capture_output=True, check=True,
    )  # fmt: skip
    commit = (await site.git("commit-tree", made.stdout.decode().strip(), "-m", "evil", at="work")).stdout.strip()
    pushed = await site.git("push", "origin", f"{commit}:refs/heads/evil", at="work")
    assert pushed.returncode != 0
    assert "hasDotgit" in pushed.stderr


async def test_who_may_do_what(site: Site) -> None:
    assert (await site.git("clone", "-q", "URL/service.git", "a", user="reader")).returncode == 0
    await site.git("commit", "-q", "--allow-empty", "-m", "x", at="a")
    assert (await site.git("push", "origin", "HEAD:topic", at="a", user="reader")).returncode != 0
    assert (await site.git("clone", "-q", "URL/service.git", "b", user="mallory")).returncode != 0
    path = "/service.git/info/refs?service=git-upload-pack"
    for auth in (None, ("ada", "wrong"), ("", "")):
        answer = await site.get(path, auth=auth)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
    for header in ("Basic", "Basic !!!", "Bearer token", "Basic " + "A" * 5000, "Basic /w=="):
        assert (await site.get(path, auth=None, headers={"authorization": header})).status_code == 401
    assert (await site.get("/closed.git/info/refs?service=git-upload-pack")).status_code == 401
    missing = "/nothing.git/info/refs?service=git-upload-pack"
    assert (await site.get(missing, auth=None)).status_code == 401  # strangers don't learn what there is
    assert (await site.get(missing)).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../service.git/info/refs?service=git-upload-pack", "/service.git/../service.git/HEAD", "/service.git/HEAD",
        "/service.git/objects/info/packs", "/service.git/config", "/%2e%2e/service.git/info/refs",
        "/", "/.scratch/info/refs",
        "/service.git%00/info/refs", "/SERVICE.git/info/refs", "/service.git/info/refs/", "/a/service.git/info/refs",
        "/service.git\n/info/refs", "/.home/info/refs", "/service.git.git.git/info/refs",
    ],
)  # fmt: skip
async def test_other_paths_are_not_there(path: str, site: Site) -> None:
    target = path.replace("\n", "%0a").encode()  # as it is: a client library would tidy it up
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    writer.write(
        b"GET " + target + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Basic YWRhOnRva2Vu\r\n\r\n"
    )
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.split()[1] in {b"403", b"404"}, answer
    assert b"ref" not in answer.partition(b"\r\n\r\n")[2]


async def test_requests_of_the_wrong_shape(site: Site) -> None:
    assert (await site.get("/service.git/info/refs")).status_code == 403
    assert (await site.get("/service.git/info/refs?service=git-evil")).status_code == 403
    assert (await site.get("/service.git/info/refs?service=git-upload-pack", method="POST")).status_code == 405
    assert (await site.get("/service.git/git-upload-pack")).status_code == 405
    post = {"method": "POST", "content": b"0000"}
    assert (await site.get("/service.git/git-upload-pack", **post)).status_code == 415
    good = {"content-type": "application/x-git-upload-pack-request"}
    odd = await site.get("/service.git/git-upload-pack", **post, headers={**good, "git-protocol": "version=2\t;$(x)"})
    assert odd.status_code == 200


async def test_a_gzipped_request_is_understood(site: Site) -> None:
    body = gzip.compress(b"0014command=ls-refs\n0000")
    headers = {
        "content-type": "application/x-git-upload-pack-request", "content-encoding": "gzip",
        "git-protocol": "version=2",
    }  # fmt: skip
    answer = await site.get("/service.git/git-upload-pack", method="POST", content=body, headers=headers)
    assert answer.status_code == 200
    assert site.commit.encode() in answer.content
    assert answer.headers["content-type"] == "application/x-git-upload-pack-result"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_bounds(tmp_path: Path) -> None:
    forge = BuiltinForge(tmp_path / "forge")
    commit = await forge.create(permit(Stage.PUSH, "builtin"), "service", FILES, frozenset(), TEXT)
    bounds = HttpBounds(fetch_request_bytes=100_000, push_request_bytes=100_000, idle_seconds=0.5, at_once=1)

    async def late(user: str, password: str, repository: str, service: str) -> str | None:
        return user

    async with _served(smart_http(forge.root, late, bounds=bounds)) as url:
        site = Site(forge, url, tmp_path, commit)
        headers = {"content-type": "application/x-git-receive-pack-request"}
        big = {"method": "POST", "headers": headers}
        assert (await site.get("/service.git/git-receive-pack", **big, content=b"x" * 100_001)).status_code == 413

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(200):
                yield b"0" * 1000

        with contextlib.suppress(httpx.HTTPError):  # git has begun to answer: then the stream is broken off
            assert (await site.get("/service.git/git-receive-pack", **big, content=chunks())).status_code in {200, 413}

        async def stalled() -> AsyncIterator[bytes]:
            yield b"00"
            await asyncio.sleep(1.5)

        slow = asyncio.ensure_future(site.get("/service.git/git-receive-pack", **big, content=stalled()))
        await asyncio.sleep(0.2)
        busy = await site.get("/service.git/info/refs?service=git-upload-pack")
        assert busy.status_code == 503
        assert busy.headers["retry-after"] == "5"
        with contextlib.suppress(httpx.HTTPError):
            assert (await slow).status_code == 504
        await asyncio.sleep(0.2)
        assert (await site.get("/service.git/info/refs?service=git-upload-pack")).status_code == 200


async def test_the_child_ends_when_the_client_goes(site: Site) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    writer.write(
        b"POST /service.git/git-receive-pack HTTP/1.1\r\nhost: x\r\nauthorization: Basic YWRhOnRva2Vu\r\n"
        b"content-type: application/x-git-receive-pack-request\r\ncontent-length: 1000\r\n\r\n0000"
    )
    await writer.drain()
    home = str(site.forge.root / ".home")
    await _until(lambda: _children(home) > 0)
    writer.close()
    await writer.wait_closed()
    await _until(lambda: _children(home) == 0)


def _children(home: str) -> int:
    count = 0
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            count += process.name.isdigit() and f"HOME={home}".encode() in (process / "environ").read_bytes()
    return count


async def _until(holds) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.05)


async def test_a_push_and_an_import_with_a_password(site: Site, tmp_path: Path) -> None:
    other = BuiltinForge(tmp_path / "other")
    address = site.url.replace("://", "://ada:token@")
    push = permit(Stage.PUSH, "builtin")
    assert await other.import_repository(push, "copy", f"{address}/service.git", None) == "main"
    assert await other.head("copy", "main") == site.commit
    kept = b"".join(path.read_bytes() for path in (other.root / "copy.git").rglob("*") if path.is_file())
    assert b"token" not in kept
    with pytest.raises(Exception, match="GL-FORGE-002"):
        await other.import_repository(push, "no", f"{site.url}/service.git", None)


async def test_an_abandoned_lock_does_not_stop_the_platform(site: Site) -> None:
    lock = site.forge.root / "service.git/refs/heads/topic.lock"
    lock.touch()
    push = permit(Stage.PUSH, "builtin")
    with pytest.raises(BackendError) as busy:
        await site.forge.push(push, "service", "topic", site.commit, b"", TEXT)
    assert busy.value.transient
    os.utime(lock, (1, 1))
    assert await site.forge.push(push, "service", "topic", site.commit, b"", TEXT)
