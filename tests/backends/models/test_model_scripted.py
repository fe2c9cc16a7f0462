"""The scripted model: it says what stands in the cassette, in the harness's words, and never guesses."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from greylag.adapters.models.backends.cassette import Cassette, check_cassette, load_cassettes
from greylag.adapters.models.backends.scripted import LABEL, ScriptedUpstream
from greylag.adapters.models.port import ModelCall
from greylag.adapters.models.reply.usage import UsageReader
from greylag.domain.errors import IntegrityError, OperatorError
from greylag.domain.ids import DecisionId
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit, mint

TOOLS = [{"name": name} for name in ("Read", "Edit", "Write", "Bash", "mcp__greylag__verify")]
STORY: dict[str, Any] = {
    "v": 1,
    "name": "skip-fix",
    "when": "(?i)skip",
    "scenes": [
        {"prompt": "tests fail", "turns": [{"say": "Second round."}]},
        {
            "prompt": "skip.*button",
            "turns": [
                {"say": "I look.", "tools": [{"name": "read", "path": "src/a.py"}]},
                {
                    "expect": "def skip",
                    "tools": [
                        {"name": "edit", "path": "src/a.py", "old": "2", "new": "@CWD@"},
                        {"name": "write", "path": "/workspace/b.py", "content": "x\n"},
                        {"name": "shell", "command": "ls @CWD@"},
                        {"name": "verify"},
                    ],
                },
                {"say": "Done.", "usage": {"input_tokens": 1200, "output_tokens": 90}},
            ],
        },
    ],
    "side": {"say": "A title"},
}


def cassette(**changes: Any) -> Cassette:
    return msgspec.convert({**STORY, **changes}, Cassette)


def permit(body: bytes) -> Permit:
    return mint(DecisionId("dec_1"), Stage.PROMPT, "scripted", f"sha256:{hashlib.sha256(body).hexdigest()}", 0)


def conversation(first: Any, *steps: Any) -> list[dict[str, Any]]:
    """``steps``: a text is a tool result after a tool use; None is an assistant's plain text and a user's answer."""
    messages = [{"role": "user", "content": first}]
    for number, step in enumerate(steps):
        if step is None:
            messages += [{"role": "assistant", "content": "hm"}, {"role": "user", "content": "go on"}]
            continue
        use = {"type": "tool_use", "id": f"t{number}", "name": "Read", "input": {}}
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": step}
        messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    return messages


async def answered(
    upstream: ScriptedUpstream, messages: list[dict[str, Any]], *, stream: bool = False, tools: Any = TOOLS
) -> tuple[int, bytes]:
    request = {"model": "scripted", "max_tokens": 9, "messages": messages, "stream": stream, "tools": tools}
    body = msgspec.json.encode(request)
    reply = await upstream.send(permit(body), ModelCall("/v1/messages", "scripted", body, {}, 9, stream))
    wanted = "text/event-stream" if stream and reply.status == 200 else "application/json"
    assert reply.headers["content-type"] == wanted
    return reply.status, b"".join([chunk async for chunk in reply.chunks])


async def said(upstream: ScriptedUpstream, messages: list[dict[str, Any]], **named: Any) -> dict[str, Any]:
    status, body = await answered(upstream, messages, **named)
    assert status == 200, body
    return json.loads(body)


async def refused(upstream: ScriptedUpstream, messages: list[dict[str, Any]], **named: Any) -> str:
    status, body = await answered(upstream, messages, **named)
    reply = json.loads(body)
    assert (status, reply["type"]) == (451, "error")
    return str(reply["error"]["message"])


SCRIPTED = ScriptedUpstream("scripted", [cassette()])
ASK = "Fix the skip\nbutton"


async def test_the_story_is_told_turn_by_turn_in_the_harnesss_words() -> None:
    first = await said(SCRIPTED, conversation(ASK))
    assert first["content"][0] == {"type": "text", "text": "I look."}
    assert (first["content"][1]["name"], first["content"][1]["input"]) == ("Read", {"file_path": "/workspace/src/a.py"})
    assert (first["stop_reason"], first["model"], first["role"]) == ("tool_use", "scripted", "assistant")
    second = await said(SCRIPTED, conversation(ASK, "1 def skip(self):"))
    assert [(block["name"], block["input"]) for block in second["content"]] == [
        ("Edit", {"file_path": "/workspace/src/a.py", "old_string": "2", "new_string": "/workspace"}),
        ("Write", {"file_path": "/workspace/b.py", "content": "x\n"}),
        ("Bash", {"command": "ls /workspace"}),
        ("mcp__greylag__verify", {}),
    ]
    assert len({block["id"] for block in (*first["content"][1:], *second["content"])}) == 5
    third = await said(SCRIPTED, conversation(ASK, "def skip", [{"type": "text", "text": "ok"}]))
    assert third["content"] == [{"type": "text", "text": "Done."}]
    assert (third["stop_reason"], third["usage"]["input_tokens"], third["usage"]["output_tokens"]) == (
        "end_turn", 1200, 90,
    )  # fmt: skip


async def test_it_keeps_nothing_so_tries_again_and_plain_talk_replay_right() -> None:
    again = [await said(SCRIPTED, conversation(ASK, "def skip")) for _ in range(2)]
    assert again[0] == again[1]
    assert (await said(SCRIPTED, conversation(ASK, "def skip", "ok", None, None)))["content"][0]["text"] == "Done."


async def test_the_first_scene_whose_prompt_is_found_is_played() -> None:
    assert (await said(SCRIPTED, conversation(ASK + "; the tests fail")))["content"][0]["text"] == "Second round."


async def test_requests_without_tools_are_the_side_lane() -> None:
    for tools in (None, []):
        assert (await said(SCRIPTED, conversation(ASK), tools=tools))["content"] == [
            {"type": "text", "text": "A title"}
        ]


async def test_a_stream_says_the_same_as_a_plain_answer() -> None:
    messages = conversation(ASK, "def skip")
    plain = await said(SCRIPTED, messages)
    _, stream = await answered(SCRIPTED, messages, stream=True)
    events = [
        (lines[0].removeprefix(b"event: ").decode(), json.loads(lines[1].removeprefix(b"data: ")))
        for lines in (event.split(b"\n") for event in stream.split(b"\n\n")[:-1])
    ]
    assert all(name == data["type"] for name, data in events)
    names = [name for name, _ in events]
    assert (names[0], names[1], names[-3:]) == (
        "message_start", "content_block_start", ["content_block_stop", "message_delta", "message_stop"],
    )  # fmt: skip
    blocks: list[dict[str, Any]] = []
    for name, data in events:
        if name == "content_block_start":
            assert data["index"] == len(blocks)
            blocks.append({**data["content_block"], "json": ""})
        if name == "content_block_delta" and data["delta"]["type"] == "input_json_delta":
            blocks[data["index"]]["json"] += data["delta"]["partial_json"]
        if name == "content_block_delta" and data["delta"]["type"] == "text_delta":
            blocks[data["index"]]["text"] += data["delta"]["text"]
    for block in blocks:
        written = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(written)
    assert [block["input"] for block in blocks] == [block["input"] for block in plain["content"]]
    assert events[0][1]["message"]["content"] == []
    assert events[-2][1]["delta"]["stop_reason"] == plain["stop_reason"] == "tool_use"
    reader = UsageReader()
    reader.feed(stream)
    assert reader.complete
    assert reader.usage is not None
    assert reader.usage.output_tokens == plain["usage"]["output_tokens"]


async def test_all_text_blocks_are_searched_and_the_harnesss_reminders_are_not() -> None:
    blocks = [{"type": "text", "text": "<system-reminder>skip\nbutton</system-reminder>"}]
    assert "GL-SCRIPT-002" in await refused(SCRIPTED, conversation(blocks))
    blocks += [{"type": "image"}, {"type": "text", "text": "the skip"}, {"type": "text", "text": "button"}]
    assert (await said(SCRIPTED, conversation(blocks)))["content"][0]["text"] == "I look."


async def test_what_is_not_in_the_script_is_refused_with_what_was_looked_for() -> None:
    bare = ScriptedUpstream("scripted", [cassette(side=None)])
    for message, wanted in (
        (
            await refused(SCRIPTED, conversation("Make coffee")),
            ("GL-SCRIPT-002", "skip-fix", "(?i)skip", "Make coffee"),
        ),
        (await refused(SCRIPTED, conversation("Skip lunch")), ("GL-SCRIPT-003", "skip.*button", "Skip lunch")),
        (await refused(SCRIPTED, conversation(ASK, "def skip", "ok", "ok")), ("GL-SCRIPT-004", "turn 4", "3 turns")),
        (await refused(SCRIPTED, conversation(ASK, "No such file")), ("GL-SCRIPT-005", "def skip", "No such file")),
        (await refused(SCRIPTED, conversation(ASK), tools=[{"name": "Glob"}]), ("GL-SCRIPT-006", "`Read`", "Glob")),
        (await refused(SCRIPTED, conversation(ASK, "def skip"), tools=TOOLS[:4]), ("GL-SCRIPT-006", "`verify`")),
        (await refused(bare, conversation(ASK), tools=None), ("GL-SCRIPT-007", "`side`", "skip-fix")),
        (await refused(SCRIPTED, [{"role": "assistant", "content": "x"}]), ("GL-SCRIPT-008",)),
        (await refused(SCRIPTED, [{"role": "user"}]), ("GL-SCRIPT-008",)),
        (await refused(SCRIPTED, conversation([{"type": "text"}])), ("GL-SCRIPT-008",)),
        (await refused(SCRIPTED, conversation(ASK), tools=[{}], stream=True), ("GL-SCRIPT-008",)),
    ):
        assert all(word in message for word in wanted), message
        assert "\n" not in message


async def test_the_first_of_several_cassettes_that_fits_is_played() -> None:
    other = cassette(name="other", when="button", scenes=[{"prompt": "", "turns": [{"say": "Other."}]}])
    for order, wanted in (([cassette(), other], "I look."), ([other, cassette()], "Other.")):
        reply = await said(ScriptedUpstream("scripted", order), conversation(ASK))
        assert reply["content"][0]["text"] == wanted


async def test_it_wants_a_permit_like_a_real_endpoint() -> None:
    body = b"{}"
    call = ModelCall("/v1/messages", "scripted", body, {}, 9, stream=False)
    elsewhere = mint(DecisionId("d"), Stage.PROMPT, "other", f"sha256:{hashlib.sha256(body).hexdigest()}", 0)
    for wrong in (permit(b"x"), elsewhere):
        with pytest.raises(IntegrityError):
            await SCRIPTED.send(wrong, call)


def test_it_is_free_only_under_its_own_name_and_says_what_it_is() -> None:
    for model in ("scripted", "scripted-1", "scripted/eu"):
        price = SCRIPTED.price(model)
        assert price is not None
        assert (price.source, price.input_usd_micros, price.output_usd_micros) == ("scripted", 0, 0)
    for model in ("claude-opus-5", "", "my-scripted", "scripted\n"):
        assert SCRIPTED.price(model) is None
    assert SCRIPTED.label == LABEL
    assert "no real model" in LABEL


def test_the_documented_example_is_a_cassette(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/reference/cassettes.md").read_text()
    path = tmp_path / "doc.json"
    path.write_text(page.split("```json\n")[1].split("```")[0])
    assert check_cassette(path).name == "skip-fix"
    for number in range(1, 9):
        assert f"GL-SCRIPT-00{number}" in page


def turn(**fields: Any) -> dict[str, Any]:
    return {"scenes": [{"prompt": "x", "turns": [fields]}]}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"v": 2}, "$.v"), ({"v": "1"}, "$.v"), ({"name": "Über"}, "$.name"), ({"name": "../x"}, "$.name"),
        ({"extra": 1}, "extra"), ({"scenes": []}, "$.scenes"), ({"when": "("}, "$.when"), ({"side": {}}, "say"),
        ({"scenes": [{"prompt": "[", "turns": [{"say": "x"}]}]}, "$.scenes[0].prompt"),
        ({"scenes": [{"prompt": "x", "turns": []}]}, "$.scenes[0].turns"),
        (turn(), "$.scenes[0].turns[0]"),
        (turn(says="x"), "says"),
        (turn(say="x", expect="x"), "$.scenes[0].turns[0].expect"),
        (turn(tools=[{"name": "fly"}]), "$.scenes[0].turns[0].tools[0].name"),
        (turn(tools=[{"name": "edit", "path": "a", "old": "", "new": "x"}]), "tools[0].old"),
        (turn(tools=[{"name": "read", "path": "a", "mode": 1}]), "mode"),
        (turn(tools=[{"path": "a"}]), "name"),
        (turn(say="x", usage={"input_tokens": -1}), "usage.input_tokens"),
        ({"scenes": [{"prompt": "x", "turns": [{"say": "x"}, {"say": "y"}]}]}, "$.scenes[0].turns[0]"),
        ({"scenes": [{"prompt": "x", "turns": [
            {"tools": [{"name": "verify"}]}, {"expect": "*", "say": "y"}]}]}, "$.scenes[0].turns[1].expect"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_cassette_is_told_with_its_place(tmp_path: Path, changes: dict[str, Any], place: str) -> None:
    (tmp_path / "good.json").write_text(json.dumps({**STORY, "name": "good"}))
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({**STORY, **changes}))
    with pytest.raises(OperatorError) as raised:
        ScriptedUpstream("scripted", tmp_path)
    assert raised.value.code == "GL-SCRIPT-001"
    assert str(bad) in raised.value.message
    assert place in raised.value.message


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"[" * 200_000, b" " * (5 * 2**20)])
def test_hostile_files_are_told_too(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(OperatorError, match=r"a\.json"):
        load_cassettes(tmp_path)


def test_a_folder_without_cassettes_or_with_two_of_one_name_is_told(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(OperatorError, match="holds 0 cassettes"):
            load_cassettes(folder)
    for name in ("b.json", "a.json"):
        (tmp_path / name).write_text(json.dumps(STORY))
    with pytest.raises(OperatorError, match=r"b\.json.*is taken by.*a\.json"):
        load_cassettes(tmp_path)
    with pytest.raises(OperatorError, match="No such file"):
        check_cassette(tmp_path / "c.json")


def test_cassettes_are_loaded_in_the_order_of_their_files(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps({**STORY, "name": name}))
    (tmp_path / "notes.txt").write_text("not a cassette")
    assert [one.name for one in load_cassettes(tmp_path)] == ["a", "b", "c"]
