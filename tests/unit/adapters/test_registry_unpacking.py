"""Source distributions as bad as they can be made: refused as a whole, in bounded memory, by one kind of error."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greylag.adapters.registry.unpacking import UnpackLimits, unpack
from greylag.domain.errors import RequestRefused

SMALL = UnpackLimits(entries=20, file_bytes=10_000, total_bytes=200_000)


class Entry(tarfile.TarInfo):
    """A header with the content that goes with it."""

    content = b""


def entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: object) -> Entry:
    member = Entry(name)
    member.type = kind
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    member.content = content
    return member


def packed(*members: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:", format=form) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(member.content))
    return gzip.compress(raw.getvalue(), mtime=0)


GOOD = packed(
    entry("thing-1.0", kind=tarfile.DIRTYPE),
    entry("thing-1.0/setup.py", b"print()\n"),
    entry("thing-1.0/bin/run", b"#!/bin/sh\n", mode=0o755),
    entry("thing-1.0/été.py", b"x = 1\n"),
)


def test_files_come_without_their_top_folder() -> None:
    tree = unpack(GOOD)
    assert tree.files == {"setup.py": b"print()\n", "bin/run": b"#!/bin/sh\n", "été.py": b"x = 1\n"}
    assert tree.executable == {"bin/run"}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read(form: int) -> None:
    long = "thing-1.0/" + "/".join(["folder" * 5] * 4) + "/file.py"
    assert unpack(packed(entry(long, b"x"), form=form)).files == {long.partition("/")[2]: b"x"}


def raw_entry(name: str, change: Callable[[bytearray], None], content: bytes = b"") -> bytes:
    """One entry whose header was changed by hand, with its checksum made right again."""
    member = entry(name, content)
    header = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    change(header)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}".encode() + b"\0 "
    return gzip.compress(bytes(header) + content.ljust(-(-len(content) // 512) * 512, b"\0") + bytes(1024), mtime=0)


def set_size(value: bytes) -> Callable[[bytearray], None]:
    def change(header: bytearray) -> None:
        header[124:136] = value

    return change


def pax(records: dict[str, str], name: str = "a/b") -> bytes:
    return packed(entry(name, b"x", pax_headers=records))


HOSTILE = {
    "symlink": packed(entry("a/link", kind=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "hard_link": packed(entry("a/b", b"x"), entry("a/link", kind=tarfile.LNKTYPE, linkname="a/b")),
    "character_device": packed(entry("a/null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "block_device": packed(entry("a/disk", kind=tarfile.BLKTYPE, devmajor=8, devminor=0)),
    "pipe": packed(entry("a/pipe", kind=tarfile.FIFOTYPE)),
    "contiguous_file": packed(entry("a/b", b"x", kind=tarfile.CONTTYPE)),
    "unknown_type": packed(entry("a/b", kind=b"Z")),
    "absolute_path": packed(entry("/etc/cron.d/x", b"x")),
    "absolute_path_in_a_pax_header": pax({"path": "/etc/cron.d/x"}),
    "path_that_goes_up": packed(entry("a/../../x", b"x")),
    "top_that_goes_up": packed(entry("../x", b"x")),
    "dot_path": packed(entry("./a/x", b"x")),
    "empty_part": packed(entry("a//x", b"x")),
    "file_without_a_folder": packed(entry("x", b"x")),
    "two_top_folders": packed(entry("a/x", b"x"), entry("b/x", b"x")),
    "same_path_twice": packed(entry("a/x", b"x"), entry("a/x", b"y")),
    "too_many_entries": packed(*(entry(f"a/{n}", b"x") for n in range(21))),
    "too_many_folders": packed(*(entry(f"a/{n}", kind=tarfile.DIRTYPE) for n in range(21))),
    "large_file": packed(entry("a/x", bytes(10_001))),
    "bomb": gzip.compress(bytes(50_000_000)),
    "bomb_in_files": packed(*(entry(f"a/{n}", bytes(10_000)) for n in range(20)), entry("a/last", bytes(10_000))),
    "long_path": packed(entry("a/" + "x" * 500, b"x")),
    "deep_path": packed(entry("/".join("a" * 50), b"x")),
    "nothing_in_it": packed(),
    "only_folders": packed(entry("a", kind=tarfile.DIRTYPE)),
    "not_gzip": b"PK\x03\x04 and so on",
    "no_bytes": b"",
    "raw_deflate": zlib.compress(b"x"),
    "not_tar": gzip.compress(b"<html>no such file</html>" * 50),
    "cut_gzip": GOOD[:-20],
    "something_after_gzip": GOOD + b"x",
    "two_gzips": GOOD + GOOD,
    "size_is_a_lie": raw_entry("a/x", set_size(b"00000007000\0"), b"x"),
    "negative_size": raw_entry("a/x", set_size(b"\xff" * 12), b"x"),
    "enormous_size": raw_entry("a/x", set_size(b"\x80" + b"\0" * 3 + b"\x7f" * 8), b"x"),
    "broken_second_entry": gzip.compress(
        gzip.decompress(packed(entry("a/x", b"x"))).rstrip(b"\0").ljust(1024, b"\0") + b"broken".ljust(512, b"x")
    ),
    "sparse_file": pax({
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a/x", "GNU.sparse.realsize": str(2**50),
    }),
    "old_sparse_file": pax({"GNU.sparse.map": "0,1", "GNU.sparse.size": str(2**50)}),
    "huge_pax_header": pax({"comment": "x" * 300_000}),
    "pax_headers_without_end": gzip.compress(
        entry("a/x", b"", kind=tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT) * 390, mtime=0
    ),
}  # fmt: skip


@pytest.mark.parametrize("archive", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_is_refused_as_a_whole(archive: bytes) -> None:
    with pytest.raises(RequestRefused) as raised:
        unpack(archive, SMALL)
    assert raised.value.code == "GL-REGISTRY-006"
    assert raised.value.message.isprintable()
    assert raised.value.remedy


def test_a_name_that_moves_the_cursor_is_shown_harmlessly() -> None:
    with pytest.raises(RequestRefused) as raised:
        unpack(packed(entry("a/\x1b[2J\u202ex", kind=tarfile.FIFOTYPE)))
    assert "\\x1b[2J\\u202e" in raised.value.message


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4095), st.binary(min_size=1, max_size=12)), min_size=1, max_size=6))
def test_whatever_bytes_come_the_answer_is_files_or_a_refusal(changes: list[tuple[int, bytes]]) -> None:
    raw = bytearray(gzip.decompress(GOOD)[:4096])
    for place, new in changes:
        raw[place : place + len(new)] = new
    for start in range(0, len(raw), 512):  # make each header's checksum right again: deeper code is reached
        block = raw[start : start + 512]
        block[148:156] = b" " * 8
        raw[start + 148 : start + 156] = f"{sum(block):06o}".encode() + b"\0 "
    tree = taken(gzip.compress(bytes(raw), compresslevel=1))
    assert all(len(content) <= SMALL.file_bytes for content in tree.values())
    assert not any(path.startswith("/") or ".." in path.split("/") for path in tree)


def taken(archive: bytes) -> Mapping[str, bytes]:
    """Return the files, none where it is refused; anything else than a refusal goes through."""
    try:
        return unpack(archive, SMALL).files
    except RequestRefused:
        return {}
