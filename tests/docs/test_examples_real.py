"""The real package's patch is small and touches one file; the mending program knows the bug by its form alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from greylag.adapters.registry.patching import apply_patch
from greylag.adapters.registry.pinning import parse_pinned
from greylag.app.demo.real import RealPackage, real_package
from greylag.app.importing import SDIST

BUGGY = '''\
from errors import LocalProtocolError


class Längen:
    def __init__(self):
        self.left = 0

    def read(self, buf):
        data = buf.take(self.left)
        self.left -= len(data)
        return data


class Records:
    """Ein Satz endet mit einer Zeile.\x0c"""

    def __init__(self):
        self.rest = 0

    def read(self, buf):
        if self.rest > 0:
            ü, eaten = 1, None; eaten = buf.take(self.rest)
            if eaten is None:
                return None
            self.rest -= len(eaten)
            if self.rest > 0: return None
        assert self.rest == 0
        data = buf.take(5)
        self.rest = 2
        return data
'''
TRY = """
import sys
from errors import LocalProtocolError
from records import Records

class Buffer:
    def __init__(self, data): self.data = bytearray(data)
    def take(self, count):
        out = self.data[:count]
        del self.data[:count]
        return out or None

def read(*pieces):
    reader, got, buffer = Records(), [], Buffer(b"")
    for piece in pieces:
        buffer.data += piece
        while (data := reader.read(buffer)) is not None:
            got.append(bytes(data))
    return got

assert read(b"12345\\r\\n67890\\r\\n") == read(b"12345\\r", b"\\n67890", b"\\r\\n") == [b"12345", b"67890"]
for wrong in (b"12345_\\n67890", b"12345\\r_67890", b"12345\\n\\r67890"):
    for pieces in ([wrong], [wrong[:6], wrong[6:]]):
        try:
            read(*pieces)
        except LocalProtocolError:
            continue
        sys.exit(f"{pieces} passed")
"""


@pytest.fixture(scope="module")
def package() -> RealPackage:
    return real_package()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "errors.py").write_text("class LocalProtocolError(Exception): ...\n")
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "records.py").write_text(BUGGY)
    return tmp_path


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)


def test_the_description_is_complete(package: RealPackage) -> None:
    pinned = parse_pinned(package.settings["source"].removeprefix(SDIST))
    assert (pinned.project, package.settings["name"]) == ("h11", package.name)
    assert package.test.partition("::")[0].endswith(".py")
    compile(package.program, "mend.py", "exec")


def test_the_patch_is_small_and_changes_one_file_only(package: RealPackage) -> None:
    patch = package.settings["patch"]
    lines = patch.splitlines()
    assert [line[6:] for line in lines if line.startswith("+++ ")] == [package.file]
    assert len(lines) < 80
    old = [line[1:] for line in lines[2:] if line[:1] in (" ", "-", "@")]
    text, number = "", 1
    for line in old:
        if line.startswith("@"):
            start = int(line.split("-")[1].split(",")[0])
            text, number = text + "\n" * (start - number), start
        else:
            text, number = text + line + "\n", number + 1
    changed = apply_patch({package.file: text.encode()}, patch)
    assert b"self._bytes_to_discard = 2\n" in changed[package.file]


def test_what_is_thrown_away_unseen_is_looked_at_afterwards(package: RealPackage, folder: Path) -> None:
    assert run(TRY, folder).returncode == 1
    done = run(package.program, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("records.py: `Records.rest`")
    assert run(TRY, folder).returncode == 0, run(TRY, folder).stderr
    text = (folder / "records.py").read_text()
    assert "self.left -= len(data)\n        return data" in text, "bytes that are given out are not thrown away"
    again = run(package.program, folder)
    assert (again.returncode, (folder / "records.py").read_text()) == (1, text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.rest = 2", "self.rest = 3"),
        ("self.rest = 2", "self.rest = size"),
        ("assert self.rest == 0", "assert self.rest < 5"),
        ("from errors import LocalProtocolError", "import errors"),
        ("if eaten is None", "if eaten != b'12'"),
    ],
)
def test_where_it_is_not_sure_it_changes_nothing(package: RealPackage, folder: Path, old: str, new: str) -> None:
    text = BUGGY.replace(old, new)
    assert text != BUGGY
    (folder / "records.py").write_text(text)
    done = run(package.program, folder)
    assert done.returncode == 1
    assert "nothing was changed" in done.stderr
    assert (folder / "records.py").read_text() == text


def test_two_places_are_one_too_many(package: RealPackage, folder: Path) -> None:
    (folder / "more.py").write_text(BUGGY)
    assert run(package.program, folder).returncode == 1
    assert (folder / "more.py").read_text() == BUGGY == (folder / "records.py").read_text()
