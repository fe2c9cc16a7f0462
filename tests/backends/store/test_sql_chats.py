"""What is remembered of chats: each event once, every message's way, and nothing a hostile id could change."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import text

from greylag.adapters.store.opening import Control, open_control
from greylag.adapters.store.port import Arrival, ChatPerson, Spoken
from greylag.domain.conversation import Conversation
from greylag.domain.errors import RequestRefused
from greylag.domain.events import TaskReceived
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from tests.support.postgres import DatabaseUrls

AT = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
BODY = Reference("eu", f"sha256:{'a' * 64}", 12, "message", "text/plain")
HERE = Conversation("slack:T1", "C1", "1700000000.000100")
THERE = Conversation("matrix:example.org", "!room:example.org")
TASK, OTHER = TaskId("task_1"), TaskId("task_2")
HOSTILE = ["a\x00b", "\ud800", "x" * 5_000]


def arrive(control: Control, event_id: str, conversation: Conversation = HERE, at: datetime = AT) -> Arrival | None:
    return control.chats.arrive(conversation, event_id, '{"kind":"mention"}', BODY, at)


def say(control: Control, task_id: TaskId, key: str) -> int:
    said = control.threads.say(task_id, Spoken("greylag", "text", key), body=BODY, decision_id="", at=AT)
    return said.sequence


def test_an_event_is_taken_once_and_in_line(control: Control) -> None:
    first, again, second = arrive(control, "Ev1"), arrive(control, "Ev1"), arrive(control, "Ev2", THERE)
    assert first is not None
    assert second is not None
    assert again is None
    assert (first.number, first.state, first.tries, first.body) == (1, "taken", 0, BODY)
    assert control.chats.waiting() == (first, second)
    assert control.chats.waiting(1) == (first,)
    assert control.chats.known(HERE.source, "Ev1") == first
    assert control.chats.known(THERE.source, "Ev1") is None
    other_chat = arrive(control, "Ev1", THERE)
    assert other_chat is not None, "an id is one chat's own"


def test_an_arrival_may_have_no_words(control: Control) -> None:
    assert control.chats.arrive(HERE, "click", "{}", None, AT) is not None
    found = control.chats.known(HERE.source, "click")
    assert found is not None
    assert found.body is None


def test_what_became_of_an_arrival_is_said_once(control: Control) -> None:
    first, second = arrive(control, "Ev1"), arrive(control, "Ev2")
    assert first is not None
    assert second is not None
    control.chats.settle(first.number, "taken", "the ledger is away")
    control.chats.settle(first.number, "taken")
    assert [(each.tries, each.event_id) for each in control.chats.waiting()] == [(2, "Ev1"), (0, "Ev2")]
    control.chats.settle(first.number, "refused", "GL-APPROVE-001: no" + "\x00\ud800" + "x" * 5_000)
    control.chats.settle(first.number, "handled")
    control.chats.settle(99, "handled")
    found = control.chats.known(HERE.source, "Ev1")
    assert found is not None
    assert (found.state, found.reason[:18], len(found.reason)) == ("refused", "GL-APPROVE-001: no", 500)
    assert [each.event_id for each in control.chats.waiting()] == ["Ev2"]
    with pytest.raises(RequestRefused, match="GL-STORE-010"):
        control.chats.settle(second.number, "done")


def test_what_is_forgotten_is_old_settled_and_never_the_last_number(control: Control) -> None:
    for hours in range(5):
        arrival = arrive(control, f"Ev{hours}", at=AT + timedelta(hours=hours))
        assert arrival is not None
        if hours != 1:
            control.chats.settle(arrival.number, "handled")
    later = AT + timedelta(days=30)
    assert control.chats.forget(AT - timedelta(days=1)) == 0
    assert control.chats.forget(later) == 2, "the unsettled one, the newest and one an hour before it stay"
    assert control.chats.forget(later) == 0
    left = [control.chats.known(HERE.source, f"Ev{hours}") is not None for hours in range(5)]
    assert left == [False, True, False, True, True]
    fresh = arrive(control, "Ev9", at=later)
    assert fresh is not None
    assert fresh.number == 6, "no number is given twice"
    control.chats.settle(fresh.number, "handled")
    assert control.chats.forget(later + timedelta(days=1)) == 2
    following = arrive(control, "Ev10", at=later)
    assert following is not None
    assert following.number == 7


def test_nothing_to_forget_is_fine(control: Control) -> None:
    assert control.chats.forget(AT) == 0


def test_many_who_hear_the_same_event_take_it_once(control: Control) -> None:
    workers, events = 6, 12
    start = Barrier(workers)

    def listen(_: int) -> list[int]:
        start.wait()
        found = [arrive(control, f"Ev{number}") for number in range(events)]
        return [each.number for each in found if each is not None]

    with ThreadPoolExecutor(workers) as pool:
        taken = [number for numbers in pool.map(listen, range(workers)) for number in numbers]
    assert sorted(taken) == list(range(1, events + 1))
    assert len(control.chats.waiting()) == events


def test_two_processes_that_hear_the_same_event_take_it_once(database_urls: DatabaseUrls) -> None:
    code = """
import sys
from datetime import UTC, datetime
from greylag.adapters.store.opening import open_control
from greylag.domain.conversation import Conversation
control = open_control(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    found = control.chats.arrive(Conversation("slack:T1", "C1"), f"Ev{number}", "", None, datetime.now(UTC))
    if found is not None:
        print(number)
control.close()
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, database_urls.control], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    taken: list[int] = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        taken += [int(line) for line in output.split()]
    assert sorted(taken) == list(range(20))


def test_a_task_is_bound_to_conversations(control: Control) -> None:
    assert control.chats.task_in(HERE) is None
    for _ in range(2):
        control.chats.bind(HERE, TASK, AT)
    control.chats.bind(THERE, TASK, AT, after=3)
    control.chats.bind(HERE, OTHER, AT)
    control.chats.bind(HERE, TASK, AT, after=9)
    assert control.chats.task_in(HERE) == OTHER
    assert control.chats.task_in(THERE) == TASK
    assert control.chats.task_in(replace(HERE, thread="")) is None
    assert control.chats.conversations(TASK) == (HERE, THERE)
    assert control.chats.conversations(TaskId("task_9")) == ()


def test_due_is_what_was_said_and_not_delivered(control: Control) -> None:
    control.chats.bind(HERE, TASK, AT)
    control.chats.bind(THERE, TASK, AT, after=1)
    control.chats.bind(HERE, OTHER, AT)
    sources = (HERE.source, THERE.source)
    assert control.chats.due(sources) == ()
    say(control, TASK, "a")
    found = control.chats.due(sources)
    assert [(each.conversation, each.task_id, each.delivered) for each in found] == [(HERE, TASK, 0)]
    say(control, TASK, "b")
    say(control, OTHER, "a")
    assert [each.conversation for each in control.chats.due(sources)] == [HERE, THERE, HERE]
    assert [each.task_id for each in control.chats.due((HERE.source,))] == [TASK, OTHER]
    assert len(control.chats.due(sources, 2)) == 2
    assert control.chats.due(sources, -1) == ()
    assert control.chats.due(()) == ()
    assert control.chats.due(HOSTILE) == ()
    control.chats.sent(HERE, TASK, 2, "sent", "171.1", AT)
    assert [each.task_id for each in control.chats.due((HERE.source,))] == [OTHER]


def test_due_of_a_region_is_its_own_tasks(control: Control) -> None:
    for task_id, region in ((TASK, "eu"), (OTHER, "us")):
        received = TaskReceived("slack:T1", "ada", BODY, "fix", region)
        control.events.append(task_id, received, key="begin", at=AT)
        control.chats.bind(HERE, task_id, AT)
        say(control, task_id, "a")
    assert [each.task_id for each in control.chats.due((HERE.source,), region="us")] == [OTHER]
    assert len(control.chats.due((HERE.source,))) == 2


def test_a_message_is_noted_before_and_after(control: Control) -> None:
    chats = control.chats
    chats.bind(HERE, TASK, AT)
    say(control, TASK, "a")
    assert chats.posting(HERE, TASK, 1) is None
    assert chats.sending(HERE, TASK, 1, "dec_1", AT) is None
    begun = chats.sending(HERE, TASK, 1, "dec_2", AT)
    assert begun is not None
    assert (begun.state, begun.tries, begun.decision_id) == ("sending", 1, "dec_1")
    noted = chats.posting(HERE, TASK, 1)
    assert noted is not None
    assert (noted.state, noted.tries, noted.decision_id) == ("sending", 2, "dec_2")
    assert chats.due((HERE.source,))[0].delivered == 0, "what was only begun is not delivered"
    chats.sent(HERE, TASK, 1, "sent", "171.1", AT)
    assert chats.due((HERE.source,)) == ()
    done = chats.posting(HERE, TASK, 1)
    assert done is not None
    assert (done.state, done.handle) == ("sent", "171.1")
    assert chats.posted_as(HERE.source, HERE.room, "171.1") == done
    assert chats.posted_as(HERE.source, "C2", "171.1") is None
    assert chats.posted_as(HERE.source, HERE.room, "") is None


def test_an_end_that_is_noted_stays(control: Control) -> None:
    chats = control.chats
    chats.bind(HERE, TASK, AT)
    chats.sent(HERE, TASK, 3, "lost", "", AT)
    again = chats.sending(HERE, TASK, 3, "dec_9", AT)
    assert again is not None
    assert again.state == "lost"
    chats.sent(HERE, TASK, 3, "sent", "171.1", AT)
    chats.sent(HERE, TASK, 1, "withheld", "", AT)
    states = [posting.state for number in (1, 3) if (posting := chats.posting(HERE, TASK, number))]
    assert states == ["withheld", "lost"]
    for number in range(5):
        say(control, TASK, f"{number}")
    assert chats.due((HERE.source,))[0].delivered == 3, "it never becomes less"
    with pytest.raises(RequestRefused, match="GL-STORE-010"):
        chats.sent(HERE, TASK, 4, "sending", "", AT)


def test_lines_of_progress_that_were_one_message_end_together(control: Control) -> None:
    chats = control.chats
    chats.bind(HERE, TASK, AT)
    chats.sending(HERE, TASK, 2, "dec_1", AT)
    chats.sending(THERE, TASK, 2, "dec_1", AT)
    chats.sent(HERE, TASK, 5, "sent", "171.1", AT)
    noted = [chats.posting(where, TASK, number) for where, number in ((HERE, 2), (HERE, 5), (THERE, 2))]
    assert [(each.state, each.handle) for each in noted if each] == [("sent", "171.1")] * 2 + [("sending", "")]
    first = chats.posted_as(HERE.source, HERE.room, "171.1")
    assert first is not None
    assert first.sequence == 2


def test_two_tasks_of_one_conversation_have_their_own_cursors(control: Control) -> None:
    for task_id in (TASK, OTHER):
        control.chats.bind(HERE, task_id, AT)
        say(control, task_id, "a")
    control.chats.sent(HERE, OTHER, 1, "sent", "171.1", AT)
    assert [each.task_id for each in control.chats.due((HERE.source,))] == [TASK]


def test_people_of_chats_are_added_replaced_and_forgotten(control: Control) -> None:
    chats = control.chats
    ada = ChatPerson(HERE.source, "U1", "ada", "link", AT)
    chats.add_person(ada)
    chats.add_person(replace(ada, source=THERE.source, person="zoe"))
    assert chats.person(HERE.source, "U1") == ada
    assert chats.person(HERE.source, "u1") is None
    moved = replace(ada, person="bo", via="operator", at=AT + timedelta(days=1))
    chats.add_person(moved)
    assert [each.person for each in chats.persons()] == ["bo", "zoe"]
    for _ in range(2):
        chats.remove_person(HERE.source, "U1")
    assert chats.person(HERE.source, "U1") is None
    assert len(chats.persons()) == 1
    with pytest.raises(RequestRefused, match="GL-STORE-010"):
        chats.add_person(replace(ada, via="said so"))


def test_notes_are_kept_by_name_and_bounded(control: Control) -> None:
    chats = control.chats
    assert chats.note(HERE.source, "since") == ""
    for value in ("s1", "s2", ""):
        chats.put_note(HERE.source, "since", value)
        assert chats.note(HERE.source, "since") == value
    chats.put_note(HERE.source, "big", "x" * 65_536)
    assert chats.note(THERE.source, "big") == ""
    with pytest.raises(RequestRefused, match="GL-STORE-002"):
        chats.put_note(HERE.source, "big", "x" * 65_537)
    with pytest.raises(RequestRefused, match="GL-STORE-011"):
        chats.put_note(HERE.source, "big", "\N{DUCK}" * 40_000)
    assert len(chats.note(HERE.source, "big")) == 65_536


@pytest.mark.parametrize("hostile", [*HOSTILE, ""])
def test_hostile_ids_are_refused_where_they_would_be_kept(control: Control, hostile: str) -> None:
    chats = control.chats
    places = [replace(HERE, source=hostile), replace(HERE, room=hostile)]
    if hostile:
        places.append(replace(HERE, thread=hostile))
    acts = [
        lambda: chats.arrive(HERE, hostile, "{}", None, AT),
        lambda: chats.bind(HERE, TaskId(hostile), AT),
        lambda: chats.add_person(ChatPerson(HERE.source, hostile, "ada", "link", AT)),
        lambda: chats.add_person(ChatPerson(HERE.source, "U1", hostile, "link", AT)),
        lambda: chats.add_person(ChatPerson(hostile, "U1", "ada", "link", AT)),
        lambda: chats.put_note(HERE.source, hostile, "x"),
        lambda: chats.put_note(hostile, "since", "x"),
    ]
    for place in places:
        acts += [
            lambda place=place: chats.arrive(place, "Ev1", "{}", None, AT),  # type: ignore[misc]
            lambda place=place: chats.bind(place, TASK, AT),  # type: ignore[misc]
            lambda place=place: chats.sending(place, TASK, 1, "dec_1", AT),  # type: ignore[misc]
            lambda place=place: chats.sent(place, TASK, 1, "sent", "1", AT),  # type: ignore[misc]
        ]
    if hostile:
        acts += [lambda: chats.sent(HERE, TASK, 1, "sent", hostile, AT)]
    for act in acts:
        with pytest.raises(RequestRefused, match="GL-STORE-002"):
            act()
    with control.engine.connect() as connection:
        for table in ("inbox", "conversation", "post", "person", "note"):
            assert connection.execute(text(f"SELECT count(*) FROM greylag_chat_{table}")).scalar() == 0


@pytest.mark.parametrize("hostile", [*HOSTILE, "", "' OR 1=1 --", "\N{RIGHT-TO-LEFT OVERRIDE}C1", "%"])
def test_hostile_ids_are_nothing_known(control: Control, hostile: str) -> None:
    chats = control.chats
    arrive(control, "Ev1")
    chats.bind(HERE, TASK, AT)
    chats.sent(HERE, TASK, 1, "sent", "171.1", AT)
    chats.add_person(ChatPerson(HERE.source, "U1", "ada", "link", AT))
    assert chats.known(HERE.source, hostile) is None
    assert chats.known(hostile, "Ev1") is None
    assert chats.task_in(replace(HERE, room=hostile)) is None
    assert chats.conversations(TaskId(hostile)) == ()
    assert chats.posting(HERE, TaskId(hostile), 1) is None
    assert chats.posted_as(HERE.source, HERE.room, hostile) is None
    assert chats.person(HERE.source, hostile) is None
    assert chats.note(HERE.source, hostile) == ""
    chats.remove_person(HERE.source, hostile)
    assert len(chats.persons()) == 1


def test_words_that_look_like_ids_are_kept_as_they_are(control: Control) -> None:
    odd = Conversation("slack:T'1", '"; DROP TABLE greylag_chat_post; --', "\N{ZERO WIDTH SPACE}")
    heard = json.dumps({"kind": "mention", "author_name": "<script>\u202e\x1b[31m"})
    arrival = control.chats.arrive(odd, "Ev\N{DUCK}", heard, BODY, AT)
    assert control.chats.known(odd.source, "Ev\N{DUCK}") == arrival
    with pytest.raises(RequestRefused, match="GL-STORE-002"):
        control.chats.arrive(odd, "Ev2", "x" * 40_000, BODY, AT)


def test_what_was_noted_outlives_the_process(database_urls: DatabaseUrls) -> None:
    first = open_control(database_urls.control)
    arrive(first, "Ev1")
    first.chats.bind(HERE, TASK, AT)
    say(first, TASK, "a")
    first.chats.sending(HERE, TASK, 1, "dec_1", AT)
    first.close()
    second = open_control(database_urls.control)
    assert [each.event_id for each in second.chats.waiting()] == ["Ev1"]
    noted = second.chats.posting(HERE, TASK, 1)
    assert noted is not None
    assert noted.state == "sending"
    assert [each.task_id for each in second.chats.due((HERE.source,))] == [TASK]
    second.close()
