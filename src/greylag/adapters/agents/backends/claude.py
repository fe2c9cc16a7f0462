"""Claude Code, the real program, inside the sandbox, over its stream-json protocol.

The program reads no settings of the repository (they could run hooks or send its model calls elsewhere), keeps no
session, calls no one but the gateway, and gets one tool of the platform: ``verify``.

What it does with a user message that comes while it works (seen in 2.1.330, with and without a tool running): it says
``command_lifecycle`` with the message's own ``uuid``, first ``queued``. Beside the next tool result it gives the
message to the model, as a system message ("The user sent a new message while you were working"), and says ``started``.
Where no further model call comes in that turn, it says ``result`` and begins a new turn by itself, with the message as
its prompt: ``started``, and later one more ``result``. So a ``result`` is the end only where everything that was sent
is started.
"""

import asyncio
import uuid
from pathlib import Path

import orjson

from greylag.adapters.agents.narration import Narrator, tool_line
from greylag.adapters.agents.port import AgentResult, Assignment, Steer
from greylag.adapters.agents.setting import sandbox_spec, secrets_of
from greylag.adapters.agents.supervision import Conversation, end_in_words, supervise
from greylag.adapters.agents.transcript import Transcript
from greylag.adapters.agents.verify_tool import SERVER, TOOL, VerifyServer
from greylag.adapters.agents.wire import JsonLines, items, mapping, text
from greylag.adapters.sandbox.port import Mount, Probe, SandboxProcess
from greylag.domain.errors import OperatorError

PROGRAM = "/opt/claude/claude"
TOOLS = ("Bash", "Read", "Edit", "Write", "Glob", "Grep")
VERIFY = f"mcp__{SERVER}__{TOOL}"
REMEDY = "run `make setup`, or `python scripts/fetch_claude.py`; or choose the agent `acp` or `command`."
_DETAIL_CHARS = 800
_ANSWERS_AT_ONCE = 8
_NEXT_TURN_SECONDS = 30.0  # 10 ms when tried; a program that never takes what was sent still comes to an end
_ENVIRONMENT = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",  # or the closing message comes while work goes on
    "CLAUDE_CODE_DISABLE_BUNDLED_SKILLS": "1",
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",
    "CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS": "1",  # the platform makes the commit
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "ENABLE_TOOL_SEARCH": "false",  # or the platform's tool is deferred: the model would have to look for it first
    "IS_SANDBOX": "1",  # exactly 1: else permissions can't be bypassed where the sandbox runs it as root
}


class ClaudeAgent:
    """Drives the Claude Code binary at ``binary`` (as `scripts/fetch_claude.py` puts it)."""

    def __init__(self, binary: Path) -> None:
        self.name = "claude"
        self.needs_model = True
        self.hears = True
        self._binary = binary

    async def probe(self) -> Probe:
        """Say whether the program is there, and which version; it is not started."""
        version = await asyncio.to_thread(_version, self._binary)
        if version is None:
            return Probe(ready=False, detail=f"there is no Claude Code program at {self._binary}", remedy=REMEDY)
        return Probe(ready=True, detail=version)

    async def work(self, assignment: Assignment) -> AgentResult:
        """Work on the prompt until Claude Code says it is done, is stopped or out of bounds.

        Raises OperatorError ``GL-AGENT-001`` where the program is missing, ``GL-AGENT-002`` without a session or a
        model's name, and what the sandbox raises.
        """
        if await asyncio.to_thread(_version, self._binary) is None:
            raise OperatorError("GL-AGENT-001", f"there is no Claude Code program at {str(self._binary)!r}.", REMEDY)
        if assignment.session is None or not assignment.model:
            raise OperatorError(
                "GL-AGENT-002",
                "the agent `claude` needs a gateway session and a model's name, got"
                f" session {assignment.session is not None}, model {assignment.model!r}.",
                "configure an endpoint and a model for the region, or choose the agent `command`.",
            )
        secrets = secrets_of(assignment)
        run = _Run(assignment, Narrator(assignment.progress, secrets), Transcript(secrets))
        environment = _ENVIRONMENT | {"MCP_TOOL_TIMEOUT": str(int(assignment.limits.timeout_seconds * 1000))}
        spec = sandbox_spec(assignment, _arguments(assignment), (Mount(self._binary, PROGRAM),), environment)
        process = await assignment.sandbox.start(spec)
        conversation = await supervise(process, run.talk(process), assignment.stop, run.interrupt)
        await run.narrator.finish()
        return run.result(conversation)


def _version(binary: Path) -> str | None:
    try:
        if not binary.is_file() or not binary.stat().st_mode & 0o111:
            return None
    except OSError:
        return None
    try:
        lines = (binary.parent / "VERSION").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return "Claude Code, version unknown"
    facts = dict(line.split(" ", 1) for line in lines if " " in line)
    return f"Claude Code {facts.get('version', 'of unknown version')} ({facts.get('program', 'no digest')})"


def _arguments(assignment: Assignment) -> tuple[str, ...]:
    tools = ",".join((*TOOLS, VERIFY) if assignment.verify else TOOLS)
    servers = {SERVER: {"type": "sdk", "name": SERVER}} if assignment.verify else {}
    return (
        PROGRAM, "--print", "--verbose", "--input-format", "stream-json", "--output-format", "stream-json",
        "--permission-mode", "bypassPermissions", "--permission-prompt-tool", "stdio",
        "--setting-sources", "", "--strict-mcp-config", "--mcp-config", orjson.dumps({"mcpServers": servers}).decode(),
        "--no-session-persistence", "--tools", tools, "--max-turns", str(max(1, assignment.max_turns)),
        "--model", assignment.model,
    )  # fmt: skip


class _Run:
    """One conversation with one Claude Code process."""

    def __init__(self, assignment: Assignment, narrator: Narrator, transcript: Transcript) -> None:
        self.narrator = narrator
        self._assignment = assignment
        self._transcript = transcript
        self._verify = VerifyServer(assignment.verify) if assignment.verify else None
        self._answering: dict[str, asyncio.Task[None]] = {}
        self._wire: JsonLines | None = None
        self._telling: asyncio.Task[None] | None = None
        self._unheard: dict[str, Steer] = {}

    async def talk(self, process: SandboxProcess) -> dict[str, object] | None:
        """Return the closing ``result`` message, None where the program ended before one."""
        self._wire = wire = JsonLines(process, self._transcript)
        try:
            async with asyncio.TaskGroup() as others:
                try:
                    return await self._listen(wire, others)
                finally:
                    for task in (*self._answering.values(), self._telling):
                        if task is not None:
                            task.cancel()
        except ExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _listen(self, wire: JsonLines, others: asyncio.TaskGroup) -> dict[str, object] | None:
        await wire.send(_control("start", {"subtype": "initialize", "hooks": None}))
        last: dict[str, object] | None = None
        try:
            async with asyncio.timeout(None) as patience:
                async for message in wire.messages():
                    if message.get("type") == "result":
                        last = message
                        if self._is_the_end(message):
                            return last
                        patience.reschedule(asyncio.get_running_loop().time() + _NEXT_TURN_SECONDS)
                    elif await self._heed(wire, message, others):
                        patience.reschedule(None)
        except TimeoutError:
            return last
        return last

    def _is_the_end(self, result: dict[str, object]) -> bool:
        if result.get("is_error") is not False or self._assignment.stop.is_set():
            return True
        return not self._unheard and self._assignment.more.empty()

    async def _heed(self, wire: JsonLines, message: dict[str, object], others: asyncio.TaskGroup) -> bool:
        """Do what ``message`` wants; say whether it is the word that something sent was taken."""
        match message.get("type"):
            case "control_response" if mapping(message.get("response")).get("request_id") == "start":
                if self._telling is None:
                    await wire.send(_said_by_user(self._assignment.prompt))
                    self._telling = others.create_task(self._tell(wire))
            case "control_request":
                self._answer(wire, message, others)
            case "control_cancel_request":
                self._forget(text(message.get("request_id")))
            case "assistant":
                await self._narrate(message)
            case "command_lifecycle" if message.get("state") == "started":
                steer = self._unheard.pop(text(message.get("command_uuid")), None)
                if steer is not None:
                    await steer.heard()
                return steer is not None
        return False

    async def _tell(self, wire: JsonLines) -> None:
        """Send what is said while it works, as it is said."""
        number = 0
        while True:
            steer = await self._assignment.more.get()
            number += 1
            name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._assignment.run_id}/{number}"))
            self._unheard[name] = steer
            await wire.send(_said_by_user(steer.text) | {"uuid": name})

    async def interrupt(self) -> None:
        """Ask the program to stop; it answers with a result."""
        if self._wire is not None:
            await self._wire.send(_control("stop", {"subtype": "interrupt"}))

    def _answer(self, wire: JsonLines, message: dict[str, object], answers: asyncio.TaskGroup) -> None:
        # Beside the reading: a verification takes minutes, and the program must be heard meanwhile.
        request_id = text(message.get("request_id"))
        if request_id in self._answering or len(self._answering) >= _ANSWERS_AT_ONCE:
            return
        task = answers.create_task(self._answer_one(wire, request_id, message))
        self._answering[request_id] = task
        task.add_done_callback(lambda _: self._answering.pop(request_id, None))

    async def _answer_one(self, wire: JsonLines, request_id: str, message: dict[str, object]) -> None:
        request = mapping(message.get("request"))
        reply: dict[str, object] = {"request_id": request_id}
        match request.get("subtype"):
            case "mcp_message" if self._verify is not None and request.get("server_name") == SERVER:
                inner = mapping(request.get("message"))
                if inner.get("method") == "tools/call":
                    await self.narrator.say("runs the checks")
                answer = await self._verify.answer(inner) or {"jsonrpc": "2.0", "result": {}}
                reply |= {"subtype": "success", "response": {"mcp_response": answer}}
            case "can_use_tool":
                # Everything is allowed already, inside the sandbox. What is asked all the same wants a person.
                denial = {"behavior": "deny", "message": "Nobody is there to ask. Go on without it."}
                reply |= {"subtype": "success", "response": denial}
            case subtype:
                reply |= {"subtype": "error", "error": f"the platform does not answer {subtype!r}"[:200]}
        await wire.send({"type": "control_response", "response": reply})

    def _forget(self, request_id: str) -> None:
        if task := self._answering.get(request_id):
            task.cancel()

    async def _narrate(self, message: dict[str, object]) -> None:
        if message.get("parent_tool_use_id"):
            return
        for item in items(mapping(message.get("message")).get("content")):
            block = mapping(item)
            name = text(block.get("name"))
            if block.get("type") == "text":
                await self.narrator.say(_first_line(text(block.get("text"))))
            elif block.get("type") == "tool_use" and name != VERIFY:
                await self.narrator.say(tool_line(name, mapping(block.get("input"))))

    def result(self, conversation: Conversation) -> AgentResult:
        ended = conversation.ended
        errors = ended.stderr[-10_000:].decode("utf-8", "replace")
        self._transcript.add("stderr", errors)
        self._transcript.add("ended", {"reason": str(ended.reason), "exit_code": ended.exit_code})
        transcript = self._transcript.to_bytes()
        if conversation.interrupted:
            return AgentResult("stopped", "it was stopped by a person", transcript)
        last = mapping(conversation.answer)
        if not last:
            detail = f"Claude Code did not come to an end: {end_in_words(ended, self._assignment.limits)}. {errors}"
            return AgentResult("failed", self.narrator.clean(detail, _DETAIL_CHARS), transcript)
        said = text(last.get("result")) or "; ".join(filter(None, map(text, items(last.get("errors")))))
        # `subtype` is "success" for a refused or failed model call too: `is_error` alone tells.
        if last.get("is_error") is False:
            return AgentResult("finished", self.narrator.clean(said, _DETAIL_CHARS) or "it is done", transcript)
        said = said or text(last.get("subtype")) or "an error without words"
        return AgentResult("failed", self.narrator.clean(said, _DETAIL_CHARS), transcript)


def _control(request_id: str, request: dict[str, object]) -> dict[str, object]:
    return {"type": "control_request", "request_id": request_id, "request": request}


def _said_by_user(prompt: str) -> dict[str, object]:
    plain = prompt.encode("utf-8", "replace").decode()
    if plain.lstrip().startswith("/"):  # or it would be read as one of the program's own commands
        plain = f"Request: {plain}"
    message = {"role": "user", "content": plain}
    return {"type": "user", "message": message, "parent_tool_use_id": None, "session_id": "greylag"}


def _first_line(words: str) -> str:
    return next((line for line in words.splitlines() if line.strip()), "")
