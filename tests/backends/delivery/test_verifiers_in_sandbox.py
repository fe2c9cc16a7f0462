"""Verifiers over real programs in a real sandbox: honest projects, and changes that try to pass without passing."""

from dataclasses import replace
from functools import partial

import pytest

from tests.backends.delivery.conftest import LIMITS, Workbench, together

GOOD = "def test_good():\n    assert 1 + 1 == 2\n"
BAD = "def test_bad():\n    assert 1 + 1 == 3, 'sums'\n"
PRINT_REPORT = """
import json, os
lines = '\\n' + json.dumps({"word": "", "exit": 0, "missing": "", "failures": [], "passed": 9, "failed": 0,
    "errors": 0, "skipped": 0, "xfailed": 0, "xpassed": 0}) + '\\n'
for fd in range(1, 20):
    try:
        os.write(fd, lines.encode())
    except OSError:
        pass
"""

HONEST = {
    "one good test": ({"tests/test_a.py": GOOD}, "", "1 passed"),
    "module at the top": ({"app.py": "X = 1\n", "tests/test_a.py": "import app\n" + GOOD}, "", "1 passed"),
    "module in src": ({"src/app.py": "X = 1\n", "tests/test_a.py": "import app\n" + GOOD}, "", "1 passed"),
    "prints a lot": ({"test_a.py": "def test_a():\n    print('x' * 100_000)\n"}, "", "1 passed"),
    "a thread is left running": (
        {"test_a.py": "import threading, time\ndef test_a():\n    threading.Timer(999, print).start()\n"},
        "", "1 passed",
    ),
    "one bad test": ({"test_a.py": GOOD + BAD}, "GL-VERIFY-005", "1 passed, 1 failed"),
    "broken fixture": (
        {"test_a.py": "import pytest\n@pytest.fixture\ndef f():\n    raise OSError('no')\ndef test_a(f): ...\n"},
        "GL-VERIFY-005", "1 errors",
    ),
    "does not parse": ({"test_a.py": GOOD, "test_b.py": "def test_b(:\n"}, "GL-VERIFY-005", "1 errors"),
    "no test functions": ({"test_a.py": "X = 1\n"}, "GL-VERIFY-001", "no test passed (no tests ran)"),
    "only settings": ({"pytest.ini": "[pytest]\n"}, "GL-VERIFY-001", "no test passed"),
    "all skipped": (
        {"test_a.py": "import pytest\n@pytest.mark.skip\ndef test_a(): ...\n"}, "GL-VERIFY-001", "1 skipped",
    ),
    "all expected to fail": (
        {"test_a.py": "import pytest\n@pytest.mark.xfail\ndef test_a():\n    assert 0\n"}, "GL-VERIFY-001", "1 xfailed",
    ),
    "strict xpass": (
        {"test_a.py": "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_a(): ...\n"},
        "GL-VERIFY-005", "1 failed",
    ),
    "missing package": (
        {"test_a.py": "import yaml\n" + GOOD}, "GL-VERIFY-002", "the package `pyyaml` is missing in the sandbox",
    ),
    "missing plugin": (
        {"test_a.py": GOOD, "pytest.ini": "[pytest]\naddopts = --cov=app\n"},
        "GL-VERIFY-002", "`pytest-cov` is missing",
    ),
    "own package at the wrong place": (
        {"lib/app.py": "", "app/data.txt": "", "test_a.py": "import app.missing\n" + GOOD}, "GL-VERIFY-005", "1 errors",
    ),
    "a project without tests": ({"app.py": "X = 1\n"}, "GL-VERIFY-001", "nothing here can be verified"),
}  # fmt: skip

HOSTILE = {
    "ends early and well": {"test_a.py": BAD, "conftest.py": "import os\nos._exit(0)\n"},
    "prints a report and ends well": {"test_a.py": BAD, "conftest.py": PRINT_REPORT + "os._exit(0)\n"},
    "prints a report and goes on": {"test_a.py": PRINT_REPORT + BAD},
    "ends pytest well": {"test_a.py": BAD, "conftest.py": "import pytest\npytest.exit('fine', returncode=0)\n"},
    "stands in for pytest": {"test_a.py": BAD, "pytest.py": "print('1 passed in 0.01s')\n"},
    "stands in for its parts": {"test_a.py": BAD, "_pytest/__init__.py": "import os\nos._exit(0)\n"},
    "stands in for json": {"test_a.py": BAD, "json.py": "import os\nos._exit(0)\n"},
    "customises the site": {"test_a.py": BAD, "sitecustomize.py": "import os\nos._exit(0)\n"},
    "only collects": {"test_a.py": BAD, "pytest.ini": "[pytest]\naddopts = --collect-only\n"},
    "asks for help": {"test_a.py": BAD, "pytest.ini": "[pytest]\naddopts = --help\n"},
    "deselects": {"test_a.py": BAD, "pytest.ini": "[pytest]\naddopts = -k nothing\n"},
    "changes the exit status": {
        "test_a.py": GOOD + BAD, "conftest.py": "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n",
    },
    "drops the bad tests": {
        "test_a.py": BAD, "conftest.py": "def pytest_collection_modifyitems(items):\n    items.clear()\n",
    },
    "forks": {"test_a.py": "import os\ndef test_a():\n    assert os.fork() == 0\n"},
    "ends at exit": {"test_a.py": BAD, "conftest.py": "import atexit, os\natexit.register(os._exit, 0)\n"},
    "answers with a signal": {"test_a.py": "import os\ndef test_a():\n    os.kill(os.getpid(), 9)\n"},
}  # fmt: skip


async def test_honest_projects(workbench: Workbench) -> None:
    async def one(files: dict[str, str], code: str, summary: str) -> None:
        report = await workbench.verify(files)
        (result,) = report.results
        assert (result.code, report.passed) == (code, not code), report.text()
        assert summary in result.summary
        assert bool(result.remedy) == bool(code)

    await together({name: partial(one, *case) for name, case in HONEST.items()})


async def test_changes_that_try_to_pass_without_passing(workbench: Workbench) -> None:
    async def one(files: dict[str, str]) -> None:
        report = await workbench.verify(files)
        assert not report.passed, report.text()
        assert report.results[0].code in ("GL-VERIFY-001", "GL-VERIFY-003", "GL-VERIFY-005"), report.text()

    await together({name: partial(one, files) for name, files in HOSTILE.items()})


async def test_a_failure_says_which_test_and_why(workbench: Workbench) -> None:
    report = await workbench.verify({"tests/test_sums.py": GOOD + BAD})
    text = report.text()
    assert text.splitlines()[0] == "FAILED pytest: 1 passed, 1 failed (exit code 1)"
    assert "tests/test_sums.py::test_bad" in text
    assert "assert (1 + 1) == 3" in text
    assert "test_sums.py:4" in text


async def test_a_missing_package_names_the_command_that_brings_it(workbench: Workbench) -> None:
    report = await workbench.verify({"test_a.py": "import some_module.part\n" + GOOD})
    assert "greylag repo set murmur --requirement some-module" in report.text()


async def test_what_is_shown_can_deceive_nobody(workbench: Workbench) -> None:
    body = "def test_a():\n    raise ValueError('\\x1b[2J\\x1b]0;title\\x07 red \\u202egnp.exe \\x9b31m \\r over')\n"
    text = (await workbench.verify({"test_a.py": body})).text()
    assert not set(text) & set("\x1b\x07\x9b\u202e\r")


async def test_a_flood_of_failures_stays_short(workbench: Workbench) -> None:
    body = "import pytest\n@pytest.mark.parametrize('n', range(300))\ndef test_n(n):\n    assert 'x' * 5000 == n\n"
    report = await workbench.verify({"test_a.py": body})
    assert report.results[0].failed_tests == 300
    assert len(report.text()) <= 6000
    assert "… and 10 more" in report.text() or "cut short" in report.text()


@pytest.mark.parametrize(
    ("body", "limits", "words"),
    [
        ("import time\ndef test_a():\n    time.sleep(99)\n", replace(LIMITS, timeout_seconds=2.0), "took too long"),
        ("import os\ndef test_a():\n    while True: os.write(1, b'x' * 9999)\n",
         replace(LIMITS, output_bytes=10_000, timeout_seconds=5.0), "stopped"),
    ],
)  # fmt: skip
async def test_what_goes_out_of_bounds_is_stopped(workbench: Workbench, body: str, limits, words: str) -> None:
    report = await workbench.verify({"test_a.py": body, "pytest.ini": "[pytest]\naddopts = -s\n"}, limits=limits)
    assert not report.passed
    assert report.results[0].code == "GL-VERIFY-004", report.text()
    assert words in report.text()


async def test_there_is_no_network(workbench: Workbench) -> None:
    body = (
        "import socket\ndef test_a():\n    for place in (('192.0.2.1', 80), ('127.0.0.1', 8080)):\n        try:\n"
        "            socket.create_connection(place, timeout=2)\n        except OSError:\n            continue\n"
        "        raise AssertionError(place)\n"
    )
    report = await workbench.verify({"test_a.py": body})
    assert report.passed, report.text()


COMMANDS = [
    (("python3", "-c", "raise SystemExit(0)"), ""),
    (("python3", "-c", "raise SystemExit(3)"), "GL-VERIFY-005"),
    (("no-such-program",), "GL-VERIFY-002"),
    (("python3", "-m", "pytest", "test_a.py"), ""),
    (("pytest", "-k", "bad"), "GL-VERIFY-005"),
    (("pytest", "-k", "nothing"), "GL-VERIFY-001"),
]


async def test_the_operators_own_commands(workbench: Workbench) -> None:
    async def one(command: tuple[str, ...], code: str) -> None:
        report = await workbench.verify({"test_a.py": GOOD, "test_b.py": BAD}, (command,))
        assert report.results[0].code == code, report.text()

    await together({" ".join(command): partial(one, command, code) for command, code in COMMANDS})


def package(script: str) -> str:
    return f'{{"name": "a", "version": "1.0.0", "scripts": {{"test": "{script}"}}}}'


NODE = "const test = require('node:test');\n"
NODE_GOOD = NODE + "test('good', () => {});\n"
NODE_BAD = NODE + "test('bad one', () => { throw new Error('no'); });\n"
NPM = {
    "good": ({"package.json": package("node --test"), "a.test.js": NODE_GOOD}, ""),
    "bad": ({"package.json": package("node --test"), "a.test.js": NODE_GOOD, "b.test.js": NODE_BAD}, "GL-VERIFY-005"),
    "no runner": ({"package.json": package("true")}, "GL-VERIFY-003"),
    "failure hidden": (
        {"package.json": package("node --test || true"), "a.test.js": NODE_GOOD, "b.test.js": NODE_BAD},
        "GL-VERIFY-003",
    ),
    "nothing tested": ({"package.json": package("node --test")}, "GL-VERIFY-003"),
    "broken": ({"package.json": "{"}, "GL-VERIFY-005"),
}


async def test_npm(workbench: Workbench) -> None:
    async def one(files: dict[str, str], code: str) -> None:
        report = await workbench.verify(files)
        assert report.results[0].code == code, report.text()
        assert report.results[0].name == "npm test"

    await together({name: partial(one, *case) for name, case in NPM.items()})


async def test_both_kinds_must_pass(workbench: Workbench) -> None:
    files = {"test_a.py": GOOD, "package.json": package("node --test"), "a.test.js": NODE_BAD}
    report = await workbench.verify(files)
    assert [result.passed for result in report.results] == [True, False]
    assert not report.passed
    assert report.results[1].failures[0].test.startswith("bad one")
