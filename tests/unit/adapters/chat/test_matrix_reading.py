"""What an event says to us: mentions, threads, quotes, and anything a hostile sender makes of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.adapters.chat.backends.matrix.reading import (
    Me,
    plain,
    read_message,
    read_reaction,
    relation,
    said_at,
    without_mention,
)

ME = Me("@greylag:example.org", "Greylag Bot", direct=False)
ALONE = Me("@greylag:example.org", "Greylag Bot", direct=True)


def event(body: Any, kind: Any = "m.text", **content: Any) -> dict[str, Any]:
    return {"type": "m.room.message", "content": {"msgtype": kind, "body": body, **content}}


def mentions(*users: str) -> dict[str, Any]:
    return {"m.mentions": {"user_ids": list(users)}}


@pytest.mark.parametrize(
    ("body", "content", "text"),
    [
        ("@greylag:example.org fix it", {}, "fix it"),
        ("please @greylag:example.org fix it", {}, "please fix it"),
        ("Greylag Bot: fix it", {}, "fix it"),
        ("greylag, fix it", {}, "fix it"),
        ("@greylag fix it", {}, "fix it"),
        ("@Greylag Bot fix it", {}, "fix it"),
        ("Greylag Bot fix it", mentions(ME.user), "fix it"),
        ("fix it, greylag", mentions(ME.user), "fix it, greylag"),
        ("\n  greylag: fix\nit", {}, "fix\nit"),
        ("> <@ann:example.org> broken\n\n@greylag:example.org fix it", {}, "> <@ann:example.org> broken\n\nfix it"),
        ("greylag:", {}, ""),
    ],
)
def test_we_are_called(body: str, content: dict[str, Any], text: str) -> None:
    spoken = read_message(event(body, **content), ME)
    assert spoken is not None
    assert (spoken.kind, spoken.text) == ("mention", text)


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ("greylag is a kind of goose", {}),
        ("a goose named @greylags", {}),
        ("@greylag:example.org.evil.org fix it", {}),
        ("@greylag:example.organ fix it", {}),
        ("> <@greylag:example.org> done\n\nthanks all", {}),
        ("hello", mentions("@ann:example.org")),
        ("hello", {"m.mentions": {"room": True}}),
        ("@room hello", {"m.mentions": {"user_ids": ME.user}}),
        ("hello", {"formatted_body": "<a href='https://matrix.to/#/@greylag:example.org'>Greylag</a>"}),
    ],
)
def test_we_are_not_called(body: str, content: dict[str, Any]) -> None:
    assert read_message(event(body, **content), ME) is None
    alone = read_message(event(body, **content), ALONE)
    assert alone is not None
    assert (alone.kind, alone.text) == ("direct", body)


@pytest.mark.parametrize(
    "source",
    [
        event("fix", "m.notice", **mentions(ME.user)),
        event("fix", "m.emote", **mentions(ME.user)),
        event("* fix", **mentions(ME.user), **{"m.relates_to": {"rel_type": "m.replace", "event_id": "$x"}}),
        {"type": "m.room.topic", "content": {"msgtype": "m.text", "body": "@greylag:example.org"}},
        {"type": "m.room.message", "content": {}},
        {"type": "m.room.message"},
        {"type": "m.room.message", "content": "text"},
        {},
    ],
)
def test_what_is_not_said_to_anybody(source: dict[str, Any]) -> None:
    assert read_message(source, ALONE) is None


def test_threads_and_answers() -> None:
    thread = {"m.relates_to": {"rel_type": "m.thread", "event_id": "$root", "m.in_reply_to": {"event_id": "$last"}}}
    said = read_message(event("more", **thread), ME)
    assert said is not None
    assert (said.kind, said.thread, said.answers) == ("reply", "$root", "")
    called = read_message(event("greylag: more", **thread), ME)
    assert called is not None
    assert (called.kind, called.thread) == ("mention", "$root")
    answer = read_message(event("yes", **{"m.relates_to": {"m.in_reply_to": {"event_id": "$ours"}}}), ME)
    assert answer is not None
    assert (answer.kind, answer.thread, answer.answers) == ("aside", "", "$ours")


@pytest.mark.parametrize(
    ("content", "text", "files"),
    [
        ({"filename": "app.log"}, "see this", ("app.log",)),
        ({"filename": "see this"}, "", ("see this",)),
        ({}, "", ("see this",)),
        ({"filename": "a\nb\x1b[31m\0.log"}, "see this", ("ab[31m.log",)),
        ({"filename": "n" * 999}, "see this", ("n" * 255,)),
        ({"filename": 7}, "", ("see this",)),
    ],
)
def test_files_are_named(content: dict[str, Any], text: str, files: tuple[str, ...]) -> None:
    spoken = read_message(event("see this", "m.file", **content), ALONE)
    assert spoken is not None
    assert (spoken.text, spoken.files) == (text, files)


def test_reactions() -> None:
    relates = {"rel_type": "m.annotation", "event_id": "$ours", "key": "👍"}
    found = read_reaction({"type": "m.reaction", "content": {"m.relates_to": relates}})
    assert found is not None
    assert (found.to, found.key) == ("$ours", "👍")
    for wrong in (
        {**relates, "rel_type": "m.thread"},
        {**relates, "event_id": "ours"},
        {**relates, "key": 1},
        [],
        None,
    ):
        assert read_reaction({"type": "m.reaction", "content": {"m.relates_to": wrong}}) is None
    assert read_reaction({"type": "m.room.message", "content": {"m.relates_to": relates}}) is None


def test_times_that_can_not_be() -> None:
    assert said_at(1_700_000_000_000) is not None
    for wrong in (-1, 10**30, "1", None, 1.5):
        assert said_at(wrong) is None


keys = st.sampled_from(
    [
        "msgtype",
        "body",
        "filename",
        "m.mentions",
        "m.relates_to",
        "rel_type",
        "event_id",
        "user_ids",
        "m.in_reply_to",
        "key",
    ]
)
odd = st.sampled_from([None, True, 7, -1.5, [], {}, [[]], ["$x"], "\ud800", "\0", "$" * 999])
likely = st.sampled_from(
    ["m.text", "m.file", "m.thread", "m.replace", "m.annotation", "$id", ME.user, "> x", "greylag:"]
)
inner = st.dictionaries(keys, likely | odd, max_size=4)
contents = st.dictionaries(keys, likely | odd | st.text(max_size=20) | inner, max_size=6)


@given(contents, st.sampled_from(["m.room.message", "m.reaction", 7, None]), st.booleans())
def test_whatever_comes_is_read_or_left(content: dict[str, Any], kind: object, direct: bool) -> None:
    """No content raises; what is read holds nothing that a store or a log could choke on."""
    source = {"type": kind, "content": content}
    relation(content)
    reacted = read_reaction(source)
    spoken = read_message(source, Me(ME.user, "G", direct))
    for text in (spoken.text, spoken.thread, spoken.answers, *spoken.files) if spoken else ():
        text.encode()
        assert "\0" not in text
    if reacted:
        assert plain(reacted.key, 64) == reacted.key


@given(st.text(max_size=200))
def test_taking_the_mention_out_takes_nothing_else(text: str) -> None:
    kept = without_mention(text, ME)
    if ME.user not in text and "greylag" not in text.lower():
        assert kept == text.strip()
    assert len(kept) <= len(text)
