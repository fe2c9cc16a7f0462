import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Union, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, text, update

from greylag.adapters.store import schema
from greylag.adapters.store.codec import decode_event, encode, time_of, time_text
from greylag.adapters.store.database import Database
from greylag.adapters.store.opening import Control, open_control
from greylag.domain import events as ev
from greylag.domain.errors import GreylagError, IntegrityError, RequestRefused
from greylag.domain.ids import TaskId, new_id
from greylag.domain.labels import Label
from greylag.domain.references import Reference
from greylag.domain.replaying import replay
from greylag.domain.states import TaskStatus
from tests.support.postgres import DatabaseUrls

GOLDEN = Path(__file__).parents[2] / "golden" / "events-v1.json"
AT = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
LABEL = Label.of("confidential", classes=("user",), origins=("DE",), regimes=("eu-gdpr",), derived_by=("room",))
BODY = Reference("eu", f"sha256:{'a' * 64}", 12, "request", "text/plain")


def task_id(number: int = 0, at: datetime = AT) -> TaskId:
    return TaskId(new_id("task", at, number.to_bytes(10, "big")))


def received(**changed: object) -> ev.TaskReceived:
    values = {"channel": "console", "requester": "ada", "request": BODY, "title": "fix", "region": "eu", **changed}
    return ev.TaskReceived(**values)  # type: ignore[arg-type]


def begin(control: Control, number: int = 0, **changed: object) -> TaskId:
    found = task_id(number)
    control.events.append(found, received(**changed), key="begin", at=AT + timedelta(seconds=number))
    return found


STORY: list[ev.Event] = [
    received(),
    ev.TaskAccepted("player", "fix", "internal", "dec_1"),
    ev.TaskPlaced("eu", "bwrap", "claude", "model-eu", "runs in Frankfurt", "dec_2"),
    ev.RunStarted("run_1", 1, 1, "c0", BODY, "v1"),  # type: ignore[arg-type]
    ev.TurnSettled("run_1", 1, "model-eu", "m", 10, 20, 300, "dec_3"),  # type: ignore[arg-type]
    ev.RunFinished("run_1", "finished", "done", BODY),  # type: ignore[arg-type]
    ev.ChangeCaptured("chg_1", "run_1", "c0", "t1", BODY, ("a.py", "b c.py"), 3, 1),  # type: ignore[arg-type]
    ev.RunVerified("run_1", "t1", True, "4 passed", BODY, ("pytest",)),  # type: ignore[arg-type]
    ev.ChangeVerified("chg_1", "t1"),  # type: ignore[arg-type]
    ev.BuildStored("bld_1", "chg_1", "player.whl", BODY),  # type: ignore[arg-type]
    ev.ReviewRequested("chg_1", "sha256:s", BODY, "2026-03-05T00:00:00Z"),  # type: ignore[arg-type]
    ev.StopRequested("bo", "enough"),
]


def test_a_story_is_kept_word_for_word(control: Control, database_urls: DatabaseUrls) -> None:
    records = [
        control.events.append(task_id(), event, key=f"k{number}", at=AT + timedelta(seconds=number))
        for number, event in enumerate(STORY)
    ]
    control.close()
    reopened = open_control(database_urls.control)
    assert list(reopened.events.read(task_id())) == records
    assert [record.event for record in records] == STORY
    assert [record.sequence for record in records] == list(range(1, len(STORY) + 1))
    assert records[0].at == AT
    task = reopened.events.task(task_id())
    assert task == replay(records)
    assert task.status is TaskStatus.IN_REVIEW
    assert reopened.events.read(task_id(), after=3, limit=2) == tuple(records[3:5])
    assert reopened.events.read(task_id(), limit=0) == ()
    assert reopened.events.read(task_id(), limit=-5) == ()
    reopened.close()


def test_a_task_is_received_once(control: Control) -> None:
    begin(control)
    with pytest.raises(IntegrityError, match="GL-STATE-001"):
        control.events.append(task_id(), received(title="another"), key="again", at=AT)
    assert len(control.events.read(task_id())) == 1


def test_times_keep_their_instant(control: Control) -> None:
    away = AT.astimezone(timezone(timedelta(hours=-7, minutes=-30)))
    assert control.events.append(task_id(), received(), key="begin", at=away).at == AT
    assert control.events.read(task_id())[0].at.tzinfo is UTC
    with pytest.raises(RequestRefused, match="GL-STORE-002"):
        control.events.append(task_id(1), received(), key="begin", at=AT.replace(tzinfo=None))


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_time_comes_back(at: datetime) -> None:
    spelled = time_text(at)
    assert time_of(spelled) == at
    assert len(spelled) == 27


@pytest.mark.parametrize("field", ["title", "requester", "region", "repository", "message_id"])
@pytest.mark.parametrize("hostile", ["a\x00b", "\ud800", "x" * (1 << 20)], ids=["nul", "surrogate", "huge"])
def test_hostile_text_in_any_field_is_refused_whole(control: Control, field: str, hostile: str) -> None:
    with pytest.raises(RequestRefused, match="GL-STORE-002"):
        control.events.append(task_id(), received(**{field: hostile}), key="begin", at=AT)
    with pytest.raises(RequestRefused, match="GL-TASK-001"):
        control.events.task(task_id())
    begin(control, title="\\u0000 \u202e <b>&'\";--\n🪿")
    assert control.events.task(task_id()).title == "\\u0000 \u202e <b>&'\";--\n🪿"


@pytest.mark.parametrize(
    "event",
    [
        received(repository=["a", "list"]),
        received(title=7),
        received(request="no reference"),
        ev.TurnSettled("r", 1.5, "e", "m", 1, 1, 1, "d"),  # type: ignore[arg-type]
        ev.ReviewRequested("c", "s", BODY, AT),  # type: ignore[arg-type]
        ev.TaskAccepted("r", "i", "l", b"dec"),  # type: ignore[arg-type]
        ev.TurnSettled("r", 10**30, "e", "m", 1, 1, 1, "d"),  # type: ignore[arg-type]
    ],
)
def test_an_event_that_would_not_come_back_equal_is_refused(event: ev.Event) -> None:
    if isinstance(event, ev.TurnSettled) and event.number == 10**30:
        assert decode_event("TurnSettled", 1, encode(event)) == event  # text has room for any whole number
        return
    with pytest.raises(RequestRefused, match="GL-STORE-002"):
        encode(event)


@pytest.mark.parametrize(
    "hostile", ["", "task_", "abc", "a\x00bcd", "\ud800\ud800\ud800\ud800", "%%%%", "____", "x" * 9_000]
)
def test_nothing_is_found_by_nonsense(control: Control, hostile: str) -> None:
    begin(control)
    with pytest.raises(RequestRefused, match="GL-TASK-001"):
        control.events.find(hostile)
    with pytest.raises(RequestRefused, match="GL-TASK-001"):
        control.events.task(TaskId(hostile))
    assert control.events.read(TaskId(hostile)) == ()
    assert control.events.tasks(repository=hostile) == ()
    with pytest.raises(RequestRefused, match="GL-TASK-001"):
        control.events.tasks(before=TaskId(hostile))


def test_find_takes_a_beginning_in_any_case(control: Control) -> None:
    first, second = begin(control, 0), begin(control, 1)
    for prefix in (first, first.removeprefix("task_"), f" {first.upper()} "):
        assert control.events.find(prefix).task_id == first
    shared = first[:12]
    assert second.startswith(shared)
    with pytest.raises(RequestRefused, match="GL-TASK-002"):
        control.events.find(shared)


def test_tasks_are_listed_newest_first_in_pages(control: Control) -> None:
    ids = [begin(control, number, repository=("player", "site")[number % 2]) for number in range(7)]
    control.events.append(ids[3], ev.QuestionAsked("?"), key="ask", at=AT)

    def listed(**asked: object) -> list[TaskId]:
        return [task.task_id for task in control.events.tasks(**asked)]  # type: ignore[arg-type]

    newest_first = ids[::-1]
    assert listed() == newest_first
    assert listed(limit=3) == newest_first[:3]
    assert listed(limit=3, before=newest_first[2]) == newest_first[3:6]
    assert listed(limit=10_000, before=newest_first[5]) == newest_first[6:]
    assert listed(repository="site") == newest_first[1::2]
    assert listed(statuses=[TaskStatus.ASKED]) == [ids[3]]
    assert listed(statuses=iter([TaskStatus.RECEIVED]), repository="player") == [ids[6], ids[4], ids[2], ids[0]]
    assert listed(statuses=[]) == listed(limit=0) == []


def test_unclosed_tasks_are_found_whatever_their_number(control: Control) -> None:
    ids = [begin(control, number, region=("eu", "us")[number % 2]) for number in range(7)]
    control.events.append(ids[2], ev.TaskClosed(90), key="closed", at=AT)
    first = control.events.unclosed("eu", limit=2)
    assert [task.task_id for task in first] == [ids[0], ids[4]]
    assert [task.task_id for task in control.events.unclosed("eu", after=first[-1].task_id)] == [ids[6]]
    assert [task.task_id for task in control.events.unclosed("us")] == [ids[1], ids[3], ids[5]]
    assert control.events.unclosed("nowhere\x00") == ()


def test_order_does_not_hang_on_ids(control: Control) -> None:
    """A task id may be derived from a message and then says nothing about time."""
    for number, name in enumerate(("zzzz", "aaaa", "mmmm")):
        control.events.append(TaskId(f"task_{name}"), received(), key="k", at=AT + timedelta(seconds=number))
    assert [task.task_id[5:] for task in control.events.tasks()] == ["mmmm", "aaaa", "zzzz"]


def test_rebuild_makes_the_projections_again(control: Control) -> None:
    ids = [begin(control, number) for number in range(5)]
    for number, event in enumerate(STORY[1:]):
        control.events.append(ids[2], event, key=f"k{number}", at=AT)
    before = control.events.tasks()
    with Database(control.engine).writing("vandal") as connection:
        connection.execute(update(schema.task).values(status="released", projection="{}"))
        connection.execute(text("DELETE FROM greylag_task WHERE task_id = :id"), {"id": ids[1]})
    assert control.events.task(ids[2]).sequence == len(STORY)  # what can't be read is replayed
    assert control.events.rebuild() == 5
    assert control.events.tasks() == before


def raw_event(control: Control, **changed: object) -> None:
    row = {
        "task_id": task_id(), "sequence": 2, "kind": "StopRequested", "schema_version": 1, "at": time_text(AT),
        "key": "raw", "data": '{"by":"bo","reason":"x"}', **changed,
    }  # fmt: skip
    with Database(control.engine).writing("vandal") as connection:
        connection.execute(insert(schema.event).values(**row))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"kind": "TaskEnlightened"}, "GL-STORE-003"),
        ({"kind": "object"}, "GL-STORE-003"),
        ({"schema_version": 0}, "GL-STORE-003"),
        ({"schema_version": 2}, "GL-STORE-004"),
        ({"kind": "TaskEnlightened", "schema_version": 2}, "GL-STORE-004"),
        ({"data": "{"}, "GL-STORE-005"),
        ({"data": "[]"}, "GL-STORE-005"),
        ({"data": '{"by":"bo"}'}, "GL-STORE-005"),
        ({"data": '{"by":"bo","reason":3}'}, "GL-STORE-005"),
        ({"data": '{"by":"bo","reason":"x","why":"new"}'}, "GL-STORE-005"),
        ({"at": "yesterday"}, "GL-STORE-005"),
        ({"sequence": 3}, "GL-STATE-002"),
    ],
)
def test_a_log_that_can_t_be_understood_is_never_guessed_at(
    control: Control, changed: dict[str, object], code: str
) -> None:
    begin(control)
    raw_event(control, **changed)
    before = control.events.task(task_id())
    with pytest.raises(IntegrityError, match=code):
        control.events.rebuild()
    assert control.events.task(task_id()) == before  # and nothing was thrown away
    if code != "GL-STATE-002":
        with pytest.raises(IntegrityError, match=code):
            control.events.read(task_id())


def test_nothing_is_half_written(control: Control) -> None:
    begin(control)
    with Database(control.engine).writing("vandal") as connection:
        connection.execute(text("ALTER TABLE greylag_task RENAME COLUMN projection TO gone"))
    with pytest.raises(GreylagError, match="GL-STORE-001"):
        control.events.append(task_id(), ev.StopRequested("bo", "x"), key="stop", at=AT)
    assert len(control.events.read(task_id())) == 1


def test_threads_that_append_to_one_task_lose_nothing(control: Control) -> None:
    begin(control)

    def work(number: int) -> int:
        event = ev.FollowUpReceived("ada", BODY, str(number))
        return control.events.append(task_id(), event, key=f"k{number // 2}", at=AT).sequence

    with ThreadPoolExecutor(6) as pool:
        sequences = list(pool.map(work, range(60)))
    assert sorted(set(sequences)) == list(range(2, 32))
    assert control.events.task(task_id()).sequence == 31


def test_threads_that_begin_one_task_begin_it_once(control: Control) -> None:
    with ThreadPoolExecutor(6) as pool:
        records = list(pool.map(lambda _: control.events.append(task_id(), received(), key="begin", at=AT), range(12)))
    assert set(records) == {records[0]}


WRITER = """
import sys
from datetime import UTC, datetime
from greylag.adapters.store.opening import open_control
from greylag.domain.events import StopRequested

url, task_id, name = sys.argv[1:]
control = open_control(url)
sys.stdin.readline()
for number in range(40):
    control.events.append(task_id, StopRequested(name, str(number)), key=f"{name}-{number}", at=datetime.now(UTC))
control.close()
"""


def test_two_processes_that_append_to_one_task_lose_nothing(control: Control, database_urls: DatabaseUrls) -> None:
    begin(control)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, database_urls.control, task_id(), name], stdin=subprocess.PIPE, text=True
        )
        for name in ("one", "two")
    ]
    for writer in writers:
        writer.stdin.write("go\n")  # type: ignore[union-attr]
        writer.stdin.flush()  # type: ignore[union-attr]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    records = control.events.read(task_id())
    assert [record.sequence for record in records] == list(range(1, 82))
    assert len({record.key for record in records}) == 81
    assert control.events.task(task_id()) == replay(records)


def sample_of(kind: object) -> object:
    if kind is str:
        return "text ü 🪿"
    if kind in (bool, int):
        return kind(1)
    if kind is Reference:
        return BODY
    if kind is Label:
        return LABEL
    if getattr(kind, "__supertype__", None) is str:
        return "run_01"
    arguments = get_args(kind)
    if type(None) in arguments:
        return sample_of(next(argument for argument in arguments if argument is not type(None)))
    assert arguments[1:] == (...,), kind
    return ("one", "two") if arguments[0] is str else (sample_of(arguments[0]),) * 2


def sample_event(kind: type[ev.Event]) -> ev.Event:
    hints = get_type_hints(kind)
    return kind(**{field.name: sample_of(hints[field.name]) for field in fields(kind)})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(ev.EVENT_TYPES))
def test_every_kind_of_event_comes_back_with_and_without_its_defaults(name: str) -> None:
    event = sample_event(ev.EVENT_TYPES[name])
    assert decode_event(name, ev.SCHEMA_VERSION, encode(event)) == event


@pytest.mark.parametrize("record", json.loads(GOLDEN.read_text()), ids=lambda record: record["kind"])
def test_records_of_version_1_still_load(record: dict[str, object]) -> None:
    """A line of the golden file is never edited, only added: a new field needs a default and brings a further line."""
    event = decode_event(record["kind"], record["schema_version"], json.dumps(record["data"]))  # type: ignore[arg-type]
    assert type(event).__name__ == record["kind"]
    again = json.loads(encode(event))
    assert record["data"] == {name: value for name, value in again.items() if name in record["data"]}  # type: ignore[operator]


def test_every_kind_of_event_has_its_golden_record() -> None:
    golden = {record["kind"] for record in json.loads(GOLDEN.read_text())}
    missing = [
        {"kind": name, "schema_version": ev.SCHEMA_VERSION, "data": json.loads(encode(sample_event(kind)))}
        for name, kind in ev.EVENT_TYPES.items()
        if name not in golden
    ]
    lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in missing)
    assert not missing, f"add to {GOLDEN.name}:\n{lines}"
    assert golden == set(ev.EVENT_TYPES)
    assert set(get_args(Union[ev.Event])) == set(ev.EVENT_TYPES.values())  # noqa: UP007
