"""The one tool the platform lends an agent: run the host's verifiers on the workspace as it stands.

Spoken over the Model Context Protocol, message by message, without a server process. The tool takes no arguments, so
nothing the agent writes reaches the host; its answer is for the agent alone and is never evidence of anything.
"""

from collections.abc import Awaitable, Callable, Mapping

from greylag.adapters.agents.port import VerifyAnswer
from greylag.domain.errors import GreylagError

SERVER = "greylag"
TOOL = "verify"
PROTOCOL_VERSION = "2025-06-18"
CALLS_A_RUN = 50
ANSWER_CHARS = 20_000
_METHOD_NOT_FOUND = -32601
_INVALID_PARAMS = -32602

_DESCRIPTION = (
    "Run this repository's checks on the workspace as it is now, exactly as they will be run on your change before"
    " anybody sees it. Call it when you think you are done, and again after each correction, until it passes."
)


class VerifyServer:
    """Answers MCP messages; offers exactly the tool ``verify``. An error of the verifiers is a failed call."""

    def __init__(self, verify: Callable[[], Awaitable[VerifyAnswer]]) -> None:
        self._verify = verify
        self._calls = 0

    async def answer(self, message: Mapping[str, object]) -> dict[str, object] | None:
        """Return the JSON-RPC 2.0 reply to ``message``, None for a notification (Model Context Protocol 2025-06-18)."""
        if "id" not in message:
            return None
        reply: dict[str, object] = {"jsonrpc": "2.0", "id": message["id"]}
        params = message.get("params")
        fields: Mapping[str, object] = params if isinstance(params, dict) else {}
        match message.get("method"):
            case "initialize":
                result = _introduction()
            case "ping":
                result = {}
            case "tools/list":
                result = {"tools": [_tool()]}
            case "tools/call" if fields.get("name") == TOOL:
                result = await self._call()
            case "tools/call":
                return reply | {"error": {"code": _INVALID_PARAMS, "message": f"the only tool is `{TOOL}`"}}
            case method:
                return reply | {"error": {"code": _METHOD_NOT_FOUND, "message": f"no method {method!r}"[:200]}}
        return reply | {"result": result}

    async def _call(self) -> dict[str, object]:
        self._calls += 1
        if self._calls > CALLS_A_RUN:
            return _told(f"`{TOOL}` was used {CALLS_A_RUN} times, that is all one run has.", failed=True)
        try:
            answer = await self._verify()
        except GreylagError as error:
            return _told(f"The checks could not be run: {error.message}", failed=True)
        except Exception as error:  # noqa: BLE001 - whatever breaks in the verifiers, the agent must not read a pass
            return _told(f"The checks could not be run ({type(error).__name__}).", failed=True)
        if answer.passed is not True:
            return _told(f"FAILED\n{answer.text}", failed=False)
        return _told(f"PASSED\n{answer.text}", failed=False)


def _introduction() -> dict[str, object]:
    return {
        "protocolVersion": PROTOCOL_VERSION,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": SERVER, "version": "1"},
    }


def _tool() -> dict[str, object]:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    return {"name": TOOL, "description": _DESCRIPTION, "inputSchema": schema}


def _told(words: str, *, failed: bool) -> dict[str, object]:
    plain = words[:ANSWER_CHARS].encode("utf-8", "replace").decode()
    return {"content": [{"type": "text", "text": plain}], "isError": failed}
