"""A task's label only grows: whatever is said of it, in whatever order, nothing of what was said before is lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.adapters.store.opening import open_control
from greylag.adapters.store.port import EventStore
from greylag.delivery.cell import UNLABELLED, Cell, label_of
from greylag.domain import events as ev
from greylag.domain.ids import TaskId
from greylag.domain.labels import LEVELS, Label
from greylag.domain.references import Reference
from greylag.domain.replaying import advance, replay
from greylag.domain.task import Task

TASK = TaskId("task_1")
AT = datetime(2026, 1, 1, tzinfo=UTC)
RECEIVED = ev.TaskReceived("console", "ada", Reference("local", "sha256:" + "0" * 64, 1, "x"), "fix it", "local")
WORDS = st.lists(st.sampled_from(["a", "b", "c.d"]), max_size=2)
LABELS = st.builds(
    lambda level, classes, origins, regimes, subjects, why: Label.of(
        level, classes=classes, origins=origins, regimes=regimes, subjects=subjects, derived_by=why
    ),
    st.sampled_from(LEVELS), WORDS, WORDS, WORDS, st.integers(0, 9), WORDS,
)  # fmt: skip


def labelled(label: Label) -> ev.TaskLabelled:
    return ev.TaskLabelled(label.level, label.classes, label.origins, label.regimes, label.subjects, label.derived_by)


def recorded(number: int, event: ev.Event) -> ev.Recorded:
    return ev.Recorded(TASK, number, AT + timedelta(seconds=number), event, f"key{number}")


@given(st.lists(LABELS, max_size=6), st.integers(0, 6), st.sampled_from(LEVELS))
def test_no_event_takes_anything_from_a_label(labels: list[Label], place: int, level: str) -> None:
    events: list[ev.Event] = [labelled(label) for label in labels]
    events.insert(place, ev.TaskAccepted("murmur", "fix", level, "dec_1"))
    task = replay([recorded(1, RECEIVED)])
    said: list[Label] = []
    for number, event in enumerate(events, start=2):
        before = task.label
        task = advance(task, recorded(number, event))
        assert task.label is not None
        if before is not None:
            assert task.label.joined(before) == task.label, "it holds all that was there"
        assert task.level == task.label.level
        said.append(Label(level) if isinstance(event, ev.TaskAccepted) else labels[number - 2 - (number - 2 > place)])
    assert task.label == said[0].joined(*said[1:]), "it is the join of all that was said, whatever the order"


@dataclass
class Parts:
    """The parts of a cell that labelling touches."""

    events: EventStore

    @property
    def clock(self) -> "Parts":
        return self

    def now(self) -> datetime:
        return AT

    def relabel(self, task: Task, label: Label) -> Task:
        return Cell.relabel_now(cast(Cell, self), task, label)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    control = open_control(f"sqlite:///{tmp_path / 'control.db'}")
    control.events.append(TASK, RECEIVED, key="received", at=AT)
    yield Parts(control.events)
    control.close()


def test_each_growth_is_an_event_and_what_adds_nothing_is_none(parts: Parts) -> None:
    task = parts.events.task(TASK)
    assert label_of(task) == UNLABELLED
    said = [
        Label.of("internal", origins=("DE",), derived_by=("repository",)),
        Label.of("public"),
        Label.of("confidential", classes=("user.contact.email",), subjects=3, derived_by=("scanner:email",)),
        Label.of("internal", origins=("DE",)),
    ]
    for label in said:
        task = parts.relabel(task, label)
    kinds = [record.event for record in parts.events.read(TASK)][1:]
    assert len(kinds) == 2
    assert all(isinstance(event, ev.TaskLabelled) for event in kinds)
    assert task.label == said[0].joined(*said[1:])
    assert parts.events.task(TASK).label == task.label


def test_a_step_that_runs_again_records_nothing_twice(parts: Parts) -> None:
    stale = parts.events.task(TASK)
    label = Label.of("confidential", derived_by=("path:x",))
    parts.relabel(stale, label)
    parts.relabel(stale, label)
    assert len([record for record in parts.events.read(TASK) if isinstance(record.event, ev.TaskLabelled)]) == 1


def test_two_who_label_at_once_lose_nothing(parts: Parts) -> None:
    stale = parts.events.task(TASK)
    parts.relabel(stale, Label.of("confidential", classes=("a",)))
    task = parts.relabel(stale, Label.of("public", classes=("b",)))
    assert task.label is not None
    assert (task.label.level, task.label.classes) == ("confidential", ("a", "b"))
