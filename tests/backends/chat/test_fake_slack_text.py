"""What typing sends, what markup shows, and what reaches out: whatever the text, nothing typed or escaped is markup."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.app.fake_slack import Workspace
from greylag.app.fake_slack.world import text
from greylag.app.fake_slack.world.blocks import check_blocks, check_view
from greylag.app.fake_slack.world.outline import of_message, plain_lines
from greylag.app.fake_slack.world.reaching import outs
from greylag.app.fake_slack.world.records import Message, Stream
from greylag.app.fake_slack.world.text import Span

IDS = {"ada": "U1", "greylag": "U2"}
WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=80)
PIECES = st.sampled_from(
    ["<!channel>", "<@U1>", "<https://e.example|x>", "@ada", "@channel", "*", "_", "`", "```", "~", ">",
     "&lt;", "\n", "https://e.example/a", "![x](https://e.example)", "[x](javascript:alert(1))", ":tada:",
     "<!subteam^S1>", " ", "<", "|"]
)  # fmt: skip
HOSTILE = st.lists(PIECES | WORDS, max_size=12).map("".join)
NAMES = st.sampled_from(
    ["type", "text", "elements", "block_id", "action_id", "options", "label", "element", "rows", "fields", "accessory",
     "value", "title", "tasks", "status", "initial_option", "confirm", "url", "option_groups", "sources", "style"]
)  # fmt: skip
TYPES = st.sampled_from(
    ["section", "actions", "button", "input", "static_select", "plain_text", "mrkdwn", "table", "task_card", "plan",
     "rich_text", "rich_text_section", "context", "header", "overflow", "checkboxes", "link", "feedback_buttons"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner | TYPES, max_size=5),
    max_leaves=20,
)


def sent(words: str) -> str:
    return text.typed(words, lambda name: IDS.get(name, ""), lambda name: "C1" if name == "general" else "")


def name_of(user: str) -> str:
    return next((name for name, each in IDS.items() if each == user), "")


@given(HOSTILE)
def test_what_is_typed_is_never_markup_but_names_and_links(words: str) -> None:
    found = {(out.kind, out.target) for out in text.reaching_out(sent(words))}
    assert all(kind != "group" for kind, _ in found)
    assert {target for kind, target in found if kind == "user"} <= set(IDS.values())
    assert not found or "@" in words or "http" in words


@given(HOSTILE)
def test_escaped_text_reaches_nobody(words: str) -> None:
    kept = text.escape(words).replace("http", "hxxp")
    assert list(text.reaching_out(kept)) == []
    assert (
        outs({"text": kept, "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": kept}}]}, IDS.get) == []
    )


@given(HOSTILE)
def test_plain_text_reaches_nobody_and_shows_as_it_is(words: str) -> None:
    block = {"type": "section", "text": {"type": "plain_text", "text": words, "emoji": False}}
    assert outs({"text": "", "blocks": [block]}, IDS.get) == []
    message = Message("C1", "1.1", "U2", "", blocks=[block], blocks_given=True)
    assert "".join(piece.text for piece in of_message(message, name_of)) == words


@given(HOSTILE)
def test_anything_can_be_shown(words: str) -> None:
    """Whatever is shown leads only to the web or to mail."""
    said = Message("C1", "1.1", "U2", words)
    grown = Message("C1", "1.1", "U2", "", stream=Stream("plan", [{"type": "text", "text": words}], 0.0))
    for message in (said, grown):
        pieces = of_message(message, name_of)
        plain_lines(pieces)
        links = [span.target for piece in pieces for span in piece.spans if span.kind == "link"]
        assert all(link.lower().startswith(("http://", "https://", "mailto:", "tel:")) for link in links)


@given(JSON)
def test_whatever_blocks_are_given_is_taken_or_refused(value: object) -> None:
    """Never an exception; and what is taken can be shown."""
    for blocks in (value, [value]):
        problems = check_blocks(blocks, "message")
        assert all(each.startswith("[ERROR]") for each in problems)
        if not problems and isinstance(blocks, list):
            plain_lines(of_message(Message("C", "1.1", "U2", "", blocks=blocks, blocks_given=True), name_of))
            outs({"text": "x", "blocks": blocks}, IDS.get)
    assert isinstance(check_view(value), list)
    assert isinstance(
        check_view({"type": "modal", "title": {"type": "plain_text", "text": "t"}, "blocks": [value]}), list
    )


@given(HOSTILE)
def test_a_thread_can_be_kept_and_read(words: str) -> None:
    slack = Workspace()
    if not words.strip():
        return
    ts = slack.say("ada", "general", words)
    assert json.dumps(slack.message(ts).blocks)
    assert slack.thread_text(ts).startswith("ada: ")


SHOWN = {
    "*b* _i_ ~s~ `c`": [("bold", "b"), ("italic", "i"), ("strike", "s"), ("code", "c")],
    "```a *b*```": [("pre", "a *b*")],
    "a*b*c snake_case_name": [("text", "a*b*c snake_case_name")],
    "<@U1> <!here> <!date^1^{date}|then>": [("user", "@ada"), ("mass", "@here"), ("text", "then")],
    "<https://a.example|a &amp; b>": [("link", "a & b")],
    "<javascript:alert(1)|click>": [("text", "<javascript:alert(1)|click>")],
    ":tada: :nonesuch:": [("emoji", "🎉"), ("emoji", ":nonesuch:")],
    "&lt;!channel&gt;": [("text", "<!channel>")],
}


@pytest.mark.parametrize("given_text", SHOWN)
def test_what_markup_shows(given_text: str) -> None:
    assert [(span.kind, span.text) for span in text.spans(given_text, name_of) if span.text != " "] == SHOWN[given_text]


def test_what_markdown_shows() -> None:
    words = "**b** [x](https://a.example) ![p](https://b.example) [bad](javascript:x) <@U1>"
    shown = [span for span in text.spans(words, name_of, markdown=True) if span.text != " "]
    assert shown == [
        Span("bold", "b"), Span("link", "x", "https://a.example"), Span("link", "p", "https://b.example"),
        Span("text", "bad"), Span("user", "@ada", "U1"),
    ]  # fmt: skip


def test_a_card_reads_as_it_looks() -> None:
    slack = Workspace()
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": "Review"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "one\n&gt; two\nthree"}},
        {"type": "context", "elements": [{"type": "plain_text", "text": "a"}, {"type": "mrkdwn", "text": "_b_"}]},
        {"type": "table", "rows": [[{"type": "raw_text", "text": "x"}, {"type": "raw_text", "text": "y"}]]},
        {"type": "image", "image_url": "https://c.example/p.png", "alt_text": "a picture"},
        {"type": "plan", "title": "Plan", "tasks": [{"task_id": "1", "title": "Do", "status": "error"}]},
        {"type": "alert", "text": {"type": "plain_text", "text": "careful"}, "level": "warning"},
        {"type": "markdown", "text": "**bold**"},
    ]  # fmt: skip
    assert check_blocks(blocks, "message") == []
    message = Message("C", "1.1", slack.bot.id, "", blocks=blocks, blocks_given=True)
    assert plain_lines(of_message(message, slack.name_of)) == [
        "Review", "one", "> two", "three", "a b", "x | y", "[picture: a picture]", "Plan", "  ✗ Do", "careful", "bold",
    ]  # fmt: skip
