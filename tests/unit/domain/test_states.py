"""The transition table: complete, closed, and the only judge."""

import itertools
from enum import StrEnum

import pytest

from greylag.domain.errors import IntegrityError
from greylag.domain.events import EVENT_TYPES
from greylag.domain.states import ENDED, TRANSITIONS, WAITING, Status, TaskStatus, moved

KINDS = list(TRANSITIONS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_status_of_a_kind_is_in_its_table(kind: type[StrEnum]) -> None:
    assert set(TRANSITIONS[kind]) == set(kind)
    assert all(type(to) is kind for follow in TRANSITIONS[kind].values() for to in follow)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_listed_moves_and_what_is_not_raises(kind: type[Status]) -> None:
    for current, to in itertools.product(kind, kind):
        if to in TRANSITIONS[kind][current]:
            assert moved(current, to) is to
        else:
            with pytest.raises(IntegrityError, match="GL-STATE-001"):
                moved(current, to)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_status_can_be_reached(kind: type[Status]) -> None:
    first, *others = kind
    reached = {first}
    while True:
        further = {to for status in reached for to in TRANSITIONS[kind][status]} - reached
        if not further:
            break
        reached |= further
    assert reached == {first, *others}


def test_a_task_that_waits_can_always_be_ended_by_a_person_or_by_time() -> None:
    for status in WAITING:
        assert {TaskStatus.CANCELLED, TaskStatus.EXPIRED} <= TRANSITIONS[TaskStatus][status]


def test_waiting_and_ended_are_strangers() -> None:
    assert not WAITING & ENDED


def test_every_status_of_a_task_is_brought_by_an_event() -> None:
    brought = {event.moves_to for event in EVENT_TYPES.values() if event.moves_to is not None}
    assert brought == set(TaskStatus)
