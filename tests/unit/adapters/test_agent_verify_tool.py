"""The one tool an agent is lent: it can only ask, and an error is never a pass."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.adapters.agents.port import VerifyAnswer
from greylag.adapters.agents.verify_tool import ANSWER_CHARS, CALLS_A_RUN, VerifyServer
from greylag.domain.errors import BackendError

CALL = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "verify", "arguments": {}}}


def server(answer: VerifyAnswer | Exception) -> VerifyServer:
    async def verify() -> VerifyAnswer:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return VerifyServer(verify)


async def call(answer: VerifyAnswer | Exception) -> dict[str, Any]:
    reply = await server(answer).answer(CALL)
    assert reply is not None
    assert reply["id"] == 7
    return reply["result"]  # type: ignore[return-value]


async def test_pass_and_failure_are_told() -> None:
    passed = await call(VerifyAnswer(True, "3 passed"))
    assert passed == {"content": [{"type": "text", "text": "PASSED\n3 passed"}], "isError": False}
    failed = await call(VerifyAnswer(False, "1 failed"))
    assert failed["content"][0]["text"] == "FAILED\n1 failed"


@pytest.mark.parametrize(
    "error", [BackendError("GL-X-001", "the sandbox is away.", "wait"), RuntimeError("secret detail"), KeyError("x")]
)
async def test_error_of_the_verifiers_is_a_failed_call(error: Exception) -> None:
    result = await call(error)
    assert result["isError"] is True
    text = result["content"][0]["text"]
    assert "PASSED" not in text
    assert "secret detail" not in text


async def test_truthy_nonsense_is_no_pass() -> None:
    result = await call(VerifyAnswer("no", "odd"))  # type: ignore[arg-type]
    assert result["content"][0]["text"].startswith("FAILED")


async def test_cancelling_reaches_the_verifiers() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def verify() -> VerifyAnswer:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    task = asyncio.create_task(VerifyServer(verify).answer(CALL))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_calls_and_words_are_bounded() -> None:
    lent = server(VerifyAnswer(True, "x" * 1_000_000))
    replies: list[Any] = [await lent.answer(CALL) for _ in range(CALLS_A_RUN + 1)]
    assert len(replies[0]["result"]["content"][0]["text"]) == ANSWER_CHARS
    assert replies[-2]["result"]["isError"] is False
    assert replies[-1]["result"]["isError"] is True


async def test_offers_exactly_one_tool_without_arguments() -> None:
    reply: Any = await server(VerifyAnswer(True, "")).answer({"id": 1, "method": "tools/list"})
    (tool,) = reply["result"]["tools"]
    assert tool["name"] == "verify"
    assert tool["inputSchema"] == {"type": "object", "properties": {}, "additionalProperties": False}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
METHODS = st.sampled_from(["initialize", "ping", "tools/list", "tools/call", "resources/read"]) | JSON


@given(st.fixed_dictionaries({}, optional={"id": JSON, "method": METHODS, "params": JSON}))
def test_any_message_gets_a_reply_or_none(message: dict[str, object]) -> None:
    reply = asyncio.run(server(VerifyAnswer(False, "")).answer(message))
    assert (reply is None) == ("id" not in message)
    if reply is not None:
        assert reply["id"] == message["id"]
        assert ("result" in reply) != ("error" in reply)
