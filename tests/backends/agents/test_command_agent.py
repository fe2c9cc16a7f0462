"""The `command` agent: any program in the real sandbox."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from agent_stage import Stage

from greylag.adapters.agents.backends.command import PROMPT_FILE, CommandAgent
from greylag.adapters.agents.conformance import Act, check_agent
from greylag.adapters.agents.port import Assignment
from greylag.adapters.sandbox.port import GATEWAY_URL, Limits
from greylag.domain.errors import BackendError, RequestRefused


def sh(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


async def test_keeps_every_promise(stage: Stage) -> None:
    @asynccontextmanager
    async def set_up(act: Act) -> AsyncIterator[Assignment]:
        yield stage.assignment(command=sh(act.script + "\nwait"))

    findings = await check_agent(CommandAgent(), set_up)
    assert [finding for finding in findings if not finding.kept] == []
    assert len(findings) == 11


async def test_prompt_is_on_standard_input_and_in_a_file_outside_the_workspace(stage: Stage) -> None:
    script = (
        'cat > by_input.txt; cat "$GREYLAG_PROMPT_FILE" > by_file.txt; pwd > where.txt;'
        ' echo x >> "$GREYLAG_PROMPT_FILE" || echo kept > kept.txt'
    )
    result = await CommandAgent().work(stage.assignment(prompt="Füge\nhinzu \udc80", command=sh(script)))
    assert result.outcome == "finished", result
    files = {file.name: file.read_text() for file in stage.workspace.iterdir()}
    assert files == {
        "by_input.txt": "Füge\nhinzu ?", "by_file.txt": "Füge\nhinzu ?", "where.txt": "/workspace\n",
        "kept.txt": "kept\n",
    }  # fmt: skip
    assert not PROMPT_FILE.startswith("/workspace")


async def test_each_line_is_told_clean(stage: Stage) -> None:
    script = r"printf 'one\n\033[31mtwo\033[0m\n10%%\r100%%\n\n\342\200\256three\n'; head -c 5000 /dev/zero | tr '\0' x"
    result = await CommandAgent().work(stage.assignment(command=sh(script)))
    assert stage.lines[:4] == ["one", "two", "100%", "three"]
    assert stage.lines[4] == "x" * 199 + "…"
    assert result.outcome == "finished"
    assert result.detail == stage.lines[4]


async def test_failure_says_exit_code_and_last_words(stage: Stage) -> None:
    script = r"echo working; printf 'first\n\033[1mno such queue\033[0m\n' >&2; exit 7"
    result = await CommandAgent().work(stage.assignment(command=sh(script)))
    assert (result.outcome, result.detail) == ("failed", "it ended with exit code 7: first | no such queue")


async def test_unknown_program_fails_in_words(stage: Stage) -> None:
    result = await CommandAgent().work(stage.assignment(command=("no-such-agent",)))
    assert result.outcome == "failed"
    assert "no-such-agent" in result.detail


@pytest.mark.parametrize("command", [(), ("",), ("sh", "a\0b")])
async def test_no_program_is_refused(stage: Stage, command: tuple[str, ...]) -> None:
    with pytest.raises(RequestRefused) as refused:
        await CommandAgent().work(stage.assignment(command=command))
    assert refused.value.code == "GL-AGENT-003"


async def test_time_is_bounded(stage: Stage) -> None:
    assignment = stage.assignment(command=sh("trap '' TERM; sleep 60"), limits=Limits(timeout_seconds=1))
    result = await CommandAgent().work(assignment)
    assert (result.outcome, result.detail) == ("failed", "it was ended after 1 seconds")


async def test_flood_is_bounded_and_leaves_the_platform_responsive(stage: Stage) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.05)
            ticks += 1

    ticking = asyncio.create_task(tick())
    since = time.monotonic()
    result = await CommandAgent().work(
        stage.assignment(command=sh("yes '\033[31mspam'"), limits=Limits(timeout_seconds=20, output_bytes=60_000))
    )
    took = time.monotonic() - since
    ticking.cancel()
    assert result.outcome == "failed"
    assert "printed more than" in result.detail
    assert len(stage.lines) < 30
    assert len(result.transcript) < 5_000_000
    assert ticks > took / 0.05 / 5


async def test_unread_prompt_is_no_failure(stage: Stage) -> None:
    result = await CommandAgent().work(stage.assignment(prompt="x" * 1_000_000, command=("true",)))
    assert result.outcome == "finished", result


async def test_silent_work_after_the_output_is_closed_is_waited_for(stage: Stage) -> None:
    script = "exec >&- 2>&-; sleep 1; echo done > done.txt"
    result = await CommandAgent().work(stage.assignment(command=sh(script)))
    assert result.outcome == "finished"
    assert (stage.workspace / "done.txt").read_text() == "done\n"


async def test_stop_is_quick_and_work_done_stays(stage: Stage) -> None:
    assignment = stage.assignment(command=sh("echo half > half.txt; trap '' TERM INT; sleep 60"))
    working = asyncio.create_task(CommandAgent().work(assignment))
    while not (stage.workspace / "half.txt").exists():
        await asyncio.sleep(0.05)
    since = time.monotonic()
    assignment.stop.set()
    result = await working
    assert time.monotonic() - since < 3
    assert result.outcome == "stopped"
    assert (stage.workspace / "half.txt").read_text() == "half\n"


@pytest.mark.parametrize("how", ["cancelled", "deaf store"])
async def test_no_process_survives_the_platform_s_own_trouble(stage: Stage, how: str) -> None:
    async def deaf(line: str) -> None:
        if how == "deaf store":
            raise BackendError("GL-STORE-001", "the store is away.", "wait", transient=True)

    script = "while :; do echo beat | tee -a beats.txt; sleep 0.1; done"
    assignment = stage.assignment(command=sh(script), progress=deaf)
    working = asyncio.create_task(CommandAgent().work(assignment))
    beats = stage.workspace / "beats.txt"
    while not beats.exists() and not working.done():
        await asyncio.sleep(0.05)
    if how == "cancelled":
        working.cancel()
    with pytest.raises((asyncio.CancelledError, BackendError)) as raised:
        await working
    assert how == "cancelled" or getattr(raised.value, "code", "") == "GL-STORE-001"
    size = beats.stat().st_size
    await asyncio.sleep(0.5)
    assert beats.stat().st_size == size


async def test_session_gives_gateway_token_and_model_and_the_token_is_masked(stage: Stage) -> None:
    script = (
        "import os, urllib.request as u\n"
        "url, token = os.environ['ANTHROPIC_BASE_URL'], os.environ['ANTHROPIC_AUTH_TOKEN']\n"
        "print(u.urlopen(u.Request(url + '/v1/models', headers={'x-api-key': token})).status, token)\n"
        "print(os.environ['ANTHROPIC_MODEL'], url)\n"
    )
    async with stage.session([]) as session:
        result = await CommandAgent().work(
            stage.assignment(command=("python3", "-c", script), session=session, model="scripted-model")
        )
    assert result.outcome == "finished", result
    assert stage.lines == ["200 [secret]", f"scripted-model {GATEWAY_URL}"]
    assert session.token.encode() not in result.transcript
    assert all(json.loads(line) for line in result.transcript.splitlines())


async def test_without_a_session_there_is_no_network(stage: Stage) -> None:
    script = "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/', timeout=3)"
    result = await CommandAgent().work(stage.assignment(command=("python3", "-c", script)))
    assert result.outcome == "failed"
    assert "refused" in result.detail.lower() or "unreachable" in result.detail.lower()


async def test_probe_is_ready() -> None:
    assert (await CommandAgent().probe()).ready
