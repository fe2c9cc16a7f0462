"""The `acp` agent: a scripted Agent Client Protocol agent in the real sandbox."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from agent_stage import ACP_AGENT, Said, Stage

from greylag.adapters.agents.backends.acp import AcpAgent
from greylag.adapters.agents.conformance import Act, check_agent
from greylag.adapters.agents.port import AgentResult, Assignment
from greylag.domain.errors import RequestRefused

COMMAND = ("python3", ACP_AGENT.target)


async def work(stage: Stage, prompt: str, *options: str) -> AgentResult:
    return await AcpAgent().work(stage.assignment(prompt=prompt, command=COMMAND + options, mounts=(ACP_AGENT,)))


async def test_keeps_every_promise(stage: Stage) -> None:
    @asynccontextmanager
    async def set_up(act: Act) -> AsyncIterator[Assignment]:
        prompt = "error no luck" if act.fails else f"run {act.script}; wait"
        yield stage.assignment(prompt=prompt, command=COMMAND, mounts=(ACP_AGENT,))

    findings = await check_agent(AcpAgent(), set_up)
    assert [finding for finding in findings if not finding.kept] == []
    assert len(findings) == 11


async def test_permission_is_given_once_and_chosen_by_kind(stage: Stage) -> None:
    result = await work(stage, "say I look.\nrun echo fixed > a.txt\nsay All done.")
    assert result.outcome == "finished"
    assert result.detail.endswith("All done.")
    assert stage.lines[:2] == ["I look.", "runs echo fixed > a.txt"]
    assert "id-2" in stage.lines[2]
    assert (stage.workspace / "a.txt").read_text() == "fixed\n"


async def test_where_nothing_allows_the_request_is_cancelled(stage: Stage) -> None:
    result = await work(stage, "run echo fixed > a.txt", "--deny-only")
    assert result.outcome == "finished"
    assert "cancelled" in stage.lines[1]
    assert list(stage.workspace.iterdir()) == []


async def test_full_access_mode_is_set_where_it_is_offered(stage: Stage) -> None:
    result = await work(stage, "say hello", "--modes")
    assert result.outcome == "finished"
    assert stage.lines == ["mode bypassPermissions", "hello"]


async def test_checkout_s_settings_are_switched_off_and_nothing_is_offered(stage: Stage) -> None:
    result = await work(stage, "opened\nask fs/read_text_file\nask terminal/create\nask made/up")
    opened = json.loads(stage.lines[0])
    assert opened["cwd"] == "/workspace"
    assert opened["mcpServers"] == []
    assert opened["_meta"]["claudeCode"]["options"]["settingSources"] == []
    assert [line.count("-32601") for line in stage.lines[1:]] == [1, 1, 1]
    assert result.outcome == "finished"


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        ("error the model is away", (), "with an error: Internal error the model is away"),
        ("stop refusal", (), "it refused to go on"),
        ("stop max_tokens", (), "too long"),
        ("stop whatever", (), "not the protocol's: `stopReason`"),
        ("stop cancelled", (), "cancelled the work itself"),
        ("exit 4", (), "exit code 4. the agent gives up"),
        ("say hi", ("--auth",), "wants a login"),
        ("say hi", ("--version", "2"), "speaks version 2"),
    ],
)
async def test_failures_in_words(stage: Stage, prompt: str, options: tuple[str, ...], words: str) -> None:
    result = await work(stage, prompt, *options)
    assert result.outcome == "failed"
    assert words in result.detail


@pytest.mark.parametrize(
    "line",
    [
        "not json", "[]", "7", "null", '"text"', "{}", '{"id":3}', '{"id":[1],"result":{}}', '{"id":true,"result":{}}',
        '{"id":999,"result":{"stopReason":"end_turn"}}', '{"method":7}', '{"method":["x"],"id":{}}',
        '{"method":"session/update"}', '{"method":"session/update","params":[]}',
        '{"method":"session/update","params":{"sessionId":"s1","update":7}}',
        '{"method":"session/update","params":{"sessionId":"other","update":{"sessionUpdate":"tool_call","title":"x"}}}',
        '{"method":"session/update","params":{"sessionId":"s1","update":{"sessionUpdate":"tool_call","title":{}}}}',
        '{"method":"session/request_permission","id":"q","params":{"options":"all"}}', "[" * 100_000,
        '{"a":' * 5000,
    ],
)  # fmt: skip
async def test_nonsense_on_the_line_changes_nothing(stage: Stage, line: str) -> None:
    result = await work(stage, f"raw {line}\nsay still here")
    if line == '{"id":3}':  # looks like an answer to the prompt, and is none
        assert result.outcome == "failed"
    else:
        assert (result.outcome, stage.lines) == ("finished", ["still here"])


async def test_flood_of_updates_is_bounded(stage: Stage) -> None:
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "spam\n" * 1000}}
    line = json.dumps({"method": "session/update", "params": {"sessionId": "s1", "update": update}})
    result = await work(stage, f"raw {line}\n" * 300 + "say end")
    assert result.outcome == "finished"
    assert len(stage.lines) < 20
    assert len(result.transcript) < 5_000_000


@pytest.mark.parametrize(("options", "within"), [((), 3.0), (("--deaf",), 10.0)])
async def test_stop_is_asked_for_then_enforced(stage: Stage, options: tuple[str, ...], within: float) -> None:
    assignment = stage.assignment(
        prompt="run echo half > half.txt; sleep 60", command=COMMAND + options, mounts=(ACP_AGENT,)
    )
    working = asyncio.create_task(AcpAgent().work(assignment))
    while not (stage.workspace / "half.txt").exists():
        await asyncio.sleep(0.05)
    since = time.monotonic()
    assignment.stop.set()
    result = await working
    assert time.monotonic() - since < within
    assert result.outcome == "stopped"


async def test_program_that_speaks_something_else_fails_in_words(stage: Stage) -> None:
    result = await AcpAgent().work(stage.assignment(command=("sh", "-c", "echo Welcome; echo oops >&2; exit 1")))
    assert result.outcome == "failed"
    assert "exit code 1. oops" in result.detail


async def test_no_program_is_refused(stage: Stage) -> None:
    with pytest.raises(RequestRefused) as refused:
        await AcpAgent().work(stage.assignment())
    assert refused.value.code == "GL-AGENT-003"


async def test_probe_is_ready() -> None:
    assert (await AcpAgent().probe()).ready


async def test_what_is_said_meanwhile_is_the_next_turn_of_the_same_session(stage: Stage) -> None:
    said = Said()

    async def progress(line: str) -> None:
        stage.lines.append(line)
        if line == "I begin.":
            said.say("run echo more >> a.txt\nsay With that too.")
            said.say("say And that.")

    assignment = stage.assignment(
        prompt="say I begin.\nrun echo first > a.txt\nsay Done.", command=COMMAND, mounts=(ACP_AGENT,), more=said.more,
        progress=progress,
    )  # fmt: skip
    result = await AcpAgent().work(assignment)
    assert (result.outcome, result.detail) == ("finished", "And that.")
    assert (stage.workspace / "a.txt").read_text() == "first\nmore\n"
    assert len(said.heard) == 2
    assert stage.lines.index("Done.") < stage.lines.index("With that too.") < stage.lines.index("And that.")


@pytest.mark.parametrize(("ending", "heard"), [("error no luck", 0), ("stop refusal", 0), ("exit 3", 0)])
async def test_a_turn_that_ends_badly_is_not_followed_by_another(stage: Stage, ending: str, heard: int) -> None:
    said = Said("say never")
    assignment = stage.assignment(prompt=ending, command=COMMAND, mounts=(ACP_AGENT,), more=said.more)
    result = await AcpAgent().work(assignment)
    assert result.outcome == "failed"
    assert len(said.heard) == heard


async def test_stop_in_a_later_turn_is_a_stop(stage: Stage) -> None:
    said = Said("run touch later; sleep 60")
    assignment = stage.assignment(prompt="say one", command=COMMAND, mounts=(ACP_AGENT,), more=said.more)
    working = asyncio.create_task(AcpAgent().work(assignment))
    while not (stage.workspace / "later").exists():
        await asyncio.sleep(0.05)
    assignment.stop.set()
    assert (await working).outcome == "stopped"
