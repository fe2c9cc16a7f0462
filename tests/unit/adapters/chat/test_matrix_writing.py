"""What goes into a room is words: no markup, no mention, nothing hidden, never too large."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.adapters.chat.backends.matrix.writing import (
    body_of,
    edit,
    file_message,
    file_name,
    fitting,
    message,
    reaction,
    transaction,
    visible,
)
from greylag.adapters.chat.port import Control, Post, Step
from greylag.domain.conversation import Conversation

HERE = Conversation("matrix:example.org", "!r:example.org", "$root")
MARK = "gl" + "0" * 40


def post(text: str, **more: Any) -> Post:
    return Post(HERE, "k", more.pop("kind", "text"), text, "sha256:" + "0" * 64, **more)


def test_controls_are_words_and_links() -> None:
    controls = (
        Control("Approve", "approve", "sha256:" + "ab" * 32, "task_1", said="approve"),
        Control("Reject", "reject", "sha256:" + "ab" * 32, "task_1", asks="reason", said="reject REASON"),
        Control("Odd", "approve", "sha256:ab\n" + "c" * 61, "task_1", said="approve"),
        Control("Silent", "stop"),
        Control("Open", url="https://greylag.test/tasks/1"),
    )
    assert body_of(post("Ready.", title="task_1", controls=controls), 500).split("\n") == [
        "task_1",
        "Ready.",
        "",
        "Approve: write “approve abababababab”",
        "Reject: write “reject REASON”",
        "Odd: write “approve”",
        "Open: https://greylag.test/tasks/1",
    ]


def test_what_somebody_said_elsewhere_says_who() -> None:
    assert body_of(post("faster", author="Ann\nBoss\u202e"), 500) == "Ann Boss«U+202E» wrote:\nfaster"


def test_the_live_message_is_its_whole_state() -> None:
    steps = (
        Step("1", "read", "complete"),
        Step("2", "te\nst", "working"),
        Step("3", "x", "error"),
        Step("4", "y", "odd"),
    )
    assert body_of(post("new", kind="progress", steps=steps), 500) == "✓ read\n… te st\n✗ x\n… y"


def test_the_words_are_cut_never_the_way_on() -> None:
    link = Control("Open", url="https://greylag.test/tasks/1")
    body = body_of(post("x" * 9000, controls=(link,)), 1000)
    assert len(body) == 1000
    assert body.endswith("… (cut here)\n\nOpen: https://greylag.test/tasks/1")


@given(st.text(max_size=300))
def test_nothing_hidden_is_left(text: str) -> None:
    shown = visible(text)
    assert visible(shown) == shown
    assert not {"\x1b", "\u202e", "\u2066", "\u200b", "\0", "\r"} & set(shown)
    shown.encode()


@given(st.text(max_size=300), st.text(max_size=40), st.text(max_size=40))
def test_every_message_is_plain_and_mentions_nobody(text: str, title: str, label: str) -> None:
    controls = (Control(label, "say", said=label), Control(label, url=f"https://x.test/{label}"))
    body = body_of(post(text, title=title, controls=controls), 8000)
    for content in (message(body, "$root", MARK), message(body, "", MARK, quiet=True), edit(body, "$mine", MARK)):
        for part in (content, content.get("m.new_content", content)):
            assert part["m.mentions"] == {}
            assert part["msgtype"] in ("m.text", "m.notice")
            assert not {"format", "formatted_body", "url", "file"} & set(part)
        json.dumps(content).encode()


@pytest.mark.parametrize("char", ["a", "é", "😀", '"', "\\", "\n", "«"])
def test_an_event_is_never_too_large(char: str) -> None:
    """Sealed, it is a third larger; a Matrix event has 65,536 bytes."""
    for content in (message(char * 100_000, "$r", MARK), edit(char * 100_000, "$r", MARK), message("fits", "$r", MARK)):
        fitted = fitting(content)
        assert len(json.dumps(fitted)) <= 40_000
        words = fitted.get("m.new_content", fitted)["body"]
        assert words == "fits" or (len(words) > 2000 and words.endswith("… (cut here)"))


@given(st.text(max_size=400))
def test_a_file_name_is_a_name(name: str) -> None:
    found = file_name(name)
    assert 0 < len(found) <= 200
    assert not set("/\\\n\r\0\u202e") & set(found)
    content = file_message(found, "$root", MARK, {"url": "mxc://x/y"}, 3)
    assert content["m.mentions"] == {}


def test_a_transaction_is_of_its_key_and_place() -> None:
    ids = {transaction("k", "!r", "$t"), transaction("k", "!r", "$u"), transaction("k2", "!r", "$t"), transaction("k")}
    assert len(ids) == 4
    assert transaction("k", "!r", "$t") in ids
    assert all(set(each) <= set(string.ascii_lowercase + string.digits) and len(each) == 42 for each in ids)


def test_marks() -> None:
    assert reaction("$x", "seen") == {"m.relates_to": {"rel_type": "m.annotation", "event_id": "$x", "key": "👀"}}
