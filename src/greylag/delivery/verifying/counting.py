"""Counts what JavaScript test runners say. Pure."""

import re

from greylag.delivery.verifying.results import TestFailure

# Each: what passed, what failed. The runner's last word counts.
_RUNNERS = (
    (re.compile(r"^(?:\u2139|#) pass +(\d{1,9})$", re.M), re.compile(r"^(?:\u2139|#) fail +(\d{1,9})$", re.M)),
    (
        re.compile(r"^Tests: +(?:\d+ \w+, )*(\d{1,9}) passed", re.M),
        re.compile(r"^Tests: +(?:\d+ \w+, )*(\d{1,9}) failed", re.M),
    ),
    (
        re.compile(r"^ +Tests +(?:\d+ \w+ \| )*(\d{1,9}) passed", re.M),
        re.compile(r"^ +Tests +(?:\d+ \w+ \| )*(\d{1,9}) failed", re.M),
    ),
    (re.compile(r"^ *(\d{1,9}) passing\b", re.M), re.compile(r"^ *(\d{1,9}) failing\b", re.M)),
    (re.compile(r"^ *(\d{1,9}) tests? passed\b", re.M), re.compile(r"^ *(\d{1,9}) tests? failed\b", re.M)),
)  # fmt: skip
_FAILED_TEST = re.compile(r"^ *(?:not ok \d+ -? ?|\u2716 |\u2715 |\u00d7 |\u25cf )(.{1,200})$", re.M)
_SHOWN = 20


def count_npm(text: str) -> tuple[int, int]:
    """Return how many tests passed and failed by ``text`` (cleaned): node's own runner, jest, vitest, mocha, ava, tape.

    Several runners add up; what no runner says is 0.
    """
    passed = failed = 0
    for good, bad in _RUNNERS:
        passed += _last(good, text)
        failed += _last(bad, text)
    return passed, failed


def _last(pattern: re.Pattern[str], text: str) -> int:
    numbers = pattern.findall(text)
    return int(numbers[-1]) if numbers else 0


def npm_failures(text: str) -> tuple[TestFailure, ...]:
    """Return the tests that ``text`` names as failed, each once."""
    names = dict.fromkeys(name.strip() for name in _FAILED_TEST.findall(text))
    return tuple(TestFailure(name) for name in list(names)[:_SHOWN] if not name.startswith("failing tests"))
