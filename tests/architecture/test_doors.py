"""What imports can't show: who mints permits, starts programs, opens connections, reads the environment, prints."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.source import PACKAGE, ROOT, Module, modules, uses

STARTS_A_PROCESS = re.compile(
    r"asyncio\.(create_)?subprocess(_exec|_shell)|.*\.subprocess_(exec|shell)"
    r"|os\.(system|popen|fork|forkpty|exec[lv]p?e?|spawn[lv]p?e?|posix_spawnp?|startfile)|pty\.(fork|spawn)"
    r"|subprocess\.\w+|multiprocessing\..*|concurrent\.futures\.(process\..*|ProcessPoolExecutor)|runpy\..*"
)
MAY_START_PROCESSES = ("greylag.adapters.sandbox.", "greylag.adapters.forge.")

OPENS_A_CONNECTION = re.compile(
    r"asyncio\.open_(unix_)?connection|.*\.create_(unix_)?connection|socket\.(create_connection|getaddrinfo|gethostby.*)"
    r"|.*\.(sock_)?connect(_ex)?|urllib\.request(\..*)?|http\.client(\..*)?|aiohttp\..*|httpx\..*"
)
#: Module: why it may call something that reads like opening a connection. None of them leaves the machine by itself.
MAY_CONNECT = {
    "greylag.egress.http": "the one HTTP client",
    "greylag.app.client.session": "the command line asks its own platform",
    "greylag.app.demo.showing": "opens a copy of the ledger's SQLite file, to change one byte of it",
    "greylag.app.demo.music": "the demo calls the service it released",
    "greylag.app.fake_slack.dispatching": "the stand-in for Slack calls the app in HTTP mode, as Slack does",
    "greylag.adapters.chat.backends.matrix.devices": "a SQLite file",
    "greylag.adapters.models.listener": "asks a socket file whether somebody listens there",
    "greylag.adapters.models.conformance": "plays the agent's part, over the gateway's socket file",
    "greylag.adapters.sandbox.backends.bubblewrap.gateway": "hands on from a sandbox to the gateway's socket file",
    "greylag.adapters.store.database": "the operator's own database, SQLAlchemy",
    "greylag.adapters.engine.slots": "the operator's own database, psycopg",
    "greylag.adapters.engine.cell": "a SQLite file",
    "greylag.adapters.engine.backends.dbos": "a method of its own with that name",
}

READS_THE_ENVIRONMENT = re.compile(r"os\.(environb?|getenvb?|putenv|unsetenv)(\..*)?")
MAY_READ_THE_ENVIRONMENT = {
    "greylag.app.settings": "the one reader",
    "greylag.adapters.engine.cell": "the engine refuses to run where DBOS would phone its cloud",
    "greylag.adapters.sandbox.conformance": "plants a secret and looks for it inside",
    "greylag.adapters.agents.conformance": "plants a secret and looks for it inside",
}


def offenders(pattern: re.Pattern[str], allowed: Callable[[Module], bool]) -> list[str]:
    """Return every use of a name that ``pattern`` matches in a module that is not ``allowed``."""
    return [
        f"{module.where(node)} {name}"
        for module in modules()
        if not allowed(module)
        for name, node in uses(module)
        if pattern.fullmatch(name) and not name.startswith("greylag.")
    ]


def test_only_the_door_mints_permits() -> None:
    makers = {"greylag.egress.permit.mint", "greylag.egress.permit.Permit", "greylag.egress.permit._SEAL"}
    seen = {
        (module.name, name)
        for module in modules()
        for name, node in uses(module)
        if name in makers - {"greylag.egress.permit.Permit"}
    }
    assert seen == {("greylag.egress.door", "greylag.egress.permit.mint")}


def test_nobody_builds_a_permit_by_hand() -> None:
    built = [
        module.where(node)
        for module in modules()
        if module.name != "greylag.egress.permit"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("Permit", "replace")
        and any("permit" in ast.unparse(argument).lower() for argument in node.args[:1])
    ]  # fmt: skip
    assert built == []


def test_only_sandbox_and_forge_start_processes() -> None:
    assert offenders(STARTS_A_PROCESS, lambda module: module.name.startswith(MAY_START_PROCESSES)) == []


def test_only_the_door_opens_connections() -> None:
    assert offenders(OPENS_A_CONNECTION, lambda module: module.name in MAY_CONNECT) == []


#: Client library of a chat: the one package that may import it (decision 19).
CHAT_CLIENTS = {
    "slack_sdk": "greylag.adapters.chat.backends.slack",
    "slack_bolt": "greylag.adapters.chat.backends.slack",
    "nio": "greylag.adapters.chat.backends.matrix",
}


def test_each_chat_client_lives_in_one_package() -> None:
    strangers = [
        f"{module.name} -> {name}"
        for module in modules()
        for name in set(imports(module.tree))
        if (home := CHAT_CLIENTS.get(name.split(".")[0])) and not f"{module.name}.".startswith(f"{home}.")
    ]
    assert strangers == []


#: The verbs of `greylag.adapters.chat.port.Chat` that say something, and who may call them (decision 18).
CHAT_VERBS = re.compile(r"(.*\.)?chats?(\[.*\])?\.(post|mark|upload)")
MAY_SPEAK = ("greylag.delivery.conversing.", "greylag.adapters.chat.")


def test_only_courier_and_front_speak_to_chats() -> None:
    assert offenders(CHAT_VERBS, lambda module: module.name.startswith(MAY_SPEAK)) == []


def test_the_environment_has_one_reader() -> None:
    assert offenders(READS_THE_ENVIRONMENT, lambda module: module.name in MAY_READ_THE_ENVIRONMENT) == []


@pytest.mark.parametrize("listed", [MAY_CONNECT, MAY_READ_THE_ENVIRONMENT])
def test_no_exception_is_left_over(listed: dict[str, str]) -> None:
    """A module that no longer needs its exception loses it."""
    pattern = OPENS_A_CONNECTION if listed is MAY_CONNECT else READS_THE_ENVIRONMENT
    needing = {module.name for module in modules() if any(pattern.fullmatch(name) for name, _ in uses(module))}
    assert set(listed) - needing == set()


def test_nothing_is_imported_by_a_made_up_name() -> None:
    """Import contracts can't see these."""
    dynamic = re.compile(r"importlib\.(import_module|util\.(spec|module).*|machinery\..*)|__import__|exec|eval|compile")
    assert offenders(dynamic, lambda module: False) == []


def test_ports_know_each_other_by_their_ports_only() -> None:
    """Only ``port`` of another port may be imported; `greylag.adapters.agents.cleaning` is for those above."""
    strangers = []
    for module in modules():
        parts = module.name.split(".")
        if parts[1:2] != ["adapters"] or len(parts) < 3:
            continue
        for name in set(imports(module.tree)):
            other = name.split(".")
            if other[:2] == ["greylag", "adapters"] and len(other) > 3 and other[2] != parts[2] and other[3] != "port":
                strangers.append(f"{module.name} -> {name}")
    assert strangers == []


def imports(tree: ast.Module) -> list[str]:
    """Return the modules a module imports."""
    plain = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return plain + [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]


def test_broad_excepts_raise_again_or_give_their_reason() -> None:
    """The reason stands in the same comment as ruff's ``BLE001``."""
    bare = []
    for module in modules():
        lines = module.text.splitlines()
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = set(re.findall(r"\w+", ast.unparse(node.type))) if node.type else {"BaseException"}
            comment = re.sub(r".*# noqa: BLE001\W*|.*", "", lines[node.lineno - 1], count=1)
            if {"Exception", "BaseException"} & caught and len(comment.split()) < 4 and not raises(node):
                bare.append(module.where(node))
    assert bare == []


def raises(handler: ast.ExceptHandler) -> bool:
    """Return whether the handler ends by raising."""
    return isinstance(handler.body[-1], ast.Raise)


def test_type_ignores_name_their_code() -> None:
    unnamed = [
        f"{module.name}:{number}"
        for module in modules()
        for number, line in enumerate(module.text.splitlines(), 1)
        if re.search(r"#\s*type:\s*ignore(?!\[)", line)
    ]
    assert unnamed == []


SILENCE = """
import builtins, importlib, json, os, socket, sys

STARTS = ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec", "os.system")

def refuse(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo") or event in STARTS:
        raise RuntimeError(f"importing does {event} {arguments}")
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        raise RuntimeError(f"importing writes {arguments[0]}")

sys.addaudithook(refuse)
for name in json.load(sys.stdin):
    importlib.import_module(name)
"""
#: Modules that are programs for inside a sandbox and need what is there.
INSIDE = {"greylag.delivery.verifying.inside"}


def test_importing_anything_is_silent(tmp_path: Path) -> None:
    """Prints nothing, writes nothing, starts nothing, opens nothing: in an empty folder with an empty environment."""
    names = [module.name for module in modules() if module.name not in INSIDE and ".migrations." not in module.name]
    done = run_python(SILENCE, tmp_path, json.dumps(names))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


HELP = """
import json, sys
sys.argv = ["greylag", "--help"]
from greylag.app.cli.main import run
try:
    run()
except SystemExit as end:
    assert not end.code, end.code
heavy = set("aiohttp alembic cedarpy cryptography dbos fastapi obstore psycopg pydantic sqlalchemy".split())
print(json.dumps(sorted(heavy & set(sys.modules))), file=sys.stderr)
"""


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    done = run_python(HELP, tmp_path, "")
    assert done.returncode == 0, done.stderr
    assert "Usage: greylag" in done.stdout
    assert json.loads(done.stderr) == []


def run_python(code: str, folder: Path, stdin: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in ``folder`` with nothing in the environment but where the package is."""
    return subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=folder, env={"PYTHONPATH": str(PACKAGE.parent), "HOME": str(folder)},
        input=stdin, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_contracts_of_imports_hold() -> None:
    """`make check` runs them too; here a broken contract also fails `make test`."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache", "--no-logo"], cwd=ROOT, env={"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
