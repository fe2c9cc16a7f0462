"""A conversation by the Agent Client Protocol with a program in a sandbox, over its standard streams.

The requests and answers are the protocol library's types; the line client is our own, because the library's one starts
a task for every message an agent sends and logs what it can't read, which a hostile agent could use to fill memory and
logs. Here one message is read at a time. The platform offers the agent no files, no terminal and no server of its own:
all it may touch is in the sandbox already.

The protocol has no way to say something into a turn, and to cancel one would end what the agent runs at that moment,
a test of minutes among it: what is said meanwhile is the next turn's prompt, in the same session.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TypeVar

from acp.meta import AGENT_METHODS, CLIENT_METHODS, PROTOCOL_VERSION
from acp.schema import (
    AllowedOutcome,
    CancelNotification,
    ClientCapabilities,
    DeniedOutcome,
    Implementation,
    InitializeRequest,
    InitializeResponse,
    NewSessionRequest,
    NewSessionResponse,
    PermissionOption,
    PromptRequest,
    PromptResponse,
    RequestPermissionRequest,
    RequestPermissionResponse,
    SessionModeState,
    SetSessionModeRequest,
    SetSessionModeResponse,
    TextContentBlock,
)
from pydantic import BaseModel, ValidationError

from greylag.adapters.agents.narration import Narrator
from greylag.adapters.agents.port import AgentResult, Assignment
from greylag.adapters.agents.supervision import Conversation, end_in_words
from greylag.adapters.agents.transcript import Transcript
from greylag.adapters.agents.wire import JsonLines, mapping, text
from greylag.adapters.sandbox.port import WORKSPACE, SandboxProcess

# What agents call "do not ask, do not sandbox yourself": right inside a sandbox, and there alone.
FULL_ACCESS_MODES = ("bypassPermissions", "agent-full-access", "full-access", "yolo")
_DETAIL_CHARS = 800
_MESSAGE_CHARS = 4000
_AUTH_REQUIRED = -32000
_INVALID_PARAMS = -32602
_METHOD_NOT_FOUND = -32601
_STOP_REASONS = {
    "max_tokens": "the model's answer became too long",
    "max_turn_requests": "it used up its model calls for one turn",
    "refusal": "it refused to go on",
    "cancelled": "it cancelled the work itself",
}
_Answer = TypeVar("_Answer", bound=BaseModel)


class _Refused(Exception):
    """The agent answered a request with an error, or with something that is no answer."""


class _Gone(Exception):
    """The agent closed its output."""


class ProtocolRun:
    """One conversation with one agent process."""

    def __init__(self, assignment: Assignment, narrator: Narrator, transcript: Transcript) -> None:
        self.narrator = narrator
        self._assignment = assignment
        self._transcript = transcript
        self._wire: JsonLines | None = None
        self._messages: AsyncIterator[dict[str, object]] | None = None
        self._requests = 0
        self._session = ""
        self._message = ""
        self._line = ""

    async def talk(self, process: SandboxProcess) -> AgentResult | None:
        """Return outcome and detail, None where the program ended first."""
        self._wire = JsonLines(process, self._transcript)
        self._messages = self._wire.messages()
        try:
            reason = await self._turn()
        except _Refused as refusal:
            return AgentResult("failed", str(refusal), b"")
        except _Gone:
            return None
        await self._end_line()
        if reason == "end_turn":
            return AgentResult("finished", self._message or "it is done", b"")
        return AgentResult("failed", f"{_STOP_REASONS.get(reason, reason)}. {self._message}", b"")

    async def cancel(self) -> None:
        """Ask the agent to stop its turn; without a session there is nothing to cancel."""
        if self._wire is not None and self._session:
            params = _plain(CancelNotification(session_id=self._session))
            await self._wire.send({"jsonrpc": "2.0", "method": AGENT_METHODS["session_cancel"], "params": params})

    async def _turn(self) -> str:
        hello = InitializeRequest(
            protocol_version=PROTOCOL_VERSION,
            client_capabilities=ClientCapabilities(),
            client_info=Implementation(name="greylag", version="1"),
        )
        version = (await self._ask("initialize", hello, InitializeResponse)).protocol_version
        if version != PROTOCOL_VERSION:
            raise _Refused(f"it speaks version {version} of the protocol, not {PROTOCOL_VERSION}")
        # What a checkout says about settings could run hooks or send model calls elsewhere.
        meta: dict[str, object] = {"claudeCode": {"options": {"settingSources": []}}}
        opened = await self._ask(
            "session_new", NewSessionRequest(cwd=WORKSPACE, mcp_servers=[], field_meta=meta), NewSessionResponse
        )
        self._session = opened.session_id
        await self._choose_mode(opened.modes)
        words = self._assignment.prompt.encode("utf-8", "replace").decode()
        reason = await self._prompt(words)
        while reason == "end_turn" and not self._assignment.more.empty():
            steer = self._assignment.more.get_nowait()
            self._message = ""
            reason = await self._prompt(steer.text.encode("utf-8", "replace").decode(), steer.heard)
        return reason

    async def _prompt(self, words: str, heard: Callable[[], Awaitable[None]] | None = None) -> str:
        prompt = PromptRequest(session_id=self._session, prompt=[TextContentBlock(type="text", text=words)])
        return (await self._ask("session_prompt", prompt, PromptResponse, heard)).stop_reason

    async def _choose_mode(self, modes: SessionModeState | None) -> None:
        offered = {mode.id for mode in modes.available_modes} if modes else set()
        mode = next((mode for mode in FULL_ACCESS_MODES if mode in offered), None)
        if mode is None or (modes and modes.current_mode_id == mode):
            return
        request = SetSessionModeRequest(session_id=self._session, mode_id=mode)
        try:
            await self._ask("session_set_mode", request, SetSessionModeResponse)
        except _Refused as refusal:  # then it asks for permission, and gets it
            self._transcript.add("note", f"mode {mode!r} was refused: {refusal}")

    async def _ask(
        self, method: str, request: BaseModel, answer: type[_Answer], sent: Callable[[], Awaitable[None]] | None = None
    ) -> _Answer:
        """Return the agent's answer; what it says or asks before is dealt with on the way. ``sent``: once it is."""
        if self._wire is None or self._messages is None:
            raise _Gone
        self._requests += 1
        number = self._requests
        name = AGENT_METHODS[method]
        await self._wire.send({"jsonrpc": "2.0", "id": number, "method": name, "params": _plain(request)})
        if sent is not None:
            await sent()
        async for message in self._messages:
            if "method" in message:
                await self._hear(self._wire, message)
            elif message.get("id") == number and "error" in message:
                raise _Refused(_error_in_words(name, mapping(message["error"])))
            elif message.get("id") == number:
                return _read(name, message.get("result"), answer)
        raise _Gone

    async def _hear(self, wire: JsonLines, message: dict[str, object]) -> None:
        method = message["method"]
        if method == CLIENT_METHODS["session_update"] and "id" not in message:
            params = mapping(message.get("params"))
            if params.get("sessionId") == self._session:
                await self._narrate(mapping(params.get("update")))
        elif isinstance(message.get("id"), int | str):
            reply = {"jsonrpc": "2.0", "id": message["id"]}
            if method == CLIENT_METHODS["session_request_permission"]:
                await wire.send(reply | self._permission(message.get("params")))
            else:
                error = {"code": _METHOD_NOT_FOUND, "message": f"the platform does not offer {method!r}"[:200]}
                await wire.send(reply | {"error": error})

    def _permission(self, params: object) -> dict[str, object]:
        try:
            request = RequestPermissionRequest.model_validate(params)
        except ValidationError:
            return {"error": {"code": _INVALID_PARAMS, "message": "that is no permission request"}}
        option = _allowing(request.options)
        outcome: AllowedOutcome | DeniedOutcome = DeniedOutcome(outcome="cancelled")
        if option is not None and not self._assignment.stop.is_set():
            outcome = AllowedOutcome(outcome="selected", option_id=option.option_id)
        return {"result": _plain(RequestPermissionResponse(outcome=outcome))}

    async def _narrate(self, update: Mapping[str, object]) -> None:
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                words = text(mapping(update.get("content")).get("text"))
                self._message = (self._message + words)[-_MESSAGE_CHARS:]
                self._line = (self._line + words)[-_MESSAGE_CHARS:]
                *whole, self._line = self._line.split("\n")
                for line in whole:
                    await self.narrator.say(line)
            case "tool_call":
                await self._end_line()
                self._message = ""
                await self.narrator.say(text(update.get("title")))

    async def _end_line(self) -> None:
        await self.narrator.say(self._line)
        self._line = ""

    def result(self, conversation: Conversation) -> AgentResult:
        """Return how it went, with the transcript."""
        ended = conversation.ended
        errors = ended.stderr[-10_000:].decode("utf-8", "replace")
        self._transcript.add("stderr", errors)
        self._transcript.add("ended", {"reason": str(ended.reason), "exit_code": ended.exit_code})
        transcript = self._transcript.to_bytes()
        if conversation.interrupted:
            return AgentResult("stopped", "it was stopped by a person", transcript)
        answer = conversation.answer
        if isinstance(answer, AgentResult):
            return AgentResult(answer.outcome, self.narrator.clean(answer.detail, _DETAIL_CHARS), transcript)
        detail = f"the agent did not come to an end: {end_in_words(ended, self._assignment.limits)}. {errors}"
        return AgentResult("failed", self.narrator.clean(detail, _DETAIL_CHARS), transcript)


def _allowing(options: list[PermissionOption]) -> PermissionOption | None:
    # By kind, never by id: ids differ from agent to agent. "Once" where there is a choice.
    kinds = {option.kind: option for option in reversed(options)}
    return kinds.get("allow_once") or kinds.get("allow_always")


def _plain(model: BaseModel) -> dict[str, object]:
    plain: dict[str, object] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return plain


def _read(name: str, result: object, answer: type[_Answer]) -> _Answer:
    try:
        return answer.model_validate({} if result is None else result)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise _Refused(f"its answer to `{name}` is not the protocol's: `{place}` is wrong or missing") from error


def _error_in_words(name: str, error: Mapping[str, object]) -> str:
    data = error.get("data")
    more = text(data) or text(mapping(data).get("details")) or text(mapping(data).get("message"))
    words = f"it answered `{name}` with an error: {text(error.get('message'))} {more}".strip()
    if error.get("code") == _AUTH_REQUIRED:
        words += " (it wants a login: give it a model by the gateway, agents hold no other credential)"
    return words
