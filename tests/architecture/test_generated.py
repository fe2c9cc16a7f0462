"""The generated reference pages are what the code says today."""

import subprocess
import sys

import pytest

from tests.support.source import ROOT


@pytest.mark.parametrize("page", ["errors", "states", "settings", "cli"])
def test_the_page_is_up_to_date(page: str) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / f"{page}_doc.py", "--check"],
        env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr or f"docs/reference/{page}.md is out of date: run `make docs`"
