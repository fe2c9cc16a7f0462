"""Cleaning, counting and reporting what programs said."""

import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.delivery.outputs import cleaned, last_lines, read_listing
from greylag.delivery.verifying import TestFailure, VerifierResult, VerifyReport
from greylag.delivery.verifying.counting import count_npm, npm_failures


@given(st.binary(max_size=500))
def test_nothing_that_steers_a_terminal_gets_through(raw: bytes) -> None:
    text = cleaned(raw)
    assert all(character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs") for character in text)
    assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\ufeff")


@given(st.text(max_size=300))
def test_cleaning_again_changes_nothing(text: str) -> None:
    once = cleaned(text)
    assert cleaned(once) == once


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"\x1b]0;title\x07after", "after"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b1mbold".encode(), "bold"),
        (b"10%\r20%\r\nnext", "10%\n20%\nnext"),
        (b"a\x00b\x08c", "abc"),
        ("abc\u202egnp.exe".encode(), "abcgnp.exe"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("x" * 600, "x" * 500),
        (b"\x1b]" + b"x" * 9000, "x" * 500),
    ],
)
def test_cleaning(raw: bytes | str, text: str) -> None:
    assert cleaned(raw) == text


def test_last_lines_of_very_much() -> None:
    assert last_lines(b"x" * 10_000_000 + b"\n\none\n \ntwo\n", 2) == "one\ntwo"


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", (0, 0)),
        ("\u2139 tests 3\n\u2139 pass 2\n\u2139 fail 1", (2, 1)),
        ("# tests 3\n# pass 3\n# fail 0\n", (3, 0)),
        ("Tests:       1 failed, 1 skipped, 2 passed, 4 total", (2, 1)),
        ("Tests:       5 passed, 5 total", (5, 0)),
        ("      Tests  2 failed | 7 passed (9)", (7, 2)),
        ("      Tests  7 passed (7)", (7, 0)),
        ("  12 passing (5ms)\n  3 failing\n", (12, 3)),
        ("  3 tests passed\n  1 test failed\n", (3, 1)),
        ("# pass 1\n# fail 0\nagain\n# pass 4\n# fail 2", (4, 2)),
        ("all 5 passed, honest", (0, 0)),
        ("we are passing", (0, 0)),
        ("# pass 99999999999999999999", (0, 0)),
    ],
)
def test_counting_what_javascript_runners_say(text: str, counts: tuple[int, int]) -> None:
    assert count_npm(text) == counts


def test_failed_tests_are_named_once() -> None:
    text = "not ok 1 - adds\n  \u2716 adds\n\u2716 failing tests:\n\u25cf Cart \u203a empties\nok 2 - fine\n"
    assert [failure.test for failure in npm_failures(text)] == ["adds", "Cart \u203a empties"]


def result(passed: bool = False, failures: int = 0) -> VerifierResult:
    many = tuple(TestFailure(f"test_{number}", ("x" * 400,) * 12) for number in range(failures))
    return VerifierResult("pytest", ("pytest",), 1, passed, "sum", many, code="GL-VERIFY-005", remedy="mend it")


def test_nothing_run_is_nothing_proved() -> None:
    assert not VerifyReport(()).passed
    assert VerifyReport((result(True),)).passed
    assert not VerifyReport((result(True), result(False))).passed


def test_a_report_is_short_whatever_it_holds() -> None:
    report = VerifyReport(tuple(result(failures=20) for _ in range(20)))
    assert len(report.text()) <= 6000
    assert report.text().startswith("FAILED pytest: sum\n  test_0\n")
    short = VerifyReport((result(failures=1),)).text()
    assert short.endswith("GL-VERIFY-005. Next: mend it")


def test_a_result_is_plain_json() -> None:
    record = result(failures=2).record()
    assert json.loads(json.dumps(record)) == record
    assert record["schema_version"] == 1


def test_listing_reads_nothing_through_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "test_a.py").write_text("")
    (outside / "secret").write_text("[tool.pytest]")
    place = tmp_path / "checkout"
    (place / "node_modules").mkdir(parents=True)
    (place / "node_modules" / "a.py").write_text("")
    (place / ".git").mkdir()
    (place / ".git" / "config").write_text("")
    (place / "linked").symlink_to(outside)
    (place / "pyproject.toml").symlink_to(outside / "secret")
    (place / "package.json").write_text("{}")
    (place / "setup.cfg").write_bytes(b"x" * (1024 * 1024 + 1))
    os.mkfifo(place / "tox.ini")
    (place / "src").mkdir()
    (place / "src" / "b.py").write_text("")
    listing = read_listing(place)
    assert listing.names == {"package.json", "setup.cfg", "src/b.py", "tox.ini"}
    assert dict(listing.contents) == {"package.json": b"{}"}
