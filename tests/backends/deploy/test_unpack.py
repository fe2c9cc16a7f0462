"""Hostile archives: every way out is refused, every bound holds, and odd bytes never raise anything else."""

import contextlib
import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greylag.adapters.deploy.unpack import UnpackLimits, unpack
from greylag.domain.errors import RequestRefused


def _tar(*members: tuple[str, bytes | None, dict]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name, content, more in members:
            info = tarfile.TarInfo(name)
            for key, value in more.items():
                setattr(info, key, value)
            info.size = len(content or b"")
            archive.addfile(info, io.BytesIO(content) if content is not None else None)
    return out.getvalue()


def _file(name: str, content: bytes = b"x", **more) -> tuple[str, bytes, dict]:
    return name, content, more


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[str, None, dict]:
    return name, None, {"type": kind, "linkname": target}


def _zip(*members: tuple[str, bytes], mode: int = 0o100644, flags: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    made = out.getvalue()
    if flags:
        for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            at = made.index(mark) + offset
            made = made[:at] + bytes([made[at] | flags]) + made[at + 1 :]
    return made


_HOSTILE: dict[str, Callable[[], bytes]] = {
    "absolute": lambda: _tar(_file("/etc/evil")),
    "parent": lambda: _tar(_file("../evil")),
    "parent_inside": lambda: _tar(_file("a/../../evil")),
    "link_absolute": lambda: _tar(_link("a", "/etc/passwd")),
    "link_parent": lambda: _tar(_link("a/b", "../../evil")),
    "link_over_link": lambda: _tar(_link("d/up", ".."), _link("x", "d/up/../..")),
    "write_through_link": lambda: _tar(_link("d", "/tmp"), _file("d/evil")),
    "link_then_file_of_its_name": lambda: _tar(_link("d", "e"), _file("d", b"x")),
    "hard_link": lambda: _tar(_file("a"), _link("b", "a", tarfile.LNKTYPE)),
    "device": lambda: _tar(_link("a", "", tarfile.CHRTYPE)),
    "fifo": lambda: _tar(_link("a", "", tarfile.FIFOTYPE)),
    "twice": lambda: _tar(_file("a"), _file("a")),
    "file_as_folder": lambda: _tar(_file("a"), _file("a/b")),
    "control": lambda: _tar(_file("a\x1b[2J")),
    "bidi": lambda: _tar(_file("a\u202etxt.exe")),
    "backslash": lambda: _tar(_file("..\\evil")),
    "long": lambda: _tar(_file("a" * 300)),
    "deep": lambda: _tar(_file("/".join("a" * 70))),
    "bomb": lambda: gzip.compress(bytes(40_000_000)),
    "many": lambda: _tar(*(_file(f"f{number}") for number in range(60))),
    "big_file": lambda: _tar(_file("a", bytes(200_000))),
    "big_together": lambda: _tar(*(_file(f"f{number}", bytes(90_000)) for number in range(6))),
    "truncated": lambda: _tar(_file("a", os.urandom(50_000)))[:20_000],
    "zip_parent": lambda: _zip(("../evil", b"x")),
    "zip_absolute": lambda: _zip(("/evil", b"x")),
    "zip_link": lambda: _zip(("a", b"/etc/passwd"), mode=0o120777),
    "zip_bomb": lambda: _zip(("a", bytes(5_000_000))),
    "zip_many": lambda: _zip(*((f"f{number}", b"") for number in range(60))),
    "zip_twice_by_data": lambda: _zip(("a.py", b""), ("x.data/purelib/a.py", b"")),
    "zip_encrypted": lambda: _zip(("a", b"x"), flags=1),
    "zip_truncated": lambda: _zip(("a", b"x"))[:-8],
    "text": lambda: b"hello",
    "nothing": lambda: b"",
}
_SMALL = UnpackLimits(files=50, file_bytes=100_000, total_bytes=500_000)


@pytest.mark.parametrize("defect", _HOSTILE)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_builds_are_refused(defect: str, tmp_path: Path) -> None:
    into = tmp_path / "a" / "b" / "release"
    into.mkdir(parents=True)
    with pytest.raises(RequestRefused) as refused:
        unpack(_HOSTILE[defect](), into, _SMALL)
    assert refused.value.code == "GL-DEPLOY-003"
    assert refused.value.message.isprintable()
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(into)]
    assert outside == []
    assert not Path("/tmp/evil").exists()


def test_what_a_build_may_be(tmp_path: Path) -> None:
    def tree(build: bytes) -> dict[str, str]:
        into = tmp_path / str(len(list(tmp_path.iterdir())))
        into.mkdir()
        unpack(build, into, _SMALL)
        return {str(path.relative_to(into)): path.read_text() for path in into.rglob("*") if path.is_file()}

    plain = _tar(_file("./run.sh", b"1", mode=0o755), _file("src/a.py", b"2"), _link("src/b.py", "a.py"))
    assert tree(plain) == {"run.sh": "1", "src/a.py": "2", "src/b.py": "2"}
    assert (tmp_path / "0/run.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "0/src/a.py").stat().st_mode & 0o777 == 0o644
    assert tree(_tar(_file("package/package.json", b"{}"), _file("package/i.js", b"1"))) == {
        "package.json": "{}",
        "i.js": "1",
    }
    assert set(tree(_tar(_file("package/a"), _file("b")))) == {"package/a", "b"}
    wheel = _zip(("a.py", b"1"), ("x-1.data/purelib/b.py", b"2"), ("x-1.dist-info/RECORD", b""))
    assert set(tree(wheel)) == {"a.py", "b.py", "x-1.dist-info/RECORD"}


_SEEDS = [_tar(_file("a/b", b"one"), _link("c", "a/b")), _zip(("a", b"one"), ("b/c", b"two"))]


@given(seed=st.sampled_from(_SEEDS), changes=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=8))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore")
def test_damaged_archives_raise_one_error_only(seed: bytes, changes, tmp_path_factory) -> None:
    data = bytearray(seed)
    for at, value in changes:
        data[at % len(data)] = value
    _attempt(bytes(data), tmp_path_factory)
    plain = bytearray(gzip.decompress(_SEEDS[0]))
    for at, value in changes:
        plain[at % len(plain)] = value
    _attempt(gzip.compress(bytes(plain)), tmp_path_factory)


def _attempt(build: bytes, factory) -> None:
    folder = factory.mktemp("fuzz")
    (folder / "in").mkdir()
    with contextlib.suppress(RequestRefused):
        unpack(build, folder / "in", _SMALL)
    assert os.listdir(folder) == ["in"]
