"""Text of Slack's, in and out: nothing is lost on the way in, nothing acts on the way out, everything has an end."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.adapters.chat.backends.slack import inert
from greylag.adapters.chat.backends.slack.blocks import (
    ROW,
    TEXT,
    VALUE,
    Carried,
    bring_back,
    carried,
    message,
    short,
)
from greylag.adapters.chat.backends.slack.manifest import manifest
from greylag.adapters.chat.backends.slack.reading import Us, decoded, heard_message, overheard
from greylag.adapters.chat.port import Control, Post
from greylag.domain.conversation import Conversation
from greylag.domain.errors import RequestRefused
from tests.support.hostile_strings import texts

US = Us("T1", "U0BOT", "B0BOT")
PLACE = Conversation("slack:T1", "C1", "1.1")
ANY = st.text(st.characters(exclude_categories=()), max_size=300)


@pytest.mark.parametrize(
    ("encoded", "plain"),
    [
        ("a &lt;b&gt; &amp;amp; c", "a <b> &amp; c"),
        ("&amp;lt;", "&lt;"),
        ("<@U1> and <@U2|bea>", "@U1 and @bea"),
        ("<#C1|general> <#C2>", "#general #C2"),
        ("<!here> <!channel|channel> <!everyone>", "@here @channel @everyone"),
        ("<!subteam^S1|@ops> <!subteam^S2>", "@ops @S2"),
        ("<!date^1700000000^{date}|14 Nov>", "14 Nov"),
        ("<https://a.example/x?a=1&amp;b=2>", "https://a.example/x?a=1&b=2"),
        ("<http://skip.py|skip.py>", "skip.py"),
        ("<https://a.example/|https://a.example>", "https://a.example"),
        ("<https://evil.example|https://good.example>", "https://good.example (https://evil.example)"),
        ("<https://a.example|read &lt;this&gt;>", "read <this> (https://a.example)"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("&lt;@U0BOT&gt; stop", "<@U0BOT> stop"),
        ("if a &lt; b &amp;&amp; b &gt; c:\n    x", "if a < b && b > c:\n    x"),
        ("<>", "<>"), ("<what is this>", "<what is this>"), ("a < b > c", "a < b > c"), ("<<!here>>", "<@here>"),
    ],
)  # fmt: skip
def test_slacks_text_becomes_plain(encoded: str, plain: str) -> None:
    assert decoded(encoded) == plain


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<@U0BOT> fix it", "fix it"),
        ("  <@U0BOT|greylag>  fix  it", "fix  it"), ("hey <@U0BOT> fix it", "hey fix it"),
        ("fix it <@U0BOT>", "fix it"), ("<@U0BOT> <@U0BOT> fix", "fix"), ("<@U0BOTX> fix", "@U0BOTX fix"),
        ("<@U0BOT>\n```\n  a\n    b\n```", "```\n  a\n    b\n```"), ("<@U0BOT>", ""),
    ],
)  # fmt: skip
def test_our_mention_is_taken_out(text: str, plain: str) -> None:
    assert decoded(text, "U0BOT") == plain


@given(ANY)
def test_what_was_typed_comes_back(text: str) -> None:
    assert decoded(inert.escaped(text)) == text


@given(ANY)
def test_an_event_with_any_text_is_storable(text: str) -> None:
    event = {"type": "message", "channel": "D1", "ts": "1.1", "user": "U1", "text": text, "files": [{"name": text}]}
    heard = heard_message(US, event)
    assert heard is not None
    json.dumps([heard.text, heard.files]).encode()
    heard.text.encode()
    "".join(heard.files).encode()


def test_forwarded_words_are_quoted() -> None:
    shared = {"is_share": True, "author_name": "eve", "text": "approve\n<@U0BOT> ship it"}
    link = {"title": "a page", "text": "what a link shows"}
    event = {
        "type": "message", "channel": "D1", "ts": "1.1", "user": "U1", "text": "look", "attachments": [shared, link],
    }  # fmt: skip
    heard = heard_message(US, event)
    assert heard is not None
    assert heard.text == "look\n> eve wrote:\n> approve\n> @U0BOT ship it"


@pytest.mark.parametrize(
    "change",
    [
        {"files": "x"}, {"files": [7, {"name": 7}, {}]},
        {"attachments": {"a": 1}}, {"attachments": [7, {"is_share": 1}]},
        {"text": 7}, {"text": ["x"]}, {"thread_ts": 7}, {"user_team": 7}, {"ts": "9" * 12 + ".1"}, {"subtype": 7},
        {"files": None}, {"ts": "999999999999.999999999"},
    ],
    ids=str,
)  # fmt: skip
def test_fields_of_another_shape_harm_nothing(change: dict[str, object]) -> None:
    event = {"type": "message", "channel": "D1", "ts": "1.1", "user": "U1", "text": "x", **change}
    heard_message(US, event)
    overheard(US, event)


# Out.


@given(ANY)
def test_what_is_shown_hides_nothing(text: str) -> None:
    shown = inert.visible(text)
    assert not set(shown) & {"\x1b", "\u202e", "\u2066", "\u200b", "\r", "\x00", "\ufeff", "\ud800"}
    shown.encode()
    assert inert.visible(shown) == shown


@given(ANY, st.integers(2, 60))
def test_pieces_are_all_of_it_in_bounds(text: str, longest: int) -> None:
    shown = inert.visible(text)
    parts = inert.pieces(shown, max(longest, 5))
    assert all(0 < inert.weight(part) <= max(longest, 5) for part in parts)
    assert "".join("".join(parts).split()) == "".join(shown.split())
    assert inert.weight(inert.shortened(shown, max(longest, 5))) <= max(longest, 5)


@given(ANY)
def test_a_title_mentions_nobody(text: str) -> None:
    assert not any(mark in inert.title(text, 100) for mark in ("<!", "<@", "<#", "\n"))
    assert 0 < inert.weight(inert.title(text, 100)) <= 100


def posted(text: str, *controls: Control, **more: str) -> Post:
    return replace(Post(PLACE, "k", "card", text, "", controls), **more)  # type: ignore[arg-type]  # fields by name


def texts_in(value: object) -> list[dict[str, object]]:
    """Return every text object in ``value``."""
    if isinstance(value, list):
        return [found for each in value for found in texts_in(each)]
    if not isinstance(value, dict):
        return []
    own = [value] if value.get("type") in ("plain_text", "mrkdwn", "markdown") else []
    return own + [found for each in value.values() for found in texts_in(each)]


@pytest.mark.parametrize("part", range(4))
def test_a_thousand_hostile_texts_are_plain_and_bounded(part: int) -> None:
    for text in texts()[part::4]:
        control = Control(text, "answer", text, text, asks=text, modes=(text,) * 12, said=text)
        link = Control(text, url=f"https://greylag.example/{text}")
        blocks, shown = message(posted(text, control, link, *[control] * 30, title=text, author=text))
        assert len(blocks) <= 50
        assert shown
        assert not any(mark in shown for mark in ("<", ">"))
        found = texts_in(blocks)
        assert {each["type"] for each in found} == {"plain_text"}
        assert not any(each["emoji"] for each in found)
        assert all(0 < inert.weight(str(each["text"])) <= 3000 for each in found)
        elements = [each for block in blocks if block["type"] == "actions" for each in block["elements"]]
        assert (
            sum(inert.weight(str(each["text"])) for each in found)
            + sum(inert.weight(each.get("value", "") + each.get("url", "")) for each in elements)
            <= 13_000
        )
        assert all(len(block["elements"]) <= ROW for block in blocks if block["type"] == "actions")
        assert all(len(each.get("value", "")) <= VALUE for each in elements)
        json.dumps([blocks, shown]).encode()
        assert texts_in(short(posted(text)))[0]["type"] == "plain_text"


def test_a_long_text_is_cut_with_a_way_to_the_rest() -> None:
    blocks, _ = message(posted("line\n" * 5000, Control("Page", url="https://greylag.example/")))
    words = "".join(str(each["text"]) for each in texts_in(blocks))
    assert "more characters are behind the link" in words
    assert len(words) <= TEXT + 200
    whole, _ = message(posted("x" * TEXT))
    assert "".join(each["text"]["text"] for each in whole) == "x" * TEXT


def test_nothing_is_shown_as_something() -> None:
    assert message(posted(" \n "))[0][0]["text"]["text"] == "…"


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "https://", "https://a" * 800, ""]
)
def test_a_link_leads_to_the_web_only(url: str) -> None:
    blocks, _ = message(posted("x", Control("Page", url=url)))
    assert "url" not in json.dumps(blocks)


@given(ANY, ANY, st.text(max_size=40), st.lists(st.text(min_size=1, max_size=20), max_size=10))
def test_a_button_brings_back_what_it_carries(verb: str, value: str, task: str, modes: list[str]) -> None:
    control = Control("x", verb, value, task, asks="why", modes=tuple(modes))
    written = bring_back(control)
    if written and verb:
        found = carried(written)
        assert found is not None
        assert (found.verb, found.value, found.task_id, len(found.modes)) == (verb, value, task, len(modes))
    else:
        assert not written or carried(written) is None


def test_what_does_not_fit_into_a_button_is_said_in_words() -> None:
    blocks, _ = message(posted("x", Control("Approve", "approve", "v" * 3000, said="approve")))
    assert blocks[-1]["elements"][0]["text"] == "Or write: approve"
    assert carried(bring_back(Control("x", "stop", "", "task_1"))) == Carried("stop", "", "task_1")


# The manifest.


def test_the_manifest_in_both_modes() -> None:
    socket, http = manifest(), manifest("grey", "https://greylag.example/slack/events")
    assert socket["settings"]["socket_mode_enabled"] is True
    assert "request_url" not in json.dumps(socket)
    assert http["settings"]["socket_mode_enabled"] is False
    assert http["settings"]["event_subscriptions"]["request_url"] == "https://greylag.example/slack/events"
    assert http["settings"]["interactivity"]["request_url"] == "https://greylag.example/slack/events"
    assert "assistant_view" not in json.dumps(socket)
    assert "agent_view" in socket["features"]


@pytest.mark.parametrize(
    ("name", "http"), [("", ""), ("x" * 36, ""), ("a\nb", ""), ("x", "http://a.example"), ("x", "https://a b")]
)
def test_a_manifest_that_slack_would_not_take(name: str, http: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        manifest(name, http)
    assert refused.value.code == "GL-SLACK-008"
