"""Which verifiers a repository's content calls for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.delivery.outputs import Listing
from greylag.delivery.verifying import Verifier, VerifierKind, detect, influential, union

PYTEST = Verifier(VerifierKind.PYTEST)
NPM = Verifier(VerifierKind.NPM)


def listing(**contents: str) -> Listing:
    files = {name.replace("__", "/").replace("_dot_", "."): content for name, content in contents.items()}
    return Listing(frozenset(files), {name: content.encode() for name, content in files.items() if "/" not in name})


def names(*paths: str) -> Listing:
    return Listing(frozenset(paths), {})


def npm(content: str) -> Listing:
    return Listing(frozenset({"package.json"}), {"package.json": content.encode()})


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (names(), ()),
        (names("README.md", "main.py"), ()),
        (names("tests/test_a.py"), (PYTEST,)),
        (names("deep/er/a_test.py"), (PYTEST,)),
        (names("test_.py"), (PYTEST,)),
        (names("tests/test_a.txt", "testa.py", "tests/helper.py", "contest_a.py/x"), ()),
        (names("node_modules/x/test_a.py", ".venv/lib/test_a.py", "lib/site-packages/test_a.py"), ()),
        (names("pytest.ini"), (PYTEST,)),
        (listing(pyproject_dot_toml="[tool.pytest.ini_options]\n"), (PYTEST,)),
        (listing(pyproject_dot_toml="[tool.pytest]\n"), (PYTEST,)),
        (listing(pyproject_dot_toml="[tool.ruff]\n"), ()),
        (listing(pyproject_dot_toml="tool = 1\n"), ()),
        (listing(pyproject_dot_toml="not toml ["), ()),
        (listing(setup_dot_cfg="[tool:pytest]\n"), (PYTEST,)),
        (listing(setup_dot_cfg="[metadata]\nname = a\n"), ()),
        (listing(setup_dot_cfg="no section\n"), ()),
        (listing(tox_dot_ini="[pytest]\n"), (PYTEST,)),
        (npm('{"scripts": {"test": "node --test"}}'), (NPM,)),
        (npm('{"scripts": {"test": "  "}}'), ()),
        (npm('{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'), ()),
        (npm('{"scripts": {"build": "x"}}'), ()),
        (npm('{"scripts": []}'), ()),
        (npm("[]"), ()),
        (npm('{"scripts": {"test": 1}}'), ()),
        (npm("{broken"), (NPM,)),
        (npm("[" * 100_000), (NPM,)),
        (
            Listing(frozenset({"test_a.py", "package.json"}), {"package.json": b'{"scripts": {"test": "jest"}}'}),
            (PYTEST, NPM),
        ),
    ],
)
def test_what_is_found(files: Listing, expected: tuple[Verifier, ...]) -> None:
    assert detect(files) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("pytest", "-x"), Verifier(VerifierKind.PYTEST, ("-x",))),
        (("/usr/bin/pytest",), PYTEST),
        (("python", "-m", "pytest", "tests"), Verifier(VerifierKind.PYTEST, ("tests",))),
        (("/usr/bin/python3.12", "-m", "pytest"), PYTEST),
        (("python", "-m", "unittest"), Verifier(VerifierKind.COMMAND, ("python", "-m", "unittest"))),
        (("make", "pytest"), Verifier(VerifierKind.COMMAND, ("make", "pytest"))),
        (("notpython", "-m", "pytest"), Verifier(VerifierKind.COMMAND, ("notpython", "-m", "pytest"))),
    ],
)
def test_the_operators_commands_replace_what_is_found(command: tuple[str, ...], expected: Verifier) -> None:
    assert detect(names("tests/test_a.py", "package.json"), (command,)) == (expected,)


def test_a_change_cannot_switch_a_verifier_off() -> None:
    base, changed = detect(names("test_a.py")), detect(npm('{"scripts": {"test": "jest"}}'))
    assert union(base, changed) == (PYTEST, NPM)
    assert union(base, base) == (PYTEST,)
    assert union() == ()


@given(st.binary(max_size=300), st.sampled_from(["pyproject.toml", "setup.cfg", "tox.ini", "package.json"]))
def test_no_content_can_break_detection(content: bytes, name: str) -> None:
    assert set(detect(Listing(frozenset({name}), {name: content}))) <= {PYTEST, NPM}


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("conftest.py", True), ("tests/deep/conftest.py", True), ("pyproject.toml", True), ("Package.JSON", True),
        ("x.pth", True), ("jest.config.js", True), ("pytest.py", True), ("_pytest/x.py", True), ("Makefile", True),
        ("src/app.py", False), ("tests/test_a.py", False), ("docs/pytest.md", False), ("myconftest.py", False),
    ],
)  # fmt: skip
def test_files_that_decide_how_verifiers_run_are_named(name: str, seen: bool) -> None:
    assert influential((name, "a/b.py")) == ((name,) if seen else ())
