"""A hostile agent looks for what the host has: its environment, files, keys, ports, and other tasks. It finds nothing.

What it could do to the host by way of the repository (hooks, filters, configuration, links) is never done.
"""

import json
import shlex
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flow_stage import CALC, MEND, Stage, git, make_repository, script, staged

from greylag.adapters.sandbox.port import HOME

MARK = "PLANTED-5ecret-"
LOOK = """
import os, pathlib, socket, sys

mark, places, ports, sockets = MARK, PLACES, PORTS, SOCKETS
got = []

def look(what, path, limit=1 << 20):
    try:
        with open(path, "rb") as file:
            content = file.read(limit)
    except OSError:
        return
    if mark in content:
        got.append(f"{what} {path}")
    elif what == "opened":
        got.append(f"opened {path}")

for name, value in os.environ.items():
    if mark.decode() in value:
        got.append(f"environment {name}")
for process in pathlib.Path("/proc").glob("[0-9]*"):
    for name in ("environ", "cmdline"):
        look("process", process / name)
    for place in places:
        look("opened", str(process / "root") + place)
for place in places:
    look("opened", place)
for top, folders, files in os.walk("/"):
    tools = {"/usr", "/proc", "/sys", "/lib", os.environ.get("VIRTUAL_ENV", "")}
    folders[:] = [name for name in folders if os.path.join(top, name) not in tools and name != "site-packages"]
    for name in files:
        path = os.path.join(top, name)
        if os.path.isfile(path) and not path.startswith(("/workspace/.git/", "/workspace/found")):
            look("content", path)
for host, port in ports:
    try:
        socket.create_connection((host, port), 0.5).close()
        got.append(f"connected {host}:{port}")
    except OSError:
        pass
for address in sockets:
    try:
        end = socket.socket(socket.AF_UNIX)
        end.settimeout(0.5)
        end.connect(address)
        got.append(f"connected {address!r}")
    except OSError:
        pass
try:
    got.append(f"resolved {socket.getaddrinfo('example.org', 443)[0][4]}")
except OSError:
    pass
"""


def looker(mark: str, places: list[str], ports: list[tuple[str, int]], sockets: list[str]) -> str:
    # The mark is put together inside, so that the looker doesn't find itself.
    half = len(mark) // 2
    program = LOOK.replace("MARK,", f"({mark[:half]!r} + {mark[half:]!r}).encode(),", 1)
    return program.replace("PLACES", repr(places)).replace("PORTS", repr(ports)).replace("SOCKETS", repr(sockets))


@pytest.fixture(scope="module")
def listening() -> Iterator[int]:
    """A port of this machine that takes every connection."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        ended = threading.Event()

        def take() -> None:
            server.settimeout(0.2)
            while not ended.is_set():
                try:
                    server.accept()[0].close()
                except OSError:
                    continue

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        thread.join(5)


@pytest.fixture(scope="module")
def stage(listening: int) -> Iterator[Stage]:
    secrets = {"GREYLAG_PLANTED": f"{MARK}env", "AWS_SECRET_ACCESS_KEY": f"{MARK}aws", "SSH_AUTH_SOCK": "/tmp/x"}
    with staged(env=secrets) as running:
        person = Path(running.env["HOME"])
        for name in (".netrc", ".ssh/id_ed25519", ".aws/credentials", ".config/gh/hosts.yml", ".claude.json"):
            (person / name).parent.mkdir(parents=True, exist_ok=True)
            (person / name).write_text(f"{MARK}{name}\n")
        yield running


def host_places(stage: Stage) -> list[str]:
    cell = stage.home / "cells" / "local"
    found = [path for path in cell.rglob("*") if path.is_file() and path.parent.name in ("keys", "vault", "engine")]
    person = Path(stage.env["HOME"])
    return [
        *map(str, found), f"{stage.home}/operator.token", f"{stage.home}/control.db", f"{cell}/ledger.db",
        f"{person}/.netrc", f"{person}/.ssh/id_ed25519", "/root/.netrc", "/etc/shadow", f"{HOME}/.netrc",
        "/var/run/docker.sock", "/dev/mem",
    ]  # fmt: skip


def test_what_the_host_has_is_not_reachable_from_agent_or_checks(stage: Stage, listening: int, tmp_path: Path) -> None:
    other = stage.start(
        "adding subtracts, fix it", stage.calc(tmp_path), script(f"echo {MARK}other > mine", "sleep 60")
    )
    workspaces = stage.home / "cells" / "local" / "workspaces"
    stage.until(other, lambda _: any(workspaces.glob(f"{other}/*/mine")))
    theirs = next(workspaces.glob(f"{other}/*/mine"))
    platform = int(stage.url.rsplit(":", 1)[1])
    ports = [
        ("127.0.0.1", listening),
        ("127.0.0.1", platform),
        ("169.254.169.254", 80),
        ("127.0.0.1", 8080),
        ("10.0.2.2", 22),
    ]
    ports += [(address, listening) for address in addresses()]
    sockets = ["\0/tmp/.X11-unix/X0", "/run/dbus/system_bus_socket", *map(str, stage.home.rglob("*.sock"))]
    program = looker(MARK, [str(theirs), *host_places(stage)], ports, sockets)
    files = {**CALC, "bait.txt": f"{MARK}bait\n"}  # what it is meant to find: that it can look at all
    name = stage.calc(tmp_path, files)
    check = program + "\n\ndef test_nothing_is_reachable():\n    assert got == ['content /workspace/bait.txt']\n"
    agent = program + (
        "\nopen('found.txt', 'w').write('\\n'.join(got))\n"
        f"open('test_reach.py', 'w').write({check!r})\n"
        f"os.execvp('sed', {list(MEND)!r})\n"
    )  # fmt: skip

    task = stage.ask("adding subtracts, fix it", name, ["python3", "-c", agent])

    assert (task["status"], task["runs"][0]["status"]) == ("in_review", "passed"), stage.thread(task["task_id"])
    diff = stage.content(task["task_id"], "diff").decode()
    found = [line[1:] for line in diff.split("b/found.txt")[-1].split("diff --git")[0].splitlines() if line[:1] == "+"]
    assert [line for line in found if not line.startswith("++")] == ["content /workspace/bait.txt"]
    stage.post(f"/tasks/{other}/stop", {})
    stage.rest(other)


def addresses() -> list[str]:
    """Every address that this machine has besides loopback, as far as a look without a packet tells."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]


def test_nothing_that_an_agent_plants_runs_on_the_host(stage: Stage, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    ran.mkdir()
    ran.chmod(0o777)
    name = stage.calc(tmp_path, {**CALC, "data.evil": "x\n", ".gitattributes": "*.evil filter=evil diff=evil\n"})

    tidies = 'grep -q "without the links" "$GREYLAG_PROMPT_FILE" && rm leak-*'
    task = stage.ask("adding subtracts, fix it", name, script(*planting(ran), shlex.join(MEND), f"{tidies} || true"))

    assert task["status"] == "handed_over"
    assert "GL-BUILD-004" in stage.thread(task["task_id"])  # a link that leads out of the repository
    assert (stage.home / "operator.token").read_text().strip().encode() not in stage.content(task["task_id"], "diff")

    task = stage.reply(task["task_id"], "the same without the links")

    assert task["status"] == "in_review", stage.thread(task["task_id"])
    assert "calc.py" in task["files"]
    assert not any(each.startswith(".git/") for each in task["files"])
    diff = stage.content(task["task_id"], "diff").decode()
    assert (stage.home / "operator.token").read_text().strip() not in diff
    assert "root:" not in diff
    assert stage.approve(task)["status"] == "merged"
    stage.clone(name, tmp_path / "copy")
    assert list(ran.iterdir()) == []


def planting(ran: Path) -> list[str]:
    """Everything that makes a careless git, editor or build run something, each leaving a mark of its own."""
    hooks = (
        "pre-commit",
        "post-checkout",
        "post-commit",
        "post-merge",
        "pre-push",
        "reference-transaction",
        "post-index-change",
    )
    lines = ["mkdir -p .git/hooks .git/info evil-hooks"]
    for hook in hooks:
        for folder in (".git/hooks", "evil-hooks"):
            lines.append(f"printf '#!/bin/sh\\ntouch {ran}/{hook}\\n' > {folder}/{hook}; chmod 755 {folder}/{hook}")
    settings = {
        "core.hooksPath": "/workspace/evil-hooks", "core.fsmonitor": f"touch {ran}/fsmonitor",
        "core.sshCommand": f"touch {ran}/ssh", "core.editor": f"touch {ran}/editor", "core.pager": f"touch {ran}/pager",
        "filter.evil.clean": f"touch {ran}/clean; cat", "filter.evil.smudge": f"touch {ran}/smudge; cat",
        "filter.evil.process": f"touch {ran}/process", "filter.evil.required": "true",
        "diff.evil.textconv": f"touch {ran}/textconv; cat", "diff.evil.command": f"touch {ran}/diff",
        "diff.external": f"touch {ran}/external", "credential.helper": f"!touch {ran}/credential",
        "gpg.program": f"{ran}/gpg", "commit.gpgSign": "true", "uploadpack.packObjectsHook": f"touch {ran}/pack",
        "core.alternateRefsCommand": f"touch {ran}/alternates", "alias.status": f"!touch {ran}/alias",
        "core.worktree": "/", "include.path": "/etc/passwd", "url./etc/.insteadOf": "/workspace",
    }  # fmt: skip
    text = "".join(
        f"[{key.rpartition('.')[0]}]\n\t{key.rpartition('.')[2]} = {json.dumps(value)}\n"
        for key, value in settings.items()
    )
    text = text.replace("[filter.evil]", '[filter "evil"]').replace("[diff.evil]", '[diff "evil"]')
    lines += [
        f"printf %s {shlex.quote(text)} >> .git/config",
        "echo '* filter=evil diff=evil' > .git/info/attributes",
        "echo / > .git/objects/info/alternates",
        "ln -sf /etc/passwd leak-passwd",
        f"ln -sf {ran}/../../operator.token leak-token",
        "echo changed > data.evil",
        "printf 'import os\\nos.system(\"true\")\\n' > sitecustomize.py",
    ]
    return lines


def test_nothing_in_an_imported_repository_runs_on_the_host(stage: Stage, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    ran.mkdir()
    origin = make_repository(
        tmp_path / "origin", {**CALC, "data.evil": "x\n", ".gitattributes": "*.evil filter=evil\n"}
    )
    git(origin, "config", "filter.evil.clean", f"touch {ran}/clean; cat")
    git(origin, "config", "filter.evil.smudge", f"touch {ran}/smudge; cat")
    git(origin, "config", "core.fsmonitor", f"touch {ran}/fsmonitor")
    git(origin, "config", "uploadpack.packObjectsHook", f"touch {ran}/pack")
    (origin / ".git" / "hooks").mkdir(exist_ok=True)
    (origin / ".git" / "hooks" / "reference-transaction").write_text(f"#!/bin/sh\ntouch {ran}/hook\n")
    (origin / ".git" / "hooks" / "reference-transaction").chmod(0o755)
    for mark in ran.iterdir():  # what the test's own git ran while it was set up
        mark.unlink()

    stage.add("imported", origin)

    assert stage.approve(stage.ask("adding subtracts, fix it", "imported"))["status"] == "merged"
    assert list(ran.iterdir()) == []
