"""What a thread's messages offer, to whom, and until when."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.app.web.documents import MessageOut, OfferOut
from greylag.app.web.thread.offers import Act, offers_of
from greylag.app.web.thread.standing import rights_of, standing_of
from greylag.domain.conversation import VERBS
from greylag.domain.ids import BuildId, ChangeId, ReleaseId, RunId, TaskId
from greylag.domain.references import Reference
from greylag.domain.repository import Person
from greylag.domain.states import BuildStatus, ChangeStatus, ReleaseStatus, RunStatus, TaskStatus
from greylag.domain.task import Build, Change, Release, Run, Task

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ADA, GRACE, LIN, OTTO = (
    Person("ada", ("requester",)), Person("grace", ("requester", "reviewer")), Person("lin", ("reviewer",)),
    Person("otto", ("auditor",)),
)  # fmt: skip
KEPT = Reference("local", "sha256:" + "0" * 64, 1, "text/plain")
SUBJECT, EARLIER = ("sha256:" + digit * 64 for digit in "12")
RUN = Run(RunId("run_1"), 1, 1, RunStatus.PASSED, "c0", KEPT, report=KEPT)
CHANGE = Change(ChangeId("chg_1"), RUN.run_id, ChangeStatus.CAPTURED, "c0", "t0", KEPT, ("a",), 1, 0)
BUILD = Build(BuildId("bld_1"), CHANGE.change_id, BuildStatus.STORED, "x.whl", KEPT)
TASK = Task(
    TaskId("task_" + "0" * 26), TaskStatus.IN_REVIEW, "local", "web", "ada", "mend it", KEPT, NOW, NOW, 9,
    subject=SUBJECT, repository="calc", runs=(RUN,), changes=(CHANGE,), builds=(BUILD,),
)  # fmt: skip
PAGE = f"/tasks/{TASK.task_id}"
CARD = (
    ("approve", "Approve", SUBJECT), ("reject", "Reject", SUBJECT), ("say", "Ask for more", ""),
    ("see", "See the diff", "diff"), ("see", "Test report", "report"), ("see", "Get the build", "build"),
    ("open", "Open the task", ""),
)  # fmt: skip


def message(sequence: int, *offers: tuple[str, str, str], kind: str = "card") -> MessageOut:
    made = [OfferOut(verb=verb, label=label, value=value) for verb, label, value in offers]
    return MessageOut(
        sequence=sequence, at=NOW, author="greylag", kind=kind, text="x", decision_id="", offers=made
    )  # fmt: skip


def offered(task: Task, person: Person, *messages: MessageOut) -> dict[int, tuple[list[str], list[str]]]:
    """Return what can be done, as labels, and what is past, of each message."""
    found = offers_of(messages, task, rights_of(task, person))
    return {at: ([act.label for act in each.now], list(each.past)) for at, each in found.items()}


def test_a_card_offers_each_person_what_they_may() -> None:
    look = ["See the diff", "Test report", "Get the build"]
    assert offered(TASK, GRACE, message(3, *CARD)) == {3: (["Approve", "Reject", "Ask for more", *look], [])}
    assert offered(TASK, LIN, message(3, *CARD)) == {3: (["Approve", "Reject", *look], [])}
    assert offered(TASK, ADA, message(3, *CARD)) == {3: (["Ask for more", *look], [])}
    assert offered(TASK, OTTO, message(3, *CARD)) == {3: (look, [])}


def test_an_older_card_is_past_and_so_is_what_was_decided() -> None:
    older = [(verb, label, EARLIER if value == SUBJECT else value) for verb, label, value in CARD]
    both = offered(TASK, GRACE, message(3, *older), message(7, *CARD))
    assert both[3] == ([], [label for _, label, _ in CARD])
    assert both[7][1] == []
    stale = offered(TASK, GRACE, message(3, *older))
    assert stale[3][1] == ["Approve", "Reject"], "the only card, but not of what is up for review now"
    merged = offered(replace(TASK, status=TaskStatus.MERGED), GRACE, message(3, *CARD))
    assert merged[3] == (["See the diff", "Test report", "Get the build"], ["Approve", "Reject", "Ask for more"])


def test_a_question_offers_its_choices_until_it_is_answered() -> None:
    choices = [("answer", name, name) for name in ("calc", "<b>murmur", "calc")]
    asked = replace(TASK, status=TaskStatus.ASKED, choices=("calc", "<b>murmur"), question="Which?", subject="")
    [acts] = [each.now for each in offers_of([message(2, *choices)], asked, rights_of(asked, ADA)).values()]
    assert acts[1] == Act("answer", "<b>murmur", path=f"{PAGE}/reply", name="text", value="<b>murmur")
    assert offered(asked, LIN, message(2, *choices)) == {2: ([], [])}
    assert offered(TASK, ADA, message(2, *choices)) == {2: ([], ["calc", "<b>murmur", "calc"])}
    other = replace(asked, choices=("zither",))
    assert offered(other, ADA, message(2, *choices))[2][0] == []


def test_acts_lead_where_they_say() -> None:
    acts = offers_of([message(3, *CARD)], TASK, rights_of(TASK, GRACE))[3].now
    assert [act.href for act in acts] == [
        "#decide", "#reason", "#text", f"{PAGE}/see/diff", f"{PAGE}/see/report", f"{PAGE}/download/build",
    ]  # fmt: skip
    ack = offers_of([message(1, ("status", "Where?", ""), ("stop", "Stop", ""))], TASK, rights_of(TASK, ADA))[1].now
    assert ack == (Act("status", "Where?", f"{PAGE}?doing=1#doing"), Act("stop", "Stop", path=f"{PAGE}/stop"))


def test_a_roll_back_is_offered_where_it_runs_and_to_who_may() -> None:
    release = Release(ReleaseId("rel_1"), "production", SUBJECT, None, ReleaseStatus.RELEASED)
    task = replace(TASK, status=TaskStatus.RELEASED, releases=(release,))
    offers = [("roll_back", "Roll back production", "production"), ("roll_back", "Roll back mars", "mars")]
    assert offered(task, LIN, message(5, *offers)) == {5: (["Roll back production"], ["Roll back mars"])}
    assert offered(task, ADA, message(5, *offers)) == {5: ([], ["Roll back mars"])}


texts = st.text(max_size=8)
any_offer = st.tuples(
    st.sampled_from([*VERBS, "sudo", ""]), texts, st.one_of(texts, st.sampled_from([SUBJECT, "diff"]))
)


@given(
    st.lists(st.lists(any_offer, max_size=4), max_size=5), st.sampled_from(list(TaskStatus)),
    st.sampled_from([ADA, GRACE, LIN, OTTO]), st.booleans(),
)  # fmt: skip
def test_nothing_is_offered_that_somebody_may_not(
    said: list[list[tuple[str, str, str]]], status: TaskStatus, person: Person, steered: bool
) -> None:
    task = replace(TASK, status=status, follow_up_authors=(person.name,) if steered else ())
    found = offers_of([message(n, *offers) for n, offers in enumerate(said, 1)], task, rights_of(task, person))
    verbs = {act.verb for each in found.values() for act in each.now}
    assert verbs <= set(VERBS)
    if status is not TaskStatus.IN_REVIEW or person.name in task.involved or "reviewer" not in person.roles:
        assert "approve" not in verbs
    if "requester" not in person.roles or task.ended:
        assert not verbs & {"say", "stop", "answer"}
    for at, each in found.items():
        assert len(each.now) + len(each.past) <= len(said[at - 1])
        acts = [act.verb for act in each.now]
        later = {verb for offers in said[at:] for verb, _, _ in offers}
        assert not later & (set(acts) - {"see"}), "a newer message offers it"
        assert all(act.href.startswith(("#", PAGE)) or act.path.startswith(PAGE) for act in each.now)


@pytest.mark.parametrize(("person", "tone"), [(ADA, "wait"), (GRACE, "you")])
def test_work_that_somebody_took_over_says_so(person: Person, tone: str) -> None:
    task = replace(TASK, taken_over_by="grace")
    standing = standing_of(task, person, (ADA, GRACE, LIN))
    assert standing.tone == tone
    assert "by hand" in standing.words
    assert rights_of(task, person).steer is False
