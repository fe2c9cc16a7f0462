"""Whole-flow tests: the real program, real git, real sandbox, real databases; only models are scripted."""

from collections.abc import Iterator

import pytest
from flow_stage import Stage, staged


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One platform for the tests of a module."""
    with staged() as running:
        yield running
