"""Ids sort by time, derived ids never collide by framing, and neither reads a clock."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.ids import derived_id, new_id

MOMENTS = st.integers(0, 4_000_000_000_000).map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC))


@given(MOMENTS, st.binary(min_size=10, max_size=16))
def test_an_id_is_its_prefix_and_26_characters(at: datetime, entropy: bytes) -> None:
    made = new_id("task", at, entropy)
    assert made.startswith("task_")
    assert len(made) == len("task_") + 26
    assert not set(made[5:]) & set("ilou")


@given(MOMENTS, st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_a_later_id_sorts_later(at: datetime, first: bytes, second: bytes) -> None:
    assert new_id("task", at, first) < new_id("task", at + timedelta(milliseconds=1), second)


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_other_parts_are_another_id(one: list[str], other: list[str]) -> None:
    assert (derived_id("run", *one) == derived_id("run", *other)) == (one == other)


def test_a_naive_time_and_short_entropy_are_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        new_id("task", datetime(2026, 1, 1), bytes(10))  # noqa: DTZ001 - that is the point
    with pytest.raises(ValueError, match="10 bytes"):
        new_id("task", datetime(2026, 1, 1, tzinfo=UTC), bytes(9))
