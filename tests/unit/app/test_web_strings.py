"""A thousand hostile texts through everything that a page is made with: shown whole, and only ever as text."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from greylag.adapters.forge.names import shown
from greylag.app.web.documents import MessageOut, OfferOut, task_out
from greylag.app.web.patches import read_patch, shortened
from greylag.app.web.rendering import page, visible
from greylag.app.web.thread.conversation import entry_of, folded
from greylag.app.web.thread.offers import Offered, offers_of
from greylag.app.web.thread.standing import rights_of, standing_of
from greylag.delivery.desk import title_of
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.repository import Person
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task
from tests.support import hostile_strings as hostile

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
GRACE = Person("grace", ("requester", "reviewer"))
TASK = Task(
    TaskId("task_" + "0" * 26), TaskStatus.ASKED, "local", "web", "ada", "title",
    Reference("local", "sha256:" + "0" * 64, 1, "request"), NOW, NOW, 9,
)  # fmt: skip


class Outline(HTMLParser):
    """What a page is made of: its elements with the names of their attributes, and its text by element."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self._open.append(tag)
        self.texts.setdefault(tag, []).append("")
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "action"):
                assert value is not None
                assert value.startswith(("/", "#")), (tag, value)
                assert not value.startswith("//"), (tag, value)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]][-1] += data


def same_shape(made: Callable[[Sequence[str]], str], texts: Sequence[str]) -> Outline:
    """Make a page of ``texts`` and one of as many harmless ones; both must have the same elements."""
    found, plain = Outline(made(texts)), Outline(made([f"harmless {n}" for n, _ in enumerate(texts)]))
    assert found.elements == plain.elements
    return found


def thread_of(texts: Sequence[str], kind: str) -> str:
    """Return a thread in which every text is said, as message and as choice, and stands wherever a text can stand."""
    said = [
        MessageOut(
            sequence=n, at=NOW, author=text[:20], kind=kind, text=text, decision_id="",
            offers=[OfferOut(verb="answer", label=text[:200], value=text[:200])] if kind == "question" else [],
        )
        for n, text in enumerate(texts, 1)
    ]  # fmt: skip
    task = Task(
        TASK.task_id, TASK.status, "local", "web", texts[0][:90], title_of(texts[1]), TASK.request, NOW, NOW, 9,
        question=texts[2], choices=tuple(texts[3:6]), placement=texts[6], repository=texts[7],
    )  # fmt: skip
    rights, modes = rights_of(task, GRACE), (("", "words"),)
    offers = offers_of(said, task, rights)
    answer = page(
        "thread.html", person=Person(texts[0][:40], ("requester",)), task=task_out(task, texts[8]),
        entries=folded(said), last=len(said), now=NOW, standing=standing_of(task, GRACE, (GRACE,)), rights=rights,
        in_review=False, version=texts[2], offers=offers, nothing=Offered(), answering=0, told=texts[10], modes=modes,
        asked=True, few=True,
    )  # fmt: skip
    return bytes(answer.body).decode()


def test_there_are_a_thousand_and_always_the_same_ones() -> None:
    texts = hostile.texts()
    assert len(set(texts)) == len(texts) >= hostile.LEAST
    assert len(hostile.sayable()) >= hostile.LEAST <= len(hostile.file_names())
    assert {kind for kind, found in hostile.by_kind().items() if len(found) < 8} == set()
    program = "import hashlib, tests.support.hostile_strings as h; print(hashlib.sha256(b'|'.join(h.raw())).digest())"
    seen = {
        subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                       capture_output=True, text=True, check=True, timeout=60).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(seen) == 1


@pytest.mark.parametrize("kind", ["card", "question"])
def test_a_thread_of_all_of_them_is_the_same_page(kind: str) -> None:
    # Long texts fold, short ones don't: compared are those that don't.
    texts = [text for text in hostile.sayable() if len(text) <= 600]
    found = same_shape(lambda said: thread_of(said, kind), texts)
    shown_texts = found.texts["pre"][-len(texts) :]
    assert [text.removeprefix("\n") for text in shown_texts] == [visible(t.replace("\r\n", "\n")) for t in texts]


def test_steps_and_long_texts_are_text_too() -> None:
    texts = hostile.lines()
    found = Outline(thread_of(texts, "progress"))
    assert [tag for tag, _ in found.elements if tag in ("script", "img", "svg", "iframe", "style", "base")] == [
        "script"
    ] * 2
    for text in hostile.by_kind()["huge"]:
        entry = entry_of(MessageOut(sequence=1, at=NOW, author="a", kind="text", text=text, decision_id=""))
        assert len(entry.lead) <= 170
        assert entry.text == visible(text)


def test_a_diff_and_a_log_of_all_of_them_keep_every_line() -> None:
    lines = [line for text in hostile.encodable() for line in text.split("\n")]
    body = "".join(f"+{line}\n" for line in lines)
    header = f"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1,{len(lines)} @@\n"
    patch = read_patch(header + body, len(header + body) + 1, len(lines) + 10)
    [file] = patch.files
    assert (file.added, file.removed) == (len(lines), 0)
    assert [row.text for row in file.rows[1:]] == [shortened("+" + line) for line in lines]
    task = task_out(TASK)

    def made(texts: Sequence[str]) -> str:
        answer = page(
            "content.html", person=GRACE, task=task, title="Test report", kind="report", in_review=False, cut=False,
            lines=[shortened(text) for text in texts],
        )  # fmt: skip
        return bytes(answer.body).decode()

    same_shape(made, lines)


def test_file_and_branch_names_are_text() -> None:
    names = hostile.file_names()

    def made(texts: Sequence[str]) -> str:
        parts = (f"diff --git a/x b/x\nnew file mode 100644\n@@ -0,0 +1 @@\n+{n}\n" for n, _ in enumerate(texts))
        patch = read_patch("".join(parts), 10_000_000, 1_000_000)
        for file, name in zip(patch.files, texts, strict=True):
            file.name = shown(name.encode("utf-8", "surrogateescape"))
        answer = page(
            "diff.html", person=GRACE, task=task_out(TASK), title="Diff", kind="diff", in_review=False, patch=patch
        )
        return bytes(answer.body).decode()

    found = same_shape(made, names)
    assert len(found.texts["h2"]) == len(names)
    for name in (*names, *hostile.branch_names()):
        written = shown(name.encode("utf-8", "surrogateescape"))
        assert not any(ord(each) < 0x20 or each in "\x7f\u202e\u2066\u200b" for each in written), ascii(written)


def test_bytes_that_are_no_text_are_shown_as_what_they_hold() -> None:
    for raw in hostile.raw():
        text = visible(raw.decode("utf-8", "replace"))
        assert "\x1b" not in text
        assert "\u202e" not in text
        page("content.html", person=GRACE, task=task_out(TASK), title="x", kind="report", in_review=False, cut=False,
             lines=[shortened(text)])  # fmt: skip
