"""What pages say: hidden characters shown, patches read, steps folded, and where a task stands for whom."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.app.web.documents import MessageOut
from greylag.app.web.patches import read_patch
from greylag.app.web.rendering import ago, visible
from greylag.app.web.thread.conversation import Steps, entry_of, folded
from greylag.app.web.thread.standing import rights_of, standing_of
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.repository import Person
from greylag.domain.states import ENDED, TaskStatus
from greylag.domain.task import Task

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ADA, GRACE, LIN, OTTO = (
    Person("ada", ("requester",)), Person("grace", ("requester", "reviewer")), Person("lin", ("reviewer",)),
    Person("otto", ("auditor",)),
)  # fmt: skip
PEOPLE = (ADA, GRACE, LIN, OTTO)
KEPT = Reference("sha256:" + "0" * 64, 1, "text/plain", "internal", "local")
TASK = Task(
    TaskId("task_" + "0" * 26), TaskStatus.IN_REVIEW, "local", "web", "ada", "mend it", KEPT, NOW, NOW, 9,
    subject="sha256:" + "1" * 64,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\nof two lines", "plain\ttext\nof two lines"),
        ("\x1b[31mred", "«U+001B»[31mred"),
        ("a\x00b\x7f\r", "a«U+0000»b«U+007F»«U+000D»"),
        ("if admin\u202e", "if admin«U+202E»"),
        ("\u2066x\u2069", "«U+2066»x«U+2069»"),
        ("\U000e0041", "«U+E0041»"),
        ("\u200bא👩‍👧", "«U+200B»א👩‍👧"),
    ],
)
def test_hidden_characters_are_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_what_is_shown_hides_nothing_and_keeps_its_lines(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    assert shown.count("\n") == text.count("\n")
    assert all(c in "\t\n" or ord(c) >= 0x20 for c in shown)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "just now"), (59, "just now"), (60, "1 min ago"), (3599, "59 min ago"), (7200, "2 h ago"), (1e6, "11 d ago")],
)
def test_ago(seconds: float, words: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words


PATCH = """\
diff --git a/calc.py b/calc.py
index 111..222 100644
--- a/calc.py
+++ b/calc.py
@@ -1,3 +1,4 @@
 one
--- a/looks like a header
+diff --git a/fake b/fake
+@@ -1 +1 @@
 three
@@ -9 +10 @@ def f():
-old
+new
\\ No newline at end of file
diff --git "a/\\303\\244 \\342\\200\\256.py" "b/\\303\\244 \\342\\200\\256.py"
new file mode 100755
index 000..333
diff --git a/b b/c d b/b b/c d
deleted file mode 100644
GIT binary patch
literal 3
KcmZQzU|?_n

literal 0
HcmV?d00001

"""


def test_a_patch_is_read_by_what_its_hunks_announce() -> None:
    first, second, third = read_patch(PATCH, 10_000, 100).files
    assert (first.name, first.added, first.removed, first.notes) == ("calc.py", 3, 2, [])
    assert [(row.look, row.number) for row in first.rows] == [
        ("hunk", ""), ("", "1"), ("minus", ""), ("plus", "2"), ("plus", "3"), ("", "4"), ("hunk", ""), ("minus", ""),
        ("plus", "10"), ("head", ""),
    ]  # fmt: skip
    assert first.rows[3].text == "+diff --git a/fake b/fake"
    assert (second.name, second.notes, second.rows) == ("ä \\u202e.py", ["new file, mode 100755"], [])
    assert (third.name, third.binary, third.binary_lines) == ("b b/c d", True, 4)


def test_a_long_patch_and_a_long_line_say_that_they_are_cut() -> None:
    assert read_patch(PATCH, 50, 100).cut
    assert read_patch(PATCH, 10_000, 5).cut
    assert not read_patch(PATCH, 10_000, 100).cut
    text = "diff --git a/x b/x\n@@ -0,0 +1 @@\n+" + "x" * 5000
    assert read_patch(text, 10_000, 100).files[0].rows[1].text.endswith("x … and 1001 more characters")


@given(st.text(alphabet=st.sampled_from('diff -+@@,01\\ab/\n"GIT')))
def test_no_text_is_too_odd_to_be_read_as_a_patch(text: str) -> None:
    read_patch("diff --git a/x b/x\n" + text, 10_000, 1000)


def message(number: int, kind: str, text: str) -> MessageOut:
    at = NOW + timedelta(seconds=number)
    return MessageOut(sequence=number, at=at, author="greylag", kind=kind, text=text, decision_id="")


def test_unbroken_progress_is_folded_and_long_texts_have_a_lead() -> None:
    kinds = ("text", "progress", "progress", "text", "progress", "card")
    found = folded([message(number, kind, kind) for number, kind in enumerate(kinds, 1)])
    assert [len(each.entries) if isinstance(each, Steps) else each.kind for each in found] == [
        "text", 2, "text", 1, "card",
    ]  # fmt: skip
    assert isinstance(found[1], Steps)
    assert found[1].seconds == 1
    assert entry_of(message(1, "text", "short\r\ntext")).text == "short\ntext"
    assert entry_of(message(1, "error", "first\n" * 20)).lead == "first"
    assert entry_of(message(1, "card", "first\n" * 20)).lead == ""


@pytest.mark.parametrize(
    ("person", "approve", "reply", "obstacle"),
    [
        (ADA, False, True, "You asked for this"),
        (GRACE, True, True, ""),
        (LIN, True, False, ""),
        (OTTO, False, False, "needs the role reviewer (you have: auditor)"),
    ],
)
def test_rights_in_review(person: Person, approve: bool, reply: bool, obstacle: str) -> None:
    rights = rights_of(TASK, person)
    assert (rights.approve, rights.reply, rights.stop) == (approve, reply, reply)
    assert obstacle in rights.obstacle
    assert bool(rights.obstacle) != approve


def test_what_it_waits_for_is_said_to_each() -> None:
    assert standing_of(TASK, GRACE, PEOPLE).goto == "decide"
    assert standing_of(TASK, ADA, PEOPLE).words == "It waits for a reviewer: grace, lin."
    assert "Nobody can approve it yet" in standing_of(TASK, ADA, (ADA, OTTO)).words
    steered = replace(TASK, follow_ups=(KEPT,), follow_up_authors=("grace",))
    assert rights_of(steered, LIN).obstacle.startswith("A follow-up is still to be worked in")
    assert standing_of(steered, LIN, PEOPLE).tone == "busy"
    assert rights_of(steered, GRACE).obstacle == "You steered this, so somebody else approves it."
    asked = replace(TASK, status=TaskStatus.ASKED, question="which one?")
    assert [(each.tone, each.goto) for each in (standing_of(asked, person, PEOPLE) for person in PEOPLE)] == [
        ("you", "say"), ("wait", "say"), ("wait", ""), ("wait", ""),
    ]  # fmt: skip
    stopping = replace(TASK, status=TaskStatus.WORKING, stop_requested_by="ada")
    assert standing_of(stopping, ADA, PEOPLE).words == "Stopping, as ada asked."


@pytest.mark.parametrize("status", TaskStatus)
@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.name)
def test_every_status_has_words_and_nothing_ended_has_buttons(status: TaskStatus, person: Person) -> None:
    task = replace(TASK, status=status, outcome="because", question="because")
    standing, rights = standing_of(task, person, PEOPLE), rights_of(task, person)
    assert standing.words.endswith((".", "because"))
    assert (standing.tone in ("good", "bad")) == (status in ENDED)
    if status in ENDED:
        assert not any((rights.reply, rights.stop, rights.approve, rights.reject, standing.goto))
    if standing.goto == "say":
        assert rights.reply
