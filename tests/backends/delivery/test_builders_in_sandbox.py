"""Builders over real build tools in a real sandbox, and builds that try to hand over something else."""

import gzip
import io
import os
import tarfile
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from greylag.delivery import building
from greylag.delivery.building import archive
from greylag.domain.errors import RequestRefused
from tests.backends.delivery.conftest import LIMITS, Workbench, together

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "tiny"
version = "1.2.3"
requires-python = ">=3.11"
"""
TINY = {"pyproject.toml": PYPROJECT, "tiny/__init__.py": "X = 1\n", "README.md": "tiny\n"}
BACKEND = """
[build-system]
requires = []
build-backend = "own"
backend-path = ["."]
[project]
name = "tiny"
version = "1"
"""
MAKE = """
import os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "tiny-1-py3-none-any.whl"
    path = os.path.join(folder, name)
    {body}
    return name
"""
GOOD_ZIP = "zipfile.ZipFile(path, 'w').writestr('tiny-1.dist-info/WHEEL', 'Wheel-Version: 1.0')"


async def test_a_wheel_comes_out_the_same_twice(workbench: Workbench) -> None:
    first = await workbench.build(workbench.checkout(TINY))
    second = await workbench.build(workbench.checkout(dict(reversed(TINY.items()))), "wheel")
    assert first == second
    assert (first.name, first.media_type) == ("tiny-1.2.3-py3-none-any.whl", "application/zip")
    assert "tiny/__init__.py" in zipfile.ZipFile(io.BytesIO(first.content)).namelist()


async def test_an_npm_package(workbench: Workbench) -> None:
    files = {"package.json": '{"name": "tiny", "version": "1.2.3"}', "index.js": "1\n"}
    first = await workbench.build(workbench.checkout(files))
    second = await workbench.build(workbench.checkout(files))
    assert first == second
    assert first.name == "tiny-1.2.3.tgz"
    with tarfile.open(fileobj=io.BytesIO(first.content)) as tar:
        assert sorted(tar.getnames()) == ["package/index.js", "package/package.json"]


async def test_an_archive(workbench: Workbench) -> None:
    made = await workbench.build(workbench.checkout({"a.txt": "a\n", "sub/b.txt": "b\n"}))
    assert (made.name, made.media_type) == ("murmur-0123456789ab.tar.gz", "application/gzip")
    with tarfile.open(fileobj=io.BytesIO(made.content)) as tar:
        assert tar.getnames() == ["a.txt", "sub/b.txt"]


HOSTILE = {
    "a link": ("os.symlink('/etc/passwd', path)", "can't be opened without following links"),
    "a link to a file of its own": (
        f"path, real = '/workspace/real', path; {GOOD_ZIP}; os.symlink(path, real)", "without following links",
    ),
    "a pipe": ("os.mkfifo(path)", "no regular file"),
    "a folder": ("os.mkdir(path)", "no regular file"),
    "two names": (f"{GOOD_ZIP}; os.link(path, '/workspace/other')", "has 2 names"),
    "two files": (f"{GOOD_ZIP}; open(path + '.more', 'w').close()", "more than one file"),
    "nothing": ("pass", "made no file"),
    "no zip": ("open(path, 'w').write('hello')", "no readable `.whl` file"),
    "a zip that is no wheel": ("zipfile.ZipFile(path, 'w').writestr('a', 'b')", "no readable `.whl` file"),
    "another name": (f"name = 'x.exe'; path = os.path.join(folder, name); {GOOD_ZIP}", "expected a file `*.whl`"),
    "a name to be displayed": (
        f"name = '-rf \\x1b[2J.whl'; path = os.path.join(folder, name); {GOOD_ZIP}", "expected a file `*.whl`",
    ),
    "a replaced folder": ("os.rmdir(folder); os.symlink('/tmp', folder)", "no output folder"),
}  # fmt: skip


async def test_builds_that_hand_over_something_else(workbench: Workbench) -> None:
    async def one(body: str, words: str) -> None:
        place = workbench.checkout({"pyproject.toml": BACKEND, "own.py": MAKE.format(body=body)})
        with pytest.raises(RequestRefused) as caught:
            await workbench.build(place)
        assert caught.value.code == "GL-BUILD-004"
        assert words in caught.value.message
        assert "\x1b" not in caught.value.message

    await together({name: partial(one, *case) for name, case in HOSTILE.items()})


async def test_too_large_an_artifact(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "ARTIFACT_BYTES", 10)
    with pytest.raises(RequestRefused, match="larger than 10 bytes"):
        await workbench.build(workbench.checkout({"pyproject.toml": BACKEND, "own.py": MAKE.format(body=GOOD_ZIP)}))


BROKEN = {
    "raises": (
        {"pyproject.toml": BACKEND, "own.py": MAKE.format(body="raise SystemExit('no \\x1b[31mway')")}, "002", "no way",
    ),
    "broken settings": ({"pyproject.toml": "[project"}, "002", "pyproject.toml"),
    "missing requirement": (
        {"pyproject.toml": PYPROJECT.replace('["hatchling"]', '["hatchling", "odd-package>=1"]')}, "003", "odd-package",
    ),
    "missing backend": (
        {"pyproject.toml": PYPROJECT.replace('"hatchling.build"', '"odd_backend"').replace('"hatchling"', "")}, "003",
        "odd-backend",
    ),
    "output of its own": ({**TINY, ".greylag-output/evil.whl": "x"}, "004", "`.greylag-output` of its own"),
    "npm without a name": ({"package.json": '{"version": "1", "name": ""}'}, "002", "npm"),
}  # fmt: skip


async def test_builds_that_fail_say_why(workbench: Workbench) -> None:
    async def one(files: dict[str, str], number: str, words: str) -> None:
        with pytest.raises(RequestRefused) as caught:
            await workbench.build(workbench.checkout(files))
        assert caught.value.code == f"GL-BUILD-{number}", caught.value.message
        assert words in str(caught.value)
        assert "\x1b" not in caught.value.message

    await together({name: partial(one, *case) for name, case in BROKEN.items()})


async def test_nothing_in_the_repository_stands_in_for_the_builder(workbench: Workbench) -> None:
    trap = "raise SystemExit(0)\n"
    made = await workbench.build(workbench.checkout({**TINY, "build.py": trap, "runpy.py": trap, "zipfile.py": trap}))
    assert made.name == "tiny-1.2.3-py3-none-any.whl"


async def test_a_build_that_does_not_end(workbench: Workbench) -> None:
    body = "import time; time.sleep(99)"
    place = workbench.checkout({"pyproject.toml": BACKEND, "own.py": MAKE.format(body=body)})
    with pytest.raises(RequestRefused, match="took too long") as caught:
        await workbench.build(place, limits=replace(LIMITS, timeout_seconds=3.0))
    assert caught.value.code == "GL-BUILD-005"


def test_archives_hold_what_the_tree_holds_and_nothing_of_git(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("secret")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "sub" / "run.sh").chmod(0o700)
    (tmp_path / "sub" / "up").symlink_to("../a")
    (tmp_path / "a").write_text("a")
    (tmp_path / ".hidden").write_text("h")
    (tmp_path / "ä ").write_text("ä")
    made = archive(tmp_path, 1_700_000_000)
    os.utime(tmp_path / "a", (1, 1))
    assert archive(tmp_path, 1_700_000_000) == made
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        seen = {one.name: (one.mode, one.linkname, one.mtime, one.uid, one.uname) for one in tar.getmembers()}
    assert seen == {
        ".hidden": (0o644, "", 1_700_000_000, 0, ""), "a": (0o644, "", 1_700_000_000, 0, ""),
        "ä ": (0o644, "", 1_700_000_000, 0, ""), "sub/run.sh": (0o755, "", 1_700_000_000, 0, ""),
        "sub/up": (0o777, "../a", 1_700_000_000, 0, ""),
    }  # fmt: skip
    assert b"secret" not in gzip.decompress(made)


@pytest.mark.parametrize("target", ["/etc/passwd", "../out", "sub/../../out", "..", "./../x"])
def test_links_that_lead_out_are_not_archived(tmp_path: Path, target: str) -> None:
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(RequestRefused, match="leads out") as caught:
        archive(tmp_path, 0)
    assert caught.value.code == "GL-BUILD-004"


def test_pipes_are_not_archived(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RequestRefused, match="neither a file nor a link"):
        archive(tmp_path, 0)
