"""The shipped scanner, built once for the tests of what looks into content."""

import tomllib
from functools import cache
from pathlib import Path

from greylag.governance.scanning import Scanner, parse_rules

ROOT = Path(__file__).resolve().parents[2]


@cache
def shipped() -> Scanner:
    """Return the scanner of the shipped rules."""
    files = sorted((ROOT / "policies" / "scanners").glob("*.toml"))
    return Scanner(parse_rules(*(tomllib.loads(file.read_text(encoding="utf-8")) for file in files)))
